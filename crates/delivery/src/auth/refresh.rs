//! Refresh of the access token: one transaction under the machine-wide refresh lock.
//!
//! Every process of this home, the reference's included, uses the same lock file. Under the lock the stored
//! session is read again first, so the second process adopts the tokens of the first.
//!
//! Invariants. A session is adopted only when it belongs to the account of the caller. A session that changed during
//! the request is neither overwritten nor deleted; if only its team changed, it gets the new tokens and keeps the
//! team. The lock is held for at most two requests. A refresh token is sent only to its issuer, which the caller
//! names.

use super::me::plan_refreshed;
use super::oauth::{OAuth, OAuthFailure};
use crate::context::DeliveryContext;
use crate::server_address::ServerAddress;
use contract::wire::oauth::error_code;
use identity::session::SessionWriteError;
use identity::{Session, SessionError, SessionStore};
use jiff::SignedDuration;
use std::thread;
use std::time::Duration;
use system::{FileLock, LockError};

/// An access token with less than this left counts as expired.
pub(crate) const ACCESS_MARGIN: SignedDuration = SignedDuration::from_secs(5);
/// Longest wait for another refresh.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest pause after a benign replay.
const REPLAY_PAUSE: Duration = Duration::from_secs(2);

/// Usable session, by its source.
#[derive(Clone, Debug)]
pub enum Refreshed {
    /// Another process had refreshed meanwhile; nothing was sent.
    Adopted(Session),
    /// The server renewed it.
    Renewed(Session),
}

