//! Files of a mission, read whole and bounded; written atomically or appended, and put back when
//! the command fails.
//!
//! Independent of formats. Invariants. No read takes more than its limit, and none waits for a pipe. A symbolic link
//! in a mission is neither read nor written, because a mission that was pulled may point anywhere. A [`Writing`] that
//! is dropped before [`Writing::keep`] restores every byte it touched.

use crate::error::{MissionError, Result};
use crate::remedies::ErrorCode;
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use system::private_file::Durability;
use system::{regular, shared_file};

/// The largest planning document that is read; bodies over half a mebibyte are never uploaded anyway.
pub(crate) const MAX_TEXT: u64 = 16 << 20;
/// The largest JSON document.
pub(crate) const MAX_JSON: u64 = 4 << 20;

/// Reads a file of a mission, of at most `limit` bytes; nothing when there is none. Neither a symbolic link
/// nor anything else that is not a regular file is opened.
pub(crate) fn read_bytes(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    match fs::symlink_metadata(path) {
        Ok(facts) if facts.is_symlink() => Err(is_link(path)),
        Ok(facts) => read_bytes_anywhere(path, limit, facts.len()),
        // Many documents of a mission may be absent, and opening one costs three calls.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(_) => read_bytes_anywhere(path, limit, 0),
    }
}

/// Opens a file of a mission to read it, under the rules of [`read_bytes`]; nothing when there is none.
pub(crate) fn open_file(path: &Path) -> Result<Option<fs::File>> {
    match fs::symlink_metadata(path) {
        Ok(facts) if facts.is_symlink() => return Err(is_link(path)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Ok(_) | Err(_) => {}
    }
    match regular::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unopened("read", path)(error)),
    }
}

/// The error of a file that is not opened; it says when the path is not a file.
pub(crate) fn unopened<'p>(
    action: &'static str,
    path: &'p Path,
) -> impl Fn(std::io::Error) -> MissionError + 'p {
    move |error| match regular::is_not_regular(&error) {
        true => MissionError::malformed(path, error.to_string()),
        false => MissionError::io(action, path)(error),
    }
}

fn is_link(path: &Path) -> MissionError {
    MissionError::malformed(path, "is a symbolic link, and those are not followed in a mission")
}

/// Refuses a directory of a mission that is a symbolic link. There may be none.
pub(crate) fn check_directory(path: &Path) -> Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|facts| facts.is_symlink()) {
        return Err(is_link(path));
    }
    Ok(())
}

/// `expected` is about how many bytes it has: memory for them is taken at once, which saves a dozen reads.
fn read_bytes_anywhere(path: &Path, limit: u64, expected: u64) -> Result<Option<Vec<u8>>> {
    let file = match regular::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unopened("read", path)(error)),
    };
    let mut bytes = Vec::with_capacity(usize::try_from(expected.min(limit) + 1).unwrap_or_default());
    file.take(limit + 1).read_to_end(&mut bytes).map_err(MissionError::io("read", path))?;
    if bytes.len() as u64 > limit {
        return Err(MissionError::malformed(path, format!("is larger than the {limit} bytes that are read")));
    }
    Ok(Some(bytes))
}

/// Reads a UTF-8 file of a mission, of at most `limit` bytes; nothing when there is none.
pub fn read_text(path: &Path, limit: u64) -> Result<Option<String>> {
    read_bytes(path, limit)?.map(|bytes| text(path, bytes)).transpose()
}

/// Reads a UTF-8 file that the user names, at most `limit` bytes; nothing when there is none. It may be a
/// pipe, which has to end soon.
pub(crate) fn read_text_named(path: &Path, limit: u64) -> Result<Option<String>> {
    let bytes = regular::read_named(path, limit);
    let bytes = bytes.map_err(|error| MissionError::malformed(path, error.to_string()))?;
    bytes.map(|bytes| text(path, bytes)).transpose()
}

/// Reads a UTF-8 file that the user keeps outside the missions, by way of symbolic links, too.
pub(crate) fn read_text_anywhere(path: &Path, limit: u64) -> Result<Option<String>> {
    read_bytes_anywhere(path, limit, 0)?.map(|bytes| text(path, bytes)).transpose()
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        MissionError::malformed(path, format!("is not UTF-8 at byte {at}"))
    })
}

