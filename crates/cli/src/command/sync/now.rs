//! `sync now`: delivers what waits, once the boundary is coherent.

use crate::build;
use crate::command::sync::migrate;
use crate::command::sync::migrate::text as migration_text;
use crate::elsewhere;
use crate::housekeeping::{refresh_caches, settle_leftovers};
use crate::interrupt::Interrupt;
use crate::report::{PROJECTS_SHOWN, more_projects, project_name, rows};
use crate::terminal;
use crate::verb::{Args, Class, CliError, CommandContext, ExitCode, Render, Report, Verb, chain};
use contract::text::printable;
use contract::{FailureName, FaultCode, Remedy};
use delivery::drain::{
    BodiesWaiting, DrainError, DrainOptions, DrainProgress, DrainReport, Failure, RowTally, drain,
    failure_report,
};
use gate::{EgressPermit, Policy};
use preflight::observer::Observation;
use preflight::status::{QUEUE_MISSING, Warning, missing_queue_warning, rewound_warning, unindexed_warnings};
use preflight::{Boundary, Elsewhere, PreflightError, consent_of};
use queue::{DaemonDelivery, HeldRows, MigrationReport, QueueCounts};
use serde::Serialize;
use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

/// Deliver waiting rows to the server
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty sync now --wait 60")]
pub(crate) struct NowArgs {
    /// Write the failures with their reasons to this file as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Exit 1 when something was parked or could not be delivered (the default)
    #[arg(long = "strict", overrides_with = "no_strict")]
    _strict: bool,
    /// Exit 0 even when something was parked or could not be delivered
    #[arg(long)]
    no_strict: bool,
    /// Wait this many seconds for another drain of this account
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
}

impl Verb for NowArgs {
    fn class(&self) -> Class {
        Class::Sending
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let switch = context.switch();
        if !switch.on {
            return Ok(Report::disabled(switch));
        }
        let boundary = context.patient_boundary(queue::CAPTURE_DEADLINE)?;
        let (permit, observation, migration) = permit(&boundary, context.json)?;
        let mut notes = refresh_caches(context, &observation);
        notes.extend(settle_leftovers(context, observation.cure_permit()));
        // A report that cannot be written has to be known before anything is sent.
        let file = self.report.as_deref().map(FailureFile::open).transpose()?;
        let http = delivery::DeliveryContext::new(context.home()?, &context.environment, build::VERSION)
            .map_err(|error| CliError::failed("HTTP_SETUP", chain(&error)))?;
        let options = DrainOptions {
            patience: Duration::from_secs(self.wait),
            ask_always: true,
            ..DrainOptions::default()
        };
        let path = &observation.facts().active.path;
        let before = queue::observe_counts(path, &consent_of(&observation.config)).unwrap_or_default();
        let missing = missing_queue_warning(path);
        let began = jiff::Timestamp::now().as_second();
        let mut watch = DrainWatch::begin(&before, context.json)?;
        let report = drain(permit, &http, &options, &mut watch).map_err(|error| failed(&error, &http))?;
        drop(watch);
        // Observed again: the drain waits for the daemon's.
        let after = queue::observe_counts(path, &consent_of(&observation.config)).unwrap_or_default();
        let daemon = after.daemon_delivery.filter(|_| report.stopped.is_none());
        let unwritten = file.and_then(|file| file.write(&report).err());
        let exit = match report.exit(!self.no_strict) {
            ExitCode::Ok if unwritten.is_some() => ExitCode::Failed,
            exit => exit,
        };
        let mut delivery = Delivery {
            // Observed again: a login may have changed while rows were sent.
            elsewhere: elsewhere::observe(context),
            ..Delivery::of(report, migration, daemon.and_then(|daemon| RecentDelivery::of(daemon, began)))
        };
        delivery.warnings.extend(missing);
        let mut shown = Report::exiting(exit, &delivery);
        shown.notes = notes;
        // The delivery is reported all the same.
        shown.notes.extend(unwritten.map(|error| format!("error: {}", printable(&error.summary))));
        Ok(shown)
    }
}

