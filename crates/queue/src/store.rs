//! One open scoped queue DB: opening, creation, identity and transactions.
//!
//! Invariants. Rollback journal (`TRUNCATE`), `synchronous=FULL`, mode 0600. Every write is one `BEGIN IMMEDIATE`
//! transaction. Nothing outside this crate runs while a transaction or a read cursor is open. A file whose id is not
//! the permit's is never written.

use crate::birth;
use crate::busy_timeout;
use crate::error::{ObserveError, QueueError};
use crate::fault_point::{FaultPoint, reached};
use crate::file::{self, DbFile, JournalMode, Role};
use crate::{health, journal, observe, schema};
use contract::{Fault, FaultCode, Remedy, Scope};
use gate::ObservedQueueId;
use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior, ffi,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Reason why a transaction was rolled back.
#[derive(Debug)]
pub(crate) enum Abort {
    Sql(rusqlite::Error),
    Queue(QueueError),
}

/// Runs `work` on one snapshot of a file.
pub(crate) fn on_snapshot<T>(
    conn: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, Abort>,
) -> Result<T, Abort> {
    let tx = Transaction::new(conn, TransactionBehavior::Deferred)?;
    let value = work(&tx)?;
    tx.rollback()?;
    Ok(value)
}

impl From<rusqlite::Error> for Abort {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<QueueError> for Abort {
    fn from(error: QueueError) -> Self {
        Self::Queue(error)
    }
}

/// An open scoped queue DB.
#[derive(Debug)]
pub(crate) struct ScopedDb {
    pub(crate) conn: Connection,
    path: PathBuf,
    deadline: Duration,
    queue_id: String,
}

impl ScopedDb {
    /// Opens the queue of `scope` at `path`, creating file, tables and id as needed. `expected` is the
    /// permit's description of the file; nothing is written to a file that contradicts it.
    pub(crate) fn open(
        path: &Path,
        scope: &Scope,
        expected: Option<&ObservedQueueId>,
        deadline: Duration,
    ) -> Result<Self, QueueError> {
        check_file(path, expected)?;
        let unclean = ended_uncleanly(path);
        birth::forget(path);
        file::make_ready(path)?;
        let conn = connect(path, Role::Active, deadline)?;
        let mut store = Self { conn, path: path.to_owned(), deadline, queue_id: String::new() };
        if unclean {
            store.check_pages()?;
        }
        store.queue_id = store.identify(scope, expected)?;
        birth::record(path, &store.queue_id);
        Ok(store)
    }

    /// An empty queue in the place of a file at `path` that is gone. Nothing of it is stored.
    pub(crate) fn in_memory(path: &Path, scope: &Scope) -> Result<Self, QueueError> {
        let deadline = Duration::ZERO;
        let conn = Connection::open_in_memory()
            .map_err(|error| sql_error(path, Role::Active, "open", deadline, error))?;
        let mut store = Self { conn, path: path.to_owned(), deadline, queue_id: String::new() };
        store.queue_id = store.identify(scope, None)?;
        Ok(store)
    }

    /// Visits every page, after a writer died in the middle of a transaction.
    fn check_pages(&mut self) -> Result<(), QueueError> {
        let finding = self.read("check", |tx| health::quick_check(tx))?;
        finding.map_or(Ok(()), |finding| Err(self.remember_damage(&finding)))
    }

    /// Records damage in the file for a later repair, and returns its error.
    pub(crate) fn remember_damage(&self, finding: &str) -> QueueError {
        health::remember(&self.conn, finding);
        fault(health::damaged(&self.path, finding))
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file's random id.
    pub(crate) fn queue_id(&self) -> &str {
        &self.queue_id
    }

    /// Runs `work` in one write transaction. Whatever it returns an error for is rolled back.
    pub(crate) fn write<T>(
        &mut self,
        action: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Abort>,
    ) -> Result<T, QueueError> {
        let done = (|| {
            let tx = Transaction::new(&mut self.conn, TransactionBehavior::Immediate)?;
            // A queue in memory has no file and no journal.
            if tx.path() != Some("") {
                journal::make_durable(&self.path)?;
            }
            let value = work(&tx)?;
            tx.commit()?;
            Ok(value)
        })();
        done.map_err(|abort| self.failed(action, abort))
    }

    /// Runs `work` on one snapshot, read into memory: no cursor survives it.
    pub(crate) fn read<T>(
        &mut self,
        action: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Abort>,
    ) -> Result<T, QueueError> {
        on_snapshot(&mut self.conn, work).map_err(|abort| self.failed(action, abort))
    }

    /// Whether triggers fire on this connection. Where they are off, the writer keeps bindings and tallies.
    /// A change makes SQLite compile every cached statement again.
    pub(crate) fn set_triggers(&self, fire: bool) -> Result<(), QueueError> {
        let set = self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, fire);
        set.map(|_| ()).map_err(|error| self.failed("prepare", error.into()))
    }

