//! Forgetting a project: its events, bodies and shares.
//!
//! A hash of the key of each row stays, so that a copy that is sent again is a duplicate and a
//! receipt is answered `forgotten`, never `missing`. A project can have millions of rows, so it is forgotten
//! in steps, each of them one change; a forgetting that was interrupted is finished by asking again.

use super::events::artifact_values;
use super::missions::{remove_bodies, remove_spans};
use super::sql::{Sql, SqlRow, Value, values};
use super::{ArtifactKey, Forgotten, ProjectRecord, Store, StoreError, TeamKey};
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// Rows of one step: a bound on the time that others wait for its transaction.
const ROWS: u64 = 1000;
/// Blocks of one step; a block can have a mebibyte.
const BLOCKS: u64 = 64;

/// The result of one step.
struct ForgetStep {
    forgotten: Forgotten,
    is_done: bool,
}

impl Store {
    /// Forgets a project of a team. Zeros when the team has no such project.
    pub(crate) async fn forget_project(
        &self,
        team: TeamKey,
        project_uuid: &str,
    ) -> Result<Forgotten, StoreError> {
        let mut all = Forgotten::default();
        loop {
            let project_uuid = project_uuid.to_owned();
            let ForgetStep { forgotten, is_done } =
                self.change(move |sql| step(sql, team, &project_uuid)).await?;
            all.events += forgotten.events;
            all.builds += forgotten.builds;
            all.bodies += forgotten.bodies;
            if is_done {
                return Ok(all);
            }
        }
    }

    /// The projects of a team, or of all teams.
    pub(crate) async fn projects(&self, team_id: Option<String>) -> Result<Vec<ProjectRecord>, StoreError> {
        self.query(move |sql| {
            let team = team_id.as_ref().map(|id| super::people::team(sql, id)).transpose()?;
            let rows = sql.rows(
                "SELECT projects.team, team_id, project_uuid,
                    (SELECT CAST(coalesce(sum(events), 0) AS BIGINT) FROM counts
                     WHERE counts.team = projects.team AND counts.project_uuid = projects.project_uuid),
                    (SELECT CAST(coalesce(sum(bodies), 0) AS BIGINT) FROM counts
                     WHERE counts.team = projects.team AND counts.project_uuid = projects.project_uuid),
                    (SELECT max(received_at) FROM blocks
                     WHERE blocks.team = projects.team AND blocks.project = projects.key)
                 FROM projects JOIN teams ON teams.key = projects.team ORDER BY team_id, project_uuid",
                &[],
            )?;
            let mut records = Vec::new();
            for row in rows {
                let key: TeamKey = row.get(0)?;
                if team.is_some_and(|team| team != key) {
                    continue;
                }
                let shared = sql.rows(
                    "SELECT DISTINCT team_id FROM shares JOIN teams ON teams.key = with_team
                     WHERE team = ?1 AND project_uuid = ?2 ORDER BY team_id",
                    values![key, row.get::<String>(2)?],
                )?;
                records.push(ProjectRecord {
                    key,
                    team_id: row.get(1)?,
                    project_uuid: row.get(2)?,
                    events: row.get(3)?,
                    bodies: row.get(4)?,
                    last_received_at: row.get(5)?,
                    shared_with: shared.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?,
                });
            }
            Ok(records)
        })
        .await
    }
}

fn step<'s>(sql: &'s dyn Sql, team: TeamKey, project_uuid: &'s str) -> Result<ForgetStep, StoreError> {
    // A pruning would count the same rows.
    sql.lock("missions")?;
    let query = "SELECT key FROM projects WHERE team = ?1 AND project_uuid = ?2";
    let Some(row) = sql.row(query, values![team, project_uuid])? else {
        // A project whose events were all rejected is no project, but they name it.
        let delete = "DELETE FROM rejections WHERE team = ?1 AND project_uuid = ?2";
        sql.execute(delete, values![team, project_uuid])?;
        return Ok(ForgetStep { forgotten: Forgotten::default(), is_done: true });
    };
    let project = ProjectRows { sql, team, project_uuid, key: row.get(0)? };
    let removals: [Removal<'s>; 4] = [
        ProjectRows::forget_events,
        ProjectRows::delete_blocks,
        ProjectRows::forget_bodies,
        ProjectRows::delete_mission,
    ];
    for remove in removals {
        if let Some(forgotten) = remove(&project)? {
            return Ok(ForgetStep { forgotten, is_done: false });
        }
    }
    for table in ["artifacts", "shares", "counts", "rejections", "projects"] {
        let delete = format!("DELETE FROM {table} WHERE team = ?1 AND project_uuid = ?2");
        sql.execute(&delete, values![team, project_uuid])?;
    }
    Ok(ForgetStep { forgotten: Forgotten::default(), is_done: true })
}

