//! Failures of a start: from the start report of the new process, or from its starter.

use contract::{AuthAbsence, Fault, Remedy};

use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use system::private_file::{is_obstructed, make_writable};

/// Failure of a start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum StartFailure {
    /// Hosted sync is switched off.
    #[error("{}", contract::switch::OFF_MESSAGE)]
    SwitchOff,
    /// Not logged in: a daemon could deliver nothing.
    #[error("not logged in")]
    NoLogin {
        /// Its remedy, as text.
        remediation_hint: String,
    },
    /// The login has expired.
    #[error("the login has expired")]
    LoginExpired {
        /// Its remedy, as text.
        remediation_hint: String,
    },
    /// Credentials of an old release name a queue and authenticate no account.
    #[error("not logged in: legacy credentials only name a queue")]
    CredentialsOnly {
        /// Its remedy, as text.
        remediation_hint: String,
    },
    /// The session has no private teamspace, the only kind that rows are sent to.
    #[error("the login has no private teamspace")]
    NoPrivateTeam {
        /// Its remedy, as text.
        remediation_hint: String,
    },
    /// The login or the configuration cannot be read.
    #[error("{}{detail}", if .path.is_empty() { String::new() } else { format!("{path}: ") })]
    IdentityUnreadable {
        /// The file, or empty.
        path: String,
        /// The problem.
        detail: String,
        /// Its remedy, as text.
        remediation_hint: String,
    },
    /// Another daemon of this home holds the owner lock.
    #[error("a daemon of this home runs already")]
    AlreadyRunning,
    /// A daemon of this home holds the owner lock and is of no use as it is.
    #[error("a daemon of this home runs already and does not work: {detail}")]
    HolderUnfit {
        /// Problem with it.
        detail: String,
        /// Its remedy, as text.
        remediation_hint: String,
    },
    /// A daemon of the Python CLI runs in this home.
    #[error("a daemon of the Python CLI runs in this home, pid {pid}")]
    ReferenceAlive {
        /// Its pid.
        pid: i64,
    },
    /// Several homes share the lock file by hard links.
    #[error("{} has {links} hard links: another home shares this lock", contract::text::path(.path))]
    SharedLock {
        /// The lock file.
        path: PathBuf,
        /// Its names.
        links: u64,
    },
    /// The home cannot be used.
    #[error("the home cannot be used: {detail}")]
    HomeUnusable {
        /// The system's error.
        detail: String,
        /// Its remedy, as text.
        remediation_hint: String,
    },
    /// The control plane could not be opened.
    #[error("the control plane could not be opened: {detail}")]
    ControlPlane {
        /// The system's error.
        detail: String,
    },
    /// The record or the control file could not be written.
    #[error("{detail}")]
    RecordNotWritten {
        /// The file, and the error of the system.
        detail: String,
        /// Its remedy, as text.
        remediation_hint: String,
    },
    /// A daemon never starts another one.
    #[error("this command was started by a daemon, and a daemon never starts another one")]
    Nested,
    /// The program could not be started.
    #[error("{} could not be started: {detail}", contract::text::path(.executable))]
    NotExecuted {
        /// The program.
        executable: PathBuf,
        /// The system's error.
        detail: String,
    },
    /// The new process ended without a report.
    #[error("the new daemon ended without a report; its log is {}", contract::text::path(.log))]
    EndedSilently {
        /// Its log.
        log: PathBuf,
    },
    /// The new process sends nothing within the deadline; it may still become ready.
    #[error("the new daemon, pid {pid}, is not ready yet; its log is {}", contract::text::path(.log))]
    NotReadyYet {
        /// Its pid.
        pid: u32,
        /// Its log.
        log: PathBuf,
    },
}

impl From<&Fault> for StartFailure {
    /// The login or the configuration cannot be read.
    fn from(fault: &Fault) -> Self {
        Self::IdentityUnreadable {
            path: fault.path.as_deref().map(contract::text::path).unwrap_or_default(),
            detail: fault.detail.clone(),
            remediation_hint: fault.remedy.hint(),
        }
    }
}

