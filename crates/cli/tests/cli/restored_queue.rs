//! A restored `queue.db` and another login. A row that a queue DB of this home imported or delivered stays with that account; a row
//! of an unknown owner is parked until the owner is known. In a real process.

use crate::worlds::*;
use rusqlite::Connection;
use serde_json::Value;
use std::path::PathBuf;
use testkit::World;
use testkit::reference_queue::ReferenceQueue;
use testkit::tree::{difference, snapshot};
use testkit::world::{SERVER, TEAM, USER, session};

const MALLORY: &str = "mallory@example.com";

fn log_in(world: &World, user: &str) {
    world.write_session(&session(SERVER, user, TEAM));
}

fn legacy(world: &World) -> PathBuf {
    world.root().join("queue.db")
}

/// Two events, a body and a failure-log row that no team claims; alice's queue DB took them, and then the
/// legacy file was restored from a backup. Mallory is logged in.
fn restored() -> World {
    let world = logged_in();
    let path = legacy(&world);
    let queue = ReferenceQueue::create(&path);
    queue.event(EVENT, None).event(ANOTHER, None).body("spec.md", "# Spec\n").failure();
    drop(queue);
    let backup = world.root().join("backup");
    std::fs::copy(&path, &backup).unwrap();
    world.run(["sync", "migrate"]).exits(0);
    std::fs::rename(&backup, &path).unwrap();
    log_in(&world, MALLORY);
    world
}

/// The queue DB of the user that is logged in now.
fn own(world: &World) -> Connection {
    let path = world.run(["sync", "status", "--json"]).json()["active_queue"]["path"].clone();
    Connection::open(path.as_str().unwrap()).unwrap()
}

fn queue_of(world: &World, user: &str) -> PathBuf {
    world.home().scoped_queue(&contract::Scope::new(SERVER, user, TEAM))
}

fn moved(report: &Value, group: &str) -> (u64, u64, u64) {
    let count = |key: &str| report[group][key].as_u64().unwrap_or_else(|| panic!("{report:#}"));
    (count("event_rows"), count("body_upload_rows"), count("failure_log_rows"))
}

#[test]
fn restored_rows_stay_with_the_account_that_had_them() {
    for delivered in [false, true] {
        let world = restored();
        if delivered {
            // The rows have left, and only the receipts are left of them.
            let db = Connection::open(queue_of(&world, USER)).unwrap();
            db.execute_batch(
                "INSERT INTO receipts(kind, key, digest, server, at, outcome)
                    SELECT CASE source WHEN 'queue' THEN 0 WHEN 'body_upload_queue' THEN 1 ELSE 2 END, key, digest,
                        'https://s', 1, 'delivered' FROM imported;
                 DELETE FROM imported; DELETE FROM queue; DELETE FROM body_upload_queue;
                 DELETE FROM body_upload_failure_log",
            )
            .unwrap();
        }
        assert_eq!(
            world.run(["sync", "status", "--check", "--json"]).exits(2).json()["legacy_queue"]["rows_in_scope"],
            3
        );
        let before = snapshot(&world.root());
        let plan = world.run(["sync", "migrate", "--dry-run", "--json"]).exits(0).json();
        assert_eq!(difference(&before, &snapshot(&world.root())), Vec::<String>::new());
        for report in [plan, world.run(["sync", "migrate", "--json"]).exits(0).json()] {
            assert_eq!(moved(&report, "claimed_for_others"), (2, 1, 1), "{report:#}");
            assert_eq!(moved(&report, "rows_other_scope"), (2, 1, 1), "{report:#}");
            assert_eq!(moved(&report, "moved"), (0, 0, 0), "{report:#}");
            assert_eq!(report["rows"], serde_json::json!([]), "{report:#}");
        }
        let status = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
        assert_eq!(status["legacy_queue"]["rows_in_scope"], 0, "gate and migrate agree: {status:#}");
        let db = own(&world);
        for table in ["queue", "body_upload_queue", "body_upload_failure_log", "parked"] {
            assert_eq!(count(&db, table), 0, "{table}");
        }
        // The owner's next migration clears them away.
        log_in(&world, USER);
        let again = world.run(["sync", "migrate", "--json"]).exits(0).json();
        assert_eq!(moved(&again, "duplicates"), (2, 1, 1), "{again:#}");
        assert_eq!(count(&Connection::open(legacy(&world)).unwrap(), "queue"), 0);
        assert_eq!(count(&own(&world), "queue"), if delivered { 0 } else { 2 });
    }
}

