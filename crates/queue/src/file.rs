//! Queue files as files: header, fingerprint and private modes. Never opens SQLite.

use crate::error::{QueueError, WriteBar};
use contract::FaultCode;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Role of a queue file: it decides the name of its faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The active queue DB.
    Active,
    /// The legacy queue DB.
    Legacy,
}

impl Role {
    /// The fault of a file that cannot be read.
    pub(crate) const fn unreadable(self) -> FaultCode {
        match self {
            Self::Active => FaultCode::ActiveQueueUnreadable,
            Self::Legacy => FaultCode::LegacyQueueUnreadable,
        }
    }
}

/// Identity and state of a database file: inode, size, modification time, and the change counter that SQLite
/// increments with every transaction in rollback-journal mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) modified_ns: i64,
    pub(crate) change_counter: u32,
}

impl Fingerprint {
    /// As it is stored.
    pub(crate) fn render(&self) -> String {
        format!("{}:{}:{}:{}", self.inode, self.size, self.modified_ns, self.change_counter)
    }
}

/// Journal mode of a database file, from byte 18 of its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JournalMode {
    /// Rollback journal.
    Rollback,
    /// Write-ahead log.
    Wal,
}

/// The kind of file at a path, without opening it as a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DbFile {
    /// Nothing.
    Absent,
    /// A file of zero bytes: a database without tables.
    Empty,
    /// A SQLite database, by its header.
    Database { journal: JournalMode, fingerprint: Fingerprint },
    /// Something else; the text completes "it ...".
    NotADatabase(&'static str),
}

const HEADER_BYTES: usize = 100;
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// Reads the kind of `path`. An error is the system's (no permission, a loop of links).
pub(crate) fn read_db_file(path: &Path) -> io::Result<DbFile> {
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // SQLite would create the target of a link, somewhere else than in this home.
            return Ok(match path.symlink_metadata() {
                Ok(facts) if facts.is_symlink() => {
                    DbFile::NotADatabase("is a symbolic link to something that does not exist")
                }
                // Another process may have created it since.
                Ok(_) | Err(_) => DbFile::Absent,
            });
        }
        Err(error) => return Err(error),
    };
    if metadata.is_dir() {
        return Ok(DbFile::NotADatabase("is a directory"));
    }
    // Opening a pipe would wait for its other end.
    if !metadata.is_file() {
        return Ok(DbFile::NotADatabase("is not a regular file"));
    }
    if let Some(problem) = side_file_problem(path) {
        return Ok(DbFile::NotADatabase(problem));
    }
    if metadata.len() == 0 {
        return Ok(DbFile::Empty);
    }
    let mut header = [0u8; HEADER_BYTES];
    let read = system::file::read_start(path, &metadata, &mut header)?;
    // A power cut leaves half of a header beside a journal; a live writer does so for a moment. SQLite decides.
    let is_whole = read == HEADER_BYTES && &header[..16] == MAGIC;
    if !is_whole && !has_rollback_journal(path) {
        return Ok(DbFile::NotADatabase("is not a SQLite database"));
    }
    let journal = match header[18] {
        _ if !is_whole => JournalMode::Rollback,
        1 => JournalMode::Rollback,
        2 => JournalMode::Wal,
        _ => return Ok(DbFile::NotADatabase("has a format that this SQLite cannot read")),
    };
    let modified_ns = metadata
        .modified()
        .ok()
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_nanos()).ok())
        .unwrap_or_default();
    let fingerprint = Fingerprint {
        inode: system::file::file_identity(&metadata).place.1,
        size: metadata.len(),
        modified_ns,
        change_counter: u32::from_be_bytes([header[24], header[25], header[26], header[27]]),
    };
    Ok(DbFile::Database { journal, fingerprint })
}

/// `path` with a suffix, as SQLite names its side files.
pub(crate) fn side_file(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Problem with the side files of a database: SQLite would wait for ever for a pipe in the place of one.
pub(crate) fn side_file_problem(path: &Path) -> Option<&'static str> {
    [
        ("-journal", "has a `-journal` that is not a regular file"),
        ("-wal", "has a `-wal` that is not a regular file"),
        ("-shm", "has a `-shm` that is not a regular file"),
    ]
    .into_iter()
    .find(|(suffix, _)| std::fs::metadata(side_file(path, suffix)).is_ok_and(|facts| !facts.is_file()))
    .map(|(_, problem)| problem)
}

