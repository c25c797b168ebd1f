//! `agent tasks move-task`: moves a work package to a lane, by every lane between, and notes it in its
//! file.
//!
//! Backward moves are rewinds: the command forces them and gives the reason. A move to `planned` is a
//! review rejection and always needs the reviewer's feedback; the feedback becomes a review cycle.

use super::{Planned, Recorded, shown};
use crate::activity::{
    Entry, ReviewCycle, cycle_directory, cycle_pointer, newest_cycle, read_verdict, render_cycle, with_entry,
};
use crate::allocation;
use crate::change::{Change, Done};
use crate::clock::{Clock, Moment};
use crate::document::{MAX_JSON, MAX_TEXT, read_text};
use crate::error::{MissionError, Result};
use crate::front_matter::{Scalar, WorkPackage, edit, read_work_package};
use crate::git::{branch_is_merged, user_name};
use crate::lane::Lane;
use crate::log::{ExecutionMode, LaneRow, Row, read_log};
use crate::outgoing::CaptureReport;
use crate::project::{MissionDirectory, Project};
use crate::snapshot::{self, reduce};
use crate::tasks::{self, unchecked_subtasks};
use crate::transition::{Circumstances, Refusal, Review, judge_transition};
use crate::work_package::{find_wp_file, is_wp_id};
use serde::Serialize;
use serde_json::json;
use std::path::PathBuf;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Request {
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
    /// `--note`.
    pub note: Option<String>,
    /// `--review-feedback-file`.
    pub review_feedback_file: Option<PathBuf>,
    /// `--approval-ref`: where the approval is written down.
    pub approval_ref: Option<String>,
    /// `--reviewer`; `user.name` without it.
    pub reviewer: Option<String>,
    /// `--done-override-reason`: done although its lane is not merged.
    pub done_override_reason: Option<String>,
    /// `--force`.
    pub force: bool,
    /// `--skip-review-artifact-check`, with a note.
    pub skip_review_artifact_check: bool,
    /// `--no-auto-commit`.
    pub no_commit: bool,
}

/// Everything that will be written, validated.
pub type Plan = Planned<Request, Moved>;

/// What was moved. JSON keys as the reference writes them, and ours.
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
    /// The commit.
    pub commit_hash: Option<String>,
    /// What was captured.
    pub capture: CaptureReport,
}

impl Request {
    fn lane(&self) -> Result<Lane> {
        Ok(Lane::typed(&self.to)
            .ok_or_else(|| Refusal::UnknownLane(contract::text::printable(&self.to).into_owned()))?)
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
            ("--reviewer", &self.reviewer),
            ("--approval-ref", &self.approval_ref),
            ("--done-override-reason", &self.done_override_reason),
        ] {
            if value.as_ref().is_some_and(|value| value.trim().is_empty() || value.contains(['\n', '\r'])) {
                return wrong(name, "must be one line that is not blank");
            }
        }
        if to == Lane::Planned && self.review_feedback_file.is_none() {
            return wrong(
                "--review-feedback-file",
                "is needed to move a work package back to planned, also with --force: write down what has to change",
            );
        }
        if self.skip_review_artifact_check && self.note.as_deref().is_none_or(|note| note.trim().is_empty()) {
            return wrong("--skip-review-artifact-check", "needs a --note that says why");
        }
        Ok(())
    }
}

/// What the mission says about the work package.
struct Situation {
    mission: MissionDirectory,
    wp: WorkPackage,
    from: Lane,
    to: Lane,
    actor: String,
    now: Moment,
}

