//! `doctor restart-daemon`: replaces the daemon by one with the identity of this command.

use super::status::hint;
use super::stop::{StopFailure, StopOutcome, stop};
use crate::control::wire::ShutdownCause;
use crate::readiness::Ready;
use crate::spawn::Launcher;
use crate::start_failure::StartFailure;
use crate::stop::{Stop, StopHistory, StopReason};
use contract::Remedy;
use gate::OwnerReading;
use identity::privacy::privacy_fault;
use identity::{AuthAbsence, Config, Environment, Home, read_any_login, read_login, read_switch};
use jiff::{SignedDuration, Timestamp};
use preflight::owner::read_record;
use serde::Serialize;
use std::time::{Duration, Instant};
use system::lock::{LockProbe, probe};

/// Success of a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestartOutcome {
    /// Outcome of the old daemon.
    pub stopped: StopOutcome,
    /// The new daemon.
    pub started: Option<Ready>,
    /// Reason why there is no new one.
    pub idle: Option<Idle>,
}

/// Reason why a daemon would have nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Idle {
    /// Hosted sync is switched off.
    SwitchedOff,
    /// Not logged in.
    LoggedOut,
    /// The login has expired.
    LoginExpired,
    /// Only credentials of an old release are there.
    CredentialsOnly,
    /// The login has no private teamspace.
    NoPrivateTeam,
}

impl Idle {
    /// Failure of a start, as text.
    pub fn detail(self) -> String {
        self.failure(&Remedy::Login).to_string()
    }

    /// Failure of a start; `login` is the remedy of a missing login.
    pub fn failure(self, login: &Remedy) -> StartFailure {
        let remediation_hint = login.hint();
        match self {
            Self::SwitchedOff => StartFailure::SwitchOff,
            Self::LoggedOut => StartFailure::NoLogin { remediation_hint },
            Self::LoginExpired => StartFailure::LoginExpired { remediation_hint },
            Self::CredentialsOnly => StartFailure::CredentialsOnly { remediation_hint },
            Self::NoPrivateTeam => StartFailure::NoPrivateTeam { remediation_hint },
        }
    }
}

impl From<AuthAbsence> for Idle {
    fn from(absence: AuthAbsence) -> Self {
        match absence {
            AuthAbsence::LoggedOut | AuthAbsence::TokenUnreadable | AuthAbsence::Unreadable => {
                Self::LoggedOut
            }
            AuthAbsence::Expired { .. } => Self::LoginExpired,
            AuthAbsence::CredentialsOnly => Self::CredentialsOnly,
            AuthAbsence::NoPrivateTeam => Self::NoPrivateTeam,
        }
    }
}

/// Longest time that one restart gives way to others which replace the daemon at the same time.
const CROWD_PATIENCE: Duration = Duration::from_secs(30);
/// Longest time between the end of a restarted daemon and the start of its successor.
const BETWEEN: SignedDuration = SignedDuration::from_secs(20);

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

/// Failure of a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{detail}")]
pub struct RestartFailure {
    /// One of the three reasons.
    pub reason: RestartReason,
    /// Description, in one sentence.
    pub detail: String,
    /// The remedy.
    #[serde(serialize_with = "hint")]
    pub remedy: Option<Remedy>,
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
    if let Some(fault) = privacy_fault(home) {
        return Err(StopFailure::NotPrivate { fault }.into());
    }
    let lock_is_free = matches!(probe(&home.owner_lock()), Ok(LockProbe::Free));
    let leftovers = match read_record(&home.owner_record()) {
        OwnerReading::Readable(_) => true,
        OwnerReading::Absent | OwnerReading::Unreadable(_) => false,
    };
    let idle = read_idle(home, environment);
    if lock_is_free && !leftovers && !is_between(home) {
        return Err(nothing_to_restart(home, environment, idle));
    }
    // An unreadable login is no reason to take away the daemon that still holds its own.
    let idle = idle?;
    let stopped = stop(home, &ShutdownCause::Restart, force)?;
    if idle.is_some() {
        return match stopped {
            StopOutcome::NotRunning => Err(nothing_to_restart(home, environment, Ok(idle))),
            StopOutcome::Stopped { .. } => Ok(RestartOutcome { stopped, started: None, idle }),
        };
    }
    start_in_place(home, launcher, force, stopped)
}

/// Starts a daemon; one that another command starts at the same time may have another identity, so it is
/// replaced too. Each of a crowd gets its turn, because every round one of them succeeds.
fn start_in_place(
    home: &Home,
    launcher: &Launcher,
    force: bool,
    mut stopped: StopOutcome,
) -> Result<RestartOutcome, RestartFailure> {
    let deadline = Instant::now() + CROWD_PATIENCE;
    loop {
        match launcher.start() {
            Ok(ready) => return Ok(RestartOutcome { stopped, started: Some(ready), idle: None }),
            Err(StartFailure::AlreadyRunning) if Instant::now() < deadline => {
                let again = stop(home, &ShutdownCause::Restart, force)?;
                if stopped == StopOutcome::NotRunning {
                    stopped = again;
                }
            }
            Err(failure) => return Err(failure.into()),
        }
    }
}

/// Whether another restart has just stopped the daemon and its new one is not there yet.
fn is_between(home: &Home) -> bool {
    let stops = StopHistory::of(&home.daemon_dir()).read();
    let Some(Stop { why: StopReason::Restarted, stopped_at, .. }) = stops.last() else { return false };
    stopped_at.parse::<Timestamp>().is_ok_and(|at| Timestamp::now().duration_since(at).abs() <= BETWEEN)
}

/// `idle` decides what helps: a start that would be refused is not named.
fn nothing_to_restart(
    home: &Home,
    environment: &Environment,
    idle: Result<Option<Idle>, StartFailure>,
) -> RestartFailure {
    let login = || read_any_login(home, environment).remedy();
    let (detail, remedy) = match read_record(&home.owner_record()) {
        OwnerReading::Absent => match idle.map(|idle| idle.map(|idle| idle.failure(&login()))) {
            Ok(None) => ("no daemon runs".to_owned(), Some(Remedy::StartDaemon)),
            Ok(Some(failure)) | Err(failure) => {
                (format!("no daemon runs, and none could start: {failure}"), failure.remedy())
            }
        },
        OwnerReading::Readable(_) => {
            ("no daemon runs; the owner record is an orphan".to_owned(), Some(Remedy::CleanOrphans))
        }
        OwnerReading::Unreadable(why) => (
            format!("no daemon runs; the owner record {why}"),
            Some(identity::file_remedy::repair(&home.owner_record())),
        ),
    };
    RestartFailure { reason: RestartReason::NothingToRestart, detail, remedy }
}

/// Reason why a new daemon would have nothing to do; nothing when it would have something.
fn read_idle(home: &Home, environment: &Environment) -> Result<Option<Idle>, StartFailure> {
    if !read_switch(environment, Some(home)).on {
        return Ok(Some(Idle::SwitchedOff));
    }
    let config = Config::read(home).map_err(|fault| StartFailure::from(&fault))?;
    let login = read_login(home, &config, environment);
    match login.faults.first() {
        Some(fault) => Err(fault.into()),
        None => Ok(login.absence.map(Idle::from)),
    }
}
