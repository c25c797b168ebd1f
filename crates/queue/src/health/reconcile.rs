//! Reconciles the tables of a salvaged file with each other, once the rows are copied.

use crate::cure::is_accounted_for;
use crate::legacy::LegacyTable;
use crate::row::RowDigest;
use crate::sent;
use crate::store::Abort;
use crate::{health, schema};
use rusqlite::{Connection, Transaction, params};

/// Indexes, and the counters that keep ids from being used twice. Triggers are not taken along: ours are
/// made again, and one of another file would run with our pages.
pub(super) fn finish(damaged: &Connection, tx: &Transaction<'_>) -> Result<(), Abort> {
    let listed: rusqlite::Result<Vec<String>> = damaged
        .prepare("SELECT sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")
        .and_then(|mut select| select.query_map([], |row| row.get(0))?.collect());
    for sql in listed.unwrap_or_default() {
        // One that is there by now, or does not fit the rows, is no reason to give them up.
        if let Err(error) = tx.execute_batch(&sql) {
            tracing::debug!(%error, %sql, "left an index out");
        }
    }
    let counters: rusqlite::Result<Vec<(String, i64)>> = damaged
        .prepare("SELECT name, seq FROM sqlite_sequence")
        .and_then(|mut select| select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect());
    for (name, seq) in counters.unwrap_or_default() {
        let known =
            tx.execute("UPDATE sqlite_sequence SET seq = MAX(seq, ?2) WHERE name = ?1", (&name, seq))?;
        if known == 0 && tx.table_exists(None, name.as_str())? {
            tx.execute("INSERT INTO sqlite_sequence(name, seq) VALUES (?1, ?2)", (&name, seq))?;
        }
    }
    Ok(())
}

/// A row without a binding is a foreign row, the stricter state; a binding without its row or origin is
/// deleted; the tallies are recounted. A lost id or scope is set when the file is opened.
pub(super) fn reconcile(tx: &Transaction<'_>) -> Result<(), Abort> {
    tx.execute_batch(schema::OUR_TRIGGERS)?;
    tx.execute("INSERT OR REPLACE INTO meta(key, value) VALUES ('schema_version', ?1)", [schema::VERSION])?;
    tx.execute("DELETE FROM meta WHERE key = ?1", [health::DAMAGED])?;
    tx.execute_batch(
        "DELETE FROM bindings WHERE kind = 0 AND NOT EXISTS (SELECT 1 FROM queue WHERE id = bindings.row);
         DELETE FROM bindings WHERE kind = 1
             AND NOT EXISTS (SELECT 1 FROM body_upload_queue WHERE id = bindings.row);
         DELETE FROM bindings WHERE NOT EXISTS (SELECT 1 FROM projects WHERE id = bindings.place);
         DELETE FROM tallies;
         INSERT INTO tallies(kind, place, hold, waiting)
             SELECT kind, place, hold, COUNT(*) FROM bindings GROUP BY kind, place, hold;",
    )?;
    sent::recount(tx)?;
    Ok(())
}

/// Forgets imported rows that are gone with a lost page: the legacy queue DB may still have them, and the next
/// migration would take them for moved and delete the last copy.
pub(super) fn forget_lost(tx: &Transaction<'_>) -> Result<(), Abort> {
    if !tx.table_exists(None, "imported")? {
        return Ok(());
    }
    let mut lost: Vec<(String, String, Vec<u8>)> = Vec::new();
    let mut select = tx.prepare("SELECT source, key, digest FROM imported")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        // A damaged row may hold anything. One of other types names no legacy row.
        let (Ok(source), Ok(key), Ok(digest)) =
            (row.get::<_, String>(0), row.get::<_, String>(1), row.get::<_, Vec<u8>>(2))
        else {
            continue;
        };
        let known = LegacyTable::ALL.into_iter().find(|table| source.split('#').next() == Some(table.name()));
        let here = match (known, RowDigest::from_slice(&digest)) {
            (Some(table), Some(digest)) => is_accounted_for(tx, table, &key, digest)?,
            _ => false,
        };
        if !here {
            lost.push((source, key, digest));
        }
    }
    let mut delete = tx.prepare("DELETE FROM imported WHERE source = ?1 AND key = ?2 AND digest = ?3")?;
    for (source, key, digest) in &lost {
        delete.execute(params![source, key, digest])?;
    }
    Ok(())
}
