//! Code that differs between operating systems: the only module where `unsafe` is allowed, with a reason on
//! each block. Every function is total: a value that a system does not report is `None`. `pub` items are
//! exported by the module that owns them.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as processes;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
use macos as processes;
#[cfg(all(unix, not(any(target_os = "linux", target_os = "macos"))))]
mod other_unix;
#[cfg(all(unix, not(any(target_os = "linux", target_os = "macos"))))]
use other_unix as processes;

#[cfg(all(unix, feature = "simulation"))]
mod sqlite_files;
#[cfg(all(unix, feature = "simulation"))]
pub(crate) use sqlite_files::observe_sqlite_files;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::*;
#[cfg(unix)]
mod unix_process;
#[cfg(unix)]
pub use unix_process::*;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::*;
#[cfg(windows)]
mod windows_process;
#[cfg(windows)]
pub use windows_process::*;

#[cfg(unix)]
pub(crate) use processes::{boot_id, process_argv, process_state, start_environment};
#[cfg(unix)]
pub use processes::{has_fixed_modes, is_unmapped_owner};

/// Write access of this user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(windows, allow(dead_code, reason = "other systems report more"))]
pub(crate) enum Access {
    /// Writable.
    Allowed,
    /// The file system is mounted read-only.
    ReadOnly,
    /// Refused by the permission bits.
    Denied {
        /// The permission bits.
        mode: u32,
    },
}

/// Free space of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    /// Bytes that this user may still write.
    pub(crate) free: u64,
    /// Bytes altogether.
    pub(crate) size: u64,
    /// Free inodes.
    pub(crate) free_inodes: u64,
    /// Inodes altogether; zero where the file system has no limit.
    pub(crate) inodes: u64,
}
