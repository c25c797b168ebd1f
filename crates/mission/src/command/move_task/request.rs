//! Arguments and report of `move-task`.

use crate::command::Recorded;
use crate::command::map_requirements::check_tracker_refs;
use crate::error::{MissionError, Result};
use crate::lane::Lane;
use crate::outgoing::CaptureReport;
use crate::transaction::Done;
use crate::transition::Refusal;
use crate::work_package::is_wp_id;
use serde::Serialize;
use std::path::PathBuf;

/// Arguments of `agent tasks move-task`.
#[derive(Clone, Debug, Default)]
pub struct MoveTaskRequest {
    /// `--mission`.
    pub mission: Option<String>,
    /// `WPnn`.
    pub wp_id: String,
    /// `--to`: a lane, or `doing`.
    pub to: String,
    /// `--agent`: who acts; becomes the work package's agent.
    pub agent: Option<String>,
    /// `--assignee`.
    pub assignee: Option<String>,
    /// `--shell-pid`.
    pub shell_pid: Option<u32>,
    /// `--model`: which model works on it.
    pub model: Option<String>,
    /// `--profile`: which agent profile works on it.
    pub profile: Option<String>,
    /// `--invocation-id`: the recorded dispatch that names model and profile.
    pub invocation_id: Option<String>,
    /// `--tracker-ref`: tickets of the work package.
    pub tracker_refs: Vec<String>,
    /// `--note`.
    pub note: Option<String>,
    /// `--review-feedback-file`.
    pub review_feedback_file: Option<PathBuf>,
    /// `--approval-ref`: where the approval is written down.
    pub approval_ref: Option<String>,
    /// `--reviewer`; `user.name` without it.
    pub reviewer: Option<String>,
    /// `--self-review-fallback`: the implementer approves, because the intended reviewer failed.
    pub self_review_fallback: bool,
    /// `--intended-reviewer`.
    pub intended_reviewer: Option<String>,
    /// `--reviewer-failure-reason`.
    pub reviewer_failure_reason: Option<String>,
    /// `--done-override-reason`: done although its lane is not merged.
    pub done_override_reason: Option<String>,
    /// `--force`.
    pub force: bool,
    /// `--skip-review-artifact-check`, with a note.
    pub skip_review_artifact_check: bool,
    /// `--auto-commit` or `--no-auto-commit`; without either the project's config decides.
    pub commit: Option<bool>,
}

/// Report on the move. JSON keys as the reference writes them, and ours.
#[derive(Clone, Debug, Serialize)]
pub struct Moved {
    /// `success`.
    pub result: &'static str,
    /// `WPnn`.
    pub task_id: String,
    /// The lane before.
    pub old_lane: Lane,
    /// The lane now.
    pub new_lane: Lane,
    /// The work package's file.
    pub path: String,
    /// The last row's id; null when nothing had to move.
    pub event_id: Option<String>,
    /// `WPnn` once more.
    pub work_package_id: String,
    /// The lane now, once more.
    pub to_lane: Lane,
    /// The log.
    pub status_events_path: String,
    /// The review cycle of a rejection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review_feedback: Option<String>,
    /// Whether anything was written.
    pub changed: bool,
    /// Warnings about the log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The commit.
    pub commit_hash: Option<String>,
    /// The commit on the coordination branch, when lane rows are kept there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coordination_commit: Option<String>,
    /// Captured facts.
    pub capture: CaptureReport,
}

impl MoveTaskRequest {
    pub(super) fn lane(&self) -> Result<Lane> {
        Ok(Lane::from_input(&self.to)
            .ok_or_else(|| Refusal::UnknownLane(contract::text::printable(&self.to).into_owned()))?)
    }

    /// The note; a blank one counts as none.
    pub(super) fn note(&self) -> Option<&str> {
        self.note.as_deref().filter(|note| !note.trim().is_empty())
    }

    /// Problem with the options of a self-approval.
    fn self_review_problem(&self, to: Lane) -> Option<&'static str> {
        let named = (self.intended_reviewer.is_some(), self.reviewer_failure_reason.is_some());
        match (self.self_review_fallback, named) {
            (false, (false, false)) => None,
            (false, _) => Some("is needed with --intended-reviewer and --reviewer-failure-reason"),
            (true, _) if !matches!(to, Lane::Approved | Lane::Done) => {
                Some("is only for --to approved or done")
            }
            (true, _) if !self.force => Some("needs --force: there is no independent review"),
            (true, (true, true)) => None,
            (true, _) => Some("needs --intended-reviewer and --reviewer-failure-reason"),
        }
    }

    /// Judges the arguments by themselves.
    pub fn check(&self) -> Result<()> {
        let wrong = |name, problem: &str| Err(MissionError::Argument { name, problem: problem.to_owned() });
        if !is_wp_id(&self.wp_id) {
            return wrong("WP", "is not a work package id: WP and two digits, like WP01");
        }
        let to = self.lane()?;
        for (name, value) in [
            ("--agent", &self.agent),
            ("--assignee", &self.assignee),
            ("--model", &self.model),
            ("--profile", &self.profile),
            ("--reviewer", &self.reviewer),
            ("--intended-reviewer", &self.intended_reviewer),
            ("--reviewer-failure-reason", &self.reviewer_failure_reason),
            ("--approval-ref", &self.approval_ref),
            ("--done-override-reason", &self.done_override_reason),
        ] {
            if value.as_ref().is_some_and(|value| value.trim().is_empty() || value.contains(['\n', '\r'])) {
                return wrong(name, "must be one line that is not blank");
            }
        }
        check_tracker_refs(&self.tracker_refs)?;
        if let Some(problem) = self.self_review_problem(to) {
            return wrong("--self-review-fallback", problem);
        }
        if to == Lane::Planned && self.review_feedback_file.is_none() {
            return wrong(
                "--review-feedback-file",
                "is needed to move a work package back to planned, also with --force: write down what has to change",
            );
        }
        if to != Lane::Planned && self.review_feedback_file.is_some() {
            return wrong("--review-feedback-file", "is only for a rejection: use it with --to planned");
        }
        if self.skip_review_artifact_check && self.note().is_none() {
            return wrong("--skip-review-artifact-check", "needs a --note with the reason");
        }
        Ok(())
    }
}

impl Recorded for Moved {
    fn record(&mut self, done: Done) {
        self.new_lane = done.lane(&self.task_id, self.new_lane);
        self.to_lane = self.new_lane;
        self.commit_hash = done.commit;
        self.coordination_commit = done.coordination_commit;
        self.capture = done.capture;
    }

    fn warnings(&mut self) -> &mut Vec<String> {
        &mut self.warnings
    }
}
