//! Logins in SQLite.

use super::{SqliteStore, devices, login_throttle};
use crate::secret::TokenHash;
use crate::store::{
    CodeRedemption, DeviceDecision, DeviceDecisionOutcome, DeviceLookup, DevicePoll, DeviceRoom, DeviceStart,
    Guess, LoginStore, NewCode, NewDevice, NewTokens, Refresh, SessionGrant, StoreError, StoreFuture,
};
use crate::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension, params};
use std::time::Duration;

/// Retention of ended rows, so that a late poll or replay still gets the specific error.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Tolerance for a poll before its interval is over: clients and clocks are not exact.
const EARLY: Duration = Duration::from_millis(500);

impl LoginStore for SqliteStore {
    fn start_device(&self, device: NewDevice, room: DeviceRoom) -> StoreFuture<'_, DeviceStart> {
        self.change(move |connection| {
            forget_ended(connection, device.now)?;
            devices::start(connection, &device, room)
        })
    }

    fn open_device(&self, user_code: String, guess: Guess) -> StoreFuture<'_, DeviceLookup> {
        Box::pin(async move {
            // The read first: an address that must wait costs no commit.
            let waiting = guess.clone();
            let pause = self.query(move |connection| login_throttle::pause(connection, &waiting)).await?;
            match pause {
                Some(pause) => Ok(DeviceLookup::Wait(pause)),
                None => self.change(move |connection| devices::open(connection, &user_code, &guess)).await,
            }
        })
    }

    fn begin_guess(&self, guess: Guess) -> StoreFuture<'_, Option<Duration>> {
        Box::pin(async move {
            let waiting = guess.clone();
            let pause = self.query(move |connection| login_throttle::pause(connection, &waiting)).await?;
            match pause {
                Some(pause) => Ok(Some(pause)),
                None => self.change(move |connection| login_throttle::begin(connection, &guess)).await,
            }
        })
    }

    fn take_back_guess(&self, guess: Guess) -> StoreFuture<'_, ()> {
        self.change(move |connection| login_throttle::take_back(connection, &guess))
    }

    fn decide_device(
        &self,
        user_code: String,
        decision: DeviceDecision,
        now: UnixMillis,
    ) -> StoreFuture<'_, DeviceDecisionOutcome> {
        self.change(move |connection| {
            let decided: Option<bool> = connection
                .query_row(
                    "SELECT decided_at IS NOT NULL FROM devices WHERE user_code = ?1 AND expires_at > ?2",
                    params![user_code, now],
                    |row| row.get(0),
                )
                .optional()?;
            match decided {
                None => return Ok(DeviceDecisionOutcome::Unknown),
                Some(true) => return Ok(DeviceDecisionOutcome::AlreadyDecided),
                Some(false) => {}
            }
            let user_id = match &decision {
                DeviceDecision::Approve { user_id } => Some(user_id),
                DeviceDecision::Deny => None,
            };
            connection.execute(
                "UPDATE devices SET decided_at = ?1, user_id = ?2 WHERE user_code = ?3",
                params![now, user_id, user_code],
            )?;
            Ok(DeviceDecisionOutcome::Recorded)
        })
    }

    fn poll_device(&self, device_code: TokenHash, tokens: NewTokens) -> StoreFuture<'_, DevicePoll> {
        self.change(move |connection| poll(connection, device_code, &tokens))
    }

    fn add_code(&self, code: NewCode) -> StoreFuture<'_, ()> {
        self.change(move |connection| {
            forget_ended(connection, code.now)?;
            connection.execute(
                "INSERT INTO codes (hash, user_id, challenge, redirect_uri, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![code.code, code.user_id, code.challenge, code.redirect_uri, code.expires_at],
            )?;
            Ok(())
        })
    }

    fn redeem_code(
        &self,
        redemption: CodeRedemption,
        tokens: NewTokens,
    ) -> StoreFuture<'_, Option<SessionGrant>> {
        self.change(move |connection| redeem(connection, &redemption, &tokens))
    }

    fn refresh(&self, refresh_token: TokenHash, tokens: NewTokens) -> StoreFuture<'_, Refresh> {
        self.change(move |connection| refresh(connection, refresh_token, &tokens))
    }

    fn revoke(&self, token: TokenHash, now: UnixMillis) -> StoreFuture<'_, bool> {
        self.change(move |connection| {
            let session: Option<String> = connection
                .query_row(
                    "SELECT session_id FROM refresh_tokens WHERE hash = ?1
                     UNION ALL SELECT session_id FROM access_tokens WHERE hash = ?1",
                    params![token],
                    |row| row.get(0),
                )
                .optional()?;
            let Some(session) = session else { return Ok(false) };
            end_session(connection, &session, now)?;
            Ok(true)
        })
    }

    fn mark_seen(&self, access_token: TokenHash, now: UnixMillis) -> StoreFuture<'_, ()> {
        self.change(move |connection| {
            connection.execute(
                "UPDATE access_tokens SET seen_at = ?2 WHERE hash = ?1 AND seen_at IS NULL",
                params![access_token, now],
            )?;
            Ok(())
        })
    }
}

