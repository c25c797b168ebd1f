//! A home in a temporary directory, and the recorded homes of the reference when they are there.
#![allow(dead_code, reason = "each test binary uses its part")]

use identity::{Environment, Home};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use system::Machine;

/// The recorded state of the reference.
pub(crate) fn recorded(name: &str) -> PathBuf {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/fixtures/disk")).join(name);
    assert!(path.exists(), "the recorded data is missing: {}", path.display());
    path
}

/// A recorded JSON document.
pub(crate) fn recorded_json(name: &str) -> serde_json::Value {
    // The recorder's JSON knows a number that JSON does not.
    let text = fs::read_to_string(recorded(name)).expect("a document").replace(": Infinity", ": null");
    serde_json::from_str(&text).expect("JSON")
}

/// The machine on which the recorded sessions were written.
pub(crate) fn recorded_machine() -> Machine {
    Machine { hostname: "fixture-host".to_owned(), uid: 1000 }
}

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// The day of the recordings.
pub(crate) fn today() -> Timestamp {
    time("2026-11-22T12:00:00Z")
}

/// A user's home directory.
pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) home: Home,
}

impl World {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let home = Home::resolve(&environment_of(directory.path())).expect("a home");
        Self { directory, home }
    }

    /// A copy of a recorded `.spec-kitty`, with the modes that a repository does not keep.
    pub(crate) fn copy_of(state: &Path) -> Self {
        let world = Self::new();
        if state.exists() {
            copy_tree(state, world.home.root());
        }
        if world.home.session_file().exists() {
            set_mode(&world.home.auth_dir(), 0o700);
            set_mode(&world.home.session_file(), 0o600);
        }
        world
    }

    pub(crate) fn environment(&self) -> Environment {
        environment_of(self.directory.path())
    }

    /// The environment of this home with more variables.
    pub(crate) fn environment_with(&self, pairs: &[(&str, &str)]) -> Environment {
        let home = (OsString::from(home_variable()), self.directory.path().as_os_str().to_owned());
        let more = pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        Environment::from_pairs(std::iter::once(home).chain(more))
    }

    pub(crate) fn write(&self, path: &Path, content: impl AsRef<[u8]>) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, content).expect("a file");
    }

    pub(crate) fn configure(&self, text: &str) {
        self.write(&self.home.config_file(), text);
    }
}

pub(crate) fn home_variable() -> &'static str {
    if cfg!(windows) { "USERPROFILE" } else { "HOME" }
}

pub(crate) fn environment_of(user_home: &Path) -> Environment {
    Environment::from_pairs([(home_variable(), user_home)])
}

pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("entries") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::write(&target, fs::read(entry.path()).expect("a file")).expect("a copy");
        }
    }
}

#[cfg(unix)]
pub(crate) fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

#[cfg(not(unix))]
pub(crate) fn set_mode(_path: &Path, _mode: u32) {}

/// Every file and directory below `root` with its mode and the hash of its content.
pub(crate) fn hash_tree(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut tree = BTreeMap::new();
    visit(root, &mut tree);
    tree
}

fn visit(path: &Path, tree: &mut BTreeMap<PathBuf, String>) {
    let metadata = path.symlink_metadata().expect("metadata");
    let content = if metadata.is_file() {
        fs::read(path).map(|bytes| data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))).unwrap_or_default()
    } else {
        String::new()
    };
    let modified = metadata.modified().expect("a time");
    tree.insert(path.to_path_buf(), format!("{:?} {modified:?} {content}", metadata.permissions()));
    if metadata.is_dir() {
        for entry in fs::read_dir(path).expect("entries") {
            visit(&entry.expect("an entry").path(), tree);
        }
    }
}
