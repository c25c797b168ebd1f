//! Identity read from files, against recorded states and states made here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

mod git_repositories;
mod hostile_files;
mod logins;
mod projects;
mod recorded_logins;
mod recorded_projects;
mod recorded_vectors;
mod sessions;
mod world;
