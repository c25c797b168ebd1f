//! Reads a SQLite file without changing a byte (contract section 4).
//!
//! | header byte 18 | state | opened as |
//! |---|---|---|
//! | 1, rollback journal | any | `mode=ro`, never `immutable`: a writer may be at work |
//! | 2, write-ahead log | `-wal` absent or empty | `immutable=1`, then everything is checked again |
//! | 2 | `-wal` has frames, `-shm` is there | `mode=ro&readonly_shm=1` |
//! | 2 | `-wal` has frames, no `-shm` | fault `queue_recovery_needed` |
//!
//! A hot journal is left to SQLite itself, which refuses to roll it back through a read-only handle:
//! that refusal becomes the fault `queue_recovery_needed`. So there is no moment at which a live
//! writer's journal could be mistaken for a dead one's.

use crate::birth;
use crate::busy_timeout;
use crate::error::{ObserveError, QueueError};
use crate::file::{self, DbFile, JournalMode, Role};
use crate::store::Abort;
use contract::{Fault, FaultCode, Remedy};
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};
use std::path::Path;
use std::time::Duration;

/// Attempts to read a file that keeps changing under `immutable`.
const TRIES: usize = 3;

/// Confines a broken entry of the list of tables to its table.
pub(crate) const CONFINE_DAMAGE: &str = "PRAGMA writable_schema = ON";

/// Runs `look` on one consistent snapshot of `path`; nothing for an absent file and for one of zero
/// bytes, which is a database without tables.
pub(crate) fn read_only<T>(
    path: &Path,
    role: Role,
    look: impl FnMut(&Connection) -> Result<T, Abort>,
) -> Result<Option<T>, ObserveError> {
    read_only_within(path, role, busy_timeout::READ, look)
}

/// The same, waiting at most `deadline` for each lock.
pub(crate) fn read_only_within<T>(
    path: &Path,
    role: Role,
    deadline: Duration,
    look: impl FnMut(&Connection) -> Result<T, Abort>,
) -> Result<Option<T>, ObserveError> {
    read(path, role, deadline, "", look)
}

/// The same for a file that may be damaged.
pub(super) fn read_damaged<T>(
    path: &Path,
    role: Role,
    look: impl FnMut(&Connection) -> Result<T, Abort>,
) -> Result<Option<T>, ObserveError> {
    read(path, role, busy_timeout::READ, CONFINE_DAMAGE, look)
}

fn read<T>(
    path: &Path,
    role: Role,
    deadline: Duration,
    pragmas: &str,
    mut look: impl FnMut(&Connection) -> Result<T, Abort>,
) -> Result<Option<T>, ObserveError> {
    for _ in 0..TRIES {
        let journal = match file::read_db_file(path) {
            Ok(DbFile::Absent) => return Ok(None),
            Ok(DbFile::Empty) => {
                return match birth::lost(path, "has zero bytes") {
                    Some(fault) => Err(ObserveError::Fault(Box::new(fault))),
                    None => Ok(None),
                };
            }
            Ok(DbFile::Database { journal, .. }) => journal,
            Ok(DbFile::NotADatabase(what)) => return Err(unreadable(path, role, what)),
            Err(error) => return Err(unreadable(path, role, format!("cannot be read: {error}"))),
        };
        let parameters = match journal {
            JournalMode::Rollback => "mode=ro",
            JournalMode::Wal if file::side_file_len(path, "-wal") == 0 => "immutable=1",
            JournalMode::Wal if !file::side_file(path, "-shm").exists() => {
                return Err(recovery_needed(path, "has a write-ahead log without its index"));
            }
            JournalMode::Wal => "mode=ro&readonly_shm=1",
        };
        let before = file::read_db_file(path).ok();
        let seen = open(path, parameters, deadline, pragmas).and_then(|conn| snapshot(&conn, &mut look));
        let stable = parameters != "immutable=1"
            || (file::side_file_len(path, "-wal") == 0 && file::read_db_file(path).ok() == before);
        if stable {
            return seen.map(Some).map_err(|abort| refused(path, role, deadline, abort));
        }
    }
    Err(ObserveError::Busy(busy_timeout::busy(path, deadline)))
}

fn open(path: &Path, parameters: &str, deadline: Duration, pragmas: &str) -> Result<Connection, Abort> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut conn = Connection::open_with_flags(file::uri(path, parameters), flags)?;
    busy_timeout::wait_for_locks(&mut conn, deadline)?;
    conn.execute_batch(pragmas)?;
    // A sort must not spill into a file. A look reads each page once: a large cache would only be memory.
    conn.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -256")?;
    Ok(conn)
}

fn snapshot<T>(
    conn: &Connection,
    look: &mut impl FnMut(&Connection) -> Result<T, Abort>,
) -> Result<T, Abort> {
    let tx = conn.unchecked_transaction()?;
    let seen = look(&tx)?;
    tx.rollback()?;
    Ok(seen)
}

pub(super) fn refused(path: &Path, role: Role, deadline: Duration, abort: Abort) -> ObserveError {
    let error = match abort {
        Abort::Queue(QueueError::Fault(fault)) => return ObserveError::Fault(fault),
        Abort::Queue(QueueError::Busy(busy)) => return ObserveError::Busy(busy),
        Abort::Queue(other) => return unreadable(path, role, other.to_string()),
        Abort::Sql(error) => error,
    };
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            ObserveError::Busy(busy_timeout::busy(path, deadline))
        }
        Some(ErrorCode::ReadOnly) => {
            let rollback =
                error.sqlite_error().is_some_and(|e| e.extended_code == ffi::SQLITE_READONLY_ROLLBACK);
            let what =
                if rollback { "has a hot journal" } else { "has a write-ahead log that needs recovery" };
            recovery_needed(path, what)
        }
        _ => unreadable(path, role, format!("is damaged: {error}")),
    }
}

pub(super) fn unreadable(path: &Path, role: Role, detail: impl Into<String>) -> ObserveError {
    ObserveError::Fault(Box::new(Fault::new(role.unreadable(), path, detail, Remedy::Repair)))
}

fn recovery_needed(path: &Path, what: &str) -> ObserveError {
    ObserveError::Fault(Box::new(Fault::new(
        FaultCode::QueueRecoveryNeeded,
        path,
        format!("{what}: a writer ended in the middle of a transaction"),
        Remedy::Migrate,
    )))
}
