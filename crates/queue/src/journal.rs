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
