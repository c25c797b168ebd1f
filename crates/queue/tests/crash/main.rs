//! Processes that die, processes that race, and a model of what may come of it. Real processes, killed
//! with SIGKILL; what they said before they died is held against what is there afterwards.
#![cfg(unix)]
#![allow(clippy::print_stderr, unreachable_pub, dead_code)]

mod matrix;
mod model;
mod race;
mod stage;
#[path = "../it/support.rs"]
mod support;
mod victim;
