//! `doctor restart-daemon`: replaces the daemon by one with the identity of this command.

use super::stop::{StopFailure, StopOutcome, stop};
use crate::control::wire::ShutdownCause;
use crate::readiness::Ready;
use crate::spawn::Launcher;
use crate::start_failure::StartFailure;
use contract::Remedy;
use gate::OwnerReading;
use identity::lock::{LockProbe, probe};
use identity::{Config, Environment, Home, read_login};
use preflight::owner::read_record;
use serde::Serialize;

/// How a restart ended well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestartOutcome {
    /// What became of the old daemon.
    pub stopped: StopOutcome,
    /// The new daemon.
    pub started: Option<Ready>,
    /// Why there is no new one.
    pub idle: Option<Idle>,
}

/// Why a daemon would have nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Idle {
    /// Hosted sync is switched off.
    SwitchedOff,
    /// Nobody is logged in.
    LoggedOut,
}

/// The closed list of reasons of a failed restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartReason {
    /// No daemon runs and none left a record.
    NothingToRestart,
    /// The old one is gone and no new one came.
    RespawnFailed,
    /// The old one is still there.
    StopFailed,
}

/// Why a restart failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{detail}")]
pub struct RestartFailure {
    /// Which of the three.
    pub reason: RestartReason,
    /// What happened, in one sentence.
    pub detail: String,
    /// What helps.
    #[serde(serialize_with = "hint")]
    pub remedy: Option<Remedy>,
}

fn hint<S: serde::Serializer>(remedy: &Option<Remedy>, serializer: S) -> Result<S::Ok, S::Error> {
    match remedy {
        Some(remedy) => serializer.serialize_some(&remedy.hint()),
        None => serializer.serialize_none(),
    }
}

impl From<StartFailure> for RestartFailure {
    fn from(failure: StartFailure) -> Self {
        Self { reason: RestartReason::RespawnFailed, detail: failure.to_string(), remedy: failure.remedy() }
    }
}

impl From<StopFailure> for RestartFailure {
    fn from(failure: StopFailure) -> Self {
        let remedy = Some(failure.remedy());
        Self { reason: RestartReason::StopFailed, detail: failure.to_string(), remedy }
    }
}

/// Replaces the daemon of `home`, up or down. With `force` one that does not end is killed, if it is
/// proven ours.
///
/// # Errors
/// See [`RestartReason`].
pub fn restart(
    home: &Home,
    environment: &Environment,
    launcher: &Launcher,
    force: bool,
) -> Result<RestartOutcome, RestartFailure> {
    if launcher.is_nested() {
        return Err(StartFailure::Nested.into());
    }
    let lock_is_free = matches!(probe(&home.owner_lock()), Ok(LockProbe::Free));
    let leftovers = match read_record(&home.owner_record()) {
        OwnerReading::Readable(_) => true,
        OwnerReading::Absent | OwnerReading::Unreadable(_) => false,
    };
    if lock_is_free && !leftovers {
        return Err(nothing_to_restart(home));
    }
    // An unreadable login is no reason to take away the daemon that still holds its own.
    let idle = read_idle(home, environment)?;
    let stopped = stop(home, &ShutdownCause::Restart, force)?;
    if idle.is_some() {
        return match stopped {
            StopOutcome::NotRunning => Err(nothing_to_restart(home)),
            StopOutcome::Stopped { .. } => Ok(RestartOutcome { stopped, started: None, idle }),
        };
    }
    match launcher.start() {
        Ok(ready) => Ok(RestartOutcome { stopped, started: Some(ready), idle }),
        // Another command's daemon slipped in between; it may have another identity than ours.
        Err(StartFailure::AlreadyRunning) => {
            let again = stop(home, &ShutdownCause::Restart, force)?;
            let stopped = if stopped == StopOutcome::NotRunning { again } else { stopped };
            Ok(RestartOutcome { stopped, started: Some(launcher.start()?), idle })
        }
        Err(failure) => Err(failure.into()),
    }
}

fn nothing_to_restart(home: &Home) -> RestartFailure {
    let (detail, remedy) = match read_record(&home.owner_record()) {
        OwnerReading::Absent => ("no daemon runs".to_owned(), Some(Remedy::StartDaemon)),
        OwnerReading::Readable(_) => {
            ("no daemon runs; the owner record is an orphan".to_owned(), Some(Remedy::CleanOrphans))
        }
        OwnerReading::Unreadable(why) => {
            (format!("no daemon runs; the owner record {why}"), Some(Remedy::Repair))
        }
    };
    RestartFailure { reason: RestartReason::NothingToRestart, detail, remedy }
}

/// Why a new daemon would have nothing to do; nothing when it would have something.
fn read_idle(home: &Home, environment: &Environment) -> Result<Option<Idle>, StartFailure> {
    if !environment.sync_enabled() {
        return Ok(Some(Idle::SwitchedOff));
    }
    let config = Config::read(home).map_err(|fault| StartFailure::from(&fault))?;
    let login = read_login(home, &config, environment);
    match login.faults.first() {
        Some(fault) => Err(fault.into()),
        None => Ok(login.scope.is_none().then_some(Idle::LoggedOut)),
    }
}
