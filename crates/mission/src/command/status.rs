//! `agent status materialize|show` and `agent tasks list`: the lanes of the work packages.

use super::planned::until_won;
use super::{missing_file, shown};
use crate::allocation;
use crate::clock::Clock;
use crate::conflict;
use crate::dialect::Dialect;
use crate::document::{MAX_JSON, read_text};
use crate::error::{Result, chain};
use crate::front_matter::{read_heading, read_title};
use crate::lane::Lane;
use crate::meta::Meta;
use crate::mission_log::{LogReader, MissionLog, open_mission_log, view_mission_log};
use crate::planning;
use crate::project::{MissionDirectory, Project};
use crate::snapshot::{self, Snapshot};
use crate::transaction::{Change, lock_mission};
use crate::work_package::{id_of_file, read_wp_files};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// Result of `materialize`.
#[derive(Clone, Debug)]
pub struct Materialized {
    /// Content of `status.json`, from what can be read of the log.
    pub document: Value,
    /// Whether the file holds it. A log with a damaged line is shown, and the file stays as it is.
    pub is_written: bool,
    /// Warnings about its source files.
    pub warnings: Vec<String>,
}

/// `materialize`: writes `status.json` from the log. A local command.
pub fn materialize(project: &Project, mission: Option<&str>, clock: &Clock) -> Result<Materialized> {
    let (mission, bad_meta) = project.view_mission(mission)?;
    let lock = lock_mission(project, &mission.slug)?;
    until_won(|| {
        let log = open_mission_log(project, &mission)?;
        let mut warnings: Vec<_> = bad_meta.iter().cloned().chain(log.warnings(&mission.slug)).collect();
        let is_written = !log.is_damaged();
        if !is_written {
            warnings.push(format!("{} stays as it is: the log has damaged lines", snapshot::FILE));
        }
        let mut change = Change::of(mission.clone(), log);
        let document = change.make_status()?;
        if is_written {
            let done = change.carry_out(&lock, project, None, clock)?;
            let new: Vec<_> = done.notes.into_iter().filter(|note| !warnings.contains(note)).collect();
            warnings.extend(new);
        }
        Ok(Materialized { document, is_written, warnings })
    })
}

/// The origin of a board's lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneSource {
    /// The log.
    #[default]
    Log,
    /// The front matter: releases before 3.0 kept no log, so a mission of theirs has no lane row.
    FrontMatter,
}

impl LaneSource {
    /// Whether it is the log.
    pub fn is_log(&self) -> bool {
        *self == Self::Log
    }
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
    /// Description of the error.
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
    /// Number of work packages in each lane of the board, in its order.
    pub summary: Map<String, Value>,
    /// Source of the lanes; absent when it is the log.
    #[serde(skip_serializing_if = "LaneSource::is_log")]
    pub lane_source: LaneSource,
    /// Its work packages, by id.
    pub work_packages: Vec<Card>,
    /// Its lanes of work, as in `lanes.json`.
    pub lanes: Vec<WorkLane>,
    /// Warnings about unreadable or contradictory files; with any, the board may be incomplete.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Column of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoardLane {
    /// In this lane.
    In(Lane),
    /// It has no row, and rows may be missing: the coordination branch was not read.
    Unknown,
}

impl BoardLane {
    /// The lanes in the order of the board, the unknown ones last.
    pub fn all() -> impl Iterator<Item = Self> {
        Lane::ALL.into_iter().map(Self::In).chain([Self::Unknown])
    }

    /// The name, as people and scripts read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::In(lane) => lane.name(),
            Self::Unknown => "unknown",
        }
    }
}

impl From<Lane> for BoardLane {
    fn from(lane: Lane) -> Self {
        Self::In(lane)
    }
}

impl PartialEq<Lane> for BoardLane {
    fn eq(&self, lane: &Lane) -> bool {
        *self == Self::In(*lane)
    }
}

impl fmt::Display for BoardLane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for BoardLane {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One work package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Card {
    /// `WPnn`.
    pub work_package_id: String,
    /// Its title; its id when it has no file.
    pub title: String,
    /// Its lane.
    pub lane: BoardLane,
    /// Actor of the last move.
    pub actor: Option<String>,
    /// Time of the last move.
    pub last_transition_at: Option<String>,
    /// The lane of work it belongs to.
    pub lane_id: Option<String>,
    /// Its file.
    pub path: Option<String>,
}

/// One lane of work.
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
    /// The lanes of work before it.
    pub depends_on_lanes: Vec<String>,
    /// Lines of one group can run side by side.
    pub parallel_group: u64,
}

