//! What is waiting: the SQLite store.

mod busy;
pub mod capture;
mod coalesce;
pub mod consent;
pub mod cure;
mod envelope;
pub mod error;
mod event_json;
pub mod fault_point;
mod file;
mod found;
pub mod health;
mod legacy;
pub mod observe;
pub mod outbox;
pub mod parked;
mod pending;
mod place;
mod platform;
pub mod row;
mod schema;
mod store;

pub use busy::{CAPTURE as CAPTURE_DEADLINE, MIGRATE as MIGRATE_DEADLINE};
pub use capture::{Capacity, Capture, Captured, Prepared, Settled, Writer};
pub use consent::{ConsentView, Held, HeldChange, HoldReason, Place};
pub use cure::{Cure, MigrationReport, Progress, StillParked, Unparked, observe_principal};
pub use error::{Busy, Holder, ObserveError, QueueError};
pub use file::Fingerprint;
pub use health::{QueueFile, Salvaged, observe_health, salvage};
pub use observe::{
    ActiveObservation, Export, Leaving, LegacyObservation, LegacyPin, ParkedContent, ParkedRow, Pause,
    QueueCounts, Receipt, RowCounts, WaitingRow, WaitingRows, observe_active, observe_collectable,
    observe_counts, observe_known_events, observe_legacy, observe_outgoing, observe_parked,
    observe_parked_row, observe_receipts,
};
pub use outbox::{
    Batch, BatchLimits, Outbox, Outcome, OutgoingBody, OutgoingEvent, Recorded, RowId, SkipSet,
};
pub use row::{BodyRow, EventRow, Kind, NewRow, RowDigest, Witness};
