//! `agent tasks move-task`: moves a work package to a lane, by every lane between, and notes it in its
//! file.
//!
//! Backward moves are rewinds: the command forces them and gives the reason. A move to `planned` is a
//! review rejection and always needs the reviewer's feedback; the feedback becomes a review cycle.

mod annotation;
mod dispatch;
mod readiness;
mod request;
mod rows;

pub use request::{MoveTaskRequest, Moved};

use self::readiness::{actor, check_ready};
use self::rows::{rejection, rows};
use super::map_requirements::tracker_change;
use super::{Planned, shown};
use crate::activity::{ActivityEntry, cycle_pointer, with_entry};
use crate::clock::{Clock, Moment};
use crate::dialect::Dialect;
use crate::document::{MAX_JSON, MAX_TEXT, read_text, read_text_anywhere};
use crate::error::{MissionError, Result};
use crate::front_matter::{Scalar, WorkPackage, edit};
use crate::git::check_may_commit;
use crate::lane::Lane;
use crate::log::{FILE, Row};
use crate::mission_log::read_mission_log;
use crate::outgoing::CaptureReport;
use crate::project::{MissionDirectory, Project};
use crate::remedies::ErrorCode;
use crate::snapshot::Snapshot;
use crate::transaction::Change;
use crate::work_package::find_wp_file;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The mission's state of the work package.
struct Situation {
    mission: MissionDirectory,
    wp: WorkPackage,
    snapshot: Snapshot,
    from: Lane,
    to: Lane,
    actor: String,
    now: Moment,
}

/// Plans the move.
pub fn plan(
    project: &Project,
    request: &MoveTaskRequest,
    clock: &Clock,
) -> Result<Planned<MoveTaskRequest, Moved>> {
    request.check()?;
    let to = request.lane()?;
    let commits = request.commit.map_or_else(|| auto_commit(project), Ok)?;
    if commits {
        check_may_commit(project)?;
    }
    let mission = project.mission(request.mission.as_deref())?;
    let wp = find_package(&mission, &request.wp_id)?;
    let dispatched = dispatch::dispatched(project, request, &mission, to)?;
    let request = &*dispatched;
    let log = read_mission_log(project, &mission)?;
    let snapshot = log.reduced(&mission);
    let moved = snapshot.work_packages.get(&request.wp_id).filter(|state| state.last_event_id.is_some());
    let Some(state) = moved else {
        return Err(MissionError::invalid(
            ErrorCode::WorkPackageNotFinal,
            format!("{} has no row in the log of mission {} yet", request.wp_id, mission.slug),
            &json!({ "wp_id": request.wp_id }),
        ));
    };
    let (from, last_event) = (state.lane, state.last_event_id.clone());
    let actor = actor(project, request, &wp, &snapshot)?;
    let mut moved = unmoved(request, from, to, &wp, log.path());
    moved.warnings.extend(unplaced(request, &snapshot));
    if from == to && !request.force {
        moved.event_id = last_event;
        let situation = Situation { mission, wp, snapshot, from, to, actor, now: clock.now() };
        let change = annotation::annotate(project, request, situation, log, clock)?;
        moved.changed = change.is_some();
        return Ok(Planned { request: request.clone(), change, outcome: moved, plan });
    }
    let situation = Situation { mission, wp, snapshot, from, to, actor, now: clock.now() };
    moved.warnings.extend(check_ready(project, request, &situation)?);
    let cycle = rejection(project, request, &situation, &log)?;
    let pointer =
        cycle.as_ref().map(|cycle| cycle_pointer(&situation.mission.slug, cycle.number, &situation.wp.path));
    let rows = rows(project, request, &situation, pointer.as_deref(), clock)?;
    moved.event_id = rows.last().map(|row| row.event_id.clone());
    moved.review_feedback = pointer;
    moved.changed = true;
    let message = commit_message(request, &situation);
    let mut rows: Vec<Row> = rows.into_iter().map(Row::Lane).collect();
    let self_approval = rows::self_approval(request, &situation, &log, clock);
    // Assignment and notes are in the log of a current mission, and in the file of an earlier one.
    let (mut files, mut commit) = (Vec::new(), Vec::new());
    match situation.snapshot.dialect() {
        Dialect::Rc11 => {
            commit.push(situation.wp.path.clone());
            files.push((situation.wp.path.clone(), noted(request, &situation)?));
        }
        Dialect::Current => rows.extend(annotation::row(request, &situation, clock).map(Row::Annotation)),
    }
    let mut change = Change::of(situation.mission, log);
    if self_approval.is_some() && !change.log.is_in_checkout() {
        commit.push(change.mission.path.join(FILE));
    }
    rows.extend(self_approval.map(Row::Fact));
    change.append(rows)?;
    change.files.extend(files.into_iter().map(|(path, text)| (path, text.into_bytes())));
    if let Some(cycle) = cycle {
        if change.log.is_in_checkout() {
            commit.push(change.mission.path.join(&cycle.name));
        }
        change.put_beside(&cycle.name, cycle.text.into_bytes());
    }
    change.refresh_status()?;
    if commits {
        commit.extend(change.state_files()?);
        change.commit = Some((commit, message));
    }
    Ok(Planned { request: request.clone(), change: Some(change), outcome: moved, plan })
}

