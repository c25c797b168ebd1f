//! How much goes into one request, and what is tried after a refusal.
//!
//! Pure: no clock, no network, no queue. Owns the limits a server advertises, the pace that obeys them,
//! and the order in which the pieces of a refused batch are tried again.

mod limits;
mod pace;
mod pieces;

pub use limits::{Limits, read_health_limits, read_limits};
pub use pace::{Pace, Room};
pub use pieces::Pieces;
