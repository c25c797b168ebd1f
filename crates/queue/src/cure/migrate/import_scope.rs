//! Import of an old scope's rows (`--from-scope`), the one way to change the owner of a row. The old queue
//! DB is only read; its rows arrive sealed and leave only after a release.

use super::migration_preview::MigrationPreview;
use super::transfer::{Belonging, Transfer, each_row};
use super::{MigrationProgress, MigrationReport};
use crate::busy_timeout;
use crate::consent::{Hold, RowOrigin};
use crate::error::{ObserveError, QueueError};
use crate::file::Role;
use crate::foreign_rows::{content_digest, examine};
use crate::legacy::{FileShape, LegacyTable};
use crate::observe::{check_version, fingerprint_at_rest, imported_scope_key, read_meta, read_only};
use crate::origin;
use crate::store::{Abort, ScopedDb, set_meta, sql_error};
use contract::Scope;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;
use std::path::Path;

/// Copies every event and body of `old_queue` into `store`, sealed.
pub(in crate::cure) fn import_scope(
    store: &mut ScopedDb,
    scope: &Scope,
    old_queue: &Path,
    progress: &mut dyn MigrationProgress,
) -> Result<MigrationReport, QueueError> {
    let report = MigrationReport::of(false, old_queue, store.path());
    check_other(old_queue, store.path())?;
    // A fault of the copy is the caller's, not a defect of the old file.
    let copied = read_only(old_queue, Role::Active, |old| Ok(copy(store, scope, old_queue, old, progress)))?;
    copied.unwrap_or(Ok(report))
}

fn copy(
    store: &mut ScopedDb,
    scope: &Scope,
    old_queue: &Path,
    old: &Connection,
    progress: &mut dyn MigrationProgress,
) -> Result<MigrationReport, QueueError> {
    let failed = |abort| match abort {
        Abort::Queue(error) => error,
        Abort::Sql(error) => sql_error(old_queue, Role::Active, "read", busy_timeout::READ, error),
    };
    let ours = check_principal(old, old_queue, scope).map_err(failed)?;
    // The snapshot keeps the file as it is until the copy is committed.
    let copied = fingerprint_at_rest(old_queue);
    let shape = FileShape::read(old, "main", old_queue).map_err(failed)?;
    let mut report = MigrationReport::of(false, old_queue, store.path());
    store.write("copy rows into", |tx| {
        let mut transfer = Transfer::into(tx, Some(Hold::Sealed), None)?;
        let mut done = 0;
        for table in [LegacyTable::Events, LegacyTable::Bodies] {
            if !shape.has(table) {
                continue;
            }
            each_row(old, &shape, table, &mut |key, row| {
                let outcome = match place_of(old, ours, table, row.get(0)?)? {
                    Some(place) => {
                        let belonging = Belonging {
                            place,
                            hold: Hold::Sealed,
                            digest: content_digest(table, row, 1)?,
                            unfit: examine(table, &key, row, 1)?.err(),
                        };
                        transfer.placed(table, &key, row, 1, belonging)?
                    }
                    None => transfer.row(table, &key, row, 1)?,
                };
                report.count(table, &key, outcome);
                done += 1;
                progress.migrated(done, done);
                Ok(())
            })?;
        }
        transfer.finish()?;
        if let Some((name, copied)) = imported_scope_key(old_queue).zip(copied) {
            set_meta(tx, &name, &copied.render())?;
        }
        Ok(())
    })?;
    Ok(report)
}

/// Preview of [`import_scope()`]. Changes nothing and creates nothing.
pub(in crate::cure) fn plan_scope_import(
    scope: &Scope,
    old_queue: &Path,
    queue_path: &Path,
) -> Result<MigrationReport, QueueError> {
    check_other(old_queue, queue_path)?;
    let report = MigrationReport::of(true, old_queue, queue_path);
    let planned = read_only(old_queue, Role::Active, |old| {
        // A refusal is the caller's to see, not a defect of the old file.
        match check_principal(old, old_queue, scope) {
            Err(Abort::Queue(refused @ QueueError::NotImportable { .. })) => return Ok(Err(refused)),
            other => other?,
        };
        let compared = read_only(queue_path, Role::Active, |scoped| {
            let preview = MigrationPreview::read(Some(scoped), queue_path)?;
            preview_copy(old, old_queue, preview, report.clone())
        });
        match compared {
            Ok(Some(report)) => Ok(Ok(report)),
            Ok(None) => {
                let preview = MigrationPreview::read(None, queue_path)?;
                Ok(Ok(preview_copy(old, old_queue, preview, report.clone())?))
            }
            Err(error) => Ok(Err(QueueError::from(error))),
        }
    });
    planned?.unwrap_or(Ok(report))
}

