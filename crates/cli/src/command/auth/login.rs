use super::{http, token_note, with_elsewhere};
use crate::elsewhere;
use crate::render;
use crate::verb::{Args, Class, CliError, CommandContext, LineResult, Render, Report, Verb, chain};
use contract::Scope;
use contract::server_url::ServerUrl;
use contract::text::printable;
use delivery::auth::{BROWSER_PATIENCE, DeviceCode, LoginError, LoginMethod, LoginReport, Prompt, log_in};
use identity::{Config, Destination, LoginSource, judge_destination, read_login};
use preflight::{Elsewhere, consent_of};
use queue::observe_counts;
use serde::Serialize;
use std::fmt::Write as _;

/// Log in through the browser, or with --headless through a code on any other device
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty auth login --server https://sync.example.com")]
pub(crate) struct LoginArgs {
    /// Show a code to approve on another device instead of opening a browser
    #[arg(long)]
    headless: bool,
    /// The server; remembered as `sync.server_url`
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Log in again although a session exists
    #[arg(long)]
    force: bool,
}

impl Verb for LoginArgs {
    fn class(&self) -> Class {
        Class::Curing
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let http = http(context)?;
        if !self.force {
            let config = context.config()?;
            let current = read_login(context.home()?, &config, &context.environment);
            let is_there = match (judge_destination(&current, &config), &self.server) {
                (Destination::Ready { .. } | Destination::ServerUnset, None) => true,
                (Destination::Ready { url }, Some(asked)) => {
                    ServerUrl::parse(asked).is_ok_and(|asked| asked.normal() == url)
                }
                // The login is one of another server.
                (Destination::TokenHost { .. }, _) | (Destination::ServerUnset, Some(_)) => false,
            };
            if is_there && current.authenticated && current.faults.is_empty() {
                let principal = current.principal.unwrap_or_default();
                let facts = serde_json::json!({ "principal": principal, "scope": current.scope });
                let how = match current.source {
                    LoginSource::Token => " by a CI token, which takes precedence over a session",
                    LoginSource::Session | LoginSource::Credentials | LoginSource::None => "",
                };
                let who = printable(&principal);
                let line = format!("already logged in as {who}{how}; --force logs in again");
                return Ok(with_elsewhere(
                    context,
                    Report::of(&LineResult { result: "already_logged_in", facts, line }),
                ));
            }
        }
        let method = if self.headless { LoginMethod::Device } else { LoginMethod::Browser };
        let report = log_in(&http, self.server.as_deref(), method, &mut LoginPrompt)
            .map_err(|error| refused(&error))?;
        let stays = rows_that_stay(context, &report);
        let mut shown = Report::of(&LoggedIn::of(&report, stays, elsewhere::observe(context)));
        if let Some(note) = token_note(context) {
            shown = shown.note(note);
        }
        if let Some(problem) = &report.cache_problem {
            shown = shown.note(format!("warning: the session cache was not written: {}", printable(problem)));
        }
        Ok(shown)
    }
}

fn refused(error: &LoginError) -> CliError {
    CliError::new(error.code().unwrap_or("LOGIN_FAILED"), error.exit(), chain(error))
        .remedy_if(error.remedy())
}

/// Rows that wait under the previous scope stay there: worth a note.
fn rows_that_stay(context: &CommandContext, report: &LoginReport) -> Option<(Scope, u64)> {
    let previous =
        report.previous_scope.clone().filter(|previous| Some(previous) != report.scope.as_ref())?;
    let home = context.home().ok()?;
    let config = Config::read(home).ok()?;
    let counts = observe_counts(&home.scoped_queue(&previous), &consent_of(&config)).ok()?;
    let rows = counts.events + counts.bodies;
    (rows > 0).then_some((previous, rows))
}

/// A login as it is shown.
#[derive(Debug, Serialize)]
struct LoggedIn {
    result: &'static str,
    email: String,
    name: String,
    server_url: String,
    team: Option<String>,
    private_teams: Vec<String>,
    scope: Option<Scope>,
    wrote_server_url: bool,
    rows_of_previous_scope: Option<u64>,
    previous_scope: Option<Scope>,
    #[serde(flatten)]
    elsewhere: Elsewhere,
}

impl LoggedIn {
    fn of(report: &LoginReport, stays: Option<(Scope, u64)>, elsewhere: Elsewhere) -> Self {
        let (previous_scope, rows) = stays.unzip();
        Self {
            result: "logged_in",
            email: report.email.clone(),
            name: report.name.clone(),
            server_url: report.server_url.clone(),
            team: report.team.as_ref().map(|team| team.id.clone()),
            private_teams: report.private_teams.iter().map(|team| team.id.clone()).collect(),
            scope: report.scope.clone(),
            wrote_server_url: report.wrote_server_url,
            rows_of_previous_scope: rows,
            previous_scope,
            elsewhere,
        }
    }
}

impl Render for LoggedIn {
    fn text(&self) -> String {
        let mut out = format!("logged in as {} at {}\n", printable(&self.email), printable(&self.server_url));
        match &self.team {
            Some(team) => {
                let _ = writeln!(out, "  teamspace {}", printable(team));
            }
            None => out.push_str("  this account has no private teamspace, so nothing can be sent\n"),
        }
        if self.wrote_server_url {
            out.push_str("  remembered as sync.server_url\n");
        }
        out.push_str(&elsewhere::describe(&self.elsewhere));
        out
    }
}

/// Shows codes and opens browsers.
struct LoginPrompt;

impl Prompt for LoginPrompt {
    fn show_code(&mut self, code: &DeviceCode<'_>) {
        render::note(&format!(
            "Open {} and type the code {}",
            printable(code.verification_uri),
            printable(code.user_code)
        ));
        if let Some(complete) = code.verification_uri_complete {
            render::note(&format!("  or open {}", printable(complete)));
        }
        render::note(&format!("  (the code expires in {} minutes)", code.expires_in.as_secs().div_ceil(60)));
    }

    fn open_browser(&mut self, url: &str) -> bool {
        render::note(&format!("Opening {}", printable(url)));
        let minutes = BROWSER_PATIENCE.as_secs().div_ceil(60);
        render::note(&format!("  (waiting up to {minutes} minutes; without a browser here use --headless)"));
        webbrowser::open(url).is_ok()
    }
}
