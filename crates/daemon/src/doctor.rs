//! `doctor orphan-daemons`: finds orphan records and stray daemons, classifies and removes them.
//!
//! Detection is the gate's: orphan records and stray daemons are those of the preflight verdict. On top of
//! it the doctor, and only the doctor, asks ports and walks the process table for what no file names.
//!
//! | class | what it takes | what falls into it |
//! |---|---|---|
//! | `safe_auto` | `--fix` | orphan records; what a copied home brought along; stray daemons that prove themselves over their port |
//! | `operator_required` | `--fix --force` | daemons that do not answer |
//! | `operator_required` | the command that is printed | processes that no file names: nothing proves them ours |
//! | `never_touch` | nothing | daemons of other homes and other users |
//!
//! Invariants. An orphan record is removed under the owner lock. Only the proven holder of the lock is signalled. A
//! daemon of the reference is asked over its own port, after it repeated its token; otherwise its files are
//! moved aside, and its process is left alone.

use crate::control::wire::ShutdownCause;
use crate::lifecycle::{DaemonState, StopOutcome, observe_status, stop};
use crate::ownership::{Claim, TakeError};
use crate::peer_identity::{self, PeerIdentity, ReferencePeer};
use contract::{Fault, OrphanKind, OwnerStatus};
use gate::{OwnerReading, Verdict, judge_owner};
use identity::Home;
use identity::paths::canonical_or_clean;
use identity::quarantine::move_aside;
use preflight::owner::{is_sync_daemon, observe_owner, read_record, read_state_file};
use serde::Serialize;
use std::path::Path;
use system::private_file::{self, WriteError};
use system::process;

/// Permitted actions of the doctor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Look only.
    Look,
    /// Do what is safe.
    Fix,
    /// Also actions that an operator must request.
    Force,
}

/// Requirement of a cleanup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CleanupClass {
    /// `--fix`.
    SafeAuto,
    /// `--fix --force`.
    OperatorRequired,
    /// Nothing does.
    NeverTouch,
}

/// Kind of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DaemonFindingKind {
    /// An owner record whose daemon is gone.
    OrphanRecord,
    /// A live daemon of the reference that the owner record does not name.
    StrayDaemon,
    /// The daemon of the owner record is the reference's and does not answer.
    MuteReferenceDaemon,
    /// Our daemon holds the lock and does not answer.
    WedgedDaemon,
    /// A daemon of ours that lost its lock file; it retires by itself within a minute.
    SupersededDaemon,
    /// A daemon of the reference in this home that no file names.
    UnnamedDaemon,
    /// A daemon of another home.
    ForeignDaemon,
}

/// Action taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum CleanupAction {
    /// Nothing was asked for, or nothing may be done.
    None,
    /// The record, or the state file, was removed.
    RecordRemoved,
    /// The daemon is gone.
    Stopped,
    /// The files that name it were moved aside; the process still runs.
    FilesMovedAside,
    /// `--force` is needed.
    NeedsForce,
    /// It did not work.
    Failed {
        /// The problem.
        why: String,
    },
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DaemonFinding {
    /// Its kind.
    pub kind: DaemonFindingKind,
    /// Reason why the record is an orphan, of an orphan record.
    pub orphan_kind: Option<OrphanKind>,
    /// Its requirement.
    pub class: CleanupClass,
    /// The process it is about.
    pub pid: i64,
    /// Its port, if a file names it.
    pub port: Option<u16>,
    /// Start, if a file names it.
    pub started_at: Option<String>,
    /// Description, in one sentence.
    pub detail: String,
    /// The command with which a person ends the process, where only a person may.
    pub end_command: Option<String>,
    /// The action taken.
    pub action: CleanupAction,
}

