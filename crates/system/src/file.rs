//! What identifies a file, its modes, and its path as bytes.

pub use crate::platform::{
    copy_mode, file_identity, has_fixed_modes, is_mounted_read_only, is_unmapped_owner, is_world_writable,
    mode, owner, path_bytes, path_from_bytes, plain_path, read_start, sync_directory,
};
use std::time::SystemTime;

/// Tells one file from another one at the same path: a replacement changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    /// Device and inode; zeros where the system does not tell without opening the file.
    pub place: (u64, u64),
    /// Size in bytes.
    pub size: u64,
    /// Last modification, as far as the system tells.
    pub modified: Option<SystemTime>,
}