/// Plans the move.
pub fn plan(project: &Project, request: &Request, clock: &Clock) -> Result<Plan> {
    request.check()?;
    let to = request.lane()?;
    let mission = project.mission(request.mission.as_deref())?;
    project.branch()?;
    let wp = find_package(&mission, &request.wp_id)?;
    let log = read_log(&mission.path)?;
    let snapshot = reduce(log.lane_rows());
    let Some(state) = snapshot.work_packages.get(&request.wp_id) else {
        return Err(MissionError::invalid(
            "WORK_PACKAGE_NOT_FINAL",
            format!(
                "{} has no row in the log yet: run `spec-kitty agent mission finalize-tasks` first",
                request.wp_id
            ),
            &json!({ "wp_id": request.wp_id }),
        ));
    };
    let (from, last_event) = (state.lane, state.last_event_id.clone());
    let actor = actor(project, request, &wp)?;
    let mut moved = Moved {
        result: "success",
        task_id: request.wp_id.clone(),
        old_lane: from,
        new_lane: to,
        path: shown(&wp.path),
        event_id: None,
        work_package_id: request.wp_id.clone(),
        to_lane: to,
        status_events_path: shown(log.path()),
        review_feedback: None,
        changed: false,
        commit_hash: None,
        capture: CaptureReport::default(),
    };
    if from == to && !request.force {
        moved.event_id = Some(last_event);
        return Ok(Planned { request: request.clone(), change: None, outcome: moved, plan });
    }
    let situation = Situation { mission, wp, from, to, actor, now: clock.now() };
    check_ready(project, request, &situation)?;
    let cycle = rejection(request, &situation)?;
    let pointer =
        cycle.as_ref().map(|(cycle, _)| cycle_pointer(&situation.mission.slug, cycle, &situation.wp.path));
    let rows = rows(project, request, &situation, pointer.as_deref(), clock)?;
    moved.event_id = rows.last().map(|row| row.event_id.clone());
    moved.review_feedback = pointer;
    moved.changed = true;
    let text = noted(request, &situation)?;
    let wp_path = situation.wp.path.clone();
    let message = commit_message(request, &situation);
    let mut change = Change::of(situation.mission, log);
    change.rows = rows.into_iter().map(Row::Lane).collect();
    change.files.insert(wp_path.clone(), text.into_bytes());
    let mut commit = vec![wp_path];
    if let Some((cycle, text)) = cycle {
        commit.push(cycle.path.clone());
        change.files.insert(cycle.path, text.into_bytes());
    }
    change.refresh_status()?;
    if !request.no_commit && auto_commit(project)? {
        let files =
            [crate::log::FILE, snapshot::FILE, tasks::FILE].map(|name| change.mission.path.join(name));
        commit.extend(files.into_iter().filter(|path| !path.ends_with(tasks::FILE) || path.is_file()));
        change.commit = Some((commit, message));
    }
    Ok(Planned { request: request.clone(), change: Some(change), outcome: moved, plan })
}

/// The file of a work package.
pub(crate) fn find_package(mission: &MissionDirectory, wp_id: &str) -> Result<WorkPackage> {
    let path = find_wp_file(&mission.path, wp_id)?;
    let wp = path.map(|path| read_work_package(&path)).transpose()?.flatten();
    wp.ok_or_else(|| {
        MissionError::invalid(
            "WORK_PACKAGE_NOT_FOUND",
            format!("mission {} has no file tasks/{wp_id}-*.md", mission.slug),
            &json!({ "wp_id": wp_id, "mission_slug": mission.slug }),
        )
    })
}

/// Who acts: the agent given, else the work package's own. Somebody else's work takes force.
fn actor(project: &Project, request: &Request, wp: &WorkPackage) -> Result<String> {
    let assigned = wp.agent.as_deref().map(str::trim).filter(|agent| !agent.is_empty());
    match (request.agent.as_deref(), assigned) {
        (Some(agent), Some(assigned)) if agent != assigned && !request.force => Err(MissionError::invalid(
            "AGENT_MISMATCH",
            format!("{} is assigned to `{assigned}`, not `{agent}`; --force takes it over", wp.id),
            &json!({ "wp_id": wp.id, "assigned": assigned, "agent": agent }),
        )),
        (Some(agent), _) => Ok(agent.to_owned()),
        (None, Some(assigned)) => Ok(assigned.to_owned()),
        (None, None) => Ok(user_name(project)?.unwrap_or_else(|| "user".to_owned())),
    }
}

