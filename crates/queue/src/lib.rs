//! What is waiting: the SQLite store.

pub mod capture;
pub mod consent;
pub mod cure;
pub mod error;
mod file;
pub mod observe;
pub mod outbox;
pub mod row;

pub use capture::{Capacity, Capture, Captured, Prepared, Settled, Writer};
pub use consent::{ConsentView, Held, HeldChange, HoldReason, Place};
pub use cure::{Cure, MigrationReport, Progress};
pub use error::{Busy, Holder, ObserveError, QueueError};
pub use file::Fingerprint;
pub use observe::{
    ActiveObservation, LegacyObservation, LegacyPin, QueueCounts, RowCounts, observe_active, observe_counts,
    observe_legacy,
};
pub use outbox::{
    Batch, BatchLimits, Outbox, Outcome, OutgoingBody, OutgoingEvent, Recorded, RowId, SkipSet,
};
pub use row::{BodyRow, EventRow, Kind, NewRow, RowDigest, Witness};
