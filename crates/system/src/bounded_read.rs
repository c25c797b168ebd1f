//! Bounded reads of regular files: one open, a size limit, no waiting on pipes.

use crate::platform;
use std::io::{self, Read};
use std::path::Path;

/// A file as it was when it was opened.
#[derive(Clone, PartialEq, Eq)]
pub struct BoundedFile {
    /// Its content.
    pub bytes: Vec<u8>,
    /// Whether its mode grants anything to group or others; false where modes do not exist.
    pub shared: bool,
    /// Its permission bits; 0 where modes do not exist.
    pub mode: u32,
}

/// Reason why an existing file cannot be read. The caller adds the path.
#[derive(Debug, thiserror::Error)]
pub enum BoundedReadError {
    /// A directory, a pipe, a socket or a device.
    #[error("is {0}, not a file")]
    NotAFile(&'static str),
    /// Larger than the limit.
    #[error("has {size} bytes; at most {limit} are read")]
    TooLarge {
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A symbolic link whose target does not exist.
    #[error("is a symbolic link to something that does not exist")]
    Dangling,
    /// The system refused.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Reads `path`, at most `limit` bytes. `Ok(None)` for an absent file.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Option<BoundedFile>, BoundedReadError> {
    let mut file = match platform::open_for_reading(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A file that another process has created since is no link, and was absent.
            let dangles = path.symlink_metadata().is_ok_and(|facts| facts.is_symlink());
            return if dangles { Err(BoundedReadError::Dangling) } else { Ok(None) };
        }
        // On Windows the error of opening a directory does not name the cause.
        Err(_) if path.is_dir() => return Err(BoundedReadError::NotAFile("a directory")),
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(BoundedReadError::NotAFile(if metadata.is_dir() { "a directory" } else { "a device" }));
    }
    if metadata.len() > limit {
        return Err(BoundedReadError::TooLarge { size: metadata.len(), limit });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    file.by_ref().take(limit + 1).read_to_end(&mut bytes)?;
    let size = bytes.len() as u64;
    if size > limit {
        return Err(BoundedReadError::TooLarge { size, limit });
    }
    let mode = platform::permission_bits(&metadata);
    Ok(Some(BoundedFile { bytes, shared: mode & 0o077 != 0, mode }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn file_at_the_limit_is_read_and_one_byte_more_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        fs::write(&path, [7; 100]).expect("a file");
        assert_eq!(read_bounded(&path, 100).expect("readable").expect("a file").bytes, [7; 100]);
        let error = read_bounded(&path, 99).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("has 100 bytes; at most 99 are read"));
    }

    #[test]
    fn absent_file_is_none_and_other_faults_are_named() {
        let directory = tempfile::tempdir().expect("a directory");
        assert!(read_bounded(&directory.path().join("absent"), 1).expect("no error").is_none());
        assert!(matches!(read_bounded(directory.path(), 1), Err(BoundedReadError::NotAFile("a directory"))));
        let file = directory.path().join("file");
        fs::write(&file, "").expect("a file");
        assert!(read_bounded(&file.join("below"), 1).is_err() || cfg!(windows));
    }

    /// Files of the kernel have no size until they are read.
    #[cfg(target_os = "linux")]
    #[test]
    fn file_with_unknown_size_is_bounded() {
        let read = |limit| read_bounded(Path::new("/proc/self/maps"), limit);
        assert!(matches!(read(10), Err(BoundedReadError::TooLarge { limit: 10, .. })));
        assert!(read(1 << 24).expect("readable").is_some_and(|file| !file.bytes.is_empty()));
    }

    #[cfg(unix)]
    #[test]
    fn dangling_link_is_an_error() {
        let directory = tempfile::tempdir().expect("a directory");
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).expect("a link");
        assert!(matches!(read_bounded(&link, 1), Err(BoundedReadError::Dangling)));
    }
}
