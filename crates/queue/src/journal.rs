//! The rollback journal of a database as an entry of its directory.
//!
//! A journal whose entry a power failure takes away rolls nothing back. SQLite cannot know that the entry is on
//! the disk, so it flushes the directory in each transaction. Here the file stays (`journal_mode = TRUNCATE`) and
//! its entry is flushed once; `SQLITE_DISABLE_DIRSYNC` (`.cargo/config.toml`) leaves that to this module.
//!
//! Both functions are called with the write lock held, before SQLite writes a page and after. So no other program
//! has a transaction, and none removes the file meanwhile, as one with `journal_mode = DELETE` does when it commits.

use crate::error::QueueError;
use crate::file;
use std::path::Path;
use system::private_file::create_private_file;

/// Makes the entry of the journal durable, and with it that of the database. Returns whether it is new.
pub(crate) fn make_durable(path: &Path) -> Result<bool, QueueError> {
    let journal = file::side_file(path, "-journal");
    if journal.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    create_private_file(&journal)
        .and_then(|()| system::file::sync_directory(directory))
        .map_err(|source| file::not_written("create the journal of", path, source))?;
    Ok(true)
}

/// Removes a new journal in which SQLite wrote nothing: beside the legacy queue DB none stays.
pub(crate) fn remove_unused(path: &Path) {
    let journal = file::side_file(path, "-journal");
    if file::side_file_len(path, "-journal") == 0
        && let Err(error) = std::fs::remove_file(&journal)
    {
        tracing::debug!(journal = %journal.display(), %error, "left an empty journal");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::legacy::LegacyDb;
    use crate::store::{ScopedDb, set_meta};
    use contract::Scope;
    use std::time::Duration;

    #[test]
    fn journal_that_another_program_removed_is_made_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("queue-0123456789abcdef.db");
        let scope = Scope::new("https://example.invalid", "dev@example.com", "team");
        let mut store = ScopedDb::open(&path, &scope, None, Duration::ZERO).expect("a queue");
        let journal = file::side_file(&path, "-journal");
        std::fs::remove_file(&journal).expect("it stays after a commit");
        let mut is_there_before_the_first_page = false;
        store
            .write("test", |tx| {
                is_there_before_the_first_page = journal.exists();
                Ok(set_meta(tx, "key", "value")?)
            })
            .expect("written");
        assert!(is_there_before_the_first_page && journal.exists());
    }

    #[test]
    fn legacy_queue_keeps_no_journal() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("queue.db");
        let reference = rusqlite::Connection::open(&path).expect("a database");
        reference.execute_batch("CREATE TABLE queue(x)").expect("a table");
        let mut legacy = LegacyDb::open(&path).expect("readable").expect("there");
        for sql in ["SELECT 1", "INSERT INTO queue VALUES (1)"] {
            legacy.write("test", |tx| Ok(Some(tx.execute_batch(sql)?))).expect("written");
            assert!(!file::side_file(&path, "-journal").exists(), "{sql}");
        }
    }
}
