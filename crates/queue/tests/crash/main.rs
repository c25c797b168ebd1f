//! Processes that die, processes that race, and a model of the allowed results. Real processes, killed
//! with SIGKILL; their output before the kill is compared with the files after it.
#![cfg(unix)]
#![allow(clippy::print_stderr, unreachable_pub, dead_code)]

mod matrix;
mod model;
mod race;
mod stage;
#[path = "../it/support.rs"]
mod support;
mod victim;
