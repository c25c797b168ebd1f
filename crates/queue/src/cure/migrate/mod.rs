//! Migration: legacy rows of one scope into its scoped queue DB (contract section 8).
//!
//! ```text
//! look up  rows that another queue DB of this home imported or delivered: claimed for its scope
//! claim    one transaction in the legacy file:  claims(table, key, scope)
//! copy     one transaction in the scoped file:  rows + bindings + imported(source, key, digest)
//! clear    one transaction in the legacy file:  delete the copied rows and the claims
//! ```
//!
//! The claim is data. It is committed before anything is copied, so of two scopes that migrate the same file at once
//! one gets the row. The scope that holds the claims resumes a killed run, from any of the three steps. `imported`
//! remembers what was copied, also after it was delivered, so nothing is copied or sent a second time. A row that
//! changed between copy and clear is not cleared, and the next round sees it. After a run nothing of the scope is
//! left, whatever the rows look like: what cannot enter its table is parked with its values.

mod claim;
mod clear;
mod import_scope;
mod import_store;
mod migration_preview;
mod owners;
mod plan;
mod transfer;

pub use import_scope::{LeftBehind, QueueOwner, observe_left_behind, observe_owner};
pub(super) use import_scope::{import_scope, plan_scope_import};
pub use import_store::{ImportedRows, StoreImport, StoreResult, StoreSelection};
pub(super) use import_store::{import, plan_import};
pub(crate) use owners::rows_of_its_own;
pub(super) use owners::{RowOwner, owner_of};
pub(super) use plan::{plan, plan_held};
pub(crate) use transfer::is_accounted_for;

use self::owners::Owners;
use super::MigrationProgress;
use crate::error::QueueError;
use crate::fault_point::{FaultPoint, reached};
use crate::file::{self, Role};
use crate::legacy::{LegacyDb, LegacyKey, LegacyTable, data_version, fingerprint};
use crate::observe::{
    LegacyCountCache, LegacyObservation, count_legacy, observe_legacy, read_legacy_counts, slot,
};
use crate::parked::reason;
use crate::store::{ScopedDb, set_meta};
use contract::{LegacyRowCounts, Scope};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The result of a migration (contract section 8), or of its preview.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MigrationReport {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// The legacy queue DB.
    pub from: PathBuf,
    /// The scoped queue DB; null without an account.
    #[serde(serialize_with = "path_or_null")]
    pub to: PathBuf,
    /// Rows now in the scoped queue DB that were not there before.
    pub moved: LegacyRowCounts,
    /// Rows that were there already with the same content, or were delivered before.
    pub duplicates: LegacyRowCounts,
    /// Rows whose key was there with other content: both were kept, the legacy one parked.
    pub conflicts: LegacyRowCounts,
    /// Rows that cannot enter their table: parked as `unreadable_row` with their raw values.
    pub unreadable: LegacyRowCounts,
    /// Rows that may be another scope's, because a queue DB of this home cannot be read: parked as
    /// `owner_unknown`.
    pub owner_unknown: LegacyRowCounts,
    /// Rows that another queue DB of this home imported or delivered before: claimed for its scope, which they
    /// stay with.
    pub claimed_for_others: LegacyRowCounts,
    /// Rows of other scopes, which stay.
    pub rows_other_scope: LegacyRowCounts,
    /// Rows of this scope that are left: zero, unless another program added some meanwhile.
    pub remaining: LegacyRowCounts,
    /// Every row that left, or would leave, the legacy queue DB. Only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<MigratedRow>>,
}

/// One row of a migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MigratedRow {
    /// The table; with `#rowid` for a row whose key is its rowid.
    pub table: &'static str,
    /// The key.
    pub key: String,
    /// `moved`, `duplicate`, `conflict`, `unreadable_row` or `owner_unknown`.
    pub outcome: &'static str,
}

fn path_or_null<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    Some(path).filter(|path| !path.as_os_str().is_empty()).serialize(serializer)
}

impl MigrationReport {
    fn of(dry_run: bool, from: &Path, to: &Path) -> Self {
        Self { dry_run, from: from.to_owned(), to: to.to_owned(), ..Self::default() }
    }

    /// Lists every row, too.
    fn listing(self, lists: bool) -> Self {
        Self { rows: lists.then(Vec::new), ..self }
    }

    /// Counts the outcome of one row.
    fn count(&mut self, table: LegacyTable, key: &LegacyKey, outcome: CopyOutcome) {
        if let Some(rows) = &mut self.rows {
            rows.push(MigratedRow { table: key.source, key: key.key.clone(), outcome: outcome.outcome() });
        }
        let counts = match outcome {
            CopyOutcome::Moved => &mut self.moved,
            CopyOutcome::Duplicate => &mut self.duplicates,
            CopyOutcome::Conflict => &mut self.conflicts,
            CopyOutcome::Unreadable => &mut self.unreadable,
            CopyOutcome::OwnerUnknown => &mut self.owner_unknown,
        };
        *slot(counts, table) += 1;
    }
}

/// Outcome of one legacy row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CopyOutcome {
    Moved,
    Duplicate,
    Conflict,
    Unreadable,
    OwnerUnknown,
}

impl CopyOutcome {
    /// As it is shown; for parked rows the reason.
    const fn outcome(self) -> &'static str {
        match self {
            Self::Moved => "moved",
            Self::Duplicate => "duplicate",
            Self::Conflict => reason::CONFLICT,
            Self::Unreadable => reason::UNREADABLE_ROW,
            Self::OwnerUnknown => reason::OWNER_UNKNOWN,
        }
    }
}

/// Most rounds while another program keeps writing the legacy file.
const ROUNDS: usize = 5;

