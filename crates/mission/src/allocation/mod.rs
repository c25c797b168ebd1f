//! `lanes.json`: which work packages are done together, in one worktree, and in which order.
//!
//! Pure. Not to be confused with the lanes of [`crate::lane`], which say how far a work package is;
//! here a lane is a line of work. Work packages that depend on each other, or that may touch the same
//! files, share one; planning work is done on the planning branch, in the lane `lane-planning`.
//!
//! | module | owns |
//! |---|---|
//! | [`mod@compute`] | from graph and ownership to lanes |
//! | [`document`] | the file, and the branch and worktree of each lane |
//! | [`surface`] | which surfaces of a product a text talks about |

pub mod compute;
pub mod document;
pub mod surface;

pub use compute::{Allocation, AllocationError, CollapseReport, Lane, MergeEvent, PLANNING_LANE, compute};
pub use document::{FILE, Header, branch_of, render, worktree_of};
pub use surface::surfaces;
