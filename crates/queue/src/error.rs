//! Errors of queue files: busy (exit 69), a fault (exit 2, with a remedy) or a failure (exit 1). Every error
//! names the file.

use crate::row::Kind;
use contract::{ExitCode, Fault, Remedy, text};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use system::lock::LockHolder;

/// Another process held a queue file past the deadline (contract section 5). Never a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy {
    /// The file.
    pub path: PathBuf,
    /// Its holder, where the system reports it.
    pub holder: Option<LockHolder>,
    /// The deadline that passed.
    pub waited: Duration,
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = text::path(&self.path);
        write!(f, "{path} stayed locked for {} ms", self.waited.as_millis())?;
        match &self.holder {
            Some(LockHolder { pid, command: Some(command) }) => {
                write!(f, "; held by pid {pid} ({})", text::printable(command))
            }
            Some(LockHolder { pid, command: None }) => write!(f, "; held by pid {pid}"),
            None => f.write_str("; its holder is unknown"),
        }
    }
}

/// Failure of a read-only observation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObserveError {
    /// The file cannot be read, or must not be trusted: the caller reports it and refuses.
    #[error("{}: {}{}", .0.code, shown_path(.0), .0.detail)]
    Fault(Box<Fault>),
    /// Exit 69, in gate, `status` and `--check` alike.
    #[error("{0}")]
    Busy(Busy),
}

/// Reason why a file is not writable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteBar {
    /// Not writable, whatever the modes.
    ReadOnlyFileSystem,
    /// The permission bits.
    Mode(u32),
}

/// Failure to open, write or read a queue.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Another process held the file past the deadline.
    #[error("{0}")]
    Busy(Busy),
    /// The queue is not the one of the permit, is newer than this program, or is not a database.
    #[error("{}: {}{}", .0.code, shown_path(.0), .0.detail)]
    Fault(Box<Fault>),
    /// The permit is older than `gate::LIFETIME`: the machine may have changed since.
    #[error("permit expired: the boundary was checked {} s ago", .age.as_secs())]
    PermitExpired {
        /// Its age.
        age: Duration,
    },
    /// `sync.max_queue_size` is reached. Nothing is evicted (contract section 7).
    #[error("{} would hold {would_hold} {kind} rows and `sync.max_queue_size` is {capacity}", text::path(.path))]
    Full {
        /// The queue DB.
        path: PathBuf,
        /// Events or bodies.
        kind: Kind,
        /// Rows waiting and prepared, those of this command included.
        would_hold: u64,
        /// The limit.
        capacity: u64,
    },
    /// The file or its directory does not accept writes.
    #[error("{} is not writable{}", text::path(.path), shown_bar(*.mode))]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// The cause, where the system reports it.
        mode: Option<WriteBar>,
    },
    /// The file system is full.
    #[error("no space left to write {}", text::path(.path))]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// A row offered by the caller cannot be stored.
    #[error("row `{}`: {why}", text::printable(.key))]
    BadRow {
        /// The row's key.
        key: String,
        /// Problem with the row.
        why: String,
    },
    /// A queue DB that rows must not be copied from.
    #[error("{} {why}", text::path(.path))]
    NotImportable {
        /// The queue DB.
        path: PathBuf,
        /// Reason.
        why: String,
    },
    /// No row, project or entry of that id.
    #[error("{}: no {what} `{}`", text::path(.path), text::printable(.id))]
    Unknown {
        /// The queue DB.
        path: PathBuf,
        /// Kind of the thing that was looked for.
        what: &'static str,
        /// The id.
        id: String,
    },
    /// A file operation failed.
    #[error("could not {action} {}", text::path(.path))]
    Io {
        /// The file.
        path: PathBuf,
        /// Action that failed.
        action: &'static str,
        /// Error of the system.
        source: std::io::Error,
    },
    /// SQLite refused.
    #[error("could not {action} {}", text::path(.path))]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// Action that failed.
        action: &'static str,
        /// Error of SQLite.
        source: rusqlite::Error,
    },
}

impl QueueError {
    /// Its exit code.
    pub fn exit(&self) -> ExitCode {
        match self {
            Self::Busy(_) => ExitCode::Busy,
            Self::Fault(_) => ExitCode::Refused,
            _ => ExitCode::Failed,
        }
    }

    /// The remedy, where there is one.
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::Fault(fault) => Some(fault.remedy.clone()),
            Self::PermitExpired { .. } => {
                Some(Remedy::Advice("run the same `spec-kitty` command again".to_owned()))
            }
            Self::Full { .. } => Some(Remedy::SyncNow),
            Self::NotWritable { path, mode: Some(WriteBar::ReadOnlyFileSystem) } => {
                Some(Remedy::Advice(format!("mount the file system of {} writable", text::path(path))))
            }
            Self::NotWritable { path, .. } => {
                Some(Remedy::Advice(format!("make {} writable for this user", text::path(path))))
            }
            Self::DiskFull { path } => {
                Some(Remedy::Advice(format!("free space on the file system of {}", text::path(path))))
            }
            _ => None,
        }
    }
}

impl From<ObserveError> for QueueError {
    fn from(error: ObserveError) -> Self {
        match error {
            ObserveError::Fault(fault) => Self::Fault(fault),
            ObserveError::Busy(busy) => Self::Busy(busy),
        }
    }
}

fn shown_path(fault: &Fault) -> String {
    fault.path.as_deref().map_or_else(String::new, |path| format!("{} ", text::path(path)))
}

fn shown_bar(bar: Option<WriteBar>) -> String {
    match bar {
        Some(WriteBar::ReadOnlyFileSystem) => ": its file system is mounted read-only".to_owned(),
        Some(WriteBar::Mode(mode)) => format!(" (mode {:04o})", mode & 0o7777),
        None => String::new(),
    }
}
