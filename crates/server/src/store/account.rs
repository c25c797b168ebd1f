//! Accounts and the teams they belong to.

use crate::secret::TokenHash;
use crate::time::UnixMillis;

/// A team's row in this store. Never leaves the process; the wire carries the team's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TeamKey(pub i64);

/// Whether two ids name one team: without case, as scopes do.
pub fn is_same_team(left: &str, right: &str) -> bool {
    contract::scope::trim(left).to_lowercase() == contract::scope::trim(right).to_lowercase()
}

/// An account to be created.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// `usr_<ulid>`.
    pub user_id: String,
    /// As given; compared without case.
    pub email: String,
    /// For display.
    pub name: String,
    /// See [`crate::secret::hash_approval_secret`].
    pub secret_hash: String,
    /// The private teamspace's id. One that exists gets a further member.
    pub team_id: String,
    /// The teamspace's name when it is created.
    pub team_name: String,
    /// When.
    pub now: UnixMillis,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// `usr_<ulid>`.
    pub user_id: String,
    /// As given when it was created.
    pub email: String,
    /// For display.
    pub name: String,
    /// Its teams, private teamspaces first.
    pub teams: Vec<Membership>,
    /// When it was created.
    pub created_at: UnixMillis,
}

/// An account's place in a team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The team's row.
    pub key: TeamKey,
    /// The team's id, in the case it was created with.
    pub team_id: String,
    /// For display.
    pub name: String,
    /// `owner` or `member`.
    pub role: String,
    /// Whether it takes events.
    pub is_private: bool,
}

/// A machine token to be recorded.
#[derive(Clone, Debug)]
pub struct NewCiToken {
    /// `cit_<ulid>`.
    pub id: String,
    /// Whose.
    pub email: String,
    /// For which team.
    pub team_id: String,
    /// What it is for, for people.
    pub label: String,
    /// Of the whole token.
    pub hash: TokenHash,
    /// When.
    pub now: UnixMillis,
}

/// A machine token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiTokenRecord {
    /// `cit_<ulid>`.
    pub id: String,
    /// Whose.
    pub email: String,
    /// For which team.
    pub team_id: String,
    /// What it is for.
    pub label: String,
    /// When it was issued.
    pub created_at: UnixMillis,
    /// When it was revoked.
    pub revoked_at: Option<UnixMillis>,
}

/// Who a bearer token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The account, with the teams this token may use.
    pub account: Account,
    /// The session; nothing for a machine token.
    pub session_id: Option<String>,
    /// `device_code`, `authorization_code` or `ci_token`.
    pub flow: String,
    /// When the session began or the machine token was issued.
    pub authenticated_at: UnixMillis,
    /// When this access token ends.
    pub access_expires_at: Option<UnixMillis>,
    /// When the session's refresh token ends.
    pub refresh_expires_at: Option<UnixMillis>,
    /// How often the refresh token was rotated.
    pub generation: Option<u64>,
    /// Whether this access token has been noted by [`super::LoginStore::mark_seen`].
    pub is_seen: bool,
}

impl Principal {
    /// The private teamspace with this id, if the token may use it.
    pub fn private_team(&self, team_id: &str) -> Option<&Membership> {
        self.account.teams.iter().find(|team| team.is_private && is_same_team(&team.team_id, team_id))
    }

    /// All private teamspaces the token may use.
    pub fn private_teams(&self) -> impl Iterator<Item = &Membership> {
        self.account.teams.iter().filter(|team| team.is_private)
    }
}
