//! Files of a repository: they are committed and shared, so an existing file keeps its mode and a new one has
//! the mode of the user's umask.

use crate::file::sync_directory;
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::path::Path;

/// Replaces `path` atomically: writes `bytes` to a temporary file beside it, flushes and renames.
///
/// # Errors
/// The system's error; `path` is then as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mode = fs::symlink_metadata(path).ok().filter(Metadata::is_file).map(|file| file.permissions());
    let mut file = temporary_in(directory)?;
    if let Some(mode) = mode {
        file.as_file().set_permissions(mode)?;
    }
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_directory(directory)
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
