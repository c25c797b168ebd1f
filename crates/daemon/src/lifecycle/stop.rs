//! `sync daemon stop`, and the first half of every replacement.

use crate::control::client::ControlClient;
use crate::control::file::{ControlFile, ControlFileError};
use crate::control::wire::ShutdownCause;
use crate::ownership::{Claim, hold_of, is_suspended};
use crate::platform::{self, HandleError, ProcessHandle};
use crate::reference::{self, NotStopped};
use contract::{OwnerRecord, Remedy};
use gate::OwnerReading;
use identity::Home;
use identity::lock::{LockProbe, probe};
use preflight::owner::read_record;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Time for the daemon to answer.
const ANSWER: Duration = Duration::from_secs(2);
/// Time for a daemon that agreed: its farewell and a little more.
const FAREWELL: Duration = Duration::from_secs(14);
/// Time for a daemon that got a signal and may not be able to act on it.
const SIGNALLED: Duration = Duration::from_secs(5);
/// Time for whoever holds the lock to say who it is: a daemon that starts or ends holds it without.
const NAMELESS: Duration = Duration::from_secs(2);
/// How often the lock is probed where the process cannot be watched.
const LOOK: Duration = Duration::from_millis(20);

/// How a daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It was asked over its control plane.
    Asked,
    /// It got a termination signal and ended by itself.
    Signalled,
    /// It was killed: forced, and proven ours.
    Killed,
    /// A daemon of the reference, asked over its own port.
    Reference,
}

/// How a stop ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum StopOutcome {
    /// No daemon ran.
    NotRunning,
    /// One ran, and is gone.
    Stopped {
        /// Its pid, when it was known.
        pid: Option<i64>,
        /// How it ended.
        how: Ended,
    },
}

/// Why a daemon is still there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "failure", rename_all = "snake_case")]
pub enum StopFailure {
    /// It is suspended from outside (SIGSTOP, a debugger); nothing reaches it.
    #[error("the daemon, pid {pid}, is suspended")]
    Suspended {
        /// Its pid.
        pid: i64,
    },
    /// It neither answers nor ends on a termination signal.
    #[error("the daemon, pid {pid}, neither answers nor ends")]
    Wedged {
        /// Its pid.
        pid: i64,
    },
    /// It agreed to go and is still there.
    #[error("the daemon agreed to stop and is still finishing its batch")]
    StillStopping {
        /// Its pid, when it is known.
        pid: Option<i64>,
    },
    /// The lock is held, and nothing says yet by whom.
    #[error("a daemon is starting and cannot be reached yet")]
    Starting,
    /// It does not answer, and no process is proven to be it: nobody is signalled.
    #[error(
        "somebody holds the owner lock, does not answer, and is not proven to be a daemon of ours: {detail}"
    )]
    Unproven {
        /// The pid that the files name, which proves nothing.
        pid: Option<i64>,
        /// Why it could not be asked.
        detail: String,
    },
    /// A daemon of the reference does not let itself be stopped over its port.
    #[error("the daemon of another implementation, pid {pid}, was not stopped: {detail}")]
    Reference {
        /// Its pid.
        pid: u32,
        /// Why.
        detail: String,
    },
    /// The lock cannot be probed.
    #[error("the owner lock cannot be probed: {detail}")]
    Lock {
        /// What the system said.
        detail: String,
    },
}

impl StopFailure {
    /// What helps.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Suspended { pid } => continue_or_replace(*pid),
            Self::Wedged { .. } | Self::Reference { .. } => Remedy::ForceCleanOrphans,
            Self::StillStopping { .. } | Self::Starting => {
                Remedy::Advice("wait a moment and try again".to_owned())
            }
            Self::Unproven { pid: Some(pid), .. } => {
                let command = u32::try_from(*pid).map(platform::end_command).unwrap_or_default();
                Remedy::Advice(format!("if that process is the daemon, end it with `{command}`"))
            }
            Self::Unproven { pid: None, .. } => {
                Remedy::Advice("look which process has the owner lock open, and end it".to_owned())
            }
            Self::Lock { .. } => Remedy::Repair,
        }
    }
}

/// What helps with a suspended daemon: whoever suspended it may want it back.
pub(super) fn continue_or_replace(pid: i64) -> Remedy {
    Remedy::Advice(format!(
        "continue it with `kill -CONT {pid}`, or replace it: {}",
        Remedy::ForceCleanOrphans.hint()
    ))
}

/// Stops whatever daemon runs in `home`: ours over its control plane, then by signal if it is proven ours,
/// with `force` for good; a daemon of the reference over its own port.
///
/// # Errors
/// It is still there, and why.
pub fn stop(home: &Home, cause: &ShutdownCause, force: bool) -> Result<StopOutcome, StopFailure> {
    let held = match probe(&home.owner_lock()) {
        Ok(LockProbe::Held) => true,
        Ok(LockProbe::Free) => false,
        Err(error) => return Err(StopFailure::Lock { detail: error.to_string() }),
    };
    // First the one that may refuse: whoever cannot have both gone keeps the one that serves.
    let reference = reference::observe_recorded(home).map(|reference| match reference.stop() {
        Ok(()) => Ok((Some(i64::from(reference.pid)), Ended::Reference)),
        Err(why @ (NotStopped::Mute | NotStopped::Stranger | NotStopped::Refused | NotStopped::Lingers)) => {
            Err(StopFailure::Reference { pid: reference.pid, detail: why.to_string() })
        }
    });
    let reference = reference.transpose()?;
    let ours = if held { stop_named_holder(home, cause, force)? } else { None };
    match (ours, reference) {
        (Some((pid, how)), _) | (None, Some((pid, how))) => {
            clear_leftovers(home);
            Ok(StopOutcome::Stopped { pid, how })
        }
        (None, None) => Ok(StopOutcome::NotRunning),
    }
}

