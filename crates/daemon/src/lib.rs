//! Background delivery daemon: one per home, enforced by a file lock.
//!
//! | module | owns |
//! |---|---|
//! | [`run`] | start-up of the daemon |
//! | `event_loop` | event loop: requests, timer, delivery, shutdown |
//! | [`schedule`] | timers |
//! | `control_state` | state shared by the threads |
//! | [`ownership`] | lock, record and control file, taken and released together |
//! | [`record`] | the daemon owner record as this daemon writes it |
//! | [`control`] | the control plane, both sides |
//! | [`drain`] | the draining step as a trait |
//! | [`deliverer`] | the draining step that delivers |
//! | [`stop`] | why daemons ended |
//! | `daemon_log` | the log |
//! | [`readiness`], [`start_failure`] | start report of a new daemon |
//! | [`spawn`] | starting a daemon process |
//! | [`lifecycle`] | status, start, stop, restart |
//! | [`nudge`] | nudge or spawn, once something was captured |
//! | [`doctor`] | orphan records and stray daemons, and their removal |
//! | `holder` | proof that a process holds the lock; the only sender of signals |
//! | `peer_identity` | daemons of the reference in this home |
//! | `start_rate_limit`, `version_order` | bounds on automatic starts |
//!
//! Nothing here prints: every public function returns a value that the command line renders.
//!
//! Invariants. Ownership is the owner lock, held for life, and nothing else. Only the proven holder of the lock is
//! signalled. The control token is in memory and in the 0600 control file only. A daemon sends under the identity
//! that it had at its start, or not at all.

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
