//! Boundary failures and the verdict.
//!
//! The gate, `sync status`, `--check`, `--json`, `sync doctor`, `doctor orphan-daemons` and the daemon all
//! use this module.

use crate::compare;
use crate::facts::{Facts, OwnerReading, StrayDaemon};
use crate::owner::{judge_orphan, judge_owner};
use crate::permit::{CapturePermit, CurePermit, EgressPermit, ObservedQueueId, PermitRefused};
use contract::{Fault, FaultCode, Mismatch, OrphanRecord, OwnerStatus, PreflightResult, Remedy};

/// Requirements of the caller beyond coherence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether an authenticated identity is required.
    pub require_auth: bool,
}

/// Everything that keeps the boundary from being coherent, before policy.
#[derive(Clone, Debug)]
pub struct BoundaryFailureSet {
    /// Status of the daemon owner record.
    pub owner: OwnerStatus,
    /// Fields that differ; empty for an orphan, unreadable or stale record.
    pub mismatches: Vec<Mismatch>,
    /// Orphan owner records.
    pub orphan_records: Vec<OrphanRecord>,
    /// Faults of every kind.
    pub faults: Vec<Fault>,
}

impl BoundaryFailureSet {
    /// Collects the failures of `facts`.
    pub fn of(facts: &Facts) -> Self {
        let (owner, owner_fault) = judge_owner(&facts.owner);
        let mut mismatches = Vec::new();
        let mut orphan_records = Vec::new();
        let mut faults: Vec<Fault> = owner_fault.into_iter().collect();
        if let OwnerReading::Readable(record) = &facts.owner.reading {
            if owner == OwnerStatus::Orphan {
                let orphan = judge_orphan(&facts.owner);
                orphan_records.extend(orphan.map(|kind| OrphanRecord { record: (**record).clone(), kind }));
            }
            match owner {
                OwnerStatus::Present if faults.is_empty() => {
                    if let Some(resolved) = &facts.owner.resolved {
                        mismatches = compare::mismatches(&facts.foreground, &facts.login, record, resolved);
                    }
                    faults.extend(changed_queue(facts, record));
                }
                OwnerStatus::Present
                | OwnerStatus::Absent
                | OwnerStatus::Orphan
                | OwnerStatus::Unreadable => {}
            }
        }
        faults.extend(facts.faults.iter().cloned());
        faults.extend(facts.stray.as_ref().map(|stray| {
            Fault::new(FaultCode::StrayDaemon, &stray.state_file, stray_detail(stray), Remedy::CleanOrphans)
        }));
        Self { owner, mismatches, orphan_records, faults }
    }
}

fn stray_detail(stray: &StrayDaemon) -> String {
    let pid = stray.pid;
    if stray.copied {
        format!("names the sync daemon of another home, pid {pid}: it came with a copy of that home")
    } else {
        format!("names a live sync daemon, pid {pid}, that the owner record does not name")
    }
}

/// A running daemon whose queue DB was replaced drains a file that is no longer written.
fn changed_queue(facts: &Facts, record: &contract::OwnerRecord) -> Option<Fault> {
    let theirs = record.instance.as_ref()?.queue_id.as_deref()?;
    let ours = facts.active.queue_id.as_deref()?;
    let same_file =
        facts.owner.resolved.as_ref().is_some_and(|paths| paths.queue_db == facts.foreground.queue_db_path);
    (same_file && ours != theirs).then(|| {
        Fault::new(
            FaultCode::QueueIdentityChanged,
            &facts.active.path,
            format!("has id {ours}; the running daemon recorded id {theirs}"),
            Remedy::RestartDaemon,
        )
    })
}

/// The verdict on one observation.
#[derive(Debug)]
pub struct Verdict {
    result: PreflightResult,
    owner: OwnerStatus,
    facts: Facts,
}

/// Judges `facts` under `policy`.
///
/// `ok` = no mismatch, no orphan, no legacy row in scope, no fault, and authenticated if required.
pub fn judge(facts: Facts, policy: Policy) -> Verdict {
    let BoundaryFailureSet { owner, mismatches, orphan_records, faults } = BoundaryFailureSet::of(&facts);
    let auth_present = facts.login.authenticated;
    let legacy = facts.legacy.in_scope;
    let ok = mismatches.is_empty()
        && orphan_records.is_empty()
        && legacy.total_rows() == 0
        && faults.is_empty()
        && (auth_present || !policy.require_auth);
    let result = PreflightResult {
        ok,
        mismatches,
        orphan_records,
        legacy,
        auth_present,
        auth_required: policy.require_auth,
        auth_absent: facts.login.absent.clone(),
        faults,
    };
    Verdict { result, owner, facts }
}

impl Verdict {
    /// The result.
    pub fn result(&self) -> &PreflightResult {
        &self.result
    }

    /// Status of the daemon owner record.
    pub fn owner(&self) -> OwnerStatus {
        self.owner
    }

    /// The facts that were judged.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The right to add facts, from a coherent verdict on an authenticated identity.
    pub fn into_capture_permit(self) -> Result<CapturePermit, Box<PermitRefused>> {
        match self.coherent() {
            Some((scope, team_id)) => Ok(CapturePermit {
                scope,
                team_id,
                queue: ObservedQueueId::of(self.facts.active.queue_id.as_ref()),
                queue_path: self.facts.active.path,
                observed_at: self.facts.observed_at,
            }),
            None => Err(self.refuse()),
        }
    }

    /// The right to send, from a coherent verdict on an authenticated identity.
    pub fn into_egress_permit(self) -> Result<EgressPermit, Box<PermitRefused>> {
        match (self.coherent(), self.facts.foreground.server_url.clone()) {
            (Some((scope, team_id)), Some(server_url)) => Ok(EgressPermit {
                scope,
                team_id,
                server_url,
                queue: ObservedQueueId::of(self.facts.active.queue_id.as_ref()),
                queue_path: self.facts.active.path,
                observed_at: self.facts.observed_at,
            }),
            _ => Err(self.refuse()),
        }
    }

    /// The right to cure, from any verdict with a readable scope.
    pub fn cure_permit(&self) -> Option<CurePermit> {
        let scope = self.facts.login.scope.clone()?;
        Some(CurePermit {
            scope,
            queue_path: self.facts.active.path.clone(),
            legacy_path: self.facts.legacy.path.clone(),
        })
    }

    /// Scope and team id, if the boundary is coherent and the identity authenticated.
    fn coherent(&self) -> Option<(contract::Scope, String)> {
        let login = &self.facts.login;
        let named = login.scope.clone().zip(login.team_id.clone());
        named.filter(|_| self.result.ok && login.authenticated)
    }

    /// A refused permit always has a reason: missing authentication is one here, whatever the
    /// policy of the verdict was.
    fn refuse(self) -> Box<PermitRefused> {
        Box::new(PermitRefused(PreflightResult { ok: false, auth_required: true, ..self.result }))
    }
}
