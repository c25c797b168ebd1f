//! Paged reading: each page of rows is a snapshot of its own, so no writer waits while rows are shown.
//!
//! A damaged table ends at its damage, with an error; the tables behind it are read all the same.

use super::reader::{read_only, unreadable};
use crate::error::ObserveError;
use crate::file::Role;
use crate::store::Abort;
use rusqlite::{Connection, ErrorCode};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// Most bytes in memory at a time; a single larger row is held alone.
pub(super) const PAGE_BYTES: usize = 1024 * 1024;
/// Most rows in memory at a time.
pub(super) const PAGE_ROWS: usize = 500;

/// One page: the last rowid it looked at, and what it holds.
pub(super) type RowPage<T> = (i64, VecDeque<T>);

/// Reads the page of a table behind a rowid; an empty one ends the table.
pub(super) type ReadPage<T> = fn(&Connection, &Path, &str, i64) -> Result<RowPage<T>, Abort>;

/// The rows of several tables of one file, in the order of their rowids. Rows that are added behind
/// the page in hand are seen, rows that leave before it are not.
#[derive(Debug)]
pub(super) struct Paged<T: 'static> {
    path: PathBuf,
    role: Role,
    tables: &'static [&'static str],
    after: i64,
    page: VecDeque<T>,
    read: ReadPage<T>,
}

/// Whether what was read is not a database page, rather than unreadable.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

impl<T> Paged<T> {
    pub(super) fn of(path: &Path, role: Role, tables: &'static [&'static str], read: ReadPage<T>) -> Self {
        let path = path.to_owned();
        Self { path, role, tables, after: i64::MIN, page: VecDeque::new(), read }
    }

    /// Reads the next page that has a row; false at the end. After an error it continues with the next table,
    /// if there can be one.
    fn turn(&mut self) -> Result<bool, ObserveError> {
        while let [table, later @ ..] = self.tables {
            let (path, after, read) = (&self.path, self.after, self.read);
            let page = read_only(path, self.role, |conn| match read(conn, path, table, after) {
                Err(Abort::Sql(error)) if is_damage(&error) => Ok(Err(error)),
                page => page.map(Ok),
            });
            let damage = match page.inspect_err(|_| self.tables = &[])? {
                Some(Ok((last, rows))) if !rows.is_empty() => {
                    self.after = last;
                    self.page = rows;
                    return Ok(true);
                }
                Some(Err(damage)) => Some(damage),
                Some(Ok(_)) | None => None,
            };
            self.tables = later;
            self.after = i64::MIN;
            if let Some(damage) = damage {
                let behind = if after == i64::MIN { String::new() } else { format!(" behind row {after}") };
                return Err(unreadable(
                    path,
                    self.role,
                    format!("is damaged in `{table}`{behind}: {damage}"),
                ));
            }
        }
        Ok(false)
    }
}

impl<T> Iterator for Paged<T> {
    type Item = Result<T, ObserveError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty() {
            match self.turn() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
        self.page.pop_front().map(Ok)
    }
}
