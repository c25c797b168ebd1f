//! Sessions of browsers.
//!
//! They are rows of `sessions` with a flow of their own, and the hash of the cookie is an access token that no refresh
//! renews: so they are listed, revoked, copied and erased as every session is. Neither is taken for the other.

use super::accounts::live_account;
use super::sql::{Sql, values};
use super::{BrowserSession, NewBrowserSession, Store, StoreError};
use crate::secret::TokenHash;
use crate::time::UnixMillis;

/// The flow of these sessions.
pub(super) const BROWSER: &str = "browser";

impl Store {
    /// Begins a session, and deletes those of the account that have ended.
    pub(crate) async fn begin_browser_session(&self, new: NewBrowserSession) -> Result<(), StoreError> {
        self.change(move |sql| {
            forget_ended(sql, &new.user_id, new.now)?;
            sql.execute(
                "INSERT INTO sessions (session_id, user_id, flow, created_at, generation, machine)
                 VALUES (?1, ?2, ?3, ?4, 1, ?5)",
                values![new.session_id, new.user_id, BROWSER, new.now, new.machine],
            )?;
            sql.execute(
                "INSERT INTO access_tokens (hash, session_id, generation, expires_at, seen_at)
                 VALUES (?1, ?2, 1, ?3, ?4)",
                values![new.cookie, new.session_id, new.expires_at, new.now],
            )?;
            Ok(())
        })
        .await
    }

    /// The session of a cookie, if it and the account are valid at `now`.
    pub(crate) async fn browser_session(
        &self,
        cookie: TokenHash,
        now: UnixMillis,
    ) -> Result<Option<BrowserSession>, StoreError> {
        self.query(move |sql| {
            let row = sql.row(
                "SELECT user_id, session_id, created_at, seen_at FROM access_tokens JOIN sessions USING (session_id)
                 WHERE hash = ?1 AND expires_at > ?2 AND ended_at IS NULL AND flow = ?3",
                values![cookie, now, BROWSER],
            )?;
            let Some(row) = row else { return Ok(None) };
            let Some(account) = live_account(sql, &row.get::<String>(0)?)? else { return Ok(None) };
            let (session_id, created_at, used_at) = (row.get(1)?, row.get(2)?, row.get(3)?);
            Ok(Some(BrowserSession { account, session_id, created_at, used_at }))
        })
        .await
    }

    /// Records a use, which moves the end of the session.
    pub(crate) async fn use_browser_session(
        &self,
        cookie: TokenHash,
        now: UnixMillis,
        expires_at: UnixMillis,
    ) -> Result<(), StoreError> {
        self.change(move |sql| {
            let update =
                "UPDATE access_tokens SET seen_at = ?2, expires_at = ?3 WHERE hash = ?1 AND expires_at > ?2";
            sql.execute(update, values![cookie, now, expires_at])?;
            Ok(())
        })
        .await
    }
}

fn forget_ended(sql: &dyn Sql, user_id: &str, now: UnixMillis) -> Result<(), StoreError> {
    sql.execute(
        "DELETE FROM access_tokens WHERE expires_at <= ?2
           AND session_id IN (SELECT session_id FROM sessions WHERE user_id = ?1 AND flow = ?3)",
        values![user_id, now, BROWSER],
    )?;
    sql.execute(
        "DELETE FROM sessions WHERE user_id = ?1 AND flow = ?2
           AND NOT EXISTS (SELECT 1 FROM access_tokens WHERE access_tokens.session_id = sessions.session_id)",
        values![user_id, BROWSER],
    )?;
    Ok(())
}