fn preview_copy(
    old: &Connection,
    old_queue: &Path,
    mut preview: MigrationPreview<'_>,
    mut report: MigrationReport,
) -> Result<MigrationReport, Abort> {
    let shape = FileShape::read(old, "main", old_queue)?;
    for table in [LegacyTable::Events, LegacyTable::Bodies].into_iter().filter(|table| shape.has(*table)) {
        each_row(old, &shape, table, &mut |key, row| {
            let fits = examine(table, &key, row, 1)?.is_ok();
            let outcome = preview.outcome(table, &key, content_digest(table, row, 1)?, fits)?;
            report.count(table, &key, outcome);
            Ok(())
        })?;
    }
    Ok(report)
}

/// The account that a queue DB records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueOwner {
    /// The user that it was created for.
    pub principal: Option<String>,
    /// The hash of the scope that it was created for.
    pub scope_hash: Option<String>,
}

/// The owner of the queue DB at `path`; unknown for an absent file and for one of an earlier release.
pub fn observe_owner(path: &Path) -> Result<QueueOwner, ObserveError> {
    let seen = read_only(path, Role::Active, |conn| {
        let meta = read_meta(conn)?;
        let stored = |key| meta.get(key).cloned();
        Ok(QueueOwner { principal: stored("principal"), scope_hash: stored("scope") })
    })?;
    Ok(seen.unwrap_or_default())
}

/// Rows that an import does not copy from the old queue DB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftBehind {
    /// Rows that were refused for good there.
    pub parked: u64,
    /// Rows of commands that did not finish.
    pub prepared: u64,
    /// Rows of the failure log.
    pub failure_log_rows: u64,
}

/// The rows of the queue DB at `path` that an import would not copy.
pub fn observe_left_behind(path: &Path) -> Result<LeftBehind, ObserveError> {
    let seen = read_only(path, Role::Active, |conn| {
        let count = |table: &str| -> Result<u64, Abort> {
            if !conn.table_exists(None, table)? {
                return Ok(0);
            }
            let count: i64 =
                conn.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0))?;
            Ok(count.unsigned_abs())
        };
        Ok(LeftBehind {
            parked: count("parked")?,
            prepared: count("prepared")?,
            failure_log_rows: count(LegacyTable::FailureLog.name())?,
        })
    })?;
    Ok(seen.unwrap_or_default())
}

fn check_other(old_queue: &Path, queue_path: &Path) -> Result<(), QueueError> {
    if old_queue != queue_path {
        return Ok(());
    }
    let why = "is the queue DB of the current scope".to_owned();
    Err(QueueError::NotImportable { path: old_queue.to_owned(), why })
}

/// Refuses a file that was created for another account; returns whether it has our tables.
fn check_principal(old: &Connection, old_queue: &Path, scope: &Scope) -> Result<bool, Abort> {
    let meta = read_meta(old)?;
    let ours = check_version(old_queue, &meta)? > 0;
    match meta.get("principal").filter(|principal| *principal != scope.principal()) {
        None => Ok(ours),
        Some(principal) => Err(QueueError::NotImportable {
            path: old_queue.to_owned(),
            why: format!("belongs to {principal}, and this scope to {}", scope.principal()),
        }
        .into()),
    }
}

/// The place that the old file has bound the row to, with its checkout.
fn place_of(
    old: &Connection,
    ours: bool,
    table: LegacyTable,
    rowid: i64,
) -> Result<Option<RowOrigin>, Abort> {
    if !ours {
        return Ok(None);
    }
    Ok(old
        .prepare_cached(
            "SELECT p.project_uuid, p.repo_slug, p.checkout FROM bindings AS b JOIN projects AS p ON p.id = b.place
             WHERE b.kind = ?1 AND b.row = ?2",
        )?
        .query_row(params![table.kind(), rowid], |row| origin::of_row(row, 0))
        .optional()?)
}
