//! Identity and modes of a file, and its path as bytes.

pub use crate::platform::{
    copy_mode, file_identity, has_fixed_modes, is_mounted_read_only, is_unmapped_owner, is_world_writable,
    mode, owner, path_bytes, path_from_bytes, plain_path, read_start, sync_directory,
};
use std::time::SystemTime;

/// Identity of a file, which changes when another file replaces it at its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    /// Device and inode; zeros where reading them requires an open file.
    pub place: (u64, u64),
    /// Size in bytes.
    pub size: u64,
    /// Last modification, if the system reports it.
    pub modified: Option<SystemTime>,
}
