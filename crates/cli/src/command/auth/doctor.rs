//! `auth doctor`: the login of this machine, file by file. Offline unless `--server` asks the server.

use crate::build;
use crate::context::Context;
use crate::diagnostics::{Check, Verdict, describe, headline, judge_probe};
use crate::error::{CliError, chain};
use crate::platform::open_mode;
use crate::report::{Document, Report};
use crate::verb::{Class, Verb};
use clap::Args;
use contract::Remedy;
use contract::exit::{SYNC_SERVER_UNSET, SYNC_TOKEN_HOST};
use delivery::probe::fetch_login_probe;
use identity::environment::names;
use identity::lock::{LockProbe, probe};
use identity::{
    AuthAbsence, CardUse, Config, Destination, Home, Login, LoginSource, Session, SessionStore,
    judge_destination, read_login,
};
use jiff::Timestamp;
use serde::Serialize;
use std::borrow::Cow;
use std::path::Path;

/// Check the login of this machine, file by file; change nothing
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty auth doctor --server")]
pub(crate) struct AuthDoctorArgs {
    /// Also ask the server whether it takes this login; without it nothing is sent
    #[arg(long)]
    server: bool,
}

impl Verb for AuthDoctorArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    /// Exit 1 with findings.
    fn run(self: Box<Self>, context: &Context) -> Result<Report, CliError> {
        let observed_at = Timestamp::now().to_string();
        let checks = Patient::of(context)?.examine(self.server)?;
        let result = Verdict::of(&checks);
        Ok(Report::exiting(result.exit(), &Examination { result, observed_at, checks }))
    }
}

/// The checks, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Name {
    /// Where the login comes from.
    Source,
    /// The session file opens.
    Session,
    /// The identity card spares the key derivation.
    Card,
    /// The login may be used.
    Login,
    /// The access token.
    AccessToken,
    /// A private teamspace.
    Teamspace,
    /// Where requests may go.
    Destination,
    /// Nobody is stuck in a refresh.
    RefreshLock,
    /// The server takes the login.
    Server,
}

/// What is examined.
struct Patient<'a> {
    context: &'a Context,
    home: &'a Home,
    config: Config,
    login: Login,
    /// The session, opened with its key and not by its card.
    session: Option<Session>,
}

impl<'a> Patient<'a> {
    fn of(context: &'a Context) -> Result<Self, CliError> {
        let home = context.home()?;
        let config = Config::read(home).unwrap_or_else(|_| Config::unreadable());
        let login = read_login(home, &config, &context.environment);
        // What cannot be opened is a fault of the login already.
        let session = SessionStore::new(home, context.machine()).read().unwrap_or_default();
        Ok(Self { context, home, config, login, session })
    }

