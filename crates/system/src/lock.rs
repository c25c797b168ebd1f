//! Advisory file locks with a deadline and a named holder.
//!
//! The kernel releases a lock when its process ends, so no lock is stale. A lock is valid only while its path
//! names the locked file: a process that locked an unlinked file tries again.

pub use crate::platform::observe_posix_holder;
use crate::private_file::make_writable;
use crate::{platform, private_file};
use contract::{FileNumbers, Remedy};
use serde::Deserialize;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Reason why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process held it past the deadline (exit code 69).
    #[error("{resource} is busy: {} is held by {}", contract::text::path(.path), .holder.as_deref().unwrap_or("another process"))]
    Busy {
        /// Name of the resource that the lock protects.
        resource: String,
        /// The lock file.
        path: PathBuf,
        /// The holder, if it is recorded.
        holder: Option<String>,
    },
    /// The file cannot be opened or locked.
    #[error("cannot lock {}: {source}", contract::text::path(.path))]
    Io {
        /// The lock file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

impl LockError {
    /// Its remedy, where there is one.
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::Busy { .. } => None,
            Self::Io { path, source } => Some(make_writable(path, source)),
        }
    }
}

/// A held lock; released when dropped.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    path: PathBuf,
    recorded: bool,
    unlink: bool,
}

/// A process that holds a POSIX lock, as SQLite's are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockHolder {
    /// Its pid.
    pub pid: u32,
    /// The name of its program, if the system reports it.
    pub command: Option<String>,
}

/// The result of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockProbe {
    /// Free, or no file.
    Free,
    /// A process holds it.
    Held,
}

/// Location of a lock file, which decides its permissions.
#[derive(Clone, Copy)]
enum LockLocation {
    /// The home: private.
    Home,
    /// A repository, which several users may share.
    Repository,
}

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

impl FileLock {
    /// Takes the lock at `path`, creating the file (0600) if need be and waiting at most `patience`.
    /// `resource` is what the message calls the thing it protects, as in "the configuration".
    ///
    /// # Errors
    /// [`LockError::Busy`] past the deadline, [`LockError::Io`] when the file cannot be opened or locked.
    pub fn acquire(path: &Path, patience: Duration, resource: &str) -> Result<Self, LockError> {
        Self::acquire_in(LockLocation::Home, path, patience, resource)
    }

    /// [`FileLock::acquire`] for a lock file in a repository: file and directory get the permissions
    /// that the user's umask gives, and existing ones are left alone.
    ///
    /// # Errors
    /// As [`FileLock::acquire`].
    pub fn acquire_in_repository(path: &Path, patience: Duration, resource: &str) -> Result<Self, LockError> {
        Self::acquire_in(LockLocation::Repository, path, patience, resource)
    }