/// What stands in the way of the lane.
fn check_ready(project: &Project, request: &Request, situation: &Situation) -> Result<()> {
    let Situation { mission, wp, to, .. } = situation;
    let refuse =
        |code, problem: String| Err(MissionError::invalid(code, problem, &json!({ "wp_id": wp.id })));
    if matches!(to, Lane::Approved | Lane::Done) && !request.skip_review_artifact_check {
        if let Some(cycle) = newest_cycle(&wp.path)? {
            let verdict = read_verdict(&cycle)?;
            if verdict == "rejected" {
                return refuse(
                    "REVIEW_REJECTED",
                    format!(
                        "the newest review, {}, rejects {}; review again first, or pass --skip-review-artifact-check with --note",
                        contract::text::path(&cycle.path),
                        wp.id
                    ),
                );
            }
        }
    }
    if matches!(to, Lane::ForReview | Lane::Approved | Lane::Done) && !request.force {
        let tasks_md = read_text(&mission.path.join(tasks::FILE), MAX_TEXT)?.unwrap_or_default();
        let open = unchecked_subtasks(&tasks_md, &wp.id);
        if !open.is_empty() {
            return refuse(
                "SUBTASKS_UNCHECKED",
                format!(
                    "{} has unchecked subtasks: {}; check them with mark-status, or --force",
                    wp.id,
                    open.join(", ")
                ),
            );
        }
    }
    if *to == Lane::Done && request.done_override_reason.is_none() {
        if let Some(branch) = unmerged_branch(project, mission, &wp.id)? {
            return refuse(
                "LANE_NOT_MERGED",
                format!(
                    "{} is done on {branch}, which is not merged; merge it, or say why in --done-override-reason",
                    wp.id
                ),
            );
        }
    }
    Ok(())
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
    let target = lanes["target_branch"].as_str().unwrap_or_else(|| project.branch_or_main());
    let branch = allocation::branch_of(lane_id, &mission.slug, mission.mission_id(), target);
    Ok(branch_is_merged(project, &branch, target)?.and_then(|merged| (!merged).then_some(branch)))
}

/// The review cycle of a rejection, with its text.
fn rejection(request: &Request, situation: &Situation) -> Result<Option<(ReviewCycle, String)>> {
    let Some(path) = request.review_feedback_file.as_ref() else { return Ok(None) };
    let feedback = read_text(path, MAX_TEXT)?.unwrap_or_default();
    if feedback.trim().is_empty() {
        return Err(MissionError::Argument {
            name: "--review-feedback-file",
            problem: format!("{} does not exist or says nothing", contract::text::path(path)),
        });
    }
    if situation.to != Lane::Planned {
        return Ok(None);
    }
    let wp = &situation.wp;
    let number = newest_cycle(&wp.path)?.map_or(1, |cycle| cycle.number.saturating_add(1));
    let path = cycle_directory(&wp.path).join(format!("review-cycle-{number}.md"));
    let at = situation.now.seconds_z();
    let text = render_cycle(number, &situation.mission.slug, &wp.id, &situation.actor, &at, &feedback);
    Ok(Some((ReviewCycle { number, path }, text)))
}

/// The lanes to go through, the last one included.
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

fn rows(
    project: &Project,
    request: &Request,
    situation: &Situation,
    pointer: Option<&str>,
    clock: &Clock,
) -> Result<Vec<LaneRow>> {
    let Situation { mission, wp, from, to, actor, now } = situation;
    let rewind = from.is_backward_to(*to);
    let force = request.force || rewind;
    let reason = reason(request, situation, rewind, pointer);
    let review = review(project, request, situation)?;
    let mut rows: Vec<LaneRow> = Vec::new();
    let mut here = *from;
    for (next, n) in way(*from, *to, force).into_iter().zip(0_i64..) {
        let needs_evidence = matches!(next, Lane::Approved | Lane::Done);
        let with = Circumstances {
            actor,
            force,
            reason: Some(&reason),
            review_ref: pointer,
            evidence: Some(&review).filter(|_| needs_evidence),
            review_result: Some(&review),
            workspace: Some("worktree"),
            // Checked before, with the names of those that are open.
            subtasks_complete: true,
            implementation_evidence: true,
            current_actor: None,
        };
        judge_transition(here, next, &with)?;
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
            review_ref: pointer.map(str::to_owned),
            evidence: needs_evidence.then(|| json!({ "review": review })),
            policy_metadata: None,
        });
        here = next;
    }
    Ok(rows)
}

