//! `agent tasks status`: the board of one mission with the keys of the current releases. Reads only.
//!
//! A file that cannot be read is a warning; the rest is shown. Work is stale by the age of the last commit on the
//! lane's branch that the target branch lacks.

use super::missing_file;
use super::move_task::auto_commit;
use super::status::{Board, BoardLane, BoardView, Card, LaneSource, WorkLane, view};
use crate::allocation::PLANNING_LANE;
use crate::clock::Clock;
use crate::dialect::Dialect;
use crate::document::{MAX_JSON, read_text_anywhere};
use crate::error::{Result, chain};
use crate::front_matter::reader::parse_yaml;
use crate::front_matter::{WorkPackage, read_work_package};
use crate::git::last_commit_beyond;
use crate::instant::Instant;
use crate::lane::Lane;
use crate::meta::MissionNumber;
use crate::mission_log::{LogReader, MissionLog};
use crate::ownership::WorkKind;
use crate::ownership::infer::infer_kind;
use crate::project::Project;
use crate::snapshot::Snapshot;
use serde::Serialize;
use serde_json::{Map, Value};
use std::path::Path;
use std::time::Duration;

/// After how many minutes without a commit a lane's branch is stale, by default.
pub const STALE_AFTER: u64 = 10;
/// After how many minutes without a move a review is stalled, unless the project's configuration has another number.
const STALLED_AFTER: u64 = 30;

/// The board of one mission.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskBoard {
    /// Its directory name.
    pub mission_slug: String,
    /// Its number, which only older missions have.
    pub mission_number: Option<i64>,
    /// Its type.
    pub mission_type: String,
    /// Number of work packages with a file.
    pub total_wps: usize,
    /// Number of them in each lane; empty lanes are left out.
    pub by_lane: Map<String, Value>,
    /// The work packages that have a file, by id.
    pub work_packages: Vec<TaskCard>,
    /// The weighted progress in percent: each work package counts with the weight of its lane.
    pub progress_percentage: f64,
    /// Method by which `progress_percentage` is computed.
    pub progress_semantics: &'static str,
    /// `progress_percentage` under the name that older callers read.
    pub weighted_percentage: f64,
    /// Number of work packages that are done.
    pub done_count: usize,
    /// `done_count` in percent of `total_wps`.
    pub done_percentage: f64,
    /// Number of stale work packages in progress.
    pub stale_wps: usize,
    /// Work packages that are approved or done and whose last review rejects them.
    pub stale_verdicts: Vec<StaleVerdict>,
    /// Stalled reviews.
    pub stalled_wps: Vec<StalledReview>,
    /// Whether commands commit what they write.
    pub auto_commit: bool,
    /// Source of the lanes; absent when it is the log.
    #[serde(skip_serializing_if = "LaneSource::is_log")]
    pub lane_source: LaneSource,
    /// Warnings about unreadable or contradictory files; with any, the board may be incomplete.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The same mission as people see it.
    #[serde(skip)]
    pub board: Board,
}

/// One work package.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskCard {
    /// `WPnn`.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its lane.
    pub lane: BoardLane,
    /// `phase` of its file.
    pub phase: String,
    /// The name of its file.
    pub file: String,
    /// Agent that has it.
    pub agent: String,
    /// The profile that its file asks for.
    pub agent_profile: String,
    /// The profile that works on it.
    pub resolved_agent_profile: String,
    /// The role.
    pub resolved_role: String,
    /// The model.
    pub resolved_model: String,
    /// The process that has it.
    pub shell_pid: String,
    /// Start time of that process.
    pub shell_pid_created_at: Option<String>,
    /// `code_change` or `planning_artifact`.
    pub execution_mode: String,
    /// Place of the work: `lane_workspace`, `repo_root`, or `unknown` without a lane.
    pub workspace_kind: &'static str,
    /// Whether the work is stale, of a work package that is in progress.
    #[serde(flatten)]
    pub activity: Option<Activity>,
}

/// Recent work on a work package.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Activity {
    /// The judgement.
    pub stale: Staleness,
    /// Whether it is `stale`.
    pub is_stale: bool,
    /// Age of the last commit, in minutes.
    pub minutes_since_commit: Option<f64>,
    /// Whether the worktree of its lane is there.
    pub worktree_exists: bool,
}

