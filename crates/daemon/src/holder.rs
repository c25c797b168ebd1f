//! Proof that a process holds the owner lock of a home, and the only way to signal a process.
//!
//! A recorded pid proves nothing: the record may be copied, forged, or older than the process that has the
//! pid now. [`Holder::prove`] demands both of
//!
//! * the lock. On Linux the process has an open descriptor that is this home's lock file and carries its lock
//!   (`/proc/<pid>/fd`, `/proc/<pid>/fdinfo`). Where that cannot be read, an authenticated answer over the control
//!   plane names the numbers of the lock file and the answering process;
//! * the start: boot id and start time of the process are those of the record.
//!
//! On Linux everything is compared after a pidfd is held, so the process that was compared is the one that
//! gets the signal.

use crate::control::wire::ShutdownAnswer;
use contract::{FileNumbers, OwnerRecord};
use identity::Home;
use std::time::Duration;
use system::lock::observe_lock;
use system::process::{self, ProcessState};
use system::process::{HandleError, ProcessHandle, Signal};

/// The process that provably holds the owner lock of a home.
#[derive(Debug)]
pub(crate) struct Holder {
    pid: u32,
    process: ProcessHandle,
}

impl Holder {
    /// The process of `record`, if it provably holds the owner lock of `home`.
    pub(crate) fn prove(home: &Home, record: &OwnerRecord, answer: Option<&ShutdownAnswer>) -> Option<Self> {
        let lock = observe_lock(&home.owner_lock()).ok()??;
        // A lock file with several names is the lock of several homes.
        let numbers = lock.numbers.filter(|_| lock.links == 1)?;
        let process = find_recorded(record)?;
        let pid = u32::try_from(record.pid).ok()?;
        let holds = match system::process::holds_lock(pid, numbers) {
            Some(holds) => holds,
            None => answer.is_some_and(|answer| answer.pid == pid && answer.lock == Some(numbers)),
        };
        holds.then_some(Self { pid, process })
    }

    /// Waits at most `patience` for it to end; true when it has.
    pub(crate) fn wait(&self, patience: Duration) -> bool {
        self.process.wait(patience)
    }

    /// Whether it was suspended from outside.
    pub(crate) fn is_suspended(&self) -> bool {
        system::process::is_suspended(self.pid) == Some(true)
    }

    /// Sends it `signal`: the only place from which a process is signalled.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), HandleError> {
        self.process.signal(signal)
    }
}

/// A handle to wait on the process of `record`, if it is alive and provably the one that wrote it: same
/// boot, same start. That does not make it the holder of the lock.
pub(crate) fn find_recorded(record: &OwnerRecord) -> Option<ProcessHandle> {
    let instance = record.instance.as_ref()?;
    let (boot, ticks) = (instance.boot_id.as_ref()?, instance.process_start_ticks?);
    let pid = u32::try_from(record.pid).ok()?;
    let handle = ProcessHandle::open(pid).ok()?;
    // Compared after the handle is held: whatever the handle holds now is what was compared.
    let same_start = process::observe_process(record.pid) == ProcessState::Alive { start_ticks: Some(ticks) };
    (same_start && process::boot_id().as_ref() == Some(boot)).then_some(handle)
}

/// The pid of the process that holds the lock file `numbers`, for a person to end; none where the system does
/// not show it.
pub(crate) fn find_lock_holder(numbers: FileNumbers) -> Option<u32> {
    system::process::list_own_processes()
        .into_iter()
        .find(|pid| system::process::holds_lock(*pid, numbers) == Some(true))
}
