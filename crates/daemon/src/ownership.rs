//! Ownership of a home: lock, record and control file, taken and released together.
//!
//! Order of the steps (contract section 2):
//! 1. the owner lock is taken: at most one process passes;
//! 2. the old record is removed, and with the record of another home its control file: from now on "lock
//!    held + a record with our keys" can only mean us;
//! 3. the old process is waited for, if its record names this lock file: it may be finishing a batch;
//! 4. the control file and then our own record are written, once the control plane listens;
//! 5. at the end record and control file are removed, if they are still ours, and the lock ends with the
//!    process.
//!
//! A kill at any point leaves a record that is an orphan by the free lock, or no record.

use crate::control::file::{ControlFile, ControlFileError};
use crate::control::proof::ControlToken;
use crate::holder;
use crate::peer_identity;
use crate::record::{self, RunFacts};
use crate::stop::{Stop, StopHistory, StopReason};
use contract::{OrphanKind, OwnerRecord};
use gate::{OwnerFacts, OwnerReading, judge_orphan};
use identity::Home;
use identity::quarantine::move_aside;
use jiff::Timestamp;
use preflight::owner::{observe_predecessor, read_record};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use system::lock::{FileLock, LockError, LockFile, observe_lock};
use system::private_file::{self, WriteError, create_private_dir};

/// Longest time that a starter tries for the lock: longer than any probe holds it.
const LOCK_PATIENCE: Duration = Duration::from_millis(100);
/// Longest wait of a starter for its predecessor's process (contract section 2).
const PREDECESSOR_PATIENCE: Duration = Duration::from_secs(2);

/// Reason why this process cannot become the daemon.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// Another daemon holds the lock.
    #[error("a daemon of this home runs already")]
    Held,
    /// A daemon of the reference runs in this home.
    #[error("a daemon of the Python CLI runs in this home, pid {pid}")]
    ReferenceAlive {
        /// Its pid.
        pid: i64,
    },
    /// Several homes share the lock file by hard links.
    #[error("{} has {links} hard links: another home shares this lock", contract::text::path(.path))]
    SharedLock {
        /// The lock file.
        path: PathBuf,
        /// Its names.
        links: u64,
    },
    /// The directory of the daemon could not be made.
    #[error(transparent)]
    Directory(#[from] WriteError),
    /// The lock file could not be opened or locked.
    #[error("cannot lock {}: {source}", contract::text::path(.path))]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// Files of an earlier daemon could not be removed.
    #[error("cannot remove the files of an earlier daemon: {0}")]
    Clear(#[source] WriteError),
}

/// The owner lock of a home, with everything an earlier daemon left cleared away.
#[derive(Debug)]
pub struct Claim {
    lock: FileLock,
    home: Home,
}

/// Failure to write the record and control file.
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
pub struct DaemonOwnership {
    lock: FileLock,
    home: Home,
    facts: RunFacts,
    control: ControlFile,
    record: OwnerRecord,
}

/// Result of an owner's self check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnershipCheck {
    /// The lock file at its path is the one that is held.
    Owner,
    /// It is another one, or none: another process may be the daemon.
    Superseded,
    /// The whole home is gone.
    HomeVanished,
}

impl Claim {
    /// Takes the owner lock of `home` and clears away what an earlier daemon left.
    ///
    /// # Errors
    /// See [`TakeError`]. After an error the lock is free again, and a record that still means something
    /// is what it was.
    pub fn take(home: &Home) -> Result<Self, TakeError> {
        create_private_dir(&home.daemon_dir())?;
        // Before it is tried: another home's daemon may hold it.
        if let Ok(Some(LockFile { links, .. })) = observe_lock(&home.owner_lock())
            && links > 1
        {
            return Err(TakeError::SharedLock { path: home.owner_lock(), links });
        }
        let lock = match FileLock::acquire(&home.owner_lock(), LOCK_PATIENCE, "the owner lock") {
            Ok(lock) => lock,
            Err(LockError::Busy { .. }) => return Err(TakeError::Held),
            Err(LockError::Io { path, source }) => return Err(TakeError::Lock { path, source }),
        };
        let claim = Self { lock, home: home.clone() };
        claim.clear_leftovers(PREDECESSOR_PATIENCE)?;
        Ok(claim)
    }

    fn clear_leftovers(&self, patience: Duration) -> Result<(), TakeError> {
        let facts = observe_predecessor(&self.home, &self.lock)
            .map_err(|source| TakeError::Lock { path: self.home.owner_lock(), source })?;
        match &facts.reading {
            OwnerReading::Absent => self.clear_files_of_other_home(&facts),
            OwnerReading::Unreadable(_) => {
                move_aside(&facts.record_path).map_err(TakeError::Clear)?;
                self.clear_files_of_other_home(&facts)
            }
            OwnerReading::Readable(record) => match judge_orphan(&facts) {
                None => Err(TakeError::ReferenceAlive { pid: record.pid }),
                Some(OrphanKind::CopiedHome) => {
                    remove_if_there(&facts.record_path)?;
                    remove_if_there(&self.home.control_file())?;
                    peer_identity::remove_copied_state_file(&self.home, Some(record))
                        .map_err(TakeError::Clear)
                }
                Some(OrphanKind::Dead | OrphanKind::OtherProgram | OrphanKind::ExecutableMissing) => {
                    remove_if_there(&facts.record_path)?;
                    self.settle_predecessor(record, patience);
                    self.clear_files_of_other_home(&facts)
                }
            },
        }
    }

