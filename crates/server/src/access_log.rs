//! The access log: one JSON object per request, without secrets.
//!
//! Never written: query strings (they carry codes), header values other than the user agent, bodies.
//! A slow destination never slows a request: lines go through a bounded channel to a thread of
//! their own, and what does not fit is dropped and counted.

use crate::metrics::{self, Metrics};
use serde::Serialize;
use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

/// Lines that may wait.
const WAITING: usize = 4096;

/// What one line says.
#[derive(Debug, Serialize)]
pub struct AccessLogLine<'a> {
    /// When the request arrived, ISO 8601 UTC.
    pub time: String,
    /// The request's id, as in the answer's `X-Request-Id`.
    pub request_id: &'a str,
    /// The method.
    pub method: &'a str,
    /// The path, without query, at most 200 characters.
    pub path: &'a str,
    /// The answer.
    pub status: u16,
    /// From the head's arrival to the answer's head, in microseconds.
    pub duration_us: u64,
    /// Where the request came from.
    pub peer: String,
    /// The client's own words about itself, at most 100 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The account, when the token was good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The team of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// What became of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<EventCounts>,
    /// Why the request was refused, in the words of the answer's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct EventCounts {
    /// Committed.
    pub stored: u64,
    /// Held before.
    pub duplicate: u64,
    /// Not accepted.
    pub rejected: u64,
}

/// Where lines go.
pub struct AccessLog {
    lines: Option<SyncSender<String>>,
    thread: Option<JoinHandle<()>>,
    metrics: Arc<Metrics>,
}

impl AccessLog {
    /// Starts the thread over a destination; without one, lines go nowhere.
    pub fn start(destination: Option<Box<dyn Write + Send>>, metrics: Arc<Metrics>) -> std::io::Result<Self> {
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
                    // Without its log the server still serves; say so once and stop writing.
                    tracing::error!(%error, "the access log cannot be written");
                    return;
                }
            }
        })?;
        Ok(Self { lines: Some(lines), thread: Some(thread), metrics })
    }

    /// Whether anybody reads the lines.
    pub fn is_on(&self) -> bool {
        self.lines.is_some()
    }

    /// Writes a line, or drops and counts it.
    pub fn write(&self, line: &AccessLogLine<'_>) {
        let Some(lines) = &self.lines else { return };
        let Ok(mut text) = serde_json::to_string(line) else { return };
        text.push('\n');
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = lines.try_send(text) {
            metrics::add(&self.metrics.log_lines_dropped, 1);
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
