//! Every readable row of a table of a damaged file.

use crate::store::Abort;
use rusqlite::{Connection, Row};

/// Takes a row whose columns, from 1 on, are those of its table.
pub(crate) type Put<'p> = dyn FnMut(&Row<'_>) -> Result<(), Abort> + 'p;

/// Shows every readable row of a table; false when some could not be read.
pub(crate) fn walk_rowids(damaged: &Connection, table: &str, put: &mut Put<'_>) -> Result<bool, Abort> {
    let name = quoted(table);
    let all = format!("SELECT rowid, * FROM {name} NOT INDEXED WHERE rowid >= ?1 ORDER BY rowid");
    let mut beyond = Beyond {
        damaged,
        next: format!("{all} LIMIT 1"),
        last: last_rowid(damaged, table),
        steps: most_steps(damaged),
    };
    let mut from = i64::MIN;
    let mut whole = true;
    loop {
        let mut shown = from;
        let ended = show(damaged, &all, from, &mut |row| {
            shown = shown.max(row.get(0)?);
            put(row)
        })?;
        if ended {
            return Ok(whole);
        }
        whole = false;
        match beyond.resume(shown)? {
            Some(rowid) => from = rowid,
            None => return Ok(false),
        }
    }
}

/// The way past pages that cannot be read: an inner page may still lead to leaves that are whole.
struct Beyond<'d> {
    damaged: &'d Connection,
    /// Reads the first row from a rowid on.
    next: String,
    /// The largest rowid, if known. It may be wrong.
    last: Option<i64>,
    /// Rowids that may still be tried one by one, in the whole table.
    steps: u64,
}

impl Beyond<'_> {
    /// The first rowid behind `shown` from which the table can be read on; nothing when there is none.
    ///
    /// One by one first, which finds every whole leaf. Then in strides: rowids may lie far apart, and a
    /// counter may have any value.
    fn resume(&mut self, shown: i64) -> Result<Option<i64>, Abort> {
        // Without the first page the first rowid is unknown; usually it is one.
        let mut failing = shown;
        if shown == i64::MIN {
            if self.reads(0)? {
                return self.between(i64::MIN, 0).map(Some);
            }
            failing = 0;
        }
        let end = self.last.unwrap_or(failing.saturating_add(GUESS));
        while failing < end && self.steps > 0 {
            self.steps -= 1;
            failing += 1;
            if self.reads(failing)? {
                return Ok(Some(failing));
            }
        }
        let mut stride = 1_i64;
        while failing < i64::MAX {
            let candidate = failing.saturating_add(stride);
            if self.reads(candidate)? {
                return self.between(failing, candidate).map(Some);
            }
            failing = candidate;
            stride = stride.saturating_mul(2);
        }
        Ok(None)
    }

    /// The first rowid after `failing`, up to `reading`, from which the table can be read.
    fn between(&self, mut failing: i64, mut reading: i64) -> Result<i64, Abort> {
        while reading.abs_diff(failing) > 1 {
            let middle = ((i128::from(failing) + i128::from(reading)).div_euclid(2)) as i64;
            if self.reads(middle)? {
                reading = middle;
            } else {
                failing = middle;
            }
        }
        Ok(reading)
    }

    fn reads(&self, from: i64) -> Result<bool, Abort> {
        show(self.damaged, &self.next, from, &mut |_| Ok(()))
    }
}

/// Rowids that are tried behind the damage when the end of the table is unknown.
const GUESS: i64 = 100_000;

/// More rows than the file has room for are not looked for.
fn most_steps(damaged: &Connection) -> u64 {
    const ROWS_PER_PAGE: u64 = 512;
    const MOST: u64 = 4_000_000;
    let pages = damaged.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0)).unwrap_or_default();
    pages.unsigned_abs().saturating_mul(ROWS_PER_PAGE).min(MOST)
}

/// The largest rowid, from the table's own end or from SQLite's counter.
fn last_rowid(damaged: &Connection, table: &str) -> Option<i64> {
    let name = quoted(table);
    let end = format!("SELECT rowid FROM {name} NOT INDEXED ORDER BY rowid DESC LIMIT 1");
    let by_end = damaged.query_row(&end, [], |row| row.get::<_, i64>(0)).ok();
    let counter = "SELECT seq FROM sqlite_sequence WHERE name = ?1";
    let by_counter = damaged.query_row(counter, [table], |row| row.get::<_, i64>(0)).ok();
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
pub(crate) fn walk_both_ends(damaged: &Connection, table: &str, put: &mut Put<'_>) -> Result<bool, Abort> {
    let keys: Vec<String> = damaged
        .prepare("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk")
        .and_then(|mut select| select.query_map([table], |row| row.get(0))?.collect())
        .unwrap_or_default();
    let sql = |way: &str| {
        let order: Vec<_> = keys.iter().map(|key| format!("{} {way}", quoted(key))).collect();
        format!("SELECT ?1, * FROM {} ORDER BY {}", quoted(table), order.join(", "))
    };
    let whole = show(damaged, &sql("ASC"), 0, put)?;
    if !whole {
        show(damaged, &sql("DESC"), 0, put)?;
    }
    Ok(whole)
}

/// The name as SQL spells any name.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
