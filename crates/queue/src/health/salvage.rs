//! Salvage: copies every readable row into a new file.
//!
//! Tables are walked by rowid, from page to page as SQLite does; an unreferenced page is not read, because
//! it may hold deleted rows. Behind an unreadable page the walk continues at the next readable rowid. Tables
//! without rowids are walked from both ends. Indexes are made after the rows, and the tables are reconciled
//! at the end.

use super::QueueFile;
use super::reconcile::{finish, forget_lost, reconcile};
use crate::cure::begin_capture_epoch;
use crate::error::QueueError;
use crate::file::{self, Role};
use crate::legacy::{LegacyTable, are_claims};
use crate::observe::CONFINE_DAMAGE;
use crate::store::{Abort, connect, sql_error};
use crate::table_walk::{RowidWalk, quoted, walk_both_ends};
use crate::{busy_timeout, schema, sent};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, Transaction, params_from_iter};
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Result of salvaging a damaged queue DB.
///
/// While it lives the damaged file is locked, if its header allows that: keep it until the new file has taken
/// the damaged one's place.
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
    /// Rows that were read and that the new tables did not take. A damaged index had let a second row of their key
    /// in, or their table had other columns than this program needs.
    pub left: u64,
    /// Whether some page could not be read: then rows may be missing, and only the old file has them.
    pub gaps: bool,
    /// Events in the damaged file, from its indexes and tallies; none when they are unreadable.
    pub events_held: Option<u64>,
    /// Bodies in the damaged file, by the same evidence.
    pub bodies_held: Option<u64>,
    /// Lost bytes of delivered rows, packed; none when their number is unknown. Without its bytes or its receipt a
    /// delivered row cannot be sent again.
    #[serde(skip)]
    pub sent_lost: Option<u64>,
    /// Whether the new file has this program's tables.
    #[serde(skip)]
    pub ours: bool,
}

impl Salvaged {
    /// Whether the damaged file had more events or bodies than were saved, or an unknown number.
    pub(crate) fn lacks_rows(&self) -> bool {
        self.events_held != Some(self.events) || self.bodies_held != Some(self.bodies)
    }

    /// Whether rows of any kind may be only in the damaged file now.
    pub fn may_lack_rows(&self) -> bool {
        self.gaps || self.left > 0 || self.lacks_rows()
    }
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
        // An unfinished transaction is rolled back first, in a copy: the damaged file itself stays as it is.
        discard(&copy)?;
        copy_group(path, &copy)?;
        open_damaged(&copy, "mode=rw")
    } else {
        open_damaged(path, "immutable=1")
    };
    let salvaged = match opened {
        // A file without a table has no row to save.
        Some((_, tables)) if tables.is_empty() => Ok(None),
        Some((damaged, tables)) => {
            let empty = Salvaged {
                path: target,
                _lock: lock,
                events: 0,
                bodies: 0,
                others: 0,
                left: 0,
                gaps: false,
                events_held: None,
                bodies_held: None,
                sent_lost: Some(0),
                ours: false,
            };
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
    GROUP.into_iter().try_for_each(|suffix| remove(file::side_file(ours, suffix)))
}

fn remove(path: PathBuf) -> Result<(), QueueError> {
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(QueueError::Io { path, action: "remove", source })
        }
        _ => Ok(()),
    }
}

fn copy_group(from: &Path, to: &Path) -> Result<(), QueueError> {
    for suffix in GROUP {
        let (source, target) = (file::side_file(from, suffix), file::side_file(to, suffix));
        // Anything else than a file holds no rows, and reading a pipe would never end.
        if !source.is_file() {
            continue;
        }
        let copied = system::private_file::create_private_file(&target).and_then(|()| {
            let mut options = std::fs::OpenOptions::new();
            let mut copy = system::regular::open_with(options.write(true).truncate(true), &target)?;
            std::io::copy(&mut system::regular::open(&source)?, &mut copy)
        });
        copied.map_err(|error| QueueError::Io { path: target, action: "copy to", source: error })?;
    }
    Ok(())
}

/// Keeps writers out, if the file can be locked at all. A file that waits for a rollback is not locked:
/// that would begin with rolling it back.
fn lock(path: &Path, which: QueueFile) -> Result<Option<Connection>, QueueError> {
    if file::side_file_len(path, "-journal") > 0 || file::side_file_problem(path).is_some() {
        return Ok(None);
    }
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let locked = Connection::open_with_flags(file::uri(path, "mode=rw"), flags).and_then(|mut conn| {
        busy_timeout::wait_for_locks(&mut conn, busy_timeout::MIGRATE)?;
        conn.execute_batch("BEGIN EXCLUSIVE")?;
        Ok(conn)
    });
    match locked.map_err(|error| sql_error(path, which.role(), "lock", busy_timeout::MIGRATE, error)) {
        Ok(conn) => Ok(Some(conn)),
        Err(busy @ QueueError::Busy(_)) => Err(busy),
        Err(_) => Ok(None),
    }
}

/// Tables that hold the undelivered rows from the legacy queue DB.
const ROWS: [&str; 4] = ["queue", "body_upload_queue", "body_upload_failure_log", "parked"];

