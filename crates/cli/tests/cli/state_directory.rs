//! The state directory of another user, an open one, and one that cannot be written.
//!
//! Needs root to become other users (`setpriv`), and mounts of one's own (`unshare`).
#![cfg(target_os = "linux")]

use crate::worlds::*;
use serde_json::Value;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;
use std::process::Command;
use testkit::owner::failing_names;
use testkit::tree::{difference, snapshot};
use testkit::{Run, World};

const ADA: u32 = 12345;
const EVE: u32 = 23456;

fn assert_root() {
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    assert!(is_root && Path::new("/usr/bin/setpriv").exists(), "needs root and setpriv");
}

/// Gives everything below `path` to `uid`.
fn give(path: &Path, uid: u32) {
    lchown(path, Some(uid), Some(uid)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        for entry in std::fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), uid);
        }
    }
}

/// Runs the program as `uid`.
fn run_as(world: &World, uid: u32, arguments: &[&str]) -> Run {
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={uid}"), format!("--regid={uid}")]);
    command.args(["--clear-groups", "--"]).arg(world.binary()).args(arguments);
    world.dress(&mut command);
    testkit::world::finish(command)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A login by token with a queue DB, everything owned by `ADA`.
fn world_of_ada() -> World {
    let mut world = fresh();
    world.write_config("[sync]\nserver_url = \"https://example.invalid\"\n").init_project();
    world.set("SPEC_KITTY_TOKEN", "skp_YXxi.secret").set("SPEC_KITTY_SERVER_URL", "https://example.invalid");
    let _ = world.run(["agent", "mission", "create", "earlier"]).exits(0);
    give(world.user_home().parent().unwrap(), ADA);
    world
}

fn finding<'a>(doctor: &'a Value, code: &str) -> &'a Value {
    let checks = doctor["checks"].as_array().unwrap();
    let mut findings = checks.iter().flat_map(|check| check["findings"].as_array().unwrap());
    findings.find(|finding| finding["code"] == code).unwrap_or_else(|| panic!("no {code}: {doctor:#}"))
}

/// The owner of the root directory, or of a file that decides, could choose the destination of rows.
#[test]
#[ignore = "needs root, to act as other users"]
fn foreign_root_or_file_refuses_and_is_not_obeyed() {
    assert_root();
    let world = world_of_ada();
    let home = world.home();
    world.write_state("auth/session.json", b"{");
    give(&home.auth_dir(), ADA);
    let _ = run_as(&world, ADA, &["sync", "status", "--check"]).exits(0);
    std::fs::create_dir_all(home.daemon_dir()).unwrap();
    give(home.daemon_dir().parent().unwrap(), ADA);
    for foreign in [
        world.root(),
        home.config_file(),
        home.session_file(),
        home.credentials_file(),
        home.owner_record(),
        home.control_file(),
        home.state_file(),
    ] {
        let made = !foreign.exists();
        if made {
            std::fs::write(&foreign, "{}").unwrap();
        }
        lchown(&foreign, Some(EVE), Some(EVE)).unwrap();
        if foreign == world.root() {
            set_mode(&foreign, 0o755);
        } else {
            set_mode(&foreign, 0o644);
        }
        let before = snapshot(world.user_home());
        let status = run_as(&world, ADA, &["sync", "status", "--check", "--json"]).exits(2).json();
        let names = failing_names(&status);
        assert!(names.contains(&"home_not_private".to_owned()), "{}: {status:#}", foreign.display());
        let faults = status["faults"].as_array().unwrap();
        let fault = faults.iter().find(|fault| fault["code"] == "home_not_private").unwrap();
        assert_eq!(fault["path"], foreign.to_str().unwrap());
        assert!(fault["detail"].as_str().unwrap().contains("uid 23456"), "{fault:#}");
        assert!(fault["remediation_hint"].as_str().unwrap().contains("SPEC_KITTY_HOME"), "{fault:#}");
        for verb in [&["sync", "now"][..], &["agent", "mission", "create", "other"], &["config", "list"]] {
            let refused = run_as(&world, ADA, verb).exits(2);
            assert!(refused.stderr.contains("home_not_private"), "{verb:?}: {}", refused.stderr);
        }
        for (verb, exit) in [
            (&["sync", "daemon", "stop"][..], 1),
            (&["doctor", "restart-daemon"], 1),
            (&["doctor", "orphan-daemons", "--fix", "--force"], 2),
        ] {
            let refused = run_as(&world, ADA, verb).exits(exit);
            assert!(refused.stderr.contains("SPEC_KITTY_HOME"), "{verb:?}: {}", refused.stderr);
        }
        let doctor = run_as(&world, ADA, &["sync", "doctor", "--offline", "--json"]).exits(1).json();
        let _ = finding(&doctor, "home_not_private");
        let server = doctor["checks"].as_array().unwrap().iter().find(|check| check["name"] == "server");
        assert_eq!(server.unwrap()["state"], "not_checked", "{doctor:#}");
        // The session cannot be decrypted: that would be reported if it was read.
        let mut by_session = run_as(&world, ADA, &["auth", "status"]);
        by_session.stdout.push_str(&by_session.stderr);
        assert!(!by_session.stdout.contains("session_unreadable"), "{}", by_session.stdout);
        assert_eq!(difference(&before, &snapshot(world.user_home())), Vec::<String>::new());
        if made {
            std::fs::remove_file(&foreign).unwrap();
        } else {
            lchown(&foreign, Some(ADA), Some(ADA)).unwrap();
        }
        let _ = run_as(&world, ADA, &["sync", "status", "--check"]).exits(0);
    }
}

