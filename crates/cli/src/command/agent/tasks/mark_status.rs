//! `agent tasks mark-status`: ticks subtasks in tasks.md.

use super::CommitArgs;
use crate::args::{MissionArg, OwnedCheckoutArg};
use crate::producing::{CommandOutcome, ProducingArgs};
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use mission::command::mark_status::{MarkStatusRequest, Marking, plan};
use mission::outgoing::CaptureReport;

/// Tick or untick subtasks in tasks.md
#[derive(Debug, Args)]
#[command(
    after_help = "Example: spec-kitty agent tasks mark-status T001 T002 --status done --mission tea-timer"
)]
pub(crate) struct MarkStatusArgs {
    /// The subtasks, for example T001 T002
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// New state: done or pending
    #[arg(long)]
    status: String,
    #[command(flatten)]
    mission: MissionArg,
    #[command(flatten)]
    owned: OwnedCheckoutArg,
    #[command(flatten)]
    commit: CommitArgs,
    #[command(flatten)]
    producing: ProducingArgs,
}

impl Verb for MarkStatusArgs {
    fn class(&self) -> Class {
        self.producing.class()
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let request = MarkStatusRequest {
            mission: self.mission.mission,
            ids: self.ids,
            status: self.status,
            commit: self.commit.choice(),
        };
        request.check()?;
        let context = &self.owned.enter(context, request.mission.as_deref())?;
        self.producing.run(context, &request, plan)
    }
}

impl CommandOutcome for Marking {
    fn capture(&self) -> &CaptureReport {
        &self.capture
    }

    fn describe(&self) -> String {
        self.results.iter().map(|result| format!("{}\n", result.message)).collect()
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}
