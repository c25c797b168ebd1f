//! `agent mission finalize-tasks`: the work packages become final. Their front matter is completed,
//! their facts are recorded, each gets its first lane row, lanes are computed, all of it is committed.
//!
//! Everything is judged before the first write: coverage, dependencies, requirements, cancellations, cycles,
//! ownership, lanes. `--validate-only` stops there. Running it again changes nothing.
//!
//! | module | owns |
//! |---|---|
//! | `packages` | reading and judging the work packages |
//! | `completion` | what their front matter lacks |
//! | [`outcome`] | the report about it |

mod completion;
pub mod outcome;
mod packages;

pub use outcome::{Finalized, LanesSummary, Validated};

use self::completion::Completion;
use self::packages::Packages;
use super::{Planned, Recorded, has_fact, mission_fact, shown};
use crate::allocation::{self, Allocation, Grouping, Header, KnownLanes, PLANNING_COMMIT};
use crate::clock::Clock;
use crate::decision::decision_files;
use crate::dialect::Dialect;
use crate::document::read_names;
use crate::error::{MissionError, Result};
use crate::git::branches::read_branches;
use crate::git::is_ancestor;
use crate::lane::Lane;
use crate::log::{self, ExecutionMode, FactKind, FactRow, LaneMove, LaneRow, Row};
use crate::meta::{self, Meta};
use crate::mission_log::{MissionLog, read_mission_log};
use crate::project::{MissionDirectory, Project};
use crate::remedies::ErrorCode;
use crate::transaction::{Change, Done};
use crate::{snapshot, tasks, wps};
use serde_json::json;
use std::path::PathBuf;

/// Actor of the facts that this command writes.
const ACTOR: &str = "spec-kitty agent mission finalize-tasks";
/// Actor and reason of the first lane row of a work package.
const SEEDER: (&str, &str) = ("finalize-tasks", "canonical bootstrap");

/// Arguments of `agent mission finalize-tasks`.
#[derive(Clone, Debug, Default)]
pub struct FinalizeRequest {
    /// `--mission`.
    pub mission: Option<String>,
    /// `--target-branch`: the branch that the work lands on, in place of the one in `meta.json`; recorded there.
    pub target_branch: Option<String>,
    /// `--refresh-planning-commit`: `lanes.json` gets the tip of the target branch although work has begun.
    pub refresh_planning_commit: bool,
}

/// `--validate-only`: judges everything and writes nothing.
pub fn validate(project: &Project, request: &FinalizeRequest) -> Result<Validated> {
    let (_, judged) = read_judged(project, request)?;
    Ok(Validated::of(&judged))
}

/// Plans the whole step.
pub fn plan(
    project: &Project,
    request: &FinalizeRequest,
    clock: &Clock,
) -> Result<Planned<FinalizeRequest, Finalized>> {
    let (mission, mut judged) = read_judged(project, request)?;
    let rows = rows(project, &mission, &judged, clock);
    let mut change = Change::of(mission, std::mem::take(&mut judged.log));
    for (path, text) in judged.completion.rewritten() {
        change.files.insert(path.to_owned(), text.as_bytes().to_vec());
    }
    if let Some(made) = &judged.packages.made_tasks_md {
        change.files.insert(change.mission.path.join(tasks::FILE), made.as_bytes().to_vec());
    }
    if change.log.has_moves() || !rows.is_empty() {
        change.append(rows)?;
        // Whether it is new decides what is committed.
        change.make_status()?;
    }
    let meta = change.mission.meta.as_ref().filter(|_| judged.sets_target).map(Meta::render);
    if let Some(text) = meta {
        change.files.insert(change.mission.path.join(meta::FILE), text.into_bytes());
    }
    if let Some(text) = lanes_text(project, &change.mission, &judged, request, clock)? {
        change.files.insert(change.mission.path.join(allocation::FILE), text.into_bytes());
    }
    let commit = files_to_commit(&change)?;
    let outcome = Finalized::planned(&judged, &change.mission, project, &commit);
    change.commit = Some((commit, format!("Add tasks for feature {}", change.mission.slug)));
    Ok(Planned { request: request.clone(), change: Some(change), outcome, plan })
}

