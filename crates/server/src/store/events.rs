//! Events and bodies: ingest, receipts and totals.

use super::sql::{Sql, Value, values};
use super::{
    ArtifactKey, BodyOutcome, Database, EventOutcome, HeldQuery, HeldStates, NewBlock, NewBody, Store,
    StoreError, TeamKey, Totals, forget,
};
use crate::time::UnixMillis;
use contract::event::Deviation;
use contract::wire::receipts::ReceiptState;
use std::collections::HashSet;

impl Store {
    /// Stores new events. Returns one outcome per event, in the order of the blocks.
    pub(crate) async fn ingest(
        &self,
        team: TeamKey,
        blocks: Vec<NewBlock>,
        now: UnixMillis,
    ) -> Result<Vec<EventOutcome>, StoreError> {
        match &self.database {
            Database::Sqlite(sqlite) => sqlite.ingest(team, blocks, now).await,
            Database::Postgres(postgres) => postgres.ingest(team, blocks, now).await,
        }
    }

    /// Stores a body for the first of `teams` that has the index event of its path.
    pub(crate) async fn push_body(
        &self,
        teams: Vec<TeamKey>,
        body: NewBody,
        now: UnixMillis,
    ) -> Result<BodyOutcome, StoreError> {
        self.change(move |sql| {
            for team in &teams {
                let artifact = sql.row(
                    "SELECT key FROM artifacts WHERE team = ?1 AND project_uuid = ?2 AND mission_slug = ?3
                       AND target_branch = ?4 AND mission_type = ?5 AND manifest_version = ?6 AND path = ?7",
                    &artifact_values(team, &body.key),
                )?;
                if let Some(row) = artifact {
                    return store_body(sql, *team, row.get(0)?, &body, now);
                }
            }
            for team in &teams {
                if forget::is_forgotten_body(sql, *team, &body.key, &body.content_hash)? {
                    return Ok(BodyOutcome::AlreadyExists);
                }
            }
            Ok(BodyOutcome::NotIndexed)
        })
        .await
    }

    /// Whether the store still has each of the rows.
    pub(crate) async fn held(&self, query: HeldQuery) -> Result<HeldStates, StoreError> {
        self.query(move |sql| held(sql, &query)).await
    }

    /// Row counts of the whole store.
    pub(crate) async fn totals(&self) -> Result<Totals, StoreError> {
        self.query(|sql| {
            let sum = |column: &str| {
                sql.count(&format!("SELECT CAST(coalesce(sum({column}), 0) AS BIGINT) FROM counts"), &[])
            };
            Ok(Totals {
                accounts: sql.count("SELECT count(*) FROM accounts WHERE disabled_at IS NULL", &[])?,
                teams: sql.count("SELECT count(*) FROM teams", &[])?,
                sessions: sql.count("SELECT count(*) FROM sessions WHERE ended_at IS NULL", &[])?,
                projects: sql.count("SELECT count(*) FROM projects", &[])?,
                events: sum("events")?,
                bodies: sum("bodies")?,
            })
        })
        .await
    }

    /// Checks that the store commits.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        // As a change: a store that cannot commit is not ready.
        self.change(|sql| sql.rows("SELECT 1", &[]).map(|_| ())).await
    }
}

fn store_body(
    sql: &dyn Sql,
    team: TeamKey,
    artifact: i64,
    body: &NewBody,
    now: UnixMillis,
) -> Result<BodyOutcome, StoreError> {
    let size = i64::try_from(body.content.len()).unwrap_or(i64::MAX);
    let inserted = sql.execute(
        "INSERT INTO bodies (team, project_uuid, artifact, content_hash, size_bytes, received_at, content)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
        values![team, body.key.project_uuid, artifact, body.content_hash, size, now, body.content],
    )?;
    // Also for a body that is stored: a document may have an earlier content again.
    sql.execute(
        "UPDATE artifacts SET latest = (SELECT seq FROM bodies
            WHERE bodies.team = ?1 AND bodies.artifact = ?2 AND content_hash = ?3)
         WHERE team = ?1 AND key = ?2",
        values![team, artifact, body.content_hash],
    )?;
    count(sql, team, &body.key.project_uuid, 0, 0, inserted)?;
    Ok(if inserted == 1 { BodyOutcome::Stored } else { BodyOutcome::AlreadyExists })
}

