//! `sync now`: what it tells, beyond what the scenarios show.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;
use testkit::reference_queue::{ReferenceQueue, leave_hot_journal};
use testkit::{Server, World};

fn world() -> (World, Server) {
    let mut world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
    let server = Server::start(&world, "dev@example.com");
    server.welcome(&mut world);
    world.init_project();
    (world, server)
}

#[test]
fn rows_found_by_rolling_a_legacy_queue_back_are_moved_and_reported() {
    let (world, _server) = world();
    leave_hot_journal(&world.root().join("queue.db"));
    let now = world.run(["sync", "now", "--json"]).exits(0).json();
    assert_eq!(now["migrated"]["moved"]["event_rows"], 1, "{now:#}");
}

#[test]
fn a_report_that_cannot_be_written_is_known_before_anything_is_sent() {
    let (world, server) = world();
    world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
    let run = world.run(["sync", "now", "--report", "no/such/directory/report.json"]).exits(1);
    assert!(run.stderr.contains("report.json"), "{}", run.stderr);
    assert_eq!(server.event_ids(), Vec::<String>::new());

    let report = world.work().join("report.json");
    std::fs::write(&report, "x".repeat(10_000)).unwrap();
    world.run(["sync", "now", "--report", "report.json"]).exits(0);
    let written: serde_json::Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(written["failures"].as_array().unwrap().len(), 0, "{written:#}");
    assert!(!server.event_ids().is_empty());
}

#[test]
fn a_refused_delivery_leaves_no_report() {
    let (world, _server) = world();
    world.write_state("sync/daemon/owner.json", b"{");
    world.run(["sync", "now", "--report", "report.json"]).exits(2);
    assert!(!world.work().join("report.json").exists());
}

#[test]
fn another_delivery_of_this_account_is_busy_by_name_and_code() {
    let (world, _server) = world();
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    let queue = std::path::PathBuf::from(status["active_queue"]["path"].as_str().unwrap());
    let lock = queue.with_extension("drain.lock");
    let mut held = identity::FileLock::acquire(&lock, Duration::ZERO, "the test").unwrap();
    held.record_holder("9.9.9").unwrap();
    let run = world.run(["sync", "now", "--wait", "0", "--json"]).exits(69);
    let document = run.json();
    assert_eq!((&document["error_code"], &document["exit_code"]), (&"BUSY".into(), &69.into()));
    let error = document["error"].as_str().unwrap();
    assert!(
        error.contains("drain.lock") && error.contains(&format!("pid {}", std::process::id())),
        "{error}"
    );
}

#[test]
fn a_delivery_pins_the_rows_of_other_teams_so_that_no_later_gate_scans_them() {
    let (world, _server) = world();
    ReferenceQueue::create(&world.root().join("queue.db"))
        .event("01KRX0000000000000000000A1", Some("others"));
    world.run(["sync", "now"]).exits(0);
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    let db = rusqlite::Connection::open(status["active_queue"]["path"].as_str().unwrap()).unwrap();
    let pins = db.query_row("SELECT count(*) FROM meta WHERE key = 'legacy_pin'", [], |row| row.get(0));
    assert_eq!(pins, Ok(1));
}
