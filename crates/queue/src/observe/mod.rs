//! Read-only observation: nothing is written, created, locked for writing or cleaned up.

use crate::consent::{ConsentView, Held};
use crate::error::ObserveError;
use contract::{LegacyRowCounts, Scope};
use serde::Serialize;
use std::path::Path;

/// What the gate needs of the active queue DB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActiveObservation {
    /// Whether there is a file.
    pub exists: bool,
    /// The random id in its meta table; none when the file is absent or older than the table.
    pub queue_id: Option<String>,
    /// What an earlier command that may write counted in the legacy queue DB.
    pub legacy_pin: Option<LegacyPin>,
}

/// Counts of the legacy queue DB with the fingerprint of the file they were taken from. Kept in the
/// scoped queue DB, so they are that scope's; trusted while the fingerprint holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyPin {
    pub(crate) fingerprint: crate::file::Fingerprint,
    pub(crate) found: LegacyObservation,
}

/// What waits in the legacy queue DB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LegacyObservation {
    /// Rows that belong to the scope; zero without a scope.
    pub in_scope: LegacyRowCounts,
    /// Rows that belong to other scopes; zero without a scope.
    pub other_scope: LegacyRowCounts,
    /// All rows of the file.
    pub totals: LegacyRowCounts,
}

/// Observes the active queue DB: its id, its schema, the legacy pin. Flat in the number of rows.
///
/// An absent file is an empty observation. Faults: `active_queue_unreadable`,
/// `queue_recovery_needed`, `queue_schema_newer`.
pub fn observe_active(path: &Path) -> Result<ActiveObservation, ObserveError> {
    let _ = path;
    todo!()
}

/// Counts the legacy rows of `scope` (contract section 3). With no scope nothing is in scope and
/// only `totals` is filled. `pin` is [`ActiveObservation::legacy_pin`] of the scoped queue DB; while it
/// holds the file is not scanned.
///
/// Faults: `legacy_queue_unreadable`, `queue_recovery_needed`.
pub fn observe_legacy(
    path: &Path,
    scope: Option<&Scope>,
    pin: Option<&LegacyPin>,
) -> Result<LegacyObservation, ObserveError> {
    let _ = (path, scope, pin);
    todo!()
}

/// Events and bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RowCounts {
    /// Events.
    pub events: u64,
    /// Bodies.
    pub bodies: u64,
}

/// What a queue DB holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct QueueCounts {
    /// Rows of the `queue` table, held ones included.
    pub events: u64,
    /// Rows of `body_upload_queue`, held ones included.
    pub bodies: u64,
    /// Rows of captures that were not confirmed yet.
    pub prepared: RowCounts,
    /// Rows that were refused for good, with payload and reason.
    pub parked: RowCounts,
    /// Rows that wait for a decision, by project and reason.
    pub held: Vec<Held>,
    /// When the oldest row that may leave began to wait, Unix seconds.
    pub oldest_pending_at: Option<i64>,
    /// When the newest receipt was written, Unix seconds.
    pub last_delivery: Option<i64>,
}

/// Counts the rows of a queue DB, of ours or of the reference. An absent file holds nothing.
pub fn observe_counts(path: &Path, consent: &dyn ConsentView) -> Result<QueueCounts, ObserveError> {
    let _ = (path, consent);
    todo!()
}
