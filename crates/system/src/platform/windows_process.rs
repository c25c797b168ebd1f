//! Processes on Windows: they are watched, and never signalled.

use crate::process::{HandleError, Signal};
use contract::FileNumbers;
use std::fs::File;
use std::io;
use std::os::windows::io::AsHandle as _;
use std::os::windows::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const DETACHED_PROCESS: u32 = 0x0000_0008;
const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;

/// Standard error is the log from the start; standard output stays the readiness pipe, which no process
/// reads any more.
pub fn point_output_at(_file: &File) {}

/// Takes standard output for another use.
///
/// # Errors
/// There is no standard output.
pub fn take_output() -> io::Result<File> {
    Ok(io::stdout().as_handle().try_clone_to_owned()?.into())
}

/// There is no session to leave.
pub fn leave_session() {}

/// Starts the process without a console, in a group of its own.
pub fn detach(command: &mut Command) {
    command.creation_flags(DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP);
}

/// Handles are inherited only when they are marked for it, and ours are not.
pub fn close_inherited() {}

/// A detached process has no console, so no control event reaches it.
///
/// # Errors
/// None.
pub fn watch_signals(_act: impl Fn(&'static str) + Send + 'static) -> io::Result<()> {
    Ok(())
}

/// A process, by its pid: it can be watched, and is never signalled.
#[derive(Debug)]
pub struct ProcessHandle {
    pid: u32,
}

impl ProcessHandle {
    /// Opens a handle to the process that has `pid` now.
    ///
    /// # Errors
    /// There is no such process.
    pub fn open(pid: u32) -> Result<Self, HandleError> {
        if crate::process::observe_process(i64::from(pid)).is_alive() {
            Ok(Self { pid })
        } else {
            Err(HandleError::Gone)
        }
    }

    /// Not available on this system.
    ///
    /// # Errors
    /// Always [`HandleError::Unsupported`].
    pub fn signal(&self, _signal: Signal) -> Result<(), HandleError> {
        Err(HandleError::Unsupported)
    }

    /// Waits at most `patience` for it to end; true when it has.
    pub fn wait(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while crate::process::observe_process(i64::from(self.pid)).is_alive() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }
}

/// Not available on this system.
pub fn is_suspended(_pid: u32) -> Option<bool> {
    None
}

/// Not available on this system without a helper process.
pub fn list_own_processes() -> Vec<u32> {
    Vec::new()
}

/// Not available on this system.
pub fn holds_lock(_pid: u32, _numbers: FileNumbers) -> Option<bool> {
    None
}

/// Not available on this system.
pub fn has_former_file_open(_pid: u32, _path: &Path) -> bool {
    false
}

/// The command that ends `pid`.
pub fn end_command(pid: u32) -> String {
    format!("taskkill /PID {pid} /F")
}

/// Not needed on this system.
pub fn release_code() {}

/// A command line for the system's shell.
pub fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    shell.arg("/C").arg(command);
    shell
}

/// Without process groups, what the shell starts may outlive it.
pub fn own_group(_command: &mut Command) {}

/// Ends a child and waits for it. It may have ended already.
pub fn end_group(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Ends this process without any of its cleanup running.
#[cfg(feature = "faults")]
pub fn die() -> ! {
    std::process::abort()
}

/// No effect: the Windows console signals parent and child.
#[derive(Debug)]
pub struct ChildSignals;

impl ChildSignals {
    /// No effect on this system.
    ///
    /// # Errors
    /// None.
    pub fn catch() -> io::Result<Self> {
        Ok(Self)
    }

    /// Waits for the child.
    ///
    /// # Errors
    /// The child cannot be waited for.
    pub fn wait(self, child: &mut Child, _by_terminal: bool) -> io::Result<std::process::ExitStatus> {
        child.wait()
    }
}
