//! Events and bodies in SQLite.

use super::{SqliteStore, inspect};
use crate::store::{
    ArtifactKey, BodyOutcome, EventOutcome, EventQuery, EventStore, HeldQuery, HeldStates, NewBlock, NewBody,
    NewEvent, StoreError, StoreFuture, TeamKey, Totals,
};
use crate::time::UnixMillis;
use contract::event::Deviation;
use contract::wire::inspect::{HeldBody, HeldEvent, Page};
use contract::wire::receipts::ReceiptState;
use rusqlite::{Connection, OptionalExtension, ToSql, params};

impl EventStore for SqliteStore {
    fn ingest(
        &self,
        team: TeamKey,
        blocks: Vec<NewBlock>,
        now: UnixMillis,
    ) -> StoreFuture<'_, Vec<EventOutcome>> {
        self.change(move |connection| {
            let mut outcomes = Vec::with_capacity(blocks.iter().map(|block| block.events.len()).sum());
            for block in &blocks {
                store_block(connection, team, block, now, &mut outcomes)?;
            }
            Ok(outcomes)
        })
    }

    fn push_body(&self, teams: Vec<TeamKey>, body: NewBody, now: UnixMillis) -> StoreFuture<'_, BodyOutcome> {
        self.change(move |connection| {
            let mut artifact = None;
            for team in teams {
                artifact = find_artifact(connection, team, &body.key)?;
                if artifact.is_some() {
                    break;
                }
            }
            let Some(artifact) = artifact else { return Ok(BodyOutcome::NotIndexed) };
            let inserted = connection
                .prepare_cached(
                    "INSERT INTO bodies (artifact, content_hash, size_bytes, received_at, content)
                     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (artifact, content_hash) DO NOTHING",
                )?
                .execute(params![
                    artifact,
                    body.content_hash,
                    i64::try_from(body.content.len()).unwrap_or(i64::MAX),
                    now,
                    body.content
                ])?;
            Ok(if inserted == 1 { BodyOutcome::Stored } else { BodyOutcome::AlreadyExists })
        })
    }

    fn events(&self, query: EventQuery) -> StoreFuture<'_, Page<HeldEvent>> {
        self.query(move |connection| inspect::events(connection, &query))
    }

    fn bodies(&self, query: EventQuery) -> StoreFuture<'_, Page<HeldBody>> {
        self.query(move |connection| inspect::bodies(connection, &query))
    }

    fn held(&self, query: HeldQuery) -> StoreFuture<'_, HeldStates> {
        self.query(move |connection| held(connection, &query))
    }

    fn totals(&self) -> StoreFuture<'_, Totals> {
        self.query(inspect::totals)
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        // Through the writer: a store that cannot commit is not ready.
        self.change(|connection| Ok(connection.query_row("SELECT 1", [], |_| Ok(()))?))
    }
}

fn store_block(
    connection: &Connection,
    team: TeamKey,
    block: &NewBlock,
    now: UnixMillis,
    outcomes: &mut Vec<EventOutcome>,
) -> Result<(), StoreError> {
    let project = project_key(connection, team, block.project_uuid.as_deref().unwrap_or_default())?;
    connection
        .prepare_cached("INSERT INTO blocks (project, received_at, packed) VALUES (?1, ?2, ?3)")?
        .execute(params![project, now, block.packed])?;
    let key = connection.last_insert_rowid();
    let mut stored = 0;
    for event in &block.events {
        let outcome = store_event(connection, team, project, key, event)?;
        stored += usize::from(outcome == EventOutcome::Stored);
        outcomes.push(outcome);
    }
    if stored == 0 {
        // All events were duplicates: the block is not needed.
        connection.prepare_cached("DELETE FROM blocks WHERE key = ?1")?.execute([key])?;
    }
    Ok(())
}

fn project_key(connection: &Connection, team: TeamKey, project_uuid: &str) -> Result<i64, StoreError> {
    let found = connection
        .prepare_cached("SELECT key FROM projects WHERE team = ?1 AND project_uuid = ?2")?
        .query_row(params![team, project_uuid], |row| row.get(0))
        .optional()?;
    if let Some(key) = found {
        return Ok(key);
    }
    connection
        .execute("INSERT INTO projects (team, project_uuid) VALUES (?1, ?2)", params![team, project_uuid])?;
    Ok(connection.last_insert_rowid())
}

fn store_event(
    connection: &Connection,
    team: TeamKey,
    project: i64,
    block: i64,
    event: &NewEvent,
) -> Result<EventOutcome, StoreError> {
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
            bits(&event.deviations),
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
        let differs = content.map_or(bytes != event.digest, |content| content != event.content_digest);
        return Ok(EventOutcome::Duplicate { differs });
    }
    if let Some(artifact) = &event.artifact {
        connection
            .prepare_cached(
                "INSERT INTO artifacts (team, project_uuid, mission_slug, target_branch, mission_type,
                     manifest_version, path)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            )?
            .execute(artifact_params(&team, artifact))?;
    }
    Ok(EventOutcome::Stored)
}

fn artifact_params<'a>(team: &'a TeamKey, key: &'a ArtifactKey) -> [&'a dyn ToSql; 7] {
    let ArtifactKey { project_uuid, mission_slug, target_branch, mission_type, manifest_version, path } = key;
    [team, project_uuid, mission_slug, target_branch, mission_type, manifest_version, path]
}

fn find_artifact(
    connection: &Connection,
    team: TeamKey,
    key: &ArtifactKey,
) -> Result<Option<i64>, StoreError> {
    let found = connection
        .prepare_cached(
            "SELECT key FROM artifacts WHERE team = ?1 AND project_uuid = ?2 AND mission_slug = ?3
               AND target_branch = ?4 AND mission_type = ?5 AND manifest_version = ?6 AND path = ?7",
        )?
        .query_row(artifact_params(&team, key), |row| row.get(0))
        .optional()?;
    Ok(found)
}

fn held(connection: &Connection, query: &HeldQuery) -> Result<HeldStates, StoreError> {
    let state = |is_held| if is_held { ReceiptState::Held } else { ReceiptState::Missing };
    let mut states = HeldStates::default();
    let mut event = connection.prepare_cached("SELECT 1 FROM events WHERE team = ?1 AND event_id = ?2")?;
    for id in &query.events {
        let is_held = match id {
            Some(id) => event.exists(params![query.team, id])?,
            None => false,
        };
        states.events.push(state(is_held));
    }
    let mut body =
        connection.prepare_cached("SELECT 1 FROM bodies WHERE artifact = ?1 AND content_hash = ?2")?;
    for (key, hash) in &query.bodies {
        let mut is_held = false;
        for team in &query.teams {
            if let Some(artifact) = find_artifact(connection, *team, key)? {
                is_held |= body.exists(params![artifact, hash])?;
            }
        }
        states.bodies.push(state(is_held));
    }
    Ok(states)
}

/// One bit per deviation, by its index in the list.
fn bits(deviations: &[Deviation]) -> i64 {
    let place = |deviation: &Deviation| Deviation::ALL.iter().position(|known| known == deviation);
    deviations.iter().filter_map(place).fold(0, |bits, place| bits | 1 << place)
}

/// The names behind [`bits`].
pub(super) fn names(bits: i64) -> Vec<String> {
    let is_set = |(place, _): &(usize, &Deviation)| bits & (1 << place) != 0;
    Deviation::ALL
        .iter()
        .enumerate()
        .filter(is_set)
        .map(|(_, deviation)| deviation.name().to_owned())
        .collect()
}