/// Moves the legacy rows of `scope` into `store`.
pub(super) fn migrate(
    store: &mut ScopedDb,
    scope: &Scope,
    legacy_path: &Path,
    lists: bool,
    progress: &mut dyn MigrationProgress,
) -> Result<MigrationReport, QueueError> {
    let mut report = MigrationReport::of(false, legacy_path, store.path()).listing(lists);
    if let Some(found) = known_done(store, scope, legacy_path)? {
        report.rows_other_scope = found.other_scope;
        return Ok(report);
    }
    let mut legacy = match LegacyDb::open(legacy_path) {
        Ok(Some(legacy)) => legacy,
        Ok(None) => return Ok(report),
        Err(error) => return nothing_to_move(error, scope, legacy_path, report),
    };
    for _ in 0..ROUNDS {
        let owners = look_up(store, &mut legacy, scope)?;
        owners.write_claims(&mut legacy)?;
        add(&mut report.claimed_for_others, owners.counts);
        let Some(claimed) = claim::claim(&mut legacy, scope)? else { break };
        reached(FaultPoint::Claimed);
        transfer::copy(store, &mut legacy, scope, (&claimed, &owners), &mut report, progress)?;
        reached(FaultPoint::Copied);
        clear::clear(&mut legacy, store, scope, &claimed)?;
        reached(FaultPoint::Cleared);
    }
    let left = cache_legacy_counts(store, &mut legacy, scope)?;
    report.rows_other_scope = left.other_scope;
    report.remaining = left.in_scope;
    Ok(report)
}

/// The owners of the rows of `scope`, from the queue DBs of this home.
fn look_up(store: &mut ScopedDb, legacy: &mut LegacyDb, scope: &Scope) -> Result<Owners, QueueError> {
    let (path, queue) = (legacy.path().to_owned(), store.path().to_owned());
    legacy.read("look up the owners of rows of", |rows| {
        Ok(store.read("look up rows in", |own| Owners::look_up(rows, &path, scope, Some(own), &queue))?)
    })
}

fn add(counts: &mut LegacyRowCounts, more: LegacyRowCounts) {
    counts.event_rows += more.event_rows;
    counts.body_upload_rows += more.body_upload_rows;
    counts.failure_log_rows += more.failure_log_rows;
}

/// The cached count, if it is current and zero.
fn known_done(
    store: &mut ScopedDb,
    scope: &Scope,
    legacy_path: &Path,
) -> Result<Option<LegacyObservation>, QueueError> {
    let Some(cached) = store.read("read the legacy row counts of", |tx| read_legacy_counts(tx))? else {
        return Ok(None);
    };
    // A file that changed would be scanned here; only its cached counts are wanted.
    if !cached.holds(legacy_path) {
        return Ok(None);
    }
    let found = observe_legacy(legacy_path, Some(scope), Some(&cached))?;
    Ok((found.in_scope == LegacyRowCounts::default()).then_some(found))
}

/// A file that cannot be written is an error only if something would have to be.
fn nothing_to_move(
    error: QueueError,
    scope: &Scope,
    legacy_path: &Path,
    mut report: MigrationReport,
) -> Result<MigrationReport, QueueError> {
    if !matches!(error, QueueError::NotWritable { .. }) {
        return Err(error);
    }
    match observe_legacy(legacy_path, Some(scope), None) {
        Ok(found) if found.in_scope == LegacyRowCounts::default() => {
            report.rows_other_scope = found.other_scope;
            Ok(report)
        }
        _ => Err(error),
    }
}

/// Counts the legacy rows and caches the counts, with the fingerprint of the file they were taken from,
/// in the scoped queue DB. No process can change the file between the two.
pub(super) fn cache_legacy_counts(
    store: &mut ScopedDb,
    legacy: &mut LegacyDb,
    scope: &Scope,
) -> Result<LegacyObservation, QueueError> {
    let path = legacy.path().to_owned();
    let (found, fingerprint) = legacy.read("count", |tx| {
        let found = count_legacy(tx, &path, Some(scope))?;
        Ok((found, fingerprint(&path)))
    })?;
    write_legacy_counts(store, found, fingerprint)?;
    Ok(found)
}

/// The same for a legacy file that is not opened for writing.
pub(super) fn cache_unopened_legacy_counts(
    store: &mut ScopedDb,
    scope: &Scope,
    legacy_path: &Path,
) -> Result<LegacyObservation, QueueError> {
    let seen = crate::observe::read_only(legacy_path, Role::Legacy, |conn| {
        Ok((count_legacy(conn, legacy_path, Some(scope))?, fingerprint(legacy_path)))
    })?;
    let Some((found, fingerprint)) = seen else { return Ok(LegacyObservation::default()) };
    write_legacy_counts(store, found, fingerprint)?;
    Ok(found)
}

fn write_legacy_counts(
    store: &mut ScopedDb,
    found: LegacyObservation,
    fingerprint: Option<file::Fingerprint>,
) -> Result<(), QueueError> {
    let Some(fingerprint) = fingerprint else { return Ok(()) };
    let cached = LegacyCountCache { fingerprint, found };
    if store.read("read the legacy row counts of", |tx| read_legacy_counts(tx))?.as_ref() == Some(&cached) {
        return Ok(());
    }
    store.write("store the legacy row counts in", |tx| {
        Ok(set_meta(tx, crate::observe::LEGACY_COUNTS, &cached.render())?)
    })
}

/// Whether the file has changed since [`data_version`] was `version`.
fn changed_since(tx: &rusqlite::Connection, version: i64) -> rusqlite::Result<bool> {
    Ok(data_version(tx)? != version)
}
