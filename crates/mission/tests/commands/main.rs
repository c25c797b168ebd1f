//! The commands on real repositories: temporary directories, the real git, a real queue.

#![allow(clippy::unwrap_used)]

mod agents;
mod capture;
mod commit;
mod coordination;
mod create;
mod current;
mod decision;
mod emit;
mod evidence;
mod finalize;
mod links;
mod mapping;
mod owned_checkout;
mod setup_plan;
mod status;
mod tasks;
mod world;
