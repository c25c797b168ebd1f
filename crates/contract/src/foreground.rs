//! Foreground identity: six facts and a pid.

use serde::{Serialize, Serializer};
use std::path::{Path, PathBuf};

/// The foreground identity (contract section 1). `server_url` and `team_or_user` are both set or
/// neither.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ForegroundIdentity {
    /// Crate version, plus `+<short commit>` for non-release builds.
    pub package_version: String,
    /// The running executable, canonical.
    #[serde(serialize_with = "raw_path")]
    pub executable_path: PathBuf,
    /// The checkout root when the executable lives in a cargo target directory, else the directory
    /// above its `bin`; canonical.
    #[serde(serialize_with = "raw_path")]
    pub source_path: PathBuf,
    /// The server of the login, as configured.
    pub server_url: Option<String>,
    /// `principal/team`, or the principal alone.
    pub team_or_user: Option<String>,
    /// The active queue DB: the scoped one, or the legacy one when no scope can be derived; empty (unknown)
    /// when a source of the scope is unreadable.
    #[serde(serialize_with = "raw_path")]
    pub queue_db_path: PathBuf,
    /// Process id.
    pub pid: u32,
}

/// Serialises a path as one raw string (invalid UTF-8 replaced: JSON has no other choice), and an
/// empty path, which is an unknown one, as null.
pub fn raw_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    if path.as_os_str().is_empty() {
        serializer.serialize_none()
    } else {
        serializer.serialize_str(&path.to_string_lossy())
    }
}
