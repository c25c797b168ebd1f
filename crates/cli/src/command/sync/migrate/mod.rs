//! `sync migrate`: moves the legacy rows of this account into its scoped queue DB. Needs no server.

mod from_scope;
pub(crate) mod text;

use crate::args::MigrateArgs;
use crate::command::sync::migrate::text::{describe, found_rows, readable};
use crate::command::sync::scoped::{Patience, cure_permit, is_absent};
use crate::context::Context;
use crate::error::CliError;
use crate::housekeeping::settle_leftovers;
use crate::report::{Document, Report};
use crate::terminal::Progress;
use contract::text::printable;
use gate::CurePermit;
use queue::{Cure, MigrationReport};
use serde::Serialize;

/// Runs the verb.
pub(crate) fn run(context: &Context, args: &MigrateArgs) -> Result<Report, CliError> {
    if let Some(hash) = &args.from_scope {
        return from_scope::run(context, args, hash);
    }
    let Some(permit) = cure_permit(context, Patience::of(args.dry_run))? else {
        let report = MigrationReport { from: context.home()?.legacy_queue(), ..MigrationReport::default() };
        let report = readable(report);
        return Ok(Report::of(&Migration { result: "nothing_to_do", verbose: false, report }));
    };
    let report = migrate_listing(&permit, args)?;
    let result = match (args.dry_run, found_rows(&report)) {
        (true, _) => "planned",
        (false, true) => "migrated",
        (false, false) => "nothing_to_do",
    };
    let verbose = args.verbose;
    let mut shown = Report::of(&Migration { result, verbose, report });
    if !args.dry_run {
        shown.notes = settle_leftovers(context);
    }
    Ok(shown)
}

/// The same, with a list of the rows where it is shown.
fn migrate_listing(permit: &CurePermit, args: &MigrateArgs) -> Result<MigrationReport, CliError> {
    let (from, to) = (permit.legacy_path(), permit.queue_path());
    if !(args.json || args.verbose) || (!args.dry_run && is_absent(from) && is_absent(to)) {
        return migrate(permit, args.dry_run, args.json);
    }
    let report = if args.dry_run {
        Cure::plan_migration_listing(permit).map_err(queue::QueueError::from)?
    } else {
        Cure::open(permit)?.migrate_listing(&mut Progress::new("migrating", args.json))?
    };
    Ok(readable(report))
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

/// What moved.
#[derive(Debug, Serialize)]
struct Migration {
    result: &'static str,
    #[serde(skip)]
    verbose: bool,
    #[serde(flatten)]
    report: MigrationReport,
}

impl Document for Migration {
    fn text(&self) -> String {
        let rows = self.report.rows.iter().flatten().filter(|_| self.verbose);
        let rows: String = rows
            .map(|row| printable(&format!("{} {} {}", row.outcome, row.table, row.key)).into_owned() + "\n")
            .collect();
        rows + &describe(&self.report)
    }
}
