//! Logins and what becomes of them.

use crate::origin::ClientOrigin;
use crate::secret::TokenHash;
use crate::time::UnixMillis;
use std::time::Duration;

/// A device request to be recorded.
#[derive(Clone, Debug)]
pub struct NewDevice {
    /// Of the device code.
    pub code: TokenHash,
    /// See [`crate::secret::tidy_user_code`].
    pub user_code: String,
    /// Between two polls at least.
    pub interval: Duration,
    /// Where it was asked for.
    pub origin: ClientOrigin,
    /// When it was asked for.
    pub now: UnixMillis,
    /// When it ends.
    pub expires_at: UnixMillis,
}

/// How many device requests may wait for a decision.
#[derive(Clone, Copy, Debug)]
pub struct DeviceRoom {
    /// In all.
    pub total: u64,
    /// For each address.
    pub per_origin: u64,
}

/// What became of a new device request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceStart {
    /// It waits for a decision.
    Recorded,
    /// Its user code is taken: draw another.
    CodeTaken,
    /// No request can give way to it.
    Full,
}

/// What a user code stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceLookup {
    /// This request; it counts as opened from now on.
    Found(DeviceRequest),
    /// None. The guess was counted.
    Unknown,
    /// Too many guesses: how long to wait.
    Wait(Duration),
}

/// A count of wrong guesses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuessCounter {
    /// What is counted: the guesses of whom, about what.
    pub subject: String,
    /// Wrong guesses in a row before the next must wait.
    pub allowed: u32,
    /// Whether a right guess ends the row. Where it does not, it is only not counted itself: one who
    /// knows one secret may still be guessing others.
    pub ends: bool,
}

impl GuessCounter {
    /// Secrets of one account at one address, so that guessing elsewhere does not lock its owner out.
    pub fn account_at(email: &str, origin: ClientOrigin, allowed: u32) -> Self {
        let email: String = contract::scope::trim(email).to_lowercase().chars().take(254).collect();
        Self { subject: format!("secret {origin} {email}"), allowed, ends: true }
    }

    /// Secrets of any accounts at one address.
    pub fn accounts_of(origin: ClientOrigin, allowed: u32) -> Self {
        Self { subject: format!("secrets {origin}"), allowed, ends: false }
    }

    /// User codes at one address.
    pub fn user_codes_of(origin: ClientOrigin, allowed: u32) -> Self {
        Self { subject: format!("codes {origin}"), allowed, ends: false }
    }
}

/// A guess, and the counters it has to pass.
#[derive(Clone, Debug)]
pub struct Guess {
    /// All of them count it.
    pub counters: Vec<GuessCounter>,
    /// How long the next guess waits where a row is too long.
    pub pause: Duration,
    /// Now.
    pub now: UnixMillis,
}

/// A device request, as the approval page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRequest {
    /// Letters only.
    pub user_code: String,
    /// When it was asked for.
    pub requested_at: UnixMillis,
    /// Whether nobody has decided yet.
    pub is_open: bool,
}

/// What a person decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceDecision {
    /// The device becomes a session of this account.
    Approve {
        /// `usr_<ulid>`.
        user_id: String,
    },
    /// It does not.
    Deny,
}

/// What became of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceDecisionOutcome {
    /// Recorded.
    Recorded,
    /// No such code, or it ended.
    Unknown,
    /// Somebody decided before.
    AlreadyDecided,
}

/// Tokens that will belong to a session if the operation succeeds. Drawn before, so that the store
/// never sees one in clear.
#[derive(Clone, Debug)]
pub struct NewTokens {
    /// For a new session: `ses_<ulid>`.
    pub session_id: String,
    /// Of the access token.
    pub access: TokenHash,
    /// Of the refresh token.
    pub refresh: TokenHash,
    /// Now.
    pub now: UnixMillis,
    /// When the access token ends.
    pub access_expires_at: UnixMillis,
    /// When the refresh token ends.
    pub refresh_expires_at: UnixMillis,
    /// How long after a rotation the replay of the token before it counts as harmless.
    pub replay_grace: Duration,
}

/// A session that received tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionGrant {
    /// `ses_<ulid>`.
    pub session_id: String,
    /// How often its refresh token was rotated.
    pub generation: u64,
}

/// What a poll of a device gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DevicePoll {
    /// Approved: a new session.
    Granted(SessionGrant),
    /// Nobody has decided.
    Pending,
    /// Polled before the interval was over.
    TooSoon,
    /// Denied.
    Denied,
    /// Ended, or used before.
    Expired,
    /// Never issued here.
    Unknown,
}

/// An authorization code to be recorded.
#[derive(Clone, Debug)]
pub struct NewCode {
    /// Of the code.
    pub code: TokenHash,
    /// Who approved.
    pub user_id: String,
    /// The S256 challenge.
    pub challenge: String,
    /// Must be repeated when it is redeemed.
    pub redirect_uri: String,
    /// Now.
    pub now: UnixMillis,
    /// When it ends.
    pub expires_at: UnixMillis,
}

/// An authorization code presented at the token route.
#[derive(Clone, Debug)]
pub struct CodeRedemption {
    /// Of the code.
    pub code: TokenHash,
    /// The challenge computed from the presented verifier.
    pub challenge: String,
    /// As presented.
    pub redirect_uri: String,
}

/// What a refresh gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// Rotated.
    Rotated(SessionGrant),
    /// The token was rotated a moment ago, and its successor is on its way to somebody.
    BenignReplay,
    /// Never issued, or expired.
    Invalid,
    /// The session was ended, or has just been ended because an old token came back.
    SessionEnded,
}