#[test]
fn sync_now_sends_no_restored_row_to_the_second_account() {
    let world = restored();
    let run = world.run(["sync", "now", "--json"]);
    let db = own(&world);
    assert_eq!((count(&db, "queue"), count(&db, "body_upload_queue")), (0, 0), "{run:?}");
}

#[test]
fn rows_of_an_unknown_owner_are_parked_until_the_answer_is_known() {
    let world = restored();
    let alices = queue_of(&world, USER);
    let kept = std::fs::read(&alices).unwrap();
    std::fs::write(&alices, "no database").unwrap();
    // One row that alice never had.
    let new = "01KRX0000000000000000000A9";
    let db = Connection::open(legacy(&world)).unwrap();
    db.execute(
        "INSERT INTO queue(event_id, event_type, data, timestamp)
         SELECT ?1, event_type, replace(data, ?2, ?1), timestamp FROM queue WHERE event_id = ?2",
        [new, EVENT],
    )
    .unwrap();
    drop(db);
    let plan = world.run(["sync", "migrate", "--dry-run", "--json"]).exits(0).json();
    let done = world.run(["sync", "migrate", "--json"]).exits(0).json();
    for report in [plan, done] {
        assert_eq!(moved(&report, "owner_unknown"), (3, 1, 1), "{report:#}");
        assert_eq!(moved(&report, "moved"), (0, 0, 0), "{report:#}");
        let rows = report["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 5, "{report:#}");
        assert!(rows.iter().all(|row| row["outcome"] == "owner_unknown"), "{report:#}");
    }
    assert_eq!(
        world.run(["sync", "status", "--check", "--json"]).exits(0).json()["legacy_queue"]["rows_in_scope"],
        0
    );
    let db = own(&world);
    assert_eq!((count(&db, "queue"), count(&db, "parked")), (0, 5));

    let ids: Vec<String> = db
        .prepare("SELECT id FROM parked WHERE reason = 'owner_unknown' ORDER BY id")
        .unwrap()
        .query_map([], |row| row.get::<_, i64>(0))
        .unwrap()
        .map(|id| id.unwrap().to_string())
        .collect();
    drop(db);
    let retry = |world: &World| {
        let words = ["sync", "parked", "retry", "--json"].map(str::to_owned).into_iter().chain(ids.clone());
        world.run(words).json()
    };
    let closed = retry(&world);
    assert!(
        closed["kept"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["why"].as_str().unwrap().contains("cannot be read")),
        "{closed:#}"
    );
    assert_eq!(closed["restored"], serde_json::json!([]), "{closed:#}");

    std::fs::write(&alices, kept).unwrap();
    let open = retry(&world);
    assert_eq!(open["restored"].as_array().map(Vec::len), Some(1), "{open:#}");
    assert!(
        open["kept"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["why"].as_str().unwrap().contains("imported or delivered this row")),
        "{open:#}"
    );
    // The remedy of each, as printed.
    for row in open["kept"].as_array().unwrap() {
        let remedy = format!("spec-kitty sync parked drop {} --reason TEXT", row["id"]);
        assert!(row["why"].as_str().unwrap().contains(&format!("`{remedy}`")), "{row:#}");
        world.run(remedy.split(' ').skip(1)).exits(0);
    }
    assert_eq!(count(&own(&world), "parked"), 0);
    let waits: String = own(&world).query_row("SELECT event_id FROM queue", [], |row| row.get(0)).unwrap();
    assert_eq!(waits, new);
}

#[test]
fn failure_log_row_of_unknown_owner_is_restored() {
    let world = restored();
    let alices = queue_of(&world, USER);
    std::fs::write(&alices, "no database").unwrap();
    world.run(["sync", "migrate"]).exits(0);
    std::fs::remove_file(&alices).unwrap();
    let id: i64 =
        own(&world).query_row("SELECT id FROM parked WHERE kind = 2", [], |row| row.get(0)).unwrap();
    world.run(["sync", "parked", "retry", &id.to_string()]).exits(0);
    assert_eq!(count(&own(&world), "body_upload_failure_log"), 1);
}

#[test]
fn verbose_migration_lists_table_and_key_of_every_row() {
    let world = logged_in();
    let queue = ReferenceQueue::create(&legacy(&world));
    queue.event(EVENT, None).body("spec.md", "# Spec\n");
    drop(queue);
    for verb in [&["sync", "migrate", "--dry-run", "--verbose"][..], &["sync", "migrate", "--verbose"]] {
        let text = world.run(verb.iter().copied()).exits(0).stdout;
        assert!(text.contains(&format!("moved queue {EVENT}\n")), "{text}");
        assert!(text.contains("moved body_upload_queue [\""), "{text}");
    }
}
