//! Detects that the executable on disk was replaced.

use std::path::{Path, PathBuf};
use system::file::{self, FileIdentity};

/// Remembers the executable of this run.
#[derive(Debug)]
pub(crate) struct ExecutableWatch {
    path: PathBuf,
    identity: Option<FileIdentity>,
}

impl ExecutableWatch {
    /// Records the file at `path`.
    pub(crate) fn observe(path: &Path) -> Self {
        Self { path: path.to_path_buf(), identity: identity(path) }
    }

    /// Whether something else, or nothing, is there now. A file that could not be read in the
    /// first place is never called replaced.
    pub(crate) fn observe_replaced(&self) -> bool {
        self.identity.is_some() && identity(&self.path) != self.identity
    }
}

fn identity(path: &Path) -> Option<FileIdentity> {
    std::fs::metadata(path).ok().map(|metadata| file::file_identity(&metadata))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn upgrade_and_a_removal_are_seen_and_nothing_else_is() {
        let home = tempfile::tempdir().expect("a directory");
        let program = home.path().join("spec-kitty");
        fs::write(&program, "one").expect("written");
        let watch = ExecutableWatch::observe(&program);
        assert!(!watch.observe_replaced());
        fs::write(home.path().join("new"), "two!").expect("written");
        fs::rename(home.path().join("new"), &program).expect("renamed");
        assert!(watch.observe_replaced());
        fs::remove_file(&program).expect("removed");
        assert!(watch.observe_replaced());
        assert!(!ExecutableWatch::observe(&program).observe_replaced());
    }
}
