//! Owners of legacy rows that another queue DB of this home imported or delivered before.
//!
//! A restored `queue.db` contains rows that were moved, and perhaps delivered, before. The queue DB that has
//! imported or receipted a row's key and digest owns it. While a queue DB is unreadable the owner is unknown.
//! The gate reads the claims that a cure has written, and not this module.

use super::transfer::each_row;
use crate::error::{ObserveError, QueueError};
use crate::fault_point::{FaultPoint, reached};
use crate::file::Role;
use crate::foreign_rows::content_digest;
use crate::legacy::{FileShape, LegacyDb, LegacyKey, LegacyTable, OwnerFinder};
use crate::observe::{FileMeta, RowCounts, read_meta, read_only, read_only_within, scoped_queues, slot};
use crate::row::RowDigest;
use crate::schema;
use crate::store::{Abort, fault};
use contract::{LegacyRowCounts, Scope};
use rusqlite::{Connection, params};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Rows of the legacy queue DB that other queue DBs own.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// The hash of the owner's scope, by the key of the row.
    owned: HashMap<LegacyKey, String>,
    /// Number of such rows.
    pub(super) counts: LegacyRowCounts,
    /// A queue DB that may own any of the other rows, because it cannot be read.
    pub(super) unread: Option<PathBuf>,
}

impl Owners {
    /// Looks the rows of `scope` up in every scoped queue DB beside `queue_path`. A row that `own` imported or
    /// delivered belongs to it, also when another one did, too.
    pub(super) fn look_up(
        legacy: &Connection,
        legacy_path: &Path,
        scope: &Scope,
        own: Option<&Connection>,
        queue_path: &Path,
    ) -> Result<Self, Abort> {
        let mut owners = Self::default();
        let own = own.map(|conn| Ok::<_, Abort>((conn, RowHistory::read(conn)?))).transpose()?;
        for path in others(queue_path) {
            let found = read_only(&path, Role::Active, |other| {
                let Some((hash, history)) = read_owner_and_history(other, &path)? else {
                    return Ok(Vec::new());
                };
                let mut keys = Vec::new();
                each_in_scope(legacy, legacy_path, scope, &mut |table, key, row| {
                    let digest = || content_digest(table, row, 1);
                    let theirs = history.has_row(other, table, &key, digest)?;
                    let ours = || match own {
                        Some((conn, own)) => own.has_row(conn, table, &key, digest),
                        None => Ok(false),
                    };
                    if theirs && !ours()? {
                        keys.push((table, key, hash.clone()));
                    }
                    Ok(())
                })?;
                Ok(keys)
            });
            match found {
                Ok(keys) => owners.take(keys.unwrap_or_default()),
                Err(ObserveError::Fault(_) | ObserveError::Busy(_)) => owners.unread = Some(path),
            }
        }
        Ok(owners)
    }

    fn take(&mut self, keys: Vec<(LegacyTable, LegacyKey, String)>) {
        for (table, key, hash) in keys {
            if self.owned.insert(key, hash).is_none() {
                *slot(&mut self.counts, table) += 1;
            }
        }
    }

    /// Whether another scope owns the row of this key.
    pub(super) fn is_owned(&self, key: &LegacyKey) -> bool {
        self.owned.contains_key(key)
    }

    /// Writes the owners' claims into the legacy queue DB, so that every gate counts the rows as theirs.
    pub(super) fn write_claims(&self, legacy: &mut LegacyDb) -> Result<(), QueueError> {
        if self.owned.is_empty() {
            return Ok(());
        }
        legacy.write("claim rows for their owners in", |tx| {
            tx.execute_batch(super::claim::CLAIMS)?;
            let mut insert =
                tx.prepare("INSERT OR REPLACE INTO claims(\"table\", key, scope) VALUES (?1, ?2, ?3)")?;
            for (key, hash) in &self.owned {
                insert.execute(params![key.source, key.key, hash])?;
            }
            reached(FaultPoint::ClaimWritten);
            Ok(Some(()))
        })?;
        Ok(())
    }
}

/// Owner of a parked row among the other queue DBs of a home.
pub(crate) enum RowOwner {
    /// No other queue DB imported or delivered it.
    Unowned,
    /// This queue DB imported or delivered it.
    Other(PathBuf),
    /// This queue DB cannot be read; the owner is unknown.
    Unreadable(PathBuf),
}

/// Whether a queue DB beside `queue_path` imported or delivered the row of this key and digest.
pub(crate) fn owner_of(
    queue_path: &Path,
    table: LegacyTable,
    key: &str,
    digest: RowDigest,
) -> Result<RowOwner, Abort> {
    let mut unreadable = None;
    let key = LegacyKey { source: table.name(), key: key.to_owned() };
    for path in others(queue_path) {
        let has_row = read_only(&path, Role::Active, |other| match read_owner_and_history(other, &path)? {
            Some((_, history)) => history.has_row(other, table, &key, || Ok(digest)),
            None => Ok(false),
        });
        match has_row {
            Ok(Some(true)) => return Ok(RowOwner::Other(path)),
            Ok(Some(false) | None) => {}
            Err(_) => unreadable = Some(path),
        }
    }
    Ok(unreadable.map_or(RowOwner::Unowned, RowOwner::Unreadable))
}

