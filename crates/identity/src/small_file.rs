//! Reading files that may be malformed, huge, or no files at all: one open, a size limit, no hang on
//! a pipe, and an error that says what is wrong.

use crate::platform;
use std::io::{self, Read};
use std::path::Path;

/// A file as it was when it was opened.
#[derive(Clone, PartialEq, Eq)]
pub struct SmallFile {
    /// Its content.
    pub bytes: Vec<u8>,
    /// Whether its mode grants anything to group or others; false where modes do not exist.
    pub shared: bool,
    /// Its permission bits; 0 where modes do not exist.
    pub mode: u32,
}

/// Why a file that exists cannot be read. The texts name no path: the caller knows it.
#[derive(Debug, thiserror::Error)]
pub enum SmallFileError {
    /// A directory, a pipe, a socket or a device.
    #[error("is {0}, not a file")]
    NotAFile(&'static str),
    /// More bytes than such a file ever has.
    #[error("has {size} bytes; at most {limit} are read")]
    TooLarge {
        /// Its size.
        size: u64,
        /// What is read at most.
        limit: u64,
    },
    /// A symbolic link whose target does not exist.
    #[error("is a symbolic link to something that does not exist")]
    Dangling,
    /// The system refused.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Reads `path`, at most `limit` bytes. `Ok(None)` when nothing is there.
pub fn read_small_file(path: &Path, limit: u64) -> Result<Option<SmallFile>, SmallFileError> {
    let mut file = match platform::open_for_reading(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return if path.symlink_metadata().is_ok() { Err(SmallFileError::Dangling) } else { Ok(None) };
        }
        // Windows refuses to open a directory, with an error that does not say so.
        Err(_) if path.is_dir() => return Err(SmallFileError::NotAFile("a directory")),
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(SmallFileError::NotAFile(if metadata.is_dir() { "a directory" } else { "a device" }));
    }
    if metadata.len() > limit {
        return Err(SmallFileError::TooLarge { size: metadata.len(), limit });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    file.by_ref().take(limit + 1).read_to_end(&mut bytes)?;
    let size = bytes.len() as u64;
    if size > limit {
        return Err(SmallFileError::TooLarge { size, limit });
    }
    let mode = platform::permission_bits(&metadata);
    Ok(Some(SmallFile { bytes, shared: mode & 0o077 != 0, mode }))
}
