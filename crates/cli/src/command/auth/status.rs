//! `auth status`: the login of this machine, from the disk alone.

use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use contract::{FaultCode, Remedy, server_url};
use identity::{AuthAbsence, Config, Login, LoginSource, read_login};
use serde::Serialize;
use std::fmt::Write as _;

/// Show the login of this machine; change nothing
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty auth status")]
pub(crate) struct AuthStatusArgs;

impl Verb for AuthStatusArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let home = context.home()?;
        let config = Config::read(home);
        let fault = config.as_ref().err().cloned();
        let mut login =
            read_login(home, &config.unwrap_or_else(|_| Config::unreadable()), &context.environment);
        // A home that is not private is a fault of both.
        login.faults.extend(fault.filter(|fault| !login.faults.contains(fault)));
        Ok(Report::of(&LoginView::of(&login)))
    }
}

/// A login without its secrets.
#[derive(Debug, Serialize)]
struct LoginView {
    authenticated: bool,
    source: &'static str,
    reason: Option<String>,
    principal: Option<String>,
    team: Option<String>,
    private_teams: Vec<String>,
    server_url: Option<String>,
    issuer: Option<String>,
    scope: Option<String>,
    access_expires_at: Option<String>,
    refresh_expires_at: Option<String>,
    faults: Vec<contract::Fault>,
    #[serde(skip)]
    remedy: Remedy,
}

impl LoginView {
    fn of(login: &Login) -> Self {
        Self {
            authenticated: login.authenticated,
            source: match login.source {
                LoginSource::Token => "token",
                LoginSource::Session => "session",
                LoginSource::Credentials => "credentials",
                LoginSource::None => "none",
            },
            reason: login.absence.map(AuthAbsence::reason),
            principal: login.principal.clone(),
            team: login.team_id.clone(),
            private_teams: login.private_teams.clone(),
            server_url: login.server_url.as_deref().map(|url| server_url::shown(url).into_owned()),
            issuer: login.issuer.as_deref().map(|url| server_url::shown(url).into_owned()),
            scope: login.scope.as_ref().map(contract::Scope::shown),
            access_expires_at: login.access_expires_at.map(|at| at.to_string()),
            refresh_expires_at: login.refresh_expires_at.map(|at| at.to_string()),
            faults: login.faults.clone(),
            remedy: login.remedy(),
        }
    }
}

impl Render for LoginView {
    fn text(&self) -> String {
        let mut out = String::new();
        let state = match (self.authenticated, &self.reason) {
            (true, _) => "yes".to_owned(),
            (false, Some(reason)) => format!("no: {reason}"),
            (false, None) => "no".to_owned(),
        };
        let mut line = |label: &str, value: &str| {
            let _ = writeln!(out, "{label:<14}: {}", contract::text::printable(value));
        };
        line("Authenticated", &state);
        line("From", self.source);
        let unset = contract::preflight::UNSET;
        line("User", self.principal.as_deref().unwrap_or(unset));
        line("Team", self.team.as_deref().unwrap_or(unset));
        let unreadable = self.faults.iter().any(|fault| fault.code == FaultCode::ConfigUnreadable);
        let unknown = if unreadable { "<unreadable>" } else { unset };
        line("Server", self.server_url.as_deref().unwrap_or(unknown));
        if let Some(expires) = &self.refresh_expires_at {
            line("Login ends", expires);
        }
        for team in self.private_teams.iter().filter(|team| Some(*team) != self.team.as_ref()) {
            line("Can switch to", team);
        }
        for fault in &self.faults {
            let path = fault.path.as_deref().map(|path| format!("{}: ", path.display())).unwrap_or_default();
            line("Fault", &format!("{} {path}{}", fault.code, fault.detail));
            line("Remedy", &fault.remedy.hint());
        }
        if !self.authenticated && self.faults.is_empty() {
            line("Remedy", &self.remedy.hint());
        }
        out
    }
}
