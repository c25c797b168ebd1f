//! `agent status validate`: whether rows and `status.json` of a mission are as they should be.

use crate::args::MissionArg;
use crate::mission_document::MissionDocument;
use crate::report::counted;
use crate::verb::{Args, Class, CliError, CommandContext, ExitCode, Report, Verb};
use contract::text::printable;
use mission::command::validate_log::{ValidatedLog, validate};
use std::fmt::Write as _;

/// Check the rows and the status.json of a mission; change nothing
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty agent status validate --mission tea-timer")]
pub(crate) struct StatusValidateArgs {
    #[command(flatten)]
    mission: MissionArg,
}

impl Verb for StatusValidateArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    /// An error that is found ends it with 1; a warning does not.
    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let found = validate(&context.project()?, self.mission.mission.as_deref())?;
        let exit = if found.passed { ExitCode::Ok } else { ExitCode::Failed };
        let text = describe(&found);
        Ok(Report::exiting(exit, &MissionDocument { value: found, text }))
    }
}

fn describe(found: &ValidatedLog) -> String {
    let verdict = match (found.passed, found.warning_count) {
        (true, 0) => "in order".to_owned(),
        (true, warnings) => format!("in order, {}", counted(warnings as u64, "warning", "warnings")),
        (false, _) => counted(found.error_count as u64, "error", "errors"),
    };
    let mut out = format!("{}: {verdict}\n", found.mission_slug);
    for error in &found.errors {
        let _ = writeln!(out, "  {}", printable(error));
    }
    for warning in &found.warnings {
        let _ = writeln!(out, "  warning: {}", printable(warning));
    }
    out
}
