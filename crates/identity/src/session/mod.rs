//! The encrypted session: account and tokens of a login.
//!
//! Content, file and the write protocol shared with the reference. Reading creates nothing and takes no lock,
//! so the gate may read; an unreadable file is an error with its reason, never "logged out".

mod cipher;
mod content;
mod store;

pub(crate) use content::isoformat;
pub use store::{SessionStore, SessionWriteError};

use crate::config::Config;
use crate::home::Home;
use crate::secret::Secret;
use contract::{AuthAbsence, Fault, FaultCode, LoginState, Remedy};
use jiff::Timestamp;
use std::io;
use system::bounded_read::BoundedReadError;

/// One teamspace of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    /// Its id, in the case of the server.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The user's role in it.
    pub role: String,
    /// Whether it is a private teamspace, the only kind that rows may be sent to.
    pub private: bool,
}

/// A login. Tokens are wiped when dropped, and `Debug` shows none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The server's id of the user.
    pub user_id: String,
    /// The user's e-mail address: the principal of the scope.
    pub email: String,
    /// The user's name.
    pub name: String,
    /// Teamspaces. The first private one is the team of the scope.
    pub teams: Vec<Team>,
    /// For display only; never part of a scope.
    pub default_team_id: String,
    /// The access token.
    pub access_token: Secret,
    /// The refresh token.
    pub refresh_token: Secret,
    /// The server's id of the session.
    pub session_id: String,
    /// Time of issue.
    pub issued_at: Timestamp,
    /// Expiry of the access token, which is refreshed then.
    pub access_token_expires_at: Timestamp,
    /// Expiry of the login; none when the server gave none.
    pub refresh_token_expires_at: Option<Timestamp>,
    /// The OAuth scope, unrelated to the queue scope.
    pub scope: String,
    /// Time of the last use.
    pub last_used_at: Timestamp,
    /// `authorization_code` or `device_code`.
    pub auth_method: String,
    /// The server's count of refreshes.
    pub generation: Option<i64>,
    /// The base URL of the server that issued the tokens. The reference does not record it.
    pub issuer: Option<String>,
    /// Keys of a newer release, written back unchanged.
    pub unknown: UnknownKeys,
}

/// Keys of a session that this release does not know, with their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownKeys(Vec<(String, Secret)>);

impl Session {
    /// The team of the scope: the first private one. There is no fallback to another.
    pub fn private_team(&self) -> Option<&Team> {
        self.teams.iter().find(|team| team.private)
    }
}

/// Reason why an existing session cannot be read. The texts follow the file's name and contain no secret.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The file cannot be read at all.
    #[error(transparent)]
    File(#[from] BoundedReadError),
    /// Group or others may read it, and so could have replaced it.
    #[error("has mode {0:04o}; only its owner may have access (0600)")]
    Shared(u32),
    /// Not JSON.
    #[error("is not a session: {0}")]
    NotJson(String),
    /// A version that is not encrypted this way.
    #[error("has {}; this release reads version 2", .0.map_or("no version".to_owned(), |version| format!("version {version}")))]
    Version(Option<i64>),
    /// A key of the envelope.
    #[error("key `{0}` is missing or not hexadecimal")]
    SealedSession(&'static str),
    /// The salt is gone.
    #[error("cannot be decrypted: its salt, session.salt, is missing")]
    SaltMissing,
    /// The salt cannot be read.
    #[error("cannot be decrypted: its salt, session.salt, {0}")]
    Salt(BoundedReadError),
    /// The salt is no salt.
    #[error("cannot be decrypted: its salt, session.salt, has {0} bytes instead of 16")]
    SaltLength(usize),
    /// Another key.
    #[error(
        "cannot be decrypted on this host ({}) as user {}: it was written on another host, under another \
         host name or by another user, its salt was replaced, or it was altered",
        contract::text::printable(.0), .1
    )]
    Key(String, u32),
    /// The plaintext is no session.
    #[error("decrypts, but {}{problem}", if .key.is_empty() { String::new() } else { format!("key `{key}` ") })]
    Content {
        /// The key.
        key: String,
        /// The defect.
        problem: &'static str,
    },
    /// The cryptographic library refused; a defect.
    #[error("cannot be processed: the cipher refused its parameters")]
    Cipher,
    /// No randomness to encrypt with.
    #[error("cannot be encrypted: the system gives no random numbers: {0}")]
    Random(#[source] io::Error),
}

impl SessionError {
    /// JSON errors name a place and, for the wrong kind of value, no content.
    fn not_json(error: &serde_json::Error) -> Self {
        let place = format!("line {}, column {}", error.line(), error.column());
        Self::NotJson(match error.classify() {
            serde_json::error::Category::Eof => format!("it ends early, at {place}"),
            serde_json::error::Category::Data => "not a JSON object".to_owned(),
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => {
                format!("not JSON at {place}")
            }
        })
    }

    /// The fault `session_unreadable`. Its remedy is a login, or a writable file first.
    pub fn into_fault(self, home: &Home) -> Fault {
        let path = home.session_file();
        let blocked = path.symlink_metadata().is_err_and(|error| error.kind() != io::ErrorKind::NotFound);
        let remedy = if blocked { crate::file_remedy::repair(&path) } else { login_command(home) };
        Fault::new(FaultCode::SessionUnreadable, path, self.to_string(), remedy)
    }
}

/// The login that replaces an unreadable session.
fn login_command(home: &Home) -> Remedy {
    let server_known = Config::read(home).is_ok_and(|config| config.destination().is_some());
    LoginState { absence: Some(AuthAbsence::Unreadable), token_variable: None, server_known }.remedy()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn session() -> Session {
        let time = |text: &str| text.parse().expect("a time");
        let team = |id: &str, role: &str, private| Team {
            id: id.to_owned(),
            name: format!("Team {id}"),
            role: role.to_owned(),
            private,
        };
        Session {
            user_id: "user-0001".to_owned(),
            email: "dev@example.com".to_owned(),
            name: "Dev \"Ünï\" Example".to_owned(),
            teams: vec![team("team-shared-01", "member", false), team("team-PRIV-01", "owner", true)],
            default_team_id: "team-PRIV-01".to_owned(),
            access_token: Secret::new("access-secret"),
            refresh_token: Secret::new("refresh-secret"),
            session_id: "sess-0001".to_owned(),
            issued_at: time("2026-05-18T12:00:00Z"),
            access_token_expires_at: time("2099-01-01T00:00:00Z"),
            refresh_token_expires_at: Some(time("2099-06-01T00:00:00Z")),
            scope: "openid offline_access".to_owned(),
            last_used_at: time("2026-05-18T12:00:00.5Z"),
            auth_method: "device_code".to_owned(),
            generation: None,
            issuer: None,
            unknown: UnknownKeys::default(),
        }
    }

    #[test]
    fn debug_shows_no_token() {
        let shown = format!("{:?}", session());
        assert!(shown.contains("dev@example.com") && !shown.contains("secret\""), "{shown}");
        assert!(!shown.contains("access-secret") && !shown.contains("refresh-secret"), "{shown}");
    }

    #[test]
    fn first_private_team_is_the_team() {
        let mut session = session();
        assert_eq!(session.private_team().map(|team| team.id.as_str()), Some("team-PRIV-01"));
        session.teams.retain(|team| !team.private);
        assert_eq!(session.private_team(), None);
    }
}
