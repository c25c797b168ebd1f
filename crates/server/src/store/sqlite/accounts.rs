//! Accounts, teams and machine tokens in SQLite.

use super::SqliteStore;
use crate::secret::TokenHash;
use crate::store::{
    Account, AccountStore, CiTokenRecord, Membership, NewAccount, NewCiToken, Principal, StoreError,
    StoreFuture, TeamKey,
};
use crate::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension, Row, params};

impl AccountStore for SqliteStore {
    fn create_account(&self, account: NewAccount) -> StoreFuture<'_, Account> {
        self.change(move |connection| {
            let key = email_key(&account.email);
            let taken =
                connection.prepare_cached("SELECT 1 FROM accounts WHERE email_key = ?1")?.exists([&key])?;
            if taken {
                return Err(StoreError::AccountExists);
            }
            connection.execute(
                "INSERT INTO accounts (user_id, email, email_key, name, secret_hash, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![account.user_id, account.email, key, account.name, account.secret_hash, account.now],
            )?;
            // Ids of teams are compared without case; the spelling of the first account stays.
            let is_new = connection.execute(
                "INSERT INTO teams (team_id, name, is_private, created_at) SELECT ?1, ?2, 1, ?3
                 WHERE NOT EXISTS (SELECT 1 FROM teams WHERE team_id = ?1 COLLATE NOCASE)",
                params![account.team_id, account.team_name, account.now],
            )? == 1;
            connection.execute(
                "INSERT INTO memberships (team, user_id, role, joined_at) SELECT key, ?1, ?2, ?4 FROM teams
                 WHERE team_id = ?3 COLLATE NOCASE ORDER BY team_id <> ?3, key LIMIT 1",
                params![
                    account.user_id,
                    if is_new { "owner" } else { "member" },
                    account.team_id,
                    account.now
                ],
            )?;
            account_by_id(connection, &account.user_id)?.ok_or(StoreError::NoAccount)
        })
    }

    fn replace_secret(&self, email: String, secret_hash: String) -> StoreFuture<'_, ()> {
        self.change(move |connection| {
            let changed = connection.execute(
                "UPDATE accounts SET secret_hash = ?1 WHERE email_key = ?2",
                params![secret_hash, email_key(&email)],
            )?;
            if changed == 1 { Ok(()) } else { Err(StoreError::NoAccount) }
        })
    }

    fn accounts(&self) -> StoreFuture<'_, Vec<Account>> {
        self.query(|connection| {
            let mut ids =
                connection.prepare_cached("SELECT user_id FROM accounts ORDER BY created_at, user_id")?;
            let ids: Vec<String> = ids.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            let mut accounts = Vec::with_capacity(ids.len());
            for id in ids {
                accounts.extend(account_by_id(connection, &id)?);
            }
            Ok(accounts)
        })
    }

    fn account_secret(&self, email: String) -> StoreFuture<'_, Option<(Account, String)>> {
        self.query(move |connection| {
            let found: Option<(String, String)> = connection
                .prepare_cached(
                    "SELECT user_id, secret_hash FROM accounts WHERE email_key = ?1 AND disabled_at IS NULL",
                )?
                .query_row([email_key(&email)], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((user_id, hash)) = found else { return Ok(None) };
            Ok(account_by_id(connection, &user_id)?.map(|account| (account, hash)))
        })
    }

    fn add_ci_token(&self, token: NewCiToken) -> StoreFuture<'_, CiTokenRecord> {
        self.change(move |connection| {
            let owner: Option<(String, String)> = connection
                .query_row(
                    "SELECT user_id, email FROM accounts WHERE email_key = ?1 AND disabled_at IS NULL",
                    [email_key(&token.email)],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            let (user_id, email) = owner.ok_or(StoreError::NoAccount)?;
            let team: Option<(i64, String)> = connection
                .query_row(
                    "SELECT team, team_id FROM memberships JOIN teams ON teams.key = team
                     WHERE user_id = ?1 AND team_id = ?2 COLLATE NOCASE AND is_private = 1
                     ORDER BY team_id <> ?2, team LIMIT 1",
                    [&user_id, &token.team_id],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            let (team, team_id) = team.ok_or(StoreError::NoMembership)?;
            connection.execute(
                "INSERT INTO ci_tokens (id, hash, user_id, team, label, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![token.id, token.hash, user_id, team, token.label, token.now],
            )?;
            Ok(CiTokenRecord {
                id: token.id,
                email,
                team_id,
                label: token.label,
                created_at: token.now,
                revoked_at: None,
            })
        })
    }

    fn ci_tokens(&self) -> StoreFuture<'_, Vec<CiTokenRecord>> {
        self.query(|connection| {
            let mut rows = connection.prepare_cached(
                "SELECT ci_tokens.id, email, team_id, label, ci_tokens.created_at, revoked_at FROM ci_tokens
                 JOIN accounts USING (user_id) JOIN teams ON teams.key = team ORDER BY ci_tokens.created_at, 1",
            )?;
            let records = rows.query_map([], |row| {
                Ok(CiTokenRecord {
                    id: row.get(0)?,
                    email: row.get(1)?,
                    team_id: row.get(2)?,
                    label: row.get(3)?,
                    created_at: row.get(4)?,
                    revoked_at: row.get::<_, Option<UnixMillis>>(5)?,
                })
            })?;
            Ok(records.collect::<Result<_, _>>()?)
        })
    }

    fn revoke_ci_token(&self, id: String) -> StoreFuture<'_, bool> {
        self.change(move |connection| {
            let changed = connection.execute(
                "UPDATE ci_tokens SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL",
                params![id, UnixMillis::now().0],
            )?;
            Ok(changed == 1)
        })
    }

    fn principal(&self, token: TokenHash, now: UnixMillis) -> StoreFuture<'_, Option<Principal>> {
        self.query(move |connection| match session_principal(connection, token, now)? {
            Some(principal) => Ok(Some(principal)),
            None => machine_principal(connection, token),
        })
    }
}

