//! Every file that the binary reads may be malformed, truncated, huge, locked, forbidden or no file at
//! all. Never a panic, never a hang, never a silent "all fine"; the message names the file and the
//! remedy.

mod databases;
mod homes;
mod logins;
mod passwords;
#[cfg(target_os = "linux")]
mod plain_user;
mod records;

use crate::worlds::fresh;
use contract::OwnerRecord;
use rstest::rstest;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use testkit::owner::{agreeing, stand_in, write};
use testkit::reference_queue::{ReferenceQueue, leave_hot_journal};
use testkit::tree::{difference, snapshot};
use testkit::{Run, World};

fn world() -> World {
    let world = fresh();
    world.log_in();
    world
}

/// `--check` and its JSON both refuse, name the fault, the file and a remedy, and change nothing.
#[track_caller]
fn refuses_with(world: &World, fault: &str, file: &str, remedy: &str) -> Run {
    let before = snapshot(world.user_home());
    let json = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
    let text = world.run(["sync", "status", "--check"]).exits(2);
    let now = world.run(["sync", "now"]).exits(2);
    assert_eq!(difference(&before, &snapshot(world.user_home())), Vec::<String>::new());
    let found = json["faults"].as_array().unwrap().iter().find(|entry| entry["code"] == fault);
    let found = found.unwrap_or_else(|| panic!("no {fault} in {json:#}"));
    let path = found["path"].as_str().unwrap_or_default();
    assert!(path.ends_with(file), "{path}");
    assert!(found["remediation_hint"].as_str().unwrap().contains(remedy), "{found}");
    for stream in [&text.stdout, &now.stderr] {
        assert!(stream.contains(fault) && stream.contains(file) && stream.contains(remedy), "{stream}");
    }
    for run in [&text, &now] {
        assert!(!run.stderr.contains("panicked") && !run.stdout.contains("panicked"), "{run:?}");
    }
    now
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(length)
    .collect()
}

#[cfg(unix)]
fn chmod(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
