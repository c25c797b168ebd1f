//! The real binary, killed with SIGKILL at the worst instants of a capture, a migration and a delivery, and the
//! recovery by the next command.
#![cfg(unix)]

use crate::worlds::{self, fresh, logged_in};
use queue::fault_point::{FaultPoint, VARIABLE};
use rusqlite::Connection;
use serde_json::Value;
use std::collections::BTreeSet;
use testkit::reference_queue::ReferenceQueue;
use testkit::world::TEAM;
use testkit::{Server, World};

/// Runs a command that is killed at `point`.
fn run_until(world: &mut World, point: FaultPoint, argv: &[&str]) {
    world.set(VARIABLE, &point.name());
    let run = world.run(argv);
    world.unset(VARIABLE);
    assert_eq!(run.code, None, "{point:?} was reached: {run:?}");
    assert_eq!(run.stdout, "", "{point:?}: nothing was promised");
}

fn column(db: &Connection, sql: &str) -> Vec<String> {
    let mut select = db.prepare(sql).unwrap();
    select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Ids of the rows of every mission's log.
fn logged(world: &World) -> BTreeSet<String> {
    let missions = std::fs::read_dir(world.work().join("kitty-specs")).into_iter().flatten().flatten();
    let logs =
        missions.filter_map(|entry| std::fs::read_to_string(entry.path().join("status.events.jsonl")).ok());
    let rows = logs.flat_map(|text| {
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    });
    rows.map(|row| row["event_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn killed_capture_is_settled_by_the_next_command() {
    use FaultPoint::{ConfirmWritten, Confirmed, IdentityWritten, PrepareWritten, Prepared};
    for point in [IdentityWritten, PrepareWritten, Prepared, ConfirmWritten, Confirmed] {
        let mut world = logged_in();
        run_until(&mut world, point, &["agent", "mission", "create", "widgets", "--json"]);
        world.run(["agent", "mission", "create", "gadgets", "--json"]).exits(0);
        let db = Connection::open(world.home().scoped_queue(&world.scope())).unwrap();
        let waiting = column(&db, "SELECT event_id FROM queue");
        let unique: BTreeSet<String> = waiting.iter().cloned().collect();
        assert_eq!(waiting.len(), unique.len(), "{point:?}");
        for id in logged(&world) {
            assert!(unique.contains(&id), "{point:?}: {id} is in the log and must wait");
        }
        assert_eq!(column(&db, "SELECT key FROM prepared"), Vec::<String>::new(), "{point:?}");
        for id in column(&db, "SELECT key FROM parked WHERE kind = 0") {
            assert!(!unique.contains(&id), "{point:?}: {id} is kept apart, not twice");
        }
        assert!(!world.root().join("queue.db").exists(), "{point:?}");
    }
}

/// A mission whose lane rows are on its coordination branch.
fn coordinated(checked_out: bool) -> (World, String) {
    let world = logged_in();
    let (mission, branch) = worlds::coordinated(&world);
    if checked_out {
        world.git(["worktree", "add", "--quiet", ".worktrees/coord", &branch]);
    }
    (world, format!("{branch}:kitty-specs/{}/status.events.jsonl", mission.slug))
}

#[test]
fn capture_killed_beside_a_commit_on_the_branch_is_settled() {
    use FaultPoint::{ConfirmWritten, Confirmed, PrepareWritten, Prepared};
    for point in [PrepareWritten, Prepared, ConfirmWritten, Confirmed] {
        for checked_out in [false, true] {
            let (mut world, log) = coordinated(checked_out);
            let emit =
                |wp, to| ["agent", "status", "emit", wp, "--to", to, "--actor", "me", "--mission", "sample"];
            let rows = |world: &World| -> BTreeSet<String> {
                let text = world.git(["show", &log]);
                let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
                rows.map(|row| row["event_id"].as_str().unwrap().to_owned()).collect()
            };
            let before = rows(&world);
            run_until(&mut world, point, &emit("WP01", "claimed"));
            let is_written = matches!(point, ConfirmWritten | Confirmed);
            assert_eq!(rows(&world).len(), before.len() + usize::from(is_written), "{point:?}");
            world.run(emit("WP02", "blocked")).exits(0);
            let db = Connection::open(world.home().scoped_queue(&world.scope())).unwrap();
            let waiting = column(&db, "SELECT event_id FROM queue");
            let unique: BTreeSet<String> = waiting.iter().cloned().collect();
            assert_eq!(waiting.len(), unique.len(), "{point:?}, {checked_out}");
            assert!(
                rows(&world).is_subset(&unique),
                "{point:?}, {checked_out}: each row of the branch waits"
            );
            let logged: BTreeSet<String> = rows(&world).union(&logged(&world)).cloned().collect();
            let moved = "SELECT event_id FROM queue WHERE event_type = 'WPStatusChanged'";
            assert!(column(&db, moved).iter().all(|id| logged.contains(id)), "{point:?}: no row but those");
            assert_eq!(column(&db, "SELECT key FROM prepared"), Vec::<String>::new(), "{point:?}");
        }
    }
}

#[test]
fn migration_killed_anywhere_is_resumed_by_the_next_one() {
    use FaultPoint::{ClaimWritten, Claimed, ClearWritten, Cleared, Copied, CopyHalfWritten, CopyWritten};
    for point in [ClaimWritten, Claimed, CopyHalfWritten, CopyWritten, Copied, ClearWritten, Cleared] {
        let mut world = logged_in();
        let legacy = ReferenceQueue::create(&world.root().join("queue.db"));
        let ids = ["01KRX0000000000000000000A1", "01KRX0000000000000000000A2"];
        legacy
            .event(ids[0], None)
            .event(ids[1], Some(TEAM))
            .event("01KRX0000000000000000000A3", Some("other"));
        legacy.body("spec.md", "# Spec\n");
        run_until(&mut world, point, &["sync", "migrate", "--json"]);
        world.run(["sync", "migrate", "--json"]).exits(0);
        let db = Connection::open(world.home().scoped_queue(&world.scope())).unwrap();
        assert_eq!(column(&db, "SELECT event_id FROM queue ORDER BY event_id"), ids, "{point:?}");
        assert_eq!(column(&db, "SELECT artifact_path FROM body_upload_queue"), ["spec.md"], "{point:?}");
        let left = Connection::open(legacy.path()).unwrap();
        assert_eq!(column(&left, "SELECT event_id FROM queue"), ["01KRX0000000000000000000A3"], "{point:?}");
        assert_eq!(column(&left, "SELECT key FROM claims"), Vec::<String>::new(), "{point:?}");
        world.run(["sync", "status", "--check"]).exits(0);
    }
}

#[test]
fn delivery_killed_while_recording_arrives_once() {
    for point in [FaultPoint::RecordWritten, FaultPoint::Recorded] {
        let mut world = fresh();
        let server = Server::start(&world, "dev@example.com");
        server.welcome(&mut world);
        world.init_project();
        world.run(["agent", "mission", "create", "widgets"]).exits(0);
        let waiting = world.run(["sync", "status", "--json"]).exits(0).json();
        let of = |name: &str| waiting["active_queue"][name].as_u64().unwrap() as usize;
        let queue = waiting["active_queue"]["path"].as_str().unwrap().to_owned();
        run_until(&mut world, point, &["sync", "now", "--json"]);
        assert_eq!(server.event_ids().len(), of("event_count"), "{point:?}: they had arrived");
        world.run(["sync", "now"]).exits(0);
        let arrived = server.event_ids();
        assert_eq!(arrived.iter().collect::<BTreeSet<_>>().len(), arrived.len(), "{point:?}: each once");
        assert_eq!((arrived.len(), server.body_hashes().len()), (of("event_count"), of("body_upload_count")));
        let db = Connection::open(queue).unwrap();
        assert_eq!(column(&db, "SELECT event_id FROM queue"), Vec::<String>::new(), "{point:?}");
        let receipts: BTreeSet<String> =
            column(&db, "SELECT key FROM receipts WHERE kind = 0").into_iter().collect();
        assert_eq!(receipts, arrived.into_iter().collect(), "{point:?}: a receipt for each");
    }
}
