//! Writing files that only their owner may read.
//!
//! A file is replaced atomically: temporary file in the same directory, fsync, rename, fsync of the directory.
//! Files are 0600 and directories 0700. A write removes wider permissions of existing ones, unless they belong
//! to another user or are shared (`/tmp`).

use crate::platform;
pub use crate::platform::{
    private_options, restrict_any_owner, restrict_directory, set_owner_only, shared_mode,
};
use contract::Remedy;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Failure of a write. Names the file.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", contract::text::path(.path))]
pub struct WriteError {
    /// The failed action, as a verb: `write`, `create the directory`.
    pub action: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// The system's error.
    #[source]
    pub source: io::Error,
}

impl WriteError {
    /// Names `path` in an error of the system.
    pub fn new(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { action, path: path.to_path_buf(), source }
    }

    /// Its remedy.
    pub fn remedy(&self) -> Remedy {
        make_writable(&self.path, &self.source)
    }
}

/// Whether `error` means that the path is occupied by another kind of file.
pub fn is_obstructed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::DirectoryNotEmpty
            // The error of the bounded readers for anything but a regular file.
            | io::ErrorKind::InvalidInput
    )
}

/// The remedy of a file that was not written because of `error`.
pub fn make_writable(path: &Path, error: &io::Error) -> Remedy {
    let obstructed = is_obstructed(error);
    let path = contract::text::path(path);
    Remedy::Advice(match error.kind() {
        _ if obstructed => format!("move what occupies {path} out of the way, then run the command again"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("free space on the file system of {path}")
        }
        io::ErrorKind::ReadOnlyFilesystem => format!("mount the file system of {path} writable"),
        _ => format!("make {path} writable for this user"),
    })
}

/// Durability of a write after a power failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// On the disk before the call returns.
    Synced,
    /// Whole or absent after a crash, perhaps the previous content.
    Eventual,
}

/// Replaces `path` by a 0600 file with `bytes`, durably; creates its directory if need be.
///
/// # Errors
/// [`WriteError`]; the previous content is then untouched.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    write_atomic(path, bytes, Durability::Synced)
}

/// [`write_private`] with a choice of [`Durability`].
///
/// # Errors
/// As [`write_private`].
pub fn write_atomic(path: &Path, bytes: &[u8], durability: Durability) -> Result<(), WriteError> {
    let directory = parent(path)?;
    create_private_dir(directory)?;
    let fail = || WriteError::new("write", path);
    let mut file = temporary(directory).map_err(fail())?;
    // Through `as_file`: an error of the named file would show the temporary path.
    file.as_file_mut().write_all(bytes).map_err(fail())?;
    if durability == Durability::Synced {
        file.as_file().sync_all().map_err(fail())?;
    }
    platform::give_to_directory_owner(file.path());
    file.persist(path).map_err(|error| fail()(error.error))?;
    if durability == Durability::Synced {
        platform::sync_directory(directory).map_err(fail())?;
    }
    Ok(())
}

/// A temporary file, 0600, that is removed unless it is renamed.
fn temporary(directory: &Path) -> io::Result<tempfile::NamedTempFile> {
    let made = tempfile::Builder::new().prefix(".spec-kitty-").suffix(".tmp").tempfile_in(directory);
    // The error shows the temporary path, which is of no use to a reader.
    made.map_err(|error| error.kind().into())
}

/// Creates `path` as a 0700 directory, with what is missing above it, or restricts the one that is there.
///
/// # Errors
/// [`WriteError`], also when `path` is not a directory.
pub fn create_private_dir(path: &Path) -> Result<(), WriteError> {
    let fail = || WriteError::new("create the directory", path);
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => platform::restrict_owned(path, &metadata).map_err(fail()),
        Ok(_) => Err(fail()(io::Error::from(io::ErrorKind::NotADirectory))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let missing: Vec<&Path> = path.ancestors().take_while(|above| !above.exists()).collect();
            platform::create_private_dirs(path).map_err(fail())?;
            // From the top: each gets the owner of the directory that it is in.
            missing.into_iter().rev().for_each(platform::give_to_directory_owner);
            Ok(())
        }
        Err(error) => Err(fail()(error)),
    }
}

/// Creates an empty file, 0600. An existing one is left alone.
///
/// # Errors
/// The system's error.
#[allow(clippy::disallowed_methods, reason = "a new file: what is there is not opened")]
pub fn create_private_file(path: &Path) -> io::Result<()> {
    match platform::private_options().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(_) => {
            platform::give_to_directory_owner(path);
            Ok(())
        }
    }
}

/// Creates an empty file, 0600, or restricts the one that is there.
///
/// # Errors
/// The system's error.
pub fn load_private_file(path: &Path) -> io::Result<()> {
    create_private_file(path)?;
    restrict_if_present(path).map_err(|error| error.source)
}

/// Changes the owner of `path`, which this process created in the home, to that of its directory when this
/// process is root and the directory is another user's. Errors are ignored: no command depends on it.
pub fn give_to_directory_owner(path: &Path) {
    platform::give_to_directory_owner(path);
}

/// Removes the permissions of group and others from the file at `path`, if it exists.
///
/// # Errors
/// [`WriteError`].
pub fn restrict_if_present(path: &Path) -> Result<(), WriteError> {
    match fs::metadata(path) {
        Ok(metadata) => platform::restrict_owned(path, &metadata)
            .map_err(WriteError::new("restrict the permissions of", path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(WriteError::new("restrict the permissions of", path)(error)),
    }
}

/// Removes the file at `path`; returns whether it existed.
///
/// # Errors
/// [`WriteError`].
pub fn remove_file(path: &Path) -> Result<bool, WriteError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(WriteError::new("remove", path)(error)),
    }
}

fn parent(path: &Path) -> Result<&Path, WriteError> {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .ok_or_else(|| WriteError::new("write", path)(io::Error::from(io::ErrorKind::InvalidInput)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_replace_keeps_content_and_leaves_no_debris() {
        let directory = tempfile::tempdir().expect("a directory");
        let obstacle = directory.path().join("occupied");
        fs::create_dir_all(obstacle.join("inside")).expect("an obstacle");
        let error = write_private(&obstacle, b"x").expect_err("a directory in the way");
        assert!(error.to_string().contains("occupied"), "{error}");
        assert_eq!(fs::read_dir(directory.path()).expect("entries").count(), 1);
    }

    #[test]
    fn file_in_the_place_of_a_directory_is_an_error() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("file");
        fs::write(&file, "").expect("a file");
        assert!(create_private_dir(&file).is_err());
        assert!(write_private(&file.join("below"), b"x").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn files_and_directories_are_created_or_made_private() {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o7777;
        let directory = tempfile::tempdir().expect("a directory");
        let open = directory.path().join("open");
        fs::create_dir(&open).expect("a directory");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).expect("chmod");
        let path = open.join("deep").join("secret");
        write_private(&path, b"1").expect("written");
        assert_eq!((mode(&path), mode(&open.join("deep"))), (0o600, 0o700));

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
        restrict_if_present(&path).expect("restricted");
        assert_eq!(mode(&path), 0o600);

        create_private_dir(&open).expect("restricted");
        assert_eq!(mode(&open), 0o700);
        fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).expect("chmod");
        create_private_dir(&open).expect("left alone");
        assert_eq!(mode(&open), 0o1777, "a shared directory is unchanged");
    }
}
