//! `agent mission setup-plan`: plan.md from a template, once the spec is written and committed.

use crate::args::MissionArg;
use crate::producing::{CommandOutcome, ProducingArgs};
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use mission::command::setup_plan::{PlanSetUp, SetupPlanRequest, plan};
use mission::outgoing::CaptureReport;

/// Create plan.md from a template once the spec is written and committed
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty agent mission setup-plan --mission tea-timer")]
pub(crate) struct SetupPlanArgs {
    #[command(flatten)]
    mission: MissionArg,
    #[command(flatten)]
    producing: ProducingArgs,
}

impl Verb for SetupPlanArgs {
    fn class(&self) -> Class {
        self.producing.class()
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        self.producing.run(context, &SetupPlanRequest { mission: self.mission.mission }, plan)
    }
}

impl CommandOutcome for PlanSetUp {
    fn capture(&self) -> &CaptureReport {
        &self.capture
    }

    fn describe(&self) -> String {
        let file = self.plan_file.as_deref().unwrap_or(&self.spec_file);
        match self.blocked_reason {
            Some(reason) => format!("{}: blocked\n  {file}\n  {reason}\n", self.mission_slug),
            None => format!("{}: the plan is complete and committed\n  {file}\n", self.mission_slug),
        }
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}
