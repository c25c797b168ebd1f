//! An opt-in starts from now: what waits already stays held, in whatever queue of the machine it waits,
//! until `--include-held` releases it.

use crate::worlds::with_server;
use rusqlite::Connection;
use serde_json::Value;
use testkit::reference_queue::{PROJECT, ReferenceQueue};
use testkit::{Server, World};

const EVENT: &str = "01KRX0000000000000000000A1";

/// A world whose commands act as the account of a running server, with one event and one body of another
/// program's in the legacy queue.
fn world() -> (World, Server, ReferenceQueue) {
    let (world, server) = with_server();
    let legacy = ReferenceQueue::create(&world.root().join("queue.db"));
    legacy.event(EVENT, None).body("spec.md", "# Spec\n");
    (world, server, legacy)
}

/// Logs out for the time of `work`.
fn logged_out(world: &mut World, server: &Server, work: impl FnOnce(&World)) {
    world.unset("SPEC_KITTY_TOKEN").unset("SPEC_KITTY_SERVER_URL");
    work(world);
    world.set("SPEC_KITTY_TOKEN", &server.token).set("SPEC_KITTY_SERVER_URL", &server.url());
}

fn held(world: &World) -> Value {
    world.run(["sync", "status", "--json"]).exits(0).json()["held"].take()
}

/// Both rows are held, and nothing of them reaches the server.
#[track_caller]
fn stays_here(world: &World, server: &Server) {
    world.run(["sync", "now"]).exits(0);
    let held = held(world);
    assert_eq!((&held[0]["events"], &held[0]["bodies"]), (&1.into(), &1.into()), "{held:#}");
    assert_eq!((server.event_ids().len(), server.body_hashes().len()), (0, 0));
}

#[track_caller]
fn leaves_after_a_release(world: &World, server: &Server) {
    world.run(["sync", "opt-in", "--project", PROJECT, "--include-held", "--yes"]).exits(0);
    assert_eq!(held(world).as_array().unwrap().len(), 0);
    // The server takes no body of a document that no event has announced: asked for, it is kept.
    let now = world.run(["sync", "now", "--json"]).exits(1).json();
    assert_eq!(now["bodies"]["kept"], 1, "{now:#}");
    assert_eq!(server.event_ids(), [EVENT]);
}

#[test]
fn rows_of_this_accounts_queue_stay() {
    let (world, server, _legacy) = world();
    world.run(["sync", "migrate"]).exits(0);
    world.run(["sync", "opt-in", "--project", PROJECT, "--yes"]).exits(0);
    stays_here(&world, &server);
    leaves_after_a_release(&world, &server);
}

#[test]
fn later_migrated_legacy_rows_stay_and_are_counted() {
    let (world, server, _legacy) = world();
    let preview = world.run(["sync", "opt-in", "--project", &PROJECT.to_uppercase()]).exits(2);
    assert!(preview.stdout.contains("1 event and 1 body would stay held"), "{}", preview.stdout);
    world.run(["sync", "opt-in", "--project", PROJECT, "--yes"]).exits(0);
    stays_here(&world, &server);
    leaves_after_a_release(&world, &server);
}

#[test]
fn rows_of_an_account_that_is_logged_out_stay() {
    let (mut world, server, _legacy) = world();
    world.run(["sync", "migrate"]).exits(0);
    logged_out(&mut world, &server, |world| {
        world.run(["sync", "opt-in", "--project", PROJECT, "--yes"]).exits(0);
    });
    stays_here(&world, &server);
    leaves_after_a_release(&world, &server);
}

#[test]
fn release_without_login_names_unreachable_rows() {
    let (mut world, server, _legacy) = world();
    world.run(["sync", "migrate"]).exits(0);
    logged_out(&mut world, &server, |world| {
        let run = world.run(["sync", "opt-in", "--project", PROJECT, "--include-held", "--yes"]).exits(0);
        assert!(run.stderr.contains("not logged in"), "{}", run.stderr);
    });
    world.run(["sync", "now", "--json"]).exits(1);
    assert_eq!(server.event_ids(), [EVENT]);
}