/// The judgement on a mission's work packages.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) mission_slug: String,
    pub(super) mission_id: Option<String>,
    pub(super) target: String,
    /// Whether `meta.json` has another target branch.
    sets_target: bool,
    pub(super) log: MissionLog,
    pub(super) packages: Packages,
    pub(super) completion: Completion,
    pub(super) ownership_warnings: Vec<String>,
    /// None without a `tasks.md`.
    pub(super) allocation: Option<Allocation>,
    /// `lanes.json` as it is.
    known_lanes: Option<KnownLanes>,
    /// Whether the lanes in it stay, because work has begun.
    keeps_lanes: bool,
    /// Work packages without any lane row.
    pub(super) unseeded: Vec<String>,
}

fn read_judged(project: &Project, request: &FinalizeRequest) -> Result<(MissionDirectory, Judged)> {
    let mut mission = project.mission(request.mission.as_deref())?;
    let sets_target = retarget(&mut mission, request)?;
    let target = mission.target_branch(project).to_owned();
    let mut packages = packages::read_packages(&mission)?;
    let log = read_mission_log(project, &mission)?;
    packages.judge_active(&snapshot::reduce(&[&log], mission.dialect(&log)))?;
    let merge_target = mission.merge_target_branch(project);
    let completion = completion::complete(&packages, &mission.slug, &target, merge_target)?;
    let ownership_warnings = completion::judge_owners(project, &packages, &completion)?;
    let known_lanes = allocation::read_lanes(&mission.path)?;
    let keeps_lanes = known_lanes.is_some() && log.moves().iter().any(has_begun);
    let allocation = match packages.has_tasks_md() {
        true => Some(allocate(&packages, &completion, known_lanes.as_ref(), keeps_lanes)?),
        false => None,
    };
    let seeded = log.moved_packages();
    let unseeded =
        packages.files.iter().map(|wp| wp.id.clone()).filter(|id| !seeded.contains(id.as_str())).collect();
    let judged = Judged {
        mission_slug: mission.slug.clone(),
        mission_id: mission.mission_id().map(str::to_owned),
        target,
        sets_target,
        packages,
        completion,
        ownership_warnings,
        allocation,
        known_lanes,
        keeps_lanes,
        unseeded,
        log,
    };
    Ok((mission, judged))
}

/// Takes over the target branch of the request. Returns whether the mission had another one.
fn retarget(mission: &mut MissionDirectory, request: &FinalizeRequest) -> Result<bool> {
    let Some(target) = request.target_branch.as_deref().map(str::trim) else { return Ok(false) };
    let wrong = |problem: String| MissionError::Argument { name: "--target-branch", problem };
    if !meta::is_branch_name(target) {
        let shown = contract::text::printable(target);
        return Err(wrong(format!("`{shown}` cannot be the name of a branch")));
    }
    let missing = || wrong(format!("is recorded in meta.json, which {} lacks", mission.slug));
    let meta = mission.meta.as_ref().ok_or_else(missing)?;
    if meta.target_branch() == Some(target) {
        return Ok(false);
    }
    mission.meta = Some(meta.with_target_branch(target));
    Ok(true)
}

/// Whether a row shows that work has begun: planning and its cancellation do not.
fn has_begun(row: &LaneMove) -> bool {
    let is_work = |lane: Lane| lane.is_on_board() && !matches!(lane, Lane::Planned | Lane::Canceled);
    is_work(row.from) || is_work(row.to)
}

