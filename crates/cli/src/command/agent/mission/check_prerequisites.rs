//! `agent mission check-prerequisites`: which documents of a mission are there, and where.

use crate::args::{MissionArg, OwnedCheckoutArg};
use crate::mission_document::MissionDocument;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use contract::text::printable;
use mission::Clock;
use mission::command::prerequisites::{Prerequisites, PrerequisitesRequest, look};
use std::fmt::Write as _;

/// List the documents of a mission, and those that are missing; change nothing
#[derive(Debug, Args)]
#[command(
    after_help = "Example: spec-kitty agent mission check-prerequisites --mission tea-timer --include-tasks"
)]
pub(crate) struct PrerequisitesArgs {
    #[command(flatten)]
    mission: MissionArg,
    /// Print only the paths
    #[arg(long)]
    paths_only: bool,
    /// Require tasks.md as well
    #[arg(long, alias = "require-tasks")]
    include_tasks: bool,
    #[command(flatten)]
    owned: OwnedCheckoutArg,
}

impl Verb for PrerequisitesArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    /// A missing document is a finding of the report, not a failure.
    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let request = PrerequisitesRequest {
            mission: self.mission.mission,
            include_tasks: self.include_tasks,
            paths_only: self.paths_only,
        };
        let context = &self.owned.enter(context, request.mission.as_deref())?;
        let found = look(&context.project()?, &request, &Clock::system())?;
        let text = describe(&found);
        Ok(Report::of(&MissionDocument { value: found, text }))
    }
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
