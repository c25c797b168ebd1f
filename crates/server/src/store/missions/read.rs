//! The events of a mission, newest first.
//!
//! A page reads a bounded number of positions and unpacks a bounded number of bytes, however large the mission is. What
//! it did not reach follows by its cursor.

use super::MissionRecord;
use crate::store::inspect::Unpacked;
use crate::store::sql::{Sql, SqlRow, Value, values};
use crate::store::{Store, StoreError, TeamKey};
use crate::time::UnixMillis;
use std::collections::HashSet;
use std::str::FromStr;

/// Spans read at once.
const SPANS: u64 = 256;
/// Positions that one query looks at, or more.
const FEWEST: i64 = 2000;
/// Positions that one page looks at.
const POSITIONS: i64 = 50_000;
/// Bytes that one page unpacks.
const UNPACKED: usize = 64 * 1024 * 1024;
/// Bytes of events that one page takes.
const TEXT: usize = 16 * 1024 * 1024;

/// Position of an event of a mission: its span, then its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventCursor {
    span: i64,
    seq: i64,
}

impl EventCursor {
    /// After the newest.
    pub(crate) const END: Self = Self { span: i64::MAX, seq: i64::MAX };
}

impl std::fmt::Display for EventCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.span, self.seq)
    }
}

impl FromStr for EventCursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (span, seq) = text.split_once('-').ok_or(())?;
        Ok(Self { span: span.parse().map_err(|_| ())?, seq: seq.parse().map_err(|_| ())? })
    }
}

/// Which events of a mission are read.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventFilter {
    /// Of one of these types; of any if there is none.
    pub(crate) event_types: Vec<String>,
    /// About this subject: a work package.
    pub(crate) aggregate_id: Option<String>,
}

/// An event, as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MissionEvent {
    pub(crate) event_id: String,
    pub(crate) event_type: String,
    pub(crate) aggregate_id: String,
    pub(crate) received_at: UnixMillis,
    pub(crate) text: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct MissionEvents {
    /// Newest first.
    pub(crate) events: Vec<MissionEvent>,
    /// Position of the next page: there are more events, or there may be.
    pub(crate) next: Option<EventCursor>,
    /// Whether events were left out because their block is damaged.
    pub(crate) has_unreadable: bool,
}

/// Spans of a mission from a position back.
pub(in crate::store) const SPANS_BEFORE: &str = "SELECT first_seq, last_seq FROM mission_spans
     WHERE team = ?1 AND mission = ?2 AND first_seq <= ?3 ORDER BY first_seq DESC LIMIT ?4";

/// The events of spans from `?3` to `?4` that come before a cursor.
pub(in crate::store) fn events_of_spans(sql: &dyn Sql) -> String {
    let events = sql.join_for_each_row(
        "events",
        "events.team = mission_spans.team AND seq BETWEEN first_seq AND last_seq",
    );
    format!(
        "SELECT first_seq, seq, event_id, event_type, aggregate_id, events.block, \"offset\", length, digest
         FROM mission_spans {events}
         WHERE mission_spans.team = ?1 AND mission = ?2 AND events.block = mission_spans.block
           AND first_seq BETWEEN ?3 AND ?4 AND (first_seq < ?5 OR seq < ?6)"
    )
}

pub(in crate::store) const NEWEST_FIRST: &str = "ORDER BY first_seq DESC, seq DESC LIMIT ?7";

impl Store {
    /// Events of a mission before a position, newest first, at most `limit`.
    pub(crate) async fn mission_events(
        &self,
        mission: &MissionRecord,
        filter: EventFilter,
        before: EventCursor,
        limit: usize,
    ) -> Result<MissionEvents, StoreError> {
        let (team, key) = (mission.team, mission.key);
        self.query(move |sql| MissionEventReader { sql, team, key, filter: &filter }.read(before, limit))
            .await
    }
}

struct MissionEventReader<'r> {
    sql: &'r dyn Sql,
    team: TeamKey,
    key: i64,
    filter: &'r EventFilter,
}