impl DaemonFinding {
    /// Whether only a person ends it: no file proves the process to be a daemon of this home, so no command
    /// of ours signals it.
    pub fn is_left_to_a_person(&self) -> bool {
        matches!(self.kind, DaemonFindingKind::UnnamedDaemon | DaemonFindingKind::SupersededDaemon)
    }
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrphanReport {
    /// Findings, those of this home first.
    pub findings: Vec<DaemonFinding>,
    /// Faults of owner record and lock: while they last, no record can be judged. Their remedies are other commands.
    pub faults: Vec<Fault>,
    /// Whether nothing that concerns this home is left to do.
    pub clean: bool,
}

/// Looks for what is left of daemons beside what `verdict` has, and treats it.
pub fn orphan_daemons(home: &Home, verdict: &Verdict, treatment: Treatment) -> OrphanReport {
    let mut findings: Vec<DaemonFinding> =
        detect(home, verdict).into_iter().map(|found| found.treat(home, treatment)).collect();
    let named: Vec<i64> = findings.iter().map(|finding| finding.pid).collect();
    findings.extend(scan_processes(home, &named));
    let is_treated = |finding: &DaemonFinding| {
        matches!(
            finding.action,
            CleanupAction::RecordRemoved | CleanupAction::Stopped | CleanupAction::FilesMovedAside
        )
    };
    let (_, fault) = if findings.iter().any(is_treated) {
        judge_owner(&observe_owner(home))
    } else {
        judge_owner(&verdict.facts().owner)
    };
    let settled =
        findings.iter().all(|finding| finding.class == CleanupClass::NeverTouch || is_treated(finding));
    OrphanReport { findings, clean: settled && fault.is_none(), faults: fault.into_iter().collect() }
}

/// A finding, with the fix that its treatment applies.
struct FoundDaemon {
    finding: DaemonFinding,
    fix: DaemonFix,
}

enum DaemonFix {
    ClearRecord,
    StopStray(ReferencePeer),
    RemoveStateFile,
    RemoveReferenceFiles(u32),
    MoveFilesAside,
    KillHolder,
}

fn detect(home: &Home, verdict: &Verdict) -> Vec<FoundDaemon> {
    let mut found = Vec::new();
    for orphan in &verdict.result().orphan_records {
        let record = &orphan.record;
        found.push(FoundDaemon {
            finding: DaemonFinding {
                kind: DaemonFindingKind::OrphanRecord,
                orphan_kind: Some(orphan.kind),
                class: CleanupClass::SafeAuto,
                pid: record.pid,
                port: u16::try_from(record.port).ok(),
                started_at: Some(record.started_at.clone()).filter(|at| !at.is_empty()),
                detail: format!("{}: {}", contract::text::path(&home.owner_record()), orphan.kind.meaning()),
                end_command: None,
                action: CleanupAction::None,
            },
            fix: DaemonFix::ClearRecord,
        });
    }
    if let Some(seen) = &verdict.facts().stray
        && let Some(stray) = peer_identity::observe_stated(home)
    {
        found.push(judge_stray(home, stray, seen.copied));
    }
    found.extend(wedged(home, verdict));
    found
}

fn judge_stray(home: &Home, stray: ReferencePeer, copied: bool) -> FoundDaemon {
    // The daemon of another home is not asked anything.
    let identity = if copied { PeerIdentity::OfOtherHome } else { stray.identify(home) };
    let state_file = contract::text::path(&home.state_file());
    let (class, detail, fix) = match identity {
        PeerIdentity::Itself => {
            let detail = format!("{state_file} names a live daemon that the owner record does not name");
            (CleanupClass::SafeAuto, detail, DaemonFix::StopStray(stray.clone()))
        }
        PeerIdentity::OfOtherHome => {
            let detail = format!("{state_file} names the daemon of the home that this one was copied from");
            (CleanupClass::SafeAuto, detail, DaemonFix::RemoveStateFile)
        }
        PeerIdentity::OtherProcess | PeerIdentity::Unresponsive => {
            let detail =
                format!("{state_file} names a live daemon that cannot be authenticated over its port");
            (CleanupClass::OperatorRequired, detail, DaemonFix::MoveFilesAside)
        }
    };
    FoundDaemon {
        finding: DaemonFinding {
            kind: DaemonFindingKind::StrayDaemon,
            orphan_kind: (identity == PeerIdentity::OfOtherHome).then_some(OrphanKind::CopiedHome),
            class,
            pid: i64::from(stray.pid),
            port: stray.port,
            started_at: None,
            detail,
            end_command: (class == CleanupClass::OperatorRequired)
                .then(|| system::process::end_command(stray.pid)),
            action: CleanupAction::None,
        },
        fix,
    }
}

/// A daemon that matches the record and does not answer; it is no orphan.
fn wedged(home: &Home, verdict: &Verdict) -> Option<FoundDaemon> {
    if verdict.owner() != OwnerStatus::Present {
        return None;
    }
    if let Some(reference) = peer_identity::observe_recorded(home) {
        match reference.identify(home) {
            PeerIdentity::Itself => return None,
            PeerIdentity::OfOtherHome => return Some(served_elsewhere(home, &reference)),
            PeerIdentity::OtherProcess | PeerIdentity::Unresponsive => {}
        }
        return Some(FoundDaemon {
            finding: DaemonFinding {
                kind: DaemonFindingKind::MuteReferenceDaemon,
                orphan_kind: None,
                class: CleanupClass::OperatorRequired,
                pid: i64::from(reference.pid),
                port: reference.port,
                started_at: None,
                detail: "the daemon of the owner record cannot be authenticated over its port".to_owned(),
                // Its pid is provably no other program's: the record would be an orphan.
                end_command: Some(system::process::end_command(reference.pid)),
                action: CleanupAction::None,
            },
            fix: DaemonFix::MoveFilesAside,
        });
    }
    let status = observe_status(home);
    if !matches!(status.state, DaemonState::Suspended | DaemonState::Wedged) {
        return None;
    }
    Some(FoundDaemon {
        finding: DaemonFinding {
            kind: DaemonFindingKind::WedgedDaemon,
            orphan_kind: None,
            class: CleanupClass::OperatorRequired,
            pid: status.pid?,
            port: status.port,
            started_at: status.started_at,
            detail: status.detail.unwrap_or_default(),
            end_command: None,
            action: CleanupAction::None,
        },
        fix: DaemonFix::KillHolder,
    })
}

/// The daemon of the owner record answers; it serves another home.
fn served_elsewhere(home: &Home, reference: &ReferencePeer) -> FoundDaemon {
    let kind = OrphanKind::CopiedHome;
    FoundDaemon {
        finding: DaemonFinding {
            kind: DaemonFindingKind::OrphanRecord,
            orphan_kind: Some(kind),
            class: CleanupClass::SafeAuto,
            pid: i64::from(reference.pid),
            port: reference.port,
            started_at: None,
            detail: format!("{}: {}", contract::text::path(&home.owner_record()), kind.meaning()),
            end_command: None,
            action: CleanupAction::None,
        },
        fix: DaemonFix::RemoveReferenceFiles(reference.pid),
    }
}

impl FoundDaemon {
    fn treat(self, home: &Home, treatment: Treatment) -> DaemonFinding {
        let Self { finding, fix } = self;
        let action = match (treatment, finding.class) {
            (Treatment::Look, _) | (_, CleanupClass::NeverTouch) => CleanupAction::None,
            (Treatment::Fix, CleanupClass::OperatorRequired) => CleanupAction::NeedsForce,
            (Treatment::Fix | Treatment::Force, _) => fix.apply(home),
        };
        DaemonFinding { action, ..finding }
    }
}

impl DaemonFix {
    fn apply(self, home: &Home) -> CleanupAction {
        match self {
            Self::ClearRecord => clear_record(home),
            Self::StopStray(stray) => match stray.stop(home) {
                Ok(()) => {
                    forget_state_file(home, stray.pid);
                    CleanupAction::Stopped
                }
                Err(why) => CleanupAction::Failed { why: why.to_string() },
            },
            Self::RemoveStateFile => removed(private_file::remove_file(&home.state_file()).map(|_| ())),
            Self::RemoveReferenceFiles(pid) => removed(peer_identity::remove_files_of(home, pid)),
            Self::MoveFilesAside => move_reference_files_aside(home),
            Self::KillHolder => match stop(home, &ShutdownCause::Stop, true) {
                Ok(StopOutcome::Stopped { .. } | StopOutcome::NotRunning) => CleanupAction::Stopped,
                Err(failure) => CleanupAction::Failed { why: failure.to_string() },
            },
        }
    }
}

fn removed(outcome: Result<(), WriteError>) -> CleanupAction {
    match outcome {
        Ok(()) => CleanupAction::RecordRemoved,
        Err(error) => CleanupAction::Failed { why: error.to_string() },
    }
}

/// Under the owner lock, where an orphan record cannot get an owner while it is removed.
fn clear_record(home: &Home) -> CleanupAction {
    match Claim::take(home) {
        Ok(_) => CleanupAction::RecordRemoved,
        // A new daemon was faster: it removed the record before it wrote its own.
        Err(TakeError::Held) => CleanupAction::RecordRemoved,
        Err(error) => CleanupAction::Failed { why: error.to_string() },
    }
}

/// Removes the state file that a daemon of the reference leaves: with a stale one the reference could kill
/// another process.
fn forget_state_file(home: &Home, pid: u32) {
    if read_state_file(&home.state_file()).pid == Some(pid) {
        // It names a dead process: nothing is lost, and a failure only leaves it there.
        let _ = std::fs::remove_file(home.state_file());
    }
}

/// Both files that may name the daemon: its record (never one of ours) and its state file.
fn move_reference_files_aside(home: &Home) -> CleanupAction {
    let record_is_theirs = matches!(read_record(&home.owner_record()),
        OwnerReading::Readable(record) if record.instance.is_none());
    let record = if record_is_theirs { move_aside(&home.owner_record()) } else { Ok(None) };
    match record.and_then(|_| move_aside(&home.state_file())) {
        Ok(_) => CleanupAction::FilesMovedAside,
        Err(error) => CleanupAction::Failed { why: error.to_string() },
    }
}

/// Daemons in the process table of this user that no file of this home names.
fn scan_processes(home: &Home, named: &[i64]) -> Vec<DaemonFinding> {
    let lock = canonical_or_clean(&home.owner_lock());
    let recorded = match read_record(&home.owner_record()) {
        OwnerReading::Readable(record) => Some(record.pid),
        OwnerReading::Absent | OwnerReading::Unreadable(_) => None,
    };
    system::process::list_own_processes()
        .into_iter()
        .filter(|pid| !named.contains(&i64::from(*pid)) && recorded != Some(i64::from(*pid)))
        .filter_map(|pid| {
            if is_sync_daemon(i64::from(pid)) {
                return Some(judge_unnamed(pid, is_of_this_home(pid, home)));
            }
            system::process::has_former_file_open(pid, &lock).then(|| DaemonFinding {
                kind: DaemonFindingKind::SupersededDaemon,
                orphan_kind: None,
                class: CleanupClass::OperatorRequired,
                pid: i64::from(pid),
                port: None,
                started_at: None,
                detail: "holds a replaced owner lock of this home; it stops within a minute".to_owned(),
                end_command: Some(system::process::end_command(pid)),
                action: CleanupAction::None,
            })
        })
        .collect()
}

fn judge_unnamed(pid: u32, ours: bool) -> DaemonFinding {
    let (kind, class, detail) = if ours {
        let detail = "a daemon of the Python CLI runs in this home, and no file names its port";
        (DaemonFindingKind::UnnamedDaemon, CleanupClass::OperatorRequired, detail)
    } else {
        (DaemonFindingKind::ForeignDaemon, CleanupClass::NeverTouch, "a daemon of another home")
    };
    DaemonFinding {
        kind,
        orphan_kind: None,
        class,
        pid: i64::from(pid),
        port: None,
        started_at: None,
        detail: detail.to_owned(),
        end_command: ours.then(|| system::process::end_command(pid)),
        action: CleanupAction::None,
    }
}

/// Whether the reference's daemon `pid` serves this home: it takes its home from its environment.
fn is_of_this_home(pid: u32, home: &Home) -> bool {
    process::start_environment(i64::from(pid), "HOME").is_some_and(|theirs| {
        let root = Path::new(&theirs).join(".spec-kitty");
        canonical_or_clean(&root) == canonical_or_clean(home.root())
    })
}
