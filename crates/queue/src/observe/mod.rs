//! Read-only observation: neither the file nor a side file of SQLite is written, created, removed or locked for
//! writing, in any state.
//!
//! | function | cost |
//! |---|---|
//! | [`observe_active`] | one open, flat in the number of rows |
//! | [`observe_legacy`] | one `stat` and one `pread` while the cached counts hold, else a scan of about 1 us a row |
//! | [`observe_counts`] | `COUNT(*)` over the narrowest index; held rows from the tallies |

mod active;
mod attempt;
mod counts;
mod export;
mod legacy;
mod listing;
mod others;
mod paged;
mod projects;
mod reader;
mod receipts;
mod waiting;

pub use active::{ActiveObservation, LegacyCountCache, observe_active, observe_active_counted};
pub use attempt::{DaemonDelivery, DrainedBy, LastAttempt};
pub use counts::{NextAttempt, Pause, QueueCounts, RowCounts, observe_counts};
pub use export::Export;
pub use legacy::{LegacyObservation, observe_legacy};
pub use listing::{
    Leaving, ParkedContent, ParkedRow, Receipt, observe_collectable, observe_outgoing, observe_parked,
    observe_parked_row, observe_receipts,
};
pub use others::{OtherQueue, OtherReading, OtherRows, observe_other_queues};
pub use projects::observe_projects;
pub use receipts::{ReceiptPages, observe_sent};
pub use waiting::{Unsettled, WaitingRow, WaitingRows, observe_known_events, observe_unsettled};

pub(crate) use active::{
    FileMeta, LEGACY_COUNTS, check_version, fingerprint_at_rest, other_account_fault, read_legacy_counts,
    read_meta,
};
pub(crate) use counts::{LAST_DELIVERY, NOT_BEFORE, PAUSE_REASON};
pub(crate) use legacy::{count_legacy, slot};
pub(crate) use listing::of_ours;
pub(crate) use others::{imported_scope_key, scoped_queues};
pub(crate) use reader::{CONFINE_DAMAGE, read_only, read_only_within};