    pub(crate) fn failed(&self, action: &'static str, abort: Abort) -> QueueError {
        match abort {
            Abort::Sql(error) => sql_error(&self.path, Role::Active, action, self.deadline, error),
            Abort::Queue(error) => error,
        }
    }

    /// Brings the schema up to date and reads the id, creating one for a file without.
    fn identify(&mut self, scope: &Scope, expected: Option<&ObservedQueueId>) -> Result<String, QueueError> {
        let path = self.path.clone();
        let hash = scope.hash();
        let known = self.read("read", |tx| {
            let meta = observe::read_meta(tx)?;
            let version = observe::check_version(&path, &meta)?;
            let stored = |key| meta.get(key).cloned();
            // Earlier releases did not store the server and the team.
            let named = stored("server").is_some() && stored("team").is_some();
            // Tables whose commit failed can be read, and a power failure takes them back. A birth record follows a
            // commit that succeeded, at the latest the one below.
            let current = version == schema::VERSION && named && !birth::is_missing(&path);
            Ok(current.then(|| stored("queue_id").zip(stored("scope"))).flatten())
        })?;
        let (id, owner) = match known {
            Some(known) => known,
            None => self.write("prepare the tables of", |tx| {
                // Another process may have done it while this one waited for the lock.
                let version = observe::check_version(&path, &observe::read_meta(tx)?)?;
                schema::upgrade(tx, version)?;
                let id = match meta(tx, "queue_id")? {
                    Some(id) => id,
                    None => born(tx)?,
                };
                let owner = match meta(tx, "scope")? {
                    Some(owner) => owner,
                    None => {
                        set_meta(tx, "scope", &hash)?;
                        set_meta(tx, "principal", scope.principal())?;
                        hash.clone()
                    }
                };
                check_id(&path, &id, expected)?;
                if owner == hash {
                    set_meta(tx, "server", scope.server())?;
                    set_meta(tx, "team", scope.team())?;
                }
                reached(FaultPoint::IdentityWritten);
                Ok((id, owner))
            })?,
        };
        check_id(&path, &id, expected)?;
        if owner != hash {
            return Err(fault(observe::other_account_fault(&path)));
        }
        Ok(id)
    }
}

/// Nothing is created where the permit saw a queue, and only a database is opened.
fn check_file(path: &Path, expected: Option<&ObservedQueueId>) -> Result<(), QueueError> {
    match (look_at(path, Role::Active)?, expected) {
        (None, Some(ObservedQueueId::Known(id))) => {
            Err(identity_changed(path, format!("had id {id} and is gone")))
        }
        _ => Ok(()),
    }
}

/// Whether a writer died in the middle of a transaction. A journal alone does not prove it: a live writer
/// has one, too. SQLite reports it to a reader that must not roll back.
fn ended_uncleanly(path: &Path) -> bool {
    ["-journal", "-wal"].into_iter().any(|suffix| file::side_file_len(path, suffix) > 0)
        && matches!(
            observe::read_only(path, Role::Active, |conn| Ok(schema::parts(conn)?)),
            Err(ObserveError::Fault(found)) if found.code == FaultCode::QueueRecoveryNeeded
        )
}

/// Journal mode of the database at `path`; nothing for an absent file and one of zero bytes.
pub(crate) fn look_at(path: &Path, role: Role) -> Result<Option<JournalMode>, QueueError> {
    match file::read_db_file(path) {
        Ok(DbFile::Absent) => Ok(None),
        Ok(DbFile::Empty) => match birth::lost(path, "has zero bytes") {
            Some(lost) => Err(fault(lost)),
            None => Ok(None),
        },
        Ok(DbFile::Database { journal, .. }) => Ok(Some(journal)),
        Ok(DbFile::NotADatabase(what)) => {
            Err(fault(Fault::new(role.unreadable(), path, what, Remedy::Repair)))
        }
        Err(source) if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(QueueError::NotWritable { path: path.to_owned(), mode: file::mode_of(path) })
        }
        Err(source) => Err(QueueError::Io { path: path.to_owned(), action: "look at", source }),
    }
}

