//! `agent status emit`: one lane change of one work package.

use super::move_task::read_package;
use super::{Planned, Recorded, shown};
use crate::clock::Clock;
use crate::dialect::Dialect;
use crate::document::{MAX_TEXT, read_text};
use crate::error::{MissionError, Result};
use crate::front_matter::WorkPackage;
use crate::lane::Lane;
use crate::log::{ExecutionMode, LaneRow, Row};
use crate::mission_log::read_mission_log;
use crate::outgoing::CaptureReport;
use crate::planning::read_planning;
use crate::project::{MissionDirectory, Project};
use crate::remedies::ErrorCode;
use crate::snapshot::Snapshot;
use crate::subtask_state::Subtasks;
use crate::tasks::{self, work_package_sections};
use crate::transaction::{Change, Done};
use crate::transition::{Refusal, Review, TransitionFacts, judge_transition};
use crate::work_package::{find_wp_file, is_wp_id};
use serde::Serialize;
use serde_json::{Value, json};

/// Arguments of `agent status emit`.
#[derive(Clone, Debug, Default)]
pub struct EmitRequest {
    /// `--mission`.
    pub mission: Option<String>,
    /// `WPnn`.
    pub wp_id: String,
    /// `--to`: a lane, or `doing`.
    pub to: String,
    /// `--actor`.
    pub actor: String,
    /// `--force`.
    pub force: bool,
    /// `--reason`.
    pub reason: Option<String>,
    /// `--evidence-json`: `{"review": {"reviewer", "verdict", "reference"}, "repos"?, "verification"?}`.
    /// Its review is also the review result that a move out of `in_review` needs.
    pub evidence_json: Option<String>,
    /// `--review-result-json`: `{"reviewer", "verdict", "reference"}` of a move out of `in_review`; without it the review
    /// of the evidence.
    pub review_result_json: Option<String>,
    /// `--review-ref`.
    pub review_ref: Option<String>,
    /// `--workspace-context`.
    pub workspace_context: Option<String>,
    /// `--subtasks-complete`: taken as given, without reading `tasks.md`.
    pub subtasks_complete: bool,
    /// `--implementation-evidence-present`: taken as given, without reading the log.
    pub implementation_evidence_present: bool,
    /// `--execution-mode`: `worktree` (without it) or `direct_repo`.
    pub execution_mode: Option<String>,
}

/// A request whose arguments are right by themselves.
#[derive(Clone, Debug)]
struct Arguments {
    to: Lane,
    evidence: Option<Value>,
    review: Option<Review>,
    review_result: Option<Review>,
    execution_mode: ExecutionMode,
}

/// Report on the move. JSON keys as the reference writes them, `changed` and `capture{}`.
#[derive(Clone, Debug, Serialize)]
pub struct Emitted {
    /// The row's id; of the last earlier move when nothing had to change.
    pub event_id: Option<String>,
    /// `WPnn`.
    pub wp_id: String,
    /// `WPnn` once more.
    pub work_package_id: String,
    /// The lane before.
    pub from_lane: Lane,
    /// The lane now, as the board shows it.
    pub to_lane: Lane,
    /// The log.
    pub status_events_path: String,
    /// Actor of the move.
    pub actor: String,
    /// Whether anything was written; a work package that is already there stays as it is.
    pub changed: bool,
    /// The commit on the coordination branch, when lane rows are kept there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coordination_commit: Option<String>,
    /// Warnings about the log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Captured facts.
    pub capture: CaptureReport,
}

impl EmitRequest {
    /// Judges the arguments by themselves.
    pub fn check(&self) -> Result<()> {
        self.arguments().map(|_| ())
    }