/// The lanes of the work packages that are not canceled. Those of begun work stay, whatever the rules are now.
fn allocate(
    packages: &Packages,
    completion: &Completion,
    known: Option<&KnownLanes>,
    keeps: bool,
) -> Result<Allocation> {
    let (graph, owners) = (packages.active(), &completion.owners);
    let surfaces = packages.files.iter().map(|wp| (wp.id.clone(), allocation::surfaces(wp.body()))).collect();
    let allocation = match known {
        Some(known) if keeps => allocation::extend(known.allocation(), &graph, owners, &surfaces),
        _ => {
            let grouping = known.map_or(Grouping::ByFiles, KnownLanes::grouping);
            allocation::compute(grouping, &graph, owners, &surfaces)
        }
    };
    allocation.map_err(|error| match &error {
        allocation::AllocationError::Cycle(cycle) => MissionError::invalid(
            ErrorCode::LaneDependencyCycle,
            error.to_string(),
            &json!({ "cycle": cycle, "cycle_path": cycle }),
        ),
        allocation::AllocationError::NoOwner(id) => {
            MissionError::invalid(ErrorCode::LaneWithoutOwner, error.to_string(), &json!({ "wp_id": id }))
        }
    })
}

/// The rows that the log lacks: facts first, then the first lane row of each work package.
fn rows(project: &Project, mission: &MissionDirectory, judged: &Judged, clock: &Clock) -> Vec<Row> {
    let (slug, at) = (mission.slug.as_str(), clock.now());
    let count = judged.packages.files.len();
    let mut rows = Vec::new();
    if !has_fact(&judged.log, FactKind::TasksStarted, "mission_slug", slug) {
        let payload = json!({ "mission_slug": slug, "actor": ACTOR, "at": at.iso(), "wp_count": count });
        rows.push(mission_fact(FactKind::TasksStarted, slug, clock.ulid(), &at.iso(), payload));
    }
    for wp in &judged.packages.files {
        if has_fact(&judged.log, FactKind::WPCreated, "wp_id", &wp.id) {
            continue;
        }
        let payload = json!({
            "mission_slug": slug,
            "wp_id": wp.id,
            "wp_title": wp.title,
            "depends_on": judged.completion.dependencies(&wp.id),
            "actor": ACTOR,
            "created_at": at.iso(),
            "wp_path": project.relative(&wp.path),
        });
        rows.push(Row::Fact(FactRow {
            event_id: clock.ulid(),
            kind: FactKind::WPCreated,
            aggregate_id: wp.id.clone(),
            timestamp: at.iso(),
            payload: payload.as_object().cloned().unwrap_or_default(),
            project: None,
        }));
    }
    let artifact = project.relative(&mission.path.join(tasks::FILE));
    if !has_fact(&judged.log, FactKind::TasksCompleted, "artifact_path", &artifact) {
        let payload = json!({ "mission_slug": slug, "actor": ACTOR, "at": at.iso(), "artifact_path": artifact, "wp_count": count });
        rows.push(mission_fact(FactKind::TasksCompleted, slug, clock.ulid(), &at.iso(), payload));
    }
    let seeds = judged.unseeded.iter().zip(0_i64..);
    let dialect = mission.dialect(&judged.log);
    rows.extend(seeds.map(|(id, n)| {
        let mut row = seed(mission, id, clock.ulid(), at.plus_micros(n).iso());
        if dialect == Dialect::Current {
            (row.from_lane, row.force) = (Lane::Genesis, false);
        }
        Row::Lane(row)
    }));
    rows
}

fn seed(mission: &MissionDirectory, wp_id: &str, event_id: String, at: String) -> LaneRow {
    LaneRow {
        event_id,
        mission_slug: mission.slug.clone(),
        mission_id: mission.mission_id().map(str::to_owned),
        wp_id: wp_id.to_owned(),
        from_lane: Lane::Planned,
        to_lane: Lane::Planned,
        at,
        actor: SEEDER.0.to_owned(),
        force: true,
        execution_mode: ExecutionMode::Worktree.name().to_owned(),
        reason: Some(SEEDER.1.to_owned()),
        reason_source: None,
        review_ref: None,
        review_result: None,
        evidence: None,
        policy_metadata: None,
    }
}