    /// Control and state file may be copied without a record.
    fn clear_files_of_other_home(&self, facts: &OwnerFacts) -> Result<(), TakeError> {
        peer_identity::remove_copied_state_file(&self.home, None).map_err(TakeError::Clear)?;
        let ours = facts.lock_file.as_ref().and_then(|file| file.numbers);
        match ControlFile::read(&self.home.control_file()) {
            Ok(Some(control)) if control.lock.is_some() && control.lock != ours => {
                remove_if_there(&self.home.control_file())
            }
            // Ours is replaced by the next daemon; what cannot be read is no address.
            Ok(Some(_) | None) | Err(_) => Ok(()),
        }
    }

    /// Waits a little for the process of an old record of ours, which has released the lock and may be
    /// ending, and notes the end of its run.
    fn settle_predecessor(&self, record: &OwnerRecord, patience: Duration) {
        let Some(instance) = &record.instance else { return };
        if instance.lock.is_some()
            && let Some(process) = holder::find_recorded(record)
        {
            // Alive after that, it is not the daemon of this home: it does not hold the lock.
            let _ = process.wait(patience);
        }
        // The list explains and decides nothing; a full disk is reported by the record's write.
        let _ = StopHistory::of(&self.home.daemon_dir()).append(Stop {
            instance_id: instance.instance_id.clone(),
            pid: record.pid,
            package_version: record.package_version.clone(),
            started_at: record.started_at.clone(),
            stopped_at: record::timestamp(Timestamp::now()),
            why: StopReason::Killed,
        });
        ControlFile::remove_own(&self.home.control_file(), &instance.instance_id);
    }

    /// Writes control file and record: from here on every command finds the daemon.
    ///
    /// # Errors
    /// One of the two could not be written; neither stays behind.
    pub fn publish(
        self,
        facts: RunFacts,
        port: u16,
        token: ControlToken,
    ) -> Result<DaemonOwnership, PublishError> {
        // Unknown numbers are reported as unknown.
        let lock = self.lock.numbers().ok().and_then(|(numbers, _)| numbers);
        let facts = RunFacts { lock, ..facts };
        let (instance_id, pid) = (facts.instance_id.clone(), facts.foreground.pid);
        let control = ControlFile { instance_id, pid, port, token, lock };
        let record = facts.record(port);
        let ownership = DaemonOwnership { lock: self.lock, home: self.home, facts, control, record };
        match ownership.write_missing(true) {
            Ok(()) => Ok(ownership),
            Err(error) => {
                ownership.remove_files();
                Err(error)
            }
        }
    }
}

impl DaemonOwnership {
    /// The facts of this run.
    pub fn facts(&self) -> &RunFacts {
        &self.facts
    }

    /// The port of the control plane.
    pub fn port(&self) -> u16 {
        self.control.port
    }

    /// Whether this process still is the daemon of its home. Looks, changes nothing.
    pub fn observe_standing(&self) -> OwnershipCheck {
        if self.lock.still_names() {
            OwnershipCheck::Owner
        } else if self.home.root().exists() {
            OwnershipCheck::Superseded
        } else {
            OwnershipCheck::HomeVanished
        }
    }

    /// Writes a record or control file that was removed. An altered one stays: the gate reports it,
    /// and a person decides.
    ///
    /// # Errors
    /// One of them could not be written.
    pub fn restore_missing(&self) -> Result<(), PublishError> {
        self.write_missing(false)
    }

    /// Notes the id of the queue DB that this daemon drains, once, and writes it into the record, unless
    /// that one was altered meanwhile.
    ///
    /// # Errors
    /// The record could not be written.
    pub(crate) fn learn_queue_id(&mut self, queue_id: String) -> Result<(), PublishError> {
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

    /// Releases the home: notes the reason, removes record and control file if they are ours, frees the lock.
    /// If the lock file was replaced, it does so under the new one. If another process holds that, or the home is
    /// gone, it changes nothing.
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
            OwnershipCheck::Owner => None,
            OwnershipCheck::Superseded if self.home.daemon_dir().is_dir() => {
                match FileLock::acquire(&self.home.owner_lock(), Duration::ZERO, "the owner lock") {
                    Ok(lock) => Some(lock),
                    Err(_) => return stop,
                }
            }
            OwnershipCheck::Superseded | OwnershipCheck::HomeVanished => return stop,
        };
        // Before the record: once it is gone the end is explained.
        let _ = StopHistory::of(&self.home.daemon_dir()).append(stop.clone());
        self.remove_files();
        drop(successor_lock);
        stop
    }

    fn remove_files(&self) {
        // A record that cannot be removed stays as an orphan: the free lock shows it, and doctor removes it.
        let _ = record::remove_own(&self.home.owner_record(), &self.facts.instance_id);
        ControlFile::remove_own(&self.home.control_file(), &self.facts.instance_id);
    }
}

fn remove_if_there(path: &Path) -> Result<(), TakeError> {
    private_file::remove_file(path).map(drop).map_err(TakeError::Clear)
}
