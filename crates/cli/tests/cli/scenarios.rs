//! The scenarios every release must pass, as real processes against a real server.

mod accidents;

use crate::worlds::with_server;
use contract::OwnerRecord;
use std::collections::BTreeSet;
use testkit::mission::Mission;
use testkit::owner::{agreeing, stand_in, write};
use testkit::reference_queue::{PROJECT, ReferenceQueue};
use testkit::tree::{difference, snapshot};
use testkit::{Server, World};

/// Creates a mission, and gives back its directory name.
fn create(world: &World) -> String {
    let created = world.run(["agent", "mission", "create", "tea-timer", "--json"]).exits(0).json();
    created["mission_slug"].as_str().unwrap().to_owned()
}

#[test]
fn scenario_1_coherent_host_delivers_without_notices() {
    let (world, server) = with_server();
    create(&world);
    let before = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    let events = before["active_queue"]["event_count"].as_u64().unwrap();
    assert!(events > 0, "{before:#}");
    let now = world.run(["sync", "now"]).exits(0);
    assert!(!format!("{}{}", now.stdout, now.stderr).to_lowercase().contains("boundary"), "{now:?}");
    let status = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    assert_eq!(status["mismatches"].as_array().unwrap().len(), 0);
    assert_eq!(status["orphan_records"].as_array().unwrap().len(), 0);
    assert_eq!(status["active_queue"]["event_count"], 0, "{status:#}");
    let arrived = server.event_ids();
    assert_eq!(arrived.len() as u64, events);
    assert_eq!(arrived.iter().collect::<BTreeSet<_>>().len(), arrived.len(), "each once");
    // Nothing is sent twice.
    world.run(["sync", "now"]).exits(0);
    assert_eq!(server.event_ids(), arrived);
}

#[test]
fn scenario_2_a_stale_daemon_refuses_before_anything_is_queued() {
    let (world, server) = with_server();
    create(&world);
    let record = OwnerRecord { package_version: "3.2.0rc11".into(), ..agreeing(&world, stand_in()) };
    write(&world, &record);
    let before = snapshot(world.user_home().parent().unwrap());
    let foreground = world.run(["sync", "status", "--json"]).exits(0).json();
    let ours = foreground["foreground"]["package_version"].as_str().unwrap().to_owned();
    for verb in [&["sync", "now"][..], &["agent", "mission", "setup-plan"]] {
        let run = world.run(verb).exits(2);
        assert!(run.stderr.contains("daemon_package_version"), "{}", run.stderr);
        assert!(run.stderr.contains("3.2.0rc11") && run.stderr.contains(&ours), "{}", run.stderr);
    }
    let check = world.run(["sync", "status", "--check"]).exits(2);
    assert!(
        check.stdout.contains("daemon_package_version") && check.stdout.contains("3.2.0rc11"),
        "{}",
        check.stdout
    );
    let changed = difference(&before, &snapshot(world.user_home().parent().unwrap()));
    let changed: Vec<_> = changed.iter().filter(|line| !line.contains("server-data")).collect();
    assert!(changed.is_empty(), "{changed:#?}");
    assert_eq!(server.event_ids(), Vec::<String>::new());
}

