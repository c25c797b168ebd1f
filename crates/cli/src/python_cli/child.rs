//! The Python CLI as a child: it has our streams, our terminal and our directory, and its end is ours.

use super::DEPTH;
use crate::error::CliError;
use crate::render;
use identity::environment::names;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::{Command, ExitStatus};

/// End of a child process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChildEnd(ExitStatus);

impl ChildEnd {
    /// Whether it ended with 0.
    pub(crate) fn is_success(self) -> bool {
        self.0.success()
    }

    /// The exit code of this process: the child's. A child that a signal ended ends this process by the same one.
    pub(crate) fn code(self) -> std::process::ExitCode {
        #[cfg(unix)]
        if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&self.0) {
            // Does not return where the signal ends a process.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
            return u8::try_from(128 + signal).unwrap_or(u8::MAX).into();
        }
        // Windows has codes beyond a byte; none of them is 0.
        let code = self.0.code().unwrap_or(1);
        u8::try_from(code).unwrap_or(u8::MAX).into()
    }
}

/// Whether a terminal may send its signals to the child as well.
fn has_terminal() -> bool {
    std::io::stdin().is_terminal() || render::stdout_is_terminal() || render::stderr_is_terminal()
}

/// Runs the program to its end. Hosted sync is off in it: what it writes is captured here.
pub(super) fn run(program: &Path, arguments: &[OsString], depth: &str) -> Result<ChildEnd, CliError> {
    let mut command = Command::new(program);
    command.args(arguments).env(DEPTH, depth).env(contract::switch::VARIABLE, "0");
    for secret in [names::SPEC_KITTY_TOKEN, names::SPEC_KITTY_TOKEN_FILE] {
        command.env_remove(secret);
    }
    let failed = |error: std::io::Error| {
        CliError::failed(
            "PYTHON_CLI_FAILED",
            format!("cannot run {}: {error}", contract::text::path(program)),
        )
    };
    let signals = system::process::ChildSignals::catch().map_err(failed)?;
    let mut child = command.spawn().map_err(failed)?;
    Ok(ChildEnd(signals.wait(&mut child, has_terminal()).map_err(failed)?))
}
