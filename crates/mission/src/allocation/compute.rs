//! From graph and ownership to lanes.

use crate::graph::{Graph, ancestors, order};
use crate::ownership::pattern::{overlap, quoted};
use crate::ownership::{Ownership, WorkKind};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// The lane of planning work.
pub(crate) const PLANNING_LANE: &str = "lane-planning";

/// Reason why lanes cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocationError {
    /// A work package that changes code does not declare what it owns.
    #[error("Executable WP '{0}' has no ownership manifest: it is in tasks.md and has no file")]
    NoOwner(String),
    /// Lanes wait for each other: work on code that needs planning that needs work on code.
    #[error("lanes wait for each other: {}", .0.join(" -> "))]
    Cycle(Vec<String>),
}

/// Whether a dependency puts two work packages into one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// It makes one lane wait for the other (`depends_on_lanes`): the rule since 3.2.0rc23.
    ByFiles,
    /// It joins them: the rule of `lanes.json` without `planning_commit_sha`.
    ByDependencies,
}

/// One lane of work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AllocatedLane {
    /// `lane-a`, `lane-b`, ..., or `PLANNING_LANE`.
    pub lane_id: String,
    /// Its work packages, in the order they are done.
    pub wp_ids: Vec<String>,
    /// The patterns they own together, sorted.
    pub write_scope: Vec<String>,
    /// Surfaces that their texts mention, sorted.
    pub predicted_surfaces: Vec<String>,
    /// Its predecessors, sorted.
    pub depends_on_lanes: Vec<String>,
    /// The longest chain of predecessors; lanes of one group can run side by side.
    pub parallel_group: usize,
}

/// Merge of two work packages into one lane, with its reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MergeEvent {
    /// One of them.
    pub wp_a: String,
    /// The other.
    pub wp_b: String,
    /// `dependency`, `write_scope_overlap` or `surface_heuristic`.
    pub rule: Cow<'static, str>,
    /// Reason for the merge.
    pub evidence: String,
}

/// Every merge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CollapseReport {
    /// In the order they happened.
    pub events: Vec<MergeEvent>,
    /// Number of merges.
    pub total_merges: usize,
    /// Number of merges of work packages that do not depend on each other.
    pub independent_wps_collapsed: usize,
    /// Number of merges by each rule, in the order of first use.
    pub by_rule: serde_json::Map<String, serde_json::Value>,
}

/// The lanes of a mission.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Allocation {
    /// By files: in the order of their depth, then of their names. By dependencies: in the order of their
    /// names, planning last.
    pub lanes: Vec<AllocatedLane>,
    /// Work packages of planning, sorted.
    pub planning_artifact_wps: Vec<String>,
    /// The merges and their reasons; none when no work packages share a lane.
    pub collapse_report: Option<CollapseReport>,
}

/// Computes the lanes. `graph` names the work packages; `surfaces` names the surfaces that each mentions.
pub fn compute(
    grouping: Grouping,
    graph: &Graph,
    owners: &BTreeMap<String, Ownership>,
    surfaces: &BTreeMap<String, Vec<&'static str>>,
) -> Result<Allocation, AllocationError> {
    let is_planning =
        |id: &String| owners.get(id).is_some_and(|owner| owner.execution_mode == WorkKind::PlanningArtifact);
    let (planning, code): (Vec<String>, Vec<String>) = graph.keys().cloned().partition(is_planning);
    if let Some(orphan) = code.iter().find(|id| !owners.contains_key(*id)) {
        return Err(AllocationError::NoOwner(orphan.clone()));
    }
    let work = Work { graph, owners, surfaces };
    let mut groups = Groups::of(&code);
    if grouping == Grouping::ByDependencies {
        merge_dependencies(&mut groups, &work, &code);
    }
    merge_pairs(&mut groups, &work, &code, grouping);
    let mut lanes: Vec<AllocatedLane> =
        groups.sets().into_iter().enumerate().map(|(n, set)| work.lane(lane_name(n), &set)).collect();
    if !planning.is_empty() {
        lanes.push(work.planning_lane(&planning));
    }
    connect(&mut lanes, graph)?;
    if grouping == Grouping::ByFiles {
        lanes.sort_by(|a, b| (a.parallel_group, &a.lane_id).cmp(&(b.parallel_group, &b.lane_id)));
    }
    let collapse_report = (!groups.events.is_empty()).then(|| report(groups.events, graph));
    Ok(Allocation { lanes, planning_artifact_wps: planning, collapse_report })
}

