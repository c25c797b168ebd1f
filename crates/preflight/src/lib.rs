//! Observer: reads the machine, asks the gate and builds the status document.
//!
//! | module | owns |
//! |---|---|
//! | [`boundary`] | entry point: preflight, permits, the status document |
//! | [`consent_of`] | adapter from config.toml's decisions to the queue |
//! | [`Elsewhere`] | rows outside the active queue DB, with their remedy |
//! | [`observer`] | facts from the disk and the system; the only caller of `gate::judge` |
//! | [`owner`] | reading the daemon owner record, its lock, its process, and stray daemons |
//! | [`status`] | the status document |
//!
//! Read-only: no write, no directory, no lock file, no SQLite side file, no network, no process. One exception:
//! for a command that may write, SQLite rolls an interrupted transaction back when that is the only failure
//! (contract section 4).

// Files are opened by `system::regular`, or for the reason beside the call (clippy.toml).
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod boundary;
mod consent;
pub mod observer;
mod others;
pub mod owner;
mod project_stores;
pub mod status;

pub use boundary::{Boundary, PreflightError};
pub use consent::{ConfiguredConsent, consent_of};
pub use others::{Elsewhere, OtherQueueStatus};
pub use project_stores::ProjectStoreStatus;
