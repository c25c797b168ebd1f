//! Disks that fail. A disk is a directory; SQLite asks here before it changes a file in it.
//!
//! A disk that is *off* takes no change any more, whatever its process still tries: the files are as the death of the
//! process left them, hot journal included. After a power cut each write that no sync has followed is there,
//! is not there, or is torn.

use crate::random::SeededRandom;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use system::sqlite_files::{FileOperation, FileOutcome, observe_sqlite_files};

/// How a disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskFault {
    /// The process is killed before an operation.
    Kill,
    /// The power fails before an operation.
    PowerCut,
    /// A write finds no space.
    NoSpace,
    /// A write finds space for half of its bytes.
    ShortWrite,
    /// A sync is answered with an error.
    SyncFails,
    /// A file cannot be made shorter.
    TruncateFails,
}

impl DiskFault {
    /// How `operation` ends at the fault; nothing if it does not meet it.
    fn meets(self, operation: FileOperation<'_>) -> Option<FileOutcome> {
        match (self, operation) {
            // A new file has no bytes yet: whether it is there makes no difference.
            (_, FileOperation::Create) => None,
            (Self::Kill | Self::PowerCut, _)
            | (Self::SyncFails, FileOperation::Sync)
            | (Self::TruncateFails, FileOperation::Truncate { .. }) => Some(FileOutcome::Fails),
            (Self::NoSpace, FileOperation::Write { .. }) => Some(FileOutcome::NoSpace),
            (Self::ShortWrite, FileOperation::Write { .. }) => Some(FileOutcome::NoSpaceForHalf),
            _ => None,
        }
    }

    /// Whether the process dies of it.
    const fn is_end(self) -> bool {
        matches!(self, Self::Kill | Self::PowerCut)
    }
}

/// A fault that will happen.
#[derive(Clone, Copy, Debug)]
struct PlannedFault {
    fault: DiskFault,
    /// Operations it can meet that still succeed.
    left: u64,
    /// Whether it stays, once met.
    lasting: bool,
    met: bool,
}

/// A change of a file that no sync has followed.
#[derive(Debug)]
enum UnsyncedChange {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
}

/// A file with changes that no sync has followed.
#[derive(Debug)]
struct UnsyncedFile {
    /// The bytes at the last sync.
    base: Vec<u8>,
    changes: Vec<UnsyncedChange>,
}

#[derive(Debug)]
struct FaultyDiskState {
    root: PathBuf,
    plan: Option<PlannedFault>,
    is_off: bool,
    /// A defect for tests of the simulation: syncs are answered with success and do nothing.
    ignores_syncs: bool,
    unsynced: BTreeMap<PathBuf, UnsyncedFile>,
    /// Operations since they were taken last.
    operations: u64,
}

static DISKS: Mutex<Vec<FaultyDiskState>> = Mutex::new(Vec::new());

fn disks() -> MutexGuard<'static, Vec<FaultyDiskState>> {
    DISKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A directory whose databases fail as planned. Dropping it makes it an ordinary directory.
#[derive(Debug)]
pub(crate) struct FaultyDisk {
    root: PathBuf,
}

impl FaultyDisk {
    /// The disk of `root`.
    ///
    /// # Errors
    /// When SQLite accepts no observer.
    pub(crate) fn new(root: &Path, ignores_syncs: bool) -> std::io::Result<Self> {
        if !observe_sqlite_files(judge) {
            return Err(std::io::Error::other("SQLite has no file layer to observe"));
        }
        let state = FaultyDiskState {
            root: root.to_owned(),
            plan: None,
            is_off: false,
            ignores_syncs,
            unsynced: BTreeMap::new(),
            operations: 0,
        };
        disks().push(state);
        Ok(Self { root: root.to_owned() })
    }

    fn with<T>(&self, work: impl FnOnce(&mut FaultyDiskState) -> T) -> Option<T> {
        disks().iter_mut().find(|disk| disk.root == self.root).map(work)
    }

    /// Plans a fault: `after` operations that it can meet still succeed.
    pub(crate) fn plan(&self, fault: DiskFault, after: u64, lasting: bool) {
        self.with(|disk| {
            disk.unsynced.clear();
            disk.plan = Some(PlannedFault { fault, left: after, lasting, met: false });
        });
    }

    /// Whether its process died.
    pub(crate) fn is_off(&self) -> bool {
        self.with(|disk| disk.is_off).unwrap_or_default()
    }

    /// The files are replaced as a whole: earlier changes of them are gone.
    pub(crate) fn forget_changes(&self) {
        self.with(|disk| disk.unsynced.clear());
    }

    /// The number of operations since the last call.
    pub(crate) fn take_operations(&self) -> u64 {
        self.with(|disk| std::mem::take(&mut disk.operations)).unwrap_or_default()
    }

    /// Repairs the disk, after the process that used it is gone; returns the fault, if it was met. After a power cut `random`
    /// decides which of the unsynced changes are there.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn repair(&self, random: &mut SeededRandom) -> std::io::Result<Option<DiskFault>> {
        let end = self.with(|disk| {
            disk.is_off = false;
            let met = disk.plan.take().filter(|plan| plan.met).map(|plan| plan.fault);
            (met, std::mem::take(&mut disk.unsynced))
        });
        let (met, unsynced) = end.unwrap_or_default();
        if met == Some(DiskFault::PowerCut) {
            for (path, file) in unsynced {
                // A file that was removed stays removed.
                if path.exists() {
                    std::fs::write(&path, file.after_power_cut(random))?;
                }
            }
        }
        Ok(met)
    }
}

impl Drop for FaultyDisk {
    fn drop(&mut self) {
        disks().retain(|disk| disk.root != self.root);
    }
}

