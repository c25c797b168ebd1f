//! The closed list of canonical failure names, and faults: what could not be observed.

use crate::remedy::Remedy;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::PathBuf;

/// One of the six facts that foreground and daemon must agree on, in canonical order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// `daemon_package_version`
    PackageVersion,
    /// `daemon_executable_path`
    ExecutablePath,
    /// `daemon_source_path`
    SourcePath,
    /// `daemon_server_url`
    ServerUrl,
    /// `daemon_team_or_user`
    TeamOrUser,
    /// `daemon_queue_db_path`
    QueueDbPath,
}

impl Field {
    /// All six, in canonical order.
    pub const ALL: [Self; 6] = [
        Self::PackageVersion,
        Self::ExecutablePath,
        Self::SourcePath,
        Self::ServerUrl,
        Self::TeamOrUser,
        Self::QueueDbPath,
    ];

    /// The canonical name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PackageVersion => "daemon_package_version",
            Self::ExecutablePath => "daemon_executable_path",
            Self::SourcePath => "daemon_source_path",
            Self::ServerUrl => "daemon_server_url",
            Self::TeamOrUser => "daemon_team_or_user",
            Self::QueueDbPath => "daemon_queue_db_path",
        }
    }
}

/// Why a fact could not be observed, or why an observation makes the machine incoherent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultCode {
    /// The daemon owner record exists and cannot be read as one.
    OwnerRecordUnreadable,
    /// Somebody holds the owner lock and the record is not theirs.
    OwnerRecordStale,
    /// The session exists and cannot be read.
    SessionUnreadable,
    /// config.toml exists and does not parse.
    ConfigUnreadable,
    /// The legacy queue DB exists and cannot be read.
    LegacyQueueUnreadable,
    /// The active queue DB exists and cannot be read.
    ActiveQueueUnreadable,
    /// A queue DB needs a rollback that a read-only command must not do.
    QueueRecoveryNeeded,
    /// The queue DB was written by a newer release.
    QueueSchemaNewer,
    /// The queue DB is not the one a permit or the live daemon knew.
    QueueIdentityChanged,
    /// SPEC_KITTY_HOME points to an empty place while `~/.spec-kitty` holds state.
    HomeAmbiguous,
    /// A daemon of this home runs that the owner record does not name.
    StrayDaemon,
}

impl FaultCode {
    /// Every code.
    pub const ALL: [Self; 11] = [
        Self::OwnerRecordUnreadable,
        Self::OwnerRecordStale,
        Self::SessionUnreadable,
        Self::ConfigUnreadable,
        Self::LegacyQueueUnreadable,
        Self::ActiveQueueUnreadable,
        Self::QueueRecoveryNeeded,
        Self::QueueSchemaNewer,
        Self::QueueIdentityChanged,
        Self::HomeAmbiguous,
        Self::StrayDaemon,
    ];

    /// The canonical name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OwnerRecordUnreadable => "owner_record_unreadable",
            Self::OwnerRecordStale => "owner_record_stale",
            Self::SessionUnreadable => "session_unreadable",
            Self::ConfigUnreadable => "config_unreadable",
            Self::LegacyQueueUnreadable => "legacy_queue_unreadable",
            Self::ActiveQueueUnreadable => "active_queue_unreadable",
            Self::QueueRecoveryNeeded => "queue_recovery_needed",
            Self::QueueSchemaNewer => "queue_schema_newer",
            Self::QueueIdentityChanged => "queue_identity_changed",
            Self::HomeAmbiguous => "home_ambiguous",
            Self::StrayDaemon => "stray_daemon",
        }
    }
}

impl fmt::Display for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Every name a refusal may use. Closed: a test walks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureName {
    /// A field that differs.
    Field(Field),
    /// An orphan owner record.
    OrphanDaemonRecord,
    /// Legacy rows of this scope wait in the legacy queue DB.
    LegacyRowsInScope,
    /// Authentication is required and absent.
    AuthAbsent,
    /// A fault.
    Fault(FaultCode),
}

impl FailureName {
    /// All twenty names, in the order of a refusal.
    pub fn all() -> impl Iterator<Item = Self> {
        Field::ALL
            .into_iter()
            .map(Self::Field)
            .chain([Self::OrphanDaemonRecord, Self::LegacyRowsInScope, Self::AuthAbsent])
            .chain(FaultCode::ALL.into_iter().map(Self::Fault))
    }

    /// The canonical name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Field(field) => field.name(),
            Self::OrphanDaemonRecord => "orphan_daemon_record",
            Self::LegacyRowsInScope => "legacy_rows_in_scope",
            Self::AuthAbsent => "auth_absent",
            Self::Fault(code) => code.name(),
        }
    }
}

impl fmt::Display for FailureName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something that could not be read, or must not be trusted. Never silently "absent".
///
/// JSON: `{code, path, detail, remediation_hint}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which one.
    pub code: FaultCode,
    /// The file it is about, when there is one.
    pub path: Option<PathBuf>,
    /// What is wrong, in one sentence, without the path.
    pub detail: String,
    /// What cures it.
    pub remedy: Remedy,
}

impl Fault {
    /// A fault about `path`.
    pub fn new(code: FaultCode, path: impl Into<PathBuf>, detail: impl Into<String>, remedy: Remedy) -> Self {
        Self { code, path: Some(path.into()), detail: detail.into(), remedy }
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Fault", 4)?;
        out.serialize_field("code", self.code.name())?;
        out.serialize_field("path", &self.path.as_ref().map(|path| path.to_string_lossy()))?;
        out.serialize_field("detail", &self.detail)?;
        out.serialize_field("remediation_hint", &self.remedy.hint())?;
        out.end()
    }
}
