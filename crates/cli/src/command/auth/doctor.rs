//! `auth doctor`: the login of this machine, file by file. Offline unless `--server` asks the server.

use crate::build;
use crate::diagnostics::{DiagnosticCheck, DiagnosticVerdict, describe, headline, judge_probe};
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb, chain};
use contract::Remedy;
use contract::exit::{SYNC_SERVER_UNSET, SYNC_TOKEN_HOST};
use delivery::probe::fetch_login_probe;
use identity::environment::names;
use identity::{
    AuthAbsence, Config, Destination, Home, Login, LoginSource, Session, SessionCacheUse, SessionStore,
    judge_destination, read_login,
};
use jiff::Timestamp;
use serde::Serialize;
use std::borrow::Cow;
use std::path::Path;
use system::lock::{LockProbe, probe};
use system::private_file::shared_mode;

/// Check the login of this machine, file by file; change nothing
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty auth doctor --server")]
pub(crate) struct AuthDoctorArgs {
    /// Also ask the server whether it accepts this login; nothing is sent otherwise
    #[arg(long)]
    server: bool,
}

impl Verb for AuthDoctorArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    /// Exit 1 with findings.
    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let observed_at = Timestamp::now().to_string();
        let checks = LoginDiagnostics::of(context)?.examine(self.server)?;
        let result = DiagnosticVerdict::of(&checks);
        Ok(Report::exiting(result.exit(), &LoginExamination { result, observed_at, checks }))
    }
}

/// The checks, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum LoginCheckName {
    /// Source of the login.
    Source,
    /// The session file opens.
    Session,
    /// The session cache, which spares the key derivation.
    Card,
    /// The login may be used.
    Login,
    /// The access token.
    AccessToken,
    /// A private teamspace.
    Teamspace,
    /// The permitted destination of requests.
    Destination,
    /// No refresh is stuck.
    RefreshLock,
    /// The server takes the login.
    Server,
}

/// Facts that are examined.
struct LoginDiagnostics<'a> {
    context: &'a CommandContext,
    home: &'a Home,
    config: Config,
    login: Login,
    /// The session, opened with its key and not by its cache.
    session: Option<Session>,
}

impl<'a> LoginDiagnostics<'a> {
    fn of(context: &'a CommandContext) -> Result<Self, CliError> {
        let home = context.home()?;
        let config = Config::read(home).unwrap_or_else(|_| Config::unreadable());
        let login = read_login(home, &config, &context.environment);
        // A session that cannot be opened is a fault of the login already.
        let session = SessionStore::new(home, context.machine()).read().unwrap_or_default();
        Ok(Self { context, home, config, login, session })
    }

    fn examine(&self, server: bool) -> Result<Vec<DiagnosticCheck<LoginCheckName>>, CliError> {
        Ok(vec![
            self.source(),
            self.session(),
            self.card(),
            self.login(),
            self.access_token(),
            self.teamspace(),
            self.destination(),
            self.refresh_lock(),
            self.server(server)?,
        ])
    }

    fn source(&self) -> DiagnosticCheck<LoginCheckName> {
        let login = &self.login;
        let summary = match login.source {
            LoginSource::Token => "a CI token in the environment, which takes precedence over a session",
            LoginSource::Session => "the session",
            LoginSource::Credentials => {
                "credentials of an earlier release, which name a queue but are not a login"
            }
            LoginSource::None => "nothing",
        };
        let variables = [names::SPEC_KITTY_TOKEN, names::SPEC_KITTY_TOKEN_FILE, names::SPEC_KITTY_SERVER_URL];
        let check = variables.into_iter().fold(
            DiagnosticCheck::ok(LoginCheckName::Source, summary),
            |check, variable| {
                let set = self.context.environment.non_empty(variable).is_some();
                check.read(if set { "set" } else { "not set" }, variable)
            },
        );
        // Secrets are mounted with the modes they have, so this is a note and no finding.
        let environment = &self.context.environment;
        let token_file = environment
            .non_empty(names::SPEC_KITTY_TOKEN_FILE)
            .filter(|_| environment.non_empty(names::SPEC_KITTY_TOKEN).is_none())
            .map(Path::new);
        let check = match token_file.and_then(|path| Some((path, shared_mode(path)?))) {
            Some((path, mode)) => check
                .read_file(format!("others on this machine may read this CI token (mode {mode:04o})"), path),
            None => check,
        };
        let check = login
            .ignored
            .iter()
            .fold(check, |check, (path, why)| check.read_file(format!("ignored: {why}"), path));
        let faults = login.faults.iter();
        faults.fold(check, |check, fault| {
            let path = fault.path.as_deref().map(|path| format!("{} ", path.to_string_lossy()));
            let detail = format!("{}{}", path.unwrap_or_default(), fault.detail);
            check.finding(fault.code.name(), detail, [fault.remedy.clone()])
        })
    }