/// One step: removes rows of one kind.
type Removal<'s> = fn(&ProjectRows<'s>) -> Result<Option<Forgotten>, StoreError>;

/// The rows of a project that is forgotten. Each removal is one step; none when nothing of its kind is left.
struct ProjectRows<'s> {
    sql: &'s dyn Sql,
    team: TeamKey,
    project_uuid: &'s str,
    key: i64,
}

impl ProjectRows<'_> {
    fn forget_events(&self) -> Result<Option<Forgotten>, StoreError> {
        let Self { sql, team, project_uuid, key } = *self;
        let events = sql.rows(
            "SELECT seq, event_id, event_type FROM events WHERE team = ?1 AND project = ?2 ORDER BY seq LIMIT ?3",
            values![team, key, ROWS],
        )?;
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(None) };
        let hash = |row: &SqlRow| Ok(event_hash(&row.get::<String>(1)?));
        remember(sql, team, events.iter().map(hash))?;
        let is_build = |row: &&SqlRow| {
            row.get::<String>(2).is_ok_and(|kind| kind == contract::event::kind::BUILD_REGISTERED)
        };
        let builds = events.iter().filter(is_build).count() as u64;
        let deleted = sql.execute(
            "DELETE FROM events WHERE team = ?1 AND project = ?2 AND seq <= ?3",
            values![team, key, last.get::<i64>(0)?],
        )?;
        let forgotten = Forgotten { events: deleted, builds, ..Forgotten::default() };
        remove_spans(sql, (team, key), (first.get(0)?, last.get(0)?))?;
        uncount(sql, team, project_uuid, &forgotten)?;
        Ok(Some(forgotten))
    }

    /// A block whose events are being stored by another transaction has events when that one is seen.
    fn delete_blocks(&self) -> Result<Option<Forgotten>, StoreError> {
        let blocks = self.sql.execute(
            "DELETE FROM blocks WHERE team = ?1 AND key IN
                (SELECT key FROM blocks WHERE team = ?1 AND project = ?2 ORDER BY key LIMIT ?3)
               AND NOT EXISTS (SELECT 1 FROM events WHERE events.team = blocks.team
                                 AND events.project = blocks.project AND events.block = blocks.key)",
            values![self.team, self.key, BLOCKS],
        )?;
        Ok((blocks > 0).then(Forgotten::default))
    }

    fn forget_bodies(&self) -> Result<Option<Forgotten>, StoreError> {
        let Self { sql, team, project_uuid, .. } = *self;
        let bodies = sql.rows(
            "SELECT bodies.seq, artifacts.project_uuid, mission_slug, target_branch, mission_type,
                manifest_version, path, content_hash
             FROM bodies JOIN artifacts ON artifacts.team = bodies.team AND artifacts.key = bodies.artifact
             WHERE bodies.team = ?1 AND bodies.project_uuid = ?2 ORDER BY bodies.seq LIMIT ?3",
            values![team, project_uuid, ROWS],
        )?;
        let Some(last) = bodies.last() else { return Ok(None) };
        remember(sql, team, bodies.iter().map(body_row_hash))?;
        let condition = "bodies.team = ?1 AND bodies.project_uuid = ?2 AND bodies.seq <= ?3";
        let deleted = remove_bodies(sql, condition, values![team, project_uuid, last.get::<i64>(0)?])?;
        let forgotten = Forgotten { bodies: deleted, ..Forgotten::default() };
        uncount(sql, team, project_uuid, &forgotten)?;
        Ok(Some(forgotten))
    }

    /// Deletes spans of one mission, and the mission with the last of them.
    fn delete_mission(&self) -> Result<Option<Forgotten>, StoreError> {
        let Self { sql, team, key, .. } = *self;
        let query = "SELECT key FROM missions WHERE team = ?1 AND project = ?2 LIMIT 1";
        let Some(row) = sql.row(query, values![team, key])? else { return Ok(None) };
        let mission: i64 = row.get(0)?;
        let spans = sql.execute(
            "DELETE FROM mission_spans WHERE team = ?1 AND mission = ?2 AND first_seq IN
                (SELECT first_seq FROM mission_spans WHERE team = ?1 AND mission = ?2 LIMIT ?3)",
            values![team, mission, ROWS],
        )?;
        if spans < ROWS {
            sql.execute("DELETE FROM missions WHERE team = ?1 AND key = ?2", values![team, mission])?;
        }
        Ok(Some(Forgotten::default()))
    }
}

