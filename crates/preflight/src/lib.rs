//! The observer: reads the machine, asks the gate, and tells the truth about both.
//!
//! | module | owns |
//! |---|---|
//! | [`boundary`] | the one entrance: preflight, permits, the status document |
//! | [`consent_of`] | config.toml's decisions as the queue asks for them |
//! | [`Elsewhere`] | rows outside the active queue DB, with the command that helps |
//! | [`observer`] | facts from the disk and the system; the only caller of `gate::judge` |
//! | [`owner`] | reading the daemon owner record, its lock, its process, and stray daemons |
//! | [`status`] | the status document |
//!
//! Read-only, provably: no write, no directory, no lock file, no SQLite side file, no network, no
//! process. The one exception is asked for by name: a command that may write lets SQLite roll an
//! interrupted transaction back when that is the only thing wrong (contract section 4).

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
pub use consent::consent_of;
pub use others::{Elsewhere, OtherQueueStatus};
pub use project_stores::ProjectStoreStatus;
