//! File systems that take nothing: full ones and read-only ones. A command's error names the file, what
//! is really wrong with it, and the way out; and nothing local was written before.
//!
//! Needs mounts of one's own (`unshare --map-root-user --mount`).
#![cfg(target_os = "linux")]

use crate::worlds::*;
use std::process::Command;
use testkit::{Run, World};

/// Runs the program after `mounts`, a piece of shell in which `$1` is the state root.
pub(crate) fn run_behind(world: &World, mounts: &str, arguments: &[&str]) -> Run {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-ec"]);
        command
    };
    let probe = unshare().args(["mount -t tmpfs none /mnt"]).output().unwrap();
    assert!(probe.status.success(), "unshare gives no private mounts: {probe:?}");
    let mut command = unshare();
    command.arg(format!("{mounts}\nshift; exec \"$@\"")).arg("sh").arg(world.root());
    command.arg(world.binary()).args(arguments);
    world.dress(&mut command);
    testkit::world::finish(command)
}

/// The state root on a file system of its own that is full to the last byte.
pub(crate) const FULL: &str =
    "cp -a \"$1\" \"$1.kept\"; mount -t tmpfs -o size=2m none \"$1\"; cp -a \"$1.kept/.\" \"$1\"
    cat /dev/zero > \"$1/filler\" 2> /dev/null || true";

const READ_ONLY: &str = "mount --bind \"$1\" \"$1\"; mount -o remount,bind,ro \"$1\"";

#[test]
#[ignore = "needs private mounts (unshare)"]
fn full_disk_is_named_before_any_local_write() {
    let (world, _) = with_mission();
    let argv = ["agent", "mission", "create", "gadgets", "--json"];
    let run = run_behind(&world, FULL, &argv);
    let json = run.exits(1).json();
    let error = json["error"].as_str().unwrap();
    assert!(error.contains("No space left") && !error.contains(".tmp"), "{error}");
    assert!(error.contains(world.root().to_str().unwrap()), "{error}");
    let hint = json["remediation"][0].as_str().unwrap();
    assert!(hint.contains("free space on the file system of "), "{json:#}");
    let missions = std::fs::read_dir(world.work().join("kitty-specs")).unwrap().count();
    assert_eq!(missions, 1, "nothing local was written");
}

#[test]
#[ignore = "needs private mounts (unshare)"]
fn read_only_file_system_is_not_blamed_on_the_mode() {
    let (world, _) = with_mission();
    let run = run_behind(&world, READ_ONLY, &["sync", "parked", "retry", "--all"]);
    // Nothing is parked, so nothing has to be written.
    let _ = run.exits(0);
    for argv in [&["sync", "gc", "--json"][..], &["sync", "migrate", "--json"]] {
        let json = run_behind(&world, READ_ONLY, argv).exits(1).json();
        let error = json["error"].as_str().unwrap();
        assert!(error.contains(".db is not writable: its file system is mounted read-only"), "{error}");
        assert!(
            json["remediation"][0].as_str().unwrap().starts_with("mount the file system of "),
            "{json:#}"
        );
    }
    for argv in [
        &["sync", "opt-in", "--yes", "--json"][..],
        &["sync", "now", "--json"],
        &["config", "set", "sync.hosted", "true", "--json"],
        &["auth", "logout", "--force", "--json"],
        &["sync", "daemon", "start", "--json"],
    ] {
        let json = run_behind(&world, READ_ONLY, argv).exits(1).json();
        let hint = json["remediation"][0].as_str().unwrap_or_default();
        assert!(hint.starts_with("mount the file system of "), "{argv:?}: {json:#}");
    }
}

