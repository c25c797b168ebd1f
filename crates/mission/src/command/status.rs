//! `agent status materialize|show` and `agent tasks list`: where the work packages stand.

use super::shown;
use crate::allocation;
use crate::clock::Clock;
use crate::conflict;
use crate::document::{MAX_JSON, read_text};
use crate::error::{Result, chain};
use crate::front_matter::{read_heading, read_title};
use crate::lane::Lane;
use crate::log::{read_log, view_log};
use crate::meta::Meta;
use crate::planning;
use crate::project::{MissionDirectory, Project};
use crate::snapshot::{Snapshot, reduce};
use crate::transaction::{Change, lock_mission};
use crate::work_package::{id_of_file, read_wp_files};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// `materialize`: writes `status.json` from the log and gives its content. A local command.
pub fn materialize(project: &Project, mission: Option<&str>, clock: &Clock) -> Result<Value> {
    let mission = project.mission(mission)?;
    let lock = lock_mission(project, &mission.slug)?;
    let log = read_log(&mission.path)?;
    let mut change = Change::of(mission, log);
    let document = change.refresh_status()?;
    change.carry_out(&lock, project, None, clock)?;
    Ok(document)
}

/// `show`: one mission, or all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Boards {
    /// In the order of their names.
    pub missions: Vec<Board>,
    /// Missions that cannot be shown, and why: one bad mission never hides the others.
    pub unreadable: Vec<UnreadableMission>,
}

/// A mission that cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnreadableMission {
    /// Its directory.
    pub mission_slug: String,
    /// What is wrong.
    pub error: String,
}

/// One mission's work packages by lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Board {
    /// Its directory name.
    pub mission_slug: String,
    /// Its ULID.
    pub mission_id: Option<String>,
    /// Its name for people.
    pub friendly_name: Option<String>,
    /// Its type.
    pub mission_type: String,
    /// How many work packages each lane of the board holds, in its order.
    pub summary: Map<String, Value>,
    /// Its work packages, by id.
    pub work_packages: Vec<Card>,
    /// Its lines of work, as `lanes.json` says.
    pub lanes: Vec<WorkLane>,
    /// Files that contradict each other or themselves, so that the board is not all there is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One work package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Card {
    /// `WPnn`.
    pub work_package_id: String,
    /// Its title; its id when it has no file.
    pub title: String,
    /// Its place.
    pub lane: Lane,
    /// Who moved it last.
    pub actor: Option<String>,
    /// When.
    pub last_transition_at: Option<String>,
    /// The line of work it belongs to.
    pub lane_id: Option<String>,
    /// Its file.
    pub path: Option<String>,
}

/// One line of work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkLane {
    /// Its name.
    pub lane_id: String,
    /// Its branch.
    pub branch: String,
    /// Its worktree, relative to the project; null for planning.
    pub worktree: Option<String>,
    /// Its work packages, in order.
    pub wp_ids: Vec<String>,
    /// The lines of work before it.
    pub depends_on_lanes: Vec<String>,
    /// Lines of one group can run side by side.
    pub parallel_group: u64,
}

/// Looks at one mission, or at all.
pub fn show(project: &Project, mission: Option<&str>) -> Result<Boards> {
    if mission.is_some() {
        return Ok(Boards { missions: vec![board(project, mission)?], unreadable: Vec::new() });
    }
    let mut boards = Boards { missions: Vec::new(), unreadable: Vec::new() };
    for name in project.mission_names()? {
        match board(project, Some(&name)) {
            Ok(board) => boards.missions.push(board),
            Err(error) => {
                boards.unreadable.push(UnreadableMission { mission_slug: name, error: chain(&error) })
            }
        }
    }
    Ok(boards)
}

fn board(project: &Project, mission: Option<&str>) -> Result<Board> {
    let (mission, bad_meta) = project.view_mission(mission)?;
    let log = view_log(&mission.path)?;
    let snapshot = reduce(log.lane_rows());
    let mut warnings: Vec<String> = bad_meta.into_iter().chain(log.warnings(&mission.slug)).collect();
    let lanes = work_lanes(project, &mission).unwrap_or_else(|error| {
        warnings.push(chain(&error));
        Vec::new()
    });
    let (work_packages, odd) = cards(&mission, &snapshot, &lanes)?;
    warnings.extend(odd);
    let count = |lane: Lane| work_packages.iter().filter(|card| card.lane == lane).count();
    Ok(Board {
        mission_slug: mission.slug.clone(),
        mission_id: mission.mission_id().map(str::to_owned),
        friendly_name: mission.meta.as_ref().and_then(Meta::friendly_name).map(str::to_owned),
        mission_type: mission.mission_type().to_owned(),
        summary: Lane::ALL.into_iter().map(|lane| (lane.name().to_owned(), count(lane).into())).collect(),
        work_packages,
        lanes,
        warnings,
    })
}

