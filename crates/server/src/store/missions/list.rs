//! The missions that an account sees: those of its teams, and those of projects that are shared with them.

use crate::store::sql::{Sql, SqlRow, Value};
use crate::store::{Store, StoreError, TeamKey};
use crate::time::UnixMillis;

/// Teams and projects that an account sees.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    /// Its teams.
    pub(crate) teams: Vec<TeamKey>,
    /// Projects of other teams that these teams see.
    pub(crate) shared: Vec<(TeamKey, String)>,
}

/// Position in a list, newest activity first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MissionCursor {
    pub(crate) active_at: i64,
    pub(crate) key: i64,
}

impl MissionCursor {
    /// Before the first.
    pub(crate) const START: Self = Self { active_at: i64::MAX, key: i64::MAX };
}

/// A mission, as lists and pages name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MissionRecord {
    pub(crate) team: TeamKey,
    pub(crate) key: i64,
    pub(crate) team_name: String,
    pub(crate) project_uuid: String,
    /// Empty when no event named it.
    pub(crate) project_name: String,
    pub(crate) slug: String,
    /// Empty before its creation arrived.
    pub(crate) name: String,
    pub(crate) active_at: UnixMillis,
    /// Whether the account sees it by a share alone.
    pub(crate) is_shared: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct MissionsPage {
    pub(crate) missions: Vec<MissionRecord>,
    /// Position of the next page.
    pub(crate) next: Option<MissionCursor>,
}

/// A mission with the names of its project and team.
pub(in crate::store) const MISSION: &str =
    "SELECT missions.team, missions.key, teams.name, project_uuid, projects.name,
        slug, missions.name, active_at
     FROM missions JOIN projects ON projects.team = missions.team AND projects.key = missions.project
     JOIN teams ON teams.key = missions.team
     WHERE missions.team = ?1";

/// A page of the missions of a team, newest activity first.
pub(in crate::store) const OF_TEAM: &str = "AND (active_at, missions.key) < (?2, ?3)
     ORDER BY active_at DESC, missions.key DESC LIMIT ?4";

/// The same of one project.
pub(in crate::store) const OF_PROJECT: &str =
    "AND missions.project = ?5 AND (active_at, missions.key) < (?2, ?3)
     ORDER BY active_at DESC, missions.key DESC LIMIT ?4";

pub(in crate::store) const ONE: &str = "AND missions.key = ?2";

impl Store {
    /// Teams and projects that an account with these teams sees.
    pub(crate) async fn sight(&self, teams: Vec<TeamKey>) -> Result<Sight, StoreError> {
        let mut shared = self.shared_with(teams.clone()).await?;
        shared.retain(|(team, _)| !teams.contains(team));
        Ok(Sight { teams, shared })
    }

    /// A page of the missions, newest activity first.
    pub(crate) async fn missions(
        &self,
        sight: Sight,
        before: MissionCursor,
        limit: usize,
    ) -> Result<MissionsPage, StoreError> {
        self.query(move |sql| page(sql, &sight, before, limit)).await
    }

    /// A mission, if the account sees it.
    pub(crate) async fn mission(&self, sight: Sight, key: i64) -> Result<Option<MissionRecord>, StoreError> {
        self.query(move |sql| {
            for (team, project) in sources(&sight) {
                let row = sql.row(&format!("{MISSION} {ONE}"), &[Value::from(&team), Value::Int(key)])?;
                let Some(mission) = row.map(|row| record(&row, project.is_some())).transpose()? else {
                    continue;
                };
                if project.is_none_or(|project| *project == mission.project_uuid) {
                    return Ok(Some(mission));
                }
            }
            Ok(None)
        })
        .await
    }
}

/// The teams to read, each whole or one project of it.
fn sources(sight: &Sight) -> impl Iterator<Item = (TeamKey, Option<&String>)> {
    let own = sight.teams.iter().map(|team| (*team, None));
    own.chain(sight.shared.iter().map(|(team, project)| (*team, Some(project))))
}

fn page(
    sql: &dyn Sql,
    sight: &Sight,
    before: MissionCursor,
    limit: usize,
) -> Result<MissionsPage, StoreError> {
    let mut missions = Vec::new();
    // One row beyond the page shows that there are more.
    let rows = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    for (team, project) in sources(sight) {
        let mut values =
            vec![Value::from(&team), Value::Int(before.active_at), Value::Int(before.key), Value::Int(rows)];
        let mut filter = OF_TEAM;
        if let Some(project) = project {
            let find = "SELECT key FROM projects WHERE team = ?1 AND project_uuid = ?2";
            let Some(row) = sql.row(find, &[Value::from(&team), Value::from(project)])? else { continue };
            values.push(Value::Int(row.get(0)?));
            filter = OF_PROJECT;
        }
        for row in sql.rows(&format!("{MISSION} {filter}"), &values)? {
            missions.push(record(&row, project.is_some())?);
        }
    }
    missions.sort_by_key(|mission| std::cmp::Reverse((mission.active_at.0, mission.key)));
    let has_more = missions.len() > limit;
    missions.truncate(limit);
    let last = missions.last().filter(|_| has_more);
    let next = last.map(|last| MissionCursor { active_at: last.active_at.0, key: last.key });
    Ok(MissionsPage { missions, next })
}

fn record(row: &SqlRow, is_shared: bool) -> Result<MissionRecord, StoreError> {
    Ok(MissionRecord {
        team: row.get(0)?,
        key: row.get(1)?,
        team_name: row.get(2)?,
        project_uuid: row.get(3)?,
        project_name: row.get(4)?,
        slug: row.get(5)?,
        name: row.get(6)?,
        active_at: row.get(7)?,
        is_shared,
    })
}
