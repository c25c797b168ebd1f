//! Parsers that read files by name: each input is written into a directory first.

use identity::credentials::read_credentials;
use identity::git::read_git_facts;
use identity::{Config, Environment, Home};
use mission::merge::{Driver, Sides, merge as merge_sides};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn write(path: &Path, bytes: &[u8]) {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).expect("a directory");
    }
    fs::write(path, bytes).expect("a file");
}

/// config.toml is read or is a fault.
pub(crate) fn config(input: &[u8]) {
    let directory = directory();
    let home = Home::resolve(&Environment::from_pairs([("HOME", directory.path())])).expect("a home");
    write(&home.config_file(), input);
    if let Ok(config) = Config::read(&home) {
        let _ = (config.destination(), config.decided_projects().count());
    }
}

/// The credentials of earlier releases.
pub(crate) fn credentials(input: &[u8]) {
    let directory = directory();
    let path = directory.path().join("credentials");
    write(&path, input);
    let _ = read_credentials(&path);
}

/// HEAD, packed references, configuration: four files out of one input.
pub(crate) fn git(input: &[u8]) {
    let directory = directory();
    let mut parts = input.splitn(4, |byte| *byte == 0);
    for name in ["HEAD", "config", "packed-refs", "refs/heads/main"] {
        write(&directory.path().join(".git").join(name), parts.next().unwrap_or_default());
    }
    if let Ok(Some(facts)) = read_git_facts(directory.path()) {
        let _ = (facts.branch(), facts.commit());
    }
}

/// Each driver merges any three sides, or refuses. Equal sides have no conflict, and stay.
pub(crate) fn merge(input: &[u8]) {
    let directory = directory();
    let mut parts = input.splitn(3, |byte| *byte == 0);
    let [base, ours, theirs] = [(); 3].map(|()| parts.next().unwrap_or_default());
    let paths = ["base", "ours", "theirs"].map(|name| directory.path().join(name));
    for driver in Driver::all() {
        for (path, side) in paths.iter().zip([base, ours, theirs]) {
            write(path, side);
        }
        let _ = merge_sides(driver, Sides { base: &paths[0], ours: &paths[1], theirs: &paths[2] });
    }
}
