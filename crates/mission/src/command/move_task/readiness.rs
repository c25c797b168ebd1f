//! Readiness: the reasons against a move.

use super::{MoveTaskRequest, Situation};
use crate::activity::{newest_cycle, read_verdict};
use crate::allocation;
use crate::dialect::Dialect;
use crate::document::{MAX_JSON, read_text};
use crate::error::{MissionError, Result};
use crate::front_matter::WorkPackage;
use crate::git::{branch_is_merged, user_name};
use crate::lane::Lane;
use crate::planning::read_planning;
use crate::project::{MissionDirectory, Project};
use crate::remedies::ErrorCode;
use crate::snapshot::Snapshot;
use crate::subtask_state::Subtasks;
use crate::tasks;
use serde_json::json;

/// Actor of the move: the agent given, else the work package's own. Another agent's work takes force.
///
/// In a current mission the log has the agent, and the file is not looked at.
pub(super) fn actor(
    project: &Project,
    request: &MoveTaskRequest,
    wp: &WorkPackage,
    snapshot: &Snapshot,
) -> Result<String> {
    let assigned = match snapshot.dialect() {
        Dialect::Rc11 => wp.agent.as_deref(),
        Dialect::Current => snapshot.slot(&wp.id, "agent").and_then(serde_json::Value::as_str),
    };
    let assigned = assigned.map(str::trim).filter(|agent| !agent.is_empty());
    match (request.agent.as_deref(), assigned) {
        (Some(agent), Some(assigned)) if agent != assigned && !request.force => Err(MissionError::invalid(
            ErrorCode::AgentMismatch,
            format!("{} is assigned to `{assigned}`, not `{agent}`", wp.id),
            &json!({ "wp_id": wp.id, "assigned": assigned, "agent": agent }),
        )),
        (Some(agent), _) => Ok(agent.to_owned()),
        (None, Some(assigned)) => Ok(assigned.to_owned()),
        (None, None) => Ok(user_name(project)?.unwrap_or_else(|| "user".to_owned())),
    }
}

/// Refuses a move to a lane that the work package is not ready for; returns warnings about it.
pub(super) fn check_ready(
    project: &Project,
    request: &MoveTaskRequest,
    situation: &Situation,
) -> Result<Option<String>> {
    let Situation { mission, wp, to, snapshot, .. } = situation;
    let mut warning = None;
    let refuse =
        |code, problem: String| Err(MissionError::invalid(code, problem, &json!({ "wp_id": wp.id })));
    // In a current mission the row that leaves `in_review` is the newer review, and its review cycle has no verdict.
    if matches!(to, Lane::Approved | Lane::Done)
        && snapshot.dialect() == Dialect::Rc11
        && !request.skip_review_artifact_check
        && let Some(cycle) = newest_cycle(&wp.path)?
        && read_verdict(&cycle)? == "rejected"
    {
        let (review, id) = (contract::text::path(&cycle.path), &wp.id);
        return refuse(ErrorCode::ReviewRejected, format!("the newest review, {review}, rejects {id}"));
    }
    if matches!(to, Lane::ForReview | Lane::Approved | Lane::Done) && !request.force {
        let tasks_md = read_planning(&mission.path, tasks::FILE)?.unwrap_or_default();
        let subtasks = Subtasks::of(snapshot, &wp.id, Some(wp), &tasks_md);
        if !subtasks.open.is_empty() {
            return refuse(
                ErrorCode::SubtasksUnchecked,
                format!("{} has unchecked subtasks: {}", wp.id, subtasks.describe()),
            );
        }
        warning = subtasks.warning(&wp.id);
    }
    if *to == Lane::Done
        && request.done_override_reason.is_none()
        && let Some(branch) = unmerged_branch(project, mission, &wp.id)?
    {
        return refuse(
            ErrorCode::LaneNotMerged,
            format!("{} is done on {branch}, which is not merged", wp.id),
        );
    }
    Ok(warning)
}

/// The branch of the work package's lane, when it exists and is not merged into the target.
fn unmerged_branch(project: &Project, mission: &MissionDirectory, wp_id: &str) -> Result<Option<String>> {
    let text = read_text(&mission.path.join(allocation::FILE), MAX_JSON)?.unwrap_or_default();
    let lanes: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let lane = lanes["lanes"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|lane| lane["wp_ids"].as_array().into_iter().flatten().any(|id| id == wp_id));
    let Some(lane_id) = lane.and_then(|lane| lane["lane_id"].as_str()) else { return Ok(None) };
    if lane_id == allocation::PLANNING_LANE {
        return Ok(None);
    }
    let target = lanes["target_branch"].as_str().unwrap_or_else(|| mission.target_branch(project));
    let branch = allocation::branch_of(lane_id, &mission.slug, mission.mission_id(), target);
    Ok(branch_is_merged(project, &branch, target)?.and_then(|merged| (!merged).then_some(branch)))
}
