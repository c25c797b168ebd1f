//! Who is logged in, as far as the disk and the environment tell: scope and authentication, two facts.
//!
//! Asked in this order, and the first that is there decides, also when it cannot be read: CI token,
//! session, credentials of old releases. A session that cannot give a scope (no private teamspace) lets
//! the credentials give one. Reads only.
//!
//! Invariants: what cannot be read is a fault and never "logged out"; with a fault there is no scope and
//! no active queue, because any guess could be another account's; credentials and expired sessions give
//! a scope, never authentication.

use crate::card::{CardUse, IdentityCard, SessionFacts};
use crate::config::Config;
use crate::credentials::{Credentials, CredentialsReading, read_credentials};
use crate::environment::{Environment, names};
use crate::home::Home;
use crate::machine::Machine;
use crate::privacy::privacy_fault;
use crate::session::SessionStore;
use crate::token::{CiToken, read_ci_token};
use contract::{Fault, FaultCode, Remedy, Scope, server_url};
use jiff::Timestamp;
use std::path::PathBuf;

/// What decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginSource {
    /// A CI token.
    Token,
    /// The session.
    Session,
    /// The credentials file of old releases.
    Credentials,
    /// Nobody is logged in.
    None,
}

impl LoginSource {
    /// One word for it, in status and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Session => "session",
            Self::Credentials => "credentials",
            Self::None => "none",
        }
    }
}

/// Why a login is not authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthAbsence {
    /// Nobody is logged in.
    LoggedOut,
    /// The refresh token has expired.
    Expired,
    /// The session has no private teamspace, the only kind that rows are sent to.
    NoPrivateTeam,
    /// Only credentials of an old release are there.
    CredentialsOnly,
    /// Token, session or credentials cannot be read.
    Unreadable,
}

/// A login.
#[derive(Clone, Debug)]
pub struct Login {
    /// Whose queue it is.
    pub scope: Option<Scope>,
    /// Whether the identity may be used.
    pub authenticated: bool,
    /// Why it may not; none exactly when it may.
    pub absence: Option<AuthAbsence>,
    /// What decided.
    pub source: LoginSource,
    /// The server of the scope, as written where it came from. For display and comparison; where
    /// requests may go is [`Login::destination`].
    pub server_url: Option<String>,
    /// Where rows may be sent, without trailing slash; none means `SYNC_SERVER_UNSET`. Never the URL
    /// that earlier releases had built in.
    pub destination: Option<String>,
    /// The user, as written.
    pub principal: Option<String>,
    /// The team of the scope, in its original case.
    pub team_id: Option<String>,
    /// The private teamspaces to choose from, in the session's order.
    pub private_teams: Vec<String>,
    /// When the access token expires.
    pub access_expires_at: Option<Timestamp>,
    /// When the login expires.
    pub refresh_expires_at: Option<Timestamp>,
    /// The base URL of the server that issued the token, as far as anybody recorded it.
    pub issuer: Option<String>,
    /// Whether an identity card spared the key derivation.
    pub card: CardUse,
    /// What could not be read.
    pub faults: Vec<Fault>,
    /// Files that were ignored, and why.
    pub ignored: Vec<(PathBuf, String)>,
    active: ActiveQueue,
    derived: Option<Box<IdentityCard>>,
}

/// Which queue DB is active when there is no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ActiveQueue {
    Legacy,
    Unknown,
}

impl Login {
    /// The active queue DB: the scope's; without a scope the legacy one; none when something is
    /// unreadable, because then nobody knows.
    pub fn active_queue(&self, home: &Home) -> Option<PathBuf> {
        match (&self.scope, self.active) {
            (Some(scope), _) => Some(home.scoped_queue(scope)),
            (None, ActiveQueue::Legacy) => Some(home.legacy_queue()),
            (None, ActiveQueue::Unknown) => None,
        }
    }

    /// The card that was derived while reading and is not on the disk.
    pub(crate) fn derived_card(&self) -> Option<&IdentityCard> {
        self.derived.as_deref()
    }

    fn nobody(config: &Config) -> Self {
        Self {
            scope: None,
            authenticated: false,
            absence: Some(AuthAbsence::LoggedOut),
            source: LoginSource::None,
            server_url: None,
            destination: config.destination().map(str::to_owned),
            principal: None,
            team_id: None,
            private_teams: Vec::new(),
            access_expires_at: None,
            refresh_expires_at: None,
            issuer: None,
            card: CardUse::NotNeeded,
            faults: Vec::new(),
            ignored: Vec::new(),
            active: if config.is_readable() { ActiveQueue::Legacy } else { ActiveQueue::Unknown },
            derived: None,
        }
    }

    fn unreadable(config: &Config, source: LoginSource, fault: Fault) -> Self {
        Self {
            absence: Some(AuthAbsence::Unreadable),
            source,
            faults: vec![fault],
            active: ActiveQueue::Unknown,
            ..Self::nobody(config)
        }
    }
}

