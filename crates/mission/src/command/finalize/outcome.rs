//! Reports of finalizing and of its preview. JSON keys as the reference writes them, and ours.

use super::{Judged, tasks_dir};
use crate::allocation::{Allocation, CollapseReport, PLANNING_LANE, branch_of, worktree_of};
use crate::graph::Graph;
use crate::outgoing::CaptureReport;
use crate::project::{MissionDirectory, Project};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Counts of the work packages that got their first lane row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bootstrap {
    /// All.
    pub total_wps: usize,
    /// Those that got one now.
    pub newly_seeded: usize,
    /// Those that had one.
    pub already_initialized: usize,
}

/// The lanes that were computed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LanesSummary {
    /// Whether there was a `tasks.md` to compute them from.
    pub computed: bool,
    /// Number of lanes.
    pub count: usize,
    /// Their names.
    pub lane_ids: Vec<String>,
    /// Work packages of planning.
    pub planning_artifact_wps: Vec<String>,
    /// Merges of lanes, with their reasons.
    pub collapse_report: Option<CollapseReport>,
    /// Worktree and branch of each lane.
    pub workspaces: Vec<LaneWorkspace>,
}

/// Worktree and branch of a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LaneWorkspace {
    /// The lane.
    pub lane_id: String,
    /// Its branch.
    pub branch: String,
    /// Its worktree, relative to the project; null for planning, which is done in the main checkout.
    pub worktree: Option<String>,
    /// Its work packages, in order.
    pub wp_ids: Vec<String>,
}

/// One work package whose front matter is completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WouldModify {
    /// The work package.
    pub wp_id: String,
    /// Keys that are set.
    pub changes: Map<String, Value>,
}

/// The previews of `--validate-only`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Previews {
    /// First lane rows.
    pub bootstrap_preview: Bootstrap,
    /// Lanes.
    pub lanes_preview: LanesSummary,
}

/// The outcome of `--validate-only`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Validated {
    /// `validation_passed`.
    pub result: &'static str,
    /// Directory name.
    pub mission_slug: String,
    /// Number of work packages.
    pub wp_count: usize,
    /// True.
    pub validate_only: bool,
    /// Those whose front matter lacks something.
    pub would_modify: Vec<WouldModify>,
    /// Those whose dependencies stay because no document names work packages.
    pub would_preserve: Vec<String>,
    /// Those that are complete.
    pub unchanged: Vec<String>,
    /// Number of work packages that lack something.
    pub updated_wp_count: usize,
    /// Warnings about ownership.
    pub ownership_warnings: Vec<String>,
    /// Requirements and references that count nowhere.
    pub requirement_extraction_warnings: Vec<String>,
    /// Criteria that can be seen only when the work has landed.
    pub post_integration_acceptance_warnings: Vec<String>,
    /// Warnings about parts of documents that are not read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Previews of lane rows and lanes.
    pub validation: Previews,
    /// For people.
    pub message: &'static str,
}

/// The outcome of finalizing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finalized {
    /// `success`.
    pub result: &'static str,
    /// Directory name.
    pub mission_slug: String,
    /// Number of work packages.
    pub wp_count: usize,
    /// Number of front matters that were completed.
    pub updated_wp_count: usize,
    /// Work packages whose front matter was completed.
    pub modified_wps: Vec<String>,
    /// Work packages whose front matter was complete.
    pub unchanged_wps: Vec<String>,
    /// Work packages whose dependencies stayed because no document names work packages.
    pub preserved_wps: Vec<String>,
    /// The directory of their files.
    pub tasks_dir: String,
    /// Whether there was anything to commit.
    pub commit_created: bool,
    /// The commit.
    pub commit_hash: Option<String>,
    /// The commit on the coordination branch, when lane rows are kept there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coordination_commit: Option<String>,
    /// Files of the commit, relative to the project.
    pub files_committed: Vec<String>,
    /// Dependencies as in the documents.
    pub dependencies_parsed: Graph,
    /// Requirements as in the documents.
    pub requirement_refs_parsed: BTreeMap<String, Vec<String>>,
    /// First lane rows.
    pub bootstrap: Bootstrap,
    /// Lanes.
    pub lanes: LanesSummary,
    /// Warnings about ownership.
    pub ownership_warnings: Vec<String>,
    /// Requirements and references that count nowhere.
    pub requirement_extraction_warnings: Vec<String>,
    /// Criteria that can be seen only when the work has landed.
    pub post_integration_acceptance_warnings: Vec<String>,
    /// Other warnings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Captured facts.
    pub capture: CaptureReport,
}

impl Bootstrap {
    fn of(judged: &Judged) -> Self {
        let (total, seeded) = (judged.packages.files.len(), judged.unseeded.len());
        Self { total_wps: total, newly_seeded: seeded, already_initialized: total - seeded }
    }
}