/// The waiting rows of the queue DB at `path` that no other queue DB of the same user beside it imported or delivered: the
/// others wait there, or were delivered from there. A queue DB that cannot be read without waiting counts as empty.
pub(crate) fn rows_of_its_own(conn: &Connection, path: &Path) -> Result<RowCounts, Abort> {
    let shape = FileShape::read(conn, "main", path)?;
    let principal = read_meta(conn)?.get("principal").cloned();
    let tables = || [LegacyTable::Events, LegacyTable::Bodies].into_iter().filter(|table| shape.has(*table));
    let mut elsewhere: HashSet<LegacyKey> = HashSet::new();
    for other in others(path) {
        let found = read_only_within(&other, Role::Active, Duration::ZERO, |beside| {
            let theirs = read_meta(beside)?.get("principal").cloned();
            let is_another_user = principal.is_some() && theirs.is_some() && principal != theirs;
            let history = read_owner_and_history(beside, &other)?.filter(|_| !is_another_user);
            let Some((_, history)) = history else {
                return Ok(Vec::new());
            };
            let mut keys = Vec::new();
            for table in tables() {
                each_row(conn, &shape, table, &mut |key, row| {
                    if history.has_row(beside, table, &key, || content_digest(table, row, 1))? {
                        keys.push(key);
                    }
                    Ok(())
                })?;
            }
            Ok(keys)
        });
        elsewhere.extend(found.ok().flatten().unwrap_or_default());
    }
    let mut counts = RowCounts::default();
    for table in tables() {
        each_row(conn, &shape, table, &mut |key, _| {
            if !elsewhere.contains(&key) {
                match table {
                    LegacyTable::Events => counts.events += 1,
                    LegacyTable::Bodies | LegacyTable::FailureLog => counts.bodies += 1,
                }
            }
            Ok(())
        })?;
    }
    Ok(counts)
}

fn others(queue_path: &Path) -> Vec<PathBuf> {
    let directory = queue_path.parent().unwrap_or(Path::new("."));
    let mut paths: Vec<PathBuf> =
        scoped_queues(directory).map(|(path, _)| path).filter(|path| path != queue_path).collect();
    paths.sort();
    paths
}

/// Scope hash and history of a queue DB; nothing when it never had a row. Refuses a file of a newer release and
/// a damaged one, whose history is unknown.
fn read_owner_and_history(conn: &Connection, path: &Path) -> Result<Option<(String, RowHistory)>, Abort> {
    let meta: FileMeta = read_meta(conn)?;
    let version = meta.get("schema_version").and_then(|text| text.parse().ok()).unwrap_or_default();
    if version > schema::VERSION {
        return Err(fault(schema::newer(path, version)).into());
    }
    if let Some(finding) = meta.damage() {
        return Err(fault(crate::health::damaged(path, &finding)).into());
    }
    if let Some(lost) = meta.lost(path) {
        return Err(fault(lost).into());
    }
    let history = RowHistory::read(conn)?;
    let scope = meta.get("scope").cloned();
    Ok(scope.filter(|_| history.imported || history.receipts).map(|scope| (scope, history)))
}

/// Whether a queue DB has import records and receipts.
#[derive(Clone, Copy, Debug)]
struct RowHistory {
    imported: bool,
    receipts: bool,
}

impl RowHistory {
    fn read(conn: &Connection) -> rusqlite::Result<Self> {
        let any = |table: &str| -> rusqlite::Result<bool> {
            Ok(conn.table_exists(None, table)?
                && conn.prepare(&format!("SELECT 1 FROM {table}"))?.exists([])?)
        };
        Ok(Self { imported: any("imported")?, receipts: any("receipts")? })
    }

    /// Whether the queue DB has imported or receipted this row. The digest is only asked for when the key is
    /// there.
    fn has_row(
        self,
        conn: &Connection,
        table: LegacyTable,
        key: &LegacyKey,
        digest: impl Fn() -> Result<RowDigest, Abort>,
    ) -> Result<bool, Abort> {
        let mut digests: Vec<Vec<u8>> = Vec::new();
        if self.imported {
            let mut select =
                conn.prepare_cached("SELECT digest FROM imported WHERE source = ?1 AND key = ?2")?;
            let rows = select.query_map([key.source, &key.key], |row| row.get(0))?;
            digests.extend(rows.collect::<Result<Vec<_>, _>>()?);
        }
        if self.receipts && key.is_natural(table) {
            let mut select =
                conn.prepare_cached("SELECT digest FROM receipts WHERE kind = ?1 AND key = ?2")?;
            let rows = select.query_map(params![table.kind(), key.key], |row| row.get(0))?;
            digests.extend(rows.collect::<Result<Vec<_>, _>>()?);
        }
        if digests.is_empty() {
            return Ok(false);
        }
        let digest = digest()?;
        Ok(digests.iter().any(|known| known.as_slice() == digest.0.as_slice()))
    }
}

/// Shows every legacy row that belongs to `scope` as the gate judges it.
fn each_in_scope(
    legacy: &Connection,
    legacy_path: &Path,
    scope: &Scope,
    visit: &mut dyn FnMut(LegacyTable, LegacyKey, &rusqlite::Row<'_>) -> Result<(), Abort>,
) -> Result<(), Abort> {
    let shape = FileShape::read(legacy, "main", legacy_path)?;
    let mut finder = OwnerFinder::read(legacy, &shape, scope)?;
    for table in shape.tables() {
        each_row(legacy, &shape, table, &mut |key, row| {
            let evidence = if table == LegacyTable::Events { row.get_ref(3)? } else { row.get_ref(1)? };
            let found = finder.read_owner(table, key, evidence)?;
            if found.in_scope { visit(table, found.key, row) } else { Ok(()) }
        })?;
    }
    Ok(())
}
