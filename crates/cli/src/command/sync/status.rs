//! `sync status`: the state of the boundary and of the queue. Never changes anything.

use crate::elsewhere;
use crate::report::{PROJECTS_SHOWN, counted, more_projects, project_name, rows};
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use contract::switch::{Decider, Switch};
use contract::text::printable;
use contract::{Fault, FaultCode, PreflightResult, Remedy};
use preflight::status::{HeldProject, StatusDocument, Warning};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

/// Show the state of the boundary and of the queue; change nothing
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty sync status --check")]
pub(crate) struct SyncStatusArgs {
    /// Exit 2 unless the boundary is coherent
    #[arg(long, short)]
    check: bool,
}

impl Verb for SyncStatusArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let boundary = context.boundary()?;
        let observation = boundary.observe_counted()?;
        let switch = context.switch_in(&observation);
        let mut status = observation.status_document(&boundary, switch.on)?;
        let exit = if self.check { status.check_exit() } else { contract::ExitCode::Ok };
        status.exit_code = exit.code();
        if self.check {
            let mut report = Report::exiting(exit, &CheckView(&status));
            report.json = serde_json::to_value(&status).unwrap_or_default();
            return Ok(report);
        }
        let mut report = Report::exiting(exit, &StatusView { status: &status, switch });
        let note = |warning: &Warning| {
            format!("warning: {}; {}", printable(&warning.text), printable(&warning.remedy.hint()))
        };
        report.notes = status.warnings.iter().map(note).collect();
        Ok(report)
    }
}

/// Placeholder for a file that cannot be read.
const UNREADABLE: &str = "<unreadable>";

/// `--check`: the identity block, then what fails, all on stdout.
#[derive(serde::Serialize)]
#[serde(transparent)]
struct CheckView<'a>(&'a StatusDocument);

impl Render for CheckView<'_> {
    fn text(&self) -> String {
        check_text(self.0)
    }
}

/// Text of `--check`: the block, then other queues, held rows and the last attempt, then the failures.
pub(crate) fn check_text(status: &StatusDocument) -> String {
    let mut out = identity_block(status);
    out.push_str(&elsewhere::describe(&status.elsewhere));
    held_lines(&mut out, "Held", &status.held);
    attempt_line(&mut out, status);
    if !status.ok {
        let _ = write!(out, "\n{}", status.preflight.render());
    }
    for warning in &status.warnings {
        let (text, hint) = (printable(&warning.text), warning.remedy.hint());
        let _ = writeln!(out, "\nwarning: {text}\n  {}", printable(&hint));
    }
    out
}

/// Without `--check`: one verdict line, what waits, then the identity block.
#[derive(serde::Serialize)]
#[serde(transparent)]
struct StatusView<'a> {
    status: &'a StatusDocument,
    #[serde(skip)]
    switch: Switch,
}

impl Render for StatusView<'_> {
    fn text(&self) -> String {
        let status = self.status;
        let mut out = String::new();
        let verdict =
            if status.ok { "coherent" } else { "not coherent; details: `spec-kitty sync status --check`" };
        line(&mut out, "Boundary", verdict);
        // What cannot be read below is a fault.
        let mut remedies: Vec<_> = status.faults.iter().map(|fault| fault.remedy.hint()).collect();
        remedies.dedup();
        remedies.iter().for_each(|remedy| line(&mut out, "  remedy", remedy));
        let hosted = match self.switch {
            Switch { decider: Decider::Unreadable, .. } => UNREADABLE,
            Switch { on: true, .. } => "on",
            Switch { on: false, .. } => "off",
        };
        line(&mut out, "Hosted sync", hosted);
        let login = match (&status.login.scope, status.auth_present) {
            (Some(scope), true) => format!("{scope} (from {})", status.login.source),
            (Some(scope), false) => format!("{scope} (from {}, not authenticated)", status.login.source),
            (None, _) if login_unreadable(status) => UNREADABLE.to_owned(),
            (None, _) => "none".to_owned(),
        };
        line(&mut out, "Login", &login);
        line(
            &mut out,
            "State root",
            &format!("{} (from {})", status.root.path.display(), status.root.source),
        );
        let queue = &status.active_queue;
        let waiting = match (queue.event_count, queue.body_upload_count) {
            (Some(events), Some(bodies)) => rows(events, bodies),
            _ => UNREADABLE.to_owned(),
        };
        let waiting = match &status.oldest_pending_at {
            Some(oldest) => format!("{waiting}; the oldest since {oldest}"),
            None => waiting,
        };
        line(&mut out, "Waiting", &waiting);
        held_lines(&mut out, "  held", &status.held);
        if status.prepared.events + status.prepared.bodies > 0 {
            let prepared = rows(status.prepared.events, status.prepared.bodies);
            line(&mut out, "  unfinished", &prepared);
        }
        if status.parked.events + status.parked.bodies > 0 {
            line(&mut out, "  parked", &rows(status.parked.events, status.parked.bodies));
            line(&mut out, "  why", "spec-kitty sync parked list");
        }
        if let Some(rows @ 1..) = status.legacy_queue.rows_other_scope {
            let other = counted(rows, "row", "rows");
            let other = format!("{other} in the legacy queue DB, left in place");
            line(&mut out, "Other accounts", &other);
        }
        out.push_str(&elsewhere::describe(&status.elsewhere));
        // The queue DB has the receipts.
        let undelivered = if queue.event_count.is_some() { "none" } else { UNREADABLE };
        line(&mut out, "Last delivery", status.last_delivery.as_deref().unwrap_or(undelivered));
        attempt_line(&mut out, status);
        out.push('\n');
        out.push_str(&identity_block(status));
        out
    }
}

