//! The preview of a migration: the same judgements on two read-only snapshots.

use super::transfer::{Known, each_row};
use super::{Fate, MigrationReport};
use crate::error::ObserveError;
use crate::file::Role;
use crate::found::{content_digest, examine};
use crate::legacy::{Judge, LegacyTable, Shape};
use crate::observe::{check_version, read_meta, read_only, slot};
use crate::store::Abort;
use contract::Scope;
use rusqlite::Connection;
use std::path::Path;

/// What a migration of `scope` would do. Changes nothing, creates nothing.
pub(in crate::cure) fn plan(
    scope: &Scope,
    legacy_path: &Path,
    queue_path: &Path,
) -> Result<MigrationReport, ObserveError> {
    let report = MigrationReport::of(true, legacy_path, queue_path);
    // The legacy snapshot is the outer one: it must not change while the rows are compared.
    let planned = read_only(legacy_path, Role::Legacy, |legacy| {
        let compared = read_only(queue_path, Role::Active, |scoped| {
            let ours = check_version(queue_path, &read_meta(scoped)?)? > 0;
            walk(legacy, legacy_path, scope, ours.then_some(scoped), report.clone())
        });
        match compared {
            Ok(Some(report)) => Ok(report),
            Ok(None) => walk(legacy, legacy_path, scope, None, report.clone()),
            Err(ObserveError::Fault(fault)) => Err(Abort::Queue(crate::QueueError::Fault(fault))),
            Err(ObserveError::Busy(busy)) => Err(Abort::Queue(crate::QueueError::Busy(busy))),
        }
    })?;
    Ok(planned.unwrap_or(report))
}

fn walk(
    legacy: &Connection,
    legacy_path: &Path,
    scope: &Scope,
    scoped: Option<&Connection>,
    mut report: MigrationReport,
) -> Result<MigrationReport, Abort> {
    let shape = Shape::read(legacy, "main", legacy_path)?;
    let known = scoped.map(Known::read).transpose()?;
    let mut judge = Judge::read(legacy, &shape, scope)?;
    for table in shape.tables() {
        each_row(legacy, &shape, table, &mut |key, row| {
            let evidence = if table == LegacyTable::Events { row.get_ref(3)? } else { row.get_ref(1)? };
            let judged = judge.judge(table, key, evidence)?;
            if !judged.in_scope {
                *slot(&mut report.rows_other_scope, table) += 1;
                return Ok(());
            }
            let fate = match (examine(table, &judged.key, row, 1)?, known, scoped) {
                (Err(_), ..) => Fate::Unreadable,
                (Ok(_), Some(known), Some(scoped)) => {
                    known.fate(scoped, table, &judged.key, content_digest(table, row, 1)?)?
                }
                _ => Fate::Moved,
            };
            report.count(table, fate);
            Ok(())
        })?;
    }
    Ok(report)
}
