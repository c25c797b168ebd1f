//! Processes on other Unix systems: only whether a pid exists.

use super::unix::exists;
use crate::process::ProcessState;
use std::ffi::OsString;

/// Not available on this system.
pub(crate) fn boot_id() -> Option<String> {
    None
}

/// Whether the pid exists.
pub(crate) fn process_state(pid: u32) -> ProcessState {
    exists(pid)
}

/// Not available on this system.
pub(crate) fn process_argv(_pid: u32) -> Option<Vec<OsString>> {
    None
}

/// Not available on this system.
pub(crate) fn start_environment(_pid: u32, _variable: &str) -> Option<OsString> {
    None
}

/// Every owner is known here.
pub fn is_unmapped_owner(_uid: u32) -> bool {
    false
}

/// Not available on this system.
pub fn has_fixed_modes(_path: &std::path::Path) -> bool {
    false
}
