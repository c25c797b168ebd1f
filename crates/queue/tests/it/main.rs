//! The queue from outside: real files, real SQLite, and, where it matters, real processes.
#![allow(clippy::print_stderr, unreachable_pub, dead_code)]

mod capture;
mod fixtures;
mod health;
mod listing;
mod migration;
mod observation;
mod older_programs;
mod outbox;
mod required_cases;
mod resend;
mod support;
