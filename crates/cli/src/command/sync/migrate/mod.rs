//! `sync migrate`: moves the legacy rows of this account into its scoped queue DB, and imports what releases 3.2.0
//! to 3.2.7 left undelivered. Needs no server.

pub(crate) mod from_scope;
mod project_stores;
pub(crate) mod text;

use self::project_stores::ImportedStore;
use crate::command::sync::export::scope_hash;
use crate::command::sync::migrate::text::{describe, found_rows, readable};
use crate::command::sync::scoped::{Patience, cure_permit, is_absent};
use crate::housekeeping::settle_leftovers;
use crate::terminal::ProgressDisplay;
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use contract::ExitCode;
use contract::text::printable;
use gate::CurePermit;
use queue::{Cure, MigrationReport, StoreSelection};
use serde::Serialize;

/// Move legacy rows of this account, and undelivered rows of other releases, into its queue DB
#[derive(Debug, Args)]
#[command(
    after_help = "Needs no server and no login beyond the account's name. Safe to repeat, and to kill at any \
    instant: the next run resumes. Rows of other accounts are not moved.\n\nExample: spec-kitty \
    sync migrate --dry-run"
)]
pub(crate) struct MigrateArgs {
    /// List the rows that would move; change nothing (dry run)
    #[arg(long)]
    dry_run: bool,
    /// Instead of legacy rows, copy those of another queue DB of the same user, for a server or team
    /// that no longer exists: the 16 hex digits in its file name. The copies are held
    #[arg(long, value_name = "HASH", value_parser = scope_hash)]
    from_scope: Option<String>,
    /// Also import a project that a release up to 3.2.7 has bound to this server, which is not the one of the
    /// login
    #[arg(long, value_name = "URL", requires = "project", conflicts_with = "from_scope")]
    from_server: Option<String>,
    /// Import this project only
    #[arg(long, value_name = "UUID", conflicts_with = "from_scope")]
    project: Option<String>,
    /// With --from-server: also the rows that the old server has
    #[arg(long, requires = "from_server")]
    include_delivered: bool,
    /// With --from-scope: skip the confirmation
    #[arg(long, short, requires = "from_scope")]
    yes: bool,
    /// List the table, key and outcome of every row
    #[arg(long, short)]
    verbose: bool,
}

impl Verb for MigrateArgs {
    fn class(&self) -> Class {
        Class::Curing
    }

    fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        if let Some(hash) = &self.from_scope {
            return from_scope::run(context, &self, hash);
        }
        let Some(permit) = cure_permit(context, Patience::of(self.dry_run))? else {
            let report =
                MigrationReport { from: context.home()?.legacy_queue(), ..MigrationReport::default() };
            let report = readable(report);
            let stores = project_stores::without_account(context);
            let exit = worst(&stores);
            let migration = MigrationResult { result: "nothing_to_do", verbose: false, report, stores };
            return Ok(Report::exiting(exit, &migration));
        };
        if let Some(project) = self.project.as_deref().filter(|project| !has_store(context, project)) {
            return Err(unknown_project(context, project));
        }
        let report = migrate_listing(context, &permit, &self)?;
        let selection = StoreSelection {
            project_uuid: self.project.as_ref().map(|project| project.to_lowercase()),
            from_server: self.from_server.clone(),
            include_delivered: self.include_delivered,
        };
        let stores = project_stores::import(context, &permit, &selection, self.dry_run)?;
        let found = found_rows(&report) || stores.iter().any(ImportedStore::found_rows);
        let exit = worst(&stores);
        let result = match (self.dry_run, found) {
            (true, _) => "planned",
            (false, true) => "migrated",
            (false, false) => "nothing_to_do",
        };
        let verbose = self.verbose;
        let mut shown = Report::exiting(exit, &MigrationResult { result, verbose, report, stores });
        if !self.dry_run {
            shown.notes = settle_leftovers(context, Some(permit));
        }
        Ok(shown)
    }
}

/// Exit code for all stores together.
fn worst(stores: &[ImportedStore]) -> ExitCode {
    stores.iter().map(ImportedStore::exit).max_by_key(|exit| exit.code()).unwrap_or(ExitCode::Ok)
}

/// Whether a release 3.2.x has kept a store of the project here.
fn has_store(context: &CommandContext, project: &str) -> bool {
    let directory = context.home().map(identity::Home::projects_dir).unwrap_or_default();
    directory.join(project.to_lowercase()).join("sync").join("sync.db").is_file()
}

/// No store of that name; those that there are.
fn unknown_project(context: &CommandContext, wanted: &str) -> CliError {
    let directory = context.home().map(identity::Home::projects_dir).unwrap_or_default();
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut known: Vec<String> = entries
        .filter(|entry| entry.path().join("sync").join("sync.db").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    known.sort();
    let mut error = CliError::failed("PROJECT_UNKNOWN", format!("no store of project {}", printable(wanted)));
    error.evidence = known;
    error
}

/// The same, with a list of the rows where it is shown.
fn migrate_listing(
    context: &CommandContext,
    permit: &CurePermit,
    args: &MigrateArgs,
) -> Result<MigrationReport, CliError> {
    if !(context.json || args.verbose) || (!args.dry_run && moves_nothing(permit)) {
        return migrate(permit, args.dry_run, context.json);
    }
    let report = if args.dry_run {
        Cure::plan_migration_listing(permit).map_err(queue::QueueError::from)?
    } else {
        Cure::open(permit)?.migrate_listing(&mut ProgressDisplay::new("migrating", context.json))?
    };
    Ok(readable(report))
}

/// Whether there is no queue DB and no row to move into a new one: none is made then.
pub(crate) fn moves_nothing(permit: &CurePermit) -> bool {
    let is_nothing = |plan: MigrationReport| {
        !found_rows(&plan) && plan.claimed_for_others == contract::LegacyRowCounts::default()
    };
    is_absent(permit.queue_path()) && Cure::plan_migration(permit).is_ok_and(is_nothing)
}

/// Migrates under `permit`, or plans the migration.
pub(crate) fn migrate(permit: &CurePermit, dry_run: bool, quiet: bool) -> Result<MigrationReport, CliError> {
    let report = if dry_run || moves_nothing(permit) {
        let plan = Cure::plan_migration(permit).map_err(queue::QueueError::from)?;
        MigrationReport { dry_run, ..plan }
    } else {
        Cure::open(permit)?.migrate(&mut ProgressDisplay::new("migrating", quiet))?
    };
    Ok(readable(report))
}

/// Rows that moved, or would move.
#[derive(Debug, Serialize)]
struct MigrationResult {
    result: &'static str,
    #[serde(skip)]
    verbose: bool,
    #[serde(flatten)]
    report: MigrationReport,
    /// Stores of other releases that were looked at.
    #[serde(rename = "project_stores")]
    stores: Vec<ImportedStore>,
}

impl Render for MigrationResult {
    fn text(&self) -> String {
        let rows = self.report.rows.iter().flatten().filter(|_| self.verbose);
        let rows: String = rows
            .map(|row| printable(&format!("{} {} {}", row.outcome, row.table, row.key)).into_owned() + "\n")
            .collect();
        let stores: String = self.stores.iter().map(ImportedStore::describe).collect();
        rows + &describe(&self.report) + &stores
    }
}
