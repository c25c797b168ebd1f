//! Birth record: the file beside a scoped queue DB that records that the queue DB had content.
//!
//! `queue-<16 hex>.id` holds the queue id. It is written after the transaction that creates the tables, and again by
//! the next writer when it is missing, after a transaction of its own: tables whose commit failed can be read until a
//! power failure takes them back. Without a record, a queue DB of zero bytes or without this program's tables is a new
//! one. With a record it has lost its rows and is a fault.
//!
//! A writer looks whether there is one; its content is never read, and a healthy queue DB costs no more.

use crate::file::Role;
use contract::{Fault, Remedy};
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The birth record of the scoped queue DB at `queue`; none for a file of another name, `queue.db` among them.
pub fn birth_record(queue: &Path) -> Option<PathBuf> {
    let name = queue.file_name().and_then(OsStr::to_str)?;
    let hash = name.strip_prefix("queue-")?.strip_suffix(".db")?;
    Some(queue.with_file_name(format!("queue-{hash}.id")))
}

/// The birth record of a queue DB at `queue` that is gone; none where there is one, and where there never was.
pub fn record_of_lost_queue(queue: &Path) -> Option<PathBuf> {
    let is_gone = queue.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
    birth_record(queue).filter(|record| is_gone && record.symlink_metadata().is_ok())
}

/// The fault of a file at `queue` that has no table of this program although one was there before.
pub(crate) fn lost(queue: &Path, what: &str) -> Option<Fault> {
    let record = birth_record(queue)?;
    let there = queue.symlink_metadata().is_ok() && record.symlink_metadata().is_ok();
    there.then(|| {
        let detail = format!("{what}, although its birth record shows that it held rows");
        Fault::new(Role::Active.unreadable(), queue, detail, Remedy::Repair)
    })
}

/// Removes the record of a queue DB that is no longer there: the next one begins empty.
pub(crate) fn forget(queue: &Path) {
    let Some(record) = birth_record(queue) else { return };
    if queue.symlink_metadata().is_err()
        && let Err(error) = std::fs::remove_file(&record)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::debug!(record = %record.display(), %error, "left the birth record");
    }
}

/// Whether the queue DB at `queue` could have a record and has none.
pub(crate) fn is_missing(queue: &Path) -> bool {
    birth_record(queue).is_some_and(|record| record.symlink_metadata().is_err())
}

/// Writes the record unless there is one, after a commit that succeeded. Without it everything works, so a failure is
/// only logged.
pub(crate) fn record(queue: &Path, queue_id: &str) {
    if !is_missing(queue) {
        return;
    }
    let Some(record) = birth_record(queue) else { return };
    let written = system::private_file::create_private_file(&record).and_then(|()| {
        let mut file = system::regular::open_with(std::fs::OpenOptions::new().write(true), &record)?;
        writeln!(file, "{queue_id}")?;
        file.sync_all()?;
        system::file::sync_directory(record.parent().unwrap_or(Path::new(".")))
    });
    if let Err(error) = written {
        tracing::debug!(record = %record.display(), %error, "wrote no birth record");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ScopedDb;
    use contract::Scope;
    use std::time::Duration;

    /// SQLite's count of the transactions that changed the file.
    fn commits(queue: &Path) -> u32 {
        let bytes = std::fs::read(queue).expect("a queue DB");
        u32::from_be_bytes(bytes[24..28].try_into().expect("four bytes"))
    }

    #[test]
    fn missing_record_is_written_after_a_commit() {
        let directory = tempfile::tempdir().expect("a directory");
        let scope = Scope::new("https://example.invalid", "dev@example.com", "team");
        let queue = directory.path().join(format!("queue-{}.db", scope.hash()));
        let open = || ScopedDb::open(&queue, &scope, None, Duration::ZERO).map(drop);
        open().expect("a queue");
        let (born, record) = (commits(&queue), birth_record(&queue).expect("a scoped queue"));
        open().expect("opens");
        assert_eq!((commits(&queue), is_missing(&queue)), (born, false), "nothing to write");
        std::fs::remove_file(&record).expect("a record");
        open().expect("opens");
        assert_eq!((commits(&queue), is_missing(&queue)), (born + 1, false), "tables may not be durable yet");
        // Where no transaction succeeds there is no record.
        std::fs::remove_file(&record).expect("a record");
        let other = rusqlite::Connection::open(&queue).expect("opens");
        other.execute_batch("BEGIN IMMEDIATE").expect("locked");
        open().expect_err("locked");
        assert!(is_missing(&queue));
    }

    #[test]
    fn only_a_scoped_queue_db_has_a_birth_record() {
        let of = |name: &str| birth_record(Path::new("/q").join(name).as_path());
        assert_eq!(of("queue-0123456789abcdef.db"), Some("/q/queue-0123456789abcdef.id".into()));
        for other in ["queue.db", "queue-0123456789abcdef.db.salvaged", "queue-x.drain.lock", "other.db"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