    fn arguments(&self) -> Result<Arguments> {
        let wrong = |name, problem: String| MissionError::Argument { name, problem };
        if !is_wp_id(&self.wp_id) {
            let shown = contract::text::printable(&self.wp_id).into_owned();
            return Err(wrong(
                "WP",
                format!("`{shown}` is not a work package id: WP and two digits, like WP01"),
            ));
        }
        let to = Lane::from_input(&self.to)
            .ok_or_else(|| Refusal::UnknownLane(contract::text::printable(&self.to).into_owned()))?;
        if self.actor.trim().is_empty() {
            return Err(wrong("--actor", "must not be blank".into()));
        }
        let execution_mode = match self.execution_mode.as_deref() {
            None => ExecutionMode::Worktree,
            Some(name) => ExecutionMode::from_name(name)
                .ok_or_else(|| wrong("--execution-mode", "must be worktree or direct_repo".into()))?,
        };
        let (evidence, review) = match self.evidence_json.as_deref().map(evidence) {
            None => (None, None),
            Some(Ok((evidence, review))) => (Some(evidence), Some(review)),
            Some(Err(problem)) => return Err(wrong("--evidence-json", problem)),
        };
        let review_result = match self.review_result_json.as_deref() {
            None => review.clone(),
            Some(text) => {
                let given: Option<Review> = serde_json::from_str(text).ok();
                let complete = given.filter(Review::is_complete).ok_or_else(|| {
                    let problem = "needs reviewer, verdict and reference, each a text that is not blank";
                    wrong("--review-result-json", problem.into())
                })?;
                Some(complete)
            }
        };
        Ok(Arguments { to, evidence, review, review_result, execution_mode })
    }
}

/// Evidence and the review in it.
fn evidence(text: &str) -> Result<(Value, Review), String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
    let review = value.get("review").cloned().unwrap_or_default();
    let review: Review = serde_json::from_value(review)
        .ok()
        .filter(Review::is_complete)
        .ok_or("needs review.reviewer, review.verdict and review.reference, each a text that is not blank")?;
    Ok((value, review))
}

/// Plans the lane change.
pub fn plan(
    project: &Project,
    request: &EmitRequest,
    clock: &Clock,
) -> Result<Planned<EmitRequest, Emitted>> {
    let arguments = request.arguments()?;
    let mission = project.mission(request.mission.as_deref())?;
    let log = read_mission_log(project, &mission)?;
    let snapshot = log.reduced(&mission);
    // Only this move asks whether the subtasks are done.
    let relies = arguments.to == Lane::ForReview && !request.force;
    let tasks_md = if relies {
        read_planning(&mission.path, tasks::FILE)?
    } else {
        read_text(&mission.path.join(tasks::FILE), MAX_TEXT)?
    };
    let tasks_md = tasks_md.unwrap_or_default();
    check_exists(&mission, &snapshot, &tasks_md, &request.wp_id)?;
    let from = snapshot.lane(&request.wp_id);
    let mut outcome = Emitted {
        event_id: None,
        wp_id: request.wp_id.clone(),
        work_package_id: request.wp_id.clone(),
        from_lane: from,
        to_lane: arguments.to,
        status_events_path: shown(log.path()),
        actor: request.actor.clone(),
        changed: false,
        coordination_commit: None,
        warnings: Vec::new(),
        capture: CaptureReport::default(),
    };
    if from == arguments.to && !request.force {
        outcome.event_id =
            snapshot.work_packages.get(&request.wp_id).and_then(|state| state.last_event_id.clone());
        return Ok(Planned { request: request.clone(), change: None, outcome, plan });
    }
    let wp = relies.then(|| read_package(&mission, &request.wp_id)).transpose()?.flatten();
    judge(project, request, &arguments, &snapshot, (wp.as_ref(), &tasks_md))?;
    if let (Some(wp), Dialect::Current) = (&wp, snapshot.dialect()) {
        outcome.warnings.extend(Subtasks::of(&snapshot, &wp.id, Some(wp), &tasks_md).warning(&wp.id));
    }
    let row = lane_row(&mission, request, &arguments, &snapshot, clock);
    outcome.event_id = Some(row.event_id.clone());
    outcome.changed = true;
    let mut change = Change::of(mission, log);
    change.append(vec![Row::Lane(row)])?;
    change.refresh_status()?;
    Ok(Planned { request: request.clone(), change: Some(change), outcome, plan })
}

