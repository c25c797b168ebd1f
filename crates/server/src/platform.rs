//! What differs between operating systems: who may read the files of the data directory.
//!
//! On Unix directories are 0700 and files 0600, also when they existed with wider modes. On Windows
//! the profile directory's access list already keeps other accounts out.

use fs_err as fs;
use std::io;
use std::path::Path;

/// Creates `path` and its parents if needed and keeps other users out of it.
pub(crate) fn load_private_dir(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        tighten(path, 0o700)
    }
    #[cfg(not(unix))]
    fs::create_dir_all(path)
}

/// Creates `path` empty if it does not exist, and keeps other users out of it.
pub(crate) fn load_private_file(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let file = options.open(path)?;
    #[cfg(unix)]
    tighten(path, 0o600)?;
    Ok(file)
}

#[cfg(unix)]
fn tighten(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = fs::metadata(path)?;
    if metadata.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}
