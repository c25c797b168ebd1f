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

    /// Its cause, in one or two sentences of Markdown; see [`FailureName::remedy_text`].
    pub const fn cause(self) -> &'static str {
        match self {
            Self::Field(Field::PackageVersion) => "The daemon is of another version.",
            Self::Field(Field::ExecutablePath) => "The daemon runs another executable.",
            Self::Field(Field::SourcePath) => "The daemon belongs to another checkout or installation.",
            Self::Field(Field::ServerUrl) => "The daemon delivers to another server than that of the login.",
            Self::Field(Field::TeamOrUser) => "The daemon acts for another user or team than the login.",
            Self::Field(Field::QueueDbPath) => "The daemon drains another queue DB than the active one.",
            Self::OrphanDaemonRecord => "A daemon ended without removing its owner record.",
            Self::LegacyRowsInScope => "Rows of this account wait in the legacy queue DB.",
            Self::AuthAbsent => {
                "Not authenticated. The reason follows the name: `not logged in`, `login expired on DATE`, \
                 `credentials of an earlier release are no login`, `session unreadable`, `no private teamspace` \
                 or `token unreadable`."
            }
            Self::Fault(FaultCode::OwnerRecordUnreadable) => "The file is not a valid daemon owner record.",
            Self::Fault(FaultCode::OwnerRecordStale) => {
                "A daemon holds the owner lock, and the record is absent or of another daemon."
            }
            Self::Fault(FaultCode::SessionUnreadable) => {
                "A login exists and cannot be read: its mode, its version, its salt, or the key of another machine."
            }
            Self::Fault(FaultCode::ConfigUnreadable) => "config.toml is not TOML.",
            Self::Fault(FaultCode::ServerUrlInvalid) => {
                "The server URL that decides is not valid: no request can be sent."
            }
            Self::Fault(FaultCode::LegacyQueueUnreadable) => {
                "The legacy queue DB is not a database, or not readable."
            }
            Self::Fault(FaultCode::ActiveQueueUnreadable) => {
                "The active queue DB is not a database or not readable; or it had content and is now empty, a \
                 dangling link or without its tables."
            }
            Self::Fault(FaultCode::QueueRecoveryNeeded) => "An interrupted transaction must be rolled back.",
            Self::Fault(FaultCode::QueueSchemaNewer) => "The queue DB was written by a newer release.",
            Self::Fault(FaultCode::QueueIdentityChanged) => {
                "The queue DB is not the file that the running daemon opened."
            }
            Self::Fault(FaultCode::HomeAmbiguous) => {
                "`SPEC_KITTY_HOME` names a directory without state while `~/.spec-kitty` has state."
            }
            Self::Fault(FaultCode::HomeNotPrivate) => {
                "Every user may write to the state directory, or another user owns it or a trusted file in it: config, \
                 session, credentials, session cache, control file, owner record or `sync-daemon`."
            }
            Self::Fault(FaultCode::StrayDaemon) => {
                "A running daemon of this home is not the one in the owner record."
            }
        }
    }

    /// The remedies of every case, as Markdown. A refusal prints the command for its own case.
    pub const fn remedy_text(self) -> &'static str {
        match self {
            Self::Field(Field::TeamOrUser) => {
                "`spec-kitty doctor restart-daemon`; or `spec-kitty auth switch TEAM`, when the session has the \
                 daemon's team."
            }
            Self::Field(_) | Self::Fault(FaultCode::OwnerRecordStale | FaultCode::QueueIdentityChanged) => {
                "`spec-kitty doctor restart-daemon`"
            }
            Self::OrphanDaemonRecord | Self::Fault(FaultCode::StrayDaemon) => {
                "`spec-kitty doctor orphan-daemons --fix`"
            }
            Self::LegacyRowsInScope => {
                "`spec-kitty sync migrate`; `sync now` migrates if nothing else fails."
            }
            Self::AuthAbsent => {
                "`spec-kitty auth login`; with `--server URL` where no valid server is configured. Without a private \
                 teamspace: ask the server's administrator for one, then log in again. With a CI token: set its \
                 variable to a valid token, or unset it. Producing commands also work with `--local-only`."
            }
            Self::Fault(FaultCode::OwnerRecordUnreadable) => {
                "`spec-kitty doctor restart-daemon` while a daemon holds the lock, else `spec-kitty doctor repair`"
            }
            Self::Fault(FaultCode::SessionUnreadable) => {
                "`spec-kitty auth login`; with `--server URL` where no valid server is configured."
            }
            Self::Fault(FaultCode::ConfigUnreadable) => {
                "Correct the line and column that the message names. No command moves this file, because it contains \
                 every opt-out."
            }
            Self::Fault(FaultCode::ServerUrlInvalid) => {
                "`spec-kitty auth login --server URL`; with a CI token: set `SPEC_KITTY_SERVER_URL`."
            }
            Self::Fault(FaultCode::LegacyQueueUnreadable | FaultCode::ActiveQueueUnreadable) => {
                "`spec-kitty doctor repair`"
            }
            Self::Fault(FaultCode::QueueRecoveryNeeded) => {
                "`spec-kitty sync migrate`; as the only failure it refuses no command that may write."
            }
            Self::Fault(FaultCode::QueueSchemaNewer) => "Update spec-kitty.",
            Self::Fault(FaultCode::HomeAmbiguous) => "Unset SPEC_KITTY_HOME, or move the state.",
            Self::Fault(FaultCode::HomeNotPrivate) => {
                "`chmod 700 DIR` if this user may run it, else `SPEC_KITTY_HOME` in a private directory."
            }
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