/// Lanes for the work packages that are in none of `kept`, the lanes of work that has begun. Those stay as they are,
/// but the lane of planning takes new planning work. The new lanes wait for the old ones.
pub fn extend(
    kept: &Allocation,
    graph: &Graph,
    owners: &BTreeMap<String, Ownership>,
    surfaces: &BTreeMap<String, Vec<&'static str>>,
) -> Result<Allocation, AllocationError> {
    let mut lane_of: BTreeMap<String, String> = BTreeMap::new();
    let mut depth: BTreeMap<String, usize> = BTreeMap::new();
    for lane in &kept.lanes {
        lane_of.extend(lane.wp_ids.iter().map(|id| (id.clone(), lane.lane_id.clone())));
        depth.insert(lane.lane_id.clone(), lane.parallel_group);
    }
    let added: Graph = graph
        .iter()
        .filter(|(id, _)| !lane_of.contains_key(*id))
        .map(|(id, on)| (id.clone(), on.iter().filter(|on| !lane_of.contains_key(*on)).cloned().collect()))
        .collect();
    let mut next = compute(Grouping::ByFiles, &added, owners, surfaces)?;
    let mut extended = kept.clone();
    let mut names = (0..).map(lane_name).filter(|name| !depth.contains_key(name));
    let mut renamed: BTreeMap<String, String> = BTreeMap::new();
    for lane in next.lanes.iter().filter(|lane| lane.lane_id != PLANNING_LANE) {
        renamed.insert(lane.lane_id.clone(), names.next().unwrap_or_else(|| lane.lane_id.clone()));
    }
    for lane in &mut next.lanes {
        if let Some(name) = renamed.get(&lane.lane_id) {
            lane.lane_id.clone_from(name);
        }
        lane_of.extend(lane.wp_ids.iter().map(|id| (id.clone(), lane.lane_id.clone())));
    }
    // In the order of their depth among themselves, so that a lane's predecessors are known.
    for mut lane in next.lanes {
        let before = lane.wp_ids.iter().flat_map(|id| graph.get(id).into_iter().flatten());
        let before: BTreeSet<&String> =
            before.filter_map(|id| lane_of.get(id)).filter(|name| **name != lane.lane_id).collect();
        let deepest = before.iter().filter_map(|name| depth.get(*name)).max();
        lane.parallel_group = deepest.map_or(0, |deepest| deepest + 1);
        lane.depends_on_lanes = before.into_iter().cloned().collect();
        depth.insert(lane.lane_id.clone(), lane.parallel_group);
        match extended.lanes.iter_mut().find(|known| known.lane_id == lane.lane_id) {
            Some(planning) => {
                planning.wp_ids.extend(lane.wp_ids);
                planning.write_scope.extend(lane.write_scope);
            }
            None => extended.lanes.push(lane),
        }
    }
    extended.planning_artifact_wps.extend(next.planning_artifact_wps);
    Ok(extended)
}

/// Facts that the rules judge.
struct Work<'a> {
    graph: &'a Graph,
    owners: &'a BTreeMap<String, Ownership>,
    surfaces: &'a BTreeMap<String, Vec<&'static str>>,
}

impl Work<'_> {
    fn owned(&self, id: &str) -> &[String] {
        self.owners.get(id).map(|owner| owner.owned_files.as_slice()).unwrap_or_default()
    }

    /// That one directly depends on the other.
    fn direct(&self, id: &str, on: &str) -> Option<String> {
        let depends = self.graph.get(id).is_some_and(|all| all.iter().any(|other| other == on));
        depends.then(|| format!("{id} depends on {on}"))
    }

    fn surfaces(&self, id: &str) -> &[&'static str] {
        self.surfaces.get(id).map(Vec::as_slice).unwrap_or_default()
    }

    fn lane(&self, lane_id: String, set: &BTreeSet<String>) -> AllocatedLane {
        let scope: BTreeSet<String> = set.iter().flat_map(|id| self.owned(id)).cloned().collect();
        let surfaces: BTreeSet<&str> = set.iter().flat_map(|id| self.surfaces(id)).copied().collect();
        AllocatedLane {
            lane_id,
            wp_ids: order(set, self.graph),
            write_scope: scope.into_iter().collect(),
            predicted_surfaces: surfaces.into_iter().map(str::to_owned).collect(),
            depends_on_lanes: Vec::new(),
            parallel_group: 0,
        }
    }

    fn planning_lane(&self, ids: &[String]) -> AllocatedLane {
        let scope: BTreeSet<String> = ids.iter().flat_map(|id| self.owned(id)).cloned().collect();
        AllocatedLane {
            lane_id: PLANNING_LANE.to_owned(),
            wp_ids: ids.to_vec(),
            write_scope: scope.into_iter().collect(),
            predicted_surfaces: vec!["planning".to_owned()],
            depends_on_lanes: Vec::new(),
            parallel_group: 0,
        }
    }
}

/// Disjoint sets of work packages, with the merges that made them.
struct Groups {
    leader: BTreeMap<String, String>,
    events: Vec<MergeEvent>,
}

