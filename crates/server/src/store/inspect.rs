//! Inspection: stored events and bodies, page by page.
//!
//! A page is read by its key: the rows of a team, or of a project of it, after a position, in the order of an
//! index. Totals are kept counts. The cost of a page does not depend on the number of rows.

use super::events::deviation_names;
use super::sql::{Sql, SqlRow, Value, values};
use super::{EventQuery, Store, StoreError, TeamKey};
use crate::time::UnixMillis;
use contract::wire::inspect::{InspectedBody, InspectedEvent, Page};
use data_encoding::HEXLOWER;
use flate2::read::MultiGzDecoder;
use std::collections::HashMap;
use std::io::Read;

impl Store {
    /// Events of the given teams, oldest first.
    pub(crate) async fn events(&self, query: EventQuery) -> Result<Page<InspectedEvent>, StoreError> {
        self.query(move |sql| events(sql, &query)).await
    }

    /// Bodies of the given teams, oldest first.
    pub(crate) async fn bodies(&self, query: EventQuery) -> Result<Page<InspectedBody>, StoreError> {
        self.query(move |sql| bodies(sql, &query)).await
    }
}

/// A page of a team's events, before the filter and the order.
pub(super) const EVENTS: &str = "SELECT seq, coalesce(sent_id, event_id), event_type, aggregate_id,
        (SELECT team_id FROM teams WHERE teams.key = events.team), nullif(project_uuid, ''), received_at,
        digest, deviations, block, \"offset\", length, events.team
     FROM events JOIN projects ON projects.team = events.team AND projects.key = events.project
     JOIN blocks ON blocks.team = events.team AND blocks.key = events.block
     WHERE events.team = ?1 AND seq > ?2";

fn events(sql: &dyn Sql, query: &EventQuery) -> Result<Page<InspectedEvent>, StoreError> {
    let mut total = 0;
    let mut rows = Vec::new();
    for (team, project) in query.sources() {
        let mut values = vec![Value::from(&team), Value::from(&query.after), Value::Int(row_limit(query))];
        let mut filter = "";
        if let Some(project_uuid) = project {
            let key = "SELECT key FROM projects WHERE team = ?1 AND project_uuid = ?2";
            let Some(row) = sql.row(key, values![team, project_uuid])? else { continue };
            values.push(Value::Int(row.get(0)?));
            filter = "AND events.project = ?4";
        }
        if let Some(event_id) = &query.event_id {
            let canonical = contract::event::id::canonical(event_id).unwrap_or_else(|| event_id.clone());
            let one = format!("{EVENTS} {filter} AND event_id = ?{} LIMIT ?3", values.len() + 1);
            values.push(Value::Text(canonical.into()));
            let found = sql.rows(&one, &values)?;
            total += found.len() as u64;
            rows.extend(found);
            continue;
        }
        total += kept_count(sql, team, project, "events")?;
        rows.extend(sql.rows(&format!("{EVENTS} {filter} ORDER BY seq LIMIT ?3"), &values)?);
    }
    let mut unpacked = Unpacked::new(sql);
    page(rows, total, query, |row| {
        let mut event = InspectedEvent {
            seq: row.get(0)?,
            event_id: row.get(1)?,
            event_type: row.get(2)?,
            aggregate_id: row.get(3)?,
            team: row.get(4)?,
            project_uuid: row.get(5)?,
            received_at: row.get::<UnixMillis>(6)?.iso(),
            digest: HEXLOWER.encode(&row.get::<Vec<u8>>(7)?),
            legacy_shape: deviation_names(row.get(8)?),
            content: None,
        };
        if query.with_content {
            let block = (row.get(12)?, row.get(9)?);
            event.content = Some(unpacked.content(block, row.get(10)?, row.get(11)?, &event.digest)?.0);
        }
        Ok(event)
    })
}

/// Bound for damaged blocks; a stored block is smaller.
const LARGEST_BLOCK: u64 = 256 * 1024 * 1024;

/// Blocks that are read in one query: each has a megabyte at most.
const BLOCKS: usize = 16;

/// A block with its bytes.
struct UnpackedBlock {
    key: (TeamKey, i64),
    received_at: UnixMillis,
    plain: Vec<u8>,
}

/// Cache of the last unpacked block: neighbouring events usually share one.
pub(super) struct Unpacked<'c> {
    sql: &'c dyn Sql,
    current: Option<UnpackedBlock>,
    /// Blocks that were read and not yet unpacked, with the time they arrived.
    ahead: HashMap<(TeamKey, i64), (UnixMillis, Vec<u8>)>,
    bytes: usize,
}

impl<'c> Unpacked<'c> {
    pub(super) fn new(sql: &'c dyn Sql) -> Self {
        Self { sql, current: None, ahead: HashMap::new(), bytes: 0 }
    }

    /// Whether the next content of this block needs no query.
    pub(super) fn has(&self, block: (TeamKey, i64)) -> bool {
        self.ahead.contains_key(&block) || self.current.as_ref().is_some_and(|current| current.key == block)
    }

