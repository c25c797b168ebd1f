//! Pruning: the oldest events and bodies are deleted, whole blocks at a time.
//!
//! As after forgetting a project, a hash of the key of each row stays. A copy of an event that is sent again is a
//! duplicate; a receipt is answered `forgotten`. A body that is sent again is stored again, because the events that
//! announce its path may still be there. Each step is one change; an interrupted pruning is continued by asking again.
//! A mission whose events and documents were all deleted is deleted too.

use super::forget::{body_row_hash, event_hash, remember, uncount};
use super::missions::{remove_bodies, remove_spans};
use super::sql::{Sql, SqlRow, Value, values};
use super::{Forgotten, Store, StoreError, TeamKey};
use crate::time::UnixMillis;
use contract::event::id::canonical;
use flate2::read::MultiGzDecoder;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::time::Duration;

/// Blocks, events and bodies of one step: a bound on the time that others wait for its transaction.
const BLOCKS: u64 = 8;
const EVENTS: u64 = 1000;
const BODIES: u64 = 1000;
/// Ids in one statement. Shorter lists are filled up, so that few statements are prepared.
const IDS: usize = 256;
/// Bound for damaged blocks; a stored block is smaller.
const LARGEST_BLOCK: u64 = 256 * 1024 * 1024;
/// Intervals that the time of all rows is divided into, when a size is kept.
const INTERVALS: i64 = 1000;

/// Bytes of an event's row with its indexes, beside its part of a block: 185 in SQLite and 332 in PostgreSQL, measured.
const EVENT_BYTES: u64 = 300;
/// The same of a body, beside its content.
const BODY_BYTES: u64 = 300;

/// Rows that a pruning keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Rows that arrived within this time.
    Age(Duration),
    /// The newest rows, as many as fit into this number of bytes.
    Size(u64),
}

/// Events and bodies, and their estimated bytes in the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoredRows {
    /// Events.
    pub events: u64,
    /// Bodies.
    pub bodies: u64,
    /// Packed events, bodies, and the rows of both.
    pub bytes: u64,
}

impl StoredRows {
    fn add(&mut self, more: Self) {
        self.events += more.events;
        self.bodies += more.bodies;
        self.bytes += more.bytes;
    }
}

/// Rows that a pruning would delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrunePlan {
    /// Rows that arrived before this time are deleted.
    pub before: UnixMillis,
    /// Those rows.
    pub deleted: StoredRows,
    /// All other rows.
    pub kept: StoredRows,
    team: Option<TeamKey>,
}

impl Store {
    /// Plans a pruning of a team, or of all teams. Reads every row.
    pub(crate) async fn plan_pruning(
        &self,
        retention: Retention,
        team_id: Option<String>,
        now: UnixMillis,
    ) -> Result<PrunePlan, StoreError> {
        self.query(move |sql| {
            let team = team_id.as_ref().map(|id| super::people::team(sql, id)).transpose()?;
            let before = match retention {
                Retention::Age(age) => now.before(age),
                Retention::Size(bytes) => time_of_size(sql, team, bytes)?,
            };
            let sum = |condition: &str| -> Result<StoredRows, StoreError> {
                let mut sum = StoredRows::default();
                for rows in by_interval(sql, team, UnixMillis(0), i64::MAX, condition)?.into_values() {
                    sum.add(rows);
                }
                Ok(sum)
            };
            let deleted = sum(&format!("received_at < {}", before.0))?;
            let kept = sum(&format!("received_at >= {}", before.0))?;
            Ok(PrunePlan { before, deleted, kept, team })
        })
        .await
    }

    /// Deletes what the plan names. Returns what was deleted.
    pub(crate) async fn prune(&self, plan: PrunePlan) -> Result<StoredRows, StoreError> {
        let teams = match plan.team {
            Some(team) => vec![team],
            None => {
                let rows = self.query(|sql| sql.rows("SELECT key FROM teams ORDER BY key", &[])).await?;
                rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?
            }
        };
        let mut deleted = StoredRows::default();
        for team in teams {
            for step in [prune_blocks, prune_bodies] {
                while let Some(rows) = self.change(move |sql| step(sql, team, plan.before)).await? {
                    deleted.add(rows);
                }
            }
            self.remove_empty_missions(team, plan.before).await?;
        }
        Ok(deleted)
    }
}

