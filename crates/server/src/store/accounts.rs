//! Accounts, teams and machine tokens.

use super::browsers::BROWSER;
use super::sql::{Sql, SqlRow, values};
use super::{
    Account, CiTokenRecord, Membership, NewAccount, NewCiToken, Principal, Store, StoreError, TeamKey, people,
};
use crate::secret::TokenHash;
use crate::time::UnixMillis;

impl Store {
    /// Creates an account and, unless it exists, its private teamspace.
    pub(crate) async fn create_account(&self, account: NewAccount) -> Result<Account, StoreError> {
        self.change(move |sql| {
            sql.lock("accounts")?;
            let key = email_key(&account.email);
            if sql.exists("SELECT 1 FROM accounts WHERE email_key = ?1", values![key])? {
                return Err(StoreError::AccountExists);
            }
            sql.execute(
                "INSERT INTO accounts (user_id, email, email_key, name, secret_hash, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                values![account.user_id, account.email, key, account.name, account.secret_hash, account.now],
            )?;
            // Ids of teams are compared without case; the spelling of the first account stays.
            let team = team_key(&account.team_id);
            let is_new = !sql.exists("SELECT 1 FROM teams WHERE lower(team_id) = ?1", values![team])?;
            if is_new {
                sql.execute(
                    "INSERT INTO teams (team_id, name, is_private, created_at) VALUES (?1, ?2, 1, ?3)",
                    values![account.team_id, account.team_name, account.now],
                )?;
            }
            sql.execute(
                "INSERT INTO memberships (team, user_id, role, joined_at)
                 SELECT key, CAST(?1 AS TEXT), CAST(?2 AS TEXT), CAST(?5 AS BIGINT) FROM teams
                 WHERE lower(team_id) = ?3 ORDER BY team_id <> ?4, key LIMIT 1",
                values![
                    account.user_id,
                    if is_new { "owner" } else { "member" },
                    team,
                    account.team_id,
                    account.now
                ],
            )?;
            account_by_id(sql, &account.user_id)?.ok_or(StoreError::NoAccount)
        })
        .await
    }

    /// Replaces the hash of an account's approval secret, and ends its sessions and machine tokens.
    pub(crate) async fn replace_secret(
        &self,
        email: String,
        secret_hash: String,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.change(move |sql| {
            sql.lock("accounts")?;
            let user_id = people::account(sql, &email)?.user_id;
            let update = "UPDATE accounts SET secret_hash = ?1 WHERE user_id = ?2";
            sql.execute(update, values![secret_hash, user_id])?;
            people::end_logins(sql, &user_id, now)
        })
        .await
    }

    /// All accounts, oldest first.
    pub(crate) async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        self.query(|sql| {
            let mut accounts = Vec::new();
            for row in sql.rows("SELECT user_id FROM accounts ORDER BY created_at, user_id", &[])? {
                accounts.extend(account_by_id(sql, &row.get::<String>(0)?)?);
            }
            Ok(accounts)
        })
        .await
    }

    /// The account of an e-mail address (compared without case) and its secret's hash.
    pub(crate) async fn account_secret(
        &self,
        email: String,
    ) -> Result<Option<(Account, String)>, StoreError> {
        self.query(move |sql| {
            let query =
                "SELECT user_id, secret_hash FROM accounts WHERE email_key = ?1 AND disabled_at IS NULL";
            let Some(row) = sql.row(query, values![email_key(&email)])? else { return Ok(None) };
            let hash = row.get(1)?;
            Ok(account_by_id(sql, &row.get::<String>(0)?)?.map(|account| (account, hash)))
        })
        .await
    }

    /// Records a machine token. The account must be a member of the team.
    pub(crate) async fn add_ci_token(&self, token: NewCiToken) -> Result<CiTokenRecord, StoreError> {
        self.change(move |sql| {
            let owner = sql.row(
                "SELECT user_id, email FROM accounts WHERE email_key = ?1 AND disabled_at IS NULL",
                values![email_key(&token.email)],
            )?;
            let owner = owner.ok_or(StoreError::NoAccount)?;
            let (user_id, email): (String, String) = (owner.get(0)?, owner.get(1)?);
            let team = sql.row(
                "SELECT team, team_id FROM memberships JOIN teams ON teams.key = team
                 WHERE user_id = ?1 AND lower(team_id) = ?2 AND is_private <> 0
                 ORDER BY team_id <> ?3, team LIMIT 1",
                values![user_id, team_key(&token.team_id), token.team_id],
            )?;
            let team = team.ok_or(StoreError::NoMembership)?;
            sql.execute(
                "INSERT INTO ci_tokens (id, hash, user_id, team, label, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                values![token.id, token.hash, user_id, team.get::<TeamKey>(0)?, token.label, token.now],
            )?;
            Ok(CiTokenRecord {
                id: token.id.clone(),
                email,
                team_id: team.get(1)?,
                label: token.label.clone(),
                created_at: token.now,
                revoked_at: None,
            })
        })
        .await
    }

    /// Machine tokens of one account or of all, without secrets.
    pub(crate) async fn ci_tokens(&self, email: Option<String>) -> Result<Vec<CiTokenRecord>, StoreError> {
        self.query(move |sql| {
            let key = email.as_deref().map(email_key).unwrap_or_default();
            let rows = sql.rows(
                "SELECT ci_tokens.id, email, team_id, label, ci_tokens.created_at, revoked_at FROM ci_tokens
                 JOIN accounts USING (user_id) JOIN teams ON teams.key = team
                 WHERE (CAST(?1 AS TEXT) = '' OR email_key = ?1) ORDER BY ci_tokens.created_at, ci_tokens.id",
                values![key],
            )?;
            let record = |row: &SqlRow| {
                Ok(CiTokenRecord {
                    id: row.get(0)?,
                    email: row.get(1)?,
                    team_id: row.get(2)?,
                    label: row.get(3)?,
                    created_at: row.get(4)?,
                    revoked_at: row.get(5)?,
                })
            };
            rows.iter().map(record).collect()
        })
        .await
    }

    /// Revokes a machine token, of `owner` if one is named. False if there is none.
    pub(crate) async fn revoke_ci_token(
        &self,
        id: String,
        owner: Option<String>,
    ) -> Result<bool, StoreError> {
        self.change(move |sql| {
            let update = "UPDATE ci_tokens SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL
                AND (CAST(?3 AS TEXT) = '' OR user_id = ?3)";
            let owner = owner.as_deref().unwrap_or_default();
            Ok(sql.execute(update, values![id, UnixMillis::now(), owner])? == 1)
        })
        .await
    }

    /// The account behind a bearer token, if the token and the account are valid at `now`.
    pub(crate) async fn principal(
        &self,
        token: TokenHash,
        now: UnixMillis,
    ) -> Result<Option<Principal>, StoreError> {
        self.query(move |sql| match session_principal(sql, token, now)? {
            Some(principal) => Ok(Some(principal)),
            None => machine_principal(sql, token),
        })
        .await
    }
}

