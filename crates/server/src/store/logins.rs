//! Logins: device requests, authorization codes, sessions.

use super::sql::{Sql, values};
use super::{
    CodeRedemption, DeviceDecision, DeviceDecisionOutcome, DeviceLookup, DevicePoll, DeviceRoom, DeviceStart,
    Guess, NewCode, NewDevice, NewTokens, Refresh, SessionGrant, Store, StoreError, devices, login_throttle,
};
use crate::secret::TokenHash;
use crate::time::UnixMillis;
use data_encoding::HEXLOWER;
use std::time::Duration;

/// Retention of ended rows, so that a late poll or replay still gets the specific error.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Tolerance for a poll before its interval is over: clients and clocks are not exact.
const EARLY: Duration = Duration::from_millis(500);

impl Store {
    /// Records a device request. At a limit, the oldest waiting request that was never opened is ended:
    /// of this address at the limit of the address, of the address with most requests at the total.
    pub(crate) async fn start_device(
        &self,
        device: NewDevice,
        room: DeviceRoom,
    ) -> Result<DeviceStart, StoreError> {
        self.change(move |sql| {
            sql.lock("devices")?;
            forget_ended(sql, device.now)?;
            devices::start(sql, &device, room)
        })
        .await
    }

    /// Finds the valid request of a user code and records that a person opened it. An unknown code counts
    /// as a guess.
    pub(crate) async fn open_device(
        &self,
        user_code: String,
        guess: Guess,
    ) -> Result<DeviceLookup, StoreError> {
        // The read first: an address that must wait costs no commit.
        let waiting = guess.clone();
        match self.query(move |sql| login_throttle::pause(sql, &waiting)).await? {
            Some(pause) => Ok(DeviceLookup::Wait(pause)),
            None => self.change(move |sql| devices::open(sql, &user_code, &guess)).await,
        }
    }

    /// Counts a guess before it is checked, or returns the time it must wait.
    pub(crate) async fn begin_guess(&self, guess: Guess) -> Result<Option<Duration>, StoreError> {
        let waiting = guess.clone();
        match self.query(move |sql| login_throttle::pause(sql, &waiting)).await? {
            Some(pause) => Ok(Some(pause)),
            None => self.change(move |sql| login_throttle::begin(sql, &guess)).await,
        }
    }

    /// Uncounts a guess that was right.
    pub(crate) async fn take_back_guess(&self, guess: Guess) -> Result<(), StoreError> {
        self.change(move |sql| login_throttle::take_back(sql, &guess)).await
    }

    /// Approves or denies a request.
    pub(crate) async fn decide_device(
        &self,
        user_code: String,
        decision: DeviceDecision,
        now: UnixMillis,
    ) -> Result<DeviceDecisionOutcome, StoreError> {
        self.change(move |sql| {
            let user_id = match &decision {
                DeviceDecision::Approve { user_id } => Some(user_id),
                DeviceDecision::Deny => None,
            };
            let decided = sql.execute(
                "UPDATE devices SET decided_at = ?1, user_id = ?2
                 WHERE user_code = ?3 AND expires_at > ?1 AND decided_at IS NULL",
                values![now, user_id, user_code],
            )?;
            if decided == 1 {
                return Ok(DeviceDecisionOutcome::Recorded);
            }
            let query = "SELECT 1 FROM devices WHERE user_code = ?1 AND expires_at > ?2";
            Ok(match sql.exists(query, values![user_code, now])? {
                true => DeviceDecisionOutcome::AlreadyDecided,
                false => DeviceDecisionOutcome::Unknown,
            })
        })
        .await
    }

    /// Polls a device request. An approved request is consumed and becomes a session.
    pub(crate) async fn poll_device(
        &self,
        device_code: TokenHash,
        tokens: NewTokens,
    ) -> Result<DevicePoll, StoreError> {
        self.change(move |sql| poll(sql, device_code, &tokens)).await
    }

    /// Records an authorization code.
    pub(crate) async fn add_code(&self, code: NewCode) -> Result<(), StoreError> {
        self.change(move |sql| {
            forget_ended(sql, code.now)?;
            sql.execute(
                "INSERT INTO codes (hash, user_id, challenge, redirect_uri, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                values![code.code, code.user_id, code.challenge, code.redirect_uri, code.expires_at],
            )?;
            Ok(())
        })
        .await
    }

    /// Exchanges a code for a session, once. A use that fails ends the code; a second use revokes the
    /// session of the first.
    pub(crate) async fn redeem_code(
        &self,
        redemption: CodeRedemption,
        tokens: NewTokens,
    ) -> Result<Option<SessionGrant>, StoreError> {
        self.change(move |sql| redeem(sql, &redemption, &tokens)).await
    }

    /// Rotates a refresh token.
    pub(crate) async fn refresh(
        &self,
        refresh_token: TokenHash,
        tokens: NewTokens,
    ) -> Result<Refresh, StoreError> {
        self.change(move |sql| refresh(sql, refresh_token, &tokens)).await
    }

