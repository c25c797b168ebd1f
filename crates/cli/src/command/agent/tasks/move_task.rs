//! `agent tasks move-task`: moves a work package to a lane, and notes it in its file.

use crate::args::MoveTaskArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::producing::{Outcome, Producing};
use crate::report::Report;
use mission::Clock;
use mission::command::move_task::{Moved, Request, plan};
use mission::outgoing::CaptureReport;
use std::fmt::Write as _;

/// Runs the verb.
pub(crate) fn run(context: &Context, args: MoveTaskArgs) -> Result<Report, CliError> {
    let request = Request {
        mission: args.mission,
        wp_id: args.work_package,
        to: args.to,
        agent: args.agent,
        assignee: args.assignee,
        shell_pid: args.shell_pid,
        note: args.note,
        review_feedback_file: args.review_feedback_file,
        approval_ref: args.approval_ref,
        reviewer: args.reviewer,
        done_override_reason: args.done_override_reason,
        force: args.force,
        skip_review_artifact_check: args.skip_review_artifact_check,
        commit: args.commit.choice(),
    };
    request.check()?;
    let producing = Producing::begin(context, args.producing.local_only)?;
    let clock = Clock::system();
    let plan = plan(&producing.project, &request, &clock)?;
    producing.finish(|project, outgoing| plan.apply(project, outgoing, &clock))
}

impl Outcome for Moved {
    fn capture(&self) -> &CaptureReport {
        &self.capture
    }

    fn describe(&self) -> String {
        if !self.changed {
            return format!("{} is in {} already\n", self.task_id, self.new_lane);
        }
        let mut out = format!("{}: {} -> {}\n", self.task_id, self.old_lane, self.new_lane);
        if let Some(review) = &self.review_feedback {
            let _ = writeln!(out, "  review {review}");
        }
        out
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}
