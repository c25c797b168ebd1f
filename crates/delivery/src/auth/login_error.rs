//! Login errors: exit code and remedy of each.

use super::oauth::OAuthFailure;
use crate::http::{BadToken, SendError};
use crate::server_address::ServerAddressError;
use contract::{ExitCode, Fault, Remedy, exit};
use identity::ConfigEditError;
use identity::session::SessionWriteError;

/// Reason for a missing login.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No server is configured and none was named.
    #[error("no sync server is configured; nothing is sent to a default one")]
    ServerUnset,
    /// The server's URL cannot be used.
    #[error(transparent)]
    Destination(#[from] ServerAddressError),
    /// Nothing answers there; no browser was opened.
    #[error("no server answers: {why}")]
    NoServer {
        /// Failure of the connection; names the host.
        why: String,
    },
    /// Something answers there, and it is no sync server; no browser was opened.
    #[error("{host} is not a Spec Kitty server: {why}")]
    NotAServer {
        /// Host and port.
        host: String,
        /// The answer.
        why: String,
    },
    /// The OAuth part failed.
    #[error(transparent)]
    OAuth(#[from] OAuthFailure),
    /// No answer to the account request.
    #[error(transparent)]
    Silence(#[from] SendError),
    /// The account answer is unusable.
    #[error("{host} did not return the account of this login: {why}")]
    Account {
        /// Host and port.
        host: String,
        /// Defect of the answer.
        why: String,
    },
    /// The answer lacks a part.
    #[error("the login answer of {host} has no usable `{missing}`")]
    Grant {
        /// Host and port.
        host: String,
        /// The part.
        missing: String,
    },
    /// The token cannot be used.
    #[error(transparent)]
    Token(#[from] BadToken),
    /// The user refused in the browser.
    #[error("the login was refused at {host}")]
    Denied {
        /// Host and port.
        host: String,
    },
    /// The server refused in the browser.
    #[error("{host} refused the login: {why}")]
    Refused {
        /// Host and port.
        host: String,
        /// Its text.
        why: String,
    },
    /// Not approved in time.
    #[error("the login at {host} was not approved in time; run the same command again, or use --headless")]
    Expired {
        /// Host and port.
        host: String,
    },
    /// The user gave up.
    #[error("login cancelled")]
    Cancelled,
    /// There is no browser.
    #[error("no browser could be opened; use `spec-kitty auth login --headless`")]
    NoBrowser,
    /// No loopback port.
    #[error(
        "cannot listen on 127.0.0.1 for the browser's answer: {0}; use `spec-kitty auth login --headless`"
    )]
    Callback(std::io::Error),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
    /// The configuration cannot be read.
    #[error("{}", .0.detail)]
    Config(Fault),
    /// The configuration cannot be changed.
    #[error(transparent)]
    ConfigEdit(#[from] ConfigEditError),
    /// The session cannot be stored.
    #[error(transparent)]
    Store(#[from] SessionWriteError),
}

impl LoginError {
    /// The stable code of a refusal, where there is one.
    pub fn code(&self) -> Option<&'static str> {
        matches!(self, Self::ServerUnset | Self::Destination(ServerAddressError::Packaged(_)))
            .then_some(exit::SYNC_SERVER_UNSET)
    }

    /// Its exit code.
    pub fn exit(&self) -> ExitCode {
        match self {
            Self::ServerUnset | Self::Destination(_) | Self::Config(_) => ExitCode::Refused,
            Self::Cancelled => ExitCode::Interrupted,
            Self::ConfigEdit(ConfigEditError::Lock(system::LockError::Busy { .. }))
            | Self::Store(SessionWriteError::Lock(system::LockError::Busy { .. })) => ExitCode::Busy,
            _ => ExitCode::Failed,
        }
    }

    /// The remedy, where there is one.
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::ServerUnset
            | Self::Destination(_)
            | Self::NoServer { .. }
            | Self::NotAServer { .. }
            | Self::Silence(_)
            | Self::OAuth(OAuthFailure::Silence(_) | OAuthFailure::NotOAuth { .. }) => {
                Some(Remedy::LoginServer)
            }
            Self::Config(fault) => Some(fault.remedy.clone()),
            Self::ConfigEdit(ConfigEditError::Unreadable(fault)) => Some(fault.remedy.clone()),
            Self::ConfigEdit(ConfigEditError::Lock(error)) => error.remedy(),
            Self::ConfigEdit(ConfigEditError::Write(error)) => Some(error.remedy()),
            Self::Store(error) => error.remedy(),
            _ => None,
        }
    }
}
