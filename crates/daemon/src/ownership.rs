//! Being the daemon of a home: the lock, the record and the control file, taken and given back together.
//!
//! Order, and what each step makes true (contract section 2):
//! 1. the owner lock is taken: at most one process passes;
//! 2. the old record is removed: from now on "lock held + a record with our keys" can only mean us;
//! 3. the old process is waited for: nobody of this home is still finishing a batch;
//! 4. the control file and then our own record are written, once the control plane listens;
//! 5. at the end record and control file are removed, if they are still ours, and the lock goes with the
//!    process.
//!
//! A kill at any point leaves a record that is an orphan by the free lock, or no record.

use crate::control::client::ControlClient;
use crate::control::file::{ControlFile, ControlFileError};
use crate::control::proof::ControlToken;
use crate::control::wire::ShutdownCause;
use crate::platform::{self, HandleError, ProcessHandle};
use crate::record::{self, RunFacts};
use crate::stop::{Stop, StopHistory, StopReason};
use contract::OwnerRecord;
use fs_err as fs;
use gate::OwnerReading;
use identity::Home;
use identity::aside::move_aside;
use identity::lock::{FileLock, LockError};
use identity::private_file::{WriteError, create_private_dir};
use identity::process::{self, ProcessState};
use jiff::Timestamp;
use preflight::owner::{is_other_program, read_record};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// How long a starter tries for the lock: longer than any probe looks.
const LOCK_PATIENCE: Duration = Duration::from_millis(100);
/// How long a starter waits for its predecessor's process: longer than its farewell.
const PREDECESSOR_PATIENCE: Duration = Duration::from_secs(15);