/// Every work package that has a file or a row, and what is odd about the files.
fn cards(
    mission: &MissionDirectory,
    snapshot: &Snapshot,
    lanes: &[WorkLane],
) -> Result<(Vec<Card>, Vec<String>)> {
    let known = snapshot.work_packages.keys().map(|id| (id.clone(), (id.clone(), None))).collect();
    let (known, mut warnings) = headings(mission, known)?;
    let odd = planning::oddities(&mission.path);
    warnings.extend(odd.errors.into_iter().chain(odd.warnings));
    let cards = known.into_iter().map(|(id, (title, path))| {
        let state = snapshot.work_packages.get(&id);
        Card {
            title,
            lane: snapshot.lane(&id),
            actor: state.map(|state| state.actor.clone()),
            last_transition_at: state.map(|state| state.last_transition_at.clone()),
            lane_id: lanes.iter().find(|lane| lane.wp_ids.contains(&id)).map(|lane| lane.lane_id.clone()),
            path,
            work_package_id: id,
        }
    });
    Ok((cards.collect(), warnings))
}

/// Title and file of each work package, by id.
type Headings = BTreeMap<String, (String, Option<String>)>;

/// Adds the work package files of a mission to `known`; and what is odd about them.
pub(super) fn headings(mission: &MissionDirectory, mut known: Headings) -> Result<(Headings, Vec<String>)> {
    let mut warnings = Vec::new();
    for path in read_wp_files(&mission.path)? {
        let file = shown(&path);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let named = id_of_file(name).unwrap_or_default();
        let (id, title) = match read_heading(&path) {
            Ok(None) => continue,
            Ok(Some(heading)) => {
                warnings.extend(heading.conflict.map(|line| conflict::warning(&path, line)));
                (heading.id, heading.title)
            }
            Err(error) => {
                warnings.push(format!("{}; shown as {named}, the id of its name", chain(&error)));
                (named.to_owned(), read_title(&path).unwrap_or_else(|| named.to_owned()))
            }
        };
        if named != id {
            warnings.push(format!("{file} says it is {id}, and its name says {named}"));
        }
        if let Some((_, Some(other))) = known.insert(id.clone(), (title, Some(file.clone()))) {
            warnings.push(format!("{file} says it is {id}, and so does {other}, which is not shown"));
        }
    }
    Ok((known, warnings))
}

fn work_lanes(project: &Project, mission: &MissionDirectory) -> Result<Vec<WorkLane>> {
    let path = mission.path.join(allocation::FILE);
    let Some(text) = read_text(&path, MAX_JSON)? else { return Ok(Vec::new()) };
    let document: Value = serde_json::from_str(&text)
        .map_err(|error| crate::MissionError::malformed(&path, format!("is not JSON: {error}")))?;
    let target = document["target_branch"].as_str().unwrap_or_else(|| mission.target_branch(project));
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let lanes = document["lanes"].as_array().into_iter().flatten();
    let lanes = lanes.filter_map(|lane| {
        let lane_id = lane["lane_id"].as_str()?;
        Some(WorkLane {
            branch: allocation::branch_of(lane_id, &mission.slug, mission.mission_id(), target),
            worktree: allocation::worktree_of(lane_id, &mission.slug, mission.mission_id()),
            lane_id: lane_id.to_owned(),
            wp_ids: texts(&lane["wp_ids"]),
            depends_on_lanes: texts(&lane["depends_on_lanes"]),
            parallel_group: lane["parallel_group"].as_u64().unwrap_or_default(),
        })
    });
    Ok(lanes.collect())
}

/// `tasks list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskList {
    /// The work packages that have a file, by id.
    pub tasks: Vec<Task>,
    /// How many.
    pub count: usize,
    /// Files that contradict each other or themselves, so that the list is not all there is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One work package of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Task {
    /// `WPnn`.
    pub work_package_id: String,
    /// Its title.
    pub title: String,
    /// Its place.
    pub lane: Lane,
    /// Its file.
    pub path: String,
}

/// Lists the work packages of a mission, of one lane when that is asked for.
pub fn list(project: &Project, mission: Option<&str>, lane: Option<Lane>) -> Result<TaskList> {
    let (mission, bad_meta) = project.view_mission(mission)?;
    let log = view_log(&mission.path)?;
    let (cards, odd) = cards(&mission, &reduce(log.lane_rows()), &[])?;
    let mut warnings: Vec<String> = bad_meta.into_iter().chain(log.warnings(&mission.slug)).collect();
    warnings.extend(odd);
    let mut tasks: Vec<Task> = cards
        .into_iter()
        .filter(|card| lane.is_none_or(|lane| card.lane == lane))
        .filter_map(|card| {
            Some(Task {
                work_package_id: card.work_package_id,
                title: card.title,
                lane: card.lane,
                path: card.path?,
            })
        })
        .collect();
    tasks.sort_by(|a, b| a.work_package_id.cmp(&b.work_package_id));
    Ok(TaskList { count: tasks.len(), tasks, warnings })
}
