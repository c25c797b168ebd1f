//! People and teams, as an administrator changes them.

use super::accounts::{account_by_id, email_key, team_key};
use super::browsers::BROWSER;
use super::sql::{Sql, SqlRow, Value, values};
use super::{
    Account, EndedLogins, EndedMembership, NewTeam, SessionRecord, Store, StoreError, TeamKey, TeamRecord,
};
use crate::time::UnixMillis;

impl Store {
    /// The account of an e-mail address.
    pub(crate) async fn account(&self, email: String) -> Result<Account, StoreError> {
        self.query(move |sql| account(sql, &email)).await
    }

    /// Disables an account and ends its logins, so that enabling revives none.
    pub(crate) async fn disable_account(
        &self,
        email: String,
        now: UnixMillis,
    ) -> Result<(Account, EndedLogins), StoreError> {
        self.change(move |sql| {
            sql.lock("accounts")?;
            let user_id = account(sql, &email)?.user_id;
            let update = "UPDATE accounts SET disabled_at = ?2 WHERE user_id = ?1 AND disabled_at IS NULL";
            sql.execute(update, values![user_id, now])?;
            let ended = end_logins(sql, &user_id, now)?;
            Ok((account_by_id(sql, &user_id)?.ok_or(StoreError::NoAccount)?, ended))
        })
        .await
    }

    /// Enables an account.
    pub(crate) async fn enable_account(&self, email: String) -> Result<Account, StoreError> {
        self.change(move |sql| {
            sql.lock("accounts")?;
            let user_id = account(sql, &email)?.user_id;
            sql.execute("UPDATE accounts SET disabled_at = NULL WHERE user_id = ?1", values![user_id])?;
            account_by_id(sql, &user_id)?.ok_or(StoreError::NoAccount)
        })
        .await
    }

    /// The private teamspaces whose only member is this account.
    pub(crate) async fn sole_teams(&self, email: String) -> Result<Vec<(TeamKey, String)>, StoreError> {
        self.query(move |sql| sole_teams(sql, &account(sql, &email)?.user_id)).await
    }

    /// Makes the members of a team members of the private teamspaces whose only member is this account.
    pub(crate) async fn hand_over_teams(
        &self,
        email: String,
        to_team: String,
        now: UnixMillis,
    ) -> Result<Vec<String>, StoreError> {
        self.change(move |sql| {
            sql.lock("accounts")?;
            let user_id = account(sql, &email)?.user_id;
            let to = team(sql, &to_team)?;
            let heirs = sql.rows(
                "SELECT user_id FROM memberships WHERE team = ?1 AND user_id <> ?2",
                values![to, user_id],
            )?;
            if heirs.is_empty() {
                return Err(StoreError::NoHeirs);
            }
            let teams = sole_teams(sql, &user_id)?;
            for (key, _) in &teams {
                for heir in &heirs {
                    join(sql, *key, &heir.get::<String>(0)?, "member", now)?;
                }
            }
            Ok(teams.into_iter().map(|(_, id)| id).collect())
        })
        .await
    }

    /// Deletes a private teamspace that has no project, and no member but this account.
    pub(crate) async fn delete_empty_team(&self, key: TeamKey, email: String) -> Result<(), StoreError> {
        self.change(move |sql| {
            sql.lock("accounts")?;
            let user_id = account(sql, &email)?.user_id;
            let is_sole = sole_teams(sql, &user_id)?.iter().any(|(sole, _)| *sole == key);
            if !is_sole || sql.exists("SELECT 1 FROM projects WHERE team = ?1", values![key])? {
                return Err(StoreError::TeamInUse);
            }
            for table in
                ["shares", "forgotten", "counts", "machines", "rejections", "ci_tokens", "memberships"]
            {
                sql.execute(&format!("DELETE FROM {table} WHERE team = ?1"), values![key])?;
            }
            sql.execute("DELETE FROM shares WHERE with_team = ?1", values![key])?;
            sql.execute("DELETE FROM teams WHERE key = ?1", values![key])?;
            Ok(())
        })
        .await
    }

