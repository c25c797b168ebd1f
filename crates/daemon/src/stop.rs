//! Reasons why daemons ended, and the list of past ends that `sync daemon status` shows.
//!
//! The list is in `stops.json` beside the owner record: the last [`KEPT`] stops, oldest first. A daemon
//! writes its own end; a daemon that was killed cannot, so its successor writes it from the record it left.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use system::bounded_read::read_bounded;
use system::private_file::{self, WriteError};

/// Ends that are kept.
pub const KEPT: usize = 8;
const MAX_BYTES: u64 = 64 * 1024;

/// Reason why a daemon ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum StopReason {
    /// A person stopped it.
    Stopped,
    /// A person replaced it.
    Restarted,
    /// A signal.
    Signal {
        /// Its name.
        signal: String,
    },
    /// A newer release took its place by itself.
    NewerVersion {
        /// The version that took over.
        version: String,
    },
    /// The owner lock file at its path is no longer the one it held.
    Superseded,
    /// Its home vanished.
    HomeVanished,
    /// Its executable was replaced or removed.
    ExecutableReplaced,
    /// The login on disk names another scope.
    ScopeChanged {
        /// The scope on disk now; none when logged out.
        now: Option<String>,
    },
    /// Nothing was pending and no request arrived for a while.
    Idle,
    /// Its draining step failed for good.
    Broken {
        /// Description.
        detail: String,
    },
    /// It ended without a record; its successor recorded it.
    Killed,
    /// A release that we do not know wrote another reason.
    #[serde(other)]
    Other,
}

impl StopReason {
    /// Whether a service manager should run the daemon again: no stop was requested. A daemon
    /// that took its place may retire for idleness; a foreground daemon does not.
    pub fn should_restart(&self) -> bool {
        match self {
            Self::Restarted
            | Self::NewerVersion { .. }
            | Self::Superseded
            | Self::ExecutableReplaced
            | Self::ScopeChanged { .. }
            | Self::Broken { .. }
            | Self::Killed
            | Self::Other => true,
            Self::Stopped | Self::Signal { .. } | Self::HomeVanished | Self::Idle => false,
        }
    }

    /// One clause: `the daemon ended because ...`.
    pub fn because(&self) -> String {
        match self {
            Self::Stopped => "it was stopped".to_owned(),
            Self::Restarted => "it was replaced by an explicit restart".to_owned(),
            Self::Signal { signal } => format!("it got the signal {signal}"),
            Self::NewerVersion { version } => format!("version {version} took its place"),
            Self::Superseded => "its owner lock file was replaced".to_owned(),
            Self::HomeVanished => "its home vanished".to_owned(),
            Self::ExecutableReplaced => "its executable was replaced or removed".to_owned(),
            Self::ScopeChanged { now: Some(scope) } => format!("the login on disk became {scope}"),
            Self::ScopeChanged { now: None } => "the login on disk was removed".to_owned(),
            Self::Idle => "it was idle: nothing was pending and no request arrived".to_owned(),
            Self::Broken { detail } => format!("it failed: {detail}"),
            Self::Killed => "it was killed, or the machine went down".to_owned(),
            Self::Other => "of an unknown reason recorded by another release".to_owned(),
        }
    }
}

/// One daemon run that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// ULID of the run.
    pub instance_id: String,
    /// Its process id.
    pub pid: i64,
    /// Its package version.
    pub package_version: String,
    /// Start, UTC.
    pub started_at: String,
    /// End, or the time at which it was found dead, UTC.
    pub stopped_at: String,
    /// Reason.
    #[serde(flatten)]
    pub why: StopReason,
}

/// The list of ends of one home.
#[derive(Clone, Debug)]
pub struct StopHistory {
    path: PathBuf,
}

impl StopHistory {
    /// The list kept in `daemon_dir`.
    pub fn of(daemon_dir: &Path) -> Self {
        Self { path: daemon_dir.join("stops.json") }
    }

    /// The ends, oldest first. An unreadable list is an empty one: it explains, and decides nothing.
    pub fn read(&self) -> Vec<Stop> {
        let bytes = match read_bounded(&self.path, MAX_BYTES) {
            Ok(Some(file)) => file.bytes,
            Ok(None) | Err(_) => return Vec::new(),
        };
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Adds an end, unless the same run already has one. Called under the owner lock.
    ///
    /// # Errors
    /// The list could not be written.
    pub fn append(&self, stop: Stop) -> Result<(), WriteError> {
        let mut stops = self.read();
        if stops.iter().any(|old| old.instance_id == stop.instance_id) {
            return Ok(());
        }
        stops.push(stop);
        let surplus = stops.len().saturating_sub(KEPT);
        stops.drain(..surplus);
        // Strings and numbers always serialise.
        let mut bytes = serde_json::to_vec_pretty(&stops).unwrap_or_default();
        bytes.push(b'\n');
        private_file::write_private(&self.path, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stop(instance: usize, why: StopReason) -> Stop {
        Stop {
            instance_id: format!("01K{instance}"),
            pid: 7,
            package_version: "3.3.0".into(),
            started_at: "2026-11-22T08:00:00+00:00".into(),
            stopped_at: "2026-11-22T09:00:00+00:00".into(),
            why,
        }
    }

    #[test]
    fn last_eight_ends_are_kept_each_run_once() {
        let home = tempfile::tempdir().expect("a directory");
        let history = StopHistory::of(home.path());
        assert!(history.read().is_empty());
        for instance in 0..10 {
            history.append(stop(instance, StopReason::Idle)).expect("written");
            history.append(stop(instance, StopReason::Killed)).expect("written");
        }
        let stops = history.read();
        assert_eq!(stops.len(), KEPT);
        assert_eq!(stops.first().map(|stop| stop.instance_id.as_str()), Some("01K2"));
        assert!(stops.iter().all(|stop| stop.why == StopReason::Idle), "the first record of a run counts");
    }

    #[test]
    fn stop_reasons_round_trip_and_have_text() {
        let reasons = [
            StopReason::Stopped,
            StopReason::Restarted,
            StopReason::Signal { signal: "SIGTERM".into() },
            StopReason::NewerVersion { version: "4.0.0".into() },
            StopReason::Superseded,
            StopReason::HomeVanished,
            StopReason::ExecutableReplaced,
            StopReason::ScopeChanged { now: None },
            StopReason::ScopeChanged { now: Some("s|u|t".into()) },
            StopReason::Idle,
            StopReason::Broken { detail: "no thread".into() },
            StopReason::Killed,
        ];
        for why in reasons {
            let text = serde_json::to_string(&stop(1, why.clone())).expect("json");
            assert_eq!(serde_json::from_str::<Stop>(&text).expect("a stop").why, why, "{text}");
            assert!(!why.because().is_empty());
        }
    }

    #[test]
    fn damaged_list_is_an_empty_one_and_is_replaced() {
        let home = tempfile::tempdir().expect("a directory");
        let history = StopHistory::of(home.path());
        for content in ["", "{}", "[{\"instance_id\":1}]", "\u{0}"] {
            std::fs::write(home.path().join("stops.json"), content).expect("written");
            assert!(history.read().is_empty(), "{content:?}");
        }
        history.append(stop(1, StopReason::Idle)).expect("written");
        assert_eq!(history.read().len(), 1);
    }
}
