//! The pages of `docs/` and the README show what the program prints.
//! `daemon_page.rs` is a binary of its own: it looks at every process of the host.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

mod docs;
mod mission_page;
mod queue_page;
mod quickstart;
mod readme;