/// The outcome before anything moved.
fn unmoved(request: &MoveTaskRequest, from: Lane, to: Lane, wp: &WorkPackage, log: &Path) -> Moved {
    Moved {
        result: "success",
        task_id: request.wp_id.clone(),
        old_lane: from,
        new_lane: to,
        path: shown(&wp.path),
        event_id: None,
        work_package_id: request.wp_id.clone(),
        to_lane: to,
        status_events_path: shown(log),
        review_feedback: None,
        changed: false,
        warnings: Vec::new(),
        commit_hash: None,
        coordination_commit: None,
        capture: CaptureReport::default(),
    }
}

/// The file of a work package, when it has one.
pub(crate) fn read_package(mission: &MissionDirectory, wp_id: &str) -> Result<Option<WorkPackage>> {
    let path = find_wp_file(&mission.path, wp_id)?;
    let read = |path: PathBuf| {
        // Only finalize-tasks insists on the id inside the file.
        read_text(&path, MAX_TEXT)?.map(|text| WorkPackage::parse_as(&path, text, Some(wp_id))).transpose()
    };
    Ok(path.map(read).transpose()?.flatten())
}

/// The file of a work package.
pub(crate) fn find_package(mission: &MissionDirectory, wp_id: &str) -> Result<WorkPackage> {
    read_package(mission, wp_id)?.ok_or_else(|| {
        MissionError::invalid(
            ErrorCode::WorkPackageNotFound,
            format!("mission {} has no file tasks/{wp_id}-*.md", mission.slug),
            &json!({ "wp_id": wp_id, "mission_slug": mission.slug }),
        )
    })
}

/// Options for which a mission of earlier releases has no place.
fn unplaced(request: &MoveTaskRequest, snapshot: &Snapshot) -> Option<String> {
    let given = [("--model", &request.model), ("--profile", &request.profile)];
    let given: Vec<_> = given.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| *name).collect();
    let is_lost = snapshot.dialect() == Dialect::Rc11 && !given.is_empty();
    is_lost.then(|| format!("{} is not recorded: this mission has no place for it", given.join(", ")))
}

/// The work package's file with its current assignment.
fn assigned(request: &MoveTaskRequest, situation: &Situation) -> Result<String> {
    let mut changes = Vec::new();
    let mut set = |key, value: Option<String>| changes.extend(value.map(|value| (key, Scalar::Text(value))));
    set("assignee", request.assignee.clone());
    set("agent", request.agent.clone());
    set("shell_pid", request.shell_pid.map(|pid| pid.to_string()));
    changes.extend(tracker_change(&situation.wp, &request.tracker_refs, false));
    edit(&situation.wp, &changes)
}

/// The same, with a line in its activity log.
fn noted(request: &MoveTaskRequest, situation: &Situation) -> Result<String> {
    let text = assigned(request, situation)?;
    let note = request.note().map_or_else(|| format!("Moved to {}", situation.to), str::to_owned);
    let at = situation.now.seconds_z();
    let entry = ActivityEntry { at: &at, actor: &situation.actor, shell_pid: request.shell_pid, note: &note };
    Ok(with_entry(&text, &entry))
}

fn commit_message(request: &MoveTaskRequest, situation: &Situation) -> String {
    let spec = situation.mission.slug.split('-').next().unwrap_or_default();
    let agent = request.agent.as_ref().map(|agent| format!(" [{agent}]")).unwrap_or_default();
    format!("chore: Move {} to {} on spec {spec}{agent}", situation.wp.id, situation.to)
}

/// `agents.auto_commit` of the project's config; on without it.
pub(crate) fn auto_commit(project: &Project) -> Result<bool> {
    let path = identity::project::config_file(project.root());
    let Some(text) = read_text_anywhere(&path, MAX_JSON)? else { return Ok(true) };
    let map = crate::front_matter::reader::parse_yaml(&text)
        .map_err(|problem| MissionError::malformed(&path, problem.replace("front matter", "the file")))?;
    Ok(map
        .get("agents")
        .and_then(|agents| agents.get("auto_commit"))
        .and_then(serde_json::Value::as_bool)
        .unwrap_or(true))
}
