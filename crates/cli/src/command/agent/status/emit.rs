//! `agent status emit`: moves a work package to a lane.

use crate::args::MissionArg;
use crate::producing::{CommandOutcome, ProducingArgs};
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use mission::command::emit::{EmitRequest, Emitted, plan};
use mission::outgoing::CaptureReport;

/// Move a work package to a lane
#[derive(Debug, Args)]
#[command(
    after_help = "Example: spec-kitty agent status emit WP01 --to claimed --actor ada --mission tea-timer"
)]
pub(crate) struct EmitArgs {
    /// The work package, for example WP01
    #[arg(value_name = "WP")]
    work_package: String,
    #[command(flatten)]
    mission: MissionArg,
    /// Target lane
    #[arg(long, value_name = "LANE")]
    to: String,
    /// Name of the actor
    #[arg(long)]
    actor: String,
    /// Allow a move that the lanes forbid; needs --reason
    #[arg(long)]
    force: bool,
    /// Reason
    #[arg(long)]
    reason: Option<String>,
    /// Evidence as a JSON object: review{reviewer, verdict, reference}
    #[arg(long, value_name = "JSON")]
    evidence_json: Option<String>,
    /// Review result as a JSON object, for a move out of in_review: reviewer, verdict, reference
    #[arg(long, value_name = "JSON")]
    review_result_json: Option<String>,
    /// Review that this move answers
    #[arg(long, value_name = "REF")]
    review_ref: Option<String>,
    /// Workspace of the work
    #[arg(long, value_name = "TEXT")]
    workspace_context: Option<String>,
    /// State that all subtasks are done
    #[arg(long)]
    subtasks_complete: bool,
    /// State that evidence of the implementation exists
    #[arg(long)]
    implementation_evidence_present: bool,
    /// Checkout of the work [default: worktree]
    #[arg(long, value_parser = ["worktree", "direct_repo"])]
    execution_mode: Option<String>,
    #[command(flatten)]
    producing: ProducingArgs,
}

impl Verb for EmitArgs {
    fn class(&self) -> Class {
        self.producing.class()
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let request = EmitRequest {
            mission: self.mission.mission,
            wp_id: self.work_package,
            to: self.to,
            actor: self.actor,
            force: self.force,
            reason: self.reason,
            evidence_json: self.evidence_json,
            review_result_json: self.review_result_json,
            review_ref: self.review_ref,
            workspace_context: self.workspace_context,
            subtasks_complete: self.subtasks_complete,
            implementation_evidence_present: self.implementation_evidence_present,
            execution_mode: self.execution_mode,
        };
        request.check()?;
        self.producing.run(context, &request, plan)
    }
}

impl CommandOutcome for Emitted {
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