/// Held rows by project, each with what releases them: five projects, and the number of the rest.
fn held_lines(out: &mut String, label: &str, held: &[HeldProject]) {
    for project in held.iter().take(PROJECTS_SHOWN) {
        let name = project_name(project.repo_slug.as_deref(), project.project_uuid.as_deref());
        let held = format!("{} of {name}: {}", rows(project.events, project.bodies), project.reason);
        line(out, label, &held);
        line(out, "  release", &project.remediation_hint);
    }
    if let Some(more) = more_projects(held.len(), "spec-kitty sync status --json") {
        line(out, label, &more);
        line(out, "  release", &Remedy::OptInAllHeld.hint());
    }
}

/// The newest delivery that was tried, if there was one.
fn attempt_line(out: &mut String, status: &StatusDocument) {
    if let Some(attempt) = &status.last_attempt {
        line(out, "Last attempt", &attempt.line());
    }
}

fn line(out: &mut String, label: &str, value: &str) {
    let _ = writeln!(out, "{label:<14}: {}", printable(value));
}

/// Whether a fault hides the login: its session, or the configuration that names its server.
fn login_unreadable(status: &StatusDocument) -> bool {
    let hides =
        |fault: &Fault| matches!(fault.code, FaultCode::SessionUnreadable | FaultCode::ConfigUnreadable);
    status.faults.iter().any(hides)
}

fn count(count: Option<u64>) -> String {
    count.map_or_else(|| UNREADABLE.to_owned(), |count| count.to_string())
}

/// An empty path is an unknown one: the login that would name it cannot be read.
fn path(path: &Path) -> Cow<'_, str> {
    if path.as_os_str().is_empty() { contract::preflight::UNSET.into() } else { path.to_string_lossy() }
}

/// The verdict that closes the block.
fn boundary(result: &PreflightResult) -> String {
    if result.ok { "coherent".to_owned() } else { format!("refused ({} reasons)", result.reasons()) }
}

/// The block of contract section 6: exact order and labels, values never wrapped or cut.
fn identity_block(status: &StatusDocument) -> String {
    let mut out = String::from("Identity boundary:\n");
    let field = |out: &mut String, indent: usize, label: &str, value: &str| {
        let _ = writeln!(out, "{:indent$}{label:<16}: {}", "", printable(value));
    };
    let group = |out: &mut String, name: &str| {
        let _ = writeln!(out, "  {name}:");
    };
    let unset = contract::preflight::UNSET;
    group(&mut out, "Foreground");
    let foreground = &status.foreground;
    field(&mut out, 4, "Package version", &foreground.package_version);
    field(&mut out, 4, "Executable path", &foreground.executable_path.to_string_lossy());
    field(&mut out, 4, "Source path", &foreground.source_path.to_string_lossy());
    field(&mut out, 4, "Server URL", foreground.server_url.as_deref().unwrap_or(unset));
    field(&mut out, 4, "Team/User", foreground.team_or_user.as_deref().unwrap_or(unset));
    field(&mut out, 4, "Queue DB path", &path(&foreground.queue_db_path));
    out.push('\n');

    group(&mut out, "Daemon owner record");
    let daemon = &status.daemon_owner_record;
    let known = daemon.pid.is_some();
    // A record that exists and has no server shows <unset>; no record at all shows <absent>.
    let value =
        |value: Option<String>| value.unwrap_or_else(|| if known { unset } else { "<absent>" }.to_owned());
    field(&mut out, 4, "Status", daemon.status.label());
    field(&mut out, 4, "PID", &value(daemon.pid.map(|pid| pid.to_string())));
    field(&mut out, 4, "Port", &value(daemon.port.map(|port| port.to_string())));
    field(&mut out, 4, "Package version", &value(daemon.package_version.clone()));
    field(&mut out, 4, "Executable path", &value(daemon.executable_path.clone()));
    field(&mut out, 4, "Source path", &value(daemon.source_path.clone()));
    field(&mut out, 4, "Server URL", &value(daemon.server_url.clone()));
    field(&mut out, 4, "Team/User", &value(daemon.team_or_user.clone()));
    field(&mut out, 4, "Queue DB path", &value(daemon.queue_db_path.clone()));
    out.push('\n');

    group(&mut out, "Active queue");
    field(&mut out, 4, "Path", &path(&status.active_queue.path));
    field(&mut out, 4, "Event count", &count(status.active_queue.event_count));
    field(&mut out, 4, "Body upload cnt", &count(status.active_queue.body_upload_count));
    out.push('\n');

    group(&mut out, "Legacy queue");
    field(&mut out, 4, "Path", &status.legacy_queue.path.to_string_lossy());
    field(&mut out, 4, "Event count", &count(status.legacy_queue.event_count));
    field(&mut out, 4, "Body upload cnt", &count(status.legacy_queue.body_upload_count));
    field(&mut out, 4, "Rows in scope", &count(status.legacy_queue.rows_in_scope));
    out.push('\n');

    field(&mut out, 2, "Mismatches", &status.mismatches.len().to_string());
    field(&mut out, 2, "Orphan records", &status.orphan_records.len().to_string());
    field(&mut out, 2, "Boundary", &boundary(&status.preflight));
    out
}
