//! `sync migrate`: moves the legacy rows of this account into its scoped queue DB. Needs no server.

use crate::args::MigrateArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::report::{Document, Report};
use crate::terminal::Progress;
use contract::exit::SAAS_SYNC_UNAUTHENTICATED;
use contract::{FailureName, FaultCode, LegacyRowCounts, Remedy};
use gate::CurePermit;
use queue::{Cure, MigrationReport};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Runs the verb.
pub(crate) fn run(context: &Context, args: &MigrateArgs) -> Result<Report, CliError> {
    let Some(permit) = context.boundary()?.cure_permit()? else { return without_scope(context) };
    let report = migrate(&permit, args.dry_run, args.json)?;
    Ok(Report::of(&Migration { result: if args.dry_run { "planned" } else { "migrated" }, report }))
}

/// Migrates under `permit`, or says what would be migrated.
pub(crate) fn migrate(permit: &CurePermit, dry_run: bool, quiet: bool) -> Result<MigrationReport, CliError> {
    let (from, to) = (permit.legacy_path(), permit.queue_path());
    let absent =
        |path: &Path| path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound);
    let report = if !dry_run && absent(from) && absent(to) {
        // Opening a cure would create the scoped queue DB, in a home that perhaps nobody meant.
        MigrationReport { from: from.into(), to: to.into(), ..MigrationReport::default() }
    } else if dry_run {
        Cure::plan_migration(permit).map_err(queue::QueueError::from)?
    } else {
        Cure::open(permit)?.migrate(&mut Progress::new("migrating", quiet))?
    };
    Ok(readable(report))
}

/// A report whose paths every document can hold: what is no UTF-8 in them is replaced.
fn readable(report: MigrationReport) -> MigrationReport {
    let text = |path: &Path| PathBuf::from(path.to_string_lossy().into_owned());
    MigrationReport { from: text(&report.from), to: text(&report.to), ..report }
}

/// Without a scope nobody owns the rows: fine while there are none.
fn without_scope(context: &Context) -> Result<Report, CliError> {
    let status = context.boundary()?.status_document(false)?;
    let unreadable = [FaultCode::SessionUnreadable, FaultCode::ConfigUnreadable]
        .into_iter()
        .any(|code| status.preflight.failures().contains(&FailureName::Fault(code)));
    if unreadable {
        return Err(CliError::boundary(status.preflight));
    }
    let legacy = &status.legacy_queue;
    let rows = legacy.event_count.zip(legacy.body_upload_count).map(|(events, bodies)| events + bodies);
    match rows {
        Some(0) => {
            let report = MigrationReport { from: legacy.path.clone(), ..MigrationReport::default() };
            Ok(Report::of(&Migration { result: "nothing_to_do", report: readable(report) }))
        }
        Some(rows) => {
            let path = contract::text::path(&legacy.path);
            let summary =
                format!("{path} holds {rows} rows and nobody is logged in, so no account owns them");
            Err(CliError::refused(SAAS_SYNC_UNAUTHENTICATED, summary).remedy(Remedy::Login))
        }
        // Rolling back is for the account that owns the rows: who that is has to be known first.
        None if status.preflight.fails_only_by_fault(FaultCode::QueueRecoveryNeeded) => {
            let path = contract::text::path(&legacy.path);
            let summary =
                format!("{path} waits for a rollback and nobody is logged in, so no account owns its rows");
            Err(CliError::refused(SAAS_SYNC_UNAUTHENTICATED, summary).remedy(Remedy::Login))
        }
        None => Err(CliError::boundary(status.preflight)),
    }
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

/// A migration as people read it.
pub(crate) fn describe(report: &MigrationReport) -> String {
    let mut out = String::new();
    let verb = if report.dry_run { "would move" } else { "moved" };
    if !found_rows(report) {
        out.push_str("no legacy rows in scope\n");
    } else {
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
    format!(
        "{} events, {} bodies, {} failure-log rows",
        counts.event_rows, counts.body_upload_rows, counts.failure_log_rows
    )
}
