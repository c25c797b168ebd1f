//! `sync migrate`: moves the legacy rows of this account into its scoped queue DB. Needs no server.

use super::housekeeping::settle_leftovers;
use super::scoped::{Patience, cure_permit, is_absent};
use super::sync_from_scope;
use crate::args::MigrateArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::report::{Document, Report, counted};
use crate::terminal::Progress;
use contract::LegacyRowCounts;
use gate::CurePermit;
use queue::{Cure, MigrationReport};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Runs the verb.
pub(crate) fn run(context: &Context, args: &MigrateArgs) -> Result<Report, CliError> {
    if let Some(hash) = &args.from_scope {
        return sync_from_scope::run(context, args, hash);
    }
    let Some(permit) = cure_permit(context, Patience::of(args.dry_run))? else {
        let report = MigrationReport { from: context.home()?.legacy_queue(), ..MigrationReport::default() };
        return Ok(Report::of(&Migration { result: "nothing_to_do", report: readable(report) }));
    };
    let report = migrate(&permit, args.dry_run, args.json)?;
    let result = match (args.dry_run, found_rows(&report)) {
        (true, _) => "planned",
        (false, true) => "migrated",
        (false, false) => "nothing_to_do",
    };
    let mut shown = Report::of(&Migration { result, report });
    if !args.dry_run {
        shown.notes = settle_leftovers(context);
    }
    Ok(shown)
}

/// Migrates under `permit`, or says what would be migrated.
pub(crate) fn migrate(permit: &CurePermit, dry_run: bool, quiet: bool) -> Result<MigrationReport, CliError> {
    let (from, to) = (permit.legacy_path(), permit.queue_path());
    let report = if !dry_run && is_absent(from) && is_absent(to) {
        MigrationReport { from: from.into(), to: to.into(), ..MigrationReport::default() }
    } else if dry_run {
        Cure::plan_migration(permit).map_err(queue::QueueError::from)?
    } else {
        Cure::open(permit)?.migrate(&mut Progress::new("migrating", quiet))?
    };
    Ok(readable(report))
}

/// A report whose paths every document can hold: what is no UTF-8 in them is replaced.
pub(crate) fn readable(report: MigrationReport) -> MigrationReport {
    let text = |path: &Path| PathBuf::from(path.to_string_lossy().into_owned());
    MigrationReport { from: text(&report.from), to: text(&report.to), ..report }
}

/// What moved.
#[derive(Debug, Serialize)]
struct Migration {
    result: &'static str,
    #[serde(flatten)]
    report: MigrationReport,
}

impl Document for Migration {
    fn text(&self) -> String {
        describe(&self.report)
    }
}

/// Whether there was anything to migrate.
pub(crate) fn found_rows(report: &MigrationReport) -> bool {
    [&report.moved, &report.duplicates, &report.conflicts, &report.unreadable]
        .into_iter()
        .any(|counts| sum(counts) > 0)
}

fn sum(counts: &LegacyRowCounts) -> u64 {
    counts.total_rows() + counts.failure_log_rows
}

/// The words in which a migration is told.
pub(crate) struct Wording {
    /// What was done, and what would be.
    pub done: &'static str,
    /// What a dry run says instead.
    pub planned: &'static str,
    /// When there was no row.
    pub nothing: &'static str,
}

const MOVING: Wording = Wording { done: "moved", planned: "would move", nothing: "no legacy rows in scope" };

/// A migration of legacy rows as people read it.
pub(crate) fn describe(report: &MigrationReport) -> String {
    describe_as(report, &MOVING)
}

/// The same in other words.
pub(crate) fn describe_as(report: &MigrationReport, wording: &Wording) -> String {
    let mut out = String::new();
    if !found_rows(report) {
        let _ = writeln!(out, "{}", wording.nothing);
    } else {
        let verb = if report.dry_run { wording.planned } else { wording.done };
        let _ = writeln!(out, "{verb} {}", counts(&report.moved));
        let _ = writeln!(out, "  from {}", contract::text::path(&report.from));
        let _ = writeln!(out, "  to   {}", contract::text::path(&report.to));
    }
    for (label, group) in [
        ("already there", &report.duplicates),
        ("kept beside other content (conflicts)", &report.conflicts),
        ("parked as unreadable", &report.unreadable),
        ("of other accounts, untouched", &report.rows_other_scope),
    ] {
        if sum(group) > 0 {
            let _ = writeln!(out, "  {label}: {}", counts(group));
        }
    }
    out
}

fn counts(counts: &LegacyRowCounts) -> String {
    let failures = counted(counts.failure_log_rows, "failure-log row", "failure-log rows");
    let events = counted(counts.event_rows, "event", "events");
    format!("{events}, {}, {failures}", counted(counts.body_upload_rows, "body", "bodies"))
}
