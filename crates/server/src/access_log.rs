//! The access log: one JSON object per request, without secrets.
//!
//! Never written: query strings (they carry codes), header values other than the user agent, bodies.
//! A slow destination never slows a request: lines pass through a bounded channel to a separate thread,
//! and lines that do not fit are dropped and counted.

use crate::metrics::Metrics;
use axum::Extension;
use serde::Serialize;
use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Lines that may wait.
const WAITING: usize = 4096;

#[derive(Debug, Serialize)]
pub(crate) struct AccessLogLine<'a> {
    /// Arrival of the request, ISO 8601 UTC.
    pub(crate) time: String,
    pub(crate) request_id: &'a str,
    pub(crate) method: &'a str,
    /// Without query, at most 200 characters.
    pub(crate) path: &'a str,
    pub(crate) status: u16,
    /// From the arrival of the head to the head of the answer.
    pub(crate) duration_us: u64,
    pub(crate) peer: String,
    /// At most 100 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_agent: Option<String>,
    #[serde(flatten)]
    pub(crate) note: LogNote,
}

/// Fields that a handler adds, through the extensions of its answer.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct LogNote {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    /// The team of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) team: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) events: Option<EventCounts>,
    /// The error code of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refusal: Option<String>,
}

impl LogNote {
    pub(crate) fn of_account(user_id: String) -> Extension<Self> {
        Extension(Self { account: Some(user_id), ..Self::default() })
    }
}

/// Outcomes of a batch.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct EventCounts {
    pub(crate) stored: u64,
    pub(crate) duplicate: u64,
    pub(crate) rejected: u64,
}

pub(crate) struct AccessLog {
    lines: Option<SyncSender<String>>,
    thread: Option<JoinHandle<()>>,
    metrics: Arc<Metrics>,
}

impl AccessLog {
    /// Starts the thread that writes to `destination`; without one, lines are discarded.
    pub(crate) fn start(
        destination: Option<Box<dyn Write + Send>>,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let Some(mut destination) = destination else {
            return Ok(Self { lines: None, thread: None, metrics });
        };
        let (lines, waiting) = sync_channel::<String>(WAITING);
        let thread = std::thread::Builder::new().name("access-log".into()).spawn(move || {
            while let Ok(line) = waiting.recv() {
                let mut outcome = destination.write_all(line.as_bytes());
                while outcome.is_ok() {
                    match waiting.try_recv() {
                        Ok(line) => outcome = destination.write_all(line.as_bytes()),
                        Err(_) => break,
                    }
                }
                if let Err(error) = outcome.and_then(|()| destination.flush()) {
                    // The server works without its log: report once and stop writing.
                    tracing::error!(%error, "the access log cannot be written");
                    return;
                }
            }
        })?;
        Ok(Self { lines: Some(lines), thread: Some(thread), metrics })
    }

    pub(crate) fn is_on(&self) -> bool {
        self.lines.is_some()
    }

    /// Writes a line, or drops and counts it.
    pub(crate) fn write(&self, line: &AccessLogLine<'_>) {
        let Some(lines) = &self.lines else { return };
        let Ok(mut text) = serde_json::to_string(line) else { return };
        text.push('\n');
        if lines.try_send(text).is_err() {
            self.metrics.access_log_dropped.inc();
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.lines = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