/// How many missions are worth a thread.
const EACH_THREAD: usize = 32;
/// The most threads: more wait for the same disk.
const MOST_THREADS: usize = 8;

/// Looks at one mission, or at all.
pub fn show(project: &Project, mission: Option<&str>) -> Result<Boards> {
    if mission.is_some() {
        let board = board(project, &mut LogReader::new(project), mission)?;
        return Ok(Boards { missions: vec![board], unreadable: Vec::new() });
    }
    let mut boards = Boards { missions: Vec::new(), unreadable: Vec::new() };
    for (name, board) in all_boards(project, project.mission_names()?) {
        match board {
            Ok(board) => boards.missions.push(board),
            Err(error) => {
                boards.unreadable.push(UnreadableMission { mission_slug: name, error: chain(&error) })
            }
        }
    }
    Ok(boards)
}

/// The boards of these missions, in their order. Many are read by several threads: a mission is a dozen small files.
fn all_boards(project: &Project, mut names: Vec<String>) -> Vec<(String, Result<Board>)> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(names.len() / EACH_THREAD).clamp(1, MOST_THREADS);
    let own = names.split_off(names.len() - names.len() / threads);
    let logs = LogReader::new(project);
    let read = |mut logs: LogReader<'_>, names: Vec<String>| -> Vec<_> {
        let named = |name: String| {
            let board = board(project, &mut logs, Some(&name));
            (name, board)
        };
        names.into_iter().map(named).collect()
    };
    std::thread::scope(|scope| {
        let size = names.len().div_ceil((threads - 1).max(1)).max(1);
        let mut parts = Vec::new();
        while !names.is_empty() {
            let rest = names.split_off(size.min(names.len()));
            let (part, logs) = (std::mem::replace(&mut names, rest), logs.beside());
            parts.push(scope.spawn(move || read(logs, part)));
        }
        let last = read(logs.beside(), own);
        let parts = parts.into_iter().map(|part| part.join());
        let parts = parts.map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        parts.chain([last]).flatten().collect()
    })
}

fn board(project: &Project, logs: &mut LogReader<'_>, mission: Option<&str>) -> Result<Board> {
    view(project, logs, mission).map(|view| view.board)
}

/// A board, and what it was made from.
pub(super) struct BoardView {
    pub(super) mission: MissionDirectory,
    pub(super) log: MissionLog,
    pub(super) snapshot: Snapshot,
    pub(super) board: Board,
}

pub(super) fn view(project: &Project, logs: &mut LogReader<'_>, mission: Option<&str>) -> Result<BoardView> {
    let (mission, bad_meta) = project.view_mission(mission)?;
    let mut warnings: Vec<String> = bad_meta.into_iter().collect();
    let log = logs.view(&mission)?;
    let lanes = work_lanes(project, &mission).unwrap_or_else(|error| {
        warnings.push(chain(&error));
        Vec::new()
    });
    let (work_packages, lane_source, snapshot) = cards(&mission, &log, &lanes, &mut warnings);
    let count = |lane: BoardLane| work_packages.iter().filter(|card| card.lane == lane).count();
    let known = |lane: &BoardLane| *lane != BoardLane::Unknown || count(*lane) > 0;
    let board = Board {
        mission_slug: mission.slug.clone(),
        mission_id: mission.mission_id().map(str::to_owned),
        friendly_name: mission.meta.as_ref().and_then(Meta::friendly_name).map(str::to_owned),
        mission_type: mission.mission_type().to_owned(),
        summary: BoardLane::all()
            .filter(known)
            .map(|lane| (lane.name().to_owned(), count(lane).into()))
            .collect(),
        work_packages,
        lane_source,
        lanes,
        warnings,
    };
    Ok(BoardView { mission, log, snapshot, board })
}

