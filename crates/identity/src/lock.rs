//! stub
#![allow(missing_docs, unused_variables, clippy::todo)]
use std::path::{Path, PathBuf};
use std::time::Duration;
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// exit 69
    #[error("{resource} is busy: {}{}", contract::text::path(.path), .holder.as_deref().map(|h| format!(" is held by {h}")).unwrap_or_default())]
    Busy { resource: String, path: PathBuf, holder: Option<String> },
    #[error("cannot lock {}: {source}", contract::text::path(.path))]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}
#[derive(Debug)]
pub struct FileLock {}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockProbe {
    Free,
    Held,
}
impl FileLock {
    /// Waits at most `patience`; `resource` is what the message calls it ("the configuration").
    pub fn acquire(path: &Path, patience: Duration, resource: &str) -> Result<Self, LockError> {
        todo!()
    }
    /// Writes a holder record into the lock file (never for owner.lock).
    pub fn record_holder(&mut self, version: &str) -> std::io::Result<()> {
        todo!()
    }
    pub fn path(&self) -> &Path {
        todo!()
    }
    /// Whether `path` still names the file that is locked.
    pub fn still_names(&self) -> bool {
        todo!()
    }
}
/// Opens an existing file read-only, try_lock_shared, close; no file = free.
pub fn probe(path: &Path) -> std::io::Result<LockProbe> {
    todo!()
}