    /// Ends the session of a refresh or access token. False if there is none.
    pub(crate) async fn revoke(&self, token: TokenHash, now: UnixMillis) -> Result<bool, StoreError> {
        self.change(move |sql| {
            let row = sql.row(
                "SELECT session_id FROM refresh_tokens WHERE hash = ?1
                 UNION ALL SELECT session_id FROM access_tokens WHERE hash = ?1",
                values![token],
            )?;
            let Some(row) = row else { return Ok(false) };
            let session: String = row.get(0)?;
            sql.lock(&session)?;
            end_session(sql, &session, now)?;
            Ok(true)
        })
        .await
    }

    /// Records the use of an access token, which proves that its refresh token has arrived too.
    pub(crate) async fn mark_seen(&self, access_token: TokenHash, now: UnixMillis) -> Result<(), StoreError> {
        self.change(move |sql| {
            let update = "UPDATE access_tokens SET seen_at = ?2 WHERE hash = ?1 AND seen_at IS NULL";
            sql.execute(update, values![access_token, now])?;
            Ok(())
        })
        .await
    }
}

fn poll(sql: &dyn Sql, device_code: TokenHash, tokens: &NewTokens) -> Result<DevicePoll, StoreError> {
    let row = sql.row(
        "SELECT interval_ms, expires_at, polled_at, decided_at IS NOT NULL, user_id, used_at IS NOT NULL,
            machine
         FROM devices WHERE hash = ?1",
        values![device_code],
    )?;
    let Some(row) = row else { return Ok(DevicePoll::Unknown) };
    let (expires_at, is_used): (UnixMillis, bool) = (row.get(1)?, row.get(5)?);
    if is_used || expires_at <= tokens.now {
        return Ok(DevicePoll::Expired);
    }
    let interval = Duration::from_millis(row.get(0)?);
    let polled_at: Option<UnixMillis> = row.get(2)?;
    let is_early = polled_at.is_some_and(|polled| tokens.now.since(polled) + EARLY < interval);
    sql.execute("UPDATE devices SET polled_at = ?2 WHERE hash = ?1", values![device_code, tokens.now])?;
    match (row.get(3)?, row.get::<Option<String>>(4)?) {
        (false, _) if is_early => Ok(DevicePoll::TooSoon),
        (false, _) => Ok(DevicePoll::Pending),
        (true, None) => Ok(DevicePoll::Denied),
        (true, Some(user_id)) => {
            // Of two polls at the same moment one consumes the request.
            let update = "UPDATE devices SET used_at = ?2 WHERE hash = ?1 AND used_at IS NULL";
            if sql.execute(update, values![device_code, tokens.now])? == 0 {
                return Ok(DevicePoll::Expired);
            }
            let machine: String = row.get(6)?;
            let tokens = NewTokens { machine, ..tokens.clone() };
            Ok(DevicePoll::Granted(begin_session(sql, &user_id, "device_code", &tokens)?))
        }
    }
}

fn redeem(
    sql: &dyn Sql,
    redemption: &CodeRedemption,
    tokens: &NewTokens,
) -> Result<Option<SessionGrant>, StoreError> {
    sql.lock(&HEXLOWER.encode(&redemption.code.0))?;
    let row = sql.row(
        "SELECT user_id, challenge, redirect_uri, expires_at, session_id FROM codes WHERE hash = ?1",
        values![redemption.code],
    )?;
    let Some(row) = row else { return Ok(None) };
    if let Some(session) = row.get::<Option<String>>(4)? {
        // The code was used twice, so another party may own the first session (RFC 6749, 4.1.2).
        end_session(sql, &session, tokens.now)?;
        return Ok(None);
    }
    let (user_id, challenge, redirect_uri): (String, String, String) =
        (row.get(0)?, row.get(1)?, row.get(2)?);
    let matches = challenge == redemption.challenge && redirect_uri == redemption.redirect_uri;
    if !matches || row.get::<UnixMillis>(3)? <= tokens.now {
        // Single use, also when it fails: a code must not outlive a guess at its verifier.
        sql.execute("DELETE FROM codes WHERE hash = ?1", values![redemption.code])?;
        return Ok(None);
    }
    let grant = begin_session(sql, &user_id, "authorization_code", tokens)?;
    let update = "UPDATE codes SET session_id = ?2 WHERE hash = ?1";
    sql.execute(update, values![redemption.code, grant.session_id])?;
    Ok(Some(grant))
}

