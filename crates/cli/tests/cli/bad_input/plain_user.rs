//! Files that modes keep from a user who is not root.

use super::records::RECORD;
use super::*;
use crate::worlds::fresh;
use std::process::Command;

/// Runs the binary as user 12345 in a world that belongs to that user.
fn run(world: &World, arguments: &[&str]) -> Run {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=12345", "--regid=12345", "--clear-groups", "--"]);
    command.arg(env!("CARGO_BIN_EXE_spec-kitty")).args(arguments);
    let program = command.get_program().to_owned();
    world.dress(&mut command);
    assert_eq!(program, "setpriv");
    testkit::world::finish(command)
}

/// The system denies another user what the test needs denied.
#[track_caller]
fn assert_denied(path: &Path) {
    let output = Command::new("setpriv")
        .args(["--reuid=12345", "--regid=12345", "--clear-groups", "--", "cat"])
        .arg(path)
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("Permission denied"), "{output:?}");
}

fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|text| text.contains("Uid:\t0\t0"))
}

fn give_away(path: &Path) {
    let status = Command::new("chown").arg("-R").arg("12345:12345").arg(path).status().unwrap();
    assert!(status.success());
}

fn open_the_way(world: &World) {
    let mut path = world.user_home().to_owned();
    while path != std::env::temp_dir() && path.pop() {
        if path.to_string_lossy().contains("spec-kitty-") {
            chmod(&path, 0o755);
        }
    }
    // The binary must be readable for that user, too.
}

#[test]
#[ignore = "needs root, to act as another user"]
fn owner_record_that_may_not_be_read() {
    let world = world();
    world.write_config("");
    std::fs::remove_dir_all(world.root().join("auth")).unwrap();
    world.write_state("sync/daemon/owner.json", RECORD.as_bytes());
    let record = world.root().join("sync/daemon/owner.json");
    if is_root() {
        give_away(world.user_home());
        give_away(world.work());
    }
    chmod(&record, 0o000);
    open_the_way(&world);
    assert_denied(&record);
    let run = run(&world, &["sync", "status", "--check"]).exits(2);
    let shown = record.to_str().unwrap();
    for said in ["owner_record_unreadable", shown, "Permission denied", "spec-kitty doctor repair"] {
        assert!(run.stdout.contains(said), "{said}: {}", run.stdout);
    }
    let now = self::run(&world, &["sync", "now"]).exits(2);
    for said in ["owner_record_unreadable", shown, "Permission denied", "spec-kitty doctor repair"] {
        assert!(now.stderr.contains(said), "{said}: {}", now.stderr);
    }
    let _ = self::run(&world, &["doctor", "repair"]).exits(0);
    // It can be read now: a record of pid 1, whose executable is missing.
    let status = self::run(&world, &["sync", "status", "--json"]).exits(0).json();
    assert_eq!(status["daemon_owner_record"]["status"], "orphan", "{status:#}");
}

/// Each directory and file on the way, its mode taken away: the named remedy gives it back.
#[rstest]
#[ignore = "needs root, to act as another user"]
#[case::root("", "owner_record_unreadable")]
#[case::auth("auth", "session_unreadable")]
#[case::daemon("sync/daemon", "owner_record_unreadable")]
#[case::lock("sync/daemon/owner.lock", "owner_record_unreadable")]
#[case::queues("queues", "active_queue_unreadable")]
#[case::legacy("queue.db", "legacy_queue_unreadable")]
fn lost_mode_is_restored(#[case] place: &str, #[case] fault: &str) {
    let world = fresh();
    world.write_config(&format!("[sync]\nserver_url = \"{}\"\n", testkit::world::SERVER));
    let machine = system::Machine { uid: 12345, ..system::Machine::observe() };
    let session = testkit::world::session(testkit::world::SERVER, testkit::world::USER, testkit::world::TEAM);
    identity::SessionStore::new(&world.home(), machine).write(&session).unwrap();
    world.write_state("sync/daemon/owner.lock", b"");
    drop(ReferenceQueue::create(&world.root().join("queue.db")));
    drop(ReferenceQueue::create(&world.home().scoped_queue(&world.scope())));
    if is_root() {
        give_away(world.user_home());
        give_away(world.work());
    }
    let path = world.root().join(place);
    chmod(&path, 0o000);
    open_the_way(&world);
    assert_denied(&path);
    let status = run(&world, &["sync", "status", "--check", "--json"]).exits(2).json();
    let faults = status["faults"].as_array().unwrap();
    let found = faults.iter().find(|found| found["code"] == fault).unwrap_or_else(|| panic!("{status:#}"));
    assert_eq!(found["remediation_hint"], "spec-kitty doctor repair");
    run(&world, &["doctor", "repair"]).exits(0);
    run(&world, &["sync", "status", "--check"]).exits(0);
}

