//! Projects that a team shows to another team.
//!
//! A share is made by a person, for a project of a private teamspace of theirs and another team of theirs. It
//! is in effect while one person makes it: it ends with that person's membership in either team.

use super::sql::{Sql, values};
use super::{ShareRecord, Store, StoreError, TeamKey};
use crate::time::UnixMillis;
use std::collections::BTreeSet;

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
            let mut found = BTreeSet::new();
            for team in &teams {
                let rows = sql.rows(
                    "SELECT DISTINCT project_uuid, with_team FROM shares WHERE team = ?1",
                    values![*team],
                )?;
                for row in rows {
                    let project: String = row.get(0)?;
                    let asked =
                        project_uuid.as_ref().is_none_or(|asked| asked.eq_ignore_ascii_case(&project));
                    if asked {
                        found.insert((project, row.get::<TeamKey>(1)?.0));
                    }
                }
            }
            let record = |(project_uuid, with): (String, i64)| share_record(sql, project_uuid, TeamKey(with));
            found.into_iter().map(record).collect()
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

fn share_record(sql: &dyn Sql, project_uuid: String, with: TeamKey) -> Result<ShareRecord, StoreError> {
    let team = sql.row("SELECT team_id, name FROM teams WHERE key = ?1", values![with])?;
    let team = team.ok_or(StoreError::NoTeam)?;
    let sharers = sql.count(
        "SELECT count(DISTINCT user_id) FROM shares WHERE with_team = ?1 AND lower(project_uuid) = ?2",
        values![with, project_uuid.to_lowercase()],
    )?;
    Ok(ShareRecord { project_uuid, team_id: team.get(0)?, team_name: team.get(1)?, sharers })
}
