//! The closed list of canonical failure names, and faults: observations that failed.

use crate::remedy::Remedy;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::PathBuf;

/// An enum of fixed names. Variants, `ALL` and `name` are made from one list, so a loop over `ALL` misses none.
macro_rules! named {
    (
        $(#[$about:meta])*
        pub enum $enum:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)+ }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $enum { $($(#[$doc])* $variant,)+ }

        impl $enum {
            /// All of them, in canonical order.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The canonical name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

named! {
    /// One of the six facts that foreground and daemon must agree on, in canonical order.
    pub enum Field {
        /// The version of the build.
        PackageVersion = "daemon_package_version",
        /// The running executable.
        ExecutablePath = "daemon_executable_path",
        /// The checkout or prefix that it belongs to.
        SourcePath = "daemon_source_path",
        /// The server of the login.
        ServerUrl = "daemon_server_url",
        /// The account.
        TeamOrUser = "daemon_team_or_user",
        /// The queue DB.
        QueueDbPath = "daemon_queue_db_path",
    }
}

named! {
    /// Code of an observation that failed, or that makes the machine incoherent.
    pub enum FaultCode {
        /// The daemon owner record exists and is not valid.
        OwnerRecordUnreadable = "owner_record_unreadable",
        /// The owner lock is held and the record is not its holder's.
        OwnerRecordStale = "owner_record_stale",
        /// The session exists and cannot be read.
        SessionUnreadable = "session_unreadable",
        /// config.toml exists and does not parse.
        ConfigUnreadable = "config_unreadable",
        /// The legacy queue DB exists and cannot be read.
        LegacyQueueUnreadable = "legacy_queue_unreadable",
        /// The active queue DB exists and cannot be read.
        ActiveQueueUnreadable = "active_queue_unreadable",
        /// A queue DB needs a rollback that a read-only command must not do.
        QueueRecoveryNeeded = "queue_recovery_needed",
        /// The queue DB was written by a newer release.
        QueueSchemaNewer = "queue_schema_newer",
        /// The queue DB is not the one that a permit or the live daemon opened.
        QueueIdentityChanged = "queue_identity_changed",
        /// SPEC_KITTY_HOME points to an empty place while `~/.spec-kitty` holds state.
        HomeAmbiguous = "home_ambiguous",
        /// Another user owns the state directory or a file in it that decides, or every user may write in it.
        HomeNotPrivate = "home_not_private",
        /// The server URL that decides cannot be used for any request.
        ServerUrlInvalid = "server_url_invalid",
        /// A running daemon of this home is not the one in the owner record.
        StrayDaemon = "stray_daemon",
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
    /// All names, in the order of a refusal.
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

/// A file that could not be read or must not be trusted. It never counts as absent.
///
/// JSON: `{code, path, detail, remediation_hint}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its code.
    pub code: FaultCode,
    /// The affected file, if there is one.
    pub path: Option<PathBuf>,
    /// The fault in one sentence, without the path.
    pub detail: String,
    /// Its remedy.
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
