//! Repair operations: recover, migrate, settle, release, retry, drop, collect (contract sections 4, 8 and
//! 9). None adds or sends a fact, so they work despite a mismatch or an orphan.

mod held;
mod migrate;
mod resend;
mod unpark;

pub use migrate::{
    ImportedRows, LeftBehind, MigratedRow, MigrationReport, QueueOwner, StoreImport, StoreResult,
    StoreSelection, observe_left_behind, observe_owner,
};
pub(crate) use migrate::{is_accounted_for, rows_of_its_own};
pub(crate) use resend::{CAPTURE_EPOCH, begin_capture_epoch, capture_key};
pub use resend::{Resend, ResendReport, ResendSelection};
pub use unpark::{StillParked, Unparked};

use crate::busy_timeout;
use crate::capture::{self, FilesElsewhere, Settled};
use crate::consent::{ConsentView, HeldChange};
use crate::error::{ObserveError, QueueError};
use crate::foreign_rows;
use crate::legacy::LegacyDb;
use crate::observe::{LegacyObservation, Unsettled};
use crate::origin;
use crate::sent::{self, SentBlocks};
use crate::store::{Abort, ScopedDb};
use contract::Scope;
use gate::CurePermit;
use rusqlite::Transaction;
use std::path::{Path, PathBuf};

/// Receives the progress of a migration.
pub trait MigrationProgress {
    /// `done` of `total` rows are copied. Must return at once: the scoped queue DB is locked meanwhile.
    fn migrated(&mut self, done: u64, total: u64);
}

/// No progress shown.
impl MigrationProgress for () {
    fn migrated(&mut self, _done: u64, _total: u64) {}
}

/// Repairs a queue; needs a [`CurePermit`].
#[derive(Debug)]
pub struct Cure {
    store: ScopedDb,
    scope: Scope,
    legacy_path: PathBuf,
}

impl Cure {
    /// Opens (or creates) the queue that the permit names, lets SQLite roll back an interrupted
    /// transaction, brings the schema up to date, binds rows that another program added. Waits at most
    /// 10 s for a lock.
    pub fn open(permit: &CurePermit) -> Result<Self, QueueError> {
        let mut store = ScopedDb::open(permit.queue_path(), permit.scope(), None, busy_timeout::MIGRATE)?;
        foreign_rows::bind_all(&mut store)?;
        Ok(Self { store, scope: permit.scope().clone(), legacy_path: permit.legacy_path().to_owned() })
    }

    /// Lets SQLite roll back an interrupted transaction in the scoped and in the legacy queue DB, and
    /// checks a file that needed it: the cure of `queue_recovery_needed`. Creates nothing.
    pub fn recover(permit: &CurePermit) -> Result<(), QueueError> {
        let (queue, legacy) = (permit.queue_path(), permit.legacy_path());
        if queue.exists() {
            // Opening is what lets SQLite roll back, and what checks a file that needed it.
            ScopedDb::open(queue, permit.scope(), None, busy_timeout::MIGRATE)?;
        }
        LegacyDb::open(legacy)?;
        Ok(())
    }

    /// The id of the queue DB.
    pub fn queue_id(&self) -> &str {
        self.store.queue_id()
    }

    /// Moves the legacy rows of this scope into the scoped queue DB, and caches its counts. Resumes what an
    /// interrupted run has begun.
    pub fn migrate(&mut self, progress: &mut dyn MigrationProgress) -> Result<MigrationReport, QueueError> {
        migrate::migrate(&mut self.store, &self.scope, &self.legacy_path, false, progress)
    }

    /// The same, with every row in the report.
    pub fn migrate_listing(
        &mut self,
        progress: &mut dyn MigrationProgress,
    ) -> Result<MigrationReport, QueueError> {
        migrate::migrate(&mut self.store, &self.scope, &self.legacy_path, true, progress)
    }

    /// The preview of [`Cure::migrate`]. Changes nothing and creates nothing.
    pub fn plan_migration(permit: &CurePermit) -> Result<MigrationReport, ObserveError> {
        migrate::plan(permit.scope(), permit.legacy_path(), permit.queue_path(), false)
    }

    /// The same, with every row in the report.
    pub fn plan_migration_listing(permit: &CurePermit) -> Result<MigrationReport, ObserveError> {
        migrate::plan(permit.scope(), permit.legacy_path(), permit.queue_path(), true)
    }

    /// Rows of a project that [`Cure::migrate`] would bring in, to be held there under `consent`; none is the rows
    /// without a project. Changes nothing and creates nothing.
    pub fn plan_held(
        permit: &CurePermit,
        project_uuid: Option<&str>,
        consent: &dyn ConsentView,
    ) -> Result<HeldChange, ObserveError> {
        let (legacy, queue) = (permit.legacy_path(), permit.queue_path());
        migrate::plan_held(permit.scope(), legacy, queue, held::normal(project_uuid).as_deref(), consent)
    }

    /// The preview of [`Cure::import_scope`]. Changes nothing and creates nothing.
    pub fn plan_scope_import(permit: &CurePermit, old_queue: &Path) -> Result<MigrationReport, QueueError> {
        migrate::plan_scope_import(permit.scope(), old_queue, permit.queue_path())
    }

    /// Copies the rows of the same principal's old scope into this one, held (`--from-scope`). The old
    /// queue DB is not changed.
    pub fn import_scope(
        &mut self,
        old_queue: &Path,
        progress: &mut dyn MigrationProgress,
    ) -> Result<MigrationReport, QueueError> {
        migrate::import_scope(&mut self.store, &self.scope, old_queue, progress)
    }

