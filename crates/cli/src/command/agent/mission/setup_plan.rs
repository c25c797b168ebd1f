//! `agent mission setup-plan`: plan.md from a template, once the spec is written and committed.

use crate::args::SetupPlanArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::producing::{Outcome, Producing};
use crate::report::Report;
use mission::Clock;
use mission::command::setup_plan::{PlanSetUp, Request, plan};
use mission::outgoing::CaptureReport;

/// Runs the verb.
pub(crate) fn run(context: &Context, args: SetupPlanArgs) -> Result<Report, CliError> {
    let producing = Producing::begin(context, args.producing.local_only)?;
    let clock = Clock::system();
    let plan = plan(&producing.project, &Request { mission: args.mission }, &clock)?;
    producing.finish(|project, outgoing| plan.apply(project, outgoing, &clock))
}

impl Outcome for PlanSetUp {
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
}
