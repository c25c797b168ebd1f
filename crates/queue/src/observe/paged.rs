//! Reading a whole file without holding it: page by page, each page its own snapshot, so that nobody
//! waits while a row is shown, judged or written somewhere.

use super::reader::read_only;
use crate::error::ObserveError;
use crate::file::Role;
use crate::store::Abort;
use rusqlite::Connection;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// How much is held in memory at a time; a single larger row is held alone.
pub(super) const PAGE_BYTES: usize = 1024 * 1024;
/// How many rows are held in memory at a time.
pub(super) const PAGE_ROWS: usize = 500;

/// One page: the last rowid it looked at, and what it holds.
pub(super) type Page<T> = (i64, VecDeque<T>);

/// Reads the page of a table behind a rowid; an empty one ends the table.
pub(super) type ReadPage<T> = fn(&Connection, &Path, &str, i64) -> Result<Page<T>, Abort>;

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
    failed: bool,
}

impl<T> Paged<T> {
    pub(super) fn of(path: &Path, role: Role, tables: &'static [&'static str], read: ReadPage<T>) -> Self {
        let path = path.to_owned();
        Self { path, role, tables, after: i64::MIN, page: VecDeque::new(), read, failed: false }
    }

    /// Reads the next page that has a row; false at the end.
    fn turn(&mut self) -> Result<bool, ObserveError> {
        while let [table, later @ ..] = self.tables {
            let (path, after, read) = (&self.path, self.after, self.read);
            let page = read_only(path, self.role, |conn| read(conn, path, table, after))?;
            match page {
                Some((last, rows)) if !rows.is_empty() => {
                    self.after = last;
                    self.page = rows;
                    return Ok(true);
                }
                _ => {
                    self.tables = later;
                    self.after = i64::MIN;
                }
            }
        }
        Ok(false)
    }
}

impl<T> Iterator for Paged<T> {
    type Item = Result<T, ObserveError>;

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