fn poll(
    connection: &Connection,
    device_code: TokenHash,
    tokens: &NewTokens,
) -> Result<DevicePoll, StoreError> {
    let row = connection
        .query_row(
            "SELECT interval_ms, expires_at, polled_at, decided_at, user_id, used_at FROM devices WHERE hash = ?1",
            params![device_code],
            |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, UnixMillis>(1)?,
                    row.get::<_, Option<UnixMillis>>(2)?,
                    row.get::<_, Option<i64>>(3)?.is_some(),
                    row.get::<_, Option<String>>(4)?,
                    row.get::<_, Option<i64>>(5)?.is_some(),
                ))
            },
        )
        .optional()?;
    let Some((interval, expires_at, polled_at, is_decided, user_id, is_used)) = row else {
        return Ok(DevicePoll::Unknown);
    };
    if is_used || expires_at <= tokens.now {
        return Ok(DevicePoll::Expired);
    }
    let interval = Duration::from_millis(u64::try_from(interval).unwrap_or(0));
    let is_early = polled_at.is_some_and(|polled| tokens.now.since(polled) + EARLY < interval);
    connection
        .execute("UPDATE devices SET polled_at = ?2 WHERE hash = ?1", params![device_code, tokens.now])?;
    match (is_decided, user_id) {
        (false, _) if is_early => Ok(DevicePoll::TooSoon),
        (false, _) => Ok(DevicePoll::Pending),
        (true, None) => Ok(DevicePoll::Denied),
        (true, Some(user_id)) => {
            connection.execute(
                "UPDATE devices SET used_at = ?2 WHERE hash = ?1",
                params![device_code, tokens.now],
            )?;
            Ok(DevicePoll::Granted(begin_session(connection, &user_id, "device_code", tokens)?))
        }
    }
}

fn redeem(
    connection: &Connection,
    redemption: &CodeRedemption,
    tokens: &NewTokens,
) -> Result<Option<SessionGrant>, StoreError> {
    let row: Option<(String, String, String, UnixMillis, Option<String>)> = connection
        .query_row(
            "SELECT user_id, challenge, redirect_uri, expires_at, session_id FROM codes WHERE hash = ?1",
            params![redemption.code],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
        )
        .optional()?;
    let Some((user_id, challenge, redirect_uri, expires_at, used_by)) = row else { return Ok(None) };
    if let Some(session) = used_by {
        // The code was used twice, so another party may own the first session (RFC 6749, 4.1.2).
        end_session(connection, &session, tokens.now)?;
        return Ok(None);
    }
    let matches = challenge == redemption.challenge && redirect_uri == redemption.redirect_uri;
    if !matches || expires_at <= tokens.now {
        // Single use, also when it fails: a code must not outlive a guess at its verifier.
        connection.execute("DELETE FROM codes WHERE hash = ?1", params![redemption.code])?;
        return Ok(None);
    }
    let grant = begin_session(connection, &user_id, "authorization_code", tokens)?;
    connection.execute(
        "UPDATE codes SET session_id = ?2 WHERE hash = ?1",
        params![redemption.code, grant.session_id],
    )?;
    Ok(Some(grant))
}

