//! The documents of the control plane: JSON objects. Both sides ignore unknown keys, so a later release may add
//! some.

use crate::drain::DrainOutcome;
use contract::FileNumbers;
use serde::{Deserialize, Serialize};

/// Version of these documents; a client of another one still understands `shutdown`.
pub const PROTOCOL: u32 = 1;

/// `GET`, open: answers that a process listens, and, to a nonce, a proof that it is the daemon. Nothing else: no
/// pid, no version, no path.
pub const HEALTH: &str = "/v1/health";
/// `GET`: a [`StatusReport`].
pub(crate) const STATUS: &str = "/v1/status";
/// `POST`: rows were captured; answered by a [`NudgeAnswer`] at once.
pub(crate) const NUDGE: &str = "/v1/nudge";
/// `POST` of a [`DrainRequest`]: drain and wait; answered by a [`DrainAnswer`].
pub(crate) const DRAIN: &str = "/v1/drain";
/// `POST` of a [`ShutdownRequest`]: the daemon ends after its batch; answered at once.
pub(crate) const SHUTDOWN: &str = "/v1/shutdown";

/// Answer to [`HEALTH`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthAnswer {
    /// `ok`.
    pub status: String,
    /// [`PROTOCOL`] of the daemon.
    pub protocol: u32,
    /// The daemon's answer to the client's nonce.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proof: Option<String>,
}

/// Phase of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waiting for a nudge or the next sweep.
    Idle,
    /// A drain is running.
    Draining,
    /// Ending after the current batch.
    Stopping,
}

/// A drain that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainRecord {
    /// End, UTC.
    pub finished_at: String,
    /// Outcome.
    pub outcome: DrainOutcome,
}

/// Answer to `STATUS`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// ULID of this daemon run.
    pub instance_id: String,
    /// Process id.
    pub pid: u32,
    /// Package version of the daemon.
    pub package_version: String,
    /// Start, UTC.
    pub started_at: String,
    /// Whole seconds since then, by the monotonic clock.
    pub uptime_seconds: u64,
    /// Its phase.
    pub phase: Phase,
    /// Drains so far.
    pub drains: u64,
    /// The last drain.
    pub last_drain: Option<DrainRecord>,
    /// Whole seconds since something was captured or delivered.
    pub quiet_seconds: u64,
    /// The owner lock file that it holds; none from releases that did not report it.
    #[serde(flatten, default)]
    pub lock: Option<FileNumbers>,
}

/// Answer to `NUDGE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NudgeAnswer {
    /// Whether a drain will follow; false while the daemon is stopping.
    pub accepted: bool,
    /// The answering daemon run.
    pub instance_id: String,
    /// Its package version.
    pub package_version: String,
}

/// Body of `DRAIN`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainRequest {
    /// Time to wait for the end of the drain, in milliseconds; at most `MAX_DRAIN_WAIT_MS`.
    #[serde(default)]
    pub wait_ms: u64,
}

/// The longest wait of one [`DRAIN`] request.
pub(crate) const MAX_DRAIN_WAIT_MS: u64 = 60_000;

/// Answer to `DRAIN`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainAnswer {
    /// Whether a drain that began after the request has ended.
    pub finished: bool,
    /// Its outcome.
    pub outcome: Option<DrainOutcome>,
}

/// Body of `SHUTDOWN`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShutdownRequest {
    /// The cause.
    #[serde(flatten)]
    pub cause: ShutdownCause,
}

/// Cause of a shutdown request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum ShutdownCause {
    /// A person stopped it.
    Stop,
    /// A person replaces it.
    Restart,
    /// A newer release takes its place by itself.
    NewerVersion {
        /// The version that takes over.
        version: String,
    },
    /// Another daemon holds the owner lock of this home.
    Superseded,
}

/// Answer to `SHUTDOWN`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShutdownAnswer {
    /// The daemon to stop.
    pub instance_id: String,
    /// Its process id.
    pub pid: u32,
    /// The owner lock file that it holds; none from releases that did not report it.
    #[serde(flatten, default)]
    pub lock: Option<FileNumbers>,
}