    /// Erases an account and everything that names the person, but not the events of its teams.
    pub(crate) async fn erase_account(&self, email: String) -> Result<Account, StoreError> {
        self.change(move |sql| {
            sql.lock("accounts")?;
            let account = account(sql, &email)?;
            let user_id = &account.user_id;
            if let Some((_, team)) = sole_teams(sql, user_id)?.into_iter().next() {
                return Err(StoreError::LastMember(team));
            }
            // The name that a teamspace got when the account was created.
            for team in &account.teams {
                sql.execute(
                    "UPDATE teams SET name = team_id WHERE key = ?1 AND name = ?2",
                    values![team.key, own_team_name(&account.name)],
                )?;
            }
            for table in ["access_tokens", "refresh_tokens"] {
                let delete = format!(
                    "DELETE FROM {table} WHERE session_id IN (SELECT session_id FROM sessions WHERE user_id = ?1)"
                );
                sql.execute(&delete, values![user_id])?;
            }
            let of_person =
                ["codes", "devices", "sessions", "ci_tokens", "machines", "rejections", "shares", "memberships"];
            for table in of_person {
                sql.execute(&format!("DELETE FROM {table} WHERE user_id = ?1"), values![user_id])?;
            }
            let subject = format!("% {}", email_key(&account.email).replace(['%', '_'], "_"));
            sql.execute("DELETE FROM guesses WHERE subject LIKE ?1", values![subject])?;
            sql.execute("DELETE FROM accounts WHERE user_id = ?1", values![user_id])?;
            Ok(account)
        })
        .await
    }

    /// Creates a team without members.
    pub(crate) async fn add_team(&self, new: NewTeam) -> Result<TeamRecord, StoreError> {
        self.change(move |sql| {
            sql.lock("accounts")?;
            if find_team(sql, &new.team_id)?.is_some() {
                return Err(StoreError::TeamExists);
            }
            sql.execute(
                "INSERT INTO teams (team_id, name, is_private, created_at) VALUES (?1, ?2, ?3, ?4)",
                values![new.team_id, new.name, i64::from(new.is_private), new.now],
            )?;
            team_record(sql, team(sql, &new.team_id)?)
        })
        .await
    }

    /// All teams, oldest first.
    pub(crate) async fn teams(&self) -> Result<Vec<TeamRecord>, StoreError> {
        self.query(|sql| {
            let keys = sql.rows("SELECT key FROM teams ORDER BY created_at, key", &[])?;
            keys.iter().map(|row| team_record(sql, row.get(0)?)).collect()
        })
        .await
    }

    /// Changes the name that is shown. The id is part of events and scopes, and stays.
    pub(crate) async fn rename_team(&self, team_id: String, name: String) -> Result<TeamRecord, StoreError> {
        self.change(move |sql| {
            let key = team(sql, &team_id)?;
            sql.execute("UPDATE teams SET name = ?2 WHERE key = ?1", values![key, name])?;
            team_record(sql, key)
        })
        .await
    }

    /// Adds an account to a team, or changes its role there. Its place in the order of joining stays.
    pub(crate) async fn add_member(
        &self,
        team_id: String,
        email: String,
        role: String,
        now: UnixMillis,
    ) -> Result<TeamRecord, StoreError> {
        self.change(move |sql| {
            sql.lock("accounts")?;
            let (key, user_id) = (team(sql, &team_id)?, account(sql, &email)?.user_id);
            join(sql, key, &user_id, &role, now)?;
            team_record(sql, key)
        })
        .await
    }

    /// Ends a membership, the machine tokens of the account for the team, and its shares from and with it.
    pub(crate) async fn remove_member(
        &self,
        team_id: String,
        email: String,
        now: UnixMillis,
    ) -> Result<EndedMembership, StoreError> {
        self.change(move |sql| {
            sql.lock("accounts")?;
            let (key, user_id) = (team(sql, &team_id)?, account(sql, &email)?.user_id);
            if let Some((_, id)) = sole_teams(sql, &user_id)?.into_iter().find(|(sole, _)| *sole == key) {
                return Err(StoreError::LastMember(id));
            }
            let delete = "DELETE FROM memberships WHERE team = ?1 AND user_id = ?2";
            if sql.execute(delete, values![key, user_id])? == 0 {
                return Err(StoreError::NoMembership);
            }
            let tokens = sql.execute(
                "UPDATE ci_tokens SET revoked_at = ?3 WHERE team = ?1 AND user_id = ?2 AND revoked_at IS NULL",
                values![key, user_id, now],
            )?;
            let shares = sql.execute(
                "DELETE FROM shares WHERE (team = ?1 OR with_team = ?1) AND user_id = ?2",
                values![key, user_id],
            )?;
            Ok(EndedMembership { team: team_record(sql, key)?, tokens, shares })
        })
        .await
    }

