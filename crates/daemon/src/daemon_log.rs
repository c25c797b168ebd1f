//! The daemon's log: one line per thing that happened, rotated by size, the previous file kept.
//!
//! A spawned daemon's standard output and error point at the same file, so a panic lands here as well.
//! Nothing secret is ever handed to it: lines name files, counts, outcomes and process ids.

use fs_err as fs;
use identity::quarantine::move_aside;
use jiff::Timestamp;
use std::fs::{File, Metadata};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use system::private_file;

/// A log is rotated before it grows beyond this many bytes.
pub(crate) const MAX_BYTES: u64 = 1024 * 1024;

/// An open log. Writing never fails the daemon: a full disk costs lines, not deliveries.
#[derive(Debug)]
pub(crate) struct DaemonLog {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: Option<File>,
    written: u64,
    /// Whether standard output and error follow the file.
    carries_output: bool,
}

impl DaemonLog {
    /// Opens (or creates, 0600) the log at `path` in a directory that exists, rotating it when it is full. With `carries_output`
    /// standard output and error are pointed at it.
    pub(crate) fn open(path: &Path, carries_output: bool) -> Self {
        let mut inner = Inner { path: path.to_path_buf(), file: None, written: 0, carries_output };
        inner.reopen();
        Self { inner: Mutex::new(inner) }
    }

    /// Appends one line.
    pub(crate) fn line(&self, text: &str) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let line = format!(
            "{} {}\n",
            Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            contract::text::printable(text)
        );
        if inner.written + line.len() as u64 > MAX_BYTES || inner.has_strayed() {
            inner.reopen();
        }
        if let Some(file) = &mut inner.file
            && file.write_all(line.as_bytes()).is_ok()
        {
            inner.written += line.len() as u64;
        }
    }

    /// Path of the previous log.
    pub(crate) fn previous(path: &Path) -> PathBuf {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".previous");
        path.with_file_name(name)
    }
}

impl Inner {
    /// Whether the open file is no longer the one at the path: a starter that lost rotated it, or another process
    /// removed it. Lines are few, so looking costs nothing.
    fn has_strayed(&self) -> bool {
        let Some(open) = self.file.as_ref().and_then(|file| file.metadata().ok()) else { return false };
        let place = |metadata: &Metadata| system::file::file_identity(metadata).place;
        !fs::symlink_metadata(&self.path).is_ok_and(|there| place(&there) == place(&open))
    }

    fn reopen(&mut self) {
        self.file = open_for_appending(&self.path).ok();
        self.written = self.file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |data| data.len());
        if let Some(file) = self.file.as_ref().filter(|_| self.carries_output) {
            system::detached::point_output_at(file);
        }
    }
}

/// Opens the log at `path` for appending, private to its owner, after rotating a full one. A symbolic link is
/// moved aside, never followed: its target may be any file of this user.
///
/// # Errors
/// The file could not be created or opened, or what is there is not a regular file.
pub(crate) fn open_for_appending(path: &Path) -> io::Result<File> {
    match fs::symlink_metadata(path) {
        Ok(data) if data.is_symlink() => {
            move_aside(path).map_err(|error| error.source)?;
        }
        // Half of the limit: a log that one run nearly filled is not rotated under the next one's first lines.
        Ok(data) if data.is_file() && data.len() >= MAX_BYTES / 2 => {
            fs::rename(path, DaemonLog::previous(path))?
        }
        Ok(_) | Err(_) => {}
    }
    let mut options = private_file::private_options();
    options.append(true).create(true);
    let is_new = fs::symlink_metadata(path).is_err();
    let file = system::regular::open_checked(&options, path)?;
    if is_new {
        private_file::give_to_directory_owner(path);
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_stays_within_its_bound_and_keeps_the_previous_one() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("daemon.log");
        let log = DaemonLog::open(&path, false);
        let long = "x".repeat(1_000);
        for _ in 0..3_000 {
            log.line(&long);
        }
        let size = |path: &Path| std::fs::metadata(path).expect("metadata").len();
        assert!(size(&path) <= MAX_BYTES && size(&DaemonLog::previous(&path)) <= MAX_BYTES);
        assert!(size(&DaemonLog::previous(&path)) > MAX_BYTES / 2);
        assert_eq!(std::fs::read_dir(home.path()).expect("listing").count(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn log_lines_follow_the_path_after_rotation_or_removal() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("daemon.log");
        let log = DaemonLog::open(&path, false);
        for _ in 0..600 {
            log.line(&"x".repeat(1_000));
        }
        // A starter that loses opens the log as well, and finds it full.
        drop(open_for_appending(&path).expect("rotated"));
        log.line("after the rotation");
        let read = || std::fs::read_to_string(&path).expect("a log");
        assert!(read().lines().count() == 1 && read().contains("after the rotation"), "{}", read());
        std::fs::remove_file(&path).expect("removed");
        log.line("after the removal");
        assert!(read().contains("after the removal"), "{}", read());
    }

    #[cfg(unix)]
    #[test]
    fn symbolic_link_in_place_of_the_log_is_moved_aside() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("daemon.log");
        let target = home.path().join("precious");
        let read = |path: &Path| std::fs::read_to_string(path).expect("a file");
        let put_link = || std::os::unix::fs::symlink(&target, &path).expect("a link");
        std::fs::write(&target, "precious\n".repeat(100_000)).expect("a target");
        let precious = read(&target);
        put_link();
        let log = DaemonLog::open(&path, false);
        log.line("first");
        assert!(read(&path).ends_with("first\n") && !path.is_symlink());
        // Nor when the link appears under an open log.
        std::fs::remove_file(&path).expect("removed");
        put_link();
        log.line("second");
        assert!(read(&path).ends_with("second\n") && !path.is_symlink());
        // The rotation target is replaced, not written through.
        std::os::unix::fs::symlink(&target, DaemonLog::previous(&path)).expect("a link");
        std::fs::write(&path, "x".repeat(600_000)).expect("a full log");
        log.line("third");
        drop(open_for_appending(&path).expect("rotated"));
        assert!(!DaemonLog::previous(&path).is_symlink());
        assert!(read(&target) == precious, "the target is as it was");
    }

    #[cfg(unix)]
    #[test]
    fn pipe_in_place_of_the_log_costs_only_its_lines() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("daemon.log");
        let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo");
        assert!(made.success());
        DaemonLog::open(&path, false).line("lost");
    }

    #[test]
    fn log_entry_is_one_line() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("daemon.log");
        DaemonLog::open(&path, false).line("two\nlines \u{1b}[31m");
        let text = std::fs::read_to_string(&path).expect("a log");
        assert_eq!(text.lines().count(), 1);
        assert!(text.ends_with("two\\nlines \\u{1b}[31m\n"), "{text}");
    }

    #[test]
    fn log_that_cannot_be_written_costs_only_its_lines() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("daemon.log");
        std::fs::create_dir(&path).expect("a directory in its place");
        DaemonLog::open(&path, false).line("lost");
    }
}
