//! `sync routes`: the destination of a project's rows, and who sees them there.

use super::sharing::{Remote, ask, choose_project};
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use contract::Consent;
use contract::text::printable;
use contract::wire::sharing::Share;
use serde::Serialize;
use std::fmt::Write as _;

/// Show where a project is sent and which teams see it
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty sync routes --project tea-timer")]
pub(crate) struct RoutesArgs {
    /// The project: a known uuid or an unambiguous slug [default: the project of this directory]
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
}

impl Verb for RoutesArgs {
    fn class(&self) -> Class {
        Class::Sending
    }

    /// The local part decides the exit code: a server that is not asked or does not answer is a fact.
    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let (project, uuid) = choose_project(context, self.project.as_deref())?;
        let login = context.login()?;
        let consent = context.config()?.consent(Some(&uuid), None, None);
        let mut routes = Routes {
            name: project.name(),
            project_uuid: uuid,
            sync_enabled: context.sync_enabled(),
            decision: match consent {
                Consent::OptedIn(_) => "opted_in",
                Consent::OptedOut => "opted_out",
                Consent::Unset => "none",
            },
            server: login.destination,
            account: login.principal,
            team: login.team_id,
            remote: Remote::Off,
            remote_detail: None,
            shares: Vec::new(),
        };
        let mut notes = Vec::new();
        if routes.sync_enabled {
            match ask(context, |server| server.fetch_shares(&routes.project_uuid)) {
                Ok(list) => {
                    routes.remote = Remote::Ok;
                    routes.shares = list.results;
                }
                Err(error) => {
                    routes.remote = Remote::of(&error);
                    notes.extend(error.remedies.iter().map(|remedy| format!("hint: {}", remedy.hint())));
                    routes.remote_detail = Some(error.summary);
                }
            }
        }
        let mut report = Report::of(&routes);
        report.notes = notes;
        Ok(report)
    }
}

/// The routes of a project.
#[derive(Debug, Serialize)]
struct Routes {
    project_uuid: String,
    #[serde(skip)]
    name: String,
    sync_enabled: bool,
    /// `opted_in`, `opted_out` or `none`.
    decision: &'static str,
    server: Option<String>,
    account: Option<String>,
    team: Option<String>,
    remote: Remote,
    remote_detail: Option<String>,
    shares: Vec<Share>,
}

impl Render for Routes {
    fn text(&self) -> String {
        let shown = |value: &Option<String>| {
            value.as_deref().map_or_else(|| "none".to_owned(), |value| printable(value).into_owned())
        };
        let decision = match self.decision {
            "opted_in" => "opted in",
            "opted_out" => "opted out: its rows stay here",
            _ => "no decision",
        };
        let mut out = format!("{}\n", self.name);
        let mut line = |label: &str, value: &str| {
            let _ = writeln!(out, "  {label:<12} {value}");
        };
        line("hosted sync", if self.sync_enabled { "on" } else { "off" });
        line("decision", decision);
        line("server", &shown(&self.server));
        line("account", &shown(&self.account));
        line("teamspace", &shown(&self.team));
        match (self.remote, &self.remote_detail) {
            (Remote::Ok, _) if self.shares.is_empty() => line("shared with", "no team"),
            (Remote::Ok, _) => {}
            (Remote::Off, _) => line("shared with", "not asked: hosted sync is off"),
            (_, detail) => {
                let detail = detail.as_deref().unwrap_or("no answer");
                line("shared with", &format!("unknown: {}", printable(detail)));
            }
        }
        for share in &self.shares {
            let team = if share.team.name.is_empty() { &share.team.slug } else { &share.team.name };
            let people = match share.active_sharer_count {
                1 => "1 member".to_owned(),
                many => format!("{many} members"),
            };
            line(
                "shared with",
                &format!(
                    "{} ({}), by {people}: {}",
                    printable(team),
                    printable(&share.team.slug),
                    printable(&share.state)
                ),
            );
        }
        out
    }
}
