//! `agent mission check-prerequisites`: which documents of a mission are there, and where.

use crate::args::PrerequisitesArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::mission_document::MissionDocument;
use crate::report::Report;
use contract::text::printable;
use mission::Clock;
use mission::command::prerequisites::{Prerequisites, Request, look};
use std::fmt::Write as _;

/// Runs the verb. A missing document is a finding of the report, not a failure.
pub(crate) fn run(context: &Context, args: PrerequisitesArgs) -> Result<Report, CliError> {
    let request =
        Request { mission: args.mission, include_tasks: args.include_tasks, paths_only: args.paths_only };
    let found = look(&context.project()?, &request, &Clock::system())?;
    let text = describe(&found);
    Ok(Report::of(&MissionDocument { value: found, text }))
}

fn describe(found: &Prerequisites) -> String {
    let mut out = String::new();
    if !found.paths_only {
        let verdict = if found.valid { "everything that is needed is there" } else { "something is missing" };
        let _ = writeln!(out, "{verdict}");
    }
    for (key, path) in found.files.iter().chain(&found.directories) {
        let _ = writeln!(out, "  {key:<15} {}", printable(path.as_str().unwrap_or_default()));
    }
    for line in found.errors.iter().chain(&found.warnings).filter(|_| !found.paths_only) {
        let _ = writeln!(out, "  {}", printable(line));
    }
    out
}
