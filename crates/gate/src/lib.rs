//! Gate: judges observed facts and mints permits.
//!
//! Pure: no file, no clock, no environment, no network. Capture and delivery require a permit, and only a
//! [`Verdict`] mints permits:
//!
//! | permit | demanded by | minted by |
//! |---|---|---|
//! | [`CapturePermit`] | `queue::Writer::open` | a coherent verdict of an authenticated identity |
//! | [`EgressPermit`] | `queue::Outbox::open`, `delivery::drain` | the same |
//! | [`CurePermit`] | `queue::Cure::open` | any verdict with a readable scope |
//!
//! Invariants: permits have private fields and are not `Clone`; [`judge`] is called by
//! `preflight::observer` alone (clippy's `disallowed-methods` and a test over the sources); a
//! `CurePermit` can add no fact and send nothing.

// Files are opened by `system::regular`, or for the reason beside the call (clippy.toml).
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

mod boundary;
mod compare;
mod facts;
mod owner;
mod permit;

pub use boundary::{BoundaryFailureSet, Policy, Verdict, judge};
pub use facts::{
    ActiveQueueFacts, Facts, LegacyFacts, LockFileFacts, LockState, LoginFacts, OwnerFacts, OwnerReading,
    RecordedProcess, ResolvedPaths, StrayDaemon,
};
pub use owner::{judge_orphan, judge_owner, judge_reference_orphan};
pub use permit::{CapturePermit, CurePermit, EgressPermit, LIFETIME, ObservedQueueId, PermitRefused};
