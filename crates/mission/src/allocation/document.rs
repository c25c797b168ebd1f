//! The file `lanes.json`, and the branch and worktree of each lane.

use super::compute::{AllocatedLane, Allocation, CollapseReport, Grouping, PLANNING_LANE};
use crate::document::{MAX_JSON, read_text};
use crate::error::{MissionError, Result};
use crate::slug;
use contract::json;
use serde::Serialize;
use serde_json::{Map, Value};
use std::path::Path;

/// The file's name in a mission directory.
pub const FILE: &str = "lanes.json";

/// The key of the commit of the target branch; only lanes by files have it.
pub const PLANNING_COMMIT: &str = "planning_commit_sha";

/// The file's content beside the lanes.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// Directory name of the mission.
    pub mission_slug: &'a str,
    /// ULID of the mission, when it has one.
    pub mission_id: Option<&'a str>,
    /// The branch it lands on.
    pub target_branch: &'a str,
    /// Time of the computation.
    pub computed_at: &'a str,
    /// By which rule.
    pub grouping: Grouping,
    /// The commit of the target branch at that time; only written for lanes by files.
    pub planning_commit: Option<&'a str>,
}

/// The file, in the order of its keys.
#[derive(Serialize)]
struct LanesDocument<'a> {
    version: u32,
    mission_slug: &'a str,
    mission_id: Option<&'a str>,
    mission_branch: String,
    target_branch: &'a str,
    lanes: &'a [AllocatedLane],
    computed_at: &'a str,
    computed_from: &'static str,
    planning_artifact_wps: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    planning_commit_sha: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    collapse_report: Option<&'a CollapseReport>,
}

/// The bytes of `lanes.json`.
pub fn render(header: &Header<'_>, allocation: &Allocation) -> String {
    let by_files = header.grouping == Grouping::ByFiles;
    let slug = header.mission_slug;
    let own = header.mission_id.map(slug::mid8).filter(|mid8| by_files && !slug.ends_with(mid8));
    json::ordered_ascii_document(&LanesDocument {
        version: 1,
        mission_slug: slug,
        // The older form has the name where there is no identity.
        mission_id: header.mission_id.or((!by_files).then_some(slug)),
        mission_branch: match own {
            Some(mid8) => format!("kitty/mission-{slug}-{mid8}"),
            None => format!("kitty/mission-{slug}"),
        },
        target_branch: header.target_branch,
        lanes: &allocation.lanes,
        computed_at: header.computed_at,
        computed_from: "dependency_graph+ownership",
        planning_artifact_wps: &allocation.planning_artifact_wps,
        planning_commit_sha: by_files.then_some(header.planning_commit),
        collapse_report: allocation.collapse_report.as_ref(),
    })
}

/// A `lanes.json` that was read.
#[derive(Clone, Debug)]
pub struct KnownLanes {
    /// Its bytes.
    pub text: String,
    document: Map<String, Value>,
    allocation: Allocation,
}

/// Reads the `lanes.json` of a mission directory; nothing when there is none.
pub(crate) fn read_lanes(mission_dir: &Path) -> Result<Option<KnownLanes>> {
    let path = mission_dir.join(FILE);
    let Some(text) = read_text(&path, MAX_JSON)? else { return Ok(None) };
    let wrong =
        |error: serde_json::Error| MissionError::malformed(&path, format!("is not a `lanes.json`: {error}"));
    let document: Map<String, Value> = serde_json::from_str(&text).map_err(wrong)?;
    let allocation = serde_json::from_value(Value::Object(document.clone())).map_err(wrong)?;
    Ok(Some(KnownLanes { text, document, allocation }))
}

impl KnownLanes {
    /// The lanes in it.
    pub const fn allocation(&self) -> &Allocation {
        &self.allocation
    }

    /// The rule for lanes that are computed again.
    pub fn grouping(&self) -> Grouping {
        match self.document.contains_key(PLANNING_COMMIT) {
            true => Grouping::ByFiles,
            false => Grouping::ByDependencies,
        }
    }

    /// A key with a text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.document.get(key).and_then(Value::as_str)
    }

    /// The bytes of the same file with more lanes and with these texts, every other key as it is.
    pub fn extended(&self, allocation: &Allocation, texts: Vec<(&str, String)>) -> String {
        let mut document = self.document.clone();
        let mut set = |key: &str, value: serde_json::Result<Value>| {
            document.insert(key.to_owned(), value.unwrap_or_default());
        };
        set("lanes", serde_json::to_value(&allocation.lanes));
        set("planning_artifact_wps", serde_json::to_value(&allocation.planning_artifact_wps));
        texts.into_iter().for_each(|(key, text)| set(key, Ok(text.into())));
        json::ordered_ascii_document(&document)
    }
}

/// The branch of a lane: `kitty/mission-<human>-<mid8>-lane-x`, or with the whole slug for a mission
/// without an identity; the planning branch for planning.
pub(crate) fn branch_of(
    lane_id: &str,
    mission_slug: &str,
    mission_id: Option<&str>,
    planning_branch: &str,
) -> String {
    if lane_id == PLANNING_LANE {
        return planning_branch.to_owned();
    }
    format!("kitty/mission-{}-{lane_id}", stem(mission_slug, mission_id))
}

/// The worktree of a lane, relative to the project: `.worktrees/<human>-<mid8>-lane-x`. Planning has
/// none: it is done in the main checkout.
pub(crate) fn worktree_of(lane_id: &str, mission_slug: &str, mission_id: Option<&str>) -> Option<String> {
    (lane_id != PLANNING_LANE).then(|| format!(".worktrees/{}-{lane_id}", stem(mission_slug, mission_id)))
}

fn stem(mission_slug: &str, mission_id: Option<&str>) -> String {
    match mission_id {
        Some(id) => format!("{}-{}", slug::human(mission_slug), slug::mid8(id)),
        None => mission_slug.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lane_has_a_branch_and_a_worktree_and_planning_has_none() {
        let (slug, id) = ("user-auth-01KRX11M", Some("01KRX11MABCDEFGHJKMNPQRSTV"));
        assert_eq!(branch_of("lane-a", slug, id, "main"), "kitty/mission-user-auth-01KRX11M-lane-a");
        assert_eq!(worktree_of("lane-a", slug, id).unwrap(), ".worktrees/user-auth-01KRX11M-lane-a");
        assert_eq!(branch_of("lane-b", "042-x", None, "main"), "kitty/mission-042-x-lane-b");
        assert_eq!(
            (branch_of(PLANNING_LANE, slug, id, "main").as_str(), worktree_of(PLANNING_LANE, slug, id)),
            ("main", None)
        );
    }
}
