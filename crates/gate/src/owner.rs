//! Judges record, lock and process of the daemon together (contract section 2).

use crate::facts::{LockState, OwnerFacts, OwnerReading, RecordedProcess};
use contract::{Fault, FaultCode, OrphanKind, OwnerRecord, OwnerStatus, Remedy};

/// Judges the daemon owner record. Pure: it never signals.
pub fn judge_owner(facts: &OwnerFacts) -> (OwnerStatus, Option<Fault>) {
    let held = facts.lock == LockState::Held;
    match &facts.reading {
        OwnerReading::Unreadable(detail) => {
            let remedy = if held { Remedy::RestartDaemon } else { facts.repair.clone() };
            let fault =
                Fault::new(FaultCode::OwnerRecordUnreadable, &facts.record_path, detail.clone(), remedy);
            (OwnerStatus::Unreadable, Some(fault))
        }
        OwnerReading::Absent => {
            let detail = "a daemon holds the owner lock but has not written its record";
            (OwnerStatus::Absent, linked(facts).or_else(|| held.then(|| stale(facts, detail))))
        }
        OwnerReading::Readable(record) => {
            if let Some(fault) = linked(facts) {
                return (OwnerStatus::Present, Some(fault));
            }
            let detail = "a daemon holds the owner lock and the record is not its own";
            match judge_orphan(facts) {
                Some(_) => (OwnerStatus::Orphan, None),
                None if held && record.instance.is_none() => {
                    (OwnerStatus::Present, Some(stale(facts, detail)))
                }
                None => (OwnerStatus::Present, None),
            }
        }
    }
}

/// Reason why the record is an orphan; none when it is not. The only predicate for orphans.
///
/// The lock decides first. While it is held, no record is an orphan. While it is free, a record of ours
/// is one; pid, executable and lock numbers only explain. A record of the reference has no lock: see
/// [`judge_reference_orphan`].
pub fn judge_orphan(facts: &OwnerFacts) -> Option<OrphanKind> {
    let OwnerReading::Readable(record) = &facts.reading else { return None };
    match (&record.instance, facts.lock) {
        (_, LockState::Held) => None,
        (None, LockState::Free) => judge_reference_orphan(facts),
        (Some(_), LockState::Free) => Some(match facts.process {
            _ if is_of_other_lock(record, facts) => OrphanKind::CopiedHome,
            RecordedProcess::Gone => OrphanKind::Dead,
            _ if facts.executable_missing => OrphanKind::ExecutableMissing,
            RecordedProcess::SyncDaemon | RecordedProcess::OtherProgram | RecordedProcess::Unknown => {
                OrphanKind::OtherProgram
            }
        }),
    }
}

/// Whether a record without our keys is an orphan, independent of the lock's holder. It is one when its daemon serves
/// another home or has ended, when its executable is missing, or when its pid provably belongs to another program.
pub fn judge_reference_orphan(facts: &OwnerFacts) -> Option<OrphanKind> {
    match &facts.reading {
        OwnerReading::Readable(record) if record.instance.is_none() => {}
        OwnerReading::Readable(_) | OwnerReading::Absent | OwnerReading::Unreadable(_) => return None,
    }
    if facts.outside {
        return Some(OrphanKind::CopiedHome);
    }
    match facts.process {
        RecordedProcess::Gone => Some(OrphanKind::Dead),
        RecordedProcess::OtherProgram => Some(OrphanKind::OtherProgram),
        RecordedProcess::SyncDaemon | RecordedProcess::Unknown => {
            facts.executable_missing.then_some(OrphanKind::ExecutableMissing)
        }
    }
}

/// Whether the record names the lock file of another home. Without a lock file here, only a record of a live
/// process counts as one.
fn is_of_other_lock(record: &OwnerRecord, facts: &OwnerFacts) -> bool {
    let Some(theirs) = record.instance.as_ref().and_then(|instance| instance.lock) else { return false };
    match facts.lock_file.as_ref().map(|file| file.numbers) {
        Some(Some(ours)) => ours != theirs,
        Some(None) => false,
        None => facts.process != RecordedProcess::Gone,
    }
}

/// A lock file with several hard links belongs to several homes, so its holder may be the daemon of any.
fn linked(facts: &OwnerFacts) -> Option<Fault> {
    let file = facts.lock_file.as_ref().filter(|file| file.links > 1)?;
    let remedy = Remedy::Advice(contract::owner_record::unlink_advice(&file.path));
    Some(Fault::new(
        FaultCode::OwnerRecordStale,
        &file.path,
        format!("has {} hard links: another home shares this lock", file.links),
        remedy,
    ))
}

fn stale(facts: &OwnerFacts, detail: &str) -> Fault {
    Fault::new(FaultCode::OwnerRecordStale, &facts.record_path, detail, Remedy::RestartDaemon)
}