fn copy_rows(
    damaged: &Connection,
    tables: &[SalvagedTable],
    which: QueueFile,
    mut salvaged: Salvaged,
) -> Result<Salvaged, QueueError> {
    let target = salvaged.path.clone();
    system::private_file::create_private_file(&target).map_err(|source| QueueError::Io {
        path: target.clone(),
        action: "create",
        source,
    })?;
    let mut fresh = connect(&target, Role::Active, busy_timeout::MIGRATE)?;
    let copied = (|| -> Result<(), Abort> {
        let tx = fresh.transaction()?;
        let ours = which == QueueFile::Active && tables.iter().any(SalvagedTable::is_ours);
        salvaged.ours = ours;
        create_tables(&tx, tables, which, ours)?;
        let mut lost = ROWS.iter().any(|name| !tables.iter().any(|table| table.is_called(name)));
        let has = |name: &str| tables.iter().any(|table| table.is_called(name));
        // The first schema has no table `sent`, and no number of its bytes.
        let (mut sent_whole, mut receipts_whole) = (has("sent") || has("meta"), has("receipts"));
        for table in tables {
            let left = salvaged.left;
            let whole = copy_table(damaged, &tx, table, &mut salvaged)?;
            lost |= !whole && ROWS.iter().any(|name| table.is_called(name));
            let whole = whole && left == salvaged.left;
            sent_whole &= whole || !table.is_called("sent");
            receipts_whole &= whole || !table.is_called("receipts");
        }
        finish(damaged, &tx)?;
        if ours {
            let noted = sent::noted_total(&tx)?;
            reconcile(&tx)?;
            let kept = sent::noted_total(&tx)?.unwrap_or_default();
            salvaged.sent_lost = match noted {
                Some(0) if kept == 0 => Some(0),
                _ if !receipts_whole => None,
                Some(noted) => Some(noted.saturating_sub(kept)),
                None => sent_whole.then_some(0),
            };
            if lost {
                forget_lost(&tx)?;
            }
            if salvaged.may_lack_rows() {
                begin_capture_epoch(&tx)?;
            }
        }
        tx.commit()?;
        Ok(())
    })();
    drop(fresh);
    match copied {
        Ok(()) => {
            // The empty journal of a finished transaction. At the new path of the file it would not be its journal.
            remove(file::side_file(&target, "-journal"))?;
            Ok(salvaged)
        }
        Err(abort) => {
            discard(&target)?;
            Err(match abort {
                Abort::Queue(error) => error,
                Abort::Sql(error) => {
                    sql_error(&target, Role::Active, "salvage into", busy_timeout::MIGRATE, error)
                }
            })
        }
    }
}

/// One table of the damaged file.
struct SalvagedTable {
    name: String,
    sql: String,
    /// Whether its rows have rowids.
    rowids: bool,
    columns: Vec<String>,
    /// Whether one of the columns is the rowid.
    named_rowid: bool,
}

impl SalvagedTable {
    fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn is_ours(&self) -> bool {
        schema::OUR_TABLES.iter().any(|name| self.is_called(name))
    }

    fn legacy(&self) -> Option<LegacyTable> {
        LegacyTable::ALL.into_iter().find(|table| self.is_called(table.name()))
    }

    fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|present| present.eq_ignore_ascii_case(column))
    }
}

/// Makes the tables of the new file. They are as they were, except for unusable ones: this program creates its own
/// tables again, and copies rows as far as the columns are the same.
fn create_tables(
    tx: &Transaction<'_>,
    tables: &[SalvagedTable],
    which: QueueFile,
    ours: bool,
) -> Result<(), Abort> {
    for table in tables {
        if ours && table.is_ours() {
            continue;
        }
        match table.legacy() {
            Some(legacy) if ours => {
                if table.rowids && legacy.columns().iter().all(|(column, _)| table.has(column)) {
                    tx.execute_batch(&table.sql)?;
                }
            }
            Some(_) if !table.rowids => {
                let columns: Vec<_> = table.columns.iter().map(|column| quoted(column)).collect();
                tx.execute_batch(&format!("CREATE TABLE {}({})", quoted(&table.name), columns.join(", ")))?;
            }
            None if which == QueueFile::Legacy
                && table.is_called("claims")
                && !are_claims(&table.columns) => {}
            _ => tx.execute_batch(&table.sql)?,
        }
    }
    if ours {
        tx.execute_batch(schema::REFERENCE)?;
        schema::create_ours(tx)?;
    }
    Ok(())
}