/// The names of the entries of a directory, sorted; none when it does not exist.
pub(crate) fn read_names(directory: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(MissionError::io("list", directory)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(MissionError::io("list", directory))?;
        // A name that is not UTF-8 can be no file of ours.
        names.extend(entry.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

/// The writes of one command.
#[derive(Debug, Default)]
pub struct Writing {
    steps: Vec<WriteStep>,
    /// Directories with new entries that are not flushed: each is flushed once, whatever it got.
    unflushed: BTreeSet<PathBuf>,
    kept: bool,
}

/// Takes back a step that is no file.
pub(crate) trait Undo: std::fmt::Debug {
    /// Undoes the step; an error has the reason why it could not.
    fn undo(&self) -> Result<(), String>;
}

#[derive(Debug)]
enum WriteStep {
    Other { what: String, undo: Box<dyn Undo> },
    Directory(PathBuf),
    Created(PathBuf),
    Replaced { path: PathBuf, before: Vec<u8> },
    Appended { path: PathBuf, length: u64, added: Vec<u8> },
}

impl Writing {
    /// Nothing written yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates `path` and its missing parents.
    pub(crate) fn create_directory(&mut self, path: &Path) -> Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            self.create_directory(parent)?;
        }
        match fs::create_dir(path) {
            Ok(()) => {
                self.steps.push(WriteStep::Directory(path.to_owned()));
                self.flush_later(path);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => {}
            Err(error) => return Err(MissionError::io("create", path)(error)),
        }
        Ok(())
    }

    /// Writes `bytes` to `path` by way of a temporary file in the same directory. Returns whether
    /// anything changed: equal bytes are left alone.
    pub fn write(&mut self, path: &Path, bytes: &[u8]) -> Result<bool> {
        self.place(path, bytes, Durability::Synced)
    }

    /// [`Writing::write`] for a file that can be made again: a power failure may leave it without its content.
    pub(crate) fn write_derived(&mut self, path: &Path, bytes: &[u8]) -> Result<bool> {
        self.place(path, bytes, Durability::Eventual)
    }

    fn place(&mut self, path: &Path, bytes: &[u8], durability: Durability) -> Result<bool> {
        let before = read_bytes(path, MAX_TEXT)?;
        if before.as_deref() == Some(bytes) {
            return Ok(false);
        }
        if let Some(parent) = path.parent() {
            self.create_directory(parent)?;
        }
        shared_file::place(path, bytes, durability).map_err(MissionError::io("write", path))?;
        self.steps.push(match before {
            Some(before) => WriteStep::Replaced { path: path.to_owned(), before },
            None => WriteStep::Created(path.to_owned()),
        });
        if durability == Durability::Synced {
            self.flush_later(path);
        }
        Ok(true)
    }

    /// Appends `bytes` to `path` (created when absent), flushes them to the disk and reads them back.
    pub fn append(&mut self, path: &Path, bytes: &[u8]) -> Result<()> {
        let existed = match fs::symlink_metadata(path) {
            Ok(facts) if facts.is_symlink() => return Err(is_link(path)),
            found => found.is_ok(),
        };
        let mut file = regular::open_with(OpenOptions::new().read(true).append(true).create(true), path)
            .map_err(unopened("append to", path))?;
        let length = file.metadata().map_err(MissionError::io("append to", path))?.len();
        self.steps.push(if existed {
            WriteStep::Appended { path: path.to_owned(), length, added: bytes.to_vec() }
        } else {
            WriteStep::Created(path.to_owned())
        });
        if !existed {
            self.flush_later(path);
        }
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        written.map_err(MissionError::io("append to", path))?;
        let mut back = Vec::with_capacity(bytes.len());
        let read = file.seek(SeekFrom::Start(length)).and_then(|_| file.read_to_end(&mut back));
        read.map_err(MissionError::io("read back", path))?;
        // Another program may append at the same moment, before or behind.
        if !back.windows(bytes.len().max(1)).any(|part| part == bytes) && !bytes.is_empty() {
            return Err(MissionError::invalid(
                ErrorCode::StatusEventPersistenceVerificationFailed,
                format!("{} does not hold what was just appended to it", contract::text::path(path)),
                &serde_json::json!({ "path": contract::text::path(path) }),
            ));
        }
        Ok(())
    }

    /// Notes a file that other code is about to write, so that undoing puts it back.
    pub fn watch(&mut self, path: &Path) -> Result<()> {
        self.steps.push(match read_bytes_anywhere(path, MAX_TEXT, 0)? {
            Some(before) => WriteStep::Replaced { path: path.to_owned(), before },
            None => WriteStep::Created(path.to_owned()),
        });
        Ok(())
    }

    /// Notes a step that was done elsewhere, and how to take it back.
    pub(crate) fn note(&mut self, what: String, undo: impl Undo + 'static) {
        self.steps.push(WriteStep::Other { what, undo: Box::new(undo) });
    }

    fn flush_later(&mut self, entry: &Path) {
        self.unflushed
            .extend(entry.parent().filter(|parent| !parent.as_os_str().is_empty()).map(Path::to_owned));
    }

    /// Makes the new entries of directories durable. What they name is already.
    pub(crate) fn flush(&mut self) -> Result<()> {
        for directory in std::mem::take(&mut self.unflushed) {
            system::file::sync_directory(&directory).map_err(MissionError::io("flush", &directory))?;
        }
        Ok(())
    }

    /// Everything stays, durably; or nothing does.
    pub fn keep(mut self) -> Result<()> {
        match self.flush() {
            Ok(()) => {
                self.kept = true;
                Ok(())
            }
            Err(cause) => Err(self.undo(cause)),
        }
    }

    /// Puts everything back because of `cause`, and returns it, extended by what could not be put back.
    pub fn undo(mut self, cause: MissionError) -> MissionError {
        let left = self.restore();
        if left.is_empty() {
            cause
        } else {
            MissionError::NotUndone { cause: Box::new(cause), left: left.join("; ") }
        }
    }

    fn restore(&mut self) -> Vec<String> {
        self.kept = true;
        let mut left = Vec::new();
        for step in self.steps.drain(..).rev() {
            let (path, done) = match step {
                WriteStep::Other { what, undo } => {
                    left.extend(undo.undo().err().map(|why| format!("{what} ({why})")));
                    continue;
                }
                WriteStep::Directory(path) => {
                    let done = fs::remove_dir(&path);
                    (path, done)
                }
                WriteStep::Created(path) => {
                    let done = match fs::remove_file(&path) {
                        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                        done => done,
                    };
                    (path, done)
                }
                WriteStep::Replaced { path, before } => {
                    let done = match regular::read(&path, before.len() as u64) {
                        Ok(now) if now == before => Ok(()),
                        _ => shared_file::replace(&path, &before),
                    };
                    (path, done)
                }
                WriteStep::Appended { path, length, added } => {
                    let done = cut_off(&path, length, &added);
                    (path, done)
                }
            };
            if let Err(error) = done {
                left.push(format!("{} ({error})", contract::text::path(&path)));
            }
        }
        left
    }
}

/// Takes what was appended away again, unless another program has appended behind it: its rows are not ours.
fn cut_off(path: &Path, length: u64, added: &[u8]) -> std::io::Result<()> {
    let mut file = regular::open_with(OpenOptions::new().read(true).write(true), path)?;
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(length))?;
    (&file).take(added.len() as u64 + 1).read_to_end(&mut tail)?;
    // A write that failed midway leaves a part.
    if !added.starts_with(&tail) {
        return Err(std::io::Error::other("another program has appended to it"));
    }
    file.set_len(length)?;
    file.sync_all()
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.kept {
            for left in self.restore() {
                tracing::warn!("not undone: {left}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_writing_leaves_every_byte_as_it_was() {
        let world = tempfile::tempdir().unwrap();
        let (old, log) = (world.path().join("old"), world.path().join("log"));
        std::fs::write(&old, "before").unwrap();
        std::fs::write(&log, "one\n").unwrap();
        let mut writing = Writing::new();
        assert!(writing.write(&old, b"after").unwrap());
        assert!(!writing.write(&old, b"after").unwrap());
        assert!(writing.write(&world.path().join("new/deep/file"), b"x").unwrap());
        writing.append(&log, b"two\n").unwrap();
        writing.append(&world.path().join("fresh"), b"three\n").unwrap();
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "one\ntwo\n");
        drop(writing);
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "before");
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "one\n");
        assert_eq!(read_names(world.path()).unwrap(), ["log", "old"]);
    }

    #[test]
    fn rows_of_another_program_behind_ours_are_not_cut_off() {
        let world = tempfile::tempdir().unwrap();
        let log = world.path().join("log");
        std::fs::write(&log, "one\n").unwrap();
        let mut writing = Writing::new();
        writing.append(&log, b"ours\n").unwrap();
        std::fs::write(&log, "one\nours\ntheirs\n").unwrap();
        let error = writing.undo(MissionError::malformed(&log, "x"));
        assert!(error.to_string().contains("another program has appended"), "{error}");
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "one\nours\ntheirs\n");
    }

    #[cfg(unix)]
    #[test]
    fn link_and_a_pipe_are_neither_read_nor_written() {
        let world = tempfile::tempdir().unwrap();
        let (secret, link, pipe) =
            (world.path().join("secret"), world.path().join("link"), world.path().join("pipe"));
        std::fs::write(&secret, "secret").unwrap();
        std::os::unix::fs::symlink(&secret, &link).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for (path, what) in [(&link, "symbolic link"), (&pipe, "not a regular file")] {
            let mut writing = Writing::new();
            let errors = [
                read_text(path, 10).unwrap_err(),
                writing.write(path, b"x").unwrap_err(),
                writing.append(path, b"x").unwrap_err(),
            ];
            assert!(errors.iter().all(|error| error.to_string().contains(what)), "{errors:?}");
        }
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "secret");
        assert_eq!(read_text_anywhere(&link, 10).unwrap().as_deref(), Some("secret"));
    }

    #[test]
    fn directory_a_huge_file_and_bytes_that_are_no_text_are_named() {
        let world = tempfile::tempdir().unwrap();
        let path = world.path().join("f");
        std::fs::write(&path, b"ab\xff").unwrap();
        assert!(read_text(&path, 10).unwrap_err().to_string().ends_with("is not UTF-8 at byte 2"));
        assert!(read_bytes(&path, 2).unwrap_err().to_string().contains("larger than the 2 bytes"));
        assert!(read_bytes(world.path(), 2).is_err());
        assert_eq!(read_bytes(&world.path().join("none"), 2).unwrap(), None);
    }
}
