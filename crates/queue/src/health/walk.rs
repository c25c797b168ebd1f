//! Every readable row of a table of a damaged file.

use super::salvage::{Table, quoted};
use crate::store::Abort;
use rusqlite::{Connection, Row};

/// Takes a row whose columns, from 1 on, are those of its table.
pub(super) type Put<'p> = dyn FnMut(&Row<'_>) -> Result<(), Abort> + 'p;

/// Shows every readable row of a table; false when some could not be read.
pub(super) fn walk_rowids(damaged: &Connection, table: &Table, put: &mut Put<'_>) -> Result<bool, Abort> {
    let name = quoted(&table.name);
    let last = last_rowid(damaged, table);
    let all = format!("SELECT rowid, * FROM {name} NOT INDEXED WHERE rowid > ?1 ORDER BY rowid");
    let one = format!("SELECT rowid, * FROM {name} NOT INDEXED WHERE rowid = ?1");
    let mut after = i64::MIN;
    let mut whole = true;
    while !show(damaged, &all, after, &mut |row| {
        after = row.get(0)?;
        put(row)
    })? {
        whole = false;
        // Behind the damage, row by row: an inner page may still lead to leaves that are whole.
        let from = after.max(0).saturating_add(1);
        let mut candidates = from..=last.unwrap_or(from.saturating_add(GUESS));
        let resumed = loop {
            let Some(candidate) = candidates.next() else { break None };
            let mut found = None;
            show(damaged, &one, candidate, &mut |row| {
                found = Some(candidate);
                put(row)
            })?;
            if found.is_some() {
                break found;
            }
        };
        match resumed {
            Some(rowid) => after = rowid,
            None => return Ok(false),
        }
    }
    Ok(whole)
}

/// How far behind the damage is looked when nothing tells where the table ends.
const GUESS: i64 = 100_000;

/// The largest rowid, from the table's own end or from SQLite's counter.
fn last_rowid(damaged: &Connection, table: &Table) -> Option<i64> {
    let name = quoted(&table.name);
    let end = format!("SELECT rowid FROM {name} NOT INDEXED ORDER BY rowid DESC LIMIT 1");
    let by_end = damaged.query_row(&end, [], |row| row.get::<_, i64>(0)).ok();
    let counter = "SELECT seq FROM sqlite_sequence WHERE name = ?1";
    let by_counter = damaged.query_row(counter, [&table.name], |row| row.get::<_, i64>(0)).ok();
    by_end.max(by_counter)
}

/// Shows the rows of a query until its end, true, or until a page cannot be read, false.
fn show(damaged: &Connection, sql: &str, parameter: i64, visit: &mut Put<'_>) -> Result<bool, Abort> {
    let Ok(mut select) = damaged.prepare_cached(sql) else { return Ok(false) };
    let Ok(mut rows) = select.query([parameter]) else { return Ok(false) };
    loop {
        match rows.next() {
            Ok(Some(row)) => visit(row)?,
            Ok(None) => return Ok(true),
            Err(_) => return Ok(false),
        }
    }
}

/// The same for a table without rowids: from its first row on, and from its last row back. The walks do
/// not meet: between them lies what cannot be read.
pub(super) fn walk_both_ends(damaged: &Connection, table: &Table, put: &mut Put<'_>) -> Result<bool, Abort> {
    let keys: Vec<String> = damaged
        .prepare("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk")
        .and_then(|mut select| select.query_map([&table.name], |row| row.get(0))?.collect())
        .unwrap_or_default();
    let sql = |way: &str| {
        let order: Vec<_> = keys.iter().map(|key| format!("{} {way}", quoted(key))).collect();
        format!("SELECT ?1, * FROM {} ORDER BY {}", quoted(&table.name), order.join(", "))
    };
    let whole = show(damaged, &sql("ASC"), 0, put)?;
    if !whole {
        show(damaged, &sql("DESC"), 0, put)?;
    }
    Ok(whole)
}
