//! Explicit operations on the daemon: status, start, stop, restart.
//!
//! Explicit commands replace up or down, whatever the versions are. A process is signalled only when it
//! provably holds the owner lock (`holder`).

mod restart;
mod start;
mod status;
mod stop;

pub use crate::start_rate_limit::AutomaticStarts;
pub use restart::{Idle, RestartFailure, RestartOutcome, RestartReason, restart};
pub use start::{StartOutcome, start};
pub use status::{DaemonState, DaemonStatus, observe_status};
pub use stop::{Ended, StopFailure, StopOutcome, stop};
