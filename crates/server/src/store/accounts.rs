//! Accounts, teams and machine tokens.

use super::browsers::BROWSER;
use super::sql::{Sql, SqlRow, values};
use super::{
    Account, CiTokenRecord, EndedLogins, Membership, NewAccount, NewCiToken, Principal, Store, StoreError,
    TeamKey, people,
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
    ) -> Result<EndedLogins, StoreError> {
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
        let rows = self.lookup(PRINCIPAL, values![token, now, BROWSER]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let joined = |row: &SqlRow| Ok((row.get::<Option<i64>>(12)?, membership(row, 13)?));
        let mut teams = rows.iter().map(joined).collect::<Result<Vec<_>, StoreError>>()?;
        teams.sort_by_key(|(at, team)| team.as_ref().map(|team| (!team.is_private, *at, team.key.0)));
        let account = Account {
            user_id: row.get(0)?,
            email: row.get(8)?,
            name: row.get(9)?,
            created_at: row.get(10)?,
            disabled_at: None,
            teams: teams.into_iter().filter_map(|(_, team)| team).collect(),
        };
        Ok(Some(Principal {
            account,
            session_id: row.get(1)?,
            machine: row.get(11)?,
            flow: row.get(2)?,
            authenticated_at: row.get(3)?,
            access_expires_at: row.get(4)?,
            generation: row.get(5)?,
            is_seen: row.get(6)?,
            refresh_expires_at: row.get(7)?,
        }))
    }
}

/// The login of a token and its account, with a row for each team that the token may use. One statement, because
/// each request begins with it; the rows are ordered afterwards, which spares a sorter.
/// The cookie of a browser is no bearer token.
const PRINCIPAL: &str = "
    SELECT accounts.user_id, sessions.session_id, flow, sessions.created_at, access_tokens.expires_at,
        sessions.generation, seen_at IS NOT NULL,
        (SELECT max(expires_at) FROM refresh_tokens
         WHERE refresh_tokens.session_id = sessions.session_id AND refresh_tokens.generation = sessions.generation),
        email, accounts.name, accounts.created_at, machine, joined_at, teams.key, team_id, teams.name, role,
        is_private
    FROM access_tokens JOIN sessions ON sessions.session_id = access_tokens.session_id
    JOIN accounts ON accounts.user_id = sessions.user_id
    LEFT JOIN memberships ON memberships.user_id = accounts.user_id
    LEFT JOIN teams ON teams.key = memberships.team
    WHERE hash = ?1 AND access_tokens.expires_at > ?2 AND ended_at IS NULL AND flow <> ?3
        AND disabled_at IS NULL
    UNION ALL
    SELECT accounts.user_id, NULL, 'ci_token', ci_tokens.created_at, NULL, NULL, 1 = 1, NULL,
        email, accounts.name, accounts.created_at, label, joined_at, teams.key, team_id, teams.name, role,
        is_private
    FROM ci_tokens JOIN accounts ON accounts.user_id = ci_tokens.user_id
    LEFT JOIN memberships ON memberships.user_id = accounts.user_id AND memberships.team = ci_tokens.team
    LEFT JOIN teams ON teams.key = memberships.team
    WHERE hash = ?1 AND revoked_at IS NULL AND disabled_at IS NULL";

/// The membership in the columns from `at` on, if they have one.
fn membership(row: &SqlRow, at: usize) -> Result<Option<Membership>, StoreError> {
    let Some(key) = row.get(at)? else { return Ok(None) };
    Ok(Some(Membership {
        key,
        team_id: row.get(at + 1)?,
        name: row.get(at + 2)?,
        role: row.get(at + 3)?,
        is_private: row.get(at + 4)?,
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
    Ok(Some(Account {
        user_id: user_id.to_owned(),
        email: account.get(0)?,
        name: account.get(1)?,
        created_at: account.get(2)?,
        disabled_at: account.get(3)?,
        teams: teams.iter().filter_map(|row| membership(row, 0).transpose()).collect::<Result<_, _>>()?,
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
