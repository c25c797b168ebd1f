//! Export: every row of a queue file, of any scope and any age, as JSON lines.

use super::reader::read_only;
use crate::error::ObserveError;
use crate::file::Role;
use crate::parked::raw_value;
use crate::store::Abort;
use rusqlite::{Connection, OptionalExtension as _};
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// The tables that hold people's work, in the order of the export.
const TABLES: [&str; 5] = ["queue", "body_upload_queue", "body_upload_failure_log", "prepared", "parked"];

/// How much is held in memory at a time; a single larger row is held alone.
const PAGE_BYTES: usize = 1024 * 1024;
const PAGE_ROWS: usize = 500;

/// An iterator over the lines of an export, without their line ends. Each is an object with `table` and
/// the row's columns as stored; a value that JSON cannot carry is `{"hex": ...}`. Rows are read page by
/// page, so nothing is locked while a line is written somewhere.
#[derive(Debug)]
pub struct Export {
    path: PathBuf,
    table: usize,
    after: i64,
    page: VecDeque<String>,
    failed: bool,
}

impl Export {
    /// Starts an export of `path`.
    pub fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), table: 0, after: i64::MIN, page: VecDeque::new(), failed: false }
    }

    /// Reads the next page that has a row; false at the end.
    fn turn(&mut self) -> Result<bool, ObserveError> {
        while let Some(table) = TABLES.get(self.table) {
            let after = self.after;
            let page = read_only(&self.path, Role::Active, |conn| read_page(conn, table, after))?;
            match page.unwrap_or_default() {
                (last, lines) if !lines.is_empty() => {
                    self.after = last;
                    self.page = lines;
                    return Ok(true);
                }
                _ => {
                    self.table += 1;
                    self.after = i64::MIN;
                }
            }
        }
        Ok(false)
    }
}

impl Iterator for Export {
    type Item = Result<String, ObserveError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        if self.page.is_empty() {
            match self.turn() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
        self.page.pop_front().map(Ok)
    }
}

type Page = (i64, VecDeque<String>);

fn read_page(conn: &Connection, table: &str, after: i64) -> Result<Page, Abort> {
    let known: Option<i64> = conn
        .prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")?
        .query_row([table], |row| row.get(0))
        .optional()?;
    let mut page = (after, VecDeque::new());
    if known.is_none() {
        return Ok(page);
    }
    let mut select = conn.prepare(&format!(
        "SELECT rowid AS rowid_, * FROM {table} WHERE rowid > ?1 ORDER BY rowid LIMIT {PAGE_ROWS}"
    ))?;
    let names: Vec<String> = select.column_names().map(str::to_owned).collect();
    let mut rows = select.query([after])?;
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let mut line = Map::new();
        line.insert("table".to_owned(), json!(table));
        for (column, name) in names.iter().enumerate().skip(1) {
            line.insert(name.clone(), raw_value(row.get_ref(column)?));
        }
        let line = Value::Object(line).to_string();
        bytes += line.len();
        page.0 = row.get(0)?;
        page.1.push_back(line);
        if bytes >= PAGE_BYTES {
            break;
        }
    }
    Ok(page)
}
