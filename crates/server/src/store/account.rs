//! Accounts and the teams they belong to.

use crate::secret::TokenHash;
use crate::time::UnixMillis;

/// A team's row in this store. Never leaves the process; the wire carries the team's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct TeamKey(pub(crate) i64);

/// Whether two team ids are equal without case, as scopes are compared.
pub(crate) fn is_same_team(left: &str, right: &str) -> bool {
    // Nearly every event of a batch names its team as the others do.
    left == right || contract::scope::trim(left).to_lowercase() == contract::scope::trim(right).to_lowercase()
}

#[derive(Clone, Debug)]
pub(crate) struct NewAccount {
    pub(crate) user_id: String,
    /// Stored as given; compared without case.
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) secret_hash: String,
    /// The private teamspace. If it exists, it gets another member.
    pub(crate) team_id: String,
    pub(crate) team_name: String,
    pub(crate) now: UnixMillis,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// `usr_<ulid>`.
    pub user_id: String,
    /// As given when the account was created.
    pub email: String,
    /// For display.
    pub name: String,
    /// Private teamspaces first, each kind in the order of joining.
    pub teams: Vec<Membership>,
    /// Creation time.
    pub created_at: UnixMillis,
    /// Time since which it may not log in or send, if it is disabled.
    pub disabled_at: Option<UnixMillis>,
}

/// Membership of an account in a team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub(crate) key: TeamKey,
    /// In the case it was created with.
    pub team_id: String,
    /// For display.
    pub name: String,
    /// `owner` or `member`.
    pub role: String,
    /// Only private teamspaces take events.
    pub is_private: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct NewTeam {
    pub(crate) team_id: String,
    pub(crate) name: String,
    /// Whether it takes events.
    pub(crate) is_private: bool,
    pub(crate) now: UnixMillis,
}

/// A team and its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamRecord {
    /// In the case it was created with.
    pub team_id: String,
    /// For display.
    pub name: String,
    /// Private teamspaces take events; projects are shared with the others.
    pub is_private: bool,
    /// Creation time.
    pub created_at: UnixMillis,
    /// E-mail address and role of each member, in the order of joining.
    pub members: Vec<(String, String)>,
}

/// A membership that was ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedMembership {
    /// The team without it.
    pub team: TeamRecord,
    /// Machine tokens for the team that were valid.
    pub tokens: u64,
    /// Shares from and with the team.
    pub shares: u64,
}

/// Logins that a change of an account ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndedLogins {
    /// Sessions that ran.
    pub sessions: u64,
    /// Machine tokens that were valid.
    pub tokens: u64,
}

/// A session, without its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// `ses_<ulid>`.
    pub session_id: String,
    /// The account's address.
    pub email: String,
    /// `device_code`, `authorization_code` or `browser`.
    pub flow: String,
    /// The machine or program that logged in, as it described itself.
    pub machine: String,
    /// Time of the login.
    pub created_at: UnixMillis,
    /// First use of the newest token, or last refresh.
    pub last_used_at: Option<UnixMillis>,
    /// Time at which it ends without a refresh.
    pub expires_at: Option<UnixMillis>,
    /// Time at which it was ended, if it was.
    pub ended_at: Option<UnixMillis>,
}

impl SessionRecord {
    pub(crate) fn runs_at(&self, now: UnixMillis) -> bool {
        self.ended_at.is_none() && self.expires_at.is_some_and(|at| at > now)
    }
}

/// A project of a team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectRecord {
    pub(crate) key: TeamKey,
    /// The team that holds it.
    pub team_id: String,
    /// As its events name it; empty for events without a project.
    pub project_uuid: String,
    /// Number of events.
    pub events: u64,
    /// Number of bodies.
    pub bodies: u64,
    /// Arrival of the newest batch.
    pub last_received_at: Option<UnixMillis>,
    /// Ids of the teams that see it.
    pub shared_with: Vec<String>,
}

/// Numbers of forgotten rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Events.
    pub events: u64,
    /// `BuildRegistered` events among them.
    pub builds: u64,
    /// Bodies.
    pub bodies: u64,
}

/// A project that another team sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShareRecord {
    pub(crate) project_uuid: String,
    /// The team that sees it.
    pub(crate) team_id: String,
    pub(crate) team_name: String,
    /// Accounts that share it.
    pub(crate) sharers: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct NewCiToken {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) team_id: String,
    pub(crate) label: String,
    pub(crate) hash: TokenHash,
    pub(crate) now: UnixMillis,
}

/// A machine token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiTokenRecord {
    /// `cit_<ulid>`.
    pub id: String,
    /// The account's address.
    pub email: String,
    /// The only team the token may use.
    pub team_id: String,
    /// Purpose, for people.
    pub label: String,
    /// Time of issue.
    pub created_at: UnixMillis,
    /// Time of revocation, if it was revoked.
    pub revoked_at: Option<UnixMillis>,
}

/// The account and session behind a bearer token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    /// With the teams that this token may use.
    pub(crate) account: Account,
    /// `None` for a machine token.
    pub(crate) session_id: Option<String>,
    /// The machine, as the session or the machine token names it.
    pub(crate) machine: String,
    /// `device_code`, `authorization_code` or `ci_token`.
    pub(crate) flow: String,
    /// Start of the session, or issue of the machine token.
    pub(crate) authenticated_at: UnixMillis,
    pub(crate) access_expires_at: Option<UnixMillis>,
    pub(crate) refresh_expires_at: Option<UnixMillis>,
    /// Number of rotations of the refresh token.
    pub(crate) generation: Option<u64>,
    /// Whether [`super::Store::mark_seen`] has recorded this access token.
    pub(crate) is_seen: bool,
}

impl Principal {
    /// The private teamspace with this id, if the token may use it.
    pub(crate) fn private_team(&self, team_id: &str) -> Option<&Membership> {
        self.private_teams().find(|team| is_same_team(&team.team_id, team_id))
    }

    /// The name of the machine, without the program that logged in: the one that asks now may be newer.
    pub(crate) fn machine_name(&self) -> &str {
        match self.session_id {
            Some(_) => self.machine.split_once(", ").map_or("", |(name, _)| name),
            None => &self.machine,
        }
    }

    pub(crate) fn private_teams(&self) -> impl Iterator<Item = &Membership> {
        self.account.teams.iter().filter(|team| team.is_private)
    }
}