#[test]
#[ignore = "needs root, to act as another user"]
fn unwritable_legacy_queue_is_named_with_mode_and_not_copied() {
    let world = world();
    std::fs::remove_dir_all(world.root().join("auth")).unwrap();
    ReferenceQueue::create(&world.root().join("queue.db")).event("01KRX0000000000000000000A1", None);
    world.write_state("credentials", CREDENTIALS);
    std::fs::create_dir_all(world.root().join("queues")).unwrap();
    let probe = world.root().join("probe");
    std::fs::write(&probe, "x").unwrap();
    if is_root() {
        give_away(world.user_home());
        give_away(world.work());
        // Not that user's own: tightening its mode cannot give the right to write.
        assert!(
            Command::new("chown").arg("0:0").arg(world.root().join("queue.db")).status().unwrap().success()
        );
    }
    chmod(&probe, 0o000);
    chmod(&world.root().join("queue.db"), 0o444);
    open_the_way(&world);
    assert_denied(&probe);
    let migrate = run(&world, &["sync", "migrate"]).exits(1);
    assert!(migrate.stderr.contains("queue.db") && migrate.stderr.contains("0444"), "{}", migrate.stderr);
    let status = run(&world, &["sync", "status", "--check", "--json"]).exits(2).json();
    assert_eq!(status["legacy_queue"]["rows_in_scope"], 1);
    assert_eq!(status["active_queue"]["event_count"], 0, "nothing was copied");
}

/// Legacy credentials give a scope without a session, so that no key is needed for another user.
const CREDENTIALS: &[u8] =
    b"[user]\nusername = \"dev@example.com\"\nteam_slug = \"team-PRIV-01\"\n[server]\nurl = \"https://example.invalid\"\n";

#[test]
#[ignore = "needs root, to act as another user"]
fn read_only_home_is_readable_and_names_failed_writes() {
    let world = world();
    std::fs::remove_dir_all(world.root().join("auth")).unwrap();
    ReferenceQueue::create(&world.root().join("queue.db")).event("01KRX0000000000000000000A1", None);
    world.write_state("credentials", CREDENTIALS);
    if is_root() {
        give_away(world.user_home());
        give_away(world.work());
    }
    let probe = world.root().join("probe");
    std::fs::write(&probe, "x").unwrap();
    chmod(&probe, 0o000);
    for path in ["queue.db", "credentials", "config.toml"] {
        chmod(&world.root().join(path), 0o400);
    }
    chmod(&world.root(), 0o500);
    open_the_way(&world);
    assert_denied(&probe);
    let status = run(&world, &["sync", "status", "--check", "--json"]).exits(2).json();
    assert_eq!(status["legacy_queue"]["rows_in_scope"], 1);
    let migrate = run(&world, &["sync", "migrate"]).exits(1);
    assert!(migrate.stderr.contains("queues is not writable"), "{}", migrate.stderr);
    let again = run(&world, &["sync", "status", "--check", "--json"]).exits(2).json();
    assert_eq!(again["legacy_queue"]["rows_in_scope"], 1, "nothing was copied");
    chmod(&world.root(), 0o700);
}
