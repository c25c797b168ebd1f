//! The six facts of the running process (contract section 1).

use crate::{home::Home, login::Login, paths};
use contract::ForegroundIdentity;
use std::path::{Path, PathBuf};

/// What the build of the binary knows about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    /// The crate version.
    pub version: String,
    /// The short commit it was built from, when known.
    pub commit: Option<String>,
    /// Whether it is a release build: those are named by their version alone.
    pub release: bool,
}

impl BuildInfo {
    /// The package version: the crate version, plus `+<short commit>` for a build that is no release.
    pub fn package_version(&self) -> String {
        match &self.commit {
            Some(commit) if !self.release => format!("{}+{commit}", self.version),
            _ => self.version.clone(),
        }
    }
}

/// The identity of this process. Asks the system where the executable is and resolves paths; writes
/// nothing.
///
/// `queue_db_path` is empty when something is unreadable and the active queue is therefore unknown
/// (see [`Login::active_queue`]).
pub fn observe_foreground(build: &BuildInfo, home: &Home, login: &Login) -> ForegroundIdentity {
    let executable = observe_executable();
    let server_url = login.server_url.clone();
    let team_or_user =
        login.scope.as_ref().filter(|_| server_url.is_some()).map(contract::Scope::team_or_user);
    ForegroundIdentity {
        package_version: build.package_version(),
        source_path: source_of(&executable),
        executable_path: executable,
        server_url: server_url.filter(|_| team_or_user.is_some()),
        team_or_user,
        queue_db_path: login
            .active_queue(home)
            .map(|path| paths::canonical_or_clean(&path))
            .unwrap_or_default(),
        pid: std::process::id(),
    }
}

/// The running executable, canonical. Falls back to what the process was called with on a system that
/// does not tell.
fn observe_executable() -> PathBuf {
    let path = std::env::current_exe().ok().or_else(|| std::env::args_os().next().map(PathBuf::from));
    path.map(|path| paths::canonical_or_clean(&path)).unwrap_or_default()
}

/// The checkout root when `executable` lies in a cargo target directory, else the directory above its
/// `bin`, else its own directory.
fn source_of(executable: &Path) -> PathBuf {
    let directory = executable.parent().unwrap_or(executable);
    let checkout = directory.ancestors().find_map(|ancestor| {
        let root = ancestor.parent()?;
        let target = ancestor.file_name()? == "target";
        (target && root.join("Cargo.toml").is_file()).then_some(root)
    });
    let above_bin = || directory.parent().filter(|_| directory.file_name().is_some_and(|name| name == "bin"));
    checkout.or_else(above_bin).unwrap_or(directory).to_path_buf()
}
