//! `sync preview`: the rows of the next delivery, their destination, and the rows that are held.

use crate::report::{PROJECTS_SHOWN, events_and_bodies, more_projects, project_name, row_name};
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use contract::Remedy;
use contract::text::printable;
use identity::Destination;
use jiff::Timestamp;
use preflight::consent_of;
use preflight::status::{HeldProject, RowPair};
use queue::{Kind, Leaving, QueueError, observe_outgoing};
use serde::Serialize;
use std::fmt::Write as _;

/// Show what the next delivery would send, and what it would keep
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty sync preview --limit 5 --payload")]
pub(crate) struct PreviewArgs {
    /// Show at most this many rows
    #[arg(long, value_name = "ROWS", default_value_t = 20)]
    limit: usize,
    /// Show the payload of each row
    #[arg(long)]
    payload: bool,
}

impl Verb for PreviewArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let boundary = context.boundary()?;
        let observation = boundary.observe_counted()?;
        let sync_enabled = context.sync_enabled_in(&observation);
        let status = observation.status_document(&boundary, sync_enabled)?;
        let facts = observation.facts();
        let path = &facts.active.path;
        let unreadable = status.active_queue.event_count.zip(status.active_queue.body_upload_count).is_none();
        if unreadable {
            return Err(CliError::boundary(status.preflight));
        }
        let rows = match &facts.login.scope {
            Some(_) => observe_outgoing(path, &consent_of(&observation.config), self.limit, self.payload)
                .map_err(QueueError::from)?,
            None => Vec::new(),
        };
        let held = |of: fn(&HeldProject) -> u64| status.held.iter().map(of).sum::<u64>();
        let waiting = RowPair {
            events: status.active_queue.event_count.unwrap_or_default(),
            bodies: status.active_queue.body_upload_count.unwrap_or_default(),
        };
        let destination = match identity::judge_destination(&observation.login, &observation.config) {
            Destination::Ready { url } => Some(url),
            Destination::ServerUnset | Destination::TokenHost { .. } => None,
        };
        let scoped = facts.login.scope.is_some();
        let leaving = RowPair {
            events: if scoped { waiting.events.saturating_sub(held(|project| project.events)) } else { 0 },
            bodies: if scoped { waiting.bodies.saturating_sub(held(|project| project.bodies)) } else { 0 },
        };
        Ok(Report::of(&DeliveryPreview {
            sync_enabled,
            coherent: status.ok,
            destination,
            team_or_user: facts.login.scope.as_ref().map(contract::Scope::team_or_user),
            leaving,
            held: status.held,
            rows: rows.into_iter().map(PreviewRow::of).collect(),
        }))
    }
}

/// The next delivery. Rows that another program added are held until their project is opted in.
#[derive(Debug, Serialize)]
struct DeliveryPreview {
    sync_enabled: bool,
    coherent: bool,
    /// URL of the server; null when nothing can be sent.
    destination: Option<String>,
    team_or_user: Option<String>,
    leaving: RowPair,
    held: Vec<HeldProject>,
    rows: Vec<PreviewRow>,
}

/// One row.
#[derive(Debug, Serialize)]
struct PreviewRow {
    kind: Kind,
    key: String,
    project_uuid: Option<String>,
    waiting_since: String,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
}

impl PreviewRow {
    fn of(row: Leaving) -> Self {
        Self {
            kind: row.kind,
            key: row.key,
            project_uuid: row.project_uuid,
            waiting_since: Timestamp::from_second(row.waiting_since)
                .map_or_else(|_| row.waiting_since.to_string(), |at| at.to_string()),
            bytes: row.bytes,
            payload: row.payload,
        }
    }
}

impl Render for DeliveryPreview {
    fn text(&self) -> String {
        let mut out = String::new();
        let RowPair { events, bodies } = self.leaving;
        let _ = match (&self.team_or_user, &self.destination) {
            (None, _) => writeln!(out, "not logged in: nothing would be sent"),
            (Some(who), None) => writeln!(
                out,
                "{} of {} wait: no server is configured",
                events_and_bodies(events, bodies),
                printable(who)
            ),
            (Some(who), Some(url)) => writeln!(
                out,
                "{} would be sent to {} as {}",
                events_and_bodies(events, bodies),
                printable(url),
                printable(who)
            ),
        };
        if !self.sync_enabled {
            out.push_str("  blocked: hosted sync is off\n");
        } else if !self.coherent {
            out.push_str(
                "  blocked: the boundary is not coherent; details: `spec-kitty sync status --check`\n",
            );
        }
        for row in &self.rows {
            let project = row.project_uuid.as_deref().unwrap_or("no project");
            let _ = writeln!(
                out,
                "  {} {} ({project}, {} bytes, since {})",
                if row.kind == Kind::Event { "event" } else { "body " },
                row_name(&row.key),
                row.bytes,
                row.waiting_since,
            );
            if let Some(payload) = &row.payload {
                for line in payload.lines() {
                    let _ = writeln!(out, "    {}", printable(line));
                }
            }
        }
        let shown = self.rows.len() as u64;
        if shown < events + bodies && self.team_or_user.is_some() {
            let _ = writeln!(out, "  and {} more", events + bodies - shown);
        }
        for project in self.held.iter().take(PROJECTS_SHOWN) {
            let name = project_name(project.repo_slug.as_deref(), project.project_uuid.as_deref());
            let _ = writeln!(
                out,
                "held: {} of {}: {}\n  {}",
                events_and_bodies(project.events, project.bodies),
                name,
                project.reason,
                printable(&project.remediation_hint)
            );
        }
        if let Some(more) = more_projects(self.held.len(), "spec-kitty sync preview --json") {
            let _ = writeln!(out, "held: {more}\n  {}", Remedy::OptInAllHeld.hint());
        }
        out
    }
}