/// Every work package that has a file or a row, and the origin of their lanes. An unreadable part is a warning beside
/// the rest. A wholly unreadable log is an error, because no lane is known then.
fn cards(
    mission: &MissionDirectory,
    log: &MissionLog,
    lanes: &[WorkLane],
    warnings: &mut Vec<String>,
) -> (Vec<Card>, LaneSource, Snapshot) {
    warnings.extend(log.warnings(&mission.slug));
    let snapshot = log.reduced(mission);
    let known = snapshot.work_packages.keys().map(|id| (id.clone(), BoardHeading::of(id))).collect();
    let (known, odd) = headings(mission, known);
    warnings.extend(odd);
    let findings = planning::read_findings(&mission.path);
    warnings.extend(findings.errors.into_iter().chain(findings.warnings));
    let names_lanes = known.values().any(|heading| heading.lane.is_some());
    let source = match names_lanes && log.line_count() == 0 && snapshot.dialect() == Dialect::Rc11 {
        true => LaneSource::FrontMatter,
        false => LaneSource::Log,
    };
    let cards = known.into_iter().map(|(id, BoardHeading { title, path, lane })| {
        let state = snapshot.work_packages.get(&id);
        Card {
            title,
            lane: match lane.filter(|_| !source.is_log()) {
                Some(lane) => lane.into(),
                None if state.is_none() && !log.is_complete() => BoardLane::Unknown,
                None => snapshot.board_lane(&id).into(),
            },
            actor: state.map(|state| state.actor.clone()),
            last_transition_at: state.and_then(|state| state.last_transition_at.clone()),
            lane_id: lanes.iter().find(|lane| lane.wp_ids.contains(&id)).map(|lane| lane.lane_id.clone()),
            path,
            work_package_id: id,
        }
    });
    (cards.collect(), source, snapshot)
}

/// Fields of a work package file that a board uses.
pub(super) struct BoardHeading {
    title: String,
    path: Option<String>,
    lane: Option<Lane>,
}

impl BoardHeading {
    /// Of a work package without a file.
    fn of(id: &str) -> Self {
        Self { title: id.to_owned(), path: None, lane: None }
    }
}

/// The work packages of a mission, by id.
type Headings = BTreeMap<String, BoardHeading>;

/// Adds the work package files of a mission to `known`, and returns the warnings about them.
pub(super) fn headings(mission: &MissionDirectory, mut known: Headings) -> (Headings, Vec<String>) {
    let mut warnings = Vec::new();
    let files = read_wp_files(&mission.path).unwrap_or_else(|error| {
        warnings.push(chain(&error));
        Vec::new()
    });
    for path in files {
        let file = shown(&path);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let named = id_of_file(name).unwrap_or_default();
        let (id, title, lane) = match read_heading(&path) {
            Ok(None) => continue,
            Ok(Some(heading)) => {
                warnings.extend(heading.conflict.map(|line| conflict::warning(&path, line)));
                (heading.id, heading.title, heading.lane)
            }
            Err(error) => {
                warnings.push(format!("{}; shown as {named}, the id of its name", chain(&error)));
                let (title, lane) = read_title(&path);
                (named.to_owned(), title.unwrap_or_else(|| named.to_owned()), lane)
            }
        };
        if named != id {
            warnings.push(format!("{file} is {id} in its front matter, and {named} by its name"));
        }
        let heading = BoardHeading { title, path: Some(file.clone()), lane };
        if let Some(other) = known.insert(id.clone(), heading).and_then(|known| known.path) {
            warnings
                .push(format!("{file} is {id} in its front matter, and so is {other}, which is not shown"));
        }
    }
    (known, warnings)
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
    /// Number of tasks.
    pub count: usize,
    /// Source of the lanes; absent when it is the log.
    #[serde(skip_serializing_if = "LaneSource::is_log")]
    pub lane_source: LaneSource,
    /// Warnings about unreadable or contradictory files; with any, the list may be incomplete.
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
    /// Its lane.
    pub lane: BoardLane,
    /// Its file.
    pub path: String,
}

/// Lists the work packages of a mission, of one lane when that is asked for.
pub fn list(project: &Project, mission: Option<&str>, lane: Option<Lane>) -> Result<TaskList> {
    let (mission, bad_meta) = project.view_mission(mission)?;
    let directory = mission.path.join("tasks");
    if !directory.is_dir() {
        return Err(missing_file(&directory));
    }
    let mut warnings: Vec<String> = bad_meta.into_iter().collect();
    let log = view_mission_log(project, &mission)?;
    let (cards, lane_source, _) = cards(&mission, &log, &[], &mut warnings);
    let mut tasks: Vec<Task> = cards
        .into_iter()
        .filter(|card| lane.is_none_or(|lane| card.lane == BoardLane::In(lane)))
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
    Ok(TaskList { count: tasks.len(), tasks, lane_source, warnings })
}
