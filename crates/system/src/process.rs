//! State, arguments and termination of processes.

use crate::platform;
#[cfg(feature = "faults")]
pub use crate::platform::die;
pub use crate::platform::{
    ChildSignals, ProcessHandle, end_command, end_group, has_former_file_open, holds_lock, is_suspended,
    list_own_processes, own_group, shell,
};
use std::ffi::OsString;

/// A signal that ends a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The process may finish what it does.
    Terminate,
    /// The process ends at once.
    Kill,
}

/// Reason why a process cannot be signalled or waited for.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// It is gone.
    #[error("the process is gone")]
    Gone,
    /// This system has no way that cannot hit another process.
    #[error("this system offers no safe way to signal a process")]
    Unsupported,
    /// The system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The process that has a pid now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessState {
    /// No such process.
    Gone,
    /// A zombie: it has ended.
    Zombie,
    /// It runs.
    Alive {
        /// Start time in the system's own unit since boot (clock ticks on Linux); none where the
        /// system does not report it. Together with [`boot_id`] it distinguishes a process from a
        /// later one of the same pid.
        start_ticks: Option<u64>,
    },
}

impl ProcessState {
    /// Whether it runs.
    pub const fn is_alive(self) -> bool {
        matches!(self, Self::Alive { .. })
    }

    /// Its start time, if it runs and the system reports it.
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

/// The arguments of `pid`; none when it is gone, may not be inspected, or the system does not report them.
pub fn process_argv(pid: i64) -> Option<Vec<OsString>> {
    let pid = u32::try_from(pid).ok().filter(|pid| *pid > 0 && i32::try_from(*pid).is_ok())?;
    platform::process_argv(pid)
}

/// The value of `variable` in the environment that `pid` was started with; none when it is gone, may not be
/// inspected, or the system does not report it.
pub fn start_environment(pid: i64, variable: &str) -> Option<OsString> {
    let pid = u32::try_from(pid).ok().filter(|pid| *pid > 0 && i32::try_from(*pid).is_ok())?;
    platform::start_environment(pid, variable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_its_start_does_not_change() {
        let pid = i64::from(std::process::id());
        let first = observe_process(pid);
        assert!(first.is_alive());
        assert_eq!(first, observe_process(pid));
        if cfg!(target_os = "linux") {
            assert!(first.start_ticks().is_some_and(|ticks| ticks > 0));
            assert!(boot_id().is_some());
        }
    }

    #[test]
    fn impossible_pids_are_gone() {
        for pid in [0, -1, i64::MIN, i64::MAX, i64::from(u32::MAX), i64::from(i32::MAX) + 1] {
            assert_eq!(observe_process(pid), ProcessState::Gone, "{pid}");
            assert_eq!(process_argv(pid), None, "{pid}");
        }
    }

    #[test]
    fn first_process_of_the_system_is_alive() {
        if cfg!(unix) {
            assert!(observe_process(1).is_alive());
        }
    }

    #[cfg(unix)]
    #[test]
    fn child_is_alive_then_a_zombie_then_gone() {
        use std::io::Read;
        let mut child = std::process::Command::new("cat")
            .arg("--")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("a child");
        let pid = i64::from(child.id());
        assert!(observe_process(pid).is_alive());
        // `cat` exits at the end of its input and closes its output. At the end of that output the process is
        // exiting.
        drop(child.stdin.take());
        let mut output = child.stdout.take().expect("a pipe");
        output.read_to_end(&mut Vec::new()).expect("the end");
        let mut looks = 0;
        while observe_process(pid).is_alive() && looks < 10_000 {
            std::thread::sleep(std::time::Duration::from_millis(1));
            looks += 1;
        }
        if cfg!(any(target_os = "linux", target_os = "macos")) {
            assert_eq!(observe_process(pid), ProcessState::Zombie);
        }
        child.wait().expect("collected");
        assert_eq!(observe_process(pid), ProcessState::Gone);
    }

    #[cfg(any(target_os = "linux", target_os = "macos"))]
    #[test]
    fn arguments_are_those_it_was_called_with() {
        let mut child = std::process::Command::new("sleep").arg("600.25").spawn().expect("a child");
        // Until the new program runs, the arguments are still ours.
        let mut argv = None;
        for _ in 0..10_000 {
            argv = process_argv(i64::from(child.id()));
            if argv.as_ref().is_some_and(|argv| argv.last().is_some_and(|last| last == "600.25")) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child.kill().expect("ended");
        child.wait().expect("collected");
        assert_eq!(argv, Some(vec![OsString::from("sleep"), OsString::from("600.25")]));
    }
}