fn reason(request: &Request, situation: &Situation, rewind: bool, pointer: Option<&str>) -> String {
    let Situation { from, to, .. } = situation;
    let kind = if rewind { "backward rewind" } else { "move-task" };
    let details = [pointer, request.note.as_deref(), request.done_override_reason.as_deref()];
    let details: String =
        details.into_iter().flatten().map(|detail| format!(": {}", detail.trim())).collect();
    format!("{kind}: {from} -> {to}{details}")
}

/// The evidence of an approval.
fn review(project: &Project, request: &Request, situation: &Situation) -> Result<Review> {
    let reviewer = match &request.reviewer {
        Some(reviewer) => reviewer.clone(),
        None if matches!(situation.to, Lane::Approved | Lane::Done) => {
            user_name(project)?.unwrap_or_else(|| situation.actor.clone())
        }
        None => situation.actor.clone(),
    };
    let note = request.note.as_deref().map(str::trim).filter(|note| !note.is_empty());
    let reference = match (&request.approval_ref, note) {
        (Some(reference), _) => reference.clone(),
        (None, Some(note)) => note.to_owned(),
        (None, None) => format!("auto-approval:{}:{}", situation.wp.id, situation.now.date()),
    };
    Ok(Review { reviewer, verdict: "approved".to_owned(), reference })
}

/// The work package's file with who has it now, and a line in its activity log.
fn noted(request: &Request, situation: &Situation) -> Result<String> {
    let mut changes = Vec::new();
    let mut set = |key, value: Option<String>| changes.extend(value.map(|value| (key, Scalar::Text(value))));
    set("assignee", request.assignee.clone());
    set("agent", request.agent.clone());
    set("shell_pid", request.shell_pid.map(|pid| pid.to_string()));
    let text = edit(&situation.wp, &changes)?;
    let note = request.note.clone().unwrap_or_else(|| format!("Moved to {}", situation.to));
    let at = situation.now.seconds_z();
    let entry = Entry { at: &at, actor: &situation.actor, shell_pid: request.shell_pid, note: &note };
    Ok(with_entry(&text, &entry))
}

fn commit_message(request: &Request, situation: &Situation) -> String {
    let spec = situation.mission.slug.split('-').next().unwrap_or_default();
    let agent = request.agent.as_ref().map(|agent| format!(" [{agent}]")).unwrap_or_default();
    format!("chore: Move {} to {} on spec {spec}{agent}", situation.wp.id, situation.to)
}

/// `agents.auto_commit` of the project's config; on without it.
pub(crate) fn auto_commit(project: &Project) -> Result<bool> {
    let path = identity::project::config_file(project.root());
    let Some(text) = read_text(&path, MAX_JSON)? else { return Ok(true) };
    let map = crate::front_matter::reader::parse_yaml(&text)
        .map_err(|problem| MissionError::malformed(&path, problem.replace("front matter", "the file")))?;
    Ok(map
        .get("agents")
        .and_then(|agents| agents.get("auto_commit"))
        .and_then(serde_json::Value::as_bool)
        .unwrap_or(true))
}

impl Recorded for Moved {
    fn record(&mut self, done: Done) {
        self.commit_hash = done.commit;
        self.capture = done.capture;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forward_move_goes_by_every_lane_and_a_forced_one_directly() {
        let names = |lanes: Vec<Lane>| lanes.into_iter().map(Lane::name).collect::<Vec<_>>().join(" ");
        assert_eq!(names(way(Lane::Planned, Lane::InProgress, false)), "claimed in_progress");
        assert_eq!(names(way(Lane::InProgress, Lane::Done, false)), "for_review in_review approved done");
        assert_eq!(names(way(Lane::InProgress, Lane::Done, true)), "done");
        assert_eq!(names(way(Lane::InReview, Lane::Planned, true)), "planned");
        assert_eq!(names(way(Lane::Blocked, Lane::ForReview, false)), "in_progress for_review");
        assert_eq!(names(way(Lane::Claimed, Lane::Blocked, false)), "blocked");
    }
}
