//! Removal: what forgetting and pruning delete of missions, with the events and bodies that they delete.
//!
//! SQLite gives positions of deleted rows to new ones, so what names a position is removed by the same change.

use super::MissionCursor;
use crate::store::sql::{Sql, Value, values};
use crate::store::{Store, StoreError, TeamKey};
use crate::time::UnixMillis;

/// Missions that one step looks at: a bound on the time that others wait for its transaction.
const MISSIONS: u64 = 500;

/// Missions that were last active before a time, oldest first.
pub(in crate::store) const OLD: &str = "SELECT active_at, key FROM missions
     WHERE team = ?1 AND active_at < ?2 AND (active_at, key) > (?3, ?4) ORDER BY active_at, key LIMIT ?5";

/// Spans of deleted events: of project `?2`, from `?3` to `?4`.
pub(in crate::store) const SPANS: &str =
    "DELETE FROM mission_spans WHERE team = ?1 AND first_seq BETWEEN ?3 AND ?4
       AND mission IN (SELECT key FROM missions WHERE team = ?1 AND project = ?2)
       AND NOT EXISTS (SELECT 1 FROM events WHERE events.team = mission_spans.team AND seq = first_seq)";

/// Missions without events and documents.
pub(in crate::store) const EMPTY: &str =
    "DELETE FROM missions WHERE team = ?1 AND (active_at, key) > (?2, ?3) AND (active_at, key) <= (?4, ?5)
       AND NOT EXISTS (SELECT 1 FROM mission_spans
            WHERE mission_spans.team = missions.team AND mission = missions.key)
       AND NOT EXISTS (SELECT 1 FROM projects JOIN artifacts ON artifacts.team = projects.team
                AND artifacts.project_uuid = projects.project_uuid
            JOIN bodies ON bodies.team = artifacts.team AND bodies.seq = artifacts.latest
            WHERE projects.team = missions.team AND projects.key = missions.project
                AND mission_slug = missions.slug)";

/// Deletes the spans of a project from `first` to `last` that begin with a deleted event.
pub(in crate::store) fn remove_spans(
    sql: &dyn Sql,
    (team, project): (TeamKey, i64),
    (first, last): (i64, i64),
) -> Result<(), StoreError> {
    sql.execute(SPANS, values![team, project, first, last]).map(|_| ())
}

/// Deletes the bodies that match a condition, whose first value is the team. A document that showed one of them shows
/// its newest other body, if it has one.
pub(in crate::store) fn remove_bodies(
    sql: &dyn Sql,
    condition: &str,
    values: &[Value<'_>],
) -> Result<u64, StoreError> {
    let show = format!(
        "UPDATE artifacts SET latest = coalesce((SELECT max(seq) FROM bodies WHERE bodies.team = artifacts.team
            AND bodies.artifact = artifacts.key AND NOT ({condition})), 0)
         WHERE team = ?1 AND key IN (SELECT artifact FROM bodies WHERE {condition})
           AND latest IN (SELECT seq FROM bodies WHERE {condition})"
    );
    sql.execute(&show, values)?;
    sql.execute(&format!("DELETE FROM bodies WHERE {condition}"), values)
}

impl Store {
    /// Deletes the missions of a team that were last active before a time, and have neither events nor documents.
    pub(in crate::store) async fn remove_empty_missions(
        &self,
        team: TeamKey,
        before: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut after = Some(MissionCursor { active_at: i64::MIN, key: 0 });
        while let Some(cursor) = after {
            after = self.change(move |sql| remove_empty(sql, team, before, cursor)).await?;
        }
        Ok(())
    }
}

/// The last mission that was looked at; none when none is left.
fn remove_empty(
    sql: &dyn Sql,
    team: TeamKey,
    before: UnixMillis,
    after: MissionCursor,
) -> Result<Option<MissionCursor>, StoreError> {
    // Missions of stored blocks may be found meanwhile.
    sql.lock("missions")?;
    let rows = sql.rows(OLD, values![team, before, after.active_at, after.key, MISSIONS])?;
    let Some(row) = rows.last() else { return Ok(None) };
    let last = MissionCursor { active_at: row.get(0)?, key: row.get(1)? };
    // A batch that is being stored has marked its missions as active: their rows match no more when it is done.
    sql.execute(EMPTY, values![team, after.active_at, after.key, last.active_at, last.key])?;
    Ok(Some(last))
}
