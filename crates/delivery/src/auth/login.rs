//! Login: from the choice of the server to the stored session.
//!
//! Order: the server (nothing is sent without a configured one), the flow, the account, then the writes:
//! the server's URL if it was named, the session, the session cache. A login that fails before the
//! writes changes no file.

use super::Prompt;
use super::browser::send_browser_login;
use super::device::send_device_login;
use super::login_error::LoginError;
use super::me::{GrantedLogin, plan_session, send_me};
use super::oauth::OAuth;
use crate::context::DeliveryContext;
use crate::http::Bearer;
use crate::probe::{Reachability, ask_health};
use crate::server_address::{ServerAddress, ServerAddressError};
use contract::{Scope, ServerUrl, server_url};
use identity::session::Team;
use identity::{Config, ConfigEdit, Session, read_login, refresh_session_cache};

/// Login flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginMethod {
    /// A code to type on any device: `--headless`.
    Device,
    /// A browser on this machine.
    Browser,
}

impl LoginMethod {
    /// The name the session keeps.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Device => "device_code",
            Self::Browser => "authorization_code",
        }
    }
}

/// The result of a login.
#[derive(Clone, Debug)]
pub struct LoginReport {
    /// The account.
    pub email: String,
    /// For display.
    pub name: String,
    /// The server.
    pub server_url: String,
    /// The first private teamspace: the destination of events. Without one nothing can be sent.
    pub team: Option<Team>,
    /// All private teamspaces, for `auth switch`.
    pub private_teams: Vec<Team>,
    /// Whether `sync.server_url` was written.
    pub wrote_server_url: bool,
    /// The scope before, whose waiting rows stay where they are.
    pub previous_scope: Option<Scope>,
    /// The scope now.
    pub scope: Option<Scope>,
    /// Failure to write the session cache. The login is valid; commands take a little longer.
    pub cache_problem: Option<String>,
}

/// Logs in at `server`, or at the configured server, and stores the session.
///
/// # Errors
/// See [`LoginError`].
pub fn log_in(
    context: &DeliveryContext,
    server: Option<&str>,
    method: LoginMethod,
    prompt: &mut dyn Prompt,
) -> Result<LoginReport, LoginError> {
    let config = Config::read(&context.home).map_err(LoginError::Config)?;
    let url = resolve_server(server, &config)?;
    let destination = ServerAddress::of(&url)?;
    let oauth = OAuth { client: &context.client, server: &destination };
    let grant = match method {
        LoginMethod::Device => send_device_login(oauth, prompt)?,
        LoginMethod::Browser => {
            probe_server(context, &destination)?;
            send_browser_login(oauth, prompt)?
        }
    };
    let bearer = Bearer::new(&grant.access_token)?;
    let me = send_me(&context.client, &destination, &bearer)?;
    let facts = GrantedLogin {
        grant,
        me,
        auth_method: method.name(),
        issuer: destination.base(),
        now: system::clock::now(),
    };
    let session = plan_session(facts)?;
    store(context, &config, server.map(|_| &url), session, &destination)
}

/// Refuses an address without an answer, or of another kind of server: the login would wait in vain. A server
/// without a health document (404, 405) is accepted.
fn probe_server(context: &DeliveryContext, server: &ServerAddress) -> Result<(), LoginError> {
    let (status, health) = ask_health(context, server, None);
    match health {
        Reachability::Unreachable(why) => Err(LoginError::NoServer { why }),
        Reachability::NotASyncServer(why) if !matches!(status, Some(404 | 405)) => {
            Err(LoginError::NotAServer { host: server.host().to_string(), why })
        }
        Reachability::Connected { .. }
        | Reachability::LoginNeeded
        | Reachability::NotASyncServer(_)
        | Reachability::Forbidden(_)
        | Reachability::ContractSkew(_)
        | Reachability::Troubled(_) => Ok(()),
    }
}

/// The server to log in at: the named one, else the configured one.
fn resolve_server(named: Option<&str>, config: &Config) -> Result<ServerUrl, LoginError> {
    let (subject, url) = match (named, config.server_url.as_deref()) {
        (Some(named), _) => ("--server", named),
        (None, Some(url)) => ("`sync.server_url`", url),
        (None, None) => return Err(LoginError::ServerUnset),
    };
    let invalid = |error| server_url::describe_invalid(subject, url, error);
    Ok(ServerUrl::parse(url).map_err(|error| ServerAddressError::Invalid(invalid(error)))?)
}

fn store(
    context: &DeliveryContext,
    before: &Config,
    named_server: Option<&ServerUrl>,
    session: Session,
    destination: &ServerAddress,
) -> Result<LoginReport, LoginError> {
    let previous_scope = read_login(&context.home, before, &context.environment).scope;
    // Another spelling of the same server stays as it is: the scope follows the text.
    let known = before.server_url.as_deref().and_then(|known| ServerUrl::parse(known).ok());
    let new_url =
        named_server.filter(|named| known.as_ref().is_none_or(|known| known.normal() != named.normal()));
    if let Some(url) = new_url {
        let mut edit = ConfigEdit::begin(&context.home)?;
        edit.set_server_url(url.normal());
        edit.commit()?;
    }
    context.sessions().write(&session)?;
    let config = Config::read(&context.home).map_err(LoginError::Config)?;
    let login = read_login(&context.home, &config, &context.environment);
    let cache_problem = refresh_session_cache(&context.home, &login).err().map(|error| error.to_string());
    Ok(LoginReport {
        team: session.private_team().cloned(),
        private_teams: session.teams.iter().filter(|team| team.private).cloned().collect(),
        email: session.email,
        name: session.name,
        server_url: destination.base().to_owned(),
        wrote_server_url: new_url.is_some(),
        previous_scope,
        scope: login.scope,
        cache_problem,
    })
}