/// Why this process cannot become the daemon.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// Another daemon holds the lock.
    #[error("a daemon of this home runs already")]
    Held,
    /// A daemon of the reference runs in this home.
    #[error("a daemon of another implementation runs in this home, pid {pid}")]
    ReferenceAlive {
        /// Its pid.
        pid: i64,
    },
    /// The previous daemon gave up the lock file and does not end.
    #[error("the previous daemon, pid {pid}, does not end")]
    PredecessorAlive {
        /// Its pid.
        pid: i64,
    },
    /// The directory of the daemon could not be made.
    #[error(transparent)]
    Directory(#[from] WriteError),
    /// The lock file could not be opened or locked.
    #[error("cannot lock {}: {source}", contract::text::path(.path))]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What an earlier daemon left could not be removed.
    #[error("cannot clear what an earlier daemon left: {0}")]
    Clear(#[from] io::Error),
}

/// The owner lock of a home, with everything an earlier daemon left cleared away.
#[derive(Debug)]
pub struct Claim {
    lock: FileLock,
    home: Home,
}

/// Why record and control file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The record.
    #[error(transparent)]
    Record(#[from] WriteError),
    /// The control file.
    #[error(transparent)]
    Control(#[from] ControlFileError),
}

/// The daemon of a home.
#[derive(Debug)]
pub struct Ownership {
    lock: FileLock,
    home: Home,
    facts: RunFacts,
    control: ControlFile,
    record: OwnerRecord,
}

/// What the self check of an owner found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The lock file at its path is the one that is held.
    Owner,
    /// It is another one, or none: somebody else may be the daemon.
    Superseded,
    /// The whole home is gone.
    HomeVanished,
}

impl Claim {
    /// Takes the owner lock of `home` and clears away what an earlier daemon left.
    ///
    /// # Errors
    /// See [`TakeError`]. After an error the lock is free again, and a record that still means something
    /// stands where it stood.
    pub fn take(home: &Home) -> Result<Self, TakeError> {
        create_private_dir(&home.daemon_dir())?;
        let lock = match FileLock::acquire(&home.owner_lock(), LOCK_PATIENCE, "the owner lock") {
            Ok(lock) => lock,
            Err(LockError::Busy { .. }) => return Err(TakeError::Held),
            Err(LockError::Io { path, source }) => return Err(TakeError::Lock { path, source }),
        };
        let claim = Self { lock, home: home.clone() };
        claim.clear_record(PREDECESSOR_PATIENCE)?;
        Ok(claim)
    }

    fn clear_record(&self, patience: Duration) -> Result<(), TakeError> {
        let path = self.home.owner_record();
        match read_record(&path) {
            OwnerReading::Absent => Ok(()),
            OwnerReading::Unreadable(_) => {
                move_aside(&path).map_err(|error| TakeError::Clear(error.source))?;
                Ok(())
            }
            OwnerReading::Readable(record) if record.instance.is_none() => {
                if is_other_program(record.pid) {
                    // The daemon is gone, and its pid somebody else's.
                    move_aside(&path).map_err(|error| TakeError::Clear(error.source))?;
                    return Ok(());
                }
                let alive =
                    process::observe_process(record.pid).is_alive() && record.executable_path.exists();
                if alive {
                    return Err(TakeError::ReferenceAlive { pid: record.pid });
                }
                Ok(fs::remove_file(&path)?)
            }
            OwnerReading::Readable(record) => {
                fs::remove_file(&path)?;
                self.outlive(&record, patience).inspect_err(|_| {
                    // It lives and has no other record. Ours is not written yet, so nobody is misled.
                    let _ = record::write(&path, &record);
                })
            }
        }
    }

    /// Waits for the process of an old record of ours, and notes how it ended if it could not.
    fn outlive(&self, record: &OwnerRecord, patience: Duration) -> Result<(), TakeError> {
        let mut why = StopReason::Killed;
        if let Some(handle) = hold_of(record) {
            // It holds a lock file that is no longer at its path, or it is just ending.
            if self.ask_to_go(record) {
                why = StopReason::Superseded;
            }
            if !handle.wait(patience) {
                return Err(TakeError::PredecessorAlive { pid: record.pid });
            }
        }
        if let Some(instance) = &record.instance {
            // The list explains and decides nothing; a full disk is reported by the record's write.
            let _ = StopHistory::of(&self.home.daemon_dir()).append(Stop {
                instance_id: instance.instance_id.clone(),
                pid: record.pid,
                package_version: record.package_version.clone(),
                started_at: record.started_at.clone(),
                stopped_at: record::timestamp(Timestamp::now()),
                why,
            });
            ControlFile::remove_own(&self.home.control_file(), &instance.instance_id);
        }
        Ok(())
    }

    /// Whether it agreed. A daemon that does not listen is waited for all the same.
    fn ask_to_go(&self, record: &OwnerRecord) -> bool {
        let instance = record.instance.as_ref().map(|instance| instance.instance_id.as_str());
        if let Ok(Some(control)) = ControlFile::read(&self.home.control_file())
            && Some(control.instance_id.as_str()) == instance
            && let Ok(mut client) = ControlClient::connect(&control, Duration::from_secs(1))
        {
            return client.shut_down(ShutdownCause::Superseded).is_ok();
        }
        false
    }

    /// Writes control file and record: from here on everybody sees the daemon.
    ///
    /// # Errors
    /// One of the two could not be written; neither stays behind.
    pub fn publish(self, facts: RunFacts, port: u16, token: ControlToken) -> Result<Ownership, PublishError> {
        let control =
            ControlFile { instance_id: facts.instance_id.clone(), pid: facts.foreground.pid, port, token };
        let record = facts.record(port);
        let ownership = Ownership { lock: self.lock, home: self.home, facts, control, record };
        match ownership.write_missing(true) {
            Ok(()) => Ok(ownership),
            Err(error) => {
                ownership.remove_files();
                Err(error)
            }
        }
    }
}

impl Ownership {
    /// The facts of this run.
    pub fn facts(&self) -> &RunFacts {
        &self.facts
    }

    /// The port of the control plane.
    pub fn port(&self) -> u16 {
        self.control.port
    }

    /// Whether this process still is the daemon of its home. Looks, changes nothing.
    pub fn observe_standing(&self) -> Standing {
        if self.lock.still_names() {
            Standing::Owner
        } else if self.home.root().exists() {
            Standing::Superseded
        } else {
            Standing::HomeVanished
        }
    }

    /// Writes a record or control file that somebody removed. An altered one stays: the gate reports it,
    /// and a person decides.
    ///
    /// # Errors
    /// One of them could not be written.
    pub fn restore_missing(&self) -> Result<(), PublishError> {
        self.write_missing(false)
    }

    /// Notes the id of the queue DB that this daemon drains, once, and writes it into the record, unless
    /// somebody altered that one meanwhile.
    ///
    /// # Errors
    /// The record could not be written.
    pub fn learn_queue_id(&mut self, queue_id: String) -> Result<(), PublishError> {
        if self.facts.queue_id.is_some() {
            return Ok(());
        }
        self.facts.queue_id = Some(queue_id);
        let path = self.home.owner_record();
        let written = std::mem::replace(&mut self.record, self.facts.record(self.control.port));
        let unaltered = matches!(read_record(&path), OwnerReading::Readable(found) if *found == written);
        if unaltered {
            record::write(&path, &self.record)?;
        }
        Ok(())
    }

    fn write_missing(&self, all: bool) -> Result<(), PublishError> {
        let absent = |path: &PathBuf| {
            path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        let (control, record) = (self.home.control_file(), self.home.owner_record());
        if all || absent(&control) {
            self.control.write(&control)?;
        }
        if all || absent(&record) {
            record::write(&record, &self.record)?;
        }
        Ok(())
    }

    /// Gives the home back: notes why, removes record and control file if they are ours, frees the lock.
    /// Where the lock file was replaced this happens under the new one, if nobody holds it; where somebody
    /// does, or the home is gone, nothing is touched.
    pub fn release(self, why: StopReason) -> Stop {
        let stop = Stop {
            instance_id: self.facts.instance_id.clone(),
            pid: i64::from(self.facts.foreground.pid),
            package_version: self.facts.foreground.package_version.clone(),
            started_at: self.facts.started_at.clone(),
            stopped_at: record::timestamp(Timestamp::now()),
            why,
        };
        let successor_lock = match self.observe_standing() {
            Standing::Owner => None,
            Standing::Superseded if self.home.daemon_dir().is_dir() => {
                match FileLock::acquire(&self.home.owner_lock(), Duration::ZERO, "the owner lock") {
                    Ok(lock) => Some(lock),
                    Err(_) => return stop,
                }
            }
            Standing::Superseded | Standing::HomeVanished => return stop,
        };
        // Before the record: once it is gone the end is explained.
        let _ = StopHistory::of(&self.home.daemon_dir()).append(stop.clone());
        self.remove_files();
        drop(successor_lock);
        stop
    }

    fn remove_files(&self) {
        // What cannot be removed stays as an orphan: the free lock says so, and doctor clears it.
        let _ = record::remove_own(&self.home.owner_record(), &self.facts.instance_id);
        ControlFile::remove_own(&self.home.control_file(), &self.facts.instance_id);
    }
}

/// A handle on the process of `record`, if it is alive and provably the one that wrote it: same boot, same
/// start. Without both there is no proof.
pub(crate) fn hold_of(record: &OwnerRecord) -> Option<ProcessHandle> {
    let instance = record.instance.as_ref()?;
    let (boot, ticks) = (instance.boot_id.as_ref()?, instance.process_start_ticks?);
    let pid = u32::try_from(record.pid).ok()?;
    let handle = match ProcessHandle::open(pid) {
        Ok(handle) => handle,
        Err(HandleError::Gone | HandleError::Unsupported | HandleError::Io(_)) => return None,
    };
    // Compared after the handle is held: whatever the handle holds now is what was compared.
    let same_start = process::observe_process(record.pid) == ProcessState::Alive { start_ticks: Some(ticks) };
    (same_start && process::boot_id().as_ref() == Some(boot)).then_some(handle)
}

/// Whether the process of `record` is provably the one that wrote it, and is suspended from outside.
pub(crate) fn is_suspended(record: &OwnerRecord) -> bool {
    hold_of(record).is_some() && u32::try_from(record.pid).ok().and_then(platform::is_suspended) == Some(true)
}