/// Whether a work package that is in progress is stale.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Staleness {
    /// `fresh`, `stale` or `not_applicable`.
    pub status: &'static str,
    /// Reason, unless the last commit decides.
    pub reason: Option<&'static str>,
    /// Age of the last commit, in minutes.
    pub minutes_since_commit: Option<f64>,
    /// Time of the last commit.
    pub last_commit_time: Option<String>,
}

/// A work package whose last review rejects it although its lane is `approved` or `done`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StaleVerdict {
    /// `WPnn`.
    pub wp_id: String,
    /// Path of the review.
    pub artifact: Option<String>,
    /// `rejected`.
    pub verdict: &'static str,
}

/// A stalled review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StalledReview {
    /// `WPnn`.
    pub wp_id: String,
    /// The minutes since the last move.
    pub age_minutes: u64,
    /// The minutes after which a review is stalled.
    pub threshold_minutes: u64,
}

/// Reads the board of one mission. Work in progress is stale after `stale_after` minutes without a commit.
///
/// # Errors
/// When there is no such mission, or it has no directory of work packages.
pub fn look(project: &Project, mission: Option<&str>, stale_after: u64, clock: &Clock) -> Result<TaskBoard> {
    let BoardView { mission, log, snapshot, mut board } =
        view(project, &mut LogReader::new(project), mission)?;
    let directory = mission.path.join("tasks");
    if !directory.is_dir() {
        return Err(missing_file(&directory));
    }
    let (now, target) = (Instant::from(clock.now()), mission.target_branch(project));
    let mut warnings = std::mem::take(&mut board.warnings);
    let config = TaskBoardConfig::read(project).unwrap_or_else(|error| {
        warnings.push(chain(&error));
        TaskBoardConfig::default()
    });
    let stalled_wps = stalled_reviews(&board, &log, now, config.stalled_after);
    let stale_verdicts = stale_verdicts(&board, &snapshot);
    let filed = board.work_packages.iter().filter_map(|card| Some((card, Path::new(card.path.as_deref()?))));
    let work_packages: Vec<TaskCard> = filed
        .map(|(card, path)| {
            // A problem of the file is a warning of the board already.
            let wp = read_work_package(path).ok().flatten();
            let owner = match snapshot.dialect() {
                Dialect::Current => Owner::of(|key| snapshot.slot(&card.work_package_id, key)),
                Dialect::Rc11 => Owner::of(|key| wp.as_ref()?.get(key)),
            };
            let mut task = TaskCard::of(card, path, wp.as_ref(), owner);
            if card.lane == Lane::InProgress {
                let lane = board.lanes.iter().find(|lane| Some(&lane.lane_id) == card.lane_id.as_ref());
                let found = task.activity(project, (lane, target), stale_after, now);
                task.activity = Some(found.unwrap_or_else(|error| {
                    warnings.push(chain(&error));
                    Activity::unknown()
                }));
            }
            task
        })
        .collect();
    let count = |lane| work_packages.iter().filter(|task| task.lane == lane).count();
    let lanes = BoardLane::all().map(|lane| (lane, count(lane))).filter(|(_, count)| *count > 0);
    let done_count = count(Lane::Done.into());
    let weighted = weighted(&board);
    Ok(TaskBoard {
        mission_slug: board.mission_slug.clone(),
        mission_number: mission.meta.as_ref().and_then(|meta| match meta.mission_number() {
            Ok(MissionNumber::Assigned(number)) => Some(number),
            _ => None,
        }),
        mission_type: mission.mission_type().to_owned(),
        total_wps: work_packages.len(),
        by_lane: lanes.map(|(lane, count)| (lane.name().to_owned(), count.into())).collect(),
        progress_percentage: weighted,
        progress_semantics: "weighted_readiness",
        weighted_percentage: weighted,
        done_count,
        done_percentage: share(done_count as f64, work_packages.len()),
        stale_wps: work_packages.iter().filter(|task| task.is_stale()).count(),
        stale_verdicts,
        stalled_wps,
        auto_commit: config.auto_commit,
        lane_source: board.lane_source,
        warnings,
        work_packages,
        board,
    })
}

