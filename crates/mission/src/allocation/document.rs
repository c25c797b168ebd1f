//! The file `lanes.json`, and the branch and worktree of each lane.

use super::compute::{Allocation, CollapseReport, Lane, PLANNING_LANE};
use crate::slug;
use contract::json;
use serde::Serialize;

/// The file's name in a mission directory.
pub const FILE: &str = "lanes.json";

/// What the file says beside the lanes.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// Directory name of the mission.
    pub mission_slug: &'a str,
    /// ULID of the mission; its slug when it has none.
    pub mission_id: &'a str,
    /// The branch it lands on.
    pub target_branch: &'a str,
    /// When the lanes were computed.
    pub computed_at: &'a str,
}

/// The file, in the order of its keys.
#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    mission_slug: &'a str,
    mission_id: &'a str,
    mission_branch: String,
    target_branch: &'a str,
    lanes: &'a [Lane],
    computed_at: &'a str,
    computed_from: &'static str,
    planning_artifact_wps: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    collapse_report: Option<&'a CollapseReport>,
}

/// The bytes of `lanes.json`.
pub fn render(header: &Header<'_>, allocation: &Allocation) -> String {
    json::ordered_ascii_document(&Document {
        version: 1,
        mission_slug: header.mission_slug,
        mission_id: header.mission_id,
        mission_branch: format!("kitty/mission-{}", header.mission_slug),
        target_branch: header.target_branch,
        lanes: &allocation.lanes,
        computed_at: header.computed_at,
        computed_from: "dependency_graph+ownership",
        planning_artifact_wps: &allocation.planning_artifact_wps,
        collapse_report: allocation.collapse_report.as_ref(),
    })
}

/// The branch of a lane: `kitty/mission-<human>-<mid8>-lane-x`, or with the whole slug for a mission
/// without an identity; the planning branch for planning.
pub fn branch_of(
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
pub fn worktree_of(lane_id: &str, mission_slug: &str, mission_id: Option<&str>) -> Option<String> {
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
    fn a_lane_has_a_branch_and_a_worktree_and_planning_has_none() {
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