/// A file system that cannot be written makes no healthy machine, and looking at it writes nothing.
#[test]
#[ignore = "needs private mounts (unshare)"]
fn doctor_names_a_full_disk_and_a_read_only_home_with_numbers() {
    let (world, _) = with_mission();
    let find = |mounts: &str, code: &str| {
        let run = run_behind(&world, mounts, &["sync", "doctor", "--offline", "--json"]);
        let doctor = run.exits(1).json();
        let checks = doctor["checks"].as_array().unwrap().clone();
        let home = checks.into_iter().find(|check| check["name"] == "home").unwrap();
        let findings = home["findings"].as_array().unwrap().clone();
        assert_eq!(findings.len(), 1, "{home:#}");
        assert_eq!(findings[0]["code"], code, "{home:#}");
        findings[0].clone()
    };
    let full = find(FULL, "disk_full");
    let detail = full["detail"].as_str().unwrap();
    assert!(detail.contains("has 0 of 2097152 bytes free"), "{detail}");
    assert!(full["remediation"][0].as_str().unwrap().starts_with("free space on the file system of "));
    let few = "cp -a \"$1\" \"$1.kept\"; mount -t tmpfs -o size=9m,nr_inodes=64 none \"$1\"
        cp -a \"$1.kept/.\" \"$1\"; i=0; while touch \"$1/f$i\" 2> /dev/null; do i=$((i + 1)); done";
    let inodes = find(few, "disk_full");
    assert!(inodes["detail"].as_str().unwrap().contains("has 0 of 64 inodes free"), "{inodes:#}");
    let read_only = find(READ_ONLY, "read_only_file_system");
    let detail = read_only["detail"].as_str().unwrap();
    assert!(detail.contains(world.root().to_str().unwrap()) && detail.ends_with("mounted read-only"));
    let setup = run_behind(&world, READ_ONLY, &["sync", "setup", "--json"]);
    assert!(setup.stdout.contains("read_only_file_system"), "{}", setup.stdout);
}

type Damage = fn(&World) -> std::io::Result<()>;

/// A repair moves files and writes new ones: where nothing can be written, what makes it possible is named
/// first, in every text that offers it.
#[test]
#[ignore = "needs private mounts (unshare)"]
fn repair_is_offered_only_where_files_can_be_written() {
    let break_queue =
        |world: &World| std::fs::write(world.home().scoped_queue(&world.scope()), "x".repeat(99));
    let break_record = |world: &World| {
        std::fs::create_dir_all(world.home().daemon_dir()).unwrap();
        std::fs::write(world.home().owner_record(), "{")
    };
    let breaks: [(&str, Damage); 2] =
        [("active_queue_unreadable", break_queue), ("owner_record_unreadable", break_record)];
    for (code, damage) in breaks {
        let (world, _) = with_mission();
        damage(&world).unwrap();
        let hint = |run: Run| {
            let status = run.exits(2).json();
            let faults = status["faults"].as_array().unwrap().clone();
            let fault = faults.into_iter().find(|fault| fault["code"] == code).unwrap();
            fault["remediation_hint"].as_str().unwrap().to_owned()
        };
        let check = ["sync", "status", "--check", "--json"];
        for (mounts, first) in
            [(READ_ONLY, "mount the file system of "), (FULL, "free space on the file system of ")]
        {
            let run = run_behind(&world, mounts, &check);
            let found = hint(run);
            assert!(found.starts_with(first) && found.contains("SPEC_KITTY_HOME"), "{code}: {found}");
            for argv in [&["sync", "now"][..], &["sync", "doctor", "--offline"], &["doctor", "repair"]] {
                let run = run_behind(&world, mounts, argv);
                let text = format!("{}{}", run.stdout, run.stderr);
                assert!(run.code != Some(0) && text.contains(first), "{code}: {argv:?}: {text}");
                let bare = text.lines().find(|line| line.trim() == "spec-kitty doctor repair");
                assert_eq!(bare, None, "{code}: {argv:?}: {text}");
            }
            let _ = std::fs::remove_dir_all(format!("{}.kept", world.root().display()));
        }
        assert_eq!(hint(world.run(check)), "spec-kitty doctor repair");
        world.run(["doctor", "repair"]).exits(0);
        world.run(check).exits(0);
    }
}
