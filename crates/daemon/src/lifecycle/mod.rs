//! What a person does with the daemon: look at it, start it, stop it, replace it.
//!
//! Explicit commands replace up or down, whatever the versions are. A process is signalled only when it is
//! proven to hold the owner lock: lock held, a record with our keys, same boot, same start time.

mod restart;
mod start;
mod status;
mod stop;

pub use crate::restart_budget::AutomaticStarts;
pub use restart::{Idle, RestartFailure, RestartOutcome, RestartReason, restart};
pub use start::{StartOutcome, start};
pub use status::{DaemonState, DaemonStatus, observe_status};
pub use stop::{Ended, StopFailure, StopOutcome, stop};
