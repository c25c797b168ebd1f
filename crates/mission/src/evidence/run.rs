//! Running one check: by the system's shell, in a process group of its own, its output straight into
//! files.

use super::plan::Check;
use crate::error::{MissionError, Result};
use crate::platform::{end_group, own_group, shell};
use std::fs::File;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The largest output, stdout and stderr each.
pub const MAX_OUTPUT: u64 = 64 << 20;
/// How often a running check is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// What a check must not see: its output is kept and shown.
const SECRETS: [&str; 2] = ["SPEC_KITTY_TOKEN", "SPEC_KITTY_TOKEN_FILE"];

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With this exit status.
    Exited(i32),
    /// By a signal, or in a way the system does not tell.
    Killed,
    /// It took too long and was ended.
    TimedOut,
    /// It said too much and was ended.
    TooLoud,
}

/// Runs `check` in `root`, its output into `stdout` and `stderr`.
pub fn run(check: &Check, root: &Path, stdout: &Path, stderr: &Path) -> Result<(Ending, Duration)> {
    let open = |path: &Path| File::create(path).map_err(MissionError::io("write", path));
    let (out, err) = (open(stdout)?, open(stderr)?);
    let mut command = shell(&check.command);
    for secret in SECRETS {
        command.env_remove(secret);
    }
    own_group(&mut command);
    let started = Instant::now();
    let mut child = command
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(out.try_clone().map_err(MissionError::io("write", stdout))?)
        .stderr(err.try_clone().map_err(MissionError::io("write", stderr))?)
        .spawn()
        .map_err(MissionError::io("run a shell in", root))?;
    let ending = watch(&mut child, check, started, &[&out, &err]);
    // Whatever it left behind in its group ends with it.
    end_group(&mut child);
    let ending = ending.map_err(MissionError::io("wait for a check in", root))?;
    for (file, path) in [(&out, stdout), (&err, stderr)] {
        file.sync_all().map_err(MissionError::io("write", path))?;
    }
    Ok((ending, started.elapsed()))
}

fn watch(child: &mut Child, check: &Check, started: Instant, outputs: &[&File]) -> std::io::Result<Ending> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(ended(status));
        }
        if started.elapsed() >= check.patience() {
            return Ok(Ending::TimedOut);
        }
        for output in outputs {
            if output.metadata()?.len() > MAX_OUTPUT {
                return Ok(Ending::TooLoud);
            }
        }
        std::thread::sleep(LOOK);
    }
}

fn ended(status: ExitStatus) -> Ending {
    status.code().map_or(Ending::Killed, Ending::Exited)
}

impl Ending {
    /// The exit status, when there is one.
    pub const fn code(self) -> Option<i32> {
        match self {
            Self::Exited(code) => Some(code),
            Self::Killed | Self::TimedOut | Self::TooLoud => None,
        }
    }

    /// How it ended, for people.
    pub fn describe(self) -> String {
        match self {
            Self::Exited(code) => format!("exit {code}"),
            Self::Killed => "ended by a signal".into(),
            Self::TimedOut => "ended: it took longer than its timeout".into(),
            Self::TooLoud => format!("ended: its output was larger than {MAX_OUTPUT} bytes"),
        }
    }
}
