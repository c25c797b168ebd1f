//! Opening files: regular ones only, and without waiting.
//!
//! A pipe in place of a file would make `open` or `read` wait for ever, and a device could be read without end.
//! Opening either can have effects. So every file this program opens by itself is opened by [`open`] or
//! [`open_with`]: non-blocking, and checked through the descriptor, so that check and read see the same file. Files
//! named on the command line may be pipes ([`read_named`], [`open_named`]), with a deadline of `NAMED_DEADLINE`.

use crate::bounded_read::BoundedReadError;
use crate::platform;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// For a pipe named on the command line: until it is open, and until it was read to its end.
const NAMED_DEADLINE: Duration = Duration::from_secs(5);

/// A directory, a pipe, a socket or a device in place of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotRegular;

impl fmt::Display for NotRegular {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not a regular file")
    }
}

impl std::error::Error for NotRegular {}

/// Whether an error of this module means that the path is not a regular file.
pub fn is_not_regular(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<NotRegular>())
}

/// Opens a regular file for reading.
///
/// # Errors
/// [`NotRegular`] inside an error of kind `InvalidInput`, or the system's error.
pub fn open(path: &Path) -> io::Result<File> {
    open_with(OpenOptions::new().read(true), path)
}

/// Opens a regular file, creating it if the options ask for that. The options must not set flags of the
/// system.
///
/// # Errors
/// As [`open`].
pub fn open_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    platform::without_waiting(options);
    open_checked(options, path)
}

/// The same for options that carry flags of the system already, non-blocking among them.
///
/// # Errors
/// As [`open`].
#[allow(clippy::disallowed_methods, reason = "the one place that opens files, and it checks each one")]
pub fn open_checked(options: &OpenOptions, path: &Path) -> io::Result<File> {
    let irregular = || io::Error::new(io::ErrorKind::InvalidInput, NotRegular);
    match options.open(path) {
        Ok(file) if file.metadata()?.is_file() => Ok(file),
        Ok(_) => Err(irregular()),
        // The system's error for a pipe without a reader, a socket or a directory does not name the cause.
        Err(error) => match std::fs::metadata(path) {
            Ok(facts) if !facts.is_file() && error.kind() != io::ErrorKind::PermissionDenied => {
                Err(irregular())
            }
            _ => Err(error),
        },
    }
}

/// Reads a whole regular file.
///
/// # Errors
/// As [`open`], and when it holds more than `limit` bytes.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    take(open(path)?, limit)
}

/// Reads a file named on the command line, at most `limit` bytes. It may be a pipe, which must end within
/// `NAMED_DEADLINE`. `Ok(None)` for an absent file.
///
/// # Errors
/// A directory, too many bytes, a pipe that does not end, or the system's error.
pub fn read_named(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, BoundedReadError> {
    match std::fs::metadata(path) {
        Ok(facts) if !facts.is_file() && !facts.is_dir() => {
            let path = path.to_owned();
            within(NAMED_DEADLINE, move || {
                // A pipe is what was asked for, and the deadline bounds it.
                #[allow(clippy::disallowed_methods)]
                take(File::open(path)?, limit)
            })
            .map(Some)
            .map_err(BoundedReadError::Io)
        }
        _ => Ok(crate::bounded_read::read_bounded(path, limit)?.map(|file| file.bytes)),
    }
}

/// Opens a file named on the command line for writing. It may be a pipe, whose other end must be open within
/// `NAMED_DEADLINE`.
///
/// # Errors
/// No reader in time, or the system's error.
pub fn open_named(options: &OpenOptions, path: &Path) -> io::Result<File> {
    let (options, path) = (options.clone(), path.to_owned());
    within(NAMED_DEADLINE, move || {
        // A pipe is what was asked for, and the deadline bounds it.
        #[allow(clippy::disallowed_methods)]
        options.open(path)
    })
}

fn take(file: File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(io::Error::new(io::ErrorKind::InvalidData, format!("at most {limit} bytes are read"))),
        false => Ok(bytes),
    }
}

/// Runs `work`, which may block, on its own thread. A thread that never returns ends with the process.
fn within<T: Send + 'static>(
    deadline: Duration,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (sender, told) = mpsc::channel();
    std::thread::Builder::new().name("named-file".into()).spawn(move || drop(sender.send(work())))?;
    told.recv_timeout(deadline).unwrap_or_else(|_| {
        let text = format!("the other end of the pipe did not finish within {} s", deadline.as_secs());
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::io::Write;

    fn pipe(directory: &Path) -> std::path::PathBuf {
        let path = directory.join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .expect("a pipe");
        path
    }

    #[test]
    fn pipe_in_place_of_a_file_is_refused_without_waiting() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = pipe(directory.path());
        for options in [
            OpenOptions::new().read(true),
            OpenOptions::new().write(true),
            OpenOptions::new().append(true).create(true),
            OpenOptions::new().read(true).write(true).create(true),
        ] {
            let error = open_with(options, &path).expect_err("no file");
            assert!(is_not_regular(&error), "{error}");
        }
        assert!(is_not_regular(&open(directory.path()).expect_err("a directory")));
        assert!(is_not_regular(&open(Path::new("/dev/null")).expect_err("a device")));
        assert_eq!(
            open(&directory.path().join("absent")).expect_err("absent").kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn named_pipe_is_read_to_its_end_and_bounded() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = pipe(directory.path());
        let send = |bytes: &'static [u8]| {
            let path = path.clone();
            std::thread::spawn(move || {
                let mut file = OpenOptions::new().write(true).open(path).expect("a reader");
                drop(file.write_all(bytes));
            })
        };
        let writer = send(b"text");
        assert_eq!(read_named(&path, 4).expect("read").expect("there"), b"text");
        writer.join().expect("written");
        let writer = send(b"too much");
        assert!(read_named(&path, 4).is_err());
        writer.join().expect("written");
        assert!(read_named(&directory.path().join("absent"), 4).expect("no error").is_none());
        assert!(read_named(directory.path(), 4).is_err());
    }

    #[test]
    fn pipe_without_another_end_is_given_up() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = pipe(directory.path());
        let error = read_named(&path, 4).expect_err("no process writes");
        assert!(error.to_string().contains("within 5 s"), "{error}");
        // The thread that waits for a writer is a reader of the first pipe.
        let other = tempfile::tempdir().expect("a directory");
        let path = pipe(other.path());
        let error = open_named(OpenOptions::new().write(true), &path).expect_err("no process reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
