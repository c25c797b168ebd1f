//! Starting a daemon process: this program again, detached from its starter.
//!
//! Standard input is null, standard output is the readiness pipe (or null without a reader), standard
//! error is the log. The new process leaves the session, closes what it inherited and changes directory by
//! itself (`Startup::spawned`), so nothing here needs to run between fork and exec.

use crate::daemon_log;
use crate::readiness::{self, Ready, ReportReceived, StartReport};
use crate::start_failure::StartFailure;
use identity::{Environment, Home};
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Set in the environment of every spawned daemon and of whatever it might start: a daemon never starts
/// another one.
const NESTED_VARIABLE: &str = "SPEC_KITTY_DAEMON";

/// Longest time for a new daemon to become ready.
const READY_PATIENCE: Duration = Duration::from_secs(20);

/// Starter of daemons of one home.
#[derive(Clone, Debug)]
pub struct Launcher {
    executable: PathBuf,
    arguments: Vec<OsString>,
    home: Home,
    nested: bool,
}

impl Launcher {
    /// Starts `executable` (this program) with `sync daemon run --spawned`.
    pub fn new(executable: PathBuf, home: &Home, environment: &Environment) -> Self {
        let arguments = ["sync", "daemon", "run", "--spawned"].map(OsString::from).to_vec();
        let nested = environment.get(NESTED_VARIABLE).is_some();
        Self { executable, arguments, home: home.clone(), nested }
    }

    /// Whether a daemon is running this command.
    pub(crate) fn is_nested(&self) -> bool {
        self.nested
    }

    /// Starts a daemon and waits for its start report.
    ///
    /// # Errors
    /// The daemon's own reason, or why it could not give one.
    pub fn start(&self) -> Result<Ready, StartFailure> {
        let mut child = self.spawn(Stdio::piped())?;
        let pid = child.id();
        let log = self.home.daemon_log();
        let Some(pipe) = child.stdout.take() else { return Err(StartFailure::EndedSilently { log }) };
        match readiness::listen(pipe, READY_PATIENCE) {
            ReportReceived::Report(StartReport::Ready(ready)) => Ok(ready),
            ReportReceived::Report(StartReport::Failed(failure)) => {
                collect(child);
                Err(failure)
            }
            ReportReceived::Silence => {
                collect(child);
                Err(StartFailure::EndedSilently { log })
            }
            ReportReceived::Nothing => Err(StartFailure::NotReadyYet { pid, log }),
        }
    }

    /// Starts a daemon and does not wait: its log has the outcome.
    ///
    /// # Errors
    /// The program could not be started.
    pub(crate) fn start_without_report(&self) -> Result<u32, StartFailure> {
        Ok(self.spawn(Stdio::null())?.id())
    }

    fn spawn(&self, output: Stdio) -> Result<Child, StartFailure> {
        if self.nested {
            return Err(StartFailure::Nested);
        }
        let mut command = Command::new(&self.executable);
        command
            .args(&self.arguments)
            .env(NESTED_VARIABLE, "1")
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(self.log());
        system::detached::detach(&mut command);
        command.spawn().map_err(|error| StartFailure::NotExecuted {
            executable: self.executable.clone(),
            detail: error.to_string(),
        })
    }

    /// The log, if its directory is there already: a start that is refused creates nothing. The daemon
    /// itself opens it later in any case.
    fn log(&self) -> Stdio {
        let log = self.home.daemon_log();
        let opened = if self.home.daemon_dir().is_dir() {
            daemon_log::open_for_appending(&log)
        } else {
            Err(io::ErrorKind::NotFound.into())
        };
        opened.map_or_else(|_| Stdio::null(), Stdio::from)
    }
}

/// Collects an ended child. One that still runs is left to the system.
fn collect(mut child: Child) {
    if let Ok(handle) = system::process::ProcessHandle::open(child.id()) {
        handle.wait(Duration::from_secs(1));
    }
    let _ = child.try_wait();
}
