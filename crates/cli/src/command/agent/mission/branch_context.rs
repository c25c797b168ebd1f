//! `agent mission branch-context`: the branches of a mission that is yet to be created.

use crate::mission_document::MissionDocument;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use contract::text::printable;
use mission::Clock;
use mission::command::BranchAdvice;
use mission::command::branch::advise;

/// Show the branches that a new mission would be planned on and land on; change nothing
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty agent mission branch-context --json")]
pub(crate) struct BranchContextArgs {
    /// Branch that the work lands on [default: the current branch]
    #[arg(long, value_name = "BRANCH")]
    target_branch: Option<String>,
}

impl Verb for BranchContextArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let advice = advise(&context.project()?, self.target_branch.as_deref(), &Clock::system())?;
        let text = describe(&advice);
        Ok(Report::of(&MissionDocument { value: advice, text }))
    }
}

fn describe(advice: &BranchAdvice) -> String {
    let (summary, reason) = (advice.contract.summary(), advice.reason());
    format!(
        "{}\nprimary branch: {}\n{}: {}\n",
        printable(&summary),
        printable(&advice.primary),
        advice.strategy(),
        printable(&reason)
    )
}
