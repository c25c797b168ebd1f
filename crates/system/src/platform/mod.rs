//! What differs between operating systems, and nothing else: the one module where `unsafe` is allowed, with its
//! reason on each block. Every function is total: it answers, or reports that the system does not tell. What is
//! `pub` here is exported by the module that owns it.

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