    fn examine(&self, server: bool) -> Result<Vec<Check<Name>>, CliError> {
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

    fn source(&self) -> Check<Name> {
        let login = &self.login;
        let summary = match login.source {
            LoginSource::Token => "a CI token in the environment; it wins over a session",
            LoginSource::Session => "the session",
            LoginSource::Credentials => {
                "credentials of an earlier release: they name a queue and are no login"
            }
            LoginSource::None => "nothing",
        };
        let variables = [names::SPEC_KITTY_TOKEN, names::SPEC_KITTY_TOKEN_FILE, names::SPEC_KITTY_SERVER_URL];
        let check = variables.into_iter().fold(Check::ok(Name::Source, summary), |check, variable| {
            let set = self.context.environment.non_empty(variable).is_some();
            check.read(if set { "set" } else { "not set" }, variable)
        });
        // Secrets are mounted as they are, so this is said and is no finding.
        let environment = &self.context.environment;
        let token_file = environment
            .non_empty(names::SPEC_KITTY_TOKEN_FILE)
            .filter(|_| environment.non_empty(names::SPEC_KITTY_TOKEN).is_none())
            .map(Path::new);
        let check = match token_file.and_then(|path| Some((path, open_mode(path)?))) {
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

    fn session(&self) -> Check<Name> {
        let file = self.home.session_file();
        let check = match (&self.session, file.exists()) {
            (Some(session), _) => {
                let method = format!("of {}, by {}", session.issued_at, session.auth_method);
                Check::ok(Name::Session, method).read_file("opens with the key of this machine", &file)
            }
            (None, true) => {
                Check::not_checked(Name::Session, "it does not open").read_file("is there", &file)
            }
            (None, false) => Check::not_checked(Name::Session, "none").read_file("does not exist", &file),
        };
        let salt = self.home.session_salt();
        // Without a session no key is made; a salt that is left over is shown all the same.
        if file.exists() || salt.exists() {
            check.read_file("what the key is made of, besides this machine", &salt)
        } else {
            check
        }
    }

    fn card(&self) -> Check<Name> {
        let file = self.home.identity_card();
        match (self.login.card, file.exists()) {
            (CardUse::Used, _) => {
                Check::ok(Name::Card, "matches the session, so no command derives the key to look")
                    .read_file("the identity card", &file)
            }
            (CardUse::NotNeeded, _) => Check::not_checked(Name::Card, "there is no session to describe"),
            (CardUse::Derived, there) => {
                let summary = "none that matches the session; the next command that may write leaves one";
                let what = if there { "belongs to another session" } else { "does not exist" };
                Check::ok(Name::Card, summary).read_file(what, &file)
            }
        }
    }

    fn login(&self) -> Check<Name> {
        let login = &self.login;
        let principal = login.principal.clone().unwrap_or_else(|| contract::preflight::UNSET.to_owned());
        match login.absence {
            None => {
                let until = login.refresh_expires_at.map(|at| format!(", until {at}")).unwrap_or_default();
                Check::ok(Name::Login, format!("{principal}{until}"))
            }
            // The fault says it, with its own remedy.
            Some(why @ (AuthAbsence::Unreadable | AuthAbsence::TokenUnreadable)) => {
                Check::not_checked(Name::Login, why.reason())
            }
            Some(why) => {
                let remedy = login.remedy();
                Check::ok(Name::Login, why.reason()).finding("auth_absent", why.reason(), [remedy])
            }
        }
    }

    fn access_token(&self) -> Check<Name> {
        let Some(expires) = self.login.access_expires_at else {
            return Check::not_checked(Name::AccessToken, "there is none with an end");
        };
        // Renewed by whoever sends next: its end is no failure.
        let summary = if expires > Timestamp::now() {
            format!("until {expires}")
        } else {
            format!("ended at {expires}; the next delivery renews it")
        };
        Check::ok(Name::AccessToken, summary)
    }

    fn teamspace(&self) -> Check<Name> {
        match &self.login.team_id {
            Some(team) => self
                .login
                .private_teams
                .iter()
                .filter(|other| *other != team)
                .fold(Check::ok(Name::Teamspace, team.clone()), |check, other| {
                    check.read(other.clone(), "can switch to")
                }),
            None => Check::not_checked(Name::Teamspace, "no private teamspace"),
        }
    }

    fn destination(&self) -> Check<Name> {
        if !self.config.is_readable() {
            let advice = Config::read(self.home).err().map(|fault| fault.remedy);
            return Check::ok(Name::Destination, "the configuration cannot be read").finding(
                "config_unreadable",
                self.home.config_file().to_string_lossy(),
                advice,
            );
        }
        let issuer = self.login.issuer.as_deref().map(contract::server_url::shown);
        let issuer = issuer.map_or_else(|| "unknown".to_owned(), Cow::into_owned);
        let check = match judge_destination(&self.login, &self.config) {
            // The fault names the value and what helps.
            _ if self.login.has_invalid_server() => Check::ok(Name::Destination, "cannot be used"),
            Destination::Ready { url } => Check::ok(Name::Destination, url),
            Destination::ServerUnset => Check::ok(Name::Destination, "none").finding(
                SYNC_SERVER_UNSET,
                "no server is configured, so nothing can be sent",
                [self.login.server_remedy()],
            ),
            Destination::TokenHost { url, .. } if !self.login.authenticated => {
                Check::ok(Name::Destination, url)
            }
            Destination::TokenHost { url, .. } => Check::ok(Name::Destination, url.clone()).finding(
                SYNC_TOKEN_HOST,
                format!("the token was issued by {issuer} and is not sent to {url}"),
                [self.login.server_remedy()],
            ),
        };
        check
            .read_file("sync.server_url and sync.token_host", &self.home.config_file())
            .read(issuer, "issuer")
    }

    fn refresh_lock(&self) -> Check<Name> {
        let lock = self.home.refresh_lock();
        let (check, what) = match probe(&lock) {
            Ok(LockProbe::Free) => (Check::ok(Name::RefreshLock, "free"), "free"),
            Ok(LockProbe::Held) => {
                let summary = "held: another process renews the login right now; it ends with that process";
                (Check::ok(Name::RefreshLock, summary), "held")
            }
            Err(error) => {
                let detail = format!("{}: {error}", lock.to_string_lossy());
                let advice =
                    format!("make {} a file that this user may read and write", lock.to_string_lossy());
                let check = Check::ok(Name::RefreshLock, "cannot be probed");
                (check.finding("refresh_lock_unusable", detail, [Remedy::Advice(advice)]), "unusable")
            }
        };
        check.read_file(what, &lock)
    }

    fn server(&self, asked: bool) -> Result<Check<Name>, CliError> {
        if !asked {
            return Ok(Check::not_checked(Name::Server, "not asked; --server asks it"));
        }
        if !self.login.authenticated {
            return Ok(Check::not_checked(Name::Server, "not asked: not logged in"));
        }
        let http = delivery::Context::new(self.home, &self.context.environment, build::VERSION)
            .map_err(|error| CliError::failed("HTTP_SETUP", chain(&error)))?;
        Ok(match fetch_login_probe(&http) {
            Ok(probe) => {
                let url = probe.server_url.clone();
                judge_probe(Name::Server, &probe, &self.login).read("asked over the network just now", url)
            }
            // Destination and login say why.
            Err(error) => Check::not_checked(Name::Server, format!("not asked: {}", chain(&error))),
        })
    }
}

#[derive(Serialize)]
struct Examination {
    result: Verdict,
    observed_at: String,
    checks: Vec<Check<Name>>,
}

impl Document for Examination {
    fn text(&self) -> String {
        format!("{}\n\n{}", headline(self.result, &self.checks), describe(&self.checks))
    }
}