/// The text of `lanes.json`; the existing one stays when only its time or its commit would differ.
fn lanes_text(
    project: &Project,
    mission: &MissionDirectory,
    judged: &Judged,
    request: &FinalizeRequest,
    clock: &Clock,
) -> Result<Option<String>> {
    let Some(allocation) = &judged.allocation else { return Ok(None) };
    let known = judged.known_lanes.as_ref();
    if let Some(known) = known.filter(|_| judged.keeps_lanes) {
        let mut texts = Vec::new();
        if judged.sets_target {
            texts.push(("target_branch", judged.target.clone()));
        }
        if request.refresh_planning_commit {
            texts.push((PLANNING_COMMIT, refreshed_commit(project, known, &judged.target)?));
        }
        texts.retain(|(key, text)| known.text(key) != Some(text));
        let is_same = known.allocation() == allocation && texts.is_empty();
        return Ok(Some(if is_same { known.text.clone() } else { known.extended(allocation, texts) }));
    }
    let render = |computed_at: &str, planning_commit: Option<&str>| {
        let header = Header {
            mission_slug: &mission.slug,
            mission_id: mission.mission_id(),
            target_branch: &judged.target,
            computed_at,
            grouping: known.map_or(Grouping::ByFiles, KnownLanes::grouping),
            planning_commit,
        };
        allocation::render(&header, allocation)
    };
    let same = known.filter(|known| {
        let computed_at = known.text("computed_at").unwrap_or_default();
        !request.refresh_planning_commit && render(computed_at, known.text(PLANNING_COMMIT)) == known.text
    });
    if let Some(known) = same {
        return Ok(Some(known.text.clone()));
    }
    let branches = read_branches(project)?;
    let tip = branches.local(&judged.target).map(|branch| branch.commit.as_str());
    Ok(Some(render(&clock.now().iso(), tip)))
}

/// The tip of the target branch, for lanes of work that has begun. The recorded commit has to be one of its ancestors: a
/// plan that was amended grows, and a history that was rewritten is for people to judge.
fn refreshed_commit(project: &Project, known: &KnownLanes, target: &str) -> Result<String> {
    let wrong = |problem: String| MissionError::Argument { name: "--refresh-planning-commit", problem };
    let shown = contract::text::printable(target);
    if known.grouping() != Grouping::ByFiles {
        return Err(wrong(format!(
            "is for lanes with a {PLANNING_COMMIT}, and {} has none",
            allocation::FILE
        )));
    }
    let branches = read_branches(project)?;
    let tip = branches.local(target).ok_or_else(|| wrong(format!("has no local branch {shown}")))?;
    match known.text(PLANNING_COMMIT) {
        Some(recorded) if !is_ancestor(project, recorded, &tip.commit)? => Err(wrong(format!(
            "needs a plan that was amended: the recorded commit {} is not an ancestor of {shown}",
            contract::text::printable(recorded)
        ))),
        _ => Ok(tip.commit.clone()),
    }
}

/// Log, status, `tasks.md`, `lanes.json` and everything directly in `tasks/`, as far as it will exist.
fn files_to_commit(change: &Change) -> Result<Vec<PathBuf>> {
    let directory = &change.mission.path;
    let mut files = vec![
        directory.join(log::FILE),
        directory.join(snapshot::FILE),
        directory.join(tasks::FILE),
        directory.join(allocation::FILE),
        directory.join(wps::FILE),
    ];
    files.extend(Some(directory.join(meta::FILE)).filter(|path| change.files.contains_key(path)));
    files.retain(|path| change.files.contains_key(path) || path.is_file() || path.ends_with(log::FILE));
    let tasks = directory.join("tasks");
    files.extend(read_names(&tasks)?.into_iter().map(|name| tasks.join(name)).filter(|path| path.is_file()));
    files.extend(decision_files(directory)?);
    Ok(files)
}

impl Recorded for Finalized {
    fn record(&mut self, done: Done) {
        self.commit_created = done.commit.is_some();
        if done.commit.is_none() {
            self.files_committed.clear();
        }
        self.commit_hash = done.commit;
        self.coordination_commit = done.coordination_commit;
        self.capture = done.capture;
    }

    fn warnings(&mut self) -> &mut Vec<String> {
        &mut self.warnings
    }
}

/// The directory of work package files, for the outcome.
fn tasks_dir(mission: &MissionDirectory) -> String {
    shown(&mission.path.join("tasks"))
}