/// Rotates a refresh token. The previous token is accepted in two cases: within the grace period it is a
/// harmless replay (two processes refreshed at once); later, if its successor was never used, the answer
/// was lost and the rotation is repeated. In any other case two parties own the session, and it ends.
fn refresh(sql: &dyn Sql, hash: TokenHash, tokens: &NewTokens) -> Result<Refresh, StoreError> {
    let query = "SELECT session_id FROM refresh_tokens WHERE hash = ?1";
    let Some(row) = sql.row(query, values![hash])? else { return Ok(Refresh::Invalid) };
    let session: String = row.get(0)?;
    sql.lock(&session)?;
    let row = sql.row(
        "SELECT refresh_tokens.generation, expires_at, used_at, sessions.generation,
            ended_at IS NOT NULL OR (SELECT disabled_at IS NOT NULL FROM accounts
                                     WHERE accounts.user_id = sessions.user_id)
         FROM refresh_tokens JOIN sessions USING (session_id) WHERE hash = ?1",
        values![hash],
    )?;
    let Some(row) = row else { return Ok(Refresh::Invalid) };
    let (generation, current): (i64, i64) = (row.get(0)?, row.get(3)?);
    if row.get(4)? {
        return Ok(Refresh::SessionEnded);
    }
    if row.get::<UnixMillis>(1)? <= tokens.now {
        return Ok(Refresh::Invalid);
    }
    let used_at: Option<UnixMillis> = row.get(2)?;
    if let Some(used_at) = used_at {
        if generation + 1 == current && tokens.now.since(used_at) < tokens.replay_grace {
            return Ok(Refresh::BenignReplay);
        }
        if generation + 1 != current || has_arrived(sql, &session, current)? {
            end_session(sql, &session, tokens.now)?;
            return Ok(Refresh::SessionEnded);
        }
    }
    sql.execute(
        "UPDATE refresh_tokens SET used_at = ?2 WHERE session_id = ?1 AND used_at IS NULL OR hash = ?3",
        values![session, tokens.now, hash],
    )?;
    sql.execute(
        "DELETE FROM access_tokens WHERE session_id = ?1 AND expires_at <= ?2",
        values![session, tokens.now],
    )?;
    if used_at.is_some() {
        // The new tokens replace the lost successor under its number.
        for table in ["refresh_tokens", "access_tokens"] {
            sql.execute(
                &format!("DELETE FROM {table} WHERE session_id = ?1 AND generation = ?2"),
                values![session, current],
            )?;
        }
    }
    let next = generation + 1;
    sql.execute("UPDATE sessions SET generation = ?2 WHERE session_id = ?1", values![session, next])?;
    Ok(Refresh::Rotated(add_tokens(sql, session, next, tokens)?))
}

/// Whether a token of this generation was ever used.
fn has_arrived(sql: &dyn Sql, session: &str, generation: i64) -> Result<bool, StoreError> {
    sql.exists(
        "SELECT 1 FROM access_tokens WHERE session_id = ?1 AND generation = ?2 AND seen_at IS NOT NULL
         UNION ALL
         SELECT 1 FROM refresh_tokens WHERE session_id = ?1 AND generation = ?2 AND used_at IS NOT NULL",
        values![session, generation],
    )
}

fn begin_session(
    sql: &dyn Sql,
    user_id: &str,
    flow: &str,
    tokens: &NewTokens,
) -> Result<SessionGrant, StoreError> {
    sql.execute(
        "INSERT INTO sessions (session_id, user_id, flow, created_at, generation, machine)
         VALUES (?1, ?2, ?3, ?4, 1, ?5)",
        values![tokens.session_id, user_id, flow, tokens.now, tokens.machine],
    )?;
    add_tokens(sql, tokens.session_id.clone(), 1, tokens)
}

fn add_tokens(
    sql: &dyn Sql,
    session_id: String,
    generation: i64,
    tokens: &NewTokens,
) -> Result<SessionGrant, StoreError> {
    let new = [
        ("access_tokens", tokens.access, tokens.access_expires_at),
        ("refresh_tokens", tokens.refresh, tokens.refresh_expires_at),
    ];
    for (table, hash, expires_at) in new {
        sql.execute(
            &format!(
                "INSERT INTO {table} (hash, session_id, generation, expires_at) VALUES (?1, ?2, ?3, ?4)"
            ),
            values![hash, session_id, generation, expires_at],
        )?;
    }
    Ok(SessionGrant { session_id, generation: u64::try_from(generation).unwrap_or(0) })
}

fn end_session(sql: &dyn Sql, session: &str, now: UnixMillis) -> Result<(), StoreError> {
    sql.execute(
        "UPDATE sessions SET ended_at = coalesce(ended_at, ?2) WHERE session_id = ?1",
        values![session, now],
    )?;
    sql.execute("DELETE FROM access_tokens WHERE session_id = ?1", values![session])?;
    Ok(())
}

/// Removes device requests and codes that ended long ago.
fn forget_ended(sql: &dyn Sql, now: UnixMillis) -> Result<(), StoreError> {
    let before = now.before(KEPT);
    sql.execute("DELETE FROM devices WHERE expires_at < ?1", values![before])?;
    sql.execute("DELETE FROM codes WHERE expires_at < ?1", values![before])?;
    Ok(())
}