    /// Sessions, oldest first: of one account or of all, and with `ended` also those that have ended.
    pub(crate) async fn sessions(
        &self,
        email: Option<String>,
        ended: bool,
        now: UnixMillis,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        self.query(move |sql| {
            let owner = email.as_ref().map(|email| account(sql, email)).transpose()?;
            let mut records = sessions(sql, owner.as_ref().map(|owner| owner.user_id.as_str()))?;
            records.retain(|record| ended || record.runs_at(now));
            Ok(records)
        })
        .await
    }

    /// Ends a session, of `owner` if one is named. False if no such session runs.
    pub(crate) async fn end_session(
        &self,
        session_id: String,
        owner: Option<String>,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        self.change(move |sql| {
            let owner = owner.as_deref().unwrap_or_default();
            let ended = sql.execute(
                "UPDATE sessions SET ended_at = ?2 WHERE session_id = ?1 AND ended_at IS NULL
                   AND (CAST(?3 AS TEXT) = '' OR user_id = ?3)",
                values![session_id, now, owner],
            )?;
            if ended == 1 {
                sql.execute("DELETE FROM access_tokens WHERE session_id = ?1", values![session_id])?;
            }
            Ok(ended == 1)
        })
        .await
    }

    /// Ends every session of an account. Returns how many ran.
    pub(crate) async fn end_sessions_of(&self, email: String, now: UnixMillis) -> Result<u64, StoreError> {
        self.change(move |sql| {
            sql.lock("accounts")?;
            end_sessions(sql, &account(sql, &email)?.user_id, now)
        })
        .await
    }
}

/// The name of the teamspace that an account gets.
pub(crate) fn own_team_name(name: &str) -> String {
    format!("{name} (private)")
}

/// Ends the sessions of an account, its machine tokens, and the logins that wait for their first token.
pub(super) fn end_logins(sql: &dyn Sql, user_id: &str, now: UnixMillis) -> Result<EndedLogins, StoreError> {
    let sessions = end_sessions(sql, user_id, now)?;
    let tokens = sql.execute(
        "UPDATE ci_tokens SET revoked_at = ?2 WHERE user_id = ?1 AND revoked_at IS NULL",
        values![user_id, now],
    )?;
    Ok(EndedLogins { sessions, tokens })
}

/// All sessions, or those of one account, oldest first.
fn sessions(sql: &dyn Sql, user_id: Option<&str>) -> Result<Vec<SessionRecord>, StoreError> {
    let mut values = vec![Value::from(&BROWSER)];
    values.extend(user_id.as_ref().map(Value::from));
    let filter = if user_id.is_some() { "WHERE sessions.user_id = ?2" } else { "" };
    let select = format!(
        "SELECT session_id, email, flow, sessions.created_at, ended_at,
            (SELECT max(used_at) FROM refresh_tokens WHERE refresh_tokens.session_id = sessions.session_id),
            (SELECT max(seen_at) FROM access_tokens WHERE access_tokens.session_id = sessions.session_id),
            coalesce((SELECT max(expires_at) FROM refresh_tokens
                      WHERE refresh_tokens.session_id = sessions.session_id),
                     (SELECT max(expires_at) FROM access_tokens
                      WHERE access_tokens.session_id = sessions.session_id AND flow = ?1)),
            machine
         FROM sessions JOIN accounts ON accounts.user_id = sessions.user_id {filter}
         ORDER BY sessions.created_at, session_id"
    );
    let read = |row: &SqlRow| {
        let (refreshed, seen): (Option<UnixMillis>, Option<UnixMillis>) = (row.get(5)?, row.get(6)?);
        Ok(SessionRecord {
            session_id: row.get(0)?,
            email: row.get(1)?,
            flow: row.get(2)?,
            created_at: row.get(3)?,
            ended_at: row.get(4)?,
            last_used_at: refreshed.max(seen),
            expires_at: row.get(7)?,
            machine: row.get(8)?,
        })
    };
    sql.rows(&select, &values)?.iter().map(read).collect()
}