/// Opens an existing database file for writing, with the pragmas of contract section 7. The legacy
/// queue DB keeps its journal mode: it is other programs' file.
pub(crate) fn connect(path: &Path, role: Role, deadline: Duration) -> Result<Connection, QueueError> {
    if let Some(problem) = file::side_file_problem(path) {
        return Err(fault(Fault::new(role.unreadable(), path, problem, Remedy::Repair)));
    }
    let opened = (|| {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let mut conn = Connection::open_with_flags(file::uri(path, "mode=rw"), flags)?;
        busy_timeout::wait_for_locks(&mut conn, deadline)?;
        // Foreign keys off: tables of other programs must not cascade or block our deletes.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false)?;
        // Otherwise SQLite compiles a cached statement again for each value that its plan could depend on.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        conn.set_prepared_statement_cache_capacity(64);
        if role == Role::Active {
            conn.query_row("PRAGMA journal_mode = TRUNCATE", [], |_| Ok(()))?;
        }
        conn.execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;
             PRAGMA cache_size = -16384;",
        )?;
        Ok(conn)
    })();
    let conn = opened.map_err(|error| sql_error(path, role, "open", deadline, error))?;
    match conn.is_readonly("main") {
        Ok(false) => Ok(conn),
        _ => Err(QueueError::NotWritable { path: path.to_owned(), mode: file::mode_of(path) }),
    }
}

/// Maps an error of SQLite to the error of a command.
pub(crate) fn sql_error(
    path: &Path,
    role: Role,
    action: &'static str,
    deadline: Duration,
    source: rusqlite::Error,
) -> QueueError {
    let path_buf = path.to_owned();
    let extended = source.sqlite_error().map_or(0, |error| error.extended_code);
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            QueueError::Busy(busy_timeout::busy(path, deadline))
        }
        Some(ErrorCode::DiskFull) => QueueError::DiskFull { path: path_buf },
        Some(ErrorCode::ReadOnly) if extended == ffi::SQLITE_READONLY_DBMOVED => {
            identity_changed(path, "was moved or replaced while it was open".to_owned())
        }
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            QueueError::NotWritable { mode: file::mode_of(path), path: path_buf }
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            fault(Fault::new(role.unreadable(), path, format!("is damaged: {source}"), Remedy::Repair))
        }
        _ => QueueError::Sqlite { path: path_buf, action, source },
    }
}

/// A number that changes when another connection changes the file, and never by a change of this one. Inside a
/// transaction.
pub(crate) fn data_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

/// A value of the meta table.
pub(crate) fn meta(conn: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    conn.prepare_cached("SELECT CAST(value AS TEXT) FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()
}

/// Sets a value of the meta table.
pub(crate) fn set_meta(conn: &Connection, key: &str, value: &str) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT OR REPLACE INTO meta(key, value) VALUES (?1, ?2)")?.execute([key, value])?;
    Ok(())
}

/// Gives the file a random id.
fn born(tx: &Transaction<'_>) -> Result<String, Abort> {
    let mut random = [0u8; 16];
    getrandom::fill(&mut random).map_err(|error| {
        Abort::Queue(QueueError::Io {
            path: tx.path().unwrap_or_default().into(),
            action: "create a queue id for",
            source: std::io::Error::other(error.to_string()),
        })
    })?;
    let id = data_encoding::HEXLOWER.encode(&random);
    set_meta(tx, "queue_id", &id)?;
    Ok(id)
}

fn check_id(path: &Path, id: &str, expected: Option<&ObservedQueueId>) -> Result<(), QueueError> {
    match expected {
        Some(ObservedQueueId::Known(known)) if known != id => {
            Err(identity_changed(path, format!("has id {id}, and the preflight gate saw {known}")))
        }
        _ => Ok(()),
    }
}

fn identity_changed(path: &Path, detail: String) -> QueueError {
    fault(Fault::new(FaultCode::QueueIdentityChanged, path, detail, Remedy::RestartDaemon))
}

pub(crate) fn fault(fault: Fault) -> QueueError {
    QueueError::Fault(Box::new(fault))
}

/// Seconds since the epoch, with their fraction: the form in which instants are stored and compared.
pub(crate) fn unix_seconds(instant: Timestamp) -> f64 {
    instant.as_duration().as_secs_f64()
}

/// Seconds since the epoch.
pub(crate) fn now() -> f64 {
    unix_seconds(system::clock::now()).max(0.0)
}

/// Whole seconds since the epoch.
pub(crate) fn now_seconds() -> i64 {
    now() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::StatementStatus;

    /// A drain asks for each row by its id: 205 compilations for 200 rows were a quarter of its time.
    #[test]
    fn cached_statement_is_compiled_once_for_all_values() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("queue-0123456789abcdef.db");
        let scope = Scope::new("https://example.invalid", "dev@example.com", "team");
        let store = ScopedDb::open(&path, &scope, None, Duration::ZERO).expect("a queue");
        let sql = "SELECT r.data FROM queue AS r JOIN bindings AS b ON b.kind = 0 AND b.row = r.id
                   WHERE b.place = ?1 AND b.hold = ?2 AND b.at > ?3 ORDER BY b.at LIMIT 1";
        let mut select = store.conn.prepare(sql).expect("a statement");
        for row in 0..200 {
            assert!(!select.exists([row, row % 3, row]).expect("a look"));
        }
        assert!(select.get_status(StatementStatus::RePrepare) <= 1);
    }
}
