//! `lanes.json`: which work packages are done together, in one worktree, and in which order.
//!
//! Pure. Not to be confused with the lanes of [`crate::lane`], which are the states of a work package; here a lane is
//! a lane of work. Work packages that may touch the same files share a lane. A lane waits for the lanes that its work
//! packages depend on. Planning work is done on the planning branch, in the lane `lane-planning`. The lanes of work
//! that has begun are never recomputed.
//!
//! | module | owns |
//! |---|---|
//! | [`mod@compute`] | from graph and ownership to lanes |
//! | [`document`] | the file, and the branch and worktree of each lane |
//! | [`surface`] | product surfaces that a text mentions |

pub mod compute;
pub mod document;
pub mod surface;

pub(crate) use compute::PLANNING_LANE;
pub use compute::{
    AllocatedLane, Allocation, AllocationError, CollapseReport, Grouping, MergeEvent, compute, extend,
};
pub use document::{FILE, Header, KnownLanes, PLANNING_COMMIT, render};
pub(crate) use document::{branch_of, read_lanes, worktree_of};
pub use surface::surfaces;
