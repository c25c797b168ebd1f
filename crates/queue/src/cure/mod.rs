//! Cures: migrate, settle, park, release, repair, collect. Nothing here adds a fact or sends one.

use crate::capture::Settled;
use crate::consent::HeldChange;
use crate::error::QueueError;
use crate::observe::LegacyObservation;
use contract::{Consent, LegacyRowCounts};
use gate::CurePermit;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The right hand of a [`CurePermit`].
#[derive(Debug)]
pub struct Cure {
    _private: (),
}

/// Told about the progress of a migration.
pub trait Progress {
    /// `done` of `total` rows are copied. Called at most once per chunk, never with a lock that
    /// another process waits for longer because of it.
    fn migrated(&mut self, done: u64, total: u64);
}

/// No progress shown.
impl Progress for () {
    fn migrated(&mut self, _done: u64, _total: u64) {}
}

/// What a migration moved (contract section 8), or would move.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MigrationReport {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Where the rows came from.
    pub from: PathBuf,
    /// Where they went.
    pub to: PathBuf,
    /// Rows now in the scoped queue DB that were not there before.
    pub moved: LegacyRowCounts,
    /// Rows that were there already with the same content, or were delivered before.
    pub duplicates: LegacyRowCounts,
    /// Rows whose key was there with other content: both were kept, the legacy one parked.
    pub conflicts: LegacyRowCounts,
    /// Rows that cannot enter their table: parked as `unreadable_row` with their raw values.
    pub unreadable: LegacyRowCounts,
    /// Rows of other scopes, which stay.
    pub rows_other_scope: LegacyRowCounts,
    /// Rows of this scope that are left: zero, unless another program added some meanwhile.
    pub remaining: LegacyRowCounts,
}

impl Cure {
    /// Opens (or creates) the queue that the permit names, lets SQLite roll back an interrupted
    /// transaction, brings the schema up to date. Waits at most 10 s for a lock.
    pub fn open(permit: &CurePermit) -> Result<Self, QueueError> {
        let _ = permit;
        todo!()
    }

    /// Lets SQLite roll back an interrupted transaction in the scoped and the legacy queue DB: the
    /// cure of `queue_recovery_needed`. Checks the scoped one with `quick_check` afterwards.
    pub fn recover(permit: &CurePermit) -> Result<(), QueueError> {
        let _ = permit;
        todo!()
    }

    /// Moves the legacy rows of this scope into the scoped queue DB.
    pub fn migrate(&mut self, progress: &mut dyn Progress) -> Result<MigrationReport, QueueError> {
        let _ = progress;
        todo!()
    }

    /// What [`Cure::migrate`] would do; changes nothing.
    pub fn plan_migration(&mut self) -> Result<MigrationReport, QueueError> {
        todo!()
    }

    /// Copies the rows of the same principal's old scope into this one, held (`--from-scope`).
    pub fn adopt_scope(
        &mut self,
        old_queue: &Path,
        progress: &mut dyn Progress,
    ) -> Result<MigrationReport, QueueError> {
        let _ = (old_queue, progress);
        todo!()
    }

    /// Counts the legacy rows and leaves the counts with the file's fingerprint in the scoped queue DB.
    pub fn write_pin(&mut self) -> Result<LegacyObservation, QueueError> {
        todo!()
    }

    /// Settles the leftovers of interrupted captures of one mission. The caller holds its lock.
    pub fn settle(&mut self, mission_slug: &str) -> Result<Settled, QueueError> {
        let _ = mission_slug;
        todo!()
    }

    /// The missions that have leftovers.
    pub fn unsettled_missions(&mut self) -> Result<Vec<String>, QueueError> {
        todo!()
    }

    /// `opt-in --include-held`: everything of the project that waits may leave from now on.
    pub fn release_held(&mut self, project_uuid: Option<&str>) -> Result<HeldChange, QueueError> {
        let _ = project_uuid;
        todo!()
    }

    /// `opt-in` alone, before config says yes: what is held under `was` stays held.
    pub fn seal_held(&mut self, project_uuid: Option<&str>, was: Consent) -> Result<HeldChange, QueueError> {
        let _ = (project_uuid, was);
        todo!()
    }

    /// Puts parked rows back; rows parked as `not_in_log` look for their witness again.
    pub fn retry_parked(&mut self, ids: &[i64]) -> Result<u64, QueueError> {
        let _ = ids;
        todo!()
    }

    /// Drops parked rows for good, leaving a receipt of the drop with the reason.
    pub fn drop_parked(&mut self, ids: &[i64], reason: &str) -> Result<u64, QueueError> {
        let _ = (ids, reason);
        todo!()
    }

    /// Collects receipts older than `before` (Unix seconds). Nothing else is ever collected.
    pub fn collect_receipts(&mut self, before: i64) -> Result<u64, QueueError> {
        let _ = before;
        todo!()
    }
}
