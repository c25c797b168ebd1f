//! The disk that fails: an observer of the files of SQLite, which refuses an operation as planned.

use std::cell::Cell;
use std::path::Path;
use system::sqlite_files::{FileOperation, FileOutcome, observe_sqlite_files};

/// Failure of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A write finds no space.
    NoSpace,
    /// A write finds space for half of its bytes.
    ShortWrite,
    /// A sync ends with an error.
    SyncFails,
    /// A file cannot be made shorter.
    TruncateFails,
}

impl Fault {
    fn outcome(self, operation: FileOperation<'_>) -> Option<FileOutcome> {
        match (self, operation) {
            (Self::NoSpace, FileOperation::Write { .. }) => Some(FileOutcome::NoSpace),
            (Self::ShortWrite, FileOperation::Write { .. }) => Some(FileOutcome::NoSpaceForHalf),
            (Self::SyncFails, FileOperation::Sync)
            | (Self::TruncateFails, FileOperation::Truncate { .. }) => Some(FileOutcome::Fails),
            _ => None,
        }
    }
}

/// Planned failures of this thread's disk.
#[derive(Clone, Copy)]
struct Plan {
    fault: Fault,
    /// Operations of that kind that still succeed.
    left: u32,
    /// Whether it keeps failing.
    lasting: bool,
    hit: bool,
}

thread_local! {
    static PLAN: Cell<Option<Plan>> = const { Cell::new(None) };
}

/// Makes the failing disk the default of this process.
pub fn install() {
    assert!(observe_sqlite_files(judge), "SQLite has a file layer");
}

/// Lets the operation number `after` of a kind fail in this thread; and every later one, if `lasting`.
pub fn arm(fault: Fault, after: u32, lasting: bool) {
    PLAN.set(Some(Plan { fault, left: after, lasting, hit: false }));
}

/// Repairs the disk of this thread; returns whether anything had failed.
pub fn disarm() -> bool {
    PLAN.take().is_some_and(|plan| plan.hit)
}

fn judge(_: &Path, operation: FileOperation<'_>) -> FileOutcome {
    let Some(mut plan) = PLAN.get() else { return FileOutcome::Done };
    let Some(outcome) = plan.fault.outcome(operation) else { return FileOutcome::Done };
    let fails = if plan.hit { plan.lasting } else { plan.left == 0 };
    plan.left = plan.left.saturating_sub(1);
    plan.hit |= fails;
    PLAN.set(Some(plan));
    if fails { outcome } else { FileOutcome::Done }
}