/// Whether a file beside the database begins as a rollback journal with content does.
fn has_rollback_journal(path: &Path) -> bool {
    let journal = side_file(path, "-journal");
    let mut start = [0u8; JOURNAL_MAGIC.len()];
    let read = std::fs::metadata(&journal)
        .and_then(|metadata| system::file::read_start(&journal, &metadata, &mut start));
    read.is_ok_and(|read| start[..read] == JOURNAL_MAGIC)
}

/// The size of a side file; zero when it is absent.
pub(crate) fn side_file_len(path: &Path, suffix: &str) -> u64 {
    std::fs::metadata(side_file(path, suffix)).map_or(0, |metadata| metadata.len())
}

/// `file:` URI of a path with its parameters, percent-encoded so that no name can add one.
pub(crate) fn uri(path: &Path, parameters: &str) -> String {
    let mut out = String::from("file:");
    if cfg!(windows) {
        out.push('/');
    }
    for byte in system::file::path_bytes(path) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b'\\' if cfg!(windows) => out.push('/'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    format!("{out}?{parameters}")
}

/// Prepares a queue file for writing: creates the directory 0700 and the file 0600 when they are
/// missing, and takes wider permissions away when they exist.
pub(crate) fn make_ready(path: &Path) -> Result<(), QueueError> {
    let failed = |action: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| not_written(action, &path, source)
    };
    let dir = path.parent().unwrap_or(Path::new("."));
    if dir.is_dir() {
        // A directory of another user cannot be narrowed and need not be ours to use.
        if let Err(error) = system::private_file::restrict_any_owner(dir) {
            tracing::debug!(dir = %dir.display(), %error, "left the directory's mode alone");
        }
    } else {
        system::private_file::create_private_dir(dir)
            .map_err(|error| failed("create the directory", dir)(error.source))?;
        // SQLite makes the file's own entry durable, not the directory's.
        if let Some(above) = dir.parent() {
            system::file::sync_directory(above).map_err(failed("create the directory", dir))?;
        }
    }
    if path.is_file() {
        system::private_file::restrict_any_owner(path).map_err(failed("make private", path))
    } else {
        system::private_file::create_private_file(path).map_err(failed("create", path))
    }
}

/// The error of a file that the system did not let us write.
pub(crate) fn not_written(action: &'static str, path: &Path, source: io::Error) -> QueueError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            QueueError::NotWritable { mode: mode_of(&path), path }
        }
        io::ErrorKind::StorageFull => QueueError::DiskFull { path },
        _ => QueueError::Io { path, action, source },
    }
}

/// Obstacle to writing `path`: its file system, or else its permission bits. For messages.
pub(crate) fn mode_of(path: &Path) -> Option<WriteBar> {
    // A file that does not exist yet will be on the file system of its directory.
    let there = path.ancestors().find(|above| above.exists())?;
    if system::file::is_mounted_read_only(there) {
        return Some(WriteBar::ReadOnlyFileSystem);
    }
    let metadata = std::fs::metadata(path).ok()?;
    system::file::mode(&metadata).map(WriteBar::Mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uri_keeps_hostile_names_inside_the_path() {
        let uri = uri(Path::new("/a b/?mode=rwc&x#y%.db"), "mode=ro");
        assert_eq!(uri, "file:/a%20b/%3Fmode%3Drwc%26x%23y%25.db?mode=ro");
    }

    #[test]
    fn file_that_is_no_database_is_named() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("queue.db");
        assert_eq!(read_db_file(&path).expect("read"), DbFile::Absent);
        fs_err::write(&path, b"").expect("write");
        assert_eq!(read_db_file(&path).expect("read"), DbFile::Empty);
        fs_err::write(&path, b"SQLite format 3").expect("write");
        assert_eq!(read_db_file(&path).expect("read"), DbFile::NotADatabase("is not a SQLite database"));
        assert_eq!(read_db_file(dir.path()).expect("read"), DbFile::NotADatabase("is a directory"));
    }
}
