//! The login of this machine, read from environment and disk: scope and authentication, two facts.
//!
//! Sources in order of precedence: CI token, session, credentials of old releases. The first that is present
//! decides, even if it cannot be read; but a session without a scope (no private teamspace) leaves the scope to
//! the credentials. Reads only.
//!
//! Invariants. An unreadable source is a fault and never "logged out". With a fault there is no scope and no active
//! queue, because a guess could name another account. Credentials and expired sessions give a scope, never
//! authentication.

use crate::ci_token::{EnvironmentToken, read_ci_token};
use crate::config::Config;
use crate::credentials::{Credentials, CredentialsReading, read_credentials};
use crate::environment::{Environment, names};
use crate::home::Home;
use crate::privacy::privacy_fault;
use crate::session::SessionStore;
use crate::session_cache::{SessionCache, SessionCacheUse, SessionFacts};
pub use contract::AuthAbsence;
use contract::server_url::{self, ServerUrl, ServerUrlError};
use contract::{AuthAbsent, Fault, FaultCode, LoginState, Remedy, Scope};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::path::PathBuf;
use system::machine::Machine;

/// Source of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginSource {
    /// A CI token.
    Token,
    /// The session.
    Session,
    /// The credentials file of old releases.
    Credentials,
    /// Not logged in.
    None,
}

impl LoginSource {
    /// Its name in status and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Session => "session",
            Self::Credentials => "credentials",
            Self::None => "none",
        }
    }
}

/// A login.
#[derive(Clone, Debug)]
pub struct Login {
    /// The queue scope.
    pub scope: Option<Scope>,
    /// Whether the identity may be used.
    pub authenticated: bool,
    /// Reason of a missing authentication; none exactly when authenticated.
    pub absence: Option<AuthAbsence>,
    /// Its source.
    pub source: LoginSource,
    /// The server of the scope, as written in its source. For display and comparison; requests are sent to
    /// [`Login::destination`].
    pub server_url: Option<String>,
    /// The server that rows may be sent to, without trailing slash; none means `SYNC_SERVER_UNSET`. Never the
    /// URL that earlier releases had built in.
    pub destination: Option<String>,
    /// The user, as written.
    pub principal: Option<String>,
    /// The team of the scope, in its original case.
    pub team_id: Option<String>,
    /// The private teamspaces to choose from, in the session's order.
    pub private_teams: Vec<String>,
    /// End of the access token.
    pub access_expires_at: Option<Timestamp>,
    /// End of the login.
    pub refresh_expires_at: Option<Timestamp>,
    /// The base URL of the server that issued the token, if recorded.
    pub issuer: Option<String>,
    /// Whether a session cache replaced the key derivation.
    pub session_cache: SessionCacheUse,
    /// Faults of unreadable sources.
    pub faults: Vec<Fault>,
    /// Files that were ignored, and why.
    pub ignored: Vec<(PathBuf, String)>,
    /// The variable of the CI token that decides, readable or not.
    pub token_variable: Option<&'static str>,
    /// Whether a valid server is configured.
    server_known: bool,
    active: QueueWithoutScope,
    derived: Option<Box<SessionCache>>,
}

/// The active queue DB without a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum QueueWithoutScope {
    Legacy,
    Unknown,
}

impl Login {
    /// The active queue DB: the scoped one; without a scope the legacy one; none (unknown) beside an unreadable
    /// source.
    pub fn active_queue(&self, home: &Home) -> Option<PathBuf> {
        match (&self.scope, self.active) {
            (Some(scope), _) => Some(home.scoped_queue(scope)),
            (None, QueueWithoutScope::Legacy) => Some(home.legacy_queue()),
            (None, QueueWithoutScope::Unknown) => None,
        }
    }

    /// The remedy of a login that is absent or that the server refuses.
    pub fn remedy(&self) -> Remedy {
        self.state().remedy()
    }

