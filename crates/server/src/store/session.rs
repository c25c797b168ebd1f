//! Logins and what becomes of them.

use crate::moment::Moment;
use crate::secret::TokenHash;
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
    /// When it was asked for.
    pub now: Moment,
    /// When it ends.
    pub expires_at: Moment,
}

/// A device request, as the approval page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRequest {
    /// Letters only.
    pub user_code: String,
    /// When it was asked for.
    pub requested_at: Moment,
    /// Whether nobody has decided yet.
    pub is_open: bool,
}

/// What a person decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
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
pub enum DecisionOutcome {
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
    pub now: Moment,
    /// When the access token ends.
    pub access_expires_at: Moment,
    /// When the refresh token ends.
    pub refresh_expires_at: Moment,
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
    pub now: Moment,
    /// When it ends.
    pub expires_at: Moment,
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
