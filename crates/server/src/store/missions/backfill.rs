//! Spans of the blocks that an earlier release stored: its events are read once, in steps, beside what is ingested.

use super::{MissionHint, Spans, add_spans, assign_missions};
use crate::store::inspect::unpack;
use crate::store::sql::{Sql, SqlRow, Value, values};
use crate::store::{Store, StoreError, TeamKey};
use crate::time::UnixMillis;
use contract::event::{Node, id};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;

/// Blocks of one step: a bound on the time that others wait for its transaction.
const BLOCKS: u64 = 4;
/// Ids in one statement. Shorter lists are filled up, so that few statements are prepared.
const IDS: usize = 256;

pub(in crate::store) const WAITING: &str = "SELECT team, key, project, received_at, packed FROM blocks
     WHERE spans_known = 0 ORDER BY team, key LIMIT ?1";

impl Store {
    /// Finds the missions of a few blocks. False when there were none left.
    pub(crate) async fn find_missions(&self) -> Result<bool, StoreError> {
        self.change(|sql| {
            // Several servers may do this at once.
            sql.lock("missions")?;
            let rows = sql.rows(WAITING, values![BLOCKS])?;
            for row in &rows {
                let (team, key): (TeamKey, i64) = (row.get(0)?, row.get(1)?);
                read_block(sql, row)?;
                sql.execute(
                    "UPDATE blocks SET spans_known = 1 WHERE team = ?1 AND key = ?2",
                    values![team, key],
                )?;
            }
            Ok(!rows.is_empty())
        })
        .await
    }
}

fn read_block(sql: &dyn Sql, row: &SqlRow) -> Result<(), StoreError> {
    let (team, key, project): (TeamKey, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let plain = unpack(&row.get::<Vec<u8>>(4)?).and_then(|plain| String::from_utf8(plain).ok());
    let Some(plain) = plain else {
        tracing::warn!(block = key, "a block is not valid gzip: its events are in no mission");
        return Ok(());
    };
    let events: Vec<EventOfBlock> = raw_events(&plain).into_iter().filter_map(EventOfBlock::of).collect();
    let mut positions = positions(sql, team, key, &events)?;
    // A duplicate is stored elsewhere, but what it names counts here as it did when the batch arrived.
    let named = events.iter().map(|event| (&event.hint, &*event.subject));
    let (missions, of_events) = assign_missions(named);
    let mut spans = Spans::default();
    for (event, mission) in events.iter().zip(of_events) {
        if let Some(seq) = positions.remove(&event.canonical_id) {
            spans.add(mission, seq);
        }
    }
    add_spans(sql, (team, project, key), &missions, &spans, row.get::<UnixMillis>(3)?)?;
    if let Some(name) = events.iter().find_map(|event| event.hint.project_name.as_ref()) {
        let update = "UPDATE projects SET name = ?3 WHERE team = ?1 AND key = ?2 AND name = ''";
        sql.execute(update, values![team, project, name])?;
    }
    Ok(())
}

struct EventOfBlock {
    canonical_id: String,
    subject: String,
    hint: MissionHint,
}

impl EventOfBlock {
    fn of(raw: &RawValue) -> Option<Self> {
        let node = Node::parse(raw.get()).ok()?;
        let event_id = node.text("event_id")?;
        Some(Self {
            canonical_id: id::canonical(event_id).unwrap_or_else(|| event_id.to_owned()),
            subject: node.text("aggregate_id").unwrap_or_default().to_owned(),
            hint: MissionHint::of(&node),
        })
    }
}

/// The events of a block: a batch as it was sent, or one event after another.
fn raw_events(plain: &str) -> Vec<&RawValue> {
    #[derive(Deserialize)]
    struct BackfillBatch<'a> {
        #[serde(borrow)]
        events: Vec<&'a RawValue>,
    }
    match serde_json::from_str::<BackfillBatch<'_>>(plain) {
        Ok(batch) => batch.events,
        Err(_) => serde_json::Deserializer::from_str(plain).into_iter().map_while(Result::ok).collect(),
    }
}

/// The positions of the events that are stored in this block; others of its text were duplicates.
fn positions(
    sql: &dyn Sql,
    team: TeamKey,
    block: i64,
    events: &[EventOfBlock],
) -> Result<HashMap<String, i64>, StoreError> {
    let mut found = HashMap::with_capacity(events.len());
    for chunk in events.chunks(IDS) {
        let size = chunk.len().next_power_of_two();
        let marks: Vec<String> = (3..size + 3).map(|number| format!("?{number}")).collect();
        let mut values = vec![Value::from(&team), Value::Int(block)];
        let filled = chunk.iter().chain(std::iter::repeat(&chunk[0])).take(size);
        values.extend(filled.map(|event| Value::from(&event.canonical_id)));
        let select = format!(
            "SELECT event_id, seq FROM events WHERE team = ?1 AND block = ?2 AND event_id IN ({})",
            marks.join(", ")
        );
        for row in sql.rows(&select, &values)? {
            found.insert(row.get(0)?, row.get(1)?);
        }
    }
    Ok(found)
}