/// The file that `--report` names.
struct FailureFile(std::fs::File);

impl FailureFile {
    /// Opens it and keeps what it holds for now.
    fn open(path: &Path) -> Result<Self, CliError> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(false);
        // A person names it: it may be a pipe or /dev/stderr.
        let file = system::regular::open_named(&options, path);
        let named = |error| std::io::Error::other(format!("{}: {error}", path.display()));
        file.map(Self).map_err(named).map_err(|error| unwritten(&error))
    }

    fn write(mut self, report: &DrainReport) -> Result<(), CliError> {
        let document = failure_report(report, jiff::Timestamp::now());
        let is_file = self.0.metadata().is_ok_and(|metadata| metadata.is_file());
        let emptied = if is_file { self.0.set_len(0) } else { Ok(()) };
        emptied.and_then(|()| writeln!(self.0, "{document:#}")).map_err(|error| unwritten(&error))
    }
}

fn unwritten(error: &std::io::Error) -> CliError {
    CliError::failed("REPORT_NOT_WRITTEN", format!("the report was not written: {}", chain(error)))
}

/// An egress permit. What can be cured on the way, is: an interrupted transaction, and legacy rows when
/// nothing else fails.
fn permit(
    boundary: &Boundary<'_>,
    quiet: bool,
) -> Result<(EgressPermit, Observation, Option<MigrationReport>), CliError> {
    let before = boundary.observe()?;
    let verdict = before.judge(Policy { require_auth: true });
    let result = verdict.result();
    let legacy_only = result.ok || result.fails_only_by(FailureName::LegacyRowsInScope);
    let rows = result.legacy.total_rows() + result.legacy.failure_log_rows;
    let recoverable = result.fails_only_by_fault(FaultCode::QueueRecoveryNeeded);
    let curable = (legacy_only && rows > 0) || recoverable;
    let migration = match verdict.cure_permit() {
        Some(cure) if curable => Some(migrate::migrate(&cure, false, quiet)?),
        Some(_) | None => None,
    };
    // Only a migration changes what was observed.
    let after = if migration.is_some() { boundary.observe()? } else { before };
    let observation = boundary.recovered(after)?;
    let permit = match observation.egress_permit() {
        Ok(permit) => permit,
        Err(PreflightError::Refused(result)) => return Err(CliError::boundary(*result)),
        Err(error) => return Err(error.into()),
    };
    Ok((permit, observation, migration.filter(migration_text::found_rows)))
}

fn failed(error: &DrainError, http: &delivery::DeliveryContext) -> CliError {
    let code = if error.exit() == ExitCode::Busy { "BUSY" } else { "DRAIN_FAILED" };
    CliError::new(error.code().unwrap_or(code), error.exit(), chain(error)).remedy_if(error.remedy(http))
}

/// Shows progress on a terminal; ends the drain after the batch in hand when the user interrupts.
struct DrainWatch {
    bar: terminal::ProgressDisplay,
    waiting: u64,
    interrupt: Interrupt,
}

impl DrainWatch {
    fn begin(counts: &QueueCounts, quiet: bool) -> Result<Self, CliError> {
        let held: u64 = counts.held.iter().map(|held| held.events + held.bodies).sum();
        let waiting = (counts.events + counts.bodies).saturating_sub(held);
        let bar = terminal::ProgressDisplay::new("delivering", quiet);
        let print = bar.line_printer();
        let interrupt = Interrupt::on_first(move || print(INTERRUPTED))
            .map_err(|error| CliError::failed("SIGNALS", chain(&error)))?;
        Ok(Self { bar, waiting, interrupt })
    }
}

const INTERRUPTED: &str = "finishing the batch in hand; press Ctrl-C again to stop at once";

impl DrainProgress for DrainWatch {
    fn advance(&mut self, report: &DrainReport) {
        let done = report.events.left() + report.bodies.left() + report.events.parked + report.bodies.parked;
        self.bar.show(done, self.waiting.max(done));
    }

