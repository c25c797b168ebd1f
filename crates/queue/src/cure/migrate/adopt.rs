//! Adoption of an old scope's rows (`--from-scope`): the one exception to "bound for ever". The old
//! queue DB is only read; its rows arrive sealed, and leave only after a release.

use super::transfer::{Belonging, Transfer, each_row};
use super::{MigrationReport, Progress};
use crate::busy;
use crate::consent::{Hold, Place};
use crate::error::QueueError;
use crate::file::Role;
use crate::found::{content_digest, examine};
use crate::legacy::{LegacyTable, Shape};
use crate::observe::{check_version, read_meta, read_only};
use crate::place;
use crate::store::{Abort, Store, sql_error};
use contract::Scope;
use rusqlite::{Connection, OptionalExtension as _, params};
use std::path::Path;

/// Copies every event and body of `old_queue` into `store`, sealed.
pub(in crate::cure) fn adopt(
    store: &mut Store,
    scope: &Scope,
    old_queue: &Path,
    progress: &mut dyn Progress,
) -> Result<MigrationReport, QueueError> {
    let report = MigrationReport::of(false, old_queue, store.path());
    if old_queue == store.path() {
        return Err(QueueError::BadRow {
            key: old_queue.display().to_string(),
            why: "is the queue DB of the current scope".to_owned(),
        });
    }
    // What the copy says is the caller's, not a defect of the old file.
    let adopted = read_only(old_queue, Role::Active, |old| Ok(copy(store, scope, old_queue, old, progress)))?;
    adopted.unwrap_or(Ok(report))
}

fn copy(
    store: &mut Store,
    scope: &Scope,
    old_queue: &Path,
    old: &Connection,
    progress: &mut dyn Progress,
) -> Result<MigrationReport, QueueError> {
    let failed = |abort| match abort {
        Abort::Queue(error) => error,
        Abort::Sql(error) => sql_error(old_queue, Role::Active, "read", busy::READ, error),
    };
    let meta = read_meta(old).map_err(failed)?;
    let ours = check_version(old_queue, &meta).map_err(failed)? > 0;
    if let Some(principal) = meta.get("principal").filter(|principal| *principal != scope.principal()) {
        return Err(QueueError::BadRow {
            key: old_queue.display().to_string(),
            why: format!("belongs to {principal}, and this scope to {}", scope.principal()),
        });
    }
    let shape = Shape::read(old, "main", old_queue).map_err(failed)?;
    let mut report = MigrationReport::of(false, old_queue, store.path());
    store.write("copy rows into", |tx| {
        let mut transfer = Transfer::into(tx, Some(Hold::Sealed))?;
        let mut done = 0;
        for table in [LegacyTable::Events, LegacyTable::Bodies] {
            if !shape.has(table) {
                continue;
            }
            each_row(old, &shape, table, &mut |key, row| {
                let fate = match place_of(old, ours, table, row.get(0)?)? {
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
                report.count(table, fate);
                done += 1;
                progress.migrated(done, done);
                Ok(())
            })?;
        }
        transfer.finish()
    })?;
    Ok(report)
}

/// The place that the old file has bound the row to, with its checkout.
fn place_of(old: &Connection, ours: bool, table: LegacyTable, rowid: i64) -> Result<Option<Place>, Abort> {
    if !ours {
        return Ok(None);
    }
    Ok(old
        .prepare_cached(
            "SELECT p.project_uuid, p.repo_slug, p.checkout FROM bindings AS b JOIN projects AS p ON p.id = b.place
             WHERE b.kind = ?1 AND b.row = ?2",
        )?
        .query_row(params![table.kind(), rowid], |row| place::of_row(row, 0))
        .optional()?)
}
