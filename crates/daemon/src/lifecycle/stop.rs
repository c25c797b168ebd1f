//! `sync daemon stop`, and the first half of every replacement.

use crate::control::client::ControlClient;
use crate::control::file::{ControlFile, ControlFileError, describe};
use crate::control::wire::{ShutdownAnswer, ShutdownCause};
use crate::holder::{Holder, find_lock_holder};
use crate::ownership::Claim;
use crate::peer_identity::{self, NotStopped};
use contract::{Fault, OrphanKind, Remedy};
use gate::{OwnerReading, judge_orphan};
use identity::Home;
use identity::privacy::privacy_fault;
use preflight::owner::{observe_owner, observe_stray, read_record};
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use system::lock::{LockProbe, observe_lock, probe};
use system::process::{HandleError, ProcessHandle, Signal};

/// Time for the daemon to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for a daemon that agreed: its shutdown and a little more.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(14);
/// Time for a daemon that got a signal and may not be able to act on it.
const SIGNAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for the holder of the lock to write its record: a daemon that starts or ends holds it without.
const RECORD_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for a process that has released the lock to end, and for a lock to follow its process.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest time that a stop retries while other commands start daemons.
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);
/// Interval at which the lock is probed where the process cannot be watched.
const PROBE_INTERVAL: Duration = Duration::from_millis(20);

/// Way in which a daemon was ended.
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

/// Success of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum StopOutcome {
    /// No daemon ran.
    NotRunning,
    /// One ran, and is gone.
    Stopped {
        /// Its pid, when it was known.
        pid: Option<i64>,
        /// Way in which it was ended.
        how: Ended,
    },
}

/// Reason why a daemon still runs.
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
    /// It agreed to end and is still running.
    #[error("the daemon accepted the stop request and is still finishing its batch")]
    StillStopping {
        /// Its pid, when it is known.
        pid: Option<i64>,
    },
    /// The lock is held, and its holder is unknown yet.
    #[error("a daemon is starting and cannot be reached yet")]
    Starting,
    /// It does not answer, and no process is proven to be it: no process is signalled.
    #[error("the holder of the owner lock does not answer and is not the recorded process: {detail}")]
    Unproven {
        /// The process that holds the lock, where the system shows it.
        pid: Option<i64>,
        /// Failure of the request.
        detail: String,
    },
    /// One daemon is gone, and another one holds the lock.
    #[error("the daemon was stopped, and another one has started since")]
    Replaced,
    /// Several homes share the lock file by hard links: nothing tells whose daemon holds it.
    #[error("{} has {links} hard links: another home shares this lock", contract::text::path(.path))]
    SharedLock {
        /// The lock file.
        path: PathBuf,
        /// Its names.
        links: u64,
    },
    /// A daemon of the reference was not stopped over its port.
    #[error("the daemon of the Python CLI, pid {pid}, was not stopped: {detail}")]
    Reference {
        /// Its pid.
        pid: u32,
        /// The problem.
        detail: String,
    },
    /// The state directory is not private: a file in it may be another user's, and none is obeyed.
    #[error("{}", describe(.fault))]
    NotPrivate {
        /// The fault `home_not_private`.
        fault: Fault,
    },
    /// The lock cannot be probed.
    #[error("the owner lock {} cannot be probed: {detail}", contract::text::path(.path))]
    Lock {
        /// The lock.
        path: PathBuf,
        /// The system's error.
        detail: String,
    },
}

impl StopFailure {
    /// The remedy.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Suspended { pid } => continue_or_replace(*pid),
            Self::Wedged { .. } | Self::Reference { .. } => Remedy::ForceCleanOrphans,
            Self::StillStopping { .. } | Self::Starting | Self::Replaced => Remedy::Advice(
                "wait until `spec-kitty sync daemon status` shows running or stopped, then try again"
                    .to_owned(),
            ),
            Self::Unproven { pid, .. } => end_holder(pid.and_then(|pid| u32::try_from(pid).ok())),
            Self::SharedLock { path, .. } => Remedy::Advice(contract::owner_record::unlink_advice(path)),
            Self::NotPrivate { fault } => fault.remedy.clone(),
            Self::Lock { path, .. } => identity::file_remedy::repair(path),
        }
    }
}

/// The remedy for a suspended daemon: it may have been suspended on purpose.
pub(super) fn continue_or_replace(pid: i64) -> Remedy {
    Remedy::Advice(format!(
        "continue it with `kill -CONT {pid}`, or replace it: {}",
        Remedy::ForceCleanOrphans.hint()
    ))
}

