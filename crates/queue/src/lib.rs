//! Offline queue: the SQLite store of events and bodies that wait for delivery.
//!
//! This page describes the file format and the states of a row; the modules hold the details.
//!
//! # Constraints
//!
//! * No acknowledged row is lost at any kill. No row is kept twice, sent twice or moved to another owner.
//!   No outcome deletes a payload.
//! * Older programs read and write the same files, with SQLite back to 3.31. Homes lie on network file
//!   systems. A reader must not change a byte.
//! * Many processes capture at once, one drains, and each of them may be killed.
//!
//! # Files
//!
//! ```text
//! <root>/queues/queue-<16 hex>.db   one *scoped queue DB* per account: the start of SHA-256(server|user|team)
//! <root>/queues/queue-<16 hex>.id   its *birth record*: it had content, so an empty file is a lost queue
//! <root>/queue.db                   the *legacy queue DB*: other programs' rows; we claim and remove, never add
//! ```
//!
//! Rollback journal (`TRUNCATE`), `synchronous=FULL`, 0600 in 0700. A writer's transaction is `BEGIN IMMEDIATE` and
//! ends before anything else happens. No transaction and no cursor is open across a network call, a log append, a
//! prompt or the caller's code.
//!
//! # Tables of a scoped queue DB
//!
//! ```text
//!   of the reference                     ours
//!   ┌───────────────────────┐   ┌───────────────────────────────────────────────────────────┐
//!   │ queue                 │◀──│ bindings (kind, row) -> place, hold, at, digest           │
//!   │ body_upload_queue     │   │   └─▶ projects (uuid, repo, checkout)                     │
//!   │ body_upload_failure_… │   │ tallies  (kind, place, hold) -> waiting      by triggers  │
//!   └───────────────────────┘   │ prepared (command, witness, columns)     not yet a fact   │
//!                               │ imported (source, key, digest)           never twice      │
//!                               │ receipts (kind, key, digest) -> server, outcome, seq, ... │
//!                               │ sent     bytes of delivered rows, packed, oldest first    │
//!                               │ parked   (columns, payload) + reason     refused for good │
//!                               │ meta     queue_id, scope, principal, schema_version, ...  │
//!                               └───────────────────────────────────────────────────────────┘
//! ```
//!
//! * A **key** names a row: an event's id; the seven key columns of a body as a JSON array. A **digest** is
//!   SHA-256 over the row's content, without retry counts and times. Same key and same digest is the same
//!   fact; same key and another digest is a conflict, and both are kept.
//! * The **origin** of a row (column `place`) is its project, repository and checkout; it never changes. A **hold** is the
//!   condition for sending the row: none, an opt-in, or a release.
//! * A row *without* a binding was written by another program. It is bound by its content before it may
//!   leave; so is a row whose digest differs from the bound one.
//! * **`queue_id`** is 16 random bytes. A permit names the id that the gate saw; a file with another one
//!   is never written.
//!
//! # Capture
//!
//! ```text
//! prepare ──▶ prepared ──(the caller appends to the log)──▶ confirm ──▶ queue + bindings
//!                 │ crash
//!                 └──▶ settle: witness found ──▶ queue;  not found ──▶ parked `not_in_log`
//! ```
//!
//! # Migration
//!
//! ```text
//! legacy: claims(table, key, scope)   committed first: of two accounts one gets the row
//! scoped: rows + bindings + imported  one transaction
//! legacy: delete rows and claims      one transaction; any later run resumes from the claims
//! ```
//!
//! # Delivery
//!
//! ```text
//! streams (first in first out, by project) ──▶ a batch in memory ──▶ the wire ──▶ record:
//!     delivered, duplicate ──▶ receipts      refused for good ──▶ parked      else ──▶ stays
//! ```
//!
//! # Access
//!
//! | permit | opens | can |
//! |---|---|---|
//! | `CapturePermit` | [`Writer`] | add facts |
//! | `EgressPermit` | [`Outbox`] | read rows that may leave, record their outcomes |
//! | `CurePermit` | [`Cure`] | migrate, settle, release, retry, drop, collect; add nothing, send nothing |
//! | none | `observe_*`, [`Export`], [`WaitingRows`] read only |
//! | none | [`salvage`] | copy the readable rows of a damaged file, which is only read |

// Files are opened by `system::regular`, or for the reason beside the call (clippy.toml).
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

mod birth;
mod busy_timeout;
pub mod capture;
pub mod consent;
pub mod cure;
pub mod error;
pub mod fault_point;
mod file;
mod foreign_rows;
mod hand_over;
pub mod health;
mod journal;
mod legacy;
pub mod observe;
mod origin;
pub mod outbox;
pub mod parked;
#[cfg(doctest)]
mod permit_proofs;
pub mod project_store;
#[cfg(test)]
mod protocol_model;
mod rewound;
pub mod row;
mod schema;
mod sent;
mod store;
mod stored_event;
mod table_walk;
mod unindexed;
mod waiting;

pub use birth::{birth_record, record_of_lost_queue};
pub use busy_timeout::{CAPTURE as CAPTURE_DEADLINE, MIGRATE as MIGRATE_DEADLINE};
pub use capture::{Capacity, Capture, Captured, FilesElsewhere, Prepared, Settled, Writer};
pub use consent::{ConsentView, HeldChange, HeldRows, HoldReason, RowOrigin};
pub use cure::{
    Cure, ImportedRows, LeftBehind, MigratedRow, MigrationProgress, MigrationReport, QueueOwner, Resend,
    ResendReport, ResendSelection, StillParked, StoreImport, StoreResult, StoreSelection, Unparked,
    observe_left_behind, observe_owner,
};
pub use error::{Busy, ObserveError, QueueError, WriteBar};
pub use file::Fingerprint;
pub use hand_over::{HandOver, KnownIds};
pub use health::{QueueFile, Salvaged, observe_health, salvage};
pub use observe::{
    ActiveObservation, DaemonDelivery, DrainedBy, Export, LastAttempt, Leaving, LegacyCountCache,
    LegacyObservation, NextAttempt, OtherQueue, OtherReading, OtherRows, ParkedContent, ParkedRow, Pause,
    QueueCounts, Receipt, ReceiptPages, RowCounts, Unsettled, WaitingRow, WaitingRows, observe_active,
    observe_active_counted, observe_collectable, observe_counts, observe_known_events, observe_legacy,
    observe_other_queues, observe_outgoing, observe_parked, observe_parked_row, observe_projects,
    observe_receipts, observe_sent, observe_unsettled,
};
pub use outbox::{
    BatchLimits, Outbox, Outcome, OutgoingBody, OutgoingEvent, ProjectReceipts, RecordedRequest,
    RecordedRows, RefusalMemory, RowBatch, RowId, RowOutcome, SentBytes, SkipSet,
};
pub use project_store::{
    ProjectStore, StoreDecision, StoreLayout, StoreReading, StoreRows, observe_layout, observe_project_stores,
};
pub use rewound::{Rewound, RewoundProject};
pub use row::{Kind, NewRow, RowDigest, Witness};
pub use sent::{Keep, SentBlocks};
pub use unindexed::Unindexed;