/// Reads the login of this machine and user, now. With a valid identity card no key is derived.
///
/// Hand over [`Config::unreadable`] when reading the configuration gave a fault: then no session gives a
/// scope, because the scope's server is written there.
pub fn read_login(home: &Home, config: &Config, environment: &Environment) -> Login {
    read_login_at(home, config, environment, &Machine::observe(), Timestamp::now())
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
        Ok(Some(token)) => return of_token(token, config, environment),
        Err(fault) => return Login::unreadable(config, LoginSource::Token, fault),
        Ok(None) => {}
    }
    if let Some(fault) = privacy_fault(home) {
        return Login::unreadable(config, LoginSource::Session, fault);
    }
    let store = SessionStore::new(home, machine.clone());
    match SessionFacts::read(home, &store, config.server_url.as_deref()) {
        Err(error) => Login::unreadable(config, LoginSource::Session, error.into_fault(home)),
        Ok(Some(facts)) => {
            let login = of_session(facts, config, environment, now);
            if login.scope.is_none() && login.absence == Some(AuthAbsence::NoPrivateTeam) {
                with_credentials(home, config, login)
            } else {
                login
            }
        }
        Ok(None) => with_credentials(home, config, Login::nobody(config)),
    }
}

fn of_token(token: CiToken, config: &Config, environment: &Environment) -> Login {
    let stated = environment.text(names::SPEC_KITTY_SERVER_URL).filter(|url| !is_blank(url));
    let Some(server) = stated.or_else(|| config.server_url.clone().filter(|url| !is_blank(url))) else {
        let detail = format!("{} is set, but no server: nobody knows whose token it is", token.variable);
        let remedy = Remedy::Advice(format!("set {}", names::SPEC_KITTY_SERVER_URL));
        let fault = Fault { code: FaultCode::SessionUnreadable, path: None, detail, remedy };
        return Login::unreadable(config, LoginSource::Token, fault);
    };
    if crate::config::carries_credentials(&server) {
        let variable = names::SPEC_KITTY_SERVER_URL;
        let detail = format!("{variable} carries a user name or password");
        let remedy = Remedy::Advice(format!("set {variable} to the server alone"));
        let fault = Fault { code: FaultCode::SessionUnreadable, path: None, detail, remedy };
        return Login::unreadable(config, LoginSource::Token, fault);
    }
    Login {
        scope: Some(Scope::new(&server, &token.principal, &token.team)),
        authenticated: true,
        absence: None,
        source: LoginSource::Token,
        destination: crate::config::destination(&server).map(str::to_owned),
        principal: Some(token.principal),
        private_teams: vec![token.team.clone()],
        team_id: Some(token.team),
        // Token and server are handed over together.
        issuer: Some(server.clone()),
        server_url: Some(server),
        ..Login::nobody(config)
    }
}

fn of_session(facts: SessionFacts, config: &Config, environment: &Environment, now: Timestamp) -> Login {
    let SessionFacts { card, card_use } = facts;
    // Rows of a login without a configured server were queued under the URL that was built in.
    let server = config.server_url.clone().unwrap_or_else(|| server_url::PACKAGED_DEFAULT.to_owned());
    let named = card.team.as_deref().filter(|_| !card.principal.is_empty());
    let scope = named.filter(|_| config.is_readable()).map(|team| Scope::new(&server, &card.principal, team));
    let expired = card.refresh_token_expires_at.is_some_and(|expiry| expiry <= now);
    let absence = match (named, expired) {
        (None, _) => Some(AuthAbsence::NoPrivateTeam),
        (Some(_), true) => Some(AuthAbsence::Expired),
        (Some(_), false) => None,
    };
    Login {
        server_url: scope.as_ref().map(|_| server).filter(|url| !is_blank(url)),
        scope,
        authenticated: absence.is_none(),
        absence,
        source: LoginSource::Session,
        principal: Some(card.principal.clone()),
        team_id: card.team.clone(),
        private_teams: card.private_teams.clone(),
        access_expires_at: Some(card.access_token_expires_at),
        refresh_expires_at: card.refresh_token_expires_at,
        // A session of the reference does not say; its auth server had its own variable.
        issuer: card
            .issuer
            .clone()
            .or_else(|| environment.text(names::SPEC_KITTY_SAAS_URL).filter(|url| !is_blank(url))),
        card: card_use,
        derived: (card_use == CardUse::Derived).then(|| Box::new(card)),
        ..Login::nobody(config)
    }
}

/// Adds the scope of old credentials to a login that has none of its own.
fn with_credentials(home: &Home, config: &Config, login: Login) -> Login {
    let path = home.credentials_file();
    match read_credentials(&path) {
        CredentialsReading::None => login,
        CredentialsReading::Ignored(reason) => Login { ignored: vec![(path, reason)], ..login },
        CredentialsReading::Unreadable(error) => {
            let fault = Fault::new(FaultCode::SessionUnreadable, path, error.to_string(), Remedy::Login);
            Login { derived: login.derived, ..Login::unreadable(config, LoginSource::Credentials, fault) }
        }
        CredentialsReading::Found(Credentials { server_url, principal, team }) => Login {
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

fn is_blank(url: &str) -> bool {
    contract::scope::trim(url).is_empty()
}