impl Groups {
    fn of(ids: &[String]) -> Self {
        Self { leader: ids.iter().map(|id| (id.clone(), id.clone())).collect(), events: Vec::new() }
    }

    /// Joins the sets of `a` and `b` and notes it; nothing when they are one already.
    fn merge(&mut self, a: &str, b: &str, rule: &'static str, evidence: impl FnOnce() -> String) {
        let (Some(one), Some(other)) = (self.leader.get(a).cloned(), self.leader.get(b).cloned()) else {
            return;
        };
        if one == other {
            return;
        }
        for leader in self.leader.values_mut().filter(|leader| **leader == other) {
            leader.clone_from(&one);
        }
        self.events.push(MergeEvent {
            wp_a: a.to_owned(),
            wp_b: b.to_owned(),
            rule: rule.into(),
            evidence: evidence(),
        });
    }

    /// The sets, in the order of their smallest member.
    fn sets(&self) -> Vec<BTreeSet<String>> {
        let mut sets: BTreeMap<&String, BTreeSet<String>> = BTreeMap::new();
        for (id, leader) in &self.leader {
            sets.entry(leader).or_default().insert(id.clone());
        }
        let mut sets: Vec<_> = sets.into_values().collect();
        sets.sort();
        sets
    }
}

fn merge_dependencies(groups: &mut Groups, work: &Work<'_>, code: &[String]) {
    for id in code {
        for dependency in work.graph.get(id).into_iter().flatten() {
            groups.merge(id, dependency, "dependency", || format!("{id} depends on {dependency}"));
        }
    }
}

/// First all overlapping patterns, then all shared surfaces.
fn merge_pairs(groups: &mut Groups, work: &Work<'_>, code: &[String], grouping: Grouping) {
    let pairs = || code.iter().enumerate().flat_map(|(n, a)| code[n + 1..].iter().map(move |b| (a, b)));
    for (a, b) in pairs() {
        let common = overlaps(work.owned(a), work.owned(b));
        if !common.is_empty() {
            let shown = || {
                common
                    .iter()
                    .map(|(x, y)| format!("{} vs {}", quoted(x), quoted(y)))
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            // With `ByDependencies` a dependency has joined its work packages already.
            let dependency = match grouping {
                Grouping::ByFiles => work.direct(a, b).or_else(|| work.direct(b, a)),
                Grouping::ByDependencies => None,
            };
            let dependency = dependency.map(|fact| format!("; {fact}")).unwrap_or_default();
            groups
                .merge(a, b, "write_scope_overlap", || format!("overlapping globs: {}{dependency}", shown()));
        }
    }
    for (a, b) in pairs() {
        let shared: BTreeSet<&str> =
            work.surfaces(a).iter().filter(|surface| work.surfaces(b).contains(surface)).copied().collect();
        if !shared.is_empty() && !are_disjoint(work.owned(a), work.owned(b)) {
            let names = shared.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
            groups.merge(a, b, "surface_heuristic", || {
                format!("shared surfaces [{names}] with non-disjoint ownership")
            });
        }
    }
}

fn overlaps<'a>(a: &'a [String], b: &'a [String]) -> Vec<(&'a str, &'a str)> {
    let pairs = a.iter().flat_map(|x| b.iter().map(move |y| (x.as_str(), y.as_str())));
    pairs.filter(|(x, y)| overlap(x, y)).collect()
}

/// Whether both own files and share none. A work package without known files may change any file.
fn are_disjoint(a: &[String], b: &[String]) -> bool {
    !a.is_empty() && !b.is_empty() && overlaps(a, b).is_empty()
}

/// `lane-a`, `lane-b`, ...; after `z` the next code points.
fn lane_name(n: usize) -> String {
    let letter = u32::try_from(n).ok().and_then(|n| char::from_u32('a' as u32 + n));
    format!("lane-{}", letter.unwrap_or('?'))
}

/// Fills in the predecessors of each lane, and its depth.
fn connect(lanes: &mut [AllocatedLane], graph: &Graph) -> Result<(), AllocationError> {
    let lane_of: BTreeMap<String, String> = lanes
        .iter()
        .flat_map(|lane| lane.wp_ids.iter().map(|id| (id.clone(), lane.lane_id.clone())))
        .collect();
    let mut before: Graph = Graph::new();
    for lane in lanes.iter() {
        let other: BTreeSet<String> = lane
            .wp_ids
            .iter()
            .flat_map(|id| graph.get(id).into_iter().flatten())
            .filter_map(|dependency| lane_of.get(dependency))
            .filter(|other| **other != lane.lane_id)
            .cloned()
            .collect();
        before.insert(lane.lane_id.clone(), other.into_iter().collect());
    }
    if let Some(cycle) = crate::graph::cycles(&before).into_iter().next() {
        return Err(AllocationError::Cycle(cycle));
    }
    let names: BTreeSet<String> = before.keys().cloned().collect();
    let mut depth: BTreeMap<String, usize> = BTreeMap::new();
    for name in order(&names, &before) {
        let deepest = before.get(&name).into_iter().flatten().filter_map(|other| depth.get(other)).max();
        depth.insert(name, deepest.map_or(0, |deepest| deepest + 1));
    }
    for lane in lanes {
        lane.parallel_group = depth.get(&lane.lane_id).copied().unwrap_or_default();
        lane.depends_on_lanes = before.remove(&lane.lane_id).unwrap_or_default();
    }
    Ok(())
}