/// Remedy for a holder of the lock that no command may signal.
pub(super) fn end_holder(pid: Option<u32>) -> Remedy {
    Remedy::Advice(match pid {
        Some(pid) => {
            format!("process {pid} holds the owner lock; end it with `{}`", system::process::end_command(pid))
        }
        None => {
            "end the process that has sync/daemon/owner.lock of the state directory open; `lsof` names it"
                .to_owned()
        }
    })
}

/// The process that holds the lock of `home`, where the system shows it.
pub(super) fn observe_lock_holder(home: &Home) -> Option<u32> {
    let lock = observe_lock(&home.owner_lock()).ok()??;
    find_lock_holder(lock.numbers?)
}

/// Stops the daemon in `home`. One of ours is stopped over its control plane, then by a signal if it provably holds
/// the lock, with `force` by a kill. A daemon of the reference is stopped over its own port. What a copy of another
/// home brought along is removed, and that home's daemon is left alone.
///
/// # Errors
/// The lock is still held, and why; or the home is not private.
pub fn stop(home: &Home, cause: &ShutdownCause, force: bool) -> Result<StopOutcome, StopFailure> {
    if let Some(fault) = privacy_fault(home) {
        return Err(StopFailure::NotPrivate { fault });
    }
    let held = is_held(home)?;
    // First the one that may refuse: if it stays, the daemon that serves stays too.
    let reference = peer_identity::observe_recorded(home).map(|reference| match reference.stop(home) {
        Ok(()) => Ok(Some((Some(i64::from(reference.pid)), Ended::Reference))),
        // This home is a copy.
        Err(NotStopped::OfOtherHome) => match peer_identity::remove_files_of(home, reference.pid) {
            Ok(()) => Ok(None),
            Err(error) => Err(StopFailure::Reference { pid: reference.pid, detail: error.to_string() }),
        },
        Err(
            why @ (NotStopped::Unresponsive
            | NotStopped::OtherProcess
            | NotStopped::Refused
            | NotStopped::StillRunning),
        ) => Err(StopFailure::Reference { pid: reference.pid, detail: why.to_string() }),
    });
    let reference = reference.transpose()?.flatten();
    let mut ours = if held { stop_named_holder(home, cause, force)? } else { None };
    let deadline = Instant::now() + RETRY_TIMEOUT;
    // Another starter may start one meanwhile. A restart deals with that itself.
    while *cause == ShutdownCause::Stop && ours.is_some() && is_held(home)? {
        if Instant::now() >= deadline {
            return Err(StopFailure::Replaced);
        }
        ours = stop_named_holder(home, cause, force)?.or(ours);
    }
    match (ours, reference) {
        (Some((pid, how)), _) | (None, Some((pid, how))) => {
            clear_leftovers(home);
            Ok(StopOutcome::Stopped { pid, how })
        }
        (None, None) => {
            clear_copy(home);
            Ok(StopOutcome::NotRunning)
        }
    }
}

fn is_held(home: &Home) -> Result<bool, StopFailure> {
    match observe_lock(&home.owner_lock()) {
        Ok(Some(lock)) if lock.links > 1 => {
            Err(StopFailure::SharedLock { path: home.owner_lock(), links: lock.links })
        }
        Ok(lock) => Ok(lock.is_some_and(|lock| lock.state == LockProbe::Held)),
        Err(error) => Err(StopFailure::Lock { path: home.owner_lock(), detail: error.to_string() }),
    }
}

/// Removes what a copy of another home brought along: its files name a daemon that is not this home's.
fn clear_copy(home: &Home) {
    let owner = observe_owner(home);
    let stray_is_copied = observe_stray(home, &owner).is_some_and(|stray| stray.copied);
    if judge_orphan(&owner) == Some(OrphanKind::CopiedHome) || stray_is_copied {
        drop(Claim::take(home));
    }
}

/// Removes a record that a killed daemon left, under the lock. A holder of the lock has removed it
/// already; one that cannot be removed is an orphan, which every later look reports.
fn clear_leftovers(home: &Home) {
    if !matches!(read_record(&home.owner_record()), OwnerReading::Absent) {
        drop(Claim::take(home));
    }
}

type Gone = (Option<i64>, Ended);