fn session_principal(
    sql: &dyn Sql,
    token: TokenHash,
    now: UnixMillis,
) -> Result<Option<Principal>, StoreError> {
    let row = sql.row(
        "SELECT user_id, session_id, flow, created_at, access_tokens.expires_at, sessions.generation,
            seen_at IS NOT NULL,
            (SELECT max(expires_at) FROM refresh_tokens
             WHERE refresh_tokens.session_id = sessions.session_id
               AND refresh_tokens.generation = sessions.generation),
            machine
         FROM access_tokens JOIN sessions USING (session_id)
         WHERE hash = ?1 AND access_tokens.expires_at > ?2 AND ended_at IS NULL AND flow <> ?3",
        // The cookie of a browser is no bearer token.
        values![token, now, BROWSER],
    )?;
    let Some(row) = row else { return Ok(None) };
    let Some(account) = live_account(sql, &row.get::<String>(0)?)? else { return Ok(None) };
    Ok(Some(Principal {
        account,
        session_id: Some(row.get(1)?),
        flow: row.get(2)?,
        authenticated_at: row.get(3)?,
        access_expires_at: Some(row.get(4)?),
        generation: Some(row.get(5)?),
        is_seen: row.get(6)?,
        refresh_expires_at: row.get(7)?,
        machine: row.get(8)?,
    }))
}

fn machine_principal(sql: &dyn Sql, token: TokenHash) -> Result<Option<Principal>, StoreError> {
    let query =
        "SELECT user_id, team, created_at, label FROM ci_tokens WHERE hash = ?1 AND revoked_at IS NULL";
    let Some(row) = sql.row(query, values![token])? else { return Ok(None) };
    let Some(mut account) = live_account(sql, &row.get::<String>(0)?)? else { return Ok(None) };
    let team: TeamKey = row.get(1)?;
    account.teams.retain(|membership| membership.key == team);
    Ok(Some(Principal {
        account,
        session_id: None,
        machine: row.get(3)?,
        flow: "ci_token".to_owned(),
        authenticated_at: row.get(2)?,
        access_expires_at: None,
        refresh_expires_at: None,
        generation: None,
        is_seen: true,
    }))
}

pub(super) fn live_account(sql: &dyn Sql, user_id: &str) -> Result<Option<Account>, StoreError> {
    let query = "SELECT 1 FROM accounts WHERE user_id = ?1 AND disabled_at IS NULL";
    if sql.exists(query, values![user_id])? { account_by_id(sql, user_id) } else { Ok(None) }
}

pub(super) fn account_by_id(sql: &dyn Sql, user_id: &str) -> Result<Option<Account>, StoreError> {
    let query = "SELECT email, name, created_at, disabled_at FROM accounts WHERE user_id = ?1";
    let Some(account) = sql.row(query, values![user_id])? else { return Ok(None) };
    let teams = sql.rows(
        "SELECT key, team_id, name, role, is_private FROM memberships JOIN teams ON teams.key = team
         WHERE user_id = ?1 ORDER BY is_private DESC, joined_at, key",
        values![user_id],
    )?;
    let membership = |row: &SqlRow| {
        Ok(Membership {
            key: row.get(0)?,
            team_id: row.get(1)?,
            name: row.get(2)?,
            role: row.get(3)?,
            is_private: row.get(4)?,
        })
    };
    Ok(Some(Account {
        user_id: user_id.to_owned(),
        email: account.get(0)?,
        name: account.get(1)?,
        created_at: account.get(2)?,
        disabled_at: account.get(3)?,
        teams: teams.iter().map(membership).collect::<Result<_, StoreError>>()?,
    }))
}

/// E-mail addresses are compared trimmed and without case, as scopes are.
pub(super) fn email_key(email: &str) -> String {
    contract::scope::trim(email).to_lowercase()
}

/// Team ids are ASCII, so the database's `lower` agrees.
pub(super) fn team_key(team_id: &str) -> String {
    team_id.to_ascii_lowercase()
}
