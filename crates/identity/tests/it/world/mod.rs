//! The recorded homes of the reference, and what the tests write into a home.
#![allow(dead_code, reason = "each test binary uses its part")]

use identity::Environment;
use jiff::Timestamp;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use system::Machine;
use testkit::World;
use testkit::world::HOME_VARIABLE;

/// The recorded state of the reference.
pub(crate) fn recorded(name: &str) -> PathBuf {
    testkit::shared().join("fixtures/disk").join(name)
}

/// A recorded JSON document.
pub(crate) fn recorded_json(name: &str) -> serde_json::Value {
    // The recorder's JSON has a number that JSON does not allow.
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

/// A copy of a recorded `.spec-kitty`, with the modes that a repository does not keep.
pub(crate) fn copy_of(state: &Path) -> World {
    let world = World::of_library();
    let home = world.home();
    if state.exists() {
        testkit::tree::copy(state, home.root()).expect("a copy");
    }
    if home.session_file().exists() {
        set_mode(&home.auth_dir(), 0o700);
        set_mode(&home.session_file(), 0o600);
    }
    world
}

/// The environment of a home, with more variables.
pub(crate) fn environment_with(world: &World, pairs: &[(&str, &str)]) -> Environment {
    let home = (HOME_VARIABLE, world.user_home().as_os_str());
    Environment::from_pairs(
        std::iter::once(home).chain(pairs.iter().map(|(name, value)| (*name, OsStr::new(*value)))),
    )
}

#[cfg(unix)]
pub(crate) fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

#[cfg(not(unix))]
pub(crate) fn set_mode(_path: &Path, _mode: u32) {}