    /// Reads the first few of these blocks in one query. Short lists are filled up, so that one statement is
    /// prepared.
    pub(super) fn read_ahead(
        &mut self,
        team: TeamKey,
        blocks: impl Iterator<Item = i64>,
    ) -> Result<(), StoreError> {
        let mut keys: Vec<i64> = Vec::with_capacity(BLOCKS);
        for key in blocks {
            if !keys.contains(&key) && !self.has((team, key)) {
                keys.push(key);
            }
            if keys.len() == BLOCKS {
                break;
            }
        }
        let Some(last) = keys.last().copied() else { return Ok(()) };
        keys.resize(BLOCKS, last);
        let marks: Vec<String> = (2..BLOCKS + 2).map(|number| format!("?{number}")).collect();
        let query = format!(
            "SELECT key, received_at, packed FROM blocks WHERE team = ?1 AND key IN ({})",
            marks.join(", ")
        );
        let mut values = vec![Value::from(&team)];
        values.extend(keys.into_iter().map(Value::Int));
        self.ahead.clear();
        for row in self.sql.rows(&query, &values)? {
            self.ahead.insert((team, row.get(0)?), (row.get(1)?, row.get(2)?));
        }
        Ok(())
    }

    /// Bytes of all blocks that were unpacked.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bytes of an event, checked against its digest, and the time they arrived.
    pub(super) fn content(
        &mut self,
        block: (TeamKey, i64),
        offset: u64,
        length: u64,
        digest: &str,
    ) -> Result<(String, UnixMillis), StoreError> {
        let damaged = |what: &str| StoreError::Database(format!("block {} {what}", block.1));
        let current = match self.current.take().filter(|current| current.key == block) {
            Some(current) => current,
            None => {
                if !self.has(block) {
                    self.read_ahead(block.0, std::iter::once(block.1))?;
                }
                let (received_at, packed) = self.ahead.remove(&block).ok_or_else(|| damaged("is missing"))?;
                let plain = unpack(&packed).ok_or_else(|| damaged("is not valid gzip"))?;
                self.bytes += plain.len();
                UnpackedBlock { key: block, received_at, plain }
            }
        };
        let current = self.current.insert(current);
        let bytes =
            span(&current.plain, offset, length).ok_or_else(|| damaged("is shorter than its events"))?;
        if contract::wire::body::hash(bytes) != digest {
            return Err(damaged("has an event that does not match its digest"));
        }
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| damaged("is not UTF-8"))?;
        Ok((text, current.received_at))
    }
}

/// The text of a block.
pub(super) fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    MultiGzDecoder::new(packed).take(LARGEST_BLOCK).read_to_end(&mut plain).ok()?;
    Some(plain)
}

/// The bytes of an event in its block.
pub(super) fn span(plain: &[u8], offset: u64, length: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    plain.get(start..start.checked_add(usize::try_from(length).ok()?)?)
}

fn bodies(sql: &dyn Sql, query: &EventQuery) -> Result<Page<InspectedBody>, StoreError> {
    let content = if query.with_content { "content" } else { "NULL" };
    let select = format!(
        "SELECT seq, (SELECT team_id FROM teams WHERE teams.key = bodies.team), bodies.project_uuid, mission_slug,
            target_branch, path, content_hash, size_bytes, received_at, {content}
         FROM bodies JOIN artifacts ON artifacts.team = bodies.team AND artifacts.key = bodies.artifact
         WHERE bodies.team = ?1 AND seq > ?2"
    );
    let mut total = 0;
    let mut rows = Vec::new();
    for (team, project) in query.sources() {
        let mut values = vec![Value::from(&team), Value::from(&query.after), Value::Int(row_limit(query))];
        let mut filter = "";
        if let Some(project_uuid) = project {
            values.push(Value::from(project_uuid));
            filter = "AND bodies.project_uuid = ?4";
        }
        total += kept_count(sql, team, project, "bodies")?;
        rows.extend(sql.rows(&format!("{select} {filter} ORDER BY seq LIMIT ?3"), &values)?);
    }
    page(rows, total, query, |row| {
        Ok(InspectedBody {
            seq: row.get(0)?,
            team: row.get(1)?,
            project_uuid: row.get(2)?,
            mission_slug: row.get(3)?,
            target_branch: row.get(4)?,
            artifact_path: row.get(5)?,
            content_hash: row.get(6)?,
            size_bytes: row.get(7)?,
            received_at: row.get::<UnixMillis>(8)?.iso(),
            content: row.get(9)?,
        })
    })
}

/// Events or bodies of a team, or of a project of it.
fn kept_count(
    sql: &dyn Sql,
    team: TeamKey,
    project: Option<&String>,
    column: &str,
) -> Result<u64, StoreError> {
    let select = format!("SELECT CAST(coalesce(sum({column}), 0) AS BIGINT) FROM counts WHERE team = ?1");
    match project {
        None => sql.count(&select, values![team]),
        Some(project) => sql.count(&format!("{select} AND project_uuid = ?2"), values![team, project]),
    }
}

/// Rows read of each team: one row beyond the page shows that there are more.
fn row_limit(query: &EventQuery) -> i64 {
    i64::try_from(query.limit).unwrap_or(i64::MAX).clamp(1, 10_000) + 1
}

/// Merges the rows of all teams to one page. The first column of a row is its position.
fn page<T>(
    mut rows: Vec<SqlRow>,
    total: u64,
    query: &EventQuery,
    read: impl FnMut(&SqlRow) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let limit = usize::try_from(row_limit(query) - 1).unwrap_or(1);
    rows.sort_by_key(|row| row.get::<u64>(0).unwrap_or(0));
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = match rows.last() {
        Some(row) if has_more => Some(row.get(0)?),
        _ => None,
    };
    Ok(Page { total, rows: rows.iter().map(read).collect::<Result<_, _>>()?, next })
}
