//! Logout: deletes the local session, then revokes it at the server.

use super::oauth::OAuth;
use crate::context::DeliveryContext;
use crate::server_address::ServerAddress;
use contract::ExitCode;
use identity::session::SessionWriteError;
use identity::{Config, read_login};

/// The result of a logout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutReport {
    /// Whether there was a session file, readable or not.
    pub had_session: bool,
    /// The request to the server.
    pub revoked: Revoked,
}

/// Whether the server ended the session too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// It did.
    Yes,
    /// It was not asked: `--force`, no session, or an unknown issuer.
    NotAsked(&'static str),
    /// It did not, or could not be reached. The local session is gone all the same.
    No(String),
}

/// Reason why a login is still active.
#[derive(Debug, thiserror::Error)]
pub enum LogoutError {
    /// The session file cannot be removed.
    #[error(transparent)]
    Store(#[from] SessionWriteError),
}

impl LogoutError {
    /// Its exit code.
    pub fn exit(&self) -> ExitCode {
        match self {
            Self::Store(SessionWriteError::Lock(system::LockError::Busy { .. })) => ExitCode::Busy,
            Self::Store(_) => ExitCode::Failed,
        }
    }

    /// Its remedy, if an advice helps.
    pub fn remedy(&self) -> Option<contract::Remedy> {
        let Self::Store(error) = self;
        error.remedy()
    }
}

/// Deletes the session and, unless `revoke` is false, revokes it at the server that issued it.
///
/// # Errors
/// Only when the local session cannot be deleted.
pub fn log_out(context: &DeliveryContext, revoke: bool) -> Result<LogoutReport, LogoutError> {
    let store = context.sessions();
    let had_session = context.home.session_file().symlink_metadata().is_ok();
    // An unreadable session is deleted too: that is what the user asks for.
    let session = store.read().ok().flatten();
    let config = Config::read(&context.home).unwrap_or_else(|_| Config::unreadable());
    let issuer = read_login(&context.home, &config, &context.environment).issuer;
    store.delete()?;
    let revoked = match (session, issuer) {
        _ if !revoke => Revoked::NotAsked("--force was passed"),
        (None, _) => Revoked::NotAsked("no readable session"),
        (Some(_), None) => Revoked::NotAsked("the session has no recorded issuer"),
        (Some(session), Some(issuer)) => match ServerAddress::parse(&issuer) {
            Err(error) => Revoked::No(error.to_string()),
            Ok(server) => {
                let oauth = OAuth { client: &context.client, server: &server };
                match oauth.send_revoke(session.refresh_token.expose()) {
                    Ok(true) => Revoked::Yes,
                    Ok(false) => Revoked::No(format!("{} did not confirm it", server.host())),
                    Err(failure) => Revoked::No(failure.to_string()),
                }
            }
        },
    };
    Ok(LogoutReport { had_session, revoked })
}
