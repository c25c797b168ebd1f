//! Test support: operations of SQLite on its files, which an observer may refuse. Only with the feature `simulation`.

use std::path::Path;

/// An operation of SQLite on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOperation<'b> {
    /// A file that is not there is created.
    Create,
    /// Bytes are written.
    Write {
        /// Their offset in the file.
        at: usize,
        /// The bytes.
        bytes: &'b [u8],
    },
    /// Earlier writes are flushed.
    Sync,
    /// The file is cut.
    Truncate {
        /// Its length afterwards.
        size: usize,
    },
    /// The file is deleted.
    Delete,
}

/// Result of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOutcome {
    /// It is carried out. A sync is answered with success and flushes nothing.
    Done,
    /// It fails: there is no space.
    NoSpace,
    /// It fails after half of the bytes: there is no space for the rest.
    NoSpaceForHalf,
    /// It fails with an I/O error, and changes nothing.
    Fails,
}

/// Decides about an operation before it is carried out.
pub type FileObserver = fn(&Path, FileOperation<'_>) -> FileOutcome;

/// Lets `observer` decide about the operations of SQLite on every file that this process opens from now on. Returns whether
/// SQLite accepts an observer. Only that of the first call is asked: a later one is ignored, and the result is the same.
pub fn observe_sqlite_files(observer: FileObserver) -> bool {
    crate::platform::observe_sqlite_files(observer)
}