    /// Whether the server URL that decides cannot be used.
    pub fn has_invalid_server(&self) -> bool {
        self.faults.iter().any(|fault| fault.code == FaultCode::ServerUrlInvalid)
    }

    /// The remedy that changes the server of this login.
    pub fn server_remedy(&self) -> Remedy {
        self.state().server_remedy(names::SPEC_KITTY_SERVER_URL)
    }

    /// Reason and remedy of a missing authentication.
    pub fn absent(&self) -> Option<AuthAbsent> {
        self.absence.map(|why| AuthAbsent { why, remedy: self.remedy() })
    }

    fn state(&self) -> LoginState {
        LoginState {
            absence: self.absence,
            token_variable: self.token_variable,
            server_known: self.server_known,
        }
    }

    /// The cache that was derived while reading and is not on the disk.
    pub(crate) fn derived_cache(&self) -> Option<&SessionCache> {
        self.derived.as_deref()
    }

    fn logged_out(config: &Config) -> Self {
        Self {
            scope: None,
            authenticated: false,
            absence: Some(AuthAbsence::LoggedOut),
            source: LoginSource::None,
            server_url: None,
            destination: config.destination(),
            principal: None,
            team_id: None,
            private_teams: Vec::new(),
            access_expires_at: None,
            refresh_expires_at: None,
            issuer: None,
            session_cache: SessionCacheUse::NotNeeded,
            faults: Vec::new(),
            ignored: Vec::new(),
            token_variable: None,
            server_known: config.destination().is_some(),
            active: if config.is_readable() { QueueWithoutScope::Legacy } else { QueueWithoutScope::Unknown },
            derived: None,
        }
    }

    fn unreadable(config: &Config, source: LoginSource, fault: Fault) -> Self {
        Self {
            absence: Some(match source {
                LoginSource::Token => AuthAbsence::TokenUnreadable,
                LoginSource::Session | LoginSource::Credentials | LoginSource::None => {
                    AuthAbsence::Unreadable
                }
            }),
            source,
            faults: vec![fault],
            active: QueueWithoutScope::Unknown,
            ..Self::logged_out(config)
        }
    }
}

/// Reads the login of this machine and user. With a valid session cache no key is derived.
///
/// Pass [`Config::unreadable`] when the configuration has a fault: then no session gives a scope, because the
/// configuration decides the scope's server.
pub fn read_login(home: &Home, config: &Config, environment: &Environment) -> Login {
    read_login_at(home, config, environment, &Machine::observe(), system::clock::now())
}

/// The login of this machine, with its own read of the configuration. An unreadable one gives no scope and no
/// server.
pub fn read_any_login(home: &Home, environment: &Environment) -> Login {
    let config = Config::read(home).unwrap_or_else(|_| Config::unreadable());
    read_login(home, &config, environment)
}

/// [`read_login`] for a stated machine and time.
pub fn read_login_at(
    home: &Home,
    config: &Config,
    environment: &Environment,
    machine: &Machine,
    now: Timestamp,
) -> Login {
    match read_ci_token(environment) {
        Ok(Some(token)) => return of_token(token, home, config, environment),
        Err(fault) => {
            let login = Login::unreadable(config, LoginSource::Token, fault);
            return Login { token_variable: token_variable(environment), ..login };
        }
        Ok(None) => {}
    }
    if let Some(fault) = privacy_fault(home) {
        return Login::unreadable(config, LoginSource::Session, fault);
    }
    let store = SessionStore::new(home, machine.clone());
    match SessionFacts::read(home, &store, config.server_url.as_deref()) {
        Err(error) => Login::unreadable(config, LoginSource::Session, error.into_fault(home)),
        Ok(Some(facts)) => {
            let mut login = of_session(facts, config, environment, now);
            login.faults = configured_fault(home, config);
            if login.scope.is_none() && login.absence == Some(AuthAbsence::NoPrivateTeam) {
                with_credentials(home, config, login)
            } else {
                login
            }
        }
        Ok(None) => {
            let login = Login { faults: configured_fault(home, config), ..Login::logged_out(config) };
            with_credentials(home, config, login)
        }
    }
}

