//! A login from start to stored session.
//!
//! Order: where to (nothing is sent without a configured server), the flow, who it is, then the writes:
//! the server's URL if it was named, the session, the identity card. A login that fails before the
//! writes changes no file.

use super::Prompt;
use super::browser::send_browser_login;
use super::device::send_device_login;
use super::me::{LoginFacts, plan_session, send_me};
use super::oauth::{OAuth, OAuthFailure};
use crate::context::Context;
use crate::destination::{Destination, DestinationError};
use crate::http::{BadToken, Bearer, SendError};
use contract::{ExitCode, Fault, Remedy, Scope, exit, server_url};
use identity::session::{SessionWriteError, Team};
use identity::{Config, ConfigEdit, ConfigEditError, Session, read_login, refresh_card};
use jiff::Timestamp;

/// Which flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginMethod {
    /// A code to type on any device: `--headless`.
    Device,
    /// A browser on this machine.
    Browser,
}

impl LoginMethod {
    /// The word the session keeps.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Device => "device_code",
            Self::Browser => "authorization_code",
        }
    }
}

/// What a login did.
#[derive(Clone, Debug)]
pub struct LoginReport {
    /// Who is logged in.
    pub email: String,
    /// For display.
    pub name: String,
    /// Where.
    pub server_url: String,
    /// The first private teamspace: where events go. Without one nothing can be sent.
    pub team: Option<Team>,
    /// All private teamspaces, for `auth switch`.
    pub private_teams: Vec<Team>,
    /// Whether `sync.server_url` was written.
    pub wrote_server_url: bool,
    /// The scope before, whose waiting rows stay where they are.
    pub previous_scope: Option<Scope>,
    /// The scope now.
    pub scope: Option<Scope>,
    /// Why the identity card could not be written. The login stands; commands take a little longer.
    pub card_problem: Option<String>,
}

/// Why nobody is logged in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No server is configured and none was named.
    #[error("no sync server is configured; nothing is sent to a default one")]
    ServerUnset,
    /// The server's URL cannot be used.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// The OAuth part failed.
    #[error(transparent)]
    OAuth(#[from] OAuthFailure),
    /// No answer to the question who it is.
    #[error(transparent)]
    Silence(#[from] SendError),
    /// The server does not say who it is.
    #[error("{host} does not say whose login this is: {why}")]
    Account {
        /// Host and port.
        host: String,
        /// What is wrong.
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
    /// The user said no in the browser.
    #[error("the login was refused at {host}")]
    Denied {
        /// Host and port.
        host: String,
    },
    /// The server said no in the browser.
    #[error("{host} refused the login: {why}")]
    Refused {
        /// Host and port.
        host: String,
        /// Its words.
        why: String,
    },
    /// Nobody approved it in time.
    #[error("nobody approved the login at {host} in time; run `spec-kitty auth login` again")]
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
        matches!(self, Self::ServerUnset | Self::Destination(DestinationError::Packaged(_)))
            .then_some(exit::SYNC_SERVER_UNSET)
    }

    /// How the command ends.
    pub fn exit(&self) -> ExitCode {
        match self {
            Self::ServerUnset | Self::Destination(_) | Self::Config(_) => ExitCode::Refused,
            Self::Cancelled => ExitCode::Interrupted,
            Self::ConfigEdit(ConfigEditError::Lock(identity::LockError::Busy { .. }))
            | Self::Store(SessionWriteError::Lock(identity::LockError::Busy { .. })) => ExitCode::Busy,
            _ => ExitCode::Failed,
        }
    }

    /// What cures it, where a command or an advice can.
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::ServerUnset | Self::Destination(_) => Some(Remedy::LoginServer),
            Self::Config(fault) => Some(fault.remedy.clone()),
            Self::Expired { .. } => Some(Remedy::Login),
            _ => None,
        }
    }
}

/// Logs in at `server`, or at the configured server, and stores the session.
///
/// # Errors
/// See [`LoginError`].
pub fn log_in(
    context: &Context,
    server: Option<&str>,
    method: LoginMethod,
    prompt: &mut dyn Prompt,
) -> Result<LoginReport, LoginError> {
    let config = Config::read(&context.home).map_err(LoginError::Config)?;
    let url = resolve_server(server, &config)?;
    let destination = Destination::parse(&url, context.cleartext)?;
    let oauth = OAuth { client: &context.client, server: &destination };
    let grant = match method {
        LoginMethod::Device => send_device_login(oauth, prompt)?,
        LoginMethod::Browser => send_browser_login(oauth, prompt)?,
    };
    let bearer = Bearer::new(&grant.access_token)?;
    let me = send_me(&context.client, &destination, &bearer)?;
    let facts = LoginFacts {
        grant,
        me,
        auth_method: method.name(),
        issuer: destination.base(),
        now: Timestamp::now(),
    };
    let session = plan_session(facts)?;
    store(context, &config, server.map(|_| url.as_str()), session, &destination)
}

fn resolve_server(named: Option<&str>, config: &Config) -> Result<String, LoginError> {
    let Some(named) = named else {
        return config.destination().map(str::to_owned).ok_or(LoginError::ServerUnset);
    };
    Ok(contract::scope::trim(named).trim_end_matches('/').to_owned())
}

fn store(
    context: &Context,
    before: &Config,
    named_server: Option<&str>,
    session: Session,
    destination: &Destination,
) -> Result<LoginReport, LoginError> {
    let previous_scope = read_login(&context.home, before, &context.environment).scope;
    let known = before.server_url.as_deref();
    let new_url = named_server.filter(|named| !known.is_some_and(|known| server_url::same(known, named)));
    if let Some(url) = new_url {
        let mut edit = ConfigEdit::begin(&context.home)?;
        edit.set_server_url(url);
        edit.commit()?;
    }
    context.sessions().write(&session)?;
    let config = Config::read(&context.home).map_err(LoginError::Config)?;
    let login = read_login(&context.home, &config, &context.environment);
    let card_problem = refresh_card(&context.home, &login).err().map(|error| error.to_string());
    Ok(LoginReport {
        team: session.private_team().cloned(),
        private_teams: session.teams.iter().filter(|team| team.private).cloned().collect(),
        email: session.email,
        name: session.name,
        server_url: destination.base().to_owned(),
        wrote_server_url: new_url.is_some(),
        previous_scope,
        scope: login.scope,
        card_problem,
    })
}