fn session_principal(
    connection: &Connection,
    token: TokenHash,
    now: UnixMillis,
) -> Result<Option<Principal>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT user_id, session_id, flow, created_at, access_tokens.expires_at, sessions.generation, seen_at,
            (SELECT max(expires_at) FROM refresh_tokens
             WHERE refresh_tokens.session_id = sessions.session_id
               AND refresh_tokens.generation = sessions.generation)
         FROM access_tokens JOIN sessions USING (session_id)
         WHERE hash = ?1 AND access_tokens.expires_at > ?2 AND ended_at IS NULL",
    )?;
    let row = |row: &Row<'_>| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, String>(2)?,
            row.get(3)?,
            row.get(4)?,
            row.get::<_, i64>(5)?,
            row.get::<_, Option<i64>>(6)?.is_some(),
            row.get::<_, Option<UnixMillis>>(7)?,
        ))
    };
    let found = statement.query_row(params![token, now], row).optional()?;
    let Some((user_id, session_id, flow, began, access_expires_at, generation, is_seen, refresh_expires_at)) =
        found
    else {
        return Ok(None);
    };
    let Some(account) = live_account(connection, &user_id)? else { return Ok(None) };
    Ok(Some(Principal {
        account,
        session_id: Some(session_id),
        flow,
        authenticated_at: began,
        access_expires_at: Some(access_expires_at),
        refresh_expires_at,
        generation: u64::try_from(generation).ok(),
        is_seen,
    }))
}

fn machine_principal(connection: &Connection, token: TokenHash) -> Result<Option<Principal>, StoreError> {
    let found: Option<(String, i64, i64)> = connection
        .prepare_cached(
            "SELECT user_id, team, created_at FROM ci_tokens WHERE hash = ?1 AND revoked_at IS NULL",
        )?
        .query_row(params![token], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((user_id, team, created_at)) = found else { return Ok(None) };
    let Some(mut account) = live_account(connection, &user_id)? else { return Ok(None) };
    account.teams.retain(|membership| membership.key == TeamKey(team));
    Ok(Some(Principal {
        account,
        session_id: None,
        flow: "ci_token".to_owned(),
        authenticated_at: UnixMillis(created_at),
        access_expires_at: None,
        refresh_expires_at: None,
        generation: None,
        is_seen: true,
    }))
}

fn live_account(connection: &Connection, user_id: &str) -> Result<Option<Account>, StoreError> {
    let is_live = connection
        .prepare_cached("SELECT 1 FROM accounts WHERE user_id = ?1 AND disabled_at IS NULL")?
        .exists([user_id])?;
    if is_live { account_by_id(connection, user_id) } else { Ok(None) }
}

fn account_by_id(connection: &Connection, user_id: &str) -> Result<Option<Account>, StoreError> {
    let mut teams = connection.prepare_cached(
        "SELECT key, team_id, name, role, is_private FROM memberships JOIN teams ON teams.key = team
         WHERE user_id = ?1 ORDER BY is_private DESC, joined_at, key",
    )?;
    let teams: Vec<Membership> = teams
        .query_map([user_id], |row| {
            Ok(Membership {
                key: row.get(0)?,
                team_id: row.get(1)?,
                name: row.get(2)?,
                role: row.get(3)?,
                is_private: row.get(4)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    let account = connection
        .prepare_cached("SELECT email, name, created_at FROM accounts WHERE user_id = ?1")?
        .query_row([user_id], |row| {
            Ok(Account {
                user_id: user_id.to_owned(),
                email: row.get(0)?,
                name: row.get(1)?,
                teams,
                created_at: row.get(2)?,
            })
        })
        .optional()?;
    Ok(account)
}

/// E-mail addresses are compared trimmed and without case, as scopes are.
fn email_key(email: &str) -> String {
    contract::scope::trim(email).to_lowercase()
}
