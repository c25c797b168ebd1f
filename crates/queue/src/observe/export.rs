//! Export: every row of a queue file, of any scope and any age, as JSON lines.

use super::paged::{Paged, RowPage};
use crate::error::ObserveError;
use crate::file::Role;
use crate::parked::raw_value;
use crate::store::Abort;
use crate::table_walk::RowidWalk;
use rusqlite::Connection;
use serde_json::{Map, Value, json};
use std::path::Path;

/// The tables that hold people's work, in the order of the export. `projects` is first: prepared and
/// parked rows name their place by its number.
const TABLES: &[&str] =
    &["projects", "queue", "body_upload_queue", "body_upload_failure_log", "prepared", "parked"];

/// An iterator over the lines of an export, without their line ends. Each is an object with `table` and
/// the row's columns as stored; bytes are `{"hex": ...}`, and text that is no UTF-8 is
/// `{"text_hex": ...}`. Rows are read page by page, so nothing is locked while a line is written somewhere.
/// Behind the readable rows of a damaged table there is an error, and the next table follows.
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

fn read_page(
    conn: &Connection,
    _: &Path,
    table: &str,
    walk: &mut RowidWalk,
    page: &mut RowPage<String>,
) -> Result<(), Abort> {
    walk.advance(conn, table, "*", &mut |row| {
        let names = row.as_ref().column_names();
        let mut line = Map::new();
        line.insert("table".to_owned(), json!(table));
        for (column, name) in names.into_iter().enumerate().skip(1) {
            line.insert(name.to_owned(), raw_value(row.get_ref(column)?));
        }
        let line = Value::Object(line).to_string();
        let bytes = line.len();
        Ok(page.push(line, bytes))
    })
}
