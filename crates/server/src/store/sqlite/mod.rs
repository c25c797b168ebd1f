//! The SQLite store: one file, one writer thread, a few readers.
//!
//! Invariants:
//! * Every change runs on the writer thread, which commits waiting changes as one transaction and
//!   answers after the commit. `synchronous=FULL`: an acknowledged change survives a power cut.
//! * WAL, so that readers never block the writer. (The client's queues use a rollback journal; no other
//!   program reads this file.)
//! * The file and its directory are private. A newer schema is refused, not touched.

mod accounts;
mod devices;
mod events;
mod inspect;
mod login_throttle;
mod readers;
mod schema;
mod sessions;
mod writer;

use super::{StoreError, StoreFuture, TeamKey};
use crate::error::ServerError;
use crate::secret::TokenHash;
use crate::time::UnixMillis;
use readers::Readers;
use rusqlite::Connection;
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use std::path::Path;
use std::time::Duration;
use system::private_file::{create_private_dir, load_private_file};
use writer::WriterThread;

/// The database's name in the data directory.
pub(crate) const FILE_NAME: &str = "server.db";

/// Busy timeout: admin commands run beside a server on the same file.
const BUSY: Duration = Duration::from_secs(10);

/// The SQLite store.
pub(crate) struct SqliteStore {
    writer: WriterThread,
    readers: Readers,
}

impl SqliteStore {
    /// Opens the store in `data_dir`, creating both if needed.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, ServerError> {
        let directory = |source| ServerError::DataDir(data_dir.to_owned(), source);
        create_private_dir(data_dir).map_err(|error| directory(error.source))?;
        let path = data_dir.join(FILE_NAME);
        load_private_file(&path).map_err(directory)?;
        let mut connection = connect(&path)?;
        schema::load(&mut connection, &path)?;
        let writer = WriterThread::start(connection).map_err(ServerError::Thread)?;
        Ok(Self { writer, readers: Readers::new(path) })
    }

    /// Runs a change in a transaction of the writer thread; resolves after the commit.
    fn change<T, F>(&self, change: F) -> StoreFuture<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        Box::pin(self.writer.run(change))
    }

    /// Runs a query on a read-only connection.
    fn query<T, F>(&self, query: F) -> StoreFuture<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        Box::pin(self.readers.run(query))
    }
}

fn connect(path: &Path) -> Result<Connection, ServerError> {
    let fault = |error: rusqlite::Error| ServerError::Database(path.to_owned(), error.to_string());
    let connection = Connection::open(path).map_err(fault)?;
    connection.busy_timeout(BUSY).map_err(fault)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
             PRAGMA temp_store = MEMORY; PRAGMA cache_size = -32768; PRAGMA trusted_schema = OFF;",
        )
        .map_err(fault)?;
    Ok(connection)
}

impl ToSql for UnixMillis {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for UnixMillis {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self)
    }
}

impl ToSql for TeamKey {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for TeamKey {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self)
    }
}

impl ToSql for TokenHash {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.to_string())
    }
}
