//! What record, lock and process say together (contract section 2).

use crate::facts::{LockState, OwnerFacts, OwnerReading};
use contract::{Fault, FaultCode, OwnerStatus, Remedy};

/// Judges the daemon owner record. A pure predicate: it never signals.
///
/// A record of ours is an orphan exactly when nobody holds the lock: pid, boot id and ticks only
/// explain. A record of the reference has no lock; it is an orphan when its process is gone (a zombie
/// is gone) or its executable is missing.
pub fn judge_owner(facts: &OwnerFacts) -> (OwnerStatus, Option<Fault>) {
    let held = facts.lock == LockState::Held;
    match &facts.reading {
        OwnerReading::Absent if held => (
            OwnerStatus::Absent,
            Some(stale(facts, "a daemon holds the owner lock but has not written its record")),
        ),
        OwnerReading::Absent => (OwnerStatus::Absent, None),
        OwnerReading::Unreadable(detail) => {
            let remedy = if held { Remedy::RestartDaemon } else { Remedy::Repair };
            let fault =
                Fault::new(FaultCode::OwnerRecordUnreadable, &facts.record_path, detail.clone(), remedy);
            (OwnerStatus::Unreadable, Some(fault))
        }
        OwnerReading::Readable(record) => match (&record.instance, held) {
            (Some(_), true) => (OwnerStatus::Present, None),
            (Some(_), false) => (OwnerStatus::Orphan, None),
            (None, true) => (
                OwnerStatus::Present,
                Some(stale(facts, "a daemon holds the owner lock and the record is not its own")),
            ),
            (None, false) if facts.process_alive && facts.executable_exists => (OwnerStatus::Present, None),
            (None, false) => (OwnerStatus::Orphan, None),
        },
    }
}

fn stale(facts: &OwnerFacts, detail: &str) -> Fault {
    Fault::new(FaultCode::OwnerRecordStale, &facts.record_path, detail, Remedy::RestartDaemon)
}