    fn session(&self) -> DiagnosticCheck<LoginCheckName> {
        let file = self.home.session_file();
        let check = match (&self.session, file.exists()) {
            (Some(session), _) => {
                let method = format!("issued at {} by {}", session.issued_at, session.auth_method);
                DiagnosticCheck::ok(LoginCheckName::Session, method)
                    .read_file("decrypted with the key of this machine", &file)
            }
            (None, true) => DiagnosticCheck::not_checked(LoginCheckName::Session, "cannot be decrypted")
                .read_file("exists", &file),
            (None, false) => DiagnosticCheck::not_checked(LoginCheckName::Session, "none")
                .read_file("does not exist", &file),
        };
        let salt = self.home.session_salt();
        // Without a session no key is made; a salt that is left over is shown all the same.
        if file.exists() || salt.exists() {
            check.read_file("salt of the encryption key", &salt)
        } else {
            check
        }
    }

    fn card(&self) -> DiagnosticCheck<LoginCheckName> {
        let file = self.home.session_cache_file();
        match (self.login.session_cache, file.exists()) {
            (SessionCacheUse::Used, _) => DiagnosticCheck::ok(LoginCheckName::Card, "matches the session")
                .read_file("the session cache", &file),
            (SessionCacheUse::NotNeeded, _) => {
                DiagnosticCheck::not_checked(LoginCheckName::Card, "no session")
            }
            (SessionCacheUse::Derived, there) => {
                let summary = "does not match the session; the next command that writes state replaces it";
                let what = if there { "belongs to another session" } else { "does not exist" };
                DiagnosticCheck::ok(LoginCheckName::Card, summary).read_file(what, &file)
            }
        }
    }

    fn login(&self) -> DiagnosticCheck<LoginCheckName> {
        let login = &self.login;
        let principal = login.principal.clone().unwrap_or_else(|| contract::preflight::UNSET.to_owned());
        match login.absence {
            None => {
                let until = login.refresh_expires_at.map(|at| format!(", until {at}")).unwrap_or_default();
                DiagnosticCheck::ok(LoginCheckName::Login, format!("{principal}{until}"))
            }
            // The fault has its own remedy.
            Some(why @ (AuthAbsence::Unreadable | AuthAbsence::TokenUnreadable)) => {
                DiagnosticCheck::not_checked(LoginCheckName::Login, why.reason())
            }
            Some(why) => {
                let remedy = login.remedy();
                DiagnosticCheck::ok(LoginCheckName::Login, why.reason()).finding(
                    "auth_absent",
                    why.reason(),
                    [remedy],
                )
            }
        }
    }

    fn access_token(&self) -> DiagnosticCheck<LoginCheckName> {
        let Some(expires) = self.login.access_expires_at else {
            return DiagnosticCheck::not_checked(LoginCheckName::AccessToken, "none with an expiry time");
        };
        // The next sender renews it: its expiry is not a failure.
        let summary = if expires > Timestamp::now() {
            format!("until {expires}")
        } else {
            format!("expired at {expires}; the next delivery renews it")
        };
        DiagnosticCheck::ok(LoginCheckName::AccessToken, summary)
    }

    fn teamspace(&self) -> DiagnosticCheck<LoginCheckName> {
        match &self.login.team_id {
            Some(team) => self
                .login
                .private_teams
                .iter()
                .filter(|other| *other != team)
                .fold(DiagnosticCheck::ok(LoginCheckName::Teamspace, team.clone()), |check, other| {
                    check.read(other.clone(), "can switch to")
                }),
            None => DiagnosticCheck::not_checked(LoginCheckName::Teamspace, "no private teamspace"),
        }
    }