/// Reason why there is no usable session.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// A logout happened meanwhile.
    #[error("you were logged out meanwhile")]
    LoggedOut,
    /// The stored session belongs to another account now.
    #[error("another account is logged in now")]
    IdentityChanged,
    /// The server does not accept the session any more; it was deleted.
    #[error("the login has ended; log in again")]
    Ended,
    /// Another process holds the refresh lock.
    #[error(transparent)]
    Busy(#[from] LockError),
    /// It may work a little later: nothing was changed.
    #[error("the login could not be refreshed now: {0}")]
    Later(String),
    /// The server's answer.
    #[error(transparent)]
    OAuth(OAuthFailure),
    /// The stored session cannot be read.
    #[error(transparent)]
    Unreadable(#[from] SessionError),
    /// The session cannot be stored.
    #[error(transparent)]
    Store(#[from] SessionWriteError),
}

/// Gets a session with a valid access token, newer than `held`. `server` is the issuer of its tokens;
/// `is_ours`: whether a session belongs to the account that the caller works for.
///
/// # Errors
/// See [`RefreshError`].
pub fn refresh(
    context: &DeliveryContext,
    server: &ServerAddress,
    held: &Session,
    is_ours: &dyn Fn(&Session) -> bool,
) -> Result<Refreshed, RefreshError> {
    let store = context.sessions();
    let lock = FileLock::acquire(&context.home.refresh_lock(), PATIENCE, "the login's refresh");
    let mut lock = match lock {
        Ok(lock) => lock,
        // The holder may have finished writing without having released the lock.
        Err(busy) => return adopt_newer(&store, held, is_ours)?.ok_or(RefreshError::Busy(busy)),
    };
    // The record is only used in the message of a waiting process.
    let _ = lock.record_holder(&context.version);
    if let Some(adopted) = adopt_newer(&store, held, is_ours)? {
        return Ok(adopted);
    }
    let oauth = OAuth { client: &context.client, server };
    let stored = read_ours(&store, is_ours)?;
    match send(&store, oauth, &stored, is_ours)? {
        RefreshAttempt::Done(refreshed) => Ok(*refreshed),
        RefreshAttempt::Replayed { pause } => {
            thread::sleep(pause);
            retry_after_replay(&store, oauth, &stored, is_ours)
        }
        RefreshAttempt::Rejected => settle_rejection(&store, &stored, is_ours),
        RefreshAttempt::Overtaken => adopt_valid(&store, is_ours),
    }
}

fn read_ours(store: &SessionStore, is_ours: &dyn Fn(&Session) -> bool) -> Result<Session, RefreshError> {
    let session = store.read()?.ok_or(RefreshError::LoggedOut)?;
    if is_ours(&session) { Ok(session) } else { Err(RefreshError::IdentityChanged) }
}

/// The stored session, when it is another one than `held` and still valid.
fn adopt_newer(
    store: &SessionStore,
    held: &Session,
    is_ours: &dyn Fn(&Session) -> bool,
) -> Result<Option<Refreshed>, RefreshError> {
    let stored = read_ours(store, is_ours)?;
    let newer = !same_tokens(&stored, held) && is_valid(&stored);
    Ok(newer.then_some(Refreshed::Adopted(stored)))
}

enum RefreshAttempt {
    Done(Box<Refreshed>),
    Replayed {
        pause: Duration,
    },
    Rejected,
    /// The stored session changed while the request was under way.
    Overtaken,
}

/// One request, and the write that follows a success.
fn send(
    store: &SessionStore,
    oauth: OAuth<'_>,
    stored: &Session,
    is_ours: &dyn Fn(&Session) -> bool,
) -> Result<RefreshAttempt, RefreshError> {
    match oauth.send_refresh(stored.refresh_token.expose()) {
        Ok(grant) => {
            // Applied to the session as it is now: a team chosen while the request was under way stays.
            let renewed = store.update(|now| {
                same_tokens(now, stored).then(|| plan_refreshed(now, grant, system::clock::now()))
            })?;
            match renewed {
                Some(renewed) if is_ours(&renewed) => {
                    Ok(RefreshAttempt::Done(Box::new(Refreshed::Renewed(renewed))))
                }
                Some(_) => Err(RefreshError::IdentityChanged),
                // A logout or a new login during the request is kept.
                None => Ok(RefreshAttempt::Overtaken),
            }
        }
        Err(OAuthFailure::Refused { status: 409, code, retry_after, .. })
            if code == error_code::REFRESH_REPLAY =>
        {
            let pause = Duration::from_secs(retry_after.unwrap_or(0)).min(REPLAY_PAUSE);
            Ok(RefreshAttempt::Replayed { pause })
        }
        Err(OAuthFailure::Refused { status: 400 | 401, code, .. })
            if code == error_code::INVALID_GRANT || code == error_code::SESSION_INVALID =>
        {
            Ok(RefreshAttempt::Rejected)
        }
        Err(failure) => Err(RefreshError::OAuth(failure)),
    }
}

/// The token was rotated a moment ago: the stored one is newer by now, or nothing can be done here.
fn retry_after_replay(
    store: &SessionStore,
    oauth: OAuth<'_>,
    sent: &Session,
    is_ours: &dyn Fn(&Session) -> bool,
) -> Result<Refreshed, RefreshError> {
    let later = || RefreshError::Later("the login was refreshed a moment ago by another process".to_owned());
    let stored = read_ours(store, is_ours)?;
    if same_tokens(&stored, sent) {
        return Err(later());
    }
    if is_valid(&stored) {
        return Ok(Refreshed::Adopted(stored));
    }
    match send(store, oauth, &stored, is_ours)? {
        RefreshAttempt::Done(refreshed) => Ok(*refreshed),
        RefreshAttempt::Overtaken => adopt_valid(store, is_ours),
        RefreshAttempt::Replayed { .. } | RefreshAttempt::Rejected => Err(later()),
    }
}

/// The server ended the session that was sent. It is deleted only if it is still the stored one.
fn settle_rejection(
    store: &SessionStore,
    sent: &Session,
    is_ours: &dyn Fn(&Session) -> bool,
) -> Result<Refreshed, RefreshError> {
    if store.delete_if(|stored| same_tokens(stored, sent))? {
        return Err(RefreshError::Ended);
    }
    adopt_valid(store, is_ours)
}

/// Session that another process stored meanwhile, if it can be used.
fn adopt_valid(store: &SessionStore, is_ours: &dyn Fn(&Session) -> bool) -> Result<Refreshed, RefreshError> {
    let stored = read_ours(store, is_ours)?;
    if is_valid(&stored) {
        Ok(Refreshed::Adopted(stored))
    } else {
        Err(RefreshError::Later("the login changed meanwhile".to_owned()))
    }
}

fn same_tokens(left: &Session, right: &Session) -> bool {
    left.session_id == right.session_id
        && left.refresh_token == right.refresh_token
        && left.access_token == right.access_token
}

/// Whether the access token can be used for another while.
pub(crate) fn is_valid(session: &Session) -> bool {
    session.access_token_expires_at.duration_since(system::clock::now()) > ACCESS_MARGIN
}