impl LanesSummary {
    fn of(judged: &Judged) -> Self {
        let Some(allocation) = &judged.allocation else { return Self::default() };
        Self {
            computed: true,
            count: allocation.lanes.len(),
            lane_ids: allocation.lanes.iter().map(|lane| lane.lane_id.clone()).collect(),
            planning_artifact_wps: allocation.planning_artifact_wps.clone(),
            collapse_report: collapse_report(allocation),
            workspaces: workspaces(
                allocation,
                &judged.mission_slug,
                judged.mission_id.as_deref(),
                &judged.target,
            ),
        }
    }
}

/// Merges of lanes, with their reasons; nothing where only planning is to be done.
fn collapse_report(allocation: &Allocation) -> Option<CollapseReport> {
    let code = allocation.lanes.iter().any(|lane| lane.lane_id != PLANNING_LANE);
    code.then(|| allocation.collapse_report.clone().unwrap_or_default())
}

/// Worktree and branch of each lane.
fn workspaces(
    allocation: &Allocation,
    slug: &str,
    id: Option<&str>,
    planning_branch: &str,
) -> Vec<LaneWorkspace> {
    let lanes = allocation.lanes.iter();
    lanes
        .map(|lane| LaneWorkspace {
            branch: branch_of(&lane.lane_id, slug, id, planning_branch),
            worktree: worktree_of(&lane.lane_id, slug, id),
            lane_id: lane.lane_id.clone(),
            wp_ids: lane.wp_ids.clone(),
        })
        .collect()
}

fn ids(judged: &Judged, wanted: impl Fn(&super::completion::Completed) -> bool) -> Vec<String> {
    judged.completion.packages.iter().filter(|wp| wanted(wp)).map(|wp| wp.id.clone()).collect()
}

impl Validated {
    /// All warnings.
    pub fn all_warnings(&self) -> Vec<String> {
        [
            &self.ownership_warnings[..],
            &self.requirement_extraction_warnings,
            &self.post_integration_acceptance_warnings,
            &self.warnings,
        ]
        .concat()
    }

    pub(super) fn of(judged: &Judged) -> Self {
        let would_modify: Vec<WouldModify> = judged
            .completion
            .packages
            .iter()
            .filter(|wp| !wp.changes.is_empty())
            .map(|wp| WouldModify { wp_id: wp.id.clone(), changes: wp.changes.clone() })
            .collect();
        Self {
            result: "validation_passed",
            mission_slug: judged.mission_slug.clone(),
            wp_count: judged.packages.files.len(),
            validate_only: true,
            updated_wp_count: would_modify.len(),
            would_modify,
            would_preserve: ids(judged, |wp| wp.preserved),
            unchanged: ids(judged, |wp| wp.changes.is_empty()),
            ownership_warnings: judged.ownership_warnings.clone(),
            requirement_extraction_warnings: judged.packages.uncounted.clone(),
            post_integration_acceptance_warnings: judged.completion.late_criteria.clone(),
            warnings: judged.packages.warnings.clone(),
            validation: Previews {
                bootstrap_preview: Bootstrap::of(judged),
                lanes_preview: LanesSummary::of(judged),
            },
            message: "Everything is in order; nothing was written.",
        }
    }
}

impl Finalized {
    /// All warnings.
    pub fn all_warnings(&self) -> Vec<String> {
        [
            &self.ownership_warnings[..],
            &self.requirement_extraction_warnings,
            &self.post_integration_acceptance_warnings,
            &self.warnings,
        ]
        .concat()
    }

    pub(super) fn planned(
        judged: &Judged,
        mission: &MissionDirectory,
        project: &Project,
        commit: &[PathBuf],
    ) -> Self {
        let modified_wps = ids(judged, |wp| !wp.changes.is_empty());
        Self {
            result: "success",
            mission_slug: judged.mission_slug.clone(),
            wp_count: judged.packages.files.len(),
            updated_wp_count: modified_wps.len(),
            modified_wps,
            unchanged_wps: ids(judged, |wp| wp.changes.is_empty()),
            preserved_wps: ids(judged, |wp| wp.preserved),
            tasks_dir: tasks_dir(mission),
            commit_created: false,
            commit_hash: None,
            coordination_commit: None,
            files_committed: commit.iter().map(|path| project.relative(path)).collect(),
            dependencies_parsed: judged.packages.graph.clone(),
            requirement_refs_parsed: judged.packages.requirements.clone(),
            bootstrap: Bootstrap::of(judged),
            lanes: LanesSummary::of(judged),
            ownership_warnings: judged.ownership_warnings.clone(),
            requirement_extraction_warnings: judged.packages.uncounted.clone(),
            post_integration_acceptance_warnings: judged.completion.late_criteria.clone(),
            warnings: judged.packages.warnings.clone(),
            capture: CaptureReport::default(),
        }
    }
}
