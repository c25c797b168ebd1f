//! State files of a home as a table, and the check whether each can be used.
//!
//! Every file and directory of this program in a home is listed once. A member may be absent. It is unusable
//! when its path has another kind (a directory, a dangling link, a pipe) or this user may not read it. Read-only.

use crate::home::Home;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Required kind of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateKind {
    /// A regular file that can be replaced by a new one when it is moved aside.
    File,
    /// A regular file with decisions of the user, which are lost when it is moved aside.
    Decisions,
    /// A directory.
    Directory,
}

/// A member of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateFile {
    /// Its path.
    pub path: PathBuf,
    /// Its required kind.
    pub kind: StateKind,
}

/// Code of an unusable state file.
pub const UNUSABLE: &str = "state_file_unusable";

impl Home {
    /// Every file and directory of this program in the home, absent ones included: directories, then files, then
    /// the files of the queue directory.
    pub fn state_files(&self) -> Vec<StateFile> {
        let daemon = self.daemon_dir();
        let directories = [self.queues_dir(), self.auth_dir(), daemon.clone()];
        let files = [
            self.config_lock(),
            self.session_file(),
            self.session_salt(),
            self.session_lock(),
            self.session_hot_path(),
            self.session_cache_file(),
            self.refresh_lock(),
            self.credentials_file(),
            self.clock_file(),
            self.clock_lock(),
            self.legacy_queue(),
            self.owner_record(),
            self.owner_lock(),
            self.control_file(),
            self.daemon_log(),
            daemon.join("starts"),
            daemon.join("stops.json"),
            self.state_file(),
        ];
        let of = |kind| move |path| StateFile { path, kind };
        let mut all: Vec<StateFile> = directories.into_iter().map(of(StateKind::Directory)).collect();
        all.push(StateFile { path: self.config_file(), kind: StateKind::Decisions });
        all.extend(files.into_iter().map(of(StateKind::File)));
        all.extend(queue_files(&self.queues_dir()).into_iter().map(of(StateKind::File)));
        all
    }
}

/// The queue DBs of all scopes, their drain locks and their birth records, by name.
fn queue_files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let is_ours = |name: &str| {
        name.starts_with("queue-") && [".db", ".drain.lock", ".id"].iter().any(|end| name.ends_with(end))
    };
    let mut paths: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(is_ours))
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths
}

/// Reason why the member cannot be used; none when it can, or is absent. The text completes "it ...".
pub fn observe_state_file(file: &StateFile) -> Option<String> {
    let wants_directory = file.kind == StateKind::Directory;
    match file.path.metadata() {
        Ok(metadata) if wants_directory => {
            (!metadata.is_dir()).then(|| "is not a directory".to_owned()).or_else(|| {
                let denied = file.path.read_dir().err()?;
                Some(format!("cannot be read: {denied}"))
            })
        }
        Ok(metadata) if metadata.is_dir() => Some("is a directory, not a file".to_owned()),
        Ok(metadata) if !metadata.is_file() => Some("is not a regular file".to_owned()),
        Ok(_) => system::regular::open(&file.path).err().map(|error| format!("cannot be read: {error}")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let link = file.path.symlink_metadata().is_ok();
            link.then(|| "is a symbolic link to something that does not exist".to_owned())
        }
        // A file in place of a parent directory is reported for that directory.
        Err(error) if error.kind() == ErrorKind::NotADirectory => None,
        Err(error) => Some(format!("cannot be read: {error}")),
    }
}