/// Stops the holder of the lock once it can be identified. It cannot be before it has written record and control
/// file, and after it has removed them.
fn stop_named_holder(home: &Home, cause: &ShutdownCause, force: bool) -> Result<Option<Gone>, StopFailure> {
    let deadline = Instant::now() + RECORD_TIMEOUT;
    loop {
        match stop_holder(home, cause, force) {
            Err(StopFailure::Starting | StopFailure::Unproven { .. })
                if becomes_free(home, PROBE_INTERVAL) =>
            {
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
    let control = ControlFile::of_holder(home);
    if record.is_none() && matches!(control, Ok(None)) {
        return Err(StopFailure::Starting);
    }
    let instance = control.as_ref().ok().and_then(Option::as_ref).map(|control| control.instance_id.clone());
    let proven = record.as_deref().and_then(|record| Holder::prove(home, record, None));
    let suspended = proven.as_ref().is_some_and(Holder::is_suspended);
    // A suspended daemon cannot answer; a request would only time out.
    let asked = if suspended { Err("it is suspended".to_owned()) } else { ask(control, cause) };
    let proven = proven.or_else(|| Holder::prove(home, record.as_deref()?, asked.as_ref().ok()));
    let recorded = record.as_ref().map(|record| record.pid);
    match (asked, proven) {
        (Ok(answer), Some(holder)) if holder.wait(SHUTDOWN_TIMEOUT) => {
            confirm_released(home, instance.as_deref(), i64::from(answer.pid), Ended::Asked)
        }
        (Ok(answer), None) if wait_for_release(home, instance.as_deref(), SHUTDOWN_TIMEOUT) => {
            // Not known to be the holder, so only waited for.
            if let Ok(process) = ProcessHandle::open(answer.pid) {
                let _ = process.wait(RELEASE_TIMEOUT);
            }
            Ok((Some(i64::from(answer.pid)), Ended::Asked))
        }
        (_, Some(holder)) if force => {
            end(&holder, Signal::Kill, recorded)?;
            confirm_released(home, instance.as_deref(), recorded.unwrap_or_default(), Ended::Killed)
        }
        (Ok(answer), _) => Err(StopFailure::StillStopping { pid: Some(i64::from(answer.pid)) }),
        (Err(_), Some(_)) if suspended => Err(StopFailure::Suspended { pid: recorded.unwrap_or_default() }),
        (Err(_), Some(holder)) => {
            end(&holder, Signal::Terminate, recorded)?;
            confirm_released(home, instance.as_deref(), recorded.unwrap_or_default(), Ended::Signalled)
        }
        // It may have ended while we looked.
        (Err(_), None) if becomes_free(home, PROBE_INTERVAL) => Ok((recorded, Ended::Asked)),
        (Err(detail), None) => {
            Err(StopFailure::Unproven { pid: observe_lock_holder(home).map(i64::from), detail })
        }
    }
}

/// Asks over the control plane.
fn ask(
    control: Result<Option<ControlFile>, ControlFileError>,
    cause: &ShutdownCause,
) -> Result<ShutdownAnswer, String> {
    let control = match control {
        Ok(Some(control)) => control,
        Ok(None) => return Err("there is no control file".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    ControlClient::connect(&control, ANSWER_TIMEOUT)
        .and_then(|mut client| client.shut_down(cause.clone()))
        .map_err(|error| error.to_string())
}

fn end(holder: &Holder, signal: Signal, pid: Option<i64>) -> Result<(), StopFailure> {
    match holder.signal(signal) {
        Ok(()) | Err(HandleError::Gone) if holder.wait(SIGNAL_TIMEOUT) => Ok(()),
        Ok(()) | Err(HandleError::Gone) => Err(StopFailure::Wedged { pid: pid.unwrap_or_default() }),
        Err(error) => Err(StopFailure::Unproven { pid, detail: error.to_string() }),
    }
}

/// The process is gone; a stop succeeds only when the lock is, too. A child of it may still hold it.
fn confirm_released(home: &Home, instance: Option<&str>, pid: i64, how: Ended) -> Result<Gone, StopFailure> {
    if wait_for_release(home, instance, RELEASE_TIMEOUT) {
        return Ok((Some(pid), how));
    }
    let detail = format!("process {pid} is gone, and the lock is still held");
    Err(StopFailure::Unproven { pid: observe_lock_holder(home).map(i64::from), detail })
}

/// Waits at most `patience` until `instance` holds the owner lock no more, where no process can be watched:
/// the lock is free, or another run has written its control file.
fn wait_for_release(home: &Home, instance: Option<&str>, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        let other = ControlFile::read(&home.control_file())
            .is_ok_and(|now| now.is_some_and(|now| Some(now.instance_id.as_str()) != instance));
        if other || becomes_free(home, PROBE_INTERVAL) {
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
        std::thread::sleep(PROBE_INTERVAL);
    }
}
