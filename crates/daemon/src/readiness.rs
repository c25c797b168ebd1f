//! Start report of a new daemon to its starter.
//!
//! A spawned daemon inherits a pipe as its standard output. When it is ready or has failed, it writes one line
//! of JSON there and closes the pipe. The end of the process also closes it, so the starter needs no polling.

use crate::start_failure::StartFailure;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// A daemon that is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Its process id.
    pub pid: u32,
    /// Port of its control plane.
    pub port: u16,
    /// ULID of the run.
    pub instance_id: String,
    /// Its package version.
    pub package_version: String,
}

/// The report of a new daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartReport {
    /// It serves.
    Ready(Ready),
    /// It ends.
    Failed(StartFailure),
}

/// Result of waiting for a start report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportReceived {
    /// A report.
    Report(StartReport),
    /// The pipe was closed without one.
    Silence,
    /// Nothing yet.
    Nothing,
}

/// A longer report is invalid.
const MAX_BYTES: u64 = 16 * 1024;

/// The daemon's end of the pipe.
#[derive(Debug)]
pub struct Reporter(Option<File>);

impl Reporter {
    /// A reporter without a receiver: the daemon runs in the foreground.
    pub fn silent() -> Self {
        Self(None)
    }

    /// Takes the pipe from standard output, which then needs another target.
    ///
    /// # Errors
    /// There is no standard output.
    pub(crate) fn from_output() -> io::Result<Self> {
        Ok(Self(Some(system::detached::take_output()?)))
    }

    /// Sends the message and closes the pipe. A missing reader is no error.
    pub fn send(self, report: &StartReport) {
        if let Some(mut pipe) = self.0 {
            // A report of strings and numbers always serialises.
            let mut line = serde_json::to_vec(report).unwrap_or_default();
            line.push(b'\n');
            let _ = pipe.write_all(&line);
        }
    }
}

/// Listens at `pipe` for at most `patience`.
pub fn listen(pipe: impl Read + Send + 'static, patience: Duration) -> ReportReceived {
    let (sender, receiver) = mpsc::channel();
    let listener = thread::Builder::new().name("readiness".to_owned()).spawn(move || {
        let mut line = Vec::new();
        // A broken pipe is silence like a closed one.
        let _ = BufReader::new(pipe.take(MAX_BYTES)).read_until(b'\n', &mut line);
        let _ = sender.send(line);
    });
    if listener.is_err() {
        return ReportReceived::Nothing;
    }
    match receiver.recv_timeout(patience) {
        Ok(line) => serde_json::from_slice(&line).map_or(ReportReceived::Silence, ReportReceived::Report),
        Err(mpsc::RecvTimeoutError::Timeout) => ReportReceived::Nothing,
        Err(mpsc::RecvTimeoutError::Disconnected) => ReportReceived::Silence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_message_is_received_and_others_ignored() {
        let ready = StartReport::Ready(Ready {
            pid: 7,
            port: 50_000,
            instance_id: "01K".into(),
            package_version: "3".into(),
        });
        let failed = StartReport::Failed(StartFailure::ReferenceAlive { pid: 9 });
        for report in [ready, failed] {
            let mut line = serde_json::to_vec(&report).expect("json");
            line.extend_from_slice(b"\nmore noise");
            assert_eq!(listen(io::Cursor::new(line), Duration::from_secs(5)), ReportReceived::Report(report));
        }
        for noise in ["", "\n", "hello\n", "{\"ready\":{}}\n", "{\"ready\":"] {
            assert_eq!(
                listen(io::Cursor::new(noise), Duration::from_secs(5)),
                ReportReceived::Silence,
                "{noise:?}"
            );
        }
        assert_eq!(listen(io::repeat(b'x'), Duration::from_secs(5)), ReportReceived::Silence);
    }

    #[test]
    fn silent_pipe_is_not_waited_for() {
        let (reader, _writer) = io::pipe().expect("a pipe");
        assert_eq!(listen(reader, Duration::from_millis(10)), ReportReceived::Nothing);
    }
}
