//! The commands on real repositories: temporary directories, the real git, a real queue.

#![allow(clippy::unwrap_used)]

mod capture;
mod create;
mod emit;
mod setup_plan;
mod world;