    fn is_cancelled(&self) -> bool {
        self.interrupt.is_asked()
    }
}

/// Report of the delivery.
#[derive(Debug, Serialize)]
struct Delivery {
    result: &'static str,
    migrated: Option<MigrationReport>,
    /// Delivery by a daemon within the last minute, or while the command ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    daemon_delivery: Option<RecentDelivery>,
    /// Code of a missing login.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remediation: Vec<String>,
    /// Rows that wait elsewhere, and stay there.
    #[serde(flatten)]
    elsewhere: Elsewhere,
    /// A server that lost rows, bodies that cannot leave until something is captured again, and a queue DB that is
    /// gone.
    warnings: Vec<Warning>,
    #[serde(flatten)]
    report: DrainReport,
}

/// A delivery by the daemon, so recent that a person may expect this command to have made it.
#[derive(Debug, Serialize)]
struct RecentDelivery {
    at: jiff::Timestamp,
    seconds_ago: i64,
    events: u64,
    bodies: u64,
}

/// Greatest age of a daemon's delivery that is mentioned, in seconds.
const RECENT: i64 = 60;

impl RecentDelivery {
    /// `began` is when the command began, in Unix seconds.
    fn of(DaemonDelivery { at, events, bodies }: DaemonDelivery, began: i64) -> Option<Self> {
        let seconds_ago = jiff::Timestamp::now().as_second() - at;
        let recent = seconds_ago >= 0 && (seconds_ago <= RECENT || at >= began);
        let at = jiff::Timestamp::from_second(at).ok()?;
        recent.then_some(Self { at, seconds_ago, events, bodies })
    }
}

impl Delivery {
    fn of(
        report: DrainReport,
        migrated: Option<MigrationReport>,
        daemon_delivery: Option<RecentDelivery>,
    ) -> Self {
        let result = match (report.outcome(), &migrated) {
            ("nothing_to_do", Some(_)) => "migrated",
            (outcome, _) => outcome,
        };
        let stopped = report.stopped.as_ref();
        let error_code = stopped.and_then(|stopped| stopped.reason.code());
        let projects = report.stopped_projects.iter().filter_map(|stopped| stopped.remedy.as_ref());
        let mut remediation: Vec<_> = stopped
            .and_then(|stopped| stopped.remedy.as_ref())
            .into_iter()
            .chain(projects)
            .map(Remedy::hint)
            .collect();
        remediation.dedup();
        let elsewhere = Elsewhere::default();
        let mut warnings: Vec<_> = report.server_rewound.iter().map(rewound_warning).collect();
        warnings.extend(unindexed_warnings(&report.unindexed));
        Self { result, migrated, daemon_delivery, error_code, remediation, elsewhere, warnings, report }
    }
}

impl Render for Delivery {
    fn text(&self) -> String {
        let mut lines = DeliveryLines::default();
        if let Some(migration) = &self.migrated {
            lines.0.push_str(&migration_text::describe(migration));
        }
        let report = &self.report;
        lines.tallies(report);
        lines.held(&report.held);
        lines.stopped(report);
        lines.failures(&report.failures);
        if let Some(BodiesWaiting { bodies, next_attempt_at }) = report.waiting {
            lines.line("waiting", format_args!("{}; next attempt at {next_attempt_at}", rows(0, bodies)));
        }
        // Rows of a queue DB that is gone were not counted.
        if lines.0.is_empty() && self.warnings.iter().all(|warning| warning.code != QUEUE_MISSING) {
            lines.0.push_str("nothing waits\n");
        }
        if let Some(RecentDelivery { seconds_ago, events, bodies, .. }) = self.daemon_delivery {
            let delivered = rows(events, bodies);
            lines.line("daemon", format_args!("delivered {delivered} {seconds_ago} s ago"));
        }
        if let Some(server) = report.server {
            lines.line("server", server.replace('_', " "));
        }
        lines.rows("remaining", (report.remaining.events, report.remaining.bodies), "");
        for warning in &self.warnings {
            lines.line("warning", printable(&warning.text));
            lines.print_remedy(&warning.remedy);
        }
        lines.0.push_str(&elsewhere::describe(&self.elsewhere));
        lines.0
    }
}