impl StartFailure {
    /// No one may send with a login that is absent for this reason; `remedy` is its remedy.
    pub fn unauthenticated(absence: AuthAbsence, remedy: &Remedy) -> Self {
        let remediation_hint = remedy.hint();
        match absence {
            // An unreadable token or session has its own fault, which is reported first.
            AuthAbsence::LoggedOut | AuthAbsence::TokenUnreadable | AuthAbsence::Unreadable => {
                Self::NoLogin { remediation_hint }
            }
            AuthAbsence::Expired { .. } => Self::LoginExpired { remediation_hint },
            AuthAbsence::CredentialsOnly => Self::CredentialsOnly { remediation_hint },
            AuthAbsence::NoPrivateTeam => Self::NoPrivateTeam { remediation_hint },
        }
    }

    /// The home cannot be used because of `error` at `path`: `doctor repair` moves away what occupies a
    /// path, and changes nothing about a full, read-only or foreign file system.
    pub fn home_unusable(detail: impl Into<String>, path: &Path, error: &io::Error) -> Self {
        let remedy = if is_obstructed(error) {
            identity::file_remedy::repair(path)
        } else {
            make_writable(path, error)
        };
        Self::HomeUnusable { detail: detail.into(), remediation_hint: remedy.hint() }
    }

    /// Whether a login that may send is all that is missing.
    pub fn is_unauthenticated(&self) -> bool {
        matches!(
            self,
            Self::NoLogin { .. }
                | Self::LoginExpired { .. }
                | Self::CredentialsOnly { .. }
                | Self::NoPrivateTeam { .. }
        )
    }

    /// Its remedy, if there is one.
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::NoLogin { remediation_hint }
            | Self::LoginExpired { remediation_hint }
            | Self::CredentialsOnly { remediation_hint }
            | Self::NoPrivateTeam { remediation_hint }
            | Self::IdentityUnreadable { remediation_hint, .. }
            | Self::HolderUnfit { remediation_hint, .. }
            | Self::HomeUnusable { remediation_hint, .. }
            | Self::RecordNotWritten { remediation_hint, .. } => Some(
                [Remedy::Login, Remedy::LoginServer, Remedy::Repair, Remedy::RestartDaemon]
                    .into_iter()
                    .find(|remedy| remedy.hint() == *remediation_hint)
                    .unwrap_or_else(|| Remedy::Advice(remediation_hint.clone())),
            ),
            Self::AlreadyRunning | Self::ReferenceAlive { .. } => Some(Remedy::RestartDaemon),
            Self::SwitchOff => {
                let (variable, key) = (contract::switch::VARIABLE, contract::switch::KEY);
                Some(Remedy::Advice(format!(
                    "set {variable}=1 to switch hosted sync on, or unset it and run \
                     `spec-kitty config set {key} true`"
                )))
            }
            Self::SharedLock { path, .. } => {
                Some(Remedy::Advice(contract::owner_record::unlink_advice(path)))
            }
            Self::ControlPlane { .. }
            | Self::Nested
            | Self::NotExecuted { .. }
            | Self::EndedSilently { .. }
            | Self::NotReadyYet { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::FaultCode;

    #[test]
    fn unreadable_identity_keeps_its_remedy_through_the_pipe() {
        for remedy in [Remedy::Login, Remedy::Repair, Remedy::Advice("correct line 2".into())] {
            let fault = Fault::new(FaultCode::ConfigUnreadable, "/h/config.toml", "is bad", remedy.clone());
            let text = serde_json::to_string(&StartFailure::from(&fault)).expect("json");
            let heard: StartFailure = serde_json::from_str(&text).expect("a failure");
            assert_eq!(heard.remedy(), Some(remedy));
            assert_eq!(heard.to_string(), "/h/config.toml: is bad");
        }
    }
}
