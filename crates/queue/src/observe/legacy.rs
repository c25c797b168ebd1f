//! Counts of the legacy rows of a scope and of all others.

use super::active::LegacyCountCache;
use super::reader::read_only;
use crate::error::ObserveError;
use crate::file::Role;
use crate::legacy::{FileShape, LegacyTable, scan};
use crate::store::Abort;
use contract::{LegacyRowCounts, Scope};
use rusqlite::Connection;
use serde::Serialize;
use std::path::Path;

/// Counts of the rows in the legacy queue DB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LegacyObservation {
    /// Rows that belong to the scope; zero without a scope.
    pub in_scope: LegacyRowCounts,
    /// Rows that belong to other scopes; zero without a scope.
    pub other_scope: LegacyRowCounts,
    /// All rows of the file.
    pub totals: LegacyRowCounts,
}

/// Counts the legacy rows of `scope` (contract section 3). With no scope nothing is in scope and
/// only `totals` is filled. `cached` is [`ActiveObservation::legacy_counts`](super::ActiveObservation) of the
/// scoped queue DB; while it holds the file is not scanned.
///
/// Faults: `legacy_queue_unreadable`, `queue_recovery_needed`.
#[doc(alias = "detect_legacy_rows_for_scope")]
pub fn observe_legacy(
    path: &Path,
    scope: Option<&Scope>,
    cached: Option<&LegacyCountCache>,
) -> Result<LegacyObservation, ObserveError> {
    if let (Some(cached), Some(_)) = (cached, scope)
        && cached.holds(path)
    {
        return Ok(cached.found);
    }
    Ok(read_only(path, Role::Legacy, |conn| count_legacy(conn, path, scope))?.unwrap_or_default())
}

/// Counts on an open connection.
pub(crate) fn count_legacy(
    conn: &Connection,
    path: &Path,
    scope: Option<&Scope>,
) -> Result<LegacyObservation, Abort> {
    let shape = FileShape::read(conn, "main", path)?;
    let mut seen = LegacyObservation::default();
    let Some(scope) = scope else {
        for table in shape.tables() {
            let sql = format!("SELECT COUNT(*) FROM {}", table.name());
            *slot(&mut seen.totals, table) =
                conn.query_row(&sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs();
        }
        return Ok(seen);
    };
    scan(conn, &shape, scope, &mut |row| {
        let owner = if row.in_scope { &mut seen.in_scope } else { &mut seen.other_scope };
        *slot(owner, row.table) += 1;
        *slot(&mut seen.totals, row.table) += 1;
        Ok(())
    })?;
    Ok(seen)
}

/// The counter of one table.
pub(crate) fn slot(counts: &mut LegacyRowCounts, table: LegacyTable) -> &mut u64 {
    match table {
        LegacyTable::Events => &mut counts.event_rows,
        LegacyTable::Bodies => &mut counts.body_upload_rows,
        LegacyTable::FailureLog => &mut counts.failure_log_rows,
    }
}
