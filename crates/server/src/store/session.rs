//! Device requests, authorization codes, sessions, and the guesses of their secrets.

use super::Account;
use crate::origin::ClientOrigin;
use crate::secret::TokenHash;
use crate::time::UnixMillis;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct NewDevice {
    /// Hash of the device code.
    pub(crate) code: TokenHash,
    /// See [`crate::secret::tidy_user_code`].
    pub(crate) user_code: String,
    /// Shortest time between two polls.
    pub(crate) interval: Duration,
    pub(crate) origin: ClientOrigin,
    /// See [`crate::request::machine_label`].
    pub(crate) machine: String,
    pub(crate) now: UnixMillis,
    pub(crate) expires_at: UnixMillis,
}

/// Bounds on the device requests that wait for a decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeviceRoom {
    pub(crate) total: u64,
    pub(crate) per_origin: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceStart {
    Recorded,
    /// The user code is in use: draw another.
    CodeTaken,
    /// No older request can be ended for it.
    Full,
}

/// The device request behind a user code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeviceLookup {
    /// Recorded as opened.
    Found(DeviceRequest),
    /// The guess was counted.
    Unknown,
    /// Too many guesses: time to wait.
    Wait(Duration),
}

/// A counter of wrong guesses in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GuessCounter {
    /// Database key: what is guessed, and from which origin.
    pub(crate) subject: String,
    /// Wrong guesses in a row before the next must wait.
    pub(crate) allowed: u32,
    /// Whether a right guess resets the counter. If not, the right guess is only not counted: a client
    /// that knows one secret may still be guessing others.
    pub(crate) resets: bool,
}

impl GuessCounter {
    /// Secrets of one account at one address, so that guesses elsewhere do not lock its owner out.
    pub(crate) fn account_at(email: &str, origin: ClientOrigin, allowed: u32) -> Self {
        let email: String = contract::scope::trim(email).to_lowercase().chars().take(254).collect();
        Self { subject: format!("secret {origin} {email}"), allowed, resets: true }
    }

    /// Secrets of any accounts at one address.
    pub(crate) fn accounts_of(origin: ClientOrigin, allowed: u32) -> Self {
        Self { subject: format!("secrets {origin}"), allowed, resets: false }
    }

    /// User codes at one address.
    pub(crate) fn user_codes_of(origin: ClientOrigin, allowed: u32) -> Self {
        Self { subject: format!("codes {origin}"), allowed, resets: false }
    }
}

/// A guess, and the counters that count it.
#[derive(Clone, Debug)]
pub(crate) struct Guess {
    pub(crate) counters: Vec<GuessCounter>,
    /// Time to wait once a counter has reached its limit.
    pub(crate) pause: Duration,
    pub(crate) now: UnixMillis,
}

/// A device request, as the approval page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceRequest {
    /// Letters only.
    pub(crate) user_code: String,
    pub(crate) requested_at: UnixMillis,
    /// The machine that asks, as it describes itself.
    pub(crate) machine: String,
    /// Address or network that it asked from.
    pub(crate) origin: String,
    /// Whether it still waits for a decision.
    pub(crate) is_open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeviceDecision {
    Approve { user_id: String },
    Deny,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceDecisionOutcome {
    Recorded,
    /// No such code, or it expired.
    Unknown,
    AlreadyDecided,
}

/// Hashes of tokens that belong to a session if the operation succeeds. Drawn before the operation, so
/// that the store never sees a token in clear.
#[derive(Clone, Debug)]
pub(crate) struct NewTokens {
    /// For a new session: `ses_<ulid>`.
    pub(crate) session_id: String,
    /// For a new session by an authorization code: the program that redeems it.
    pub(crate) machine: String,
    pub(crate) access: TokenHash,
    pub(crate) refresh: TokenHash,
    pub(crate) now: UnixMillis,
    pub(crate) access_expires_at: UnixMillis,
    pub(crate) refresh_expires_at: UnixMillis,
    /// Time after a rotation in which a replay of the previous token counts as harmless.
    pub(crate) replay_grace: Duration,
}

/// A session that received tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionGrant {
    pub(crate) session_id: String,
    /// Number of rotations of its refresh token.
    pub(crate) generation: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DevicePoll {
    Granted(SessionGrant),
    Pending,
    /// Polled before the interval was over.
    TooSoon,
    Denied,
    /// Expired, or used before.
    Expired,
    Unknown,
}

#[derive(Clone, Debug)]
pub(crate) struct NewCode {
    /// Hash of the code.
    pub(crate) code: TokenHash,
    pub(crate) user_id: String,
    /// The S256 challenge.
    pub(crate) challenge: String,
    /// Must be repeated when the code is redeemed.
    pub(crate) redirect_uri: String,
    pub(crate) now: UnixMillis,
    pub(crate) expires_at: UnixMillis,
}

/// An authorization code presented at the token route.
#[derive(Clone, Debug)]
pub(crate) struct CodeRedemption {
    pub(crate) code: TokenHash,
    /// Computed from the presented verifier.
    pub(crate) challenge: String,
    pub(crate) redirect_uri: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refresh {
    Rotated(SessionGrant),
    /// The token was rotated a moment ago, and another process receives its successor.
    BenignReplay,
    /// Never issued, or expired.
    Invalid,
    /// Ended before, or ended now because an old token was presented again.
    SessionEnded,
}

/// A session of a browser that begins.
#[derive(Clone, Debug)]
pub(crate) struct NewBrowserSession {
    /// Hash of the cookie.
    pub(crate) cookie: TokenHash,
    /// `ses_<ulid>`.
    pub(crate) session_id: String,
    pub(crate) user_id: String,
    /// See [`crate::request::machine_label`].
    pub(crate) machine: String,
    pub(crate) now: UnixMillis,
    pub(crate) expires_at: UnixMillis,
}

/// The account and session behind a cookie.
#[derive(Clone, Debug)]
pub(crate) struct BrowserSession {
    pub(crate) account: Account,
    pub(crate) session_id: String,
    pub(crate) created_at: UnixMillis,
    /// Recorded use; not every use is recorded.
    pub(crate) used_at: UnixMillis,
}
