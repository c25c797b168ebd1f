//! Clearing: deletes the copied rows, and no others, from the legacy file.

use super::changed_since;
use super::claim::Claimed;
use super::transfer::{each_row, is_claimed};
use crate::error::QueueError;
use crate::fault_point::{FaultPoint, reached};
use crate::foreign_rows::content_digest;
use crate::legacy::{LegacyDb, LegacyTable};
use crate::store::{Abort, ScopedDb};
use contract::Scope;
use rusqlite::{Transaction, params};

/// Deletes the claimed rows that the scoped file has imported, and the claims.
///
/// If no other program has written the file since the claim, then what was copied is what is there,
/// and whole sets are deleted. Otherwise each row must still have the content that was imported; one
/// that does not keeps its claim and is copied in the next round.
pub(super) fn clear(
    legacy: &mut LegacyDb,
    store: &mut ScopedDb,
    scope: &Scope,
    claimed: &Claimed,
) -> Result<(), QueueError> {
    let hash = scope.hash();
    legacy.write("clear rows of", |tx| {
        let unchanged = !changed_since(tx, claimed.version)?;
        for table in claimed.shape.tables() {
            if unchanged {
                clear_set(tx, claimed, table, &hash)?;
            } else {
                clear_verified(tx, store, claimed, table, &hash)?;
            }
        }
        // A claim whose row is gone has done its work, also when another program removed the row.
        if unchanged {
            clear_claims(tx, &hash)?;
        } else {
            clear_claims_without_rows(tx, claimed, &hash)?;
        }
        reached(FaultPoint::ClearWritten);
        Ok(Some(()))
    })?;
    Ok(())
}

/// Deletes the claims of the scope.
fn clear_claims(tx: &Transaction<'_>, hash: &str) -> Result<(), Abort> {
    let others = tx.prepare("SELECT 1 FROM claims WHERE scope <> ?1")?.exists([hash])?;
    match others {
        true => tx.execute("DELETE FROM claims WHERE scope = ?1", [hash])?,
        // Without a condition SQLite drops the table's pages and visits no row.
        false => tx.execute("DELETE FROM claims", [])?,
    };
    Ok(())
}

fn clear_set(tx: &Transaction<'_>, claimed: &Claimed, table: LegacyTable, hash: &str) -> Result<(), Abort> {
    let name = table.name();
    if claimed.all_of(table) {
        // Without a condition SQLite drops the table's pages and visits no row.
        tx.execute(&format!("DELETE FROM {name}"), [])?;
        return Ok(());
    }
    match table {
        LegacyTable::Events => {
            let id = claimed.shape.key_expressions(table);
            tx.execute(
                &format!(
                    "DELETE FROM {name} WHERE {id} IN
                     (SELECT key FROM claims WHERE \"table\" = '{name}' AND scope = ?1)"
                ),
                [hash],
            )?;
        }
        // Several key columns: the rows are visited by key, their payloads are not read.
        LegacyTable::Bodies | LegacyTable::FailureLog => {
            let mut claimed_rows = Vec::new();
            let columns = claimed.shape.key_expressions(table);
            let mut select = tx.prepare(&format!("SELECT rowid, {columns} FROM {name}"))?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let rowid = row.get(0)?;
                let key = crate::legacy::LegacyKey::of(table, rowid, row, 1)?;
                if is_claimed(tx, &key, hash)? {
                    claimed_rows.push(rowid);
                }
            }
            delete_rows(tx, name, &claimed_rows)?;
        }
    }
    let by_rowid = format!(
        "DELETE FROM {name} WHERE rowid IN
         (SELECT CAST(key AS INTEGER) FROM claims WHERE \"table\" = '{name}#rowid' AND scope = ?1)"
    );
    tx.execute(&by_rowid, [hash])?;
    Ok(())
}

/// Deletes the rows whose content, as it is now, was imported.
fn clear_verified(
    tx: &Transaction<'_>,
    store: &mut ScopedDb,
    claimed: &Claimed,
    table: LegacyTable,
    hash: &str,
) -> Result<(), Abort> {
    let mut copied = Vec::new();
    store.read("compare rows with", |scoped| {
        let mut imported =
            scoped.prepare("SELECT 1 FROM imported WHERE source = ?1 AND key = ?2 AND digest = ?3")?;
        each_row(tx, &claimed.shape, table, &mut |key, row| {
            let digest = content_digest(table, row, 1)?;
            if is_claimed(tx, &key, hash)? && imported.exists(params![key.source, key.key, digest.0])? {
                copied.push(row.get(0)?);
            }
            Ok(())
        })
    })?;
    Ok(delete_rows(tx, table.name(), &copied)?)
}

fn delete_rows(tx: &Transaction<'_>, name: &str, rowids: &[i64]) -> rusqlite::Result<()> {
    let mut delete = tx.prepare(&format!("DELETE FROM {name} WHERE rowid = ?1"))?;
    for rowid in rowids {
        delete.execute([rowid])?;
    }
    Ok(())
}

/// Keeps the claims of rows that are still there.
fn clear_claims_without_rows(tx: &Transaction<'_>, claimed: &Claimed, hash: &str) -> Result<(), Abort> {
    tx.execute_batch("CREATE TEMP TABLE kept_claims (source TEXT, key TEXT)")?;
    for table in claimed.shape.tables() {
        let mut keep = tx.prepare("INSERT INTO temp.kept_claims VALUES (?1, ?2)")?;
        let columns = claimed.shape.key_expressions(table);
        let mut select = tx.prepare(&format!("SELECT rowid, {columns} FROM {}", table.name()))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let key = crate::legacy::LegacyKey::of(table, row.get(0)?, row, 1)?;
            if is_claimed(tx, &key, hash)? {
                keep.execute(params![key.source, key.key])?;
            }
        }
    }
    tx.execute("DELETE FROM claims WHERE scope = ?1", [hash])?;
    tx.execute(
        "INSERT OR IGNORE INTO claims(\"table\", key, scope) SELECT source, key, ?1 FROM temp.kept_claims",
        [hash],
    )?;
    tx.execute_batch("DROP TABLE temp.kept_claims")?;
    Ok(())
}
