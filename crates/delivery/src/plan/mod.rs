//! How much goes into one request, and what is tried after a refusal.
//!
//! Pure: no clock, no network, no queue. Owns the limits a server advertises, the pace that obeys them,
//! and the order in which the pieces of a refused batch are tried again.

mod batch_sizing;
mod batch_splitter;
mod limits;

pub use batch_sizing::{Pace, Room};
pub use batch_splitter::Pieces;
pub use limits::{Limits, read_health_limits, read_limits};