    fn acquire_in(
        place: LockLocation,
        path: &Path,
        patience: Duration,
        resource: &str,
    ) -> Result<Self, LockError> {
        let io_error = |source| LockError::Io { path: path.to_path_buf(), source };
        if let Some(directory) = path.parent() {
            match place {
                LockLocation::Home => {
                    private_file::create_private_dir(directory).map_err(|error| error.source)
                }
                LockLocation::Repository => fs::create_dir_all(directory),
            }
            .map_err(io_error)?;
        }
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(file) = Self::attempt(place, path).map_err(io_error)? {
                return Ok(Self { file, path: path.to_path_buf(), recorded: false, unlink: false });
            }
            let waited = start.elapsed();
            if waited >= patience {
                return Err(LockError::Busy {
                    resource: resource.to_owned(),
                    path: path.to_path_buf(),
                    holder: read_holder(path),
                });
            }
            thread::sleep(pause.min(patience - waited));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn attempt(place: LockLocation, path: &Path) -> io::Result<Option<File>> {
        let mut options = match place {
            LockLocation::Home => platform::private_options(),
            LockLocation::Repository => {
                let mut options = OpenOptions::new();
                platform::without_waiting(&mut options);
                options
            }
        };
        let is_new = !path.exists();
        options.read(true).write(true).create(true).truncate(false);
        let opened = crate::regular::open_checked(&options, path);
        let file = opened.map_err(|error| name_link(path, error))?;
        if is_new && matches!(place, LockLocation::Home) {
            platform::give_to_directory_owner(path);
        }
        match file.try_lock() {
            Ok(()) => Ok(platform::names_open_file(path, &file)?.then_some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Writes the holder of the lock into its file, for the message of a waiting process. Never for the owner
    /// lock, which is never written. The record is removed on release.
    ///
    /// # Errors
    /// The record cannot be written; the lock is held all the same.
    pub fn record_holder(&mut self, version: &str) -> io::Result<()> {
        let record = serde_json::json!({
            "host": platform::hostname(),
            "pid": std::process::id(),
            "schema_version": 1,
            "started_at": crate::clock::now().strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string(),
            "version": version,
        });
        self.recorded = true;
        self.write_content(format!("{record}\n").as_bytes())
    }

    /// Replaces the content of the locked file: overwrites it, then truncates, so that the file is never empty
    /// after a crash.
    ///
    /// # Errors
    /// The system's error.
    pub fn write_content(&mut self, content: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(content)?;
        self.file.set_len(content.len() as u64)
    }

    /// The content of the locked file, at most `limit` bytes.
    ///
    /// # Errors
    /// The system's error.
    pub fn read_content(&mut self, limit: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        (&self.file).take(limit).read_to_end(&mut content)?;
        Ok(content)
    }

    /// Flushes the content to the disk.
    ///
    /// # Errors
    /// The system's error.
    pub fn sync_content(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Releases as the reference's session lock is released: unlink first, unlock second.
    pub fn unlink_on_release(&mut self) {
        self.unlink = platform::UNLINKS_OPEN_FILES;
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Device and inode of the locked file, where the system reports them, and its number of hard links.
    ///
    /// # Errors
    /// The file system does not answer.
    pub fn numbers(&self) -> io::Result<(Option<FileNumbers>, u64)> {
        platform::file_numbers(&self.file)
    }

    /// Whether the path still names the locked file. When it does not, it was removed, and the
    /// next process may hold a lock of the same name.
    pub fn still_names(&self) -> bool {
        platform::names_open_file(&self.path, &self.file).unwrap_or(false)
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // No error is actionable here: the lock ends with the process at the latest.
        if self.recorded {
            let _ = self.file.set_len(0);
        }
        if self.unlink && self.still_names() {
            let _ = fs::remove_file(&self.path);
        }
        // Closing is not enough: a child that another thread is starting has a copy of the descriptor until its
        // exec, and would keep the lock until then.
        let _ = self.file.unlock();
    }
}

/// Whether the lock at `path` is held. Opens an existing file for reading, tries a shared lock and closes it:
/// creates and changes nothing. The probe holds its lock for microseconds, so takers of the lock retry.
///
/// # Errors
/// The file exists and cannot be opened or locked.
pub fn probe(path: &Path) -> io::Result<LockProbe> {
    Ok(observe_lock(path)?.map_or(LockProbe::Free, |file| file.state))
}

/// An existing lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockFile {
    /// Whether a process holds it.
    pub state: LockProbe,
    /// Its device and inode, where the system reports them.
    pub numbers: Option<FileNumbers>,
    /// Its number of hard links.
    pub links: u64,
}

/// [`probe`] with the identity of the file; none for an absent file. A symbolic link is not followed: its
/// target could be the lock of another home.
///
/// # Errors
/// The file exists and cannot be opened or locked.
pub fn observe_lock(path: &Path) -> io::Result<Option<LockFile>> {
    let file = match platform::open_unlinked_for_reading(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(name_link(path, error)),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    let (numbers, links) = platform::file_numbers(&file)?;
    let state = match file.try_lock_shared() {
        Ok(()) => {
            file.unlock()?;
            LockProbe::Free
        }
        Err(TryLockError::WouldBlock) => LockProbe::Held,
        Err(TryLockError::Error(error)) => return Err(error),
    };
    Ok(Some(LockFile { state, numbers, links }))
}

/// Replaces ELOOP, the system's error for a link that is not followed.
fn name_link(path: &Path, error: io::Error) -> io::Error {
    if path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink()) {
        io::Error::new(io::ErrorKind::InvalidInput, "a symbolic link, which is not followed")
    } else {
        error
    }
}

#[derive(Deserialize)]
struct HolderRecord {
    pid: u64,
    host: Option<String>,
    version: Option<String>,
    started_at: Option<String>,
}

/// The holder that a lock file names. The file is untrusted, so it is bounded and escaped.
fn read_holder(path: &Path) -> Option<String> {
    const RECORD_LIMIT: u64 = 1024;
    let file = crate::bounded_read::read_bounded(path, RECORD_LIMIT).ok()??;
    let record: HolderRecord = serde_json::from_slice(&file.bytes).ok()?;
    let mut text = format!("pid {}", record.pid);
    for (word, value) in
        [(" on ", record.host), (" since ", record.started_at), (", version ", record.version)]
    {
        if let Some(value) = value {
            text.push_str(word);
            text.push_str(&contract::text::printable(&value));
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("deep").join("a.lock");
        (directory, path)
    }

    #[test]
    fn busy_message_names_file_holder_and_resource() {
        let (_directory, path) = place();
        let mut held = FileLock::acquire(&path, Duration::ZERO, "the thing").expect("the lock");
        held.record_holder("9.9.9").expect("a record");
        let error = FileLock::acquire(&path, Duration::from_millis(3), "the thing").expect_err("busy");
        let message = error.to_string();
        let pid = format!("pid {}", std::process::id());
        for part in ["the thing is busy", "a.lock", pid.as_str(), "version 9.9.9"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        drop(held);
        FileLock::acquire(&path, Duration::ZERO, "the thing").expect("free again");
        assert_eq!(fs::metadata(&path).expect("the file stays").len(), 0);
    }

    #[test]
    fn holder_without_record_is_another_process() {
        let (_directory, path) = place();
        let _held = FileLock::acquire(&path, Duration::ZERO, "x").expect("the lock");
        let message = FileLock::acquire(&path, Duration::ZERO, "x").expect_err("busy").to_string();
        assert!(message.ends_with("is held by another process"), "{message}");
    }

    #[test]
    fn hostile_holder_record_cannot_move_the_cursor() {
        let (_directory, path) = place();
        let mut held = FileLock::acquire(&path, Duration::ZERO, "x").expect("the lock");
        held.write_content(br#"{"pid":1,"host":"\u001b[2J"}"#).expect("a record");
        let message = FileLock::acquire(&path, Duration::ZERO, "x").expect_err("busy").to_string();
        assert!(!message.contains('\u{1b}') && message.contains("\\u{1b}[2J"), "{message}");
    }

    #[test]
    fn one_of_many_holds_it_at_a_time() {
        let (_directory, path) = place();
        let inside = std::sync::atomic::AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let mut lock =
                            FileLock::acquire(&path, Duration::from_secs(30), "x").expect("the lock");
                        lock.unlink_on_release();
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        thread::yield_now();
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
    }

    /// A child process inherits such a copy until its exec.
    #[test]
    fn copy_of_the_descriptor_does_not_keep_the_lock() {
        let (_directory, path) = place();
        let held = FileLock::acquire(&path, Duration::ZERO, "x").expect("the lock");
        let copy = held.file.try_clone().expect("a copy");
        drop(held);
        FileLock::acquire(&path, Duration::ZERO, "x").expect("free again");
        drop(copy);
    }

    #[test]
    fn lock_detects_its_replaced_file() {
        let (_directory, path) = place();
        let held = FileLock::acquire(&path, Duration::ZERO, "x").expect("the lock");
        assert!(held.still_names());
        fs::remove_file(&path).expect("removed");
        assert!(!held.still_names());
        let next = FileLock::acquire(&path, Duration::ZERO, "x").expect("a new file, a new lock");
        assert!(next.still_names() && !held.still_names());
    }

    #[test]
    fn probe_creates_nothing_and_other_probes_do_not_count() {
        let (directory, path) = place();
        assert_eq!(probe(&path).expect("a probe"), LockProbe::Free);
        assert_eq!(fs::read_dir(directory.path()).expect("entries").count(), 0);
        let held = FileLock::acquire(&path, Duration::ZERO, "x").expect("the lock");
        assert_eq!(probe(&path).expect("a probe"), LockProbe::Held);
        drop(held);
        let other = File::open(&path).expect("a file");
        other.lock_shared().expect("a shared lock");
        assert_eq!(probe(&path).expect("a probe"), LockProbe::Free);
    }

    #[cfg(unix)]
    #[test]
    fn symbolic_link_in_place_of_the_lock_is_not_followed() {
        let (directory, path) = place();
        let elsewhere = directory.path().join("elsewhere");
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::os::unix::fs::symlink(&elsewhere, &path).expect("a link");
        let error = FileLock::acquire(&path, Duration::ZERO, "x").expect_err("a link");
        assert!(error.to_string().contains("symbolic link") && probe(&path).is_err(), "{error}");
        assert!(!elsewhere.exists(), "nothing was created at its target");
        fs::write(&elsewhere, "").expect("a target");
        assert!(FileLock::acquire(&path, Duration::ZERO, "x").is_err() && probe(&path).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn lock_numbers_differ_in_a_copy_and_count_hard_links() {
        let (directory, path) = place();
        assert_eq!(observe_lock(&path).expect("a look"), None);
        let held = FileLock::acquire(&path, Duration::ZERO, "x").expect("the lock");
        let file = observe_lock(&path).expect("a look").expect("a file");
        assert_eq!((file.state, file.links), (LockProbe::Held, 1));
        assert_eq!(held.numbers().expect("numbers"), (file.numbers, 1));
        let copy = directory.path().join("copy");
        fs::copy(&path, &copy).expect("a copy");
        let copied = observe_lock(&copy).expect("a look").expect("a file");
        assert!(copied.numbers != file.numbers && copied.state == LockProbe::Free);
        let link = directory.path().join("link");
        fs::hard_link(&path, &link).expect("a link");
        let linked = observe_lock(&link).expect("a look").expect("a file");
        assert_eq!((linked.numbers, linked.links, linked.state), (file.numbers, 2, LockProbe::Held));
    }

    #[test]
    fn directory_in_place_of_the_file_is_an_error_not_a_wait() {
        let (_directory, path) = place();
        fs::create_dir_all(&path).expect("an obstacle");
        assert!(matches!(FileLock::acquire(&path, Duration::from_secs(60), "x"), Err(LockError::Io { .. })));
        assert!(probe(&path).is_err(), "a lock that cannot be taken is not free");
    }
}
