//! Files of a repository: they are committed and shared, so an existing file keeps its mode and a new one has
//! the mode of the user's umask.

use crate::file::sync_directory;
use crate::private_file::Durability;
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::path::Path;

/// Replaces `path` atomically and durably: writes `bytes` to a temporary file beside it, flushes and renames.
///
/// # Errors
/// The system's error; `path` is then as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(path, |file| file.write_all(bytes))
}

/// [`replace`] with what `write` writes; an error of it leaves `path` as it was.
///
/// # Errors
/// As [`replace`].
pub fn replace_with(path: &Path, write: impl FnOnce(&mut fs::File) -> io::Result<()>) -> io::Result<()> {
    place_with(path, Durability::Synced, write)?;
    sync_directory(directory_of(path))
}

/// Replaces `path` atomically and leaves its directory to the caller: until that is flushed, the old file may be
/// back after a power failure. Without [`Durability::Synced`] the new one may be there without its content.
///
/// # Errors
/// As [`replace`].
pub fn place(path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
    place_with(path, durability, |file| file.write_all(bytes))
}

fn place_with(
    path: &Path,
    durability: Durability,
    write: impl FnOnce(&mut fs::File) -> io::Result<()>,
) -> io::Result<()> {
    let mode = fs::symlink_metadata(path).ok().filter(Metadata::is_file).map(|file| file.permissions());
    let mut file = temporary_in(directory_of(path))?;
    if let Some(mode) = mode {
        file.as_file().set_permissions(mode)?;
    }
    write(file.as_file_mut())?;
    if durability == Durability::Synced {
        file.as_file().sync_all()?;
    }
    file.persist(path).map(drop).map_err(|error| error.error)
}

fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// A temporary file beside the file that it replaces, with the mode of the user's umask.
///
/// # Errors
/// The system's error.
pub fn temporary_in(directory: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".spec-kitty-").suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(directory)
}