/// Work packages in review whose last move is older than `threshold` minutes.
fn stalled_reviews(board: &Board, log: &MissionLog, now: Instant, threshold: u64) -> Vec<StalledReview> {
    let in_review = board.work_packages.iter().filter(|card| card.lane == Lane::InReview);
    let stalled = in_review.filter_map(|card| {
        let moves = log.moves().iter().filter(|row| *row.wp_id == *card.work_package_id);
        let age = now.ahead_of(moves.filter_map(|row| row.instant).max()?).as_secs() / 60;
        (age > threshold).then(|| StalledReview {
            wp_id: card.work_package_id.clone(),
            age_minutes: age,
            threshold_minutes: threshold,
        })
    });
    stalled.collect()
}

/// Approved and finished work packages whose last review asks for changes.
fn stale_verdicts(board: &Board, snapshot: &Snapshot) -> Vec<StaleVerdict> {
    let is_judged = |card: &&Card| card.lane == Lane::Approved || card.lane == Lane::Done;
    let stale = board.work_packages.iter().filter(is_judged).filter_map(|card| {
        let review = snapshot.slot(&card.work_package_id, "review_result")?;
        (review["verdict"] == "changes_requested").then(|| StaleVerdict {
            wp_id: card.work_package_id.clone(),
            artifact: review["reference"].as_str().map(str::to_owned),
            verdict: "rejected",
        })
    });
    stale.collect()
}

/// `part` of `whole` in a hundred, with one decimal.
fn share(part: f64, whole: usize) -> f64 {
    rounded(if whole == 0 { 0.0 } else { part / whole as f64 * 100.0 })
}

/// The number with one decimal. Formatting rounds the exact value, as earlier releases do.
fn rounded(exact: f64) -> f64 {
    format!("{exact:.1}").parse().unwrap_or(exact)
}

/// Progress that each lane counts for, by the weights of the current releases.
fn weight(lane: BoardLane) -> f64 {
    match lane {
        BoardLane::In(lane) => match lane {
            Lane::Claimed => 0.05,
            Lane::InProgress => 0.3,
            Lane::ForReview => 0.6,
            Lane::InReview => 0.7,
            Lane::Approved => 0.8,
            Lane::Done => 1.0,
            Lane::Planned | Lane::Blocked | Lane::Canceled | Lane::Genesis | Lane::Uninitialized => 0.0,
        },
        BoardLane::Unknown => 0.0,
    }
}

/// Weighted progress of the work packages in the log, if the mission has one.
fn weighted(board: &Board) -> f64 {
    let counts = |card: &&Card| card.actor.is_some() || !board.lane_source.is_log();
    let cards: Vec<&Card> = board.work_packages.iter().filter(counts).collect();
    share(cards.iter().map(|card| weight(card.lane)).sum(), cards.len())
}

/// The kind of work of a work package, and where it is done: `repo_root`, `lane_workspace`, or `unknown` without a
/// lane.
pub(super) fn place_of(card: &Card, wp: Option<&WorkPackage>) -> (String, &'static str) {
    let kind = match wp {
        Some(wp) => wp.execution_mode.clone().unwrap_or_else(|| infer_kind(wp.body()).name().to_owned()),
        None => WorkKind::CodeChange.name().to_owned(),
    };
    let place = match card.lane_id.as_deref() {
        Some(PLANNING_LANE) => "repo_root",
        _ if kind == WorkKind::PlanningArtifact.name() => "repo_root",
        Some(_) => "lane_workspace",
        None => "unknown",
    };
    (kind, place)
}

/// Settings of the project that the board depends on.
struct TaskBoardConfig {
    auto_commit: bool,
    stalled_after: u64,
}

impl Default for TaskBoardConfig {
    fn default() -> Self {
        Self { auto_commit: true, stalled_after: STALLED_AFTER }
    }
}

impl TaskBoardConfig {
    fn read(project: &Project) -> Result<Self> {
        let auto_commit = auto_commit(project)?;
        let path = identity::project::config_file(project.root());
        let map = read_text_anywhere(&path, MAX_JSON)?.and_then(|text| parse_yaml(&text).ok());
        let stalled = map.and_then(|map| map.get("review")?.get("stall_threshold_minutes")?.as_u64());
        Ok(Self { auto_commit, stalled_after: stalled.unwrap_or(STALLED_AFTER) })
    }
}