/// The hash of a body, from a row with its key in the columns 1 to 6 and the hash of its content in the next one.
pub(super) fn body_row_hash(row: &SqlRow) -> Result<[u8; 16], StoreError> {
    let text = |column: usize| row.get::<String>(column);
    let key = ArtifactKey {
        project_uuid: text(1)?,
        mission_slug: text(2)?,
        target_branch: text(3)?,
        mission_type: text(4)?,
        manifest_version: text(5)?,
        path: text(6)?,
    };
    Ok(body_hash(&key, &text(7)?))
}

pub(super) fn uncount(
    sql: &dyn Sql,
    team: TeamKey,
    project_uuid: &str,
    forgotten: &Forgotten,
) -> Result<(), StoreError> {
    let less = |rows: u64| -i64::try_from(rows).unwrap_or(i64::MAX);
    sql.execute(
        "INSERT INTO counts (team, project_uuid, slot, events, bodies) VALUES (?1, ?2, 0, ?3, ?4)
         ON CONFLICT (team, project_uuid, slot)
         DO UPDATE SET events = counts.events + excluded.events, bodies = counts.bodies + excluded.bodies",
        values![team, project_uuid, less(forgotten.events), less(forgotten.bodies)],
    )?;
    Ok(())
}

pub(super) fn remember(
    sql: &dyn Sql,
    team: TeamKey,
    hashes: impl Iterator<Item = Result<[u8; 16], StoreError>>,
) -> Result<(), StoreError> {
    let mut values = vec![Value::from(&team)];
    for hash in hashes {
        values.push(Value::Bytes(hash?.to_vec().into()));
    }
    let rows: Vec<String> = (2..=values.len()).map(|number| format!("(?1, ?{number})")).collect();
    let insert =
        format!("INSERT INTO forgotten (team, row_hash) VALUES {} ON CONFLICT DO NOTHING", rows.join(", "));
    sql.execute(&insert, &values)?;
    Ok(())
}

/// Hashes in one query. Shorter lists are filled up, so that few statements are prepared.
const HASHES: usize = 256;

/// Those of the canonical event ids that the team forgot. Costs one query for a team that forgot nothing.
pub(super) fn forgotten_events<'i>(
    sql: &dyn Sql,
    team: TeamKey,
    ids: impl Iterator<Item = &'i String>,
) -> Result<HashSet<&'i String>, StoreError> {
    let mut found = HashSet::new();
    if !sql.exists("SELECT 1 FROM forgotten WHERE team = ?1 LIMIT 1", values![team])? {
        return Ok(found);
    }
    let ids: Vec<(&String, Vec<u8>)> = ids.map(|id| (id, event_hash(id).to_vec())).collect();
    for chunk in ids.chunks(HASHES) {
        let size = chunk.len().next_power_of_two();
        let marks: Vec<String> = (2..size + 2).map(|number| format!("?{number}")).collect();
        let filled = chunk.iter().chain(std::iter::repeat(&chunk[0])).take(size);
        let mut values = vec![Value::from(&team)];
        values.extend(filled.map(|(_, hash)| Value::Bytes(hash.as_slice().into())));
        let query =
            format!("SELECT row_hash FROM forgotten WHERE team = ?1 AND row_hash IN ({})", marks.join(", "));
        let rows = sql.rows(&query, &values)?;
        let hashes: HashSet<Vec<u8>> = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
        found.extend(chunk.iter().filter(|(_, hash)| hashes.contains(hash)).map(|(id, _)| *id));
    }
    Ok(found)
}

/// Whether the team forgot a body.
pub(super) fn is_forgotten_body(
    sql: &dyn Sql,
    team: TeamKey,
    key: &ArtifactKey,
    content_hash: &str,
) -> Result<bool, StoreError> {
    let hash = body_hash(key, content_hash);
    let query = "SELECT 1 FROM forgotten WHERE team = ?1 AND row_hash = ?2";
    sql.exists(query, &[Value::from(&team), Value::Bytes(hash.to_vec().into())])
}

pub(super) fn event_hash(canonical_id: &str) -> [u8; 16] {
    half(Sha256::new().chain_update("event\0").chain_update(canonical_id))
}

fn body_hash(key: &ArtifactKey, content_hash: &str) -> [u8; 16] {
    let mut hasher = Sha256::new().chain_update("body\0");
    let columns = artifact_values(&TeamKey(0), key);
    for value in columns.iter().skip(1).chain([&Value::from(&content_hash)]) {
        if let Value::Text(text) = value {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
    }
    half(hasher)
}

fn half(hasher: Sha256) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hasher.finalize()[..16]);
    half
}