/// Ends the sessions of an account. Returns how many ran.
fn end_sessions(sql: &dyn Sql, user_id: &str, now: UnixMillis) -> Result<u64, StoreError> {
    let running = sessions(sql, Some(user_id))?.iter().filter(|record| record.runs_at(now)).count();
    sql.execute(
        "DELETE FROM access_tokens WHERE session_id IN (SELECT session_id FROM sessions WHERE user_id = ?1)",
        values![user_id],
    )?;
    sql.execute("DELETE FROM codes WHERE user_id = ?1 AND session_id IS NULL", values![user_id])?;
    let devices = "UPDATE devices SET used_at = ?2 WHERE user_id = ?1 AND used_at IS NULL";
    sql.execute(devices, values![user_id, now])?;
    let update = "UPDATE sessions SET ended_at = ?2 WHERE user_id = ?1 AND ended_at IS NULL";
    sql.execute(update, values![user_id, now])?;
    Ok(running as u64)
}

pub(super) fn account(sql: &dyn Sql, email: &str) -> Result<Account, StoreError> {
    let query = "SELECT user_id FROM accounts WHERE email_key = ?1";
    let row = sql.row(query, values![email_key(email)])?.ok_or(StoreError::NoAccount)?;
    account_by_id(sql, &row.get::<String>(0)?)?.ok_or(StoreError::NoAccount)
}

/// The team of an id, compared without case; the same spelling first.
fn find_team(sql: &dyn Sql, team_id: &str) -> Result<Option<TeamKey>, StoreError> {
    let query = "SELECT key FROM teams WHERE lower(team_id) = ?1 ORDER BY team_id <> ?2, key LIMIT 1";
    sql.row(query, values![team_key(team_id), team_id])?.map(|row| row.get(0)).transpose()
}

pub(super) fn team(sql: &dyn Sql, team_id: &str) -> Result<TeamKey, StoreError> {
    find_team(sql, team_id)?.ok_or(StoreError::NoTeam)
}

fn join(sql: &dyn Sql, team: TeamKey, user_id: &str, role: &str, now: UnixMillis) -> Result<(), StoreError> {
    sql.execute(
        "INSERT INTO memberships (team, user_id, role, joined_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (team, user_id) DO UPDATE SET role = excluded.role",
        values![team, user_id, role, now],
    )?;
    Ok(())
}

fn sole_teams(sql: &dyn Sql, user_id: &str) -> Result<Vec<(TeamKey, String)>, StoreError> {
    let rows = sql.rows(
        "SELECT key, team_id FROM memberships JOIN teams ON teams.key = memberships.team
         WHERE user_id = ?1 AND is_private <> 0
           AND NOT EXISTS (SELECT 1 FROM memberships AS others
                           WHERE others.team = memberships.team AND others.user_id <> ?1)
         ORDER BY key",
        values![user_id],
    )?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

fn team_record(sql: &dyn Sql, key: TeamKey) -> Result<TeamRecord, StoreError> {
    let query = "SELECT team_id, name, is_private, created_at FROM teams WHERE key = ?1";
    let row = sql.row(query, values![key])?.ok_or(StoreError::NoTeam)?;
    let members = sql.rows(
        "SELECT email, role FROM memberships JOIN accounts USING (user_id)
         WHERE team = ?1 ORDER BY joined_at, email_key",
        values![key],
    )?;
    Ok(TeamRecord {
        team_id: row.get(0)?,
        name: row.get(1)?,
        is_private: row.get(2)?,
        created_at: row.get(3)?,
        members: members
            .iter()
            .map(|row| Ok((row.get(0)?, row.get(1)?)))
            .collect::<Result<_, StoreError>>()?,
    })
}