/// Opens the file, and reads which tables it has.
fn open_damaged(path: &Path, parameters: &str) -> Option<(Connection, Vec<SalvagedTable>)> {
    if file::side_file_problem(path).is_some() {
        return None;
    }
    let access = match parameters {
        "mode=rw" => OpenFlags::SQLITE_OPEN_READ_WRITE,
        _ => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    let flags = access | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let conn = Connection::open_with_flags(file::uri(path, parameters), flags).ok()?;
    conn.execute_batch(CONFINE_DAMAGE).ok()?;
    conn.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF").ok()?;
    let listed: rusqlite::Result<Vec<(String, String)>> = conn
        .prepare(
            "SELECT name, sql FROM sqlite_schema
             WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql IS NOT NULL",
        )
        .and_then(|mut select| select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect());
    let tables = listed.ok()?.into_iter().filter_map(|(name, sql)| shape_of(&conn, name, sql)).collect();
    Some((conn, tables))
}

/// An ordinary table by its own definition; virtual tables and views have no rows of their own.
fn shape_of(conn: &Connection, name: String, sql: String) -> Option<SalvagedTable> {
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
    (kind == "table").then_some(SalvagedTable { name, sql, rowids: !without_rowid, columns, named_rowid })
}

/// Whether a value of the meta table can be read as one.
fn is_text(value: &ValueRef<'_>) -> bool {
    match value {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).is_ok(),
        ValueRef::Blob(_) | ValueRef::Null => false,
        ValueRef::Integer(_) | ValueRef::Real(_) => true,
    }
}

/// False when some row could not be read.
fn copy_table(
    damaged: &Connection,
    tx: &Transaction<'_>,
    table: &SalvagedTable,
    salvaged: &mut Salvaged,
) -> Result<bool, Abort> {
    let there = schema::columns(tx, &table.name)?;
    // The index of each value of a row: the rowid, then its columns.
    let mut columns: Vec<(usize, String)> = (1..)
        .zip(&table.columns)
        .filter(|(_, column)| there.iter().any(|name| name.eq_ignore_ascii_case(column)))
        .map(|(position, column)| (position, quoted(column)))
        .collect();
    // Claims name a row without a key by its rowid, so rowids are kept, whatever they are called.
    if table.rowids && !table.named_rowid && there.len() == table.columns.len() {
        columns.insert(0, (0, "rowid".to_owned()));
    }
    let name = quoted(&table.name);
    let mut insert = if columns.is_empty() {
        None
    } else {
        let names: Vec<_> = columns.iter().map(|(_, column)| column.as_str()).collect();
        let marks = vec!["?"; names.len()].join(", ");
        Some(tx.prepare(&format!("INSERT INTO {name}({}) VALUES ({marks})", names.join(", ")))?)
    };
    let (mut taken, mut left) = (0, 0);
    // Values are passed on as they are: text need not be UTF-8.
    let mut put = |row: &Row<'_>| -> Result<ControlFlow<()>, Abort> {
        let values = columns
            .iter()
            .map(|(column, _)| row.get_ref(*column))
            .collect::<Result<Vec<ValueRef<'_>>, _>>()?;
        let Some(insert) = insert.as_mut().filter(|_| !table.is_called("meta") || values.iter().all(is_text))
        else {
            left += 1;
            return Ok(ControlFlow::Continue(()));
        };
        let values = values.into_iter().map(ToSqlOutput::Borrowed);
        match insert.execute(params_from_iter(values)) {
            Ok(_) => taken += 1,
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => left += 1,
            Err(error) => return Err(error.into()),
        }
        Ok(ControlFlow::Continue(()))
    };
    let whole = match table.rowids {
        true => {
            let mut walk = RowidWalk::of_salvage();
            walk.advance(damaged, &table.name, "*", &mut put)?;
            walk.damage().is_none()
        }
        false => walk_both_ends(damaged, &table.name, &mut put)?,
    };
    salvaged.gaps |= !whole;
    salvaged.left += left;
    let held = || if whole { Some(taken + left) } else { count_held(damaged, table, taken + left) };
    match table.legacy() {
        Some(LegacyTable::Events) => {
            salvaged.events += taken;
            salvaged.events_held = held();
        }
        Some(LegacyTable::Bodies) => {
            salvaged.bodies += taken;
            salvaged.bodies_held = held();
        }
        _ => salvaged.others += taken,
    }
    Ok(whole)
}

/// Rows of a table with unreadable pages: the largest count of its indexes, the bindings and the tallies, at
/// least `read`. None when none of them can be read.
fn count_held(damaged: &Connection, table: &SalvagedTable, read: u64) -> Option<u64> {
    let name = quoted(&table.name);
    let indexes: Vec<String> = damaged
        .prepare("SELECT name FROM pragma_index_list(?1) WHERE partial = 0")
        .and_then(|mut select| select.query_map([&table.name], |row| row.get(0))?.collect())
        .unwrap_or_default();
    let by_index =
        indexes.iter().map(|index| format!("SELECT COUNT(*) FROM {name} INDEXED BY {}", quoted(index)));
    let kind = table.legacy()?.kind();
    let by_others = [
        format!("SELECT COUNT(*) FROM bindings WHERE kind = {kind}"),
        format!("SELECT COALESCE(SUM(waiting), 0) FROM tallies WHERE kind = {kind}"),
    ];
    let counts = by_index.chain(by_others).filter_map(|sql| {
        let count: rusqlite::Result<i64> = damaged.query_row(&sql, [], |row| row.get(0));
        count.ok().and_then(|count| u64::try_from(count).ok())
    });
    counts.max().map(|held| held.max(read))
}
