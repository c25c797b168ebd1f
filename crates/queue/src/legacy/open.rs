//! The legacy queue DB, open for claims and deletions: the only writes this program makes there.

use crate::busy_timeout;
use crate::error::QueueError;
use crate::file::{self, Fingerprint, Role};
use crate::journal;
use crate::store::{Abort, connect, look_at, on_snapshot, sql_error};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::path::{Path, PathBuf};

/// An open legacy queue DB.
#[derive(Debug)]
pub(crate) struct LegacyDb {
    conn: Connection,
    path: PathBuf,
}

impl LegacyDb {
    /// Opens the file for writing and takes wide permissions away; SQLite rolls back an interrupted
    /// transaction. Nothing for an absent file and for one of zero bytes.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, QueueError> {
        if look_at(path, Role::Legacy)?.is_none() {
            return Ok(None);
        }
        file::make_ready(path)?;
        let conn = connect(path, Role::Legacy, busy_timeout::MIGRATE)?;
        let mut db = Self { conn, path: path.to_owned() };
        // Triggers of the file must not extend our deletes.
        for unwanted in [DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW] {
            db.conn.set_db_config(unwanted, false).map_err(|error| db.failed("open", error.into()))?;
        }
        // The first read takes the lock under which a hot journal is rolled back.
        db.read("read", |tx| Ok(tx.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |_| Ok(()))?))?;
        Ok(Some(db))
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` in one write transaction; `None` from it rolls back.
    pub(crate) fn write<T>(
        &mut self,
        action: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<Option<T>, Abort>,
    ) -> Result<Option<T>, QueueError> {
        let done = (|| {
            let tx = Transaction::new(&mut self.conn, TransactionBehavior::Immediate)?;
            let is_new = journal::make_durable(&self.path)?;
            let value = work(&tx);
            if is_new {
                journal::remove_unused(&self.path);
            }
            let value = value?;
            if value.is_some() {
                tx.commit()?
            } else {
                tx.rollback()?
            }
            Ok(value)
        })();
        done.map_err(|abort| self.failed(action, abort))
    }

    /// Runs `work` on one snapshot, during which no process can change the file.
    pub(crate) fn read<T>(
        &mut self,
        action: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Abort>,
    ) -> Result<T, QueueError> {
        on_snapshot(&mut self.conn, work).map_err(|abort| self.failed(action, abort))
    }

    fn failed(&self, action: &'static str, abort: Abort) -> QueueError {
        match abort {
            Abort::Sql(error) => sql_error(&self.path, Role::Legacy, action, busy_timeout::MIGRATE, error),
            Abort::Queue(error) => error,
        }
    }
}

/// Changes when, and only when, another connection has committed to the file since the last look.
pub(crate) fn data_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("PRAGMA data_version", [], |row| row.get(0))
}

/// The fingerprint of the file, taken while a snapshot keeps it from changing.
pub(crate) fn fingerprint(path: &Path) -> Option<Fingerprint> {
    match file::read_db_file(path) {
        Ok(file::DbFile::Database { fingerprint, journal: file::JournalMode::Rollback }) => Some(fingerprint),
        _ => None,
    }
}
