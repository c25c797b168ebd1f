//! Salvage: every row that can still be read, into a new file.
//!
//! Tables are walked by rowid. Where a page cannot be read the walk goes on behind it, row by row, until
//! a row answers again; tables without rowids are walked from both ends. Indexes and triggers are made
//! when the rows are there, and what one of our tables says about another is put right at the end.

use super::QueueFile;
use crate::error::QueueError;
use crate::file::{self, Role};
use crate::store::{Abort, connect, sql_error};
use crate::{busy, health, platform, schema};
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, Transaction, params_from_iter};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What was saved of a damaged queue DB.
///
/// While it lives nobody can write to the damaged file, where its header still lets anybody lock it: so
/// keep it until the new file stands in the damaged one's place.
#[derive(Debug, Serialize)]
pub struct Salvaged {
    /// The new file, beside the damaged one.
    #[serde(skip)]
    pub path: PathBuf,
    #[serde(skip)]
    _lock: Option<Connection>,
    /// Events.
    pub events: u64,
    /// Bodies.
    pub bodies: u64,
    /// Rows of every other table: failure log, prepared, parked, receipts, claims and so on.
    pub others: u64,
    /// Rows that were read and that the new tables did not take, because a damaged index had let a
    /// second row of their key in.
    pub left: u64,
    /// Whether some page could not be read: then rows may be missing, and only the old file has them.
    pub gaps: bool,
}

/// Copies what can be read of the damaged queue DB at `path` to `<path>.salvaged`. Nothing when not even
/// its list of tables can be read. The damaged file is not changed.
pub fn salvage(path: &Path, which: QueueFile) -> Result<Option<Salvaged>, QueueError> {
    let target = file::side_file(path, ".salvaged");
    let copy = file::side_file(path, ".rolled-back");
    discard(&target)?;
    let lock = lock(path, which)?;
    let unfinished = ["-journal", "-wal"].iter().any(|suffix| file::side_file_len(path, suffix) > 0);
    let opened = if unfinished {
        // What was half done is undone first, in a copy: the damaged file itself stays as it is.
        discard(&copy)?;
        copy_group(path, &copy)?;
        open_damaged(&copy, "mode=rw")
    } else {
        open_damaged(path, "immutable=1")
    };
    let salvaged = match opened {
        Some((damaged, tables)) => {
            let empty =
                Salvaged { path: target, _lock: lock, events: 0, bodies: 0, others: 0, left: 0, gaps: false };
            copy_rows(&damaged, &tables, which, empty).map(Some)
        }
        None => Ok(None),
    };
    if unfinished {
        discard(&copy)?;
    }
    salvaged
}

/// The side files of a database, and the database.
const GROUP: [&str; 4] = ["-journal", "-wal", "-shm", ""];

/// Removes what an earlier salvage left of its own files.
fn discard(ours: &Path) -> Result<(), QueueError> {
    for path in GROUP.map(|suffix| file::side_file(ours, suffix)) {
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(QueueError::Io { path, action: "remove", source });
            }
            _ => {}
        }
    }
    Ok(())
}

fn copy_group(from: &Path, to: &Path) -> Result<(), QueueError> {
    for suffix in GROUP {
        let (source, target) = (file::side_file(from, suffix), file::side_file(to, suffix));
        if !source.exists() {
            continue;
        }
        let copied = platform::create_private_file(&target).and_then(|()| {
            std::io::copy(&mut std::fs::File::open(&source)?, &mut std::fs::File::create(&target)?)
        });
        copied.map_err(|error| QueueError::Io { path: target, action: "copy to", source: error })?;
    }
    Ok(())
}

/// Keeps writers out, if the file can be locked at all. A file that waits for a rollback is not locked:
/// that would begin with rolling it back.
fn lock(path: &Path, which: QueueFile) -> Result<Option<Connection>, QueueError> {
    if file::side_file_len(path, "-journal") > 0 {
        return Ok(None);
    }
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let locked = Connection::open_with_flags(file::uri(path, "mode=rw"), flags).and_then(|mut conn| {
        busy::wait_for_locks(&mut conn, busy::MIGRATE)?;
        conn.execute_batch("BEGIN EXCLUSIVE")?;
        Ok(conn)
    });
    match locked.map_err(|error| sql_error(path, which.role(), "lock", busy::MIGRATE, error)) {
        Ok(conn) => Ok(Some(conn)),
        Err(busy @ QueueError::Busy(_)) => Err(busy),
        Err(_) => Ok(None),
    }
}

fn copy_rows(
    damaged: &Connection,
    tables: &[Table],
    which: QueueFile,
    mut salvaged: Salvaged,
) -> Result<Salvaged, QueueError> {
    let target = salvaged.path.clone();
    platform::create_private_file(&target).map_err(|source| QueueError::Io {
        path: target.clone(),
        action: "create",
        source,
    })?;
    let mut fresh = connect(&target, Role::Active, busy::MIGRATE)?;
    let copied = (|| -> Result<(), Abort> {
        let tx = fresh.transaction()?;
        for table in tables {
            copy_table(damaged, &tx, table, &mut salvaged)?;
        }
        finish(damaged, &tx)?;
        if which == QueueFile::Active {
            reconcile(&tx)?;
        }
        tx.commit()?;
        Ok(())
    })();
    match copied {
        Ok(()) => Ok(salvaged),
        Err(abort) => {
            drop(fresh);
            discard(&target)?;
            Err(match abort {
                Abort::Queue(error) => error,
                Abort::Sql(error) => sql_error(&target, Role::Active, "salvage into", busy::MIGRATE, error),
            })
        }
    }
}