fn report(events: Vec<MergeEvent>, graph: &Graph) -> CollapseReport {
    let mut by_rule = serde_json::Map::new();
    for event in &events {
        let count = by_rule.get(&*event.rule).and_then(serde_json::Value::as_u64).unwrap_or_default();
        by_rule.insert(event.rule.clone().into_owned(), (count + 1).into());
    }
    let independent = |event: &&MergeEvent| {
        event.rule != "dependency"
            && !ancestors(graph, &event.wp_a).contains(event.wp_b.as_str())
            && !ancestors(graph, &event.wp_b).contains(event.wp_a.as_str())
    };
    CollapseReport {
        total_merges: events.len(),
        independent_wps_collapsed: events.iter().filter(independent).count(),
        by_rule,
        events,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(owned: &[(&str, &str)]) -> BTreeMap<String, Ownership> {
        let owner = |pattern: &str| Ownership {
            execution_mode: match pattern.starts_with("docs/") {
                true => WorkKind::PlanningArtifact,
                false => WorkKind::CodeChange,
            },
            owned_files: vec![pattern.to_owned()],
            authoritative_surface: String::new(),
            codebase_wide: false,
        };
        owned.iter().map(|(id, pattern)| ((*id).to_owned(), owner(pattern))).collect()
    }

    fn graph(edges: &[(&str, &[&str])]) -> Graph {
        edges
            .iter()
            .map(|(id, on)| ((*id).to_owned(), on.iter().map(|on| (*on).to_owned()).collect()))
            .collect()
    }

    fn shown(allocation: &Allocation) -> Vec<(&str, String, String, usize)> {
        let lanes = allocation.lanes.iter();
        lanes
            .map(|lane| {
                (
                    lane.lane_id.as_str(),
                    lane.wp_ids.join(" "),
                    lane.depends_on_lanes.join(" "),
                    lane.parallel_group,
                )
            })
            .collect()
    }

    #[test]
    fn dependency_makes_one_lane_wait_for_the_other() {
        let graph = graph(&[("WP01", &["WP03"]), ("WP02", &["WP01"]), ("WP03", &[])]);
        let owners = owners(&[("WP01", "src/a"), ("WP02", "src/a/x"), ("WP03", "src/c")]);
        let by_files = compute(Grouping::ByFiles, &graph, &owners, &BTreeMap::new()).unwrap();
        let (a, b) = ("lane-a", "lane-b");
        assert_eq!(
            shown(&by_files),
            [(b, "WP03".into(), "".into(), 0), (a, "WP01 WP02".into(), b.into(), 1)]
        );
        let event = &by_files.collapse_report.as_ref().unwrap().events[0];
        assert!(event.evidence.ends_with("; WP02 depends on WP01"), "{event:?}");
        let joined = compute(Grouping::ByDependencies, &graph, &owners, &BTreeMap::new()).unwrap();
        assert_eq!(shown(&joined), [(a, "WP03 WP01 WP02".into(), "".into(), 0)]);
    }

    #[test]
    fn lanes_of_begun_work_stay_and_new_work_packages_get_their_own() {
        let owned = [("WP01", "src/a"), ("WP02", "src/b"), ("WP03", "src/a/x"), ("WP04", "docs/x")];
        let first = graph(&[("WP01", &[]), ("WP02", &["WP01"])]);
        let kept = compute(Grouping::ByFiles, &first, &owners(&owned[..2]), &BTreeMap::new()).unwrap();
        let all = graph(&[("WP01", &[]), ("WP02", &["WP01"]), ("WP03", &["WP02"]), ("WP04", &["WP03"])]);
        let extended = extend(&kept, &all, &owners(&owned), &BTreeMap::new()).unwrap();
        assert_eq!(extended.lanes[..2], kept.lanes[..]);
        assert_eq!(
            shown(&extended)[2..],
            [
                ("lane-c", "WP03".into(), "lane-b".into(), 2),
                (PLANNING_LANE, "WP04".into(), "lane-c".into(), 3)
            ]
        );
        assert_eq!(extended.planning_artifact_wps, ["WP04"]);
        assert_eq!(extend(&extended, &all, &owners(&owned), &BTreeMap::new()).unwrap(), extended);
    }
}