/// The fault of an invalid configured server.
fn configured_fault(home: &Home, config: &Config) -> Vec<Fault> {
    let server = config.server_url.as_deref();
    server.and_then(|server| ServerSetting::Config.judge(home, server)).into_iter().collect()
}

fn of_token(token: EnvironmentToken, home: &Home, config: &Config, environment: &Environment) -> Login {
    let variable = names::SPEC_KITTY_SERVER_URL;
    let token_variable = Some(token.variable);
    let stated = environment.text(variable).filter(|url| !is_blank(url));
    let (server, place) = match (stated, config.server_url.clone().filter(|url| !is_blank(url))) {
        (Some(server), _) => (server, ServerSetting::Variable),
        (None, Some(server)) => (server, ServerSetting::ConfigOfToken),
        (None, None) => {
            let detail = format!("{} is set without a server for it", token.variable);
            let remedy = server_url::correct_by_hand(variable);
            let fault = Fault { code: FaultCode::SessionUnreadable, path: None, detail, remedy };
            return Login { token_variable, ..Login::unreadable(config, LoginSource::Token, fault) };
        }
    };
    let server = match ServerUrl::parse(&server) {
        Ok(server) => server,
        Err(error) => return of_token_without_server(token, config, place.fault(home, &server, error)),
    };
    Login {
        // The environment is read by this program alone, so its normal form decides the scope.
        scope: Some(Scope::new(server.normal(), &token.principal, &token.team)),
        authenticated: true,
        absence: None,
        source: LoginSource::Token,
        destination: destination(&server),
        principal: Some(token.principal),
        private_teams: vec![token.team.clone()],
        team_id: Some(token.team),
        // Token and server are set together.
        issuer: Some(server.normal().to_owned()),
        server_url: Some(server.normal().to_owned()),
        token_variable,
        ..Login::logged_out(config)
    }
}

/// A readable token whose server cannot be used: an identity, and no scope, because the normal form of
/// the server decides it.
fn of_token_without_server(token: EnvironmentToken, config: &Config, fault: Fault) -> Login {
    Login {
        authenticated: true,
        absence: None,
        source: LoginSource::Token,
        destination: None,
        principal: Some(token.principal),
        token_variable: Some(token.variable),
        faults: vec![fault],
        active: QueueWithoutScope::Unknown,
        ..Login::logged_out(config)
    }
}

/// The variable of the CI token that decides, if one is set.
fn token_variable(environment: &Environment) -> Option<&'static str> {
    [names::SPEC_KITTY_TOKEN, names::SPEC_KITTY_TOKEN_FILE]
        .into_iter()
        .find(|name| environment.non_empty(name).is_some())
}

/// Location of the server URL that decides.
#[derive(Clone, Copy, Debug)]
enum ServerSetting {
    /// `SPEC_KITTY_SERVER_URL`.
    Variable,
    /// The configuration, for a CI token.
    ConfigOfToken,
    /// The configuration, for a session or a later login.
    Config,
    /// The credentials file of an earlier release.
    Credentials,
}

impl ServerSetting {
    /// The fault of `value` at that place.
    fn fault(self, home: &Home, value: &str, error: ServerUrlError) -> Fault {
        let variable = names::SPEC_KITTY_SERVER_URL;
        let (path, subject) = match self {
            Self::Variable => (None, variable),
            Self::ConfigOfToken | Self::Config => (Some(home.config_file()), "`sync.server_url`"),
            Self::Credentials => (Some(home.credentials_file()), "the server"),
        };
        let remedy = match self {
            // A login does not change the server of a CI token.
            Self::Variable | Self::ConfigOfToken => server_url::correct_by_hand(variable),
            Self::Config | Self::Credentials => Remedy::LoginServer,
        };
        let detail = server_url::describe_invalid(subject, value, error);
        Fault { code: FaultCode::ServerUrlInvalid, path, detail, remedy }
    }