#[test]
fn own_rows_before_first_decision_leave_and_opted_out_rows_stay() {
    let (mut world, server, _legacy) = world();
    world.run(["sync", "migrate"]).exits(0);
    let uuid = || {
        let yaml = std::fs::read_to_string(world_config(&world)).unwrap();
        let line = yaml.lines().find(|line| line.trim().starts_with("uuid:")).unwrap().to_owned();
        line.split(':').nth(1).unwrap().trim().to_owned()
    };
    world.run(["agent", "mission", "create", "one"]).exits(0);
    let project = uuid();
    world.run(["sync", "opt-in", "--project", &project, "--yes"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    let first = server.event_ids().len();
    assert!(first > 0, "captured before anybody decided: it may leave");

    world.run(["agent", "mission", "create", "two"]).exits(0);
    world.run(["sync", "opt-out", "--project", &project]).exits(0);
    logged_out(&mut world, &server, |world| {
        world.run(["sync", "opt-in", "--project", &project, "--yes"]).exits(0);
    });
    world.run(["sync", "now"]).exits(0);
    assert_eq!(server.event_ids().len(), first, "what waited when it was off stays held");
    assert!(held(&world).as_array().unwrap().iter().any(|held| held["project_uuid"] == project.as_str()));
    world.run(["sync", "opt-in", "--project", &project, "--include-held", "--yes"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    assert!(server.event_ids().len() > first);
}

/// The project's decision in config.toml.
/// Waits for the start of a second: the commands that follow act within it.
fn start_of_a_second() {
    let millisecond = std::time::Duration::from_millis(1);
    while jiff::Timestamp::now().subsec_millisecond() > 50 {
        std::thread::sleep(millisecond);
    }
}

#[test]
fn opt_in_and_capture_within_one_second_are_told_apart() {
    let (world, server) = with_server();
    start_of_a_second();
    world.run(["agent", "mission", "create", "one"]).exits(0);
    world.run(["sync", "opt-out"]).exits(0);
    world.run(["sync", "opt-in", "--yes"]).exits(0);
    world.run(["agent", "mission", "create", "two"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    let sent = server.event_ids();
    let log_of = |slug: &str| {
        let missions = std::fs::read_dir(world.work().join("kitty-specs")).unwrap();
        let mut missions = missions.map(|mission| mission.unwrap().path());
        let mission = missions.find(|path| path.file_name().unwrap().to_string_lossy().starts_with(slug));
        std::fs::read_to_string(mission.unwrap().join("status.events.jsonl")).unwrap()
    };
    let (before, after) = (log_of("one-"), log_of("two-"));
    assert!(sent.iter().any(|id| after.contains(id.as_str())), "captured after the opt-in: {sent:?}");
    assert!(!sent.iter().any(|id| before.contains(id.as_str())), "waited during the opt-out: {sent:?}");
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    let held = &status["held"][0];
    assert_eq!(status["active_queue"]["event_count"], held["events"], "{status:#}");
    assert_eq!(status["active_queue"]["body_upload_count"], held["bodies"], "{status:#}");
}

fn is_opted_in(world: &World) -> bool {
    let config = std::fs::read_to_string(world.root().join("config.toml")).unwrap_or_default();
    config.contains(PROJECT) && config.contains("enabled = true")
}

#[test]
fn opt_in_with_unopenable_queue_is_stored_and_reported() {
    let (world, _server, _legacy) = world();
    world.run(["sync", "migrate"]).exits(0);
    let queue = scoped(&world);
    queue.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'", []).unwrap();
    let opt_in = ["sync", "opt-in", "--project", PROJECT, "--include-held", "--yes"];
    let run = world.run(opt_in.iter().chain(&["--json"])).exits(0);
    let json = run.json();
    assert_eq!((&json["result"], &json["released"]), (&"opted_in".into(), &Value::Null), "{json:#}");
    assert_eq!(json["held"], Value::Null, "it could not be counted: {json:#}");
    assert!(json["not_released"].as_str().unwrap().contains("queue_schema_newer"), "{json:#}");
    assert!(run.stderr.contains("held rows were not released: queue_schema_newer"), "{}", run.stderr);
    assert!(
        run.stderr.contains(&format!("run again: spec-kitty sync opt-in --project {PROJECT}")),
        "{}",
        run.stderr
    );
    assert!(is_opted_in(&world));

    let out = world.run(["sync", "opt-out", "--project", PROJECT]).exits(0);
    assert!(out.stdout.contains("an unknown number of rows held"), "{}", out.stdout);
    assert!(!is_opted_in(&world));
    let again = world.run(["sync", "opt-in", "--project", PROJECT, "--yes"]).exits(0);
    assert!(again.stderr.contains("queue_schema_newer"), "{}", again.stderr);
    assert!(is_opted_in(&world));
}

#[test]
fn release_moves_only_this_accounts_legacy_rows() {
    let (world, server, legacy) = world();
    // Ours, written with sync disabled; and two of another team's, of the same project.
    let sealed = "json_set(data, '$.drain_blocked_reason', 'sync_disabled')";
    let db = Connection::open(legacy.path()).unwrap();
    db.execute(&format!("UPDATE queue SET data = {sealed}"), []).unwrap();
    legacy.event("01KRX0000000000000000000B1", Some("team-other"));
    legacy.event("01KRX0000000000000000000B2", Some("team-other"));
    let ours = format!(
        "UPDATE queue SET data = json_set(data, '$.team_slug', '{}') WHERE event_id = '{EVENT}'",
        server.team
    );
    db.execute(&ours, []).unwrap();

    let preview = world.run(["sync", "opt-in", "--project", PROJECT, "--include-held"]).exits(2);
    assert!(preview.stdout.contains("1 event and 1 body would be released"), "{}", preview.stdout);
    let done = world.run(["sync", "opt-in", "--project", PROJECT, "--include-held", "--yes"]).exits(0);
    assert!(done.stdout.contains("released 1 event and 1 body"), "{}", done.stdout);
    assert_eq!(held(&world).as_array().unwrap().len(), 0);
    world.run(["sync", "now"]).exits(1);
    assert_eq!(server.event_ids(), [EVENT]);
}

#[test]
fn session_that_cannot_be_read_is_not_called_logged_out() {
    let (mut world, server, _legacy) = world();
    logged_out(&mut world, &server, |world| {
        std::fs::create_dir_all(world.root().join("auth")).unwrap();
        std::fs::write(world.root().join("auth/session.json"), "{ broken").unwrap();
        let run = world.run(["sync", "opt-in", "--project", PROJECT, "--include-held", "--yes"]).exits(0);
        assert!(!run.stderr.contains("not logged in"), "{}", run.stderr);
        assert!(run.stderr.contains("session_unreadable"), "{}", run.stderr);
        assert!(is_opted_in(world));
    });
}

fn scoped(world: &World) -> Connection {
    let queues = std::fs::read_dir(world.root().join("queues")).unwrap().flatten();
    let mut files =
        queues.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|ext| ext == "db"));
    Connection::open(files.next().unwrap()).unwrap()
}

fn world_config(world: &World) -> std::path::PathBuf {
    world.work().join(".kittify/config.yaml")
}