/// DeliveryLines of the report: a label, and under a line its remedy.
#[derive(Default)]
struct DeliveryLines(String);

impl DeliveryLines {
    fn line(&mut self, label: &str, text: impl Display) {
        let _ = writeln!(self.0, "{label:<10}: {text}");
    }

    fn rows(&mut self, label: &str, (events, bodies): (u64, u64), tail: &str) {
        if events + bodies > 0 {
            self.line(label, format_args!("{}{tail}", rows(events, bodies)));
        }
    }

    fn print_remedy(&mut self, remedy: &Remedy) {
        let _ = writeln!(self.0, "            {}", printable(&remedy.hint()));
    }

    fn tallies(&mut self, report: &DrainReport) {
        let sum = |pick: fn(&RowTally) -> u64| (pick(&report.events), pick(&report.bodies));
        let to = format!(" to {}", printable(&report.server_url));
        self.rows("delivered", sum(|tally| tally.delivered), &to);
        self.rows("duplicate", sum(|tally| tally.duplicate), ": the server had them");
        self.rows("parked", sum(|tally| tally.parked), ": refused, kept here with the reason");
        self.rows("kept", sum(|tally| tally.kept), ": not accepted; sent again later");
        if report.settled_before > 0 {
            self.line("settled", format_args!("{} rows that were delivered before", report.settled_before));
        }
    }

    fn held(&mut self, held: &[HeldRows]) {
        for held in held.iter().take(PROJECTS_SHOWN) {
            let name = project_name(held.repo_slug.as_deref(), held.project_uuid.as_deref());
            self.line("held", format_args!("{} of {name}", rows(held.events, held.bodies)));
            let project = held.project_uuid.clone().unwrap_or_else(|| "none".to_owned());
            self.print_remedy(&Remedy::OptIn { project });
        }
        if let Some(more) = more_projects(held.len(), "spec-kitty sync status --json") {
            self.line("held", more);
            self.print_remedy(&Remedy::OptInAllHeld);
        }
    }

    fn stopped(&mut self, report: &DrainReport) {
        for stopped in report.stopped_projects.iter().take(PROJECTS_SHOWN) {
            let name = project_name(stopped.repo_slug.as_deref(), stopped.project_uuid.as_deref());
            self.line("stopped", format_args!("{name}: {}", printable(&stopped.detail)));
            stopped.remedy.iter().for_each(|remedy| self.print_remedy(remedy));
        }
        if let Some(more) = more_projects(report.stopped_projects.len(), "spec-kitty sync now --report FILE")
        {
            self.line("stopped", more);
        }
        if let Some(stopped) = &report.stopped {
            self.line("stopped", printable(&stopped.detail));
            stopped.remedy.iter().for_each(|remedy| self.print_remedy(remedy));
        }
    }

    fn failures(&mut self, failures: &[Failure]) {
        for failure in failures.iter().take(FAILURES_SHOWN) {
            let mission = failure.mission_slug.as_ref().map(|slug| format!(" of {slug}")).unwrap_or_default();
            let category = Some(failure.category).filter(|category| *category != "unknown");
            let category = category.map(|category| format!(" ({category})")).unwrap_or_default();
            let line = format!("  {}{mission}{category}: {}", failure.event_id, failure.error);
            let _ = writeln!(self.0, "{}", printable(&line));
        }
        if let Some(more) = failures.len().checked_sub(FAILURES_SHOWN).filter(|more| *more > 0) {
            let _ = writeln!(self.0, "  ... and {more} more; --report FILE lists them");
        }
    }
}

const FAILURES_SHOWN: usize = 10;
