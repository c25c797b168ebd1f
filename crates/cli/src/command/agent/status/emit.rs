//! `agent status emit`: moves a work package to a lane.

use crate::args::{EmitArgs, ExecutionMode};
use crate::context::Context;
use crate::error::CliError;
use crate::producing::{Outcome, Producing};
use crate::report::Report;
use mission::Clock;
use mission::command::emit::{Emitted, Request, plan};
use mission::outgoing::CaptureReport;

/// Runs the verb.
pub(crate) fn run(context: &Context, args: EmitArgs) -> Result<Report, CliError> {
    let request = Request {
        mission: args.mission,
        wp_id: args.work_package,
        to: args.to,
        actor: args.actor,
        force: args.force,
        reason: args.reason,
        evidence_json: args.evidence_json,
        review_ref: args.review_ref,
        workspace_context: args.workspace_context,
        subtasks_complete: args.subtasks_complete,
        implementation_evidence_present: args.implementation_evidence_present,
        execution_mode: args.execution_mode.map(|mode| {
            match mode {
                ExecutionMode::Worktree => "worktree",
                ExecutionMode::DirectRepo => "direct_repo",
            }
            .to_owned()
        }),
    };
    request.check()?;
    let producing = Producing::begin(context, args.producing.local_only)?;
    let clock = Clock::system();
    let plan = plan(&producing.project, &request, &clock)?;
    producing.finish(|project, outgoing| plan.apply(project, outgoing, &clock))
}

impl Outcome for Emitted {
    fn capture(&self) -> &CaptureReport {
        &self.capture
    }

    fn describe(&self) -> String {
        if self.changed {
            format!("{}: {} -> {}\n", self.wp_id, self.from_lane, self.to_lane)
        } else {
            format!("{} is in {} already\n", self.wp_id, self.to_lane)
        }
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}