/// A control file names the daemon's address: another user's could name any process of this machine.
#[test]
#[ignore = "needs root, to act as other users"]
fn foreign_control_file_is_not_asked() {
    assert_root();
    let world = world_of_ada();
    let home = world.home();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let control = serde_json::json!({
        "version": 1, "instance_id": "01KTEST", "pid": std::process::id(),
        "port": listener.local_addr().unwrap().port(), "token": "ab".repeat(32),
    });
    std::fs::create_dir_all(home.daemon_dir()).unwrap();
    std::fs::write(home.control_file(), control.to_string()).unwrap();
    let lock = std::fs::File::create(home.owner_lock()).unwrap();
    lock.try_lock().unwrap();
    give(home.daemon_dir().parent().unwrap(), ADA);
    let verbs =
        [&["sync", "daemon", "stop"][..], &["sync", "daemon", "status"], &["doctor", "restart-daemon"]];
    for (owner, asked) in [(ADA, true), (EVE, false)] {
        lchown(home.control_file(), Some(owner), Some(owner)).unwrap();
        for verb in verbs {
            let refused = run_as(&world, ADA, verb).exits(1);
            assert_eq!(listener.accept().is_ok(), asked, "{verb:?} of {owner}: {}", refused.stderr);
            let said = refused.stdout + &refused.stderr;
            assert_eq!(said.contains("uid 23456"), !asked, "{verb:?} of {owner}: {said}");
            while listener.accept().is_ok() {}
        }
    }
}

#[test]
#[ignore = "needs root, to act as other users"]
fn files_of_root_are_not_foreign() {
    assert_root();
    let world = world_of_ada();
    let config = world.home().config_file();
    lchown(&config, Some(0), Some(0)).unwrap();
    set_mode(&config, 0o644);
    let _ = run_as(&world, ADA, &["sync", "status", "--check"]).exits(0);
}

#[test]
#[ignore = "needs root, to act as other users"]
fn world_writable_root_names_the_chmod_only_where_it_may_be_run() {
    assert_root();
    let world = world_of_ada();
    set_mode(&world.root(), 0o777);
    let hint = |uid| {
        let status = run_as(&world, uid, &["sync", "status", "--check", "--json"]).exits(2).json();
        status["faults"][0]["remediation_hint"].as_str().unwrap().to_owned()
    };
    assert_eq!(hint(ADA), format!("chmod 700 {}", world.root().display()));
    lchown(world.root(), Some(0), Some(0)).unwrap();
    assert!(hint(ADA).contains("SPEC_KITTY_HOME"), "a directory of root");
    lchown(world.root(), Some(ADA), Some(ADA)).unwrap();
    set_mode(&world.root(), 0o700);
    let _ = run_as(&world, ADA, &["sync", "status", "--check"]).exits(0);
}

