//! Windows.

use super::{FileIdentity, HandleError, Signal};
use crate::holder::Proof;
use contract::FileNumbers;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::windows::io::AsHandle as _;
use std::os::windows::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const DETACHED_PROCESS: u32 = 0x0000_0008;
const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;

/// Files in the profile belong to their user already.
pub(crate) fn private(_options: &mut OpenOptions) {}

/// What tells this file from another one at the same path.
pub(crate) fn file_identity(metadata: &Metadata) -> FileIdentity {
    FileIdentity { place: (0, 0), size: metadata.len(), modified: metadata.modified().ok() }
}

/// Standard error is the log from the start; standard output stays the readiness pipe, which no process
/// reads any more.
pub(crate) fn point_output_at(_file: &File) {}

/// Takes standard output for another use.
pub(crate) fn take_output() -> io::Result<File> {
    Ok(io::stdout().as_handle().try_clone_to_owned()?.into())
}

/// There is no session to leave.
pub(crate) fn leave_session() {}

/// Starts the process without a console, in a group of its own.
pub(crate) fn detach(command: &mut Command) {
    command.creation_flags(DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP);
}

/// Handles are inherited only when they are marked for it, and ours are not.
pub(crate) fn close_inherited() {}

/// A detached process has no console, so no control event reaches it.
pub(crate) fn watch_signals(_act: impl Fn(&'static str) + Send + 'static) -> io::Result<()> {
    Ok(())
}

/// A process, by its pid: it can be watched, and is never signalled.
#[derive(Debug)]
pub(crate) struct ProcessHandle {
    pid: u32,
}

impl ProcessHandle {
    /// Opens a handle to the process that has `pid` now.
    pub(crate) fn open(pid: u32) -> Result<Self, HandleError> {
        if identity::process::observe_process(i64::from(pid)).is_alive() {
            Ok(Self { pid })
        } else {
            Err(HandleError::Gone)
        }
    }

    /// Not here.
    pub(crate) fn signal(&self, _signal: Signal, _proof: &Proof) -> Result<(), HandleError> {
        Err(HandleError::Unsupported)
    }

    /// Waits at most `patience` for it to end; true when it has.
    pub(crate) fn wait(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while identity::process::observe_process(i64::from(self.pid)).is_alive() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }
}

/// This system does not tell.
pub(crate) fn is_suspended(_pid: u32) -> Option<bool> {
    None
}

/// This system does not tell without a helper process.
pub(crate) fn list_own_processes() -> Vec<u32> {
    Vec::new()
}

/// This system does not tell.
pub(crate) fn holds_lock(_pid: u32, _numbers: FileNumbers) -> Option<bool> {
    None
}

/// This system does not tell.
pub(crate) fn has_former_file_open(_pid: u32, _path: &Path) -> bool {
    false
}

/// The command with which a person ends `pid`.
pub(crate) fn end_command(pid: u32) -> String {
    format!("taskkill /PID {pid} /F")
}

/// The system takes back what it needs by itself.
pub(crate) fn release_code() {}