/// Adds to the kept counts of a project. Also called to add nothing: the write makes the commit wait until
/// what a duplicate repeats is durable too. A project has several slots, because parallel transactions
/// that change one row wait for each other.
pub(super) fn count(
    sql: &dyn Sql,
    team: TeamKey,
    project_uuid: &str,
    slot: i64,
    events: u64,
    bodies: u64,
) -> Result<(), StoreError> {
    sql.execute(
        "INSERT INTO counts (team, project_uuid, slot, events, bodies) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (team, project_uuid, slot)
         DO UPDATE SET events = counts.events + excluded.events, bodies = counts.bodies + excluded.bodies",
        values![team, project_uuid, slot, events, bodies],
    )?;
    Ok(())
}

pub(super) fn artifact_values<'v>(team: &TeamKey, key: &'v ArtifactKey) -> [Value<'v>; 7] {
    let ArtifactKey { project_uuid, mission_slug, target_branch, mission_type, manifest_version, path } = key;
    let [a, b, c, d, e, f] =
        [project_uuid, mission_slug, target_branch, mission_type, manifest_version, path].map(Value::from);
    [Value::from(team), a, b, c, d, e, f]
}

/// Ids in one statement. Shorter lists are filled up, so that few statements are prepared.
const IDS: usize = 256;

fn held(sql: &dyn Sql, query: &HeldQuery) -> Result<HeldStates, StoreError> {
    let ids: Vec<&String> = query.events.iter().flatten().collect();
    let mut found: HashSet<String> = HashSet::new();
    for chunk in ids.chunks(IDS) {
        let size = chunk.len().next_power_of_two();
        let marks: Vec<String> = (2..size + 2).map(|number| format!("?{number}")).collect();
        let mut values = vec![Value::from(&query.team)];
        values.extend(chunk.iter().chain(std::iter::repeat(&chunk[0])).take(size).map(Value::from));
        let select =
            format!("SELECT event_id FROM events WHERE team = ?1 AND event_id IN ({})", marks.join(", "));
        for row in sql.rows(&select, &values)? {
            found.insert(row.get(0)?);
        }
    }
    let missing = query.events.iter().flatten().filter(|id| !found.contains(*id));
    let forgotten = forget::forgotten_events(sql, query.team, missing)?;
    let state = |id: &Option<String>| match id {
        Some(id) if found.contains(id) => ReceiptState::Held,
        Some(id) if forgotten.contains(id) => ReceiptState::Forgotten,
        _ => ReceiptState::Missing,
    };
    let mut states = HeldStates {
        events: query.events.iter().map(state).collect(),
        bodies: Vec::with_capacity(query.bodies.len()),
    };
    for (key, hash) in &query.bodies {
        let (mut is_held, mut is_forgotten) = (false, false);
        for team in &query.teams {
            let mut values = artifact_values(team, key).to_vec();
            values.push(Value::from(hash));
            is_held = is_held
                || sql.exists(
                    "SELECT 1 FROM artifacts JOIN bodies ON bodies.team = artifacts.team
                       AND bodies.artifact = artifacts.key
                     WHERE artifacts.team = ?1 AND artifacts.project_uuid = ?2 AND mission_slug = ?3
                       AND target_branch = ?4 AND mission_type = ?5 AND manifest_version = ?6 AND path = ?7
                       AND content_hash = ?8",
                    &values,
                )?;
            is_forgotten = is_forgotten || forget::is_forgotten_body(sql, *team, key, hash)?;
        }
        states.bodies.push(match (is_held, is_forgotten) {
            (true, _) => ReceiptState::Held,
            (false, true) => ReceiptState::Forgotten,
            (false, false) => ReceiptState::Missing,
        });
    }
    Ok(states)
}

/// One bit per deviation, by its index in the list.
pub(super) fn deviation_bits(deviations: &[Deviation]) -> i64 {
    let place = |deviation: &Deviation| Deviation::ALL.iter().position(|known| known == deviation);
    deviations.iter().filter_map(place).fold(0, |bits, place| bits | 1 << place)
}

/// The names behind [`deviation_bits`].
pub(super) fn deviation_names(bits: i64) -> Vec<String> {
    let is_set = |(place, _): &(usize, &Deviation)| bits & (1 << place) != 0;
    Deviation::ALL
        .iter()
        .enumerate()
        .filter(is_set)
        .map(|(_, deviation)| deviation.name().to_owned())
        .collect()
}
