//! Background delivery daemon: one per home, enforced by a file lock.
//!
//! | module | owns |
//! |---|---|
//! | [`run`] | being the daemon: from the first instruction to the end |
//! | `life` | the one loop: mail, timer, drain, shutdown |
//! | [`schedule`] | when the daemon wakes by itself |
//! | `front_desk` | where the threads meet |
//! | [`ownership`] | lock, record and control file, taken and given back together |
//! | [`record`] | the daemon owner record as this daemon writes it |
//! | [`control`] | the control plane, both sides |
//! | [`drain`] | the draining step, as the daemon knows it |
//! | [`deliverer`] | the draining step that really delivers |
//! | [`stop`] | why daemons ended |
//! | `journal` | the log |
//! | [`readiness`], [`start_failure`] | the first word of a new daemon |
//! | [`spawn`] | starting a daemon process |
//! | [`lifecycle`] | status, start, stop, restart |
//! | [`nudge`] | nudge or spawn, once something was captured |
//! | [`doctor`] | what is left of daemons, and cleaning it up |
//! | `holder` | proof that a process holds the lock; the only sender of signals |
//! | `reference` | daemons of the reference in our home |
//! | `start_rate_limit`, `version_order` | bounds on automatic starts |
//!
//! Nothing here prints: every public function returns a value that the command line renders. `unsafe`
//! and everything that differs between systems live in `platform`.
//!
//! Invariants: ownership is the owner lock, held for life, and nothing else; no process is signalled that
//! is not proven to be the holder of the lock; the control token is in memory and in the 0600 control
//! file only; a daemon sends under the identity it took at its start, or not at all.

// Files are opened by `system::regular`, or for the reason beside the call (clippy.toml).
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod control;
mod control_state;
mod daemon_log;
pub mod deliverer;
pub mod doctor;
pub mod drain;
mod event_loop;
mod executable;
mod holder;
pub mod lifecycle;
pub mod nudge;
pub mod ownership;
mod peer_identity;
pub mod readiness;
pub mod record;
pub mod run;
pub mod schedule;
pub mod spawn;
pub mod start_failure;
mod start_rate_limit;
pub mod stop;
mod version_order;
