//! The daemon as processes, through `daemon-bench`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

mod common;
mod control_plane;
mod deliverer;
mod doctor;
mod lifecycle;
mod ownership_model;
mod protocol;
mod retirement;
mod signals;
