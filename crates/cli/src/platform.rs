//! What differs between systems.

use std::io;
use std::path::Path;

/// Gives read and write access to `path` to its owner only.
#[cfg(unix)]
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = if path.is_dir() { 0o700 } else { 0o600 };
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// Modes do not exist here: there is nothing to give.
#[cfg(not(unix))]
pub(crate) fn make_private(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// The mode of a file that others may read; nothing when only its owner may, or when there is none.
#[cfg(unix)]
pub(crate) fn open_mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = path.metadata().ok()?.permissions().mode() & 0o7777;
    (mode & 0o044 != 0).then_some(mode)
}

/// Modes do not exist here.
#[cfg(not(unix))]
pub(crate) fn open_mode(_path: &Path) -> Option<u32> {
    None
}
