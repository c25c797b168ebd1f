//! Paged reading: each page of rows is a snapshot of its own, so no writer waits while rows are shown.
//!
//! Rows that can be read are read around the damage of a table; an error behind them names it.

use super::reader::{read_damaged, unreadable};
use crate::error::ObserveError;
use crate::file::Role;
use crate::store::Abort;
use crate::table_walk::{RowidWalk, is_damage};
use rusqlite::Connection;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Most bytes in memory at a time; a single larger row is held alone.
const PAGE_BYTES: usize = 1024 * 1024;
/// Most rows in memory at a time.
const PAGE_ROWS: usize = 500;

/// The rows of one page.
#[derive(Debug)]
pub(super) struct RowPage<T> {
    rows: VecDeque<T>,
    bytes: usize,
}

impl<T> RowPage<T> {
    const fn empty() -> Self {
        Self { rows: VecDeque::new(), bytes: 0 }
    }

    /// Takes a row of this size; breaks when the page is full.
    pub(super) fn push(&mut self, row: T, bytes: usize) -> ControlFlow<()> {
        self.rows.push_back(row);
        self.bytes += bytes;
        if self.bytes >= PAGE_BYTES || self.rows.len() >= PAGE_ROWS {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// Advances the walk through a table until its end or until the page is full.
pub(super) type ReadPage<T> =
    fn(&Connection, &Path, &str, &mut RowidWalk, &mut RowPage<T>) -> Result<(), Abort>;

/// The rows of several tables of one file, in the order of their rowids. Rows that are added behind
/// the page in hand are seen, rows that leave before it are not.
#[derive(Debug)]
pub(super) struct Paged<T: 'static> {
    path: PathBuf,
    role: Role,
    tables: &'static [&'static str],
    walk: RowidWalk,
    page: VecDeque<T>,
    /// The damage of the table that ends with the page in hand.
    damage: Option<ObserveError>,
    read: ReadPage<T>,
}

impl<T> Paged<T> {
    pub(super) fn of(path: &Path, role: Role, tables: &'static [&'static str], read: ReadPage<T>) -> Self {
        let (path, page) = (path.to_owned(), VecDeque::new());
        Self { path, role, tables, walk: RowidWalk::start(), page, damage: None, read }
    }

    /// Reads the next page of `table`; it may be empty. An error ends the iterator; damage does not.
    fn turn(&mut self, table: &str, later: &'static [&'static str]) -> Result<(), ObserveError> {
        let (path, role, read) = (&self.path, self.role, self.read);
        let seen = read_damaged(path, role, |conn| {
            let (mut walk, mut page) = (self.walk.clone(), RowPage::empty());
            match is_listed(conn, table) {
                Ok(true) => read(conn, path, table, &mut walk, &mut page)?,
                Ok(false) => return Ok(None),
                // Another table may be listed before the damage.
                Err(error) if is_damage(&error) => return Ok(Some(Err(error))),
                Err(error) => return Err(error.into()),
            }
            Ok(Some(Ok((walk, page.rows))))
        });
        let damage = match seen.inspect_err(|_| self.tables = &[])?.flatten() {
            Some(Ok((walk, rows))) => {
                self.page = rows;
                if !walk.has_ended() {
                    self.walk = walk;
                    return Ok(());
                }
                walk.damage().map(|damage| format!("is damaged in `{table}` {damage}"))
            }
            Some(Err(error)) => Some(format!("is damaged in its list of tables before `{table}`: {error}")),
            None => None,
        };
        self.damage = damage.map(|damage| unreadable(path, role, damage));
        self.tables = later;
        self.walk = RowidWalk::start();
        Ok(())
    }
}

/// Whether the file has a table. Its list of tables is read no further than this name.
fn is_listed(conn: &Connection, table: &str) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE")?
        .exists([table])
}

impl<T> Iterator for Paged<T> {
    type Item = Result<T, ObserveError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.page.pop_front() {
                return Some(Ok(row));
            }
            if let Some(damage) = self.damage.take() {
                return Some(Err(damage));
            }
            let [table, later @ ..] = self.tables else { return None };
            if let Err(error) = self.turn(table, later) {
                return Some(Err(error));
            }
        }
    }
}
