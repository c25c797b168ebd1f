//! Projects that a team shows to another team.
//!
//! A share is made by a person, for a project of a private teamspace of theirs and another team of theirs. It
//! is in effect while one person makes it: it ends with that person's membership in either team.

use super::sql::values;
use super::{ShareRecord, Store, StoreError, TeamKey};
use crate::time::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};

/// The shares of a team. People may spell the project differently; each counts once.
const SHARES: &str = "SELECT DISTINCT project_uuid, with_team, team_id, name,
        (SELECT count(DISTINCT user_id) FROM shares AS others
         WHERE others.with_team = shares.with_team AND lower(others.project_uuid) = lower(shares.project_uuid))
     FROM shares JOIN teams ON teams.key = with_team WHERE team = ?1";

impl Store {
    /// The spellings under which the teams have a project.
    pub(crate) async fn project_in(
        &self,
        teams: Vec<TeamKey>,
        project_uuid: String,
    ) -> Result<Vec<(TeamKey, String)>, StoreError> {
        self.query(move |sql| {
            let mut found = Vec::new();
            for team in &teams {
                let query = "SELECT project_uuid FROM projects WHERE team = ?1 AND lower(project_uuid) = ?2";
                for row in sql.rows(query, values![*team, project_uuid.to_lowercase()])? {
                    found.push((*team, row.get(0)?));
                }
            }
            Ok(found)
        })
        .await
    }

    /// Shares a project of each of the teams with `with`. Nothing changes for a share that is there.
    pub(crate) async fn share(
        &self,
        projects: Vec<(TeamKey, String)>,
        with: TeamKey,
        user_id: String,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.change(move |sql| {
            sql.lock("accounts")?;
            for (team, project_uuid) in &projects {
                // A membership that ended meanwhile shares nothing.
                sql.execute(
                    "INSERT INTO shares (team, project_uuid, with_team, user_id, shared_at)
                     SELECT of_source.team, CAST(?2 AS TEXT), of_target.team, of_source.user_id,
                        CAST(?5 AS BIGINT)
                     FROM memberships AS of_source JOIN memberships AS of_target
                       ON of_target.user_id = of_source.user_id
                     WHERE of_source.team = ?1 AND of_target.team = ?3 AND of_source.user_id = ?4
                     ON CONFLICT DO NOTHING",
                    values![*team, project_uuid, with, user_id, now],
                )?;
            }
            Ok(())
        })
        .await
    }

    /// Ends what this account shares of a project with a team.
    pub(crate) async fn unshare(
        &self,
        project_uuid: String,
        with: TeamKey,
        user_id: String,
    ) -> Result<(), StoreError> {
        self.change(move |sql| {
            sql.execute(
                "DELETE FROM shares WHERE lower(project_uuid) = ?1 AND with_team = ?2 AND user_id = ?3",
                values![project_uuid.to_lowercase(), with, user_id],
            )?;
            Ok(())
        })
        .await
    }

    /// The shares of the projects of these teams, or of one project of them: one for each project and team
    /// that sees it.
    pub(crate) async fn shares_of(
        &self,
        teams: Vec<TeamKey>,
        project_uuid: Option<String>,
    ) -> Result<Vec<ShareRecord>, StoreError> {
        self.query(move |sql| {
            let is_asked =
                |project: &str| project_uuid.as_ref().is_none_or(|asked| asked.eq_ignore_ascii_case(project));
            let mut found = BTreeMap::new();
            for team in &teams {
                for row in sql.rows(SHARES, values![*team])? {
                    let (project_uuid, with): (String, i64) = (row.get(0)?, row.get(1)?);
                    if is_asked(&project_uuid) {
                        let record = ShareRecord {
                            project_uuid: project_uuid.clone(),
                            team_id: row.get(2)?,
                            team_name: row.get(3)?,
                            sharers: row.get(4)?,
                        };
                        found.insert((project_uuid, with), record);
                    }
                }
            }
            Ok(found.into_values().collect())
        })
        .await
    }

    /// The projects that others show to these teams.
    pub(crate) async fn shared_with(
        &self,
        teams: Vec<TeamKey>,
    ) -> Result<Vec<(TeamKey, String)>, StoreError> {
        self.query(move |sql| {
            let mut found = BTreeSet::new();
            for team in &teams {
                let query = "SELECT DISTINCT team, project_uuid FROM shares WHERE with_team = ?1";
                for row in sql.rows(query, values![*team])? {
                    let source: TeamKey = row.get(0)?;
                    found.insert((source.0, row.get::<String>(1)?));
                }
            }
            Ok(found.into_iter().map(|(team, project)| (TeamKey(team), project)).collect())
        })
        .await
    }
}
