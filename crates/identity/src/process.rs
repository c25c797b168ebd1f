//! Whether a process lives, and what it is. Observes; never signals.

use crate::platform;
use std::ffi::OsString;

/// What a pid stands for right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessState {
    /// No such process.
    Gone,
    /// It ended and nobody has collected it: as good as gone.
    Zombie,
    /// It runs.
    Alive {
        /// Start time in the system's own unit since boot (clock ticks on Linux); none where the
        /// system does not tell us. Together with [`boot_id`] it tells a process from a later one of
        /// the same pid.
        start_ticks: Option<u64>,
    },
}

impl ProcessState {
    /// Whether it runs.
    pub const fn is_alive(self) -> bool {
        matches!(self, Self::Alive { .. })
    }

    /// Its start time, if it runs and the system tells.
    pub const fn start_ticks(self) -> Option<u64> {
        match self {
            Self::Alive { start_ticks } => start_ticks,
            Self::Gone | Self::Zombie => None,
        }
    }
}

/// The state of `pid`. Zero, negative and impossible pids are gone; a process that may not be
/// inspected is alive.
pub fn observe_process(pid: i64) -> ProcessState {
    match u32::try_from(pid) {
        Ok(pid) if pid > 0 && i32::try_from(pid).is_ok() => platform::process_state(pid),
        _ => ProcessState::Gone,
    }
}

/// An id of this boot of the machine; none where the system has none.
pub fn boot_id() -> Option<String> {
    platform::boot_id()
}

/// The arguments of `pid`; none when it is gone, may not be inspected, or the system does not tell.
pub fn process_argv(pid: i64) -> Option<Vec<OsString>> {
    let pid = u32::try_from(pid).ok().filter(|pid| *pid > 0 && i32::try_from(*pid).is_ok())?;
    platform::process_argv(pid)
}
