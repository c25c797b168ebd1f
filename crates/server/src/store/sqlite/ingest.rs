//! Ingest of events in SQLite: one prepared statement for each row, without a copy of its values.

use super::Sqlite;
use crate::store::events::{count, deviation_bits};
use crate::store::forget::forgotten_events;
use crate::store::missions::{Spans, add_spans};
use crate::store::{ArtifactKey, EventOutcome, NewBlock, NewEvent, StoreError, TeamKey};
use crate::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension, ToSql, params};
use std::collections::HashSet;

impl Sqlite {
    pub(in crate::store) async fn ingest(
        &self,
        team: TeamKey,
        blocks: Vec<NewBlock>,
        now: UnixMillis,
    ) -> Result<Vec<EventOutcome>, StoreError> {
        let change = move |connection: &Connection| {
            let mut outcomes = Vec::with_capacity(blocks.iter().map(|block| block.events.len()).sum());
            let ids = blocks.iter().flat_map(|block| &block.events).map(|event| &event.canonical_id);
            let forgotten = forgotten_events(connection, team, ids)?;
            for block in &blocks {
                store_block(connection, team, block, &forgotten, now, &mut outcomes)?;
            }
            Ok(outcomes)
        };
        self.change(change).await
    }
}

fn store_block(
    connection: &Connection,
    team: TeamKey,
    block: &NewBlock,
    forgotten: &HashSet<&String>,
    now: UnixMillis,
    outcomes: &mut Vec<EventOutcome>,
) -> Result<(), StoreError> {
    let project_uuid = block.project_uuid.as_deref().unwrap_or_default();
    let project = project_key(connection, team, project_uuid, block.project_name.as_deref())?;
    connection
        .prepare_cached(
            "INSERT INTO blocks (team, project, received_at, packed, spans_known) VALUES (?1, ?2, ?3, ?4, 1)",
        )?
        .execute(params![team, project, now, block.packed])?;
    let key = connection.last_insert_rowid();
    let (mut stored, mut spans) = (0, Spans::default());
    for event in &block.events {
        if forgotten.contains(&event.canonical_id) {
            outcomes.push(EventOutcome::Duplicate { differs: false });
            continue;
        }
        outcomes.push(match store_event(connection, team, project, key, event)? {
            Inserted::At(seq) => {
                stored += 1;
                spans.add(event.mission, seq);
                EventOutcome::Stored
            }
            Inserted::Before(outcome) => outcome,
        });
    }
    if stored == 0 {
        // All events were duplicates: the block is not needed.
        connection.prepare_cached("DELETE FROM blocks WHERE key = ?1")?.execute([key])?;
    }
    add_spans(connection, (team, project, key), &block.missions, &spans, now)?;
    count(connection, team, project_uuid, 0, stored, 0)
}

fn project_key(
    connection: &Connection,
    team: TeamKey,
    project_uuid: &str,
    name: Option<&str>,
) -> Result<i64, StoreError> {
    let found: Option<(i64, String)> = connection
        .prepare_cached("SELECT key, name FROM projects WHERE team = ?1 AND project_uuid = ?2")?
        .query_row(params![team, project_uuid], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((key, known)) = found else {
        let insert = "INSERT INTO projects (team, project_uuid, name) VALUES (?1, ?2, ?3)";
        connection.execute(insert, params![team, project_uuid, name.unwrap_or_default()])?;
        return Ok(connection.last_insert_rowid());
    };
    if let Some(name) = name.filter(|name| *name != known) {
        connection.execute("UPDATE projects SET name = ?2 WHERE key = ?1", params![key, name])?;
    }
    Ok(key)
}

enum Inserted {
    /// Its position.
    At(i64),
    /// A copy was stored before.
    Before(EventOutcome),
}

fn store_event(
    connection: &Connection,
    team: TeamKey,
    project: i64,
    block: i64,
    event: &NewEvent,
) -> Result<Inserted, StoreError> {
    let sent_id = (event.event_id != event.canonical_id).then_some(&event.event_id);
    let inserted = connection
        .prepare_cached(
            "INSERT INTO events (team, event_id, sent_id, event_type, aggregate_id, project, deviations, digest,
                 block, offset, length, content_digest)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (team, event_id) DO NOTHING",
        )?
        .execute(params![
            team,
            event.canonical_id,
            sent_id,
            event.event_type,
            event.aggregate_id,
            project,
            deviation_bits(&event.deviations),
            event.digest,
            block,
            i64::try_from(event.offset).unwrap_or(i64::MAX),
            i64::try_from(event.length).unwrap_or(i64::MAX),
            event.content_digest,
        ])?;
    if inserted == 0 {
        let (bytes, content): (Vec<u8>, Option<Vec<u8>>) = connection
            .prepare_cached("SELECT digest, content_digest FROM events WHERE team = ?1 AND event_id = ?2")?
            .query_row(params![team, event.canonical_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        return Ok(Inserted::Before(event.duplicate_of(&bytes, content.as_deref())));
    }
    let seq = connection.last_insert_rowid();
    if let Some(artifact) = &event.artifact {
        let ArtifactKey { project_uuid, mission_slug, target_branch, mission_type, manifest_version, path } =
            artifact;
        let values: [&dyn ToSql; 7] =
            [&team, project_uuid, mission_slug, target_branch, mission_type, manifest_version, path];
        connection
            .prepare_cached(
                "INSERT INTO artifacts (team, project_uuid, mission_slug, target_branch, mission_type,
                     manifest_version, path)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            )?
            .execute(values)?;
    }
    Ok(Inserted::At(seq))
}
