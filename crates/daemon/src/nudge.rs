//! After a capture: nudges the daemon, starts one, or neither.
//!
//! It takes no noticeable time, and its outcome does not change the command's report on the capture: the rows
//! are durable, and any later drain sends them.

use crate::control::client::ControlClient;
use crate::control::file::{ControlFile, ControlFileError};
use crate::control::wire::{NudgeAnswer, ShutdownCause};
use crate::spawn::Launcher;
use crate::start_rate_limit::StartRateLimit;
use crate::version_order;
use identity::environment::names;
use identity::{BackgroundDaemon, Config, Environment, Home};
use jiff::Timestamp;
use serde::Serialize;
use std::cmp::Ordering;
use std::time::Duration;
use system::lock::{LockProbe, probe};

/// Time for all requests to a daemon.
const PATIENCE: Duration = Duration::from_millis(150);

/// Action taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "daemon", rename_all = "snake_case")]
pub enum FollowUp {
    /// A daemon was nudged.
    Nudged,
    /// A daemon was started.
    Spawned {
        /// Its pid.
        pid: u32,
    },
    /// An older daemon was asked to stop, and a newer one started.
    Replaced {
        /// Pid of the new one.
        pid: u32,
        /// Version of the old one.
        old_version: String,
    },
    /// A daemon runs and did not answer.
    Unanswered,
    /// No daemon runs, and none was started.
    LeftAlone {
        /// Reason.
        why: NoStartReason,
    },
}

/// Reason why no daemon was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum NoStartReason {
    /// `sync.background_daemon = "manual"`.
    Manual,
    /// A continuous integration job.
    ContinuousIntegration,
    /// `SPEC_KITTY_NO_DAEMON`.
    NoDaemon,
    /// A daemon runs this command.
    Nested,
    /// Too many starts lately.
    BudgetSpent,
    /// The lock cannot be probed, or the program cannot be started.
    Failed {
        /// The system's error.
        detail: String,
    },
}

/// Nudges the daemon of `home`, or starts one.
pub fn follow_up(
    home: &Home,
    config: &Config,
    environment: &Environment,
    launcher: &Launcher,
    own_version: &str,
) -> FollowUp {
    let no_start_reason = no_start_reason(config, environment, launcher);
    match nudge(home) {
        Some(Ok((answer, client))) => match &no_start_reason {
            None if is_newer(own_version, &answer.package_version) => {
                replace(home, launcher, own_version, answer, client)
            }
            _ if answer.accepted => FollowUp::Nudged,
            // It is shutting down; the next one waits for that.
            None => spawn(home, launcher),
            Some(_) => FollowUp::Unanswered,
        },
        Some(Err(Unreached::Refused(detail))) => {
            FollowUp::LeftAlone { why: NoStartReason::Failed { detail } }
        }
        Some(Err(Unreached::Unresponsive)) | None => match probe(&home.owner_lock()) {
            Ok(LockProbe::Held) => FollowUp::Unanswered,
            Ok(LockProbe::Free) => match no_start_reason {
                Some(why) => FollowUp::LeftAlone { why },
                None => spawn(home, launcher),
            },
            Err(error) => FollowUp::LeftAlone { why: NoStartReason::Failed { detail: error.to_string() } },
        },
    }
}

/// Setting that keeps a command of this environment from starting a daemon by itself.
fn no_start_reason(config: &Config, environment: &Environment, launcher: &Launcher) -> Option<NoStartReason> {
    let set = |name: &str| contract::switch::is_on(environment.text(name).as_deref());
    if launcher.is_nested() {
        Some(NoStartReason::Nested)
    } else if set(names::SPEC_KITTY_NO_DAEMON) {
        Some(NoStartReason::NoDaemon)
    } else if set(names::CI) {
        Some(NoStartReason::ContinuousIntegration)
    } else {
        match config.background_daemon {
            BackgroundDaemon::Manual => Some(NoStartReason::Manual),
            BackgroundDaemon::Auto => None,
        }
    }
}

/// Reason why the daemon was not nudged.
enum Unreached {
    /// It does not answer.
    Unresponsive,
    /// Nothing may be asked or started: another home shares the lock.
    Refused(String),
}

/// Tells the daemon that holds the lock of this home, if there is one. The control file of a copied home leads
/// to the daemon of the original, which is not asked.
fn nudge(home: &Home) -> Option<Result<(NudgeAnswer, ControlFile), Unreached>> {
    let control = match ControlFile::of_holder(home) {
        Ok(control) => control?,
        Err(error @ ControlFileError::SharedLock { .. }) => {
            return Some(Err(Unreached::Refused(error.to_string())));
        }
        Err(_) => return None,
    };
    let answer = ControlClient::connect(&control, PATIENCE).and_then(|mut client| client.nudge());
    Some(answer.map(|answer| (answer, control)).map_err(|_| Unreached::Unresponsive))
}

fn is_newer(ours: &str, theirs: &str) -> bool {
    version_order::compare(ours, theirs) == Some(Ordering::Greater)
}

fn replace(
    home: &Home,
    launcher: &Launcher,
    own_version: &str,
    answer: NudgeAnswer,
    control: ControlFile,
) -> FollowUp {
    if !StartRateLimit::of(&home.daemon_dir()).take(Timestamp::now()) {
        return FollowUp::Nudged;
    }
    let cause = ShutdownCause::NewerVersion { version: own_version.to_owned() };
    match ControlClient::connect(&control, PATIENCE).and_then(|mut client| client.shut_down(cause)) {
        // The new one waits for the shutdown of the old one.
        Ok(_) => match launcher.start_without_report() {
            Ok(pid) => FollowUp::Replaced { pid, old_version: answer.package_version },
            Err(failure) => {
                FollowUp::LeftAlone { why: NoStartReason::Failed { detail: failure.to_string() } }
            }
        },
        Err(_) => FollowUp::Unanswered,
    }
}

fn spawn(home: &Home, launcher: &Launcher) -> FollowUp {
    if !StartRateLimit::of(&home.daemon_dir()).take(Timestamp::now()) {
        return FollowUp::LeftAlone { why: NoStartReason::BudgetSpent };
    }
    match launcher.start_without_report() {
        Ok(pid) => FollowUp::Spawned { pid },
        Err(failure) => FollowUp::LeftAlone { why: NoStartReason::Failed { detail: failure.to_string() } },
    }
}