/// Bytes that a disk writes at once or not at all.
const SECTOR: usize = 512;

impl UnsyncedFile {
    fn after_power_cut(self, random: &mut SeededRandom) -> Vec<u8> {
        let mut file = self.base;
        for change in self.changes {
            match change {
                UnsyncedChange::Truncate(size) if random.chance(1, 2) => file.resize(size, 0),
                UnsyncedChange::Truncate(_) => {}
                UnsyncedChange::Write { at, bytes } => match random.roll(3) {
                    0 => {}
                    1 => put(&mut file, at, &bytes),
                    _ => {
                        for (number, sector) in bytes.chunks(SECTOR).enumerate() {
                            if random.chance(1, 2) {
                                put(&mut file, at + number * SECTOR, sector);
                            }
                        }
                    }
                },
            }
        }
        file
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    if let Some(place) = file.get_mut(at..end) {
        place.copy_from_slice(bytes);
    }
}

/// Decides how an operation of SQLite on `path` ends, and remembers the change.
fn judge(path: &Path, operation: FileOperation<'_>) -> FileOutcome {
    let mut disks = disks();
    let Some(disk) = disks.iter_mut().find(|disk| path.starts_with(&disk.root)) else {
        return FileOutcome::Done;
    };
    disk.operations += 1;
    if disk.is_off {
        return FileOutcome::Fails;
    }
    let Some(plan) = disk.plan.as_mut() else { return FileOutcome::Done };
    if let Some(outcome) = plan.fault.meets(operation) {
        let fails = if plan.met { plan.lasting } else { plan.left == 0 };
        plan.left = plan.left.saturating_sub(1);
        plan.met |= fails;
        if fails {
            disk.is_off = plan.fault.is_end();
            return outcome;
        }
    }
    if plan.fault == DiskFault::PowerCut {
        disk.remember(path, operation);
    }
    FileOutcome::Done
}

impl FaultyDiskState {
    fn remember(&mut self, path: &Path, operation: FileOperation<'_>) {
        let change = match operation {
            FileOperation::Create => return,
            FileOperation::Sync if self.ignores_syncs => return,
            FileOperation::Sync | FileOperation::Delete => {
                self.unsynced.remove(path);
                return;
            }
            FileOperation::Write { at, bytes } => UnsyncedChange::Write { at, bytes: bytes.to_vec() },
            FileOperation::Truncate { size } => UnsyncedChange::Truncate(size),
        };
        let file = self.unsynced.entry(path.to_owned()).or_insert_with(|| UnsyncedFile {
            base: std::fs::read(path).unwrap_or_default(),
            changes: Vec::new(),
        });
        file.changes.push(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    fn count(path: &Path) -> i64 {
        let db = Connection::open(path).expect("a database");
        db.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).expect("a count")
    }

    /// Inserts rows, one a transaction, until the disk is off; returns how many were committed.
    fn insert_until_off(path: &Path) -> i64 {
        let db = Connection::open(path).expect("a database");
        db.execute_batch("PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = FULL").expect("settings");
        let insert = "INSERT INTO t SELECT hex(randomblob(4000))";
        (0..1_000).take_while(|_| db.execute(insert, []).is_ok()).count() as i64
    }

    fn run(fault: DiskFault, ignores_syncs: bool) -> Vec<(i64, i64)> {
        let mut random = SeededRandom::new(7);
        (0..60)
            .map(|after| {
                let directory = tempfile::tempdir().expect("a directory");
                let disk = FaultyDisk::new(directory.path(), ignores_syncs).expect("a disk");
                let path = directory.path().join("t.db");
                Connection::open(&path)
                    .and_then(|db| db.execute_batch("CREATE TABLE t(x)"))
                    .expect("a table");
                disk.plan(fault, after, false);
                let committed = insert_until_off(&path);
                assert!(disk.is_off());
                assert_eq!(disk.repair(&mut random).expect("repaired"), Some(fault));
                let db = Connection::open(&path).expect("a database");
                let found = db.query_row("SELECT count(*) FROM t", [], |row| row.get(0));
                (committed, found.unwrap_or(-1))
            })
            .collect()
    }

    #[test]
    fn committed_rows_survive_a_kill_and_a_power_cut() {
        for fault in [DiskFault::Kill, DiskFault::PowerCut] {
            for (committed, found) in run(fault, false) {
                // The commit under way may have happened without an answer.
                assert!(found == committed || found == committed + 1, "{fault:?}: {committed}, {found}");
            }
        }
    }

    #[test]
    fn disk_that_ignores_syncs_loses_rows() {
        assert!(run(DiskFault::PowerCut, true).iter().any(|(committed, found)| found < committed));
    }

    #[test]
    fn full_disk_fails_once_or_until_repaired() {
        for lasting in [false, true] {
            let directory = tempfile::tempdir().expect("a directory");
            let disk = FaultyDisk::new(directory.path(), false).expect("a disk");
            let path = directory.path().join("t.db");
            let db = Connection::open(&path).expect("a database");
            db.execute_batch("CREATE TABLE t(x)").expect("a table");
            disk.plan(DiskFault::NoSpace, 0, lasting);
            assert!(db.execute_batch("INSERT INTO t VALUES (1)").is_err());
            assert_eq!(db.execute_batch("INSERT INTO t VALUES (1)").is_err(), lasting);
            disk.repair(&mut SeededRandom::new(1)).expect("repaired");
            db.execute_batch("INSERT INTO t VALUES (1)").expect("a disk that works");
            assert_eq!(count(&path), if lasting { 1 } else { 2 });
        }
    }
}
