//! `agent tasks move-task`: moves a work package to a lane, and notes it in its file.

use super::CommitArgs;
use crate::args::{MissionArg, OwnedCheckoutArg};
use crate::producing::{CommandOutcome, ProducingArgs};
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use mission::command::move_task::{MoveTaskRequest, Moved, plan};
use mission::outgoing::CaptureReport;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Move a work package to a lane through every lane between, and note it in its file
#[derive(Debug, Args)]
#[command(
    after_help = "A forward move passes every lane between; `--force` jumps. A backward move is a rewind, which is \
    always forced. A move back to `planned` is a rejection: it needs \
    --review-feedback-file.\n\nExample: spec-kitty agent tasks move-task WP01 --to doing \
    --mission tea-timer --note \"started\""
)]
pub(crate) struct MoveTaskArgs {
    /// The work package, for example WP01
    #[arg(value_name = "WP")]
    work_package: String,
    /// Target lane
    #[arg(long, value_name = "LANE")]
    to: String,
    #[command(flatten)]
    mission: MissionArg,
    /// Name of the agent that moves it; recorded in the work package
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Name of the assignee
    #[arg(long, value_name = "NAME")]
    assignee: Option<String>,
    /// PID of the shell in which the work happens
    #[arg(long, value_name = "PID")]
    shell_pid: Option<u32>,
    /// Model that works on it
    #[arg(long)]
    model: Option<String>,
    /// Agent profile that works on it
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Recorded dispatch of the Python CLI that names model and profile: its id
    #[arg(long, value_name = "ID")]
    invocation_id: Option<String>,
    /// A ticket of the work package in your tracker; may be repeated
    #[arg(long, value_name = "TICKET")]
    tracker_ref: Vec<String>,
    /// Text for the activity log
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// File with the required changes, for a move back to planned
    #[arg(long, value_name = "FILE")]
    review_feedback_file: Option<PathBuf>,
    /// Reference of the approval
    #[arg(long, value_name = "REF")]
    approval_ref: Option<String>,
    /// Name of the reviewer [default: git's user.name]
    #[arg(long, value_name = "NAME")]
    reviewer: Option<String>,
    /// Record that the approval is by who worked on it, because the intended reviewer failed; needs --force
    #[arg(long)]
    self_review_fallback: bool,
    /// Name of the reviewer who should have reviewed, for --self-review-fallback
    #[arg(long, value_name = "NAME")]
    intended_reviewer: Option<String>,
    /// Reason why the intended reviewer failed, for --self-review-fallback
    #[arg(long, value_name = "TEXT")]
    reviewer_failure_reason: Option<String>,
    /// Reason for `done` although the lane is not merged
    #[arg(long, value_name = "TEXT")]
    done_override_reason: Option<String>,
    /// Skip the checks of lanes, subtasks and agent
    #[arg(long)]
    force: bool,
    /// Approve despite a newest review that rejects; needs --note
    #[arg(long)]
    skip_review_artifact_check: bool,
    /// Accepted for calls written for the Python CLI: there is no such gate here
    #[arg(long, hide = true)]
    skip_pre_review_gate: bool,
    #[command(flatten)]
    owned: OwnedCheckoutArg,
    #[command(flatten)]
    commit: CommitArgs,
    #[command(flatten)]
    producing: ProducingArgs,
}

impl Verb for MoveTaskArgs {
    fn class(&self) -> Class {
        self.producing.class()
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let request = MoveTaskRequest {
            mission: self.mission.mission,
            wp_id: self.work_package,
            to: self.to,
            agent: self.agent,
            assignee: self.assignee,
            shell_pid: self.shell_pid,
            model: self.model,
            profile: self.profile,
            invocation_id: self.invocation_id,
            tracker_refs: self.tracker_ref,
            note: self.note,
            review_feedback_file: self.review_feedback_file,
            approval_ref: self.approval_ref,
            reviewer: self.reviewer,
            self_review_fallback: self.self_review_fallback,
            intended_reviewer: self.intended_reviewer,
            reviewer_failure_reason: self.reviewer_failure_reason,
            done_override_reason: self.done_override_reason,
            force: self.force,
            skip_review_artifact_check: self.skip_review_artifact_check,
            commit: self.commit.choice(),
        };
        request.check()?;
        let context = &self.owned.enter(context, request.mission.as_deref())?;
        let report = self.producing.run(context, &request, plan)?;
        Ok(match self.skip_pre_review_gate {
            true => report.note("--skip-pre-review-gate has no effect: there is no such gate here"),
            false => report,
        })
    }
}

impl CommandOutcome for Moved {
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
