//! The text of a migration.

use crate::report::counted;
use contract::LegacyRowCounts;
use queue::MigrationReport;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A report whose paths every document can hold: what is no UTF-8 in them is replaced.
pub(crate) fn readable(report: MigrationReport) -> MigrationReport {
    let text = |path: &Path| PathBuf::from(path.to_string_lossy().into_owned());
    MigrationReport { from: text(&report.from), to: text(&report.to), ..report }
}

/// Whether there was anything to migrate.
pub(crate) fn found_rows(report: &MigrationReport) -> bool {
    [&report.moved, &report.duplicates, &report.conflicts, &report.unreadable, &report.owner_unknown]
        .into_iter()
        .any(|counts| sum(counts) > 0)
}

fn sum(counts: &LegacyRowCounts) -> u64 {
    counts.total_rows() + counts.failure_log_rows
}

/// The wording of a migration.
pub(crate) struct Wording {
    pub done: &'static str,
    /// The same for a dry run.
    pub planned: &'static str,
    pub nothing: &'static str,
}

const MOVING: Wording = Wording { done: "moved", planned: "would move", nothing: "no legacy rows in scope" };

/// A migration of legacy rows as people read it.
pub(crate) fn describe(report: &MigrationReport) -> String {
    describe_as(report, &MOVING)
}

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
        ("parked as owner_unknown, another queue DB cannot be read", &report.owner_unknown),
        ("claimed for the accounts that had them before", &report.claimed_for_others),
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
