//! The rows a move leaves in the log, and the review cycle of a rejection.

use super::{MoveTaskRequest, Situation};
use crate::activity::{cycle_directory, cycle_file, newest_number, render_cycle};
use crate::clock::Clock;
use crate::dialect::Dialect;
use crate::document::{MAX_TEXT, read_names, read_text_named};
use crate::error::{MissionError, Result};
use crate::git::user_name;
use crate::lane::Lane;
use crate::log::{ExecutionMode, FactKind, FactRow, LaneRow};
use crate::mission_log::MissionLog;
use crate::project::Project;
use crate::remedies::ErrorCode;
use crate::transition::{Refusal, Review, TransitionFacts, judge_transition};
use serde_json::{Map, Value, json};

/// The review cycle of a rejection.
pub(super) struct ReviewRejection {
    pub(super) number: u32,
    /// Its path in the mission.
    pub(super) name: String,
    pub(super) text: String,
}

/// The review cycle of the request, when it is a rejection. It is kept beside the lane rows.
pub(super) fn rejection(
    project: &Project,
    request: &MoveTaskRequest,
    situation: &Situation,
    log: &MissionLog,
) -> Result<Option<ReviewRejection>> {
    let Some(path) = request.review_feedback_file.as_ref() else { return Ok(None) };
    let feedback = read_text_named(path, MAX_TEXT)?.unwrap_or_default();
    if feedback.trim().is_empty() {
        return Err(MissionError::Argument {
            name: "--review-feedback-file",
            problem: format!("{} does not exist or is empty", contract::text::path(path)),
        });
    }
    if situation.to != Lane::Planned {
        return Ok(None);
    }
    let wp = &situation.wp;
    let stem = wp.path.file_stem().unwrap_or_default().to_string_lossy();
    let directory = format!("tasks/{stem}");
    // Releases that keep it beside the lane rows left earlier ones in the checkout.
    let mut names = read_names(&cycle_directory(&wp.path))?;
    names.extend(log.names_beside(project, &situation.mission, &directory)?);
    let number = newest_number(&names).map_or(1, |newest| newest.saturating_add(1));
    let name = format!("{directory}/{}", cycle_file(number));
    let at = situation.now.seconds_z();
    let text = render_cycle(number, &situation.mission.slug, &wp.id, &situation.actor, &at, &feedback);
    Ok(Some(ReviewRejection { number, name, text }))
}

/// The lanes to pass, the last one included.
fn way(from: Lane, to: Lane, forced: bool) -> Vec<Lane> {
    let start = if from == Lane::Blocked { Some(1) } else { from.progress() };
    match (start, to.progress()) {
        (Some(here), Some(there)) if here < there && !forced => Lane::ALL
            .into_iter()
            .filter(|lane| lane.progress().is_some_and(|at| here < at && at <= there))
            .collect(),
        _ => vec![to],
    }
}

pub(super) fn rows(
    project: &Project,
    request: &MoveTaskRequest,
    situation: &Situation,
    pointer: Option<&str>,
    clock: &Clock,
) -> Result<Vec<LaneRow>> {
    let Situation { mission, wp, from, to, actor, now, snapshot } = situation;
    let is_current = snapshot.dialect() == Dialect::Current;
    let rewind = from.is_backward_to(*to);
    let force = request.force || rewind;
    let reason = reason(request, situation, rewind, pointer);
    let review = review(project, request, situation)?;
    let mut rows: Vec<LaneRow> = Vec::new();
    let mut here = *from;
    for (next, n) in way(*from, *to, force).into_iter().zip(0_i64..) {
        let needs_evidence = matches!(next, Lane::Approved | Lane::Done);
        let result = review_result(&review, here, next, pointer);
        let with = TransitionFacts {
            actor,
            force,
            reason: Some(&reason),
            evidence: Some(&review).filter(|_| needs_evidence),
            review_result: result.as_ref(),
            workspace: Some("worktree"),
            // Checked before, with the names of those that are open.
            subtasks_complete: true,
            implementation_evidence: true,
            review_ref: pointer,
            dialect: snapshot.dialect(),
        };
        judge_transition(here, next, &with).map_err(|refusal| refused(refusal, &situation.wp.id))?;
        rows.push(LaneRow {
            event_id: clock.ulid(),
            mission_slug: mission.slug.clone(),
            mission_id: mission.mission_id().map(str::to_owned),
            wp_id: wp.id.clone(),
            from_lane: here,
            to_lane: next,
            at: now.plus_micros(n).iso(),
            actor: actor.clone(),
            force,
            execution_mode: ExecutionMode::Worktree.name().to_owned(),
            reason: Some(reason.clone()),
            reason_source: (is_current && next == Lane::Canceled && request.note().is_some())
                .then(|| "operator".to_owned()),
            review_result: result.filter(|_| is_current).map(|result| json!(result)),
            review_ref: pointer.map(str::to_owned),
            evidence: needs_evidence.then(|| json!({ "review": review })),
            policy_metadata: None,
        });
        here = next;
    }
    Ok(rows)
}