    /// The fault of `value`, unless it is a server URL.
    fn judge(self, home: &Home, value: &str) -> Option<Fault> {
        ServerUrl::parse(value).err().map(|error| self.fault(home, value, error))
    }
}

fn of_session(facts: SessionFacts, config: &Config, environment: &Environment, now: Timestamp) -> Login {
    let SessionFacts { cache, cache_use } = facts;
    // Rows of a login without a configured server were queued under the built-in URL.
    let server = config.server_url.clone().unwrap_or_else(|| server_url::PACKAGED_DEFAULT.to_owned());
    let named = cache.team.as_deref().filter(|_| !cache.principal.is_empty());
    let scope =
        named.filter(|_| config.is_readable()).map(|team| Scope::new(&server, &cache.principal, team));
    let expired = cache
        .refresh_token_expires_at
        .filter(|expiry| *expiry <= now)
        .map(|expiry| expiry.to_zoned(TimeZone::UTC).date());
    let absence = match (named, expired) {
        (None, _) => Some(AuthAbsence::NoPrivateTeam),
        (Some(_), Some(on)) => Some(AuthAbsence::Expired { on }),
        (Some(_), None) => None,
    };
    Login {
        server_url: scope.as_ref().map(|_| server).filter(|url| !is_blank(url)),
        scope,
        authenticated: absence.is_none(),
        absence,
        source: LoginSource::Session,
        principal: Some(cache.principal.clone()),
        team_id: cache.team.clone(),
        private_teams: cache.private_teams.clone(),
        access_expires_at: Some(cache.access_token_expires_at),
        refresh_expires_at: cache.refresh_token_expires_at,
        // A session of the reference has no issuer; its auth server had its own variable.
        issuer: cache
            .issuer
            .clone()
            .or_else(|| environment.text(names::SPEC_KITTY_SAAS_URL).filter(|url| !is_blank(url))),
        session_cache: cache_use,
        derived: (cache_use == SessionCacheUse::Derived).then(|| Box::new(cache)),
        ..Login::logged_out(config)
    }
}

/// Adds the scope of old credentials to a login that has none of its own.
fn with_credentials(home: &Home, config: &Config, login: Login) -> Login {
    let path = home.credentials_file();
    match read_credentials(&path) {
        CredentialsReading::None => login,
        CredentialsReading::Ignored(reason) => Login { ignored: vec![(path, reason)], ..login },
        CredentialsReading::Unreadable(error) => {
            let remedy = login.remedy();
            let fault = Fault::new(FaultCode::SessionUnreadable, path, error.to_string(), remedy);
            Login { derived: login.derived, ..Login::unreadable(config, LoginSource::Credentials, fault) }
        }
        CredentialsReading::Found(Credentials { server_url, principal, team }) => Login {
            faults: ServerSetting::Credentials.judge(home, &server_url).into_iter().collect(),
            scope: Some(Scope::new(&server_url, &principal, &team)),
            server_url: Some(server_url).filter(|url| !is_blank(url)),
            absence: match login.source {
                LoginSource::Session => login.absence,
                LoginSource::Token | LoginSource::Credentials | LoginSource::None => {
                    Some(AuthAbsence::CredentialsOnly)
                }
            },
            source: LoginSource::Credentials,
            principal: Some(principal),
            team_id: Some(team),
            ..login
        },
    }
}

/// The destination of requests to `server`; none for the URL that earlier releases had built in.
fn destination(server: &ServerUrl) -> Option<String> {
    (!server.is_packaged_default()).then(|| server.normal().to_owned())
}

fn is_blank(url: &str) -> bool {
    contract::scope::trim(url).is_empty()
}