/// The end of the oldest interval that has to be deleted, so that the rest fits.
fn time_of_size(sql: &dyn Sql, team: Option<TeamKey>, bytes: u64) -> Result<UnixMillis, StoreError> {
    let (blocks, bodies) = (of_team("blocks", team), of_team("bodies", team));
    let range = format!(
        "SELECT min(at), max(at) FROM (SELECT received_at AS at FROM blocks WHERE {blocks}
         UNION ALL SELECT received_at FROM bodies WHERE {bodies}) AS stored"
    );
    let Some(range) = sql.row(&range, &[])? else { return Ok(UnixMillis(0)) };
    let (Some(first), Some(last)) = (range.get::<Option<i64>>(0)?, range.get::<Option<i64>>(1)?) else {
        return Ok(UnixMillis(0));
    };
    let width = (last - first) / INTERVALS + 1;
    let mut kept = 0;
    for (interval, rows) in by_interval(sql, team, UnixMillis(first), width, "1 = 1")?.into_iter().rev() {
        kept += rows.bytes;
        if kept > bytes {
            return Ok(UnixMillis(first + (interval + 1) * width));
        }
    }
    Ok(UnixMillis(0))
}

/// The rows that match, by the interval of their arrival.
fn by_interval(
    sql: &dyn Sql,
    team: Option<TeamKey>,
    first: UnixMillis,
    width: i64,
    condition: &str,
) -> Result<BTreeMap<i64, StoredRows>, StoreError> {
    let interval = format!("(received_at - {}) / {width}", first.0);
    let packed = format!(
        "SELECT {interval}, 0, CAST(sum(length(packed)) AS BIGINT) FROM blocks
         WHERE {} AND {condition} GROUP BY 1",
        of_team("blocks", team)
    );
    let events = format!(
        "SELECT {interval}, count(*), 0 FROM events
         JOIN blocks ON blocks.team = events.team AND blocks.key = events.block
         WHERE {} AND {condition} GROUP BY 1",
        of_team("events", team)
    );
    let bodies = format!(
        "SELECT {interval}, count(*), CAST(sum(size_bytes) AS BIGINT) FROM bodies
         WHERE {} AND {condition} GROUP BY 1",
        of_team("bodies", team)
    );
    let mut intervals: BTreeMap<i64, StoredRows> = BTreeMap::new();
    for (query, is_bodies) in [(packed, false), (events, false), (bodies, true)] {
        for row in sql.rows(&query, &[])? {
            let (count, bytes): (u64, u64) = (row.get(1)?, row.get(2)?);
            let rows = match is_bodies {
                false => StoredRows { events: count, bodies: 0, bytes: bytes + count * EVENT_BYTES },
                true => StoredRows { events: 0, bodies: count, bytes: bytes + count * BODY_BYTES },
            };
            intervals.entry(row.get(0)?).or_default().add(rows);
        }
    }
    Ok(intervals)
}

fn of_team(table: &str, team: Option<TeamKey>) -> String {
    team.map_or_else(|| "1 = 1".to_owned(), |team| format!("{table}.team = {}", team.0))
}

pub(super) const OLD_BLOCKS: &str = "SELECT key, (SELECT project_uuid FROM projects
                  WHERE projects.team = blocks.team AND projects.key = blocks.project), packed, project
     FROM blocks WHERE team = ?1 AND received_at < ?2 ORDER BY received_at, key LIMIT ?3";