/// The self-approval fact, when requested and not yet in the log.
pub(super) fn self_approval(
    request: &MoveTaskRequest,
    situation: &Situation,
    log: &MissionLog,
    clock: &Clock,
) -> Option<FactRow> {
    let Situation { mission, wp, actor, now, .. } = situation;
    if !request.self_review_fallback {
        return None;
    }
    let text = |value: &Option<String>| value.as_deref().unwrap_or_default().trim().to_owned();
    let known = [
        ("mission_slug", mission.slug.clone()),
        ("wp_id", wp.id.clone()),
        ("implementing_actor", actor.clone()),
        ("intended_reviewer", text(&request.intended_reviewer)),
        ("failure_reason", text(&request.reviewer_failure_reason)),
    ];
    let is_same = |row: &&FactRow| known.iter().all(|(key, value)| row.text(key) == Some(value));
    let kind = FactKind::ReviewerSelfApproval;
    if log.facts().filter(|row| row.kind == kind).any(|row| is_same(&row)) {
        return None;
    }
    let mut payload: Map<String, Value> =
        known.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    payload.insert("fallback_approved".into(), true.into());
    payload.insert("timestamp".into(), now.iso().into());
    Some(FactRow {
        event_id: clock.ulid(),
        kind,
        aggregate_id: wp.id.clone(),
        timestamp: now.iso(),
        payload,
        project: None,
    })
}

/// A refusal in the words of this command, which moves through the lanes between and makes its own reason.
fn refused(refusal: Refusal, wp_id: &str) -> MissionError {
    match refusal {
        Refusal::Pair { .. } => MissionError::invalid(
            ErrorCode::IllegalTransition,
            refusal.to_string(),
            &json!({ "wp_id": wp_id }),
        ),
        other => other.into(),
    }
}

/// Result of the review of a move out of `in_review`: the approval, or the verdict that the target lane implies.
fn review_result(approval: &Review, from: Lane, to: Lane, pointer: Option<&str>) -> Option<Review> {
    if from != Lane::InReview {
        return None;
    }
    let verdict = match to {
        Lane::Approved | Lane::Done => return Some(approval.clone()),
        Lane::Planned | Lane::InProgress => "changes_requested",
        other => other.name(),
    };
    let reference = pointer.unwrap_or(&approval.reference).to_owned();
    Some(Review { verdict: verdict.to_owned(), reference, reviewer: approval.reviewer.clone() })
}

/// Reason of the row. In a current mission the note alone is the reason of a forward move.
fn reason(request: &MoveTaskRequest, situation: &Situation, rewind: bool, pointer: Option<&str>) -> String {
    let Situation { from, to, snapshot, .. } = situation;
    if let (Dialect::Current, false, None, Some(note)) =
        (snapshot.dialect(), rewind, &request.done_override_reason, request.note())
    {
        return note.trim().to_owned();
    }
    let kind = if rewind { "backward rewind" } else { "move-task" };
    let details = [pointer, request.note(), request.done_override_reason.as_deref()];
    let details: String =
        details.into_iter().flatten().map(|detail| format!(": {}", detail.trim())).collect();
    format!("{kind}: {from} -> {to}{details}")
}

/// The evidence of an approval.
fn review(project: &Project, request: &MoveTaskRequest, situation: &Situation) -> Result<Review> {
    let reviewer = match &request.reviewer {
        Some(reviewer) => reviewer.clone(),
        None if matches!(situation.to, Lane::Approved | Lane::Done) => {
            user_name(project)?.unwrap_or_else(|| situation.actor.clone())
        }
        None => situation.actor.clone(),
    };
    let note = request.note().map(str::trim);
    let reference = match (&request.approval_ref, note) {
        (Some(reference), _) => reference.clone(),
        (None, Some(note)) => note.to_owned(),
        (None, None) => format!("auto-approval:{}:{}", situation.wp.id, situation.now.date()),
    };
    Ok(Review { reviewer, verdict: "approved".to_owned(), reference })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forward_move_passes_every_lane_and_forced_one_skips() {
        let names = |lanes: Vec<Lane>| lanes.into_iter().map(Lane::name).collect::<Vec<_>>().join(" ");
        assert_eq!(names(way(Lane::Planned, Lane::InProgress, false)), "claimed in_progress");
        assert_eq!(names(way(Lane::InProgress, Lane::Done, false)), "for_review in_review approved done");
        assert_eq!(names(way(Lane::InProgress, Lane::Done, true)), "done");
        assert_eq!(names(way(Lane::InReview, Lane::Planned, true)), "planned");
        assert_eq!(names(way(Lane::Blocked, Lane::ForReview, false)), "in_progress for_review");
        assert_eq!(names(way(Lane::Claimed, Lane::Blocked, false)), "blocked");
    }
}
