//! Account of a token: `GET /api/v1/me`, and `GET /api/v1/session-status`.

use serde::{Deserialize, Serialize};

/// The account, its teams and its session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Me {
    /// Stable id of the account.
    pub user_id: String,
    /// The principal of the scope.
    pub email: String,
    /// For display; the e-mail address without one.
    #[serde(default)]
    pub name: Option<String>,
    /// Never empty for an account that may log in.
    #[serde(default)]
    pub teams: Vec<AccountTeam>,
    /// The session the token belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Start of the session, ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticated_at: Option<String>,
    /// End of this access token, ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token_expires_at: Option<String>,
    /// End of the refresh token, ISO 8601; nothing when it has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_expires_at: Option<String>,
    /// `authorization_code`, `device_code` or `ci_token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_flow: Option<String>,
}

/// A team of the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountTeam {
    /// Value of `X-Team-Slug` and `team_slug`.
    pub id: String,
    /// For display.
    #[serde(default)]
    pub name: String,
    /// `owner`, `member`.
    #[serde(default)]
    pub role: String,
    /// Whether events may be sent to it.
    #[serde(default)]
    pub is_private_teamspace: bool,
}

/// Whether the session is still known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStatus {
    /// The session.
    pub session_id: String,
    /// `active`.
    pub status: String,
    /// Number of rotations of the refresh token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_generation: Option<u64>,
}