/// One table of the damaged file.
struct Table {
    name: String,
    sql: String,
    /// Whether its rows have rowids.
    rowids: bool,
    columns: Vec<String>,
    /// Whether one of the columns is the rowid.
    named_rowid: bool,
}

/// Opens the file, and reads which tables it has.
fn open_damaged(path: &Path, parameters: &str) -> Option<(Connection, Vec<Table>)> {
    let access = match parameters {
        "mode=rw" => OpenFlags::SQLITE_OPEN_READ_WRITE,
        _ => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    let flags = access | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let conn = Connection::open_with_flags(file::uri(path, parameters), flags).ok()?;
    // `writable_schema` lets a broken entry of the list of tables stand for itself alone.
    conn.execute_batch(
        "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA writable_schema = ON",
    )
    .ok()?;
    let listed: rusqlite::Result<Vec<(String, String)>> = conn
        .prepare(
            "SELECT name, sql FROM sqlite_schema
             WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql IS NOT NULL",
        )
        .and_then(|mut select| select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect());
    let tables = listed.ok()?.into_iter().filter_map(|(name, sql)| shape_of(&conn, name, sql)).collect();
    Some((conn, tables))
}

/// An ordinary table, as its own definition says; virtual tables and views have no rows of their own.
fn shape_of(conn: &Connection, name: String, sql: String) -> Option<Table> {
    let (kind, without_rowid): (String, bool) = conn
        .query_row(
            "SELECT type, wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1",
            [&name],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .ok()?;
    let described: rusqlite::Result<Vec<(String, String, i64)>> =
        conn.prepare("SELECT name, type, pk FROM pragma_table_info(?1)").and_then(|mut select| {
            select.query_map([&name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
        });
    let described = described.ok()?;
    let keys: Vec<_> = described.iter().filter(|(.., key)| *key > 0).collect();
    let named_rowid = matches!(keys[..], [(_, kind, _)] if kind.eq_ignore_ascii_case("INTEGER"));
    let columns = described.into_iter().map(|(name, ..)| name).collect();
    (kind == "table").then_some(Table { name, sql, rowids: !without_rowid, columns, named_rowid })
}

/// The name as SQL spells any name.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn copy_table(
    damaged: &Connection,
    tx: &Transaction<'_>,
    table: &Table,
    salvaged: &mut Salvaged,
) -> Result<(), Abort> {
    tx.execute_batch(&table.sql)?;
    // Claims name a row without a key by its rowid, so rowids are kept, whatever they are called.
    let first = if table.rowids && !table.named_rowid { 0 } else { 1 };
    let names = std::iter::once("rowid".to_owned()).chain(table.columns.iter().map(|name| quoted(name)));
    let names: Vec<_> = names.skip(first).collect();
    let marks = vec!["?"; names.len()].join(", ");
    let name = quoted(&table.name);
    let mut insert = tx.prepare(&format!("INSERT INTO {name}({}) VALUES ({marks})", names.join(", ")))?;
    let (mut taken, mut left) = (0, 0);
    // Values are passed on as they are: text need not be UTF-8.
    let mut put = |row: &Row<'_>| -> Result<(), Abort> {
        let values = (first..=table.columns.len())
            .map(|column| row.get_ref(column).map(ToSqlOutput::Borrowed))
            .collect::<Result<Vec<_>, _>>()?;
        match insert.execute(params_from_iter(values)) {
            Ok(_) => taken += 1,
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => left += 1,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    };
    let whole = match table.rowids {
        true => walk_rowids(damaged, table, &mut put)?,
        false => walk_both_ends(damaged, table, &mut put)?,
    };
    salvaged.gaps |= !whole;
    salvaged.left += left;
    match table.name.as_str() {
        "queue" => salvaged.events += taken,
        "body_upload_queue" => salvaged.bodies += taken,
        _ => salvaged.others += taken,
    }
    Ok(())
}

/// Takes a row whose columns, from 1 on, are those of its table.
type Put<'p> = dyn FnMut(&Row<'_>) -> Result<(), Abort> + 'p;

/// Shows every readable row of a table; false when some could not be read.
fn walk_rowids(damaged: &Connection, table: &Table, put: &mut Put<'_>) -> Result<bool, Abort> {
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
fn walk_both_ends(damaged: &Connection, table: &Table, put: &mut Put<'_>) -> Result<bool, Abort> {
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

/// Indexes, our own triggers, and the counters that keep ids from being used twice.
fn finish(damaged: &Connection, tx: &Transaction<'_>) -> Result<(), Abort> {
    let listed: rusqlite::Result<Vec<(String, String, String)>> = damaged
        .prepare("SELECT type, name, sql FROM sqlite_schema WHERE type IN ('index', 'trigger') AND sql IS NOT NULL")
        .and_then(|mut select| {
            select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
        });
    for (kind, name, sql) in listed.unwrap_or_default() {
        // A trigger of anybody else would run with whatever we write.
        if kind == "index" || schema::TRIGGERS.contains(&name.as_str()) {
            tx.execute_batch(&sql)?;
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

/// Rows that lost their binding are found rows again, which is the careful side; bindings that lost
/// their row or their place go; the tallies are counted anew. Id and scope are given again when the file
/// is opened, if they were lost.
fn reconcile(tx: &Transaction<'_>) -> Result<(), Abort> {
    for table in ["meta", "projects", "bindings", "tallies", "queue", "body_upload_queue"] {
        if !tx.table_exists(None, table)? {
            // A file of an earlier release has no such tables, and nothing to put right.
            return Ok(());
        }
    }
    tx.execute("INSERT OR IGNORE INTO meta(key, value) VALUES ('schema_version', ?1)", [schema::VERSION])?;
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
    Ok(())
}