    fn destination(&self) -> DiagnosticCheck<LoginCheckName> {
        if !self.config.is_readable() {
            let advice = Config::read(self.home).err().map(|fault| fault.remedy);
            return DiagnosticCheck::ok(LoginCheckName::Destination, "the configuration cannot be read")
                .finding("config_unreadable", self.home.config_file().to_string_lossy(), advice);
        }
        let issuer = self.login.issuer.as_deref().map(contract::server_url::shown);
        let issuer = issuer.map_or_else(|| "unknown".to_owned(), Cow::into_owned);
        let destination = judge_destination(&self.login, &self.config);
        let (problem, way_back) = (destination.problem().unwrap_or_default(), destination.way_back());
        let check = match destination {
            // The fault names the value and what helps.
            _ if self.login.has_invalid_server() => {
                DiagnosticCheck::ok(LoginCheckName::Destination, "cannot be used")
            }
            Destination::Ready { url } => DiagnosticCheck::ok(LoginCheckName::Destination, url),
            Destination::ServerUnset => DiagnosticCheck::ok(LoginCheckName::Destination, "none").finding(
                SYNC_SERVER_UNSET,
                problem,
                [self.login.server_remedy()],
            ),
            Destination::TokenHost { url, .. } if !self.login.authenticated => {
                DiagnosticCheck::ok(LoginCheckName::Destination, url)
            }
            Destination::TokenHost { url, .. } => DiagnosticCheck::ok(LoginCheckName::Destination, url)
                .finding(
                    SYNC_TOKEN_HOST,
                    problem,
                    [Some(self.login.server_remedy()), way_back].into_iter().flatten(),
                ),
        };
        check
            .read_file("sync.server_url and sync.token_host", &self.home.config_file())
            .read(issuer, "issuer")
    }

    fn refresh_lock(&self) -> DiagnosticCheck<LoginCheckName> {
        let lock = self.home.refresh_lock();
        let (check, what) = match probe(&lock) {
            Ok(LockProbe::Free) => (DiagnosticCheck::ok(LoginCheckName::RefreshLock, "free"), "free"),
            Ok(LockProbe::Held) => {
                let summary = "held: another process renews the login";
                (DiagnosticCheck::ok(LoginCheckName::RefreshLock, summary), "held")
            }
            Err(error) => {
                let detail = format!("{}: {error}", lock.to_string_lossy());
                let advice =
                    format!("make {} a file that this user may read and write", lock.to_string_lossy());
                let check = DiagnosticCheck::ok(LoginCheckName::RefreshLock, "cannot be probed");
                (check.finding("refresh_lock_unusable", detail, [Remedy::Advice(advice)]), "unusable")
            }
        };
        check.read_file(what, &lock)
    }

    fn server(&self, asked: bool) -> Result<DiagnosticCheck<LoginCheckName>, CliError> {
        if !asked {
            return Ok(DiagnosticCheck::not_checked(
                LoginCheckName::Server,
                "not contacted; pass --server to contact it",
            ));
        }
        if !self.login.authenticated {
            return Ok(DiagnosticCheck::not_checked(LoginCheckName::Server, "not contacted: not logged in"));
        }
        let http = delivery::DeliveryContext::new(self.home, &self.context.environment, build::VERSION)
            .map_err(|error| CliError::failed("HTTP_SETUP", chain(&error)))?;
        Ok(match fetch_login_probe(&http) {
            Ok(probe) => {
                let url = probe.server_url.clone();
                judge_probe(LoginCheckName::Server, &probe, &self.login)
                    .read("contacted over the network", url)
            }
            // The checks of destination and login have the reason.
            Err(error) => DiagnosticCheck::not_checked(
                LoginCheckName::Server,
                format!("not contacted: {}", chain(&error)),
            ),
        })
    }
}

#[derive(Serialize)]
struct LoginExamination {
    result: DiagnosticVerdict,
    observed_at: String,
    checks: Vec<DiagnosticCheck<LoginCheckName>>,
}

impl Render for LoginExamination {
    fn text(&self) -> String {
        format!("{}\n\n{}", headline(self.result, &self.checks), describe(&self.checks))
    }
}
