//! Running one check: by the system's shell, in a process group of its own, its output straight into
//! files.

use super::plan::Check;
use crate::error::{MissionError, Result};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use system::process::{end_group, own_group, shell};
use system::shared_file::temporary_in;
use tempfile::NamedTempFile;

/// The largest output, stdout and stderr each.
pub(crate) const MAX_OUTPUT: u64 = 64 << 20;
/// Interval at which a running check is polled.
const LOOK: Duration = Duration::from_millis(20);
/// Variables that a check must not see: its output is kept and shown.
const SECRETS: [&str; 2] = ["SPEC_KITTY_TOKEN", "SPEC_KITTY_TOKEN_FILE"];

/// End of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With this exit status.
    Exited(i32),
    /// By a signal, or in a way that the system does not report.
    Killed,
    /// It took too long and was ended.
    TimedOut,
    /// Its output was too large and it was ended.
    OutputTooLarge,
}

/// A check that was run. Its outputs lie beside those they replace and are removed when it is dropped, unless
/// [`CheckRun::keep`] was called.
#[derive(Debug)]
pub struct CheckRun {
    /// End of the process.
    pub ending: Ending,
    /// Duration.
    pub took: Duration,
    out: Output,
    err: Output,
}

impl CheckRun {
    /// Temporary paths of stdout and stderr, until they are kept.
    pub fn outputs(&self) -> (&Path, &Path) {
        (self.out.file.path(), self.err.file.path())
    }

    /// Puts the outputs where they belong.
    pub fn keep(self) -> Result<()> {
        self.out.keep()?;
        self.err.keep()
    }
}

/// Runs `check` in `root`, its output beside `stdout` and `stderr`. What lies there stays; ending the
/// check is all that happens when it is `interrupted`.
pub fn run(
    check: &Check,
    root: &Path,
    (stdout, stderr): (&Path, &Path),
    interrupted: &dyn Fn() -> bool,
) -> Result<CheckRun> {
    let (out, err) = (Output::beside(stdout)?, Output::beside(stderr)?);
    let mut command = shell(&check.command);
    for secret in SECRETS {
        command.env_remove(secret);
    }
    own_group(&mut command);
    let started = Instant::now();
    let mut child = command
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(out.handle()?)
        .stderr(err.handle()?)
        .spawn()
        .map_err(MissionError::io("run a shell in", root))?;
    let ending = watch(&mut child, check, started, &[out.file.as_file(), err.file.as_file()], interrupted);
    // Whatever it left behind in its group ends with it.
    end_group(&mut child);
    let ending = ending.map_err(MissionError::io("wait for a check in", root))?;
    let ending = ending.ok_or_else(|| MissionError::Interrupted { what: format!("check `{}`", check.id) })?;
    Ok(CheckRun { ending, took: started.elapsed(), out, err })
}

/// An output that is being written, beside the one it replaces.
#[derive(Debug)]
struct Output {
    file: NamedTempFile,
    path: PathBuf,
}

impl Output {
    fn beside(path: &Path) -> Result<Self> {
        let directory = path.parent().unwrap_or(Path::new("."));
        let file = temporary_in(directory);
        Ok(Self { file: file.map_err(MissionError::io("write", path))?, path: path.to_owned() })
    }

    fn handle(&self) -> Result<File> {
        self.file.as_file().try_clone().map_err(MissionError::io("write", &self.path))
    }

    fn keep(self) -> Result<()> {
        let synced = self.file.as_file().sync_all();
        synced
            .and_then(|()| self.file.persist(&self.path).map(drop).map_err(|error| error.error))
            .map_err(MissionError::io("write", &self.path))
    }
}

/// Waits for the check, and returns how it ended; nothing when it was interrupted.
fn watch(
    child: &mut Child,
    check: &Check,
    started: Instant,
    outputs: &[&File],
    interrupted: &dyn Fn() -> bool,
) -> std::io::Result<Option<Ending>> {
    loop {
        if interrupted() {
            return Ok(None);
        }
        if let Some(status) = child.try_wait()? {
            return Ok(Some(ended(status)));
        }
        if started.elapsed() >= check.patience() {
            return Ok(Some(Ending::TimedOut));
        }
        for output in outputs {
            if output.metadata()?.len() > MAX_OUTPUT {
                return Ok(Some(Ending::OutputTooLarge));
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
            Self::Killed | Self::TimedOut | Self::OutputTooLarge => None,
        }
    }

    /// Description for people.
    pub fn describe(self) -> String {
        match self {
            Self::Exited(code) => format!("exit {code}"),
            Self::Killed => "ended by a signal".into(),
            Self::TimedOut => "ended: it took longer than its timeout".into(),
            Self::OutputTooLarge => format!("ended: its output was larger than {MAX_OUTPUT} bytes"),
        }
    }
}
