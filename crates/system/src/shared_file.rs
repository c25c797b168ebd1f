//! Files of a repository: they are committed and shared, so an existing file keeps its mode and a new one gets
//! what the user's umask allows.

use crate::file::sync_directory;
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::path::Path;

/// Writes `bytes` to a temporary file beside `path`, flushes it and renames it over `path`, which is replaced
/// whole or not at all.
///
/// # Errors
/// What the system says; `path` is then as it was.
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

/// A temporary file beside what it will replace, with the mode that the user's umask allows.
///
/// # Errors
/// What the system says.
pub fn temporary_in(directory: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".spec-kitty-").suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(directory)
}