/// A work package exists when it has a file, a section in `tasks.md` or a row in the log.
pub(crate) fn check_exists(
    mission: &MissionDirectory,
    snapshot: &Snapshot,
    tasks_md: &str,
    wp_id: &str,
) -> Result<()> {
    let known = snapshot.work_packages.contains_key(wp_id)
        || find_wp_file(&mission.path, wp_id)?.is_some()
        || work_package_sections(tasks_md).iter().any(|section| section.wp_id == wp_id);
    if known {
        return Ok(());
    }
    Err(MissionError::invalid(
        ErrorCode::WorkPackageNotFound,
        format!(
            "mission {} has no work package {wp_id}: no file tasks/{wp_id}-*.md, no section in tasks.md, no row in its log",
            mission.slug
        ),
        &json!({ "wp_id": wp_id, "mission_slug": mission.slug }),
    ))
}

fn judge(
    project: &Project,
    request: &EmitRequest,
    arguments: &Arguments,
    snapshot: &Snapshot,
    (wp, tasks_md): (Option<&WorkPackage>, &str),
) -> Result<()> {
    let (wp_id, dialect) = (&request.wp_id, snapshot.dialect());
    let workspace = request.workspace_context.clone().filter(|context| !context.trim().is_empty());
    let workspace =
        workspace.unwrap_or_else(|| format!("{}:{}", arguments.execution_mode.name(), shown(project.root())));
    let with = TransitionFacts {
        actor: &request.actor,
        force: request.force,
        reason: request.reason.as_deref(),
        evidence: arguments.review.as_ref().filter(|_| is_approval(arguments.to) || dialect == Dialect::Rc11),
        review_result: arguments.review_result.as_ref(),
        workspace: Some(&workspace),
        subtasks_complete: request.subtasks_complete || Subtasks::are_complete(snapshot, wp_id, wp, tasks_md),
        implementation_evidence: request.implementation_evidence_present
            || snapshot.work_packages.get(wp_id).is_some_and(|state| state.last_event_id.is_some()),
        review_ref: request.review_ref.as_deref(),
        dialect,
    };
    Ok(judge_transition(snapshot.lane(wp_id), arguments.to, &with)?)
}

/// Whether a move to this lane carries the evidence of an approval.
const fn is_approval(to: Lane) -> bool {
    matches!(to, Lane::Approved | Lane::Done)
}

fn lane_row(
    mission: &MissionDirectory,
    request: &EmitRequest,
    arguments: &Arguments,
    snapshot: &Snapshot,
    clock: &Clock,
) -> LaneRow {
    let from = snapshot.lane(&request.wp_id);
    let is_current = snapshot.dialect() == Dialect::Current;
    let review_result = arguments.review_result.as_ref().filter(|_| is_current && from == Lane::InReview);
    let keeps_evidence = !is_current || is_approval(arguments.to);
    let has_reason = request.reason.as_deref().is_some_and(|reason| !reason.trim().is_empty());
    let is_canceled = is_current && arguments.to == Lane::Canceled && has_reason;
    LaneRow {
        event_id: clock.ulid(),
        mission_slug: mission.slug.clone(),
        mission_id: mission.mission_id().map(str::to_owned),
        wp_id: request.wp_id.clone(),
        from_lane: from,
        to_lane: arguments.to,
        at: clock.now().iso(),
        actor: request.actor.clone(),
        force: request.force,
        execution_mode: arguments.execution_mode.name().to_owned(),
        reason: request.reason.clone(),
        reason_source: is_canceled.then(|| "operator".to_owned()),
        review_ref: request.review_ref.clone(),
        review_result: review_result.map(|review| json!(review)),
        evidence: arguments.evidence.clone().filter(|_| keeps_evidence),
        policy_metadata: None,
    }
}

impl Recorded for Emitted {
    fn record(&mut self, done: Done) {
        self.to_lane = done.lane(&self.wp_id, self.to_lane);
        self.coordination_commit = done.coordination_commit;
        self.capture = done.capture;
    }

    fn warnings(&mut self) -> &mut Vec<String> {
        &mut self.warnings
    }
}