/// Deletes the oldest blocks of a team, with their events. Nothing when none is old.
fn prune_blocks(sql: &dyn Sql, team: TeamKey, before: UnixMillis) -> Result<Option<StoredRows>, StoreError> {
    // Missions of stored blocks may be found meanwhile.
    sql.lock("missions")?;
    let blocks = sql.rows(OLD_BLOCKS, values![team, before, BLOCKS])?;
    let mut pruned = StoredRows::default();
    for row in &blocks {
        let (key, project_uuid, packed): (i64, String, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (forgotten, positions) = prune_events(sql, team, key, &packed)?;
        if let (Some(first), Some(last)) = (positions.iter().min(), positions.iter().max()) {
            remove_spans(sql, (team, row.get(3)?), (*first, *last))?;
        }
        sql.execute("DELETE FROM blocks WHERE team = ?1 AND key = ?2", values![team, key])?;
        uncount(sql, team, &project_uuid, &forgotten)?;
        pruned.events += forgotten.events;
        pruned.bytes += packed.len() as u64 + forgotten.events * EVENT_BYTES;
        if pruned.events >= EVENTS {
            break;
        }
    }
    Ok((!blocks.is_empty()).then_some(pruned))
}

/// Deletes the events of a block, and returns their positions. No index leads to them, so their ids are read from the
/// block.
fn prune_events(
    sql: &dyn Sql,
    team: TeamKey,
    block: i64,
    packed: &[u8],
) -> Result<(Forgotten, Vec<i64>), StoreError> {
    let (mut forgotten, mut positions) = (Forgotten::default(), Vec::new());
    let ids = match ids_in(packed) {
        Some(ids) => ids,
        // A block that cannot be read: every row is looked at.
        None => sql
            .rows("SELECT event_id FROM events WHERE team = ?1 AND block = ?2", values![team, block])?
            .iter()
            .map(|row| row.get(0))
            .collect::<Result<_, _>>()?,
    };
    let ids: Vec<&String> = ids.iter().collect();
    for chunk in ids.chunks(IDS) {
        let size = chunk.len().next_power_of_two();
        let marks: Vec<String> = (3..size + 3).map(|number| format!("?{number}")).collect();
        let condition = format!("team = ?1 AND block = ?2 AND event_id IN ({})", marks.join(", "));
        let mut values = vec![Value::from(&team), Value::from(&block)];
        values.extend(chunk.iter().chain(std::iter::repeat(&chunk[0])).take(size).map(Value::from));
        let found =
            sql.rows(&format!("SELECT event_id, event_type, seq FROM events WHERE {condition}"), &values)?;
        if found.is_empty() {
            continue;
        }
        remember(sql, team, found.iter().map(|row| Ok(event_hash(&row.get::<String>(0)?))))?;
        let is_build = |row: &&SqlRow| {
            row.get::<String>(1).is_ok_and(|kind| kind == contract::event::kind::BUILD_REGISTERED)
        };
        forgotten.builds += found.iter().filter(is_build).count() as u64;
        for row in &found {
            positions.push(row.get(2)?);
        }
        forgotten.events += sql.execute(&format!("DELETE FROM events WHERE {condition}"), &values)?;
    }
    Ok((forgotten, positions))
}

/// The canonical ids that a block may contain: those of its events, and any that they mention. None for a block
/// that cannot be read.
fn ids_in(packed: &[u8]) -> Option<BTreeSet<String>> {
    let mut plain = Vec::new();
    MultiGzDecoder::new(packed).take(LARGEST_BLOCK).read_to_end(&mut plain).ok()?;
    let mut ids = BTreeSet::new();
    // A batch as it was sent is one object; packed again, it is an event on each line.
    for value in serde_json::Deserializer::from_slice(&plain).into_iter::<Json>() {
        collect_ids(&value.ok()?, &mut ids);
    }
    Some(ids)
}

fn collect_ids(value: &Json, ids: &mut BTreeSet<String>) {
    match value {
        Json::Object(members) => {
            ids.extend(members.get("event_id").and_then(Json::as_str).and_then(canonical));
            members.values().for_each(|value| collect_ids(value, ids));
        }
        Json::Array(values) => values.iter().for_each(|value| collect_ids(value, ids)),
        _ => {}
    }
}

pub(super) const OLD_BODIES: &str =
    "SELECT bodies.seq, artifacts.project_uuid, mission_slug, target_branch, mission_type, manifest_version,
        path, content_hash, size_bytes, received_at
     FROM bodies JOIN artifacts ON artifacts.team = bodies.team AND artifacts.key = bodies.artifact
     WHERE bodies.team = ?1 AND received_at < ?2 ORDER BY received_at, bodies.seq LIMIT ?3";

/// Deletes the oldest bodies of a team. Nothing when none is old.
fn prune_bodies(sql: &dyn Sql, team: TeamKey, before: UnixMillis) -> Result<Option<StoredRows>, StoreError> {
    // Another pruning, or the forgetting of a project, would count the same bodies.
    sql.lock("missions")?;
    let bodies = sql.rows(OLD_BODIES, values![team, before, BODIES])?;
    let Some(last) = bodies.last() else { return Ok(None) };
    remember(sql, team, bodies.iter().map(body_row_hash))?;
    let mut pruned = StoredRows::default();
    let mut projects: BTreeMap<String, Forgotten> = BTreeMap::new();
    for row in &bodies {
        projects.entry(row.get(1)?).or_default().bodies += 1;
        pruned.bodies += 1;
        pruned.bytes += row.get::<u64>(8)? + BODY_BYTES;
    }
    let condition = "bodies.team = ?1 AND (bodies.received_at, bodies.seq) <= (?2, ?3)";
    remove_bodies(sql, condition, values![team, last.get::<i64>(9)?, last.get::<i64>(0)?])?;
    for (project_uuid, forgotten) in &projects {
        uncount(sql, team, project_uuid, forgotten)?;
    }
    Ok(Some(pruned))
}