    /// Preview of [`Cure::import_stores`]. Changes nothing and creates nothing.
    pub fn plan_store_import(
        permit: &CurePermit,
        projects: &Path,
        selection: &StoreSelection,
    ) -> Result<Vec<StoreImport>, QueueError> {
        migrate::plan_import(permit.scope(), projects, permit.queue_path(), selection)
    }

    /// Imports the undelivered rows of the project stores of releases 3.2.x below `projects`, each store in a
    /// transaction of its own. A store that must be left alone is an entry with the reason.
    pub fn import_stores(
        &mut self,
        projects: &Path,
        selection: &StoreSelection,
    ) -> Result<Vec<StoreImport>, QueueError> {
        migrate::import(&mut self.store, &self.scope, projects, selection)
    }

    /// Counts the legacy rows and leaves the counts with the file's fingerprint in the scoped queue DB,
    /// so that the gate need not scan. The legacy file is only read.
    pub fn write_legacy_counts(&mut self) -> Result<LegacyObservation, QueueError> {
        migrate::cache_unopened_legacy_counts(&mut self.store, &self.scope, &self.legacy_path)
    }

    /// Settles the leftovers of interrupted captures of one mission in one checkout. The caller holds its
    /// lock there; `elsewhere` reads what of it is not in the checkout.
    pub fn settle(
        &mut self,
        unsettled: &Unsettled,
        elsewhere: FilesElsewhere,
    ) -> Result<Settled, QueueError> {
        let Unsettled { mission_slug, checkout, .. } = unsettled;
        capture::settle(&mut self.store, mission_slug, checkout.as_deref(), elsewhere)
    }

    /// `opt-in --include-held`: releases the waiting rows of the project; none is the rows without a project.
    /// Called after config.toml has the opt-in.
    pub fn release_held(&mut self, project_uuid: Option<&str>) -> Result<HeldChange, QueueError> {
        held::release(&mut self.store, project_uuid)
    }

    /// `opt-in` alone: rows held under the decisions `was` stay held. Called before config.toml has the opt-in.
    pub fn seal_held(
        &mut self,
        project_uuid: Option<&str>,
        was: &dyn ConsentView,
    ) -> Result<HeldChange, QueueError> {
        held::seal(&mut self.store, project_uuid, was)
    }

    /// Puts parked rows back; for rows parked as `not_in_log` their witness is looked for again,
    /// with `elsewhere` for what is not in the checkout.
    pub fn retry_parked(&mut self, ids: &[i64], elsewhere: FilesElsewhere) -> Result<Unparked, QueueError> {
        unpark::retry(&mut self.store, ids, elsewhere)
    }

    /// Drops parked rows for good, all or none, leaving a receipt of the drop with the reason.
    pub fn drop_parked(&mut self, ids: &[i64], reason: &str) -> Result<u64, QueueError> {
        unpark::drop_rows(&mut self.store, ids, reason)
    }

    /// The preview of [`Cure::resend`]. Changes nothing and creates nothing.
    pub fn plan_resend(
        permit: &CurePermit,
        resend: &Resend,
        consent: &dyn ConsentView,
    ) -> Result<ResendReport, ObserveError> {
        resend::plan(permit.queue_path(), resend, consent)
    }

    /// Marks delivered rows to be sent again and lets their bytes wait, in one transaction.
    pub fn resend(&mut self, resend: &Resend, consent: &dyn ConsentView) -> Result<ResendReport, QueueError> {
        resend::resend(&mut self.store, resend, consent)
    }

    /// Deletes the sent bytes from before `before` (Unix seconds), or all of them. Receipts stay.
    pub fn discard_sent(&mut self, before: Option<i64>) -> Result<SentBlocks, QueueError> {
        erasing(&mut self.store, |tx| sent::discard(tx, before))
    }

    /// Deletes the sent bytes of a project; none is the rows without a project. Receipts stay.
    pub fn discard_sent_of(&mut self, project_uuid: Option<&str>) -> Result<SentBlocks, QueueError> {
        let project = held::normal(project_uuid);
        erasing(&mut self.store, |tx| {
            let mut places: Vec<i64> = project.is_none().then_some(0).into_iter().collect();
            let known = origin::read_all(tx)?.into_iter();
            places.extend(known.filter(|(_, place)| place.project_uuid == project).map(|(id, _)| id));
            sent::discard_of_places(tx, &places)
        })
    }

    /// Collects receipts older than `before` (Unix seconds). Nothing else is ever collected.
    pub fn collect_receipts(&mut self, before: i64) -> Result<u64, QueueError> {
        self.store.write("collect receipts of", |tx| {
            Ok(tx.execute("DELETE FROM receipts WHERE at < ?1", [before])? as u64)
        })
    }
}

/// Runs `work` in one transaction that overwrites what it deletes with zeros.
fn erasing<T>(
    store: &mut ScopedDb,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, Abort>,
) -> Result<T, QueueError> {
    let set = |store: &ScopedDb, value: &str| {
        let set = store.conn.execute_batch(&format!("PRAGMA secure_delete = {value}"));
        set.map_err(|error| store.failed("prepare to erase bytes in", error.into()))
    };
    set(store, "ON")?;
    let done = store.write("delete sent bytes of", work);
    set(store, "OFF")?;
    done
}
