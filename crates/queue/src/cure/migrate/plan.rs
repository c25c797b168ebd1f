//! Migration preview: the decisions of a migration on two read-only snapshots.

use super::migration_preview::MigrationPreview;
use super::owners::Owners;
use super::transfer::each_row;
use super::{CopyOutcome, MigrationReport};
use crate::consent::{ConsentView, HeldChange, Hold, RowOrigin};
use crate::error::ObserveError;
use crate::file::Role;
use crate::foreign_rows::{content_digest, examine, number_of, time_column};
use crate::legacy::{FileShape, LegacyKey, LegacyTable, OwnerFinder};
use crate::observe::{read_only, slot};
use crate::row::Kind;
use crate::store::Abort;
use contract::Scope;
use rusqlite::{Connection, Row};
use std::path::Path;

/// Preview of a migration of `scope`. Changes nothing, creates nothing.
pub(in crate::cure) fn plan(
    scope: &Scope,
    legacy_path: &Path,
    queue_path: &Path,
    lists: bool,
) -> Result<MigrationReport, ObserveError> {
    let empty = MigrationReport::of(true, legacy_path, queue_path).listing(lists);
    let planned = walk(
        scope,
        legacy_path,
        queue_path,
        || empty.clone(),
        |report, seen| {
            match seen.outcome {
                Some(outcome) => report.count(seen.table, seen.key, outcome),
                None => {
                    let claimed = u64::from(seen.owned);
                    *slot(&mut report.claimed_for_others, seen.table) += claimed;
                    *slot(&mut report.rows_other_scope, seen.table) += 1;
                }
            }
            Ok(())
        },
    )?;
    Ok(planned.unwrap_or(empty))
}

/// Rows of `project` that a migration of `scope` would bring in, to be held under `consent`.
pub(in crate::cure) fn plan_held(
    scope: &Scope,
    legacy_path: &Path,
    queue_path: &Path,
    project: Option<&str>,
    consent: &dyn ConsentView,
) -> Result<HeldChange, ObserveError> {
    let held = walk(scope, legacy_path, queue_path, HeldChange::default, |held, seen| {
        let (Some(CopyOutcome::Moved), Some((place, hold))) = (seen.outcome, seen.place) else {
            return Ok(());
        };
        let (kind, count) = match seen.table {
            LegacyTable::Events => (Kind::Event, &mut held.events),
            LegacyTable::Bodies => (Kind::Body, &mut held.bodies),
            LegacyTable::FailureLog => return Ok(()),
        };
        let at = number_of(seen.row.get_ref(1 + time_column(kind))?);
        let waits = hold.reason(consent.consent(place), Some(at)).is_some();
        *count += u64::from(waits && place.project_uuid.as_deref() == project);
        Ok(())
    })?;
    Ok(held.unwrap_or_default())
}

/// A legacy row and what would become of it.
struct Seen<'r> {
    table: LegacyTable,
    key: &'r LegacyKey,
    /// Whether another queue DB of this home imported or delivered it.
    owned: bool,
    /// The rowid, then the columns of the table.
    row: &'r Row<'r>,
    /// Nothing for a row of another scope.
    outcome: Option<CopyOutcome>,
    /// Project and hold of the row, when they can be read.
    place: Option<&'r (RowOrigin, Hold)>,
}

/// Shows every legacy row to `visit`, which gathers what is asked for, from `empty` on: a snapshot may be
/// taken more than once. Nothing when there is no legacy file.
fn walk<T>(
    scope: &Scope,
    legacy_path: &Path,
    queue_path: &Path,
    empty: impl Fn() -> T,
    visit: impl Fn(&mut T, Seen<'_>) -> Result<(), Abort>,
) -> Result<Option<T>, ObserveError> {
    let look = |legacy: &Connection, scoped: Option<&Connection>| {
        let mut gathered = empty();
        let preview = MigrationPreview::read(scoped, queue_path)?;
        let owners = Owners::look_up(legacy, legacy_path, scope, scoped, queue_path)?;
        walk_rows(legacy, legacy_path, scope, (preview, &owners), &mut |seen| visit(&mut gathered, seen))?;
        Ok(gathered)
    };
    // The legacy snapshot is the outer one: it must not change while the rows are compared.
    read_only(legacy_path, Role::Legacy, |legacy| {
        match read_only(queue_path, Role::Active, |scoped| look(legacy, Some(scoped))) {
            Ok(Some(gathered)) => Ok(gathered),
            Ok(None) => look(legacy, None),
            Err(ObserveError::Fault(fault)) => Err(Abort::Queue(crate::QueueError::Fault(fault))),
            Err(ObserveError::Busy(busy)) => Err(Abort::Queue(crate::QueueError::Busy(busy))),
        }
    })
}

fn walk_rows(
    legacy: &Connection,
    legacy_path: &Path,
    scope: &Scope,
    (mut preview, owners): (MigrationPreview<'_>, &Owners),
    visit: &mut dyn FnMut(Seen<'_>) -> Result<(), Abort>,
) -> Result<(), Abort> {
    let shape = FileShape::read(legacy, "main", legacy_path)?;
    let mut finder = OwnerFinder::read(legacy, &shape, scope)?;
    for table in shape.tables() {
        each_row(legacy, &shape, table, &mut |key, row| {
            let evidence = if table == LegacyTable::Events { row.get_ref(3)? } else { row.get_ref(1)? };
            let found = finder.read_owner(table, key, evidence)?;
            let key = &found.key;
            let owned = found.in_scope && owners.is_owned(key);
            if !found.in_scope || owned {
                return visit(Seen { table, key, owned, row, outcome: None, place: None });
            }
            let place = examine(table, key, row, 1)?.ok();
            let digest = content_digest(table, row, 1)?;
            let outcome = match preview.outcome(table, key, digest, place.is_some())? {
                CopyOutcome::Moved if owners.unread.is_some() => CopyOutcome::OwnerUnknown,
                outcome => outcome,
            };
            visit(Seen { table, key, owned, row, outcome: Some(outcome), place: place.as_ref() })
        })?;
    }
    Ok(())
}