/// Rotates a refresh token. The previous token is accepted in two cases: within the grace period it is a
/// harmless replay (two processes refreshed at once); later, if its successor was never used, the answer
/// was lost and the rotation is repeated. In any other case two parties own the session, and it ends.
fn refresh(connection: &Connection, hash: TokenHash, tokens: &NewTokens) -> Result<Refresh, StoreError> {
    let row: Option<(String, i64, UnixMillis, Option<UnixMillis>, i64, bool)> = connection
        .query_row(
            "SELECT session_id, refresh_tokens.generation, expires_at, used_at, sessions.generation,
                ended_at IS NOT NULL OR (SELECT disabled_at IS NOT NULL FROM accounts
                                         WHERE accounts.user_id = sessions.user_id)
             FROM refresh_tokens JOIN sessions USING (session_id) WHERE hash = ?1",
            params![hash],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)),
        )
        .optional()?;
    let Some((session, generation, expires_at, used_at, current, is_ended)) = row else {
        return Ok(Refresh::Invalid);
    };
    if is_ended {
        return Ok(Refresh::SessionEnded);
    }
    if expires_at <= tokens.now {
        return Ok(Refresh::Invalid);
    }
    if let Some(used_at) = used_at {
        if generation + 1 == current && tokens.now.since(used_at) < tokens.replay_grace {
            return Ok(Refresh::BenignReplay);
        }
        if generation + 1 != current || has_arrived(connection, &session, current)? {
            end_session(connection, &session, tokens.now)?;
            return Ok(Refresh::SessionEnded);
        }
    }
    connection.execute(
        "UPDATE refresh_tokens SET used_at = ?2 WHERE session_id = ?1 AND used_at IS NULL OR hash = ?3",
        params![session, tokens.now, hash],
    )?;
    connection.execute(
        "DELETE FROM access_tokens WHERE session_id = ?1 AND expires_at <= ?2",
        params![session, tokens.now],
    )?;
    if used_at.is_some() {
        // The new tokens replace the lost successor under its number.
        connection.execute(
            "DELETE FROM refresh_tokens WHERE session_id = ?1 AND generation = ?2",
            params![session, current],
        )?;
        connection.execute(
            "DELETE FROM access_tokens WHERE session_id = ?1 AND generation = ?2",
            params![session, current],
        )?;
    }
    let next = generation + 1;
    connection
        .execute("UPDATE sessions SET generation = ?2 WHERE session_id = ?1", params![session, next])?;
    Ok(Refresh::Rotated(add_tokens(connection, session, next, tokens)?))
}

/// Whether a token of this generation was ever used.
fn has_arrived(connection: &Connection, session: &str, generation: i64) -> Result<bool, StoreError> {
    Ok(connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM access_tokens
                        WHERE session_id = ?1 AND generation = ?2 AND seen_at IS NOT NULL)
             OR EXISTS (SELECT 1 FROM refresh_tokens
                        WHERE session_id = ?1 AND generation = ?2 AND used_at IS NOT NULL)",
        params![session, generation],
        |row| row.get(0),
    )?)
}

fn begin_session(
    connection: &Connection,
    user_id: &str,
    flow: &str,
    tokens: &NewTokens,
) -> Result<SessionGrant, StoreError> {
    connection.execute(
        "INSERT INTO sessions (session_id, user_id, flow, created_at, generation) VALUES (?1, ?2, ?3, ?4, 1)",
        params![tokens.session_id, user_id, flow, tokens.now],
    )?;
    add_tokens(connection, tokens.session_id.clone(), 1, tokens)
}

fn add_tokens(
    connection: &Connection,
    session_id: String,
    generation: i64,
    tokens: &NewTokens,
) -> Result<SessionGrant, StoreError> {
    connection.execute(
        "INSERT INTO access_tokens (hash, session_id, generation, expires_at) VALUES (?1, ?2, ?3, ?4)",
        params![tokens.access, session_id, generation, tokens.access_expires_at],
    )?;
    connection.execute(
        "INSERT INTO refresh_tokens (hash, session_id, generation, expires_at) VALUES (?1, ?2, ?3, ?4)",
        params![tokens.refresh, session_id, generation, tokens.refresh_expires_at],
    )?;
    Ok(SessionGrant { session_id, generation: u64::try_from(generation).unwrap_or(0) })
}

fn end_session(connection: &Connection, session: &str, now: UnixMillis) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE sessions SET ended_at = coalesce(ended_at, ?2) WHERE session_id = ?1",
        params![session, now],
    )?;
    connection.execute("DELETE FROM access_tokens WHERE session_id = ?1", params![session])?;
    Ok(())
}

/// Removes device requests and codes that ended long ago.
fn forget_ended(connection: &Connection, now: UnixMillis) -> Result<(), StoreError> {
    let before = now.before(KEPT);
    connection.execute("DELETE FROM devices WHERE expires_at < ?1", [before])?;
    connection.execute("DELETE FROM codes WHERE expires_at < ?1", [before])?;
    Ok(())
}