impl MissionEventReader<'_> {
    fn read(&self, mut before: EventCursor, limit: usize) -> Result<MissionEvents, StoreError> {
        let mut found = MissionEvents::default();
        let mut unpacked = Unpacked::new(self.sql);
        let (mut positions, mut bytes) = (0, 0);
        let mut damaged: HashSet<i64> = HashSet::new();
        loop {
            let spans = self.sql.rows(SPANS_BEFORE, values![self.team, self.key, before.span, SPANS])?;
            let room = limit - found.events.len();
            // A database sorts the events of all spans it is asked for, so a short page asks for few.
            let enough = i64::try_from(room.saturating_mul(2)).unwrap_or(i64::MAX).max(FEWEST) + positions;
            let (mut lowest, mut taken) = (None, 0);
            for span in &spans {
                let (first, last): (i64, i64) = (span.get(0)?, span.get(1)?);
                lowest = Some(first);
                taken += 1;
                positions += last - first + 1;
                if positions > enough.min(POSITIONS) {
                    break;
                }
            }
            let Some(lowest) = lowest else { return Ok(found) };
            let rows = self.rows(before, lowest, room)?;
            let is_full = rows.len() > room;
            for (at, row) in rows.iter().take(room).enumerate() {
                if unpacked.bytes() > UNPACKED || bytes > TEXT {
                    found.next = Some(before);
                    return Ok(found);
                }
                before = EventCursor { span: row.get(0)?, seq: row.get(1)? };
                let block: i64 = row.get(5)?;
                if damaged.contains(&block) {
                    continue;
                }
                if !unpacked.has((self.team, block)) {
                    let blocks = rows.iter().skip(at).filter_map(|row| row.get(5).ok());
                    unpacked.read_ahead(self.team, blocks.filter(|block| !damaged.contains(block)))?;
                }
                match self.event(row, &mut unpacked) {
                    Ok(event) => {
                        bytes += event.text.len();
                        found.events.push(event);
                    }
                    Err(StoreError::Database(error)) => {
                        if !found.has_unreadable {
                            tracing::error!(mission = self.key, %error, "events of a mission cannot be read");
                        }
                        found.has_unreadable = true;
                        // In a block that unpacks, other events may be whole.
                        if !unpacked.has((self.team, block)) {
                            damaged.insert(block);
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
            if is_full {
                found.next = Some(before);
                return Ok(found);
            }
            // Everything of these spans was read.
            before = EventCursor { span: lowest - 1, seq: i64::MAX };
            if positions > POSITIONS {
                found.next = Some(before);
                return Ok(found);
            }
            if taken == spans.len() && (spans.len() as u64) < SPANS {
                return Ok(found);
            }
        }
    }

    /// Events of the spans from `lowest` to a cursor, one more than `limit`.
    fn rows(&self, before: EventCursor, lowest: i64, limit: usize) -> Result<Vec<SqlRow>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let mut values = vec![
            Value::from(&self.team),
            Value::Int(self.key),
            Value::Int(lowest),
            Value::Int(before.span),
            Value::Int(before.span),
            Value::Int(before.seq),
            Value::Int(limit),
        ];
        let mut filter = String::new();
        if !self.filter.event_types.is_empty() {
            let marks: Vec<String> = self
                .filter
                .event_types
                .iter()
                .map(|event_type| {
                    values.push(Value::from(event_type));
                    format!("?{}", values.len())
                })
                .collect();
            filter.push_str(&format!(" AND event_type IN ({})", marks.join(", ")));
        }
        if let Some(aggregate_id) = &self.filter.aggregate_id {
            values.push(Value::from(aggregate_id));
            filter.push_str(&format!(" AND aggregate_id = ?{}", values.len()));
        }
        self.sql.rows(&format!("{}{filter} {NEWEST_FIRST}", events_of_spans(self.sql)), &values)
    }

    fn event(&self, row: &SqlRow, unpacked: &mut Unpacked<'_>) -> Result<MissionEvent, StoreError> {
        let digest = data_encoding::HEXLOWER.encode(&row.get::<Vec<u8>>(8)?);
        let (text, received_at) =
            unpacked.content((self.team, row.get(5)?), row.get(6)?, row.get(7)?, &digest)?;
        Ok(MissionEvent {
            event_id: row.get(2)?,
            event_type: row.get(3)?,
            aggregate_id: row.get(4)?,
            received_at,
            text,
        })
    }
}
