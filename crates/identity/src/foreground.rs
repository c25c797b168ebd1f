//! The foreground identity of this process (contract section 1).

use crate::{home::Home, login::Login, paths};
use contract::ForegroundIdentity;
use std::path::{Path, PathBuf};

/// Version and commit of the binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    /// The crate version.
    pub version: String,
    /// The short commit it was built from, when known.
    pub commit: Option<String>,
    /// Whether it is a release build, whose package version has no commit.
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

/// The identity of this process. Reads the executable's path and resolves paths; writes nothing.
///
/// `queue_db_path` is empty when the active queue is unknown (see [`Login::active_queue`]).
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

/// The running executable, canonical. Falls back to `argv[0]` where the system does not report it.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_builds_that_are_no_release_name_their_commit() {
        let build = |commit: Option<&str>, release| BuildInfo {
            version: "3.3.0".to_owned(),
            commit: commit.map(str::to_owned),
            release,
        };
        assert_eq!(build(Some("abc1234"), false).package_version(), "3.3.0+abc1234");
        assert_eq!(build(Some("abc1234"), true).package_version(), "3.3.0");
        assert_eq!(build(None, false).package_version(), "3.3.0");
    }

    #[test]
    fn source_is_the_checkout_the_prefix_or_the_directory() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path();
        let checkout = root.join("checkout");
        fs::create_dir_all(checkout.join("target")).expect("a directory");
        let built = checkout.join("target").join("x86").join("release").join("deps").join("spec-kitty");
        assert_eq!(source_of(&built), checkout.join("target/x86/release/deps"), "no Cargo.toml, no checkout");
        fs::write(checkout.join("Cargo.toml"), "").expect("a manifest");
        assert_eq!(source_of(&built), checkout);
        assert_eq!(source_of(&root.join("opt").join("bin").join("spec-kitty")), root.join("opt"));
        assert_eq!(source_of(&root.join("apps").join("spec-kitty")), root.join("apps"));
        assert_eq!(source_of(Path::new("")), Path::new(""));
    }

    #[test]
    fn this_test_runs_from_a_checkout() {
        let executable = observe_executable();
        assert!(executable.is_absolute() && executable.exists());
        if executable.components().any(|part| part.as_os_str() == "target") {
            assert!(source_of(&executable).join("Cargo.toml").is_file());
        }
    }
}