/// Owner of a work package: slots of the log, or in an rc11 mission keys of its file.
struct Owner {
    agent: String,
    agent_profile: String,
    role: String,
    model: String,
    shell_pid: String,
    started: Option<String>,
}

impl Owner {
    fn of<'a>(value: impl Fn(&str) -> Option<&'a Value>) -> Self {
        let text = |key| match value(key) {
            Some(Value::String(text)) => text.trim().to_owned(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        Self {
            agent: text("agent"),
            agent_profile: text("agent_profile"),
            role: text("role"),
            model: text("model"),
            shell_pid: text("shell_pid"),
            started: Some(text("shell_pid_created_at")).filter(|text| !text.is_empty()),
        }
    }
}

impl TaskCard {
    fn of(card: &Card, path: &Path, wp: Option<&WorkPackage>, owner: Owner) -> Self {
        let key = |key| wp?.get(key)?.as_str().map(str::trim).filter(|text| !text.is_empty());
        let text = |name| key(name).unwrap_or_default().to_owned();
        let (execution_mode, workspace_kind) = place_of(card, wp);
        Self {
            id: card.work_package_id.clone(),
            title: card.title.clone(),
            lane: card.lane,
            phase: key("phase").unwrap_or("Unknown Phase").to_owned(),
            file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            agent: owner.agent,
            agent_profile: text("agent_profile"),
            resolved_agent_profile: owner.agent_profile,
            resolved_role: owner.role,
            resolved_model: owner.model,
            shell_pid: owner.shell_pid,
            shell_pid_created_at: owner.started,
            execution_mode,
            workspace_kind,
            activity: None,
        }
    }

    /// Whether it is in progress and stale.
    pub fn is_stale(&self) -> bool {
        self.activity.as_ref().is_some_and(|activity| activity.is_stale)
    }

    /// Recent work on it; `target` is the branch that it lands on.
    fn activity(
        &self,
        project: &Project,
        (lane, target): (Option<&WorkLane>, &str),
        stale_after: u64,
        now: Instant,
    ) -> Result<Activity> {
        if self.workspace_kind == "repo_root" {
            return Ok(Activity::of("not_applicable", Some("planning_artifact_repo_root_shared_workspace")));
        }
        let Some((lane, worktree)) = lane.and_then(|lane| Some((lane, lane.worktree.as_deref()?))) else {
            return Ok(Activity::unknown());
        };
        if !project.root().join(worktree).is_dir() {
            return Ok(Activity::of("fresh", None));
        }
        let mut found = Activity { worktree_exists: true, ..Activity::of("fresh", None) };
        if self.is_held() {
            found.stale.reason = Some("live_claim_process");
            return Ok(found);
        }
        let Some(at) = last_commit_beyond(project, &lane.branch, target)? else {
            return Ok(found);
        };
        let age = Instant::parse(&at).map_or(Duration::ZERO, |at| now.ahead_of(at));
        found.is_stale = age > Duration::from_secs(stale_after.saturating_mul(60));
        found.minutes_since_commit = Some(rounded(age.as_secs_f64() / 60.0));
        found.stale = Staleness {
            status: if found.is_stale { "stale" } else { "fresh" },
            reason: None,
            minutes_since_commit: found.minutes_since_commit,
            last_commit_time: Some(at),
        };
        Ok(found)
    }

    /// Whether the process that claimed it is alive. The start time that a claim may name has a unit and a zone of
    /// its own on each system, so only the pid is checked. If another program has the pid by now, stale work is shown
    /// as fresh; fresh work is never shown as stale.
    fn is_held(&self) -> bool {
        self.shell_pid.parse().is_ok_and(|pid| system::process::observe_process(pid).is_alive())
    }
}

impl Activity {
    fn of(status: &'static str, reason: Option<&'static str>) -> Self {
        Self {
            stale: Staleness { status, reason, ..Staleness::default() },
            is_stale: false,
            minutes_since_commit: None,
            worktree_exists: false,
        }
    }

    /// The activity when neither a worktree nor a commit can be examined.
    fn unknown() -> Self {
        Self::of("not_applicable", Some("stale_detection_unavailable"))
    }
}
