//! `sync migrate --from-scope`: rows of the same user's other queue DB, copied into the current one.
//!
//! The one exception to "a row is bound to its account for ever", for a server or a team that no
//! longer exists: after a preview and a confirmation. The old queue DB is only read, and the copies are held
//! until they are released.

use super::MigrateArgs;
use crate::command::sync::migrate::text::{Wording, describe_as, found_rows, readable};
use crate::command::sync::scoped::{Patience, cure_permit};
use crate::context::CommandContext;
use crate::error::CliError;
use crate::report::{Render, Report, counted};
use crate::terminal::ProgressDisplay;
use contract::ExitCode;
use contract::Remedy;
use contract::exit::SAAS_SYNC_UNAUTHENTICATED;
use contract::text::printable;
use queue::{Cure, LeftBehind, MigrationReport, QueueError, observe_left_behind, observe_owner};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;

/// Runs the verb for the queue DB that `hash` names.
pub(crate) fn run(context: &CommandContext, args: &MigrateArgs, hash: &str) -> Result<Report, CliError> {
    let old = context.home()?.queues_dir().join(format!("queue-{hash}.db"));
    if !old.is_file() {
        return Err(unknown(context, &old));
    }
    let Some(permit) = cure_permit(context, Patience::of(!args.yes))? else {
        let summary = "not logged in: there is no account to copy rows into";
        return Err(CliError::refused(SAAS_SYNC_UNAUTHENTICATED, summary).remedy(context.login()?.remedy()));
    };
    let plan = Cure::plan_scope_import(&permit, &old)?;
    let owner = observe_owner(&old).map_err(QueueError::from)?.principal;
    let left = observe_left_behind(&old).map_err(QueueError::from)?;
    let mut adoption =
        Adoption { result: "planned", from_scope: hash.to_owned(), owner, left, report: readable(plan) };
    if args.dry_run || !found_rows(&adoption.report) {
        return Ok(Report::of(&adoption));
    }
    let agreed = args.yes || (context.agrees(&format!("{}Copy them?", adoption.text())));
    if !agreed {
        adoption.result = "preview";
        let line = "nothing was changed; add --yes to do it";
        return Ok(Report::exiting(ExitCode::Refused, &adoption).note(line));
    }
    let mut progress = ProgressDisplay::new("copying", context.json);
    let report = Cure::open(&permit)?.import_scope(&old, &mut progress)?;
    drop(progress);
    adoption.report = readable(report);
    adoption.result = "migrated";
    Ok(Report::of(&adoption))
}

/// Command that lists the scopes of this home.
pub(crate) const ELSEWHERE: &str = "`spec-kitty sync status` lists the other queues of this home";

fn unknown(context: &CommandContext, wanted: &Path) -> CliError {
    let directory = context.home().map(identity::Home::queues_dir).unwrap_or_default();
    let mut known: Vec<_> = std::fs::read_dir(&directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("queue-") && name.ends_with(".db"))
        .collect();
    known.sort();
    let mut error =
        CliError::failed("SCOPE_UNKNOWN", format!("no such queue DB: {}", contract::text::path(wanted)))
            .remedy(Remedy::Advice(ELSEWHERE.to_owned()));
    error.evidence = known;
    error
}

const COPYING: Wording = Wording { done: "copied", planned: "would copy", nothing: "no rows to copy" };

/// Rows that were copied, or would be.
#[derive(Debug, Serialize)]
struct Adoption {
    result: &'static str,
    from_scope: String,
    /// Account of the queue; null for one of an earlier release, which does not store it.
    owner: Option<String>,
    /// Rows that are not copied.
    left: LeftBehind,
    #[serde(flatten)]
    report: MigrationReport,
}

impl Render for Adoption {
    fn text(&self) -> String {
        let owner = match &self.owner {
            Some(owner) => format!("the old queue DB is {}'s\n", printable(owner)),
            None => "the old queue DB names no account: an earlier release wrote it\n".to_owned(),
        };
        let held = match found_rows(&self.report) {
            true => {
                "the old queue DB is unchanged; copied rows are held until `spec-kitty sync opt-in --include-held`\n"
            }
            false => "",
        };
        let moved = describe_as(&self.report, &COPYING);
        let mut left = String::new();
        if self.left != LeftBehind::default() {
            let LeftBehind { parked, prepared, failure_log_rows } = self.left;
            let parked = counted(parked, "parked row", "parked rows");
            let prepared = counted(prepared, "unfinished row", "unfinished rows");
            let failures = counted(failure_log_rows, "failure-log row", "failure-log rows");
            let hash = printable(&self.from_scope);
            let _ = writeln!(left, "  only there, not copied: {parked}, {prepared}, {failures}");
            let _ = writeln!(left, "  spec-kitty sync export --scope {hash}");
        }
        format!("{owner}{moved}{left}{held}")
    }
}
