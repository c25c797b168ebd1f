//! Development only: simulation of queue, delivery and server in one process, over databases and a network that fail. A
//! seed decides steps, faults and clock, so equal seeds have equal histories.
//!
//! | module | owns |
//! |---|---|
//! | `history` | the steps of a history, and its end |
//! | `expectation` | expected rows and consent, recorded beside the history |
//! | `machine` | a home, and the commands on it |
//! | `server` | the server without its sockets, on a disk of its own |
//! | `network` | faults of requests and answers; built-in defects |
//! | `request` | content of a request |
//! | `disk` | disks that fail |
//! | `random` | random numbers of a seed |
//!
//! Random ids and secrets do not depend on the seed, and no decision depends on their value.
#![cfg(unix)]

mod disk;
mod expectation;
mod history;
mod machine;
mod network;
mod random;
mod request;
mod server;

pub use history::{HistoryEnd, HistoryFailure, Simulation};
pub use network::{BuiltInDefect, Tally};

/// Seeds whose history violated an invariant once, one a line, each with what it found.
pub const KEPT_SEEDS: &str = include_str!("../kept-seeds.txt");

/// The seeds of [`KEPT_SEEDS`].
pub fn kept_seeds() -> impl Iterator<Item = u64> {
    KEPT_SEEDS.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok())
}
