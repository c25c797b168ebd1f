//! Export: every row of a queue file, of any scope and any age, as JSON lines.

use super::paged::{PAGE_BYTES, PAGE_ROWS, Paged, RowPage, is_damage};
use crate::error::ObserveError;
use crate::file::Role;
use crate::parked::raw_value;
use crate::store::Abort;
use rusqlite::{Connection, OptionalExtension as _};
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::path::Path;

/// The tables that hold people's work, in the order of the export. `projects` is first: prepared and
/// parked rows name their place by its number.
const TABLES: &[&str] =
    &["projects", "queue", "body_upload_queue", "body_upload_failure_log", "prepared", "parked"];

/// An iterator over the lines of an export, without their line ends. Each is an object with `table` and
/// the row's columns as stored; bytes are `{"hex": ...}`, and text that is no UTF-8 is
/// `{"text_hex": ...}`. Rows are read page by page, so nothing is locked while a line is written somewhere.
/// In the place of a damaged table there is an error, and the next table follows.
#[derive(Debug)]
pub struct Export(Paged<String>);

impl Export {
    /// Starts an export of the scoped queue DB at `path`.
    pub fn of(path: &Path) -> Self {
        Self(Paged::of(path, Role::Active, TABLES, read_page))
    }

    /// Starts an export of the legacy queue DB at `path`.
    pub fn of_legacy(path: &Path) -> Self {
        Self(Paged::of(path, Role::Legacy, TABLES, read_page))
    }

    /// Starts an export of the parked rows alone.
    pub fn of_parked(path: &Path) -> Self {
        Self(Paged::of(path, Role::Active, &["parked"], read_page))
    }
}

impl Iterator for Export {
    type Item = Result<String, ObserveError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

fn read_page(conn: &Connection, _: &Path, table: &str, after: i64) -> Result<RowPage<String>, Abort> {
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
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => break,
            // Rows read before the damage are whole; the next page starts at the damage.
            Err(error) if is_damage(&error) && !page.1.is_empty() => break,
            Err(error) => return Err(error.into()),
        };
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
