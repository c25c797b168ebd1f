//! Observed facts: plain data. Only the observer creates them for `judge`.

use contract::{
    AuthAbsent, Fault, FileNumbers, ForegroundIdentity, LegacyRowCounts, OwnerRecord, Remedy, Scope,
};
use std::path::PathBuf;
use std::time::Instant;

/// The input of the gate.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The foreground identity.
    pub foreground: ForegroundIdentity,
    /// The login, as read from environment and disk.
    pub login: LoginFacts,
    /// The daemon owner record, its lock and its process.
    pub owner: OwnerFacts,
    /// A running daemon of this home that is not the one in the owner record.
    pub stray: Option<StrayDaemon>,
    /// The legacy queue DB.
    pub legacy: LegacyFacts,
    /// The active queue DB.
    pub active: ActiveQueueFacts,
    /// Faults of config, session, queues and home. Owner faults are judged from `owner`.
    pub faults: Vec<Fault>,
    /// Time of the observation; permits carry it.
    pub observed_at: Instant,
}

/// Login as two facts: a scope, and whether it is authenticated.
#[derive(Clone, Debug, Default)]
pub struct LoginFacts {
    /// The scope, from a CI token, the session or legacy credentials.
    pub scope: Option<Scope>,
    /// Whether the identity may be used: credentials and expired sessions give a scope, not this.
    pub authenticated: bool,
    /// The team id in its original case, as wire fields carry it.
    pub team_id: Option<String>,
    /// Reason and remedy of a missing authentication; none exactly when authenticated.
    pub absent: Option<AuthAbsent>,
    /// Private teamspaces of the session, in its order: the choices of `auth switch`.
    pub private_teams: Vec<String>,
}

/// Record, lock and process of the daemon.
#[derive(Clone, Debug)]
pub struct OwnerFacts {
    /// Path of the record.
    pub record_path: PathBuf,
    /// The record.
    pub reading: OwnerReading,
    /// The owner lock.
    pub lock: LockState,
    /// The lock file, where there is one.
    pub lock_file: Option<LockFileFacts>,
    /// The process of the recorded pid; [`RecordedProcess::Gone`] without a record.
    pub process: RecordedProcess,
    /// Whether the record names an executable that does not exist.
    pub executable_missing: bool,
    /// Whether queue DB or root, as record or process name them, lie outside this home.
    pub outside: bool,
    /// The record's paths, canonical where they exist; none without a readable record.
    pub resolved: Option<ResolvedPaths>,
    /// The remedy of an unreadable record, on the file system as it is now.
    pub repair: Remedy,
}

impl OwnerFacts {
    /// No record, a free lock and no lock file: the facts of a home without any daemon.
    pub fn absent(record_path: impl Into<PathBuf>) -> Self {
        Self {
            record_path: record_path.into(),
            reading: OwnerReading::Absent,
            lock: LockState::Free,
            lock_file: None,
            process: RecordedProcess::Gone,
            executable_missing: false,
            outside: false,
            resolved: None,
            repair: Remedy::Repair,
        }
    }
}

/// The owner lock file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockFileFacts {
    /// Its path.
    pub path: PathBuf,
    /// Device and inode, where the system reports them.
    pub numbers: Option<FileNumbers>,
    /// Number of hard links; 1 where the system does not report it.
    pub links: u64,
}

/// The process that a record names by its pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordedProcess {
    /// No such process, or a zombie.
    Gone,
    /// Running; its argv names a sync daemon.
    SyncDaemon,
    /// Running; its argv does not name a sync daemon.
    OtherProgram,
    /// Running; its argv cannot be read.
    Unknown,
}

/// The three outcomes of reading an owner record.
#[derive(Clone, Debug)]
pub enum OwnerReading {
    /// No file.
    Absent,
    /// A record.
    Readable(Box<OwnerRecord>),
    /// A file that is not a valid record, with the reason.
    Unreadable(String),
}

/// State of the owner lock, which a running daemon of this home holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockState {
    /// Free, or no lock file.
    Free,
    /// A daemon holds it.
    Held,
}

/// Paths of an owner record: canonical if they exist, else lexically cleaned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedPaths {
    /// Executable of the daemon.
    pub executable: PathBuf,
    /// Source checkout of the daemon.
    pub source: PathBuf,
    /// Queue DB of the daemon.
    pub queue_db: PathBuf,
}

/// A running process that is in the reference's `sync-daemon` file and not in the owner record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrayDaemon {
    /// The state file that names it.
    pub state_file: PathBuf,
    /// Its pid.
    pub pid: u32,
    /// Whether it provably serves another home: the state file is part of a copied home.
    pub copied: bool,
}

/// The legacy queue DB. All counts are zero when there is no file, or when it could not be read (then
/// `Facts::faults` has it).
#[derive(Clone, Debug, Default)]
pub struct LegacyFacts {
    /// Its path.
    pub path: PathBuf,
    /// Rows that belong to the login's scope; zero without a scope.
    pub in_scope: LegacyRowCounts,
    /// Rows that belong to other scopes.
    pub other_scope: LegacyRowCounts,
}

/// The active queue DB, as far as the gate needs it. Counting its rows is the status document's job.
#[derive(Clone, Debug, Default)]
pub struct ActiveQueueFacts {
    /// Its path.
    pub path: PathBuf,
    /// The random id in its meta table; none when the file is absent or older than the table.
    pub queue_id: Option<String>,
}
