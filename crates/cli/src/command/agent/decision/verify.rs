//! `agent decision verify`: whether the questions and the markers in the documents agree.

use super::DecisionArgs;
use crate::command::agent::decision::error::with_details;
use crate::mission_document::MissionDocument;
use crate::verb::{Args, Class, CliError, CommandContext, ExitCode, Report, Verb};
use contract::text::printable;
use mission::command::decision::verify;
use mission::decision::Verification;
use std::fmt::Write as _;

/// Compare the questions with the markers in spec.md and plan.md; change nothing
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty agent decision verify --mission tea-timer")]
pub(crate) struct DecisionVerifyArgs {
    /// Exit 1 when something differs (the default)
    #[arg(long = "fail-on-stale", overrides_with = "no_fail_on_stale")]
    _fail_on_stale: bool,
    /// Exit 0 even when something differs
    #[arg(long, overrides_with = "_fail_on_stale")]
    no_fail_on_stale: bool,
    #[command(flatten)]
    decision: DecisionArgs,
}

impl Verb for DecisionVerifyArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    fn json(&self, asked: bool) -> Result<bool, &'static str> {
        Ok(self.decision.json(asked))
    }

    /// A disagreement ends it with 1, unless that was switched off.
    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let found =
            verify(&context.project()?, self.decision.mission.mission.as_deref()).map_err(with_details)?;
        let exit =
            if found.findings.is_empty() || self.no_fail_on_stale { ExitCode::Ok } else { ExitCode::Failed };
        let text = describe(&found);
        Ok(Report::exiting(exit, &MissionDocument { value: found, text }))
    }
}

fn describe(found: &Verification) -> String {
    let mut out =
        format!("{}: {} deferred, {} markers\n", found.status, found.deferred_count, found.marker_count);
    for finding in &found.findings {
        let place = finding.location.as_deref().unwrap_or("no document");
        let _ = writeln!(
            out,
            "  {}  {}: {}",
            printable(&finding.decision_id_or_ref),
            printable(place),
            printable(&finding.detail)
        );
    }
    out
}