#[test]
fn scenario_3_legacy_rows_are_migrated_held_and_delivered() {
    let (world, server) = with_server();
    capture_events_and_bodies(&world);
    let legacy = ReferenceQueue::create(&world.root().join("queue.db"));
    let ids = ["1", "2", "3", "4"].map(|last| format!("01KRX0000000000000000000A{last}"));
    legacy.event(&ids[0], Some(&server.team)).event(&ids[1], None);
    legacy.indexed(&ids[2], "spec.md", "# Spec\n").indexed(&ids[3], "plan.md", "# Plan\n");
    legacy.body("spec.md", "# Spec\n").body("plan.md", "# Plan\n");
    let before = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
    assert_eq!(before["legacy_queue"]["rows_in_scope"], 6);
    let [events, bodies] = active(&before);
    assert!(events > 0 && bodies > 0, "a scoped queue with rows of both kinds: {before:#}");

    world.run(["sync", "migrate"]).exits(0);
    let after = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    assert_eq!(after["legacy_queue"]["rows_in_scope"], 0);
    assert_eq!(active(&after), [events + 4, bodies + 2]);
    world.run(["sync", "migrate"]).exits(0);
    let again = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    assert_eq!(again["active_queue"], after["active_queue"], "repeating changes nothing");

    // Never opted in: held, visible, and not a failure.
    world.run(["sync", "now"]).exits(0);
    assert_eq!((server.event_ids().len() as u64, server.body_hashes().len() as u64), (events, bodies));
    assert!(!server.event_ids().iter().any(|id| ids.contains(id)));
    let held = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    assert_eq!(held["held"][0]["project_uuid"], PROJECT, "{held:#}");
    assert_eq!((&held["held"][0]["events"], &held["held"][0]["bodies"]), (&4.into(), &2.into()));
    let preview = world.run(["sync", "opt-in", "--project", PROJECT, "--include-held"]).exits(2);
    assert!(preview.stdout.contains("4 events"), "{}", preview.stdout);
    world.run(["sync", "opt-in", "--project", PROJECT, "--include-held", "--yes"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    let arrived = server.event_ids();
    for id in &ids {
        assert_eq!(arrived.iter().filter(|arrived| *arrived == id).count(), 1, "{arrived:?}");
    }
    let done = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    assert_eq!(active(&done), [0, 0], "{done:#}");
    assert_eq!(done["held"].as_array().unwrap().len(), 0);
    delivered_each_once(&server, &done);
    assert_eq!(server.event_ids().len() as u64, events + 4);
    assert_eq!(server.body_hashes().len() as u64, bodies + 2);
    let requests = server.requests();
    world.run(["sync", "now"]).exits(0);
    assert_eq!(server.requests(), requests + 1, "nothing waits: only the question that opens a delivery");
}

/// 100,000 events, 20,000 of them of documents, and 20,000 bodies.
#[test]
#[ignore = "upgrades a home of 120,000 rows"]
fn large_reference_home_is_upgraded_and_delivered_once() {
    let (world, server) = with_server();
    let legacy = ReferenceQueue::create(&world.root().join("queue.db")).quick();
    let id = |number: u32| format!("01KRX{number:021}");
    for number in 0..80_000 {
        legacy.event(&id(number), None);
    }
    for number in 0..20_000 {
        let (path, content) = (format!("research/{number}.md"), format!("# Finding {number}\n"));
        legacy.indexed(&id(80_000 + number), &path, &content).body(&path, &content);
    }
    drop(legacy);
    world.run(["sync", "migrate"]).exits(0);
    let migrated = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    assert_eq!(active(&migrated), [100_000, 20_000]);
    world.run(["sync", "opt-in", "--project", PROJECT, "--include-held", "--yes"]).exits(0);
    // Not `run`, whose patience is a minute: a body is a request, and an unoptimised build sends a few hundred a second.
    let drained = world.command().args(["sync", "now"]).output().unwrap();
    assert!(drained.status.success(), "{drained:?}");
    let delivered = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    assert_eq!(active(&delivered), [0, 0]);
    let arrived: BTreeSet<String> = server.event_ids().into_iter().collect();
    assert_eq!((arrived.len(), server.event_ids().len()), (100_000, 100_000));
    assert_eq!(server.body_hashes().len(), 20_000);
}

/// A mission with a specification and a plan, so that rows of both kinds wait.
fn capture_events_and_bodies(world: &World) {
    let mission = Mission::create(world, "tea-timer");
    mission.specified(world).planned();
    world.run(["agent", "mission", "setup-plan", "--mission", &mission.slug]).exits(0);
}

/// Events and bodies that wait in the active queue DB.
fn active(status: &serde_json::Value) -> [u64; 2] {
    ["event_count", "body_upload_count"].map(|key| status["active_queue"][key].as_u64().unwrap())
}

/// Receipts and arrivals are the same rows: each key once here, each fact once there.
#[track_caller]
fn delivered_each_once(server: &Server, status: &serde_json::Value) {
    let receipts = receipts(status["active_queue"]["path"].as_str().unwrap());
    let (arrived, bodies) = (server.event_ids(), server.body_hashes());
    let mut wanted: Vec<String> = arrived.iter().chain(&bodies).cloned().collect();
    let mut found: Vec<String> = receipts
        .iter()
        .map(|key| match serde_json::from_str::<Vec<String>>(key) {
            // The key of a body is its seven columns; the last is the hash of its content.
            Ok(columns) => columns.last().unwrap().clone(),
            Err(_) => key.clone(),
        })
        .collect();
    wanted.sort();
    found.sort();
    assert_eq!(found, wanted);
    assert_eq!(arrived.iter().collect::<BTreeSet<_>>().len(), arrived.len(), "{arrived:?}");
}

/// Keys of all receipts of a queue DB.
fn receipts(queue: &str) -> Vec<String> {
    let db = rusqlite::Connection::open(queue).unwrap();
    let mut rows = db.prepare("SELECT key FROM receipts").unwrap();
    rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn scenario_3_sync_now_migrates_by_itself_when_nothing_else_fails() {
    let (world, server) = with_server();
    capture_events_and_bodies(&world);
    let captured = active(&world.run(["sync", "status", "--json"]).exits(0).json());
    let legacy = ReferenceQueue::create(&world.root().join("queue.db"));
    legacy.event("01KRX0000000000000000000A1", None).body("spec.md", "# Spec\n");
    world.run(["sync", "status", "--check"]).exits(2);
    let now = world.run(["sync", "now", "--json"]).exits(0).json();
    assert_eq!(now["migrated"]["moved"]["event_rows"], 1, "{now:#}");
    assert_eq!(now["migrated"]["moved"]["body_upload_rows"], 1);
    let status = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    assert_eq!(status["legacy_queue"]["rows_in_scope"], 0);
    assert_eq!(active(&status), [1, 1], "held, while what was captured here has left");
    assert_eq!([server.event_ids().len() as u64, server.body_hashes().len() as u64], captured);
    delivered_each_once(&server, &status);
    let again = world.run(["sync", "now", "--json"]).exits(0).json();
    assert_eq!(again["migrated"], serde_json::Value::Null, "{again:#}");
}

#[test]
fn scenario_4_logged_out_with_the_switch_on_nothing_is_written() {
    let (mut world, _server) = with_server();
    let slug = create(&world);
    world.unset("SPEC_KITTY_TOKEN").unset("SPEC_KITTY_SERVER_URL");
    ReferenceQueue::create(&world.root().join("queue.db")).event("01KRX0000000000000000000A1", None);
    let before = snapshot(world.user_home().parent().unwrap());
    let run = world.run(["agent", "mission", "setup-plan", "--mission", &slug]).exits(2);
    assert!(run.stderr.contains("spec-kitty auth login"), "{}", run.stderr);
    let document =
        world.run(["agent", "mission", "setup-plan", "--mission", &slug, "--json"]).exits(2).json();
    assert_eq!(document["error_code"], "SAAS_SYNC_UNAUTHENTICATED");
    let changed = difference(&before, &snapshot(world.user_home().parent().unwrap()));
    let changed: Vec<_> = changed.iter().filter(|line| !line.contains("server-data")).collect();
    assert!(changed.is_empty(), "{changed:#?}");
}

#[test]
fn scenario_5_orphan_owner_record_is_refused_and_removed() {
    let (world, _server) = with_server();
    create(&world);
    write(&world, &OwnerRecord { pid: i64::from(u32::MAX), ..agreeing(&world, 1) });
    let now = world.run(["sync", "now"]).exits(2);
    assert!(now.stderr.contains("orphan_daemon_record"), "{}", now.stderr);
    assert!(now.stderr.contains("spec-kitty doctor orphan-daemons --fix"), "{}", now.stderr);
    let check = world.run(["sync", "status", "--check"]).exits(2);
    assert!(check.stdout.contains("Orphan records  : 1"), "{}", check.stdout);
    world.run(["doctor", "orphan-daemons", "--fix"]).exits(0);
    world.run(["sync", "status", "--check"]).exits(0);
    world.run(["sync", "now"]).exits(0);
}

#[test]
fn acknowledged_events_survive_a_server_crash() {
    let (world, mut server) = with_server();
    create(&world);
    world.run(["sync", "now"]).exits(0);
    let arrived = server.event_ids();
    assert!(!arrived.is_empty());
    server.crash_and_restart(&world);
    assert_eq!(server.event_ids(), arrived);
}

#[test]
fn unreachable_server_loses_nothing() {
    let (world, mut server) = with_server();
    create(&world);
    let waiting =
        world.run(["sync", "status", "--json"]).exits(0).json()["active_queue"]["event_count"].clone();
    server.stop();
    let run = world.run(["sync", "now"]).exits(1);
    assert!(run.stdout.contains("remaining"), "{run:?}");
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    assert_eq!(status["active_queue"]["event_count"], waiting);
    server.crash_and_restart(&world);
    world.run(["sync", "now"]).exits(0);
    assert_eq!(server.event_ids().len() as u64, waiting.as_u64().unwrap());
}
