//! `sync daemon start`.

use super::status::{DaemonState, observe_status};
use crate::peer_identity;
use crate::readiness::Ready;
use crate::spawn::Launcher;
use crate::start_failure::StartFailure;
use identity::Home;
use serde::Serialize;

/// Success of a start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum StartOutcome {
    /// A new daemon serves.
    Started(Ready),
    /// One runs already.
    AlreadyRunning {
        /// Its pid, if known.
        pid: Option<i64>,
        /// Its package version, if known.
        package_version: Option<String>,
        /// Whether it answered.
        state: DaemonState,
    },
}

/// Starts the daemon of `home`, unless one runs.
///
/// # Errors
/// The reason why no daemon runs: that of the new process, where it reported one.
pub fn start(home: &Home, launcher: &Launcher) -> Result<StartOutcome, StartFailure> {
    if let Some(reference) = peer_identity::observe_recorded(home) {
        return Err(StartFailure::ReferenceAlive { pid: i64::from(reference.pid) });
    }
    match launcher.start() {
        Ok(ready) => Ok(StartOutcome::Started(ready)),
        // Another daemon already runs: the request is fulfilled.
        Err(StartFailure::AlreadyRunning) => {
            let status = observe_status(home);
            if matches!(status.state, DaemonState::Suspended | DaemonState::Wedged | DaemonState::Unreadable)
            {
                return Err(StartFailure::HolderUnfit {
                    detail: status.detail.unwrap_or_default(),
                    remediation_hint: status.remedy.map(|remedy| remedy.hint()).unwrap_or_default(),
                });
            }
            Ok(StartOutcome::AlreadyRunning {
                pid: status.pid,
                package_version: status.package_version,
                state: status.state,
            })
        }
        Err(failure) => Err(failure),
    }
}
