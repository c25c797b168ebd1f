//! What differs between operating systems: replacing a file, and the mode it gets.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Writes `bytes` to a temporary file beside `path`, flushes it and renames it over `path`. An
/// existing file keeps its mode; a new one gets what the user's umask allows, because these files
/// are committed and shared.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mode =
        fs::symlink_metadata(path).ok().filter(std::fs::Metadata::is_file).map(|file| file.permissions());
    let mut builder = tempfile::Builder::new();
    builder.prefix(".spec-kitty-").suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(directory)?;
    if let Some(mode) = mode {
        file.as_file().set_permissions(mode)?;
    }
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_directory(directory)
}

/// Makes a rename or a creation in `directory` durable, where the system can.
#[cfg(unix)]
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    fs::File::open(directory)?.sync_all()
}

/// Windows has no handle on a directory that can be flushed; NTFS journals the rename.
#[cfg(not(unix))]
pub(crate) fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}
