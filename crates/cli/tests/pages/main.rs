//! The pages of `docs/` and the README show what the program prints.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

#[cfg(unix)]
mod daemon_page;
mod docs;
mod guide;
mod install_page;
mod mission_page;
#[cfg(unix)]
mod newcomer;
mod queue_page;
mod quickstart;
mod readme;
mod reference;
#[cfg(unix)]
mod server_page;