/// Removes a record that a killed daemon left, under the lock. Whoever holds the lock by now has removed it
/// already; one that cannot be removed is an orphan, which every later look reports.
fn clear_leftovers(home: &Home) {
    if !matches!(read_record(&home.owner_record()), OwnerReading::Absent) {
        drop(Claim::take(home));
    }
}

type Gone = (Option<i64>, Ended);

/// Stops the holder of the lock once it can be told who that is: between taking the lock and writing record
/// and control file, and between removing them and letting go, it cannot.
fn stop_named_holder(home: &Home, cause: &ShutdownCause, force: bool) -> Result<Option<Gone>, StopFailure> {
    let deadline = Instant::now() + NAMELESS;
    loop {
        match stop_holder(home, cause, force) {
            Err(StopFailure::Starting | StopFailure::Unproven { .. }) if becomes_free(home, LOOK) => {
                return Ok(None);
            }
            Err(StopFailure::Starting | StopFailure::Unproven { .. }) if Instant::now() < deadline => {}
            settled => return settled.map(Some),
        }
    }
}

fn stop_holder(home: &Home, cause: &ShutdownCause, force: bool) -> Result<Gone, StopFailure> {
    let record = match read_record(&home.owner_record()) {
        // Lock held and a record with our keys: it is the holder's.
        OwnerReading::Readable(record) if record.instance.is_some() => Some(record),
        OwnerReading::Readable(_) | OwnerReading::Absent | OwnerReading::Unreadable(_) => None,
    };
    let handle = record.as_deref().and_then(hold_of);
    let control = ControlFile::read(&home.control_file());
    if record.is_none() && matches!(control, Ok(None)) {
        return Err(StopFailure::Starting);
    }
    let instance = control.as_ref().ok().and_then(Option::as_ref).map(|control| control.instance_id.clone());
    let (asked, named) = match &record {
        // Asked, it would only cost the patience.
        Some(record) if is_suspended(record) => (Err("it is suspended".to_owned()), Some(record.pid)),
        Some(_) | None => ask(control, cause),
    };
    // The one that answered has written its pid into the control file; a record may have been altered.
    let recorded = record.as_ref().map(|record| record.pid);
    let pid = if asked.is_ok() { named.or(recorded) } else { recorded.or(named) };
    match (asked, record.as_deref(), handle) {
        (Ok(()), _, Some(handle)) if handle.wait(FAREWELL) => Ok((pid, Ended::Asked)),
        (Ok(()), _, None) if is_left(home, instance.as_deref(), FAREWELL) => Ok((pid, Ended::Asked)),
        (_, Some(record), Some(handle)) if force => {
            kill(&handle, record)?;
            Ok((pid, Ended::Killed))
        }
        (Ok(()), _, _) => Err(StopFailure::StillStopping { pid }),
        (Err(_), Some(record), Some(_)) if is_suspended(record) => {
            Err(StopFailure::Suspended { pid: record.pid })
        }
        (Err(_), Some(record), Some(handle)) => {
            terminate(&handle, record)?;
            Ok((pid, Ended::Signalled))
        }
        // It may have ended while we looked.
        (Err(_), _, None) if becomes_free(home, LOOK) => Ok((pid, Ended::Asked)),
        (Err(detail), _, _) => Err(StopFailure::Unproven { pid, detail }),
    }
}

/// Asks over the control plane; also says which pid the control file names.
fn ask(
    control: Result<Option<ControlFile>, ControlFileError>,
    cause: &ShutdownCause,
) -> (Result<(), String>, Option<i64>) {
    let control = match control {
        Ok(Some(control)) => control,
        Ok(None) => return (Err("there is no control file".to_owned()), None),
        Err(error) => return (Err(error.to_string()), None),
    };
    let asked = ControlClient::connect(&control, ANSWER)
        .and_then(|mut client| client.shut_down(cause.clone()))
        .map(|_| ())
        .map_err(|error| error.to_string());
    (asked, Some(i64::from(control.pid)))
}

fn terminate(handle: &ProcessHandle, record: &OwnerRecord) -> Result<(), StopFailure> {
    let pid = record.pid;
    match handle.terminate() {
        Ok(()) | Err(HandleError::Gone) if handle.wait(SIGNALLED) => Ok(()),
        Ok(()) | Err(HandleError::Gone) => Err(StopFailure::Wedged { pid }),
        Err(error) => Err(StopFailure::Unproven { pid: Some(pid), detail: error.to_string() }),
    }
}

fn kill(handle: &ProcessHandle, record: &OwnerRecord) -> Result<(), StopFailure> {
    let pid = record.pid;
    match handle.kill() {
        Ok(()) | Err(HandleError::Gone) if handle.wait(SIGNALLED) => Ok(()),
        Ok(()) | Err(HandleError::Gone) => Err(StopFailure::Wedged { pid }),
        Err(error) => Err(StopFailure::Unproven { pid: Some(pid), detail: error.to_string() }),
    }
}

/// Waits at most `patience` until `instance` holds the owner lock no more, where no process can be watched:
/// the lock is free, or another run has written its control file.
fn is_left(home: &Home, instance: Option<&str>, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        let other = ControlFile::read(&home.control_file())
            .is_ok_and(|now| now.is_some_and(|now| Some(now.instance_id.as_str()) != instance));
        if other || becomes_free(home, LOOK) {
            return true;
        }
    }
    false
}

/// Waits at most `patience` for the owner lock to be free, where no process can be watched.
pub(super) fn becomes_free(home: &Home, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if matches!(probe(&home.owner_lock()), Ok(LockProbe::Free)) {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOOK);
    }
}