/// Root works in the home of another user, prints a note, and leaves nothing that the user cannot use.
#[test]
#[ignore = "needs root, to act as other users"]
fn root_is_warned_and_its_files_get_the_owner() {
    assert_root();
    let world = fresh();
    world.log_in().init_project();
    give(world.user_home(), ADA);
    let created = world.run(["agent", "mission", "create", "gadgets", "--json"]).exits(0);
    assert_eq!(
        created.stderr.matches("belongs to another user (uid 12345)").count(),
        1,
        "{}",
        created.stderr
    );
    let _ = world.run(["config", "set", "sync.max_queue_size", "5000"]).exits(0);
    let foreign = |path: &Path| std::fs::symlink_metadata(path).unwrap().uid() != ADA;
    let mut left = vec![world.root()];
    let mut seen = 0;
    while let Some(path) = left.pop() {
        assert!(!foreign(&path), "{}", path.display());
        seen += 1;
        if path.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    assert!(seen > 8 && world.root().join("queues").is_dir(), "{seen} files");
}

#[test]
fn writing_command_narrows_our_directories_and_no_other() {
    let (world, _) = with_mission();
    let ours = [world.root(), world.home().auth_dir(), world.home().queues_dir()];
    let projects = world.root().join("projects");
    std::fs::create_dir_all(&projects).unwrap();
    for path in ours.iter().chain([&projects]) {
        set_mode(path, 0o755);
    }
    let _ = world.run(["sync", "status"]).exits(0);
    assert_eq!(mode(&world.root()), 0o755, "looking changes nothing");
    let _ = world.run(["agent", "mission", "create", "gadgets"]).exits(0);
    for path in &ours {
        assert_eq!(mode(path), 0o700, "{}", path.display());
    }
    assert_eq!(mode(&projects), 0o755);
}

#[test]
fn curing_command_narrows_our_directories_and_a_preview_does_not() {
    let (world, _) = with_mission();
    let ours = [world.root(), world.home().auth_dir(), world.home().queues_dir()];
    for (words, code, narrowed) in [
        (&["sync", "gc", "--dry-run"][..], 0, false),
        (&["sync", "migrate", "--dry-run"], 0, false),
        (&["sync", "opt-in", "--project", "none"], 2, false),
        (&["auth", "status"], 0, false),
        (&["sync", "gc"], 0, true),
        (&["sync", "migrate"], 0, true),
        (&["sync", "opt-out", "--project", "none"], 0, true),
        (&["config", "set", "sync.hosted", "true"], 0, true),
        (&["auth", "logout"], 0, true),
    ] {
        for path in &ours {
            set_mode(path, 0o755);
        }
        let _ = world.run(words).exits(code);
        let modes = ours.each_ref().map(|path| mode(path));
        assert_eq!(modes, [if narrowed { 0o700 } else { 0o755 }; 3], "{words:?}");
    }
}

/// In a user namespace an owner that is not mapped proves nothing.
#[test]
#[ignore = "needs root, to act as other users"]
fn unmapped_owner_is_a_finding_and_refuses_nothing() {
    assert_root();
    let (world, _) = with_mission();
    lchown(world.root(), Some(EVE), Some(EVE)).unwrap();
    set_mode(&world.root(), 0o755);
    let base = world.user_home().parent().unwrap();
    set_mode(base, 0o755);
    let mut command = Command::new("unshare");
    // This user alone is mapped, and it is not root in there.
    command.args(["--user", "--map-user=1000", "--map-group=1000"]);
    command.arg(world.binary()).args(["sync", "doctor", "--offline", "--json"]);
    world.dress(&mut command);
    let run = testkit::world::finish(command);
    assert!(!run.stderr.starts_with("unshare:"), "{}", run.stderr);
    let doctor = run.exits(1).json();
    let _ = finding(&doctor, "home_privacy_unproven");
    assert!(!doctor.to_string().contains("home_not_private"), "{doctor:#}");
}
