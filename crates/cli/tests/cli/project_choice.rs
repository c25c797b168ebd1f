//! `--project`: which names are a project, and that any other name changes nothing.

use crate::worlds::with_server;
use rusqlite::Connection;
use testkit::reference_queue::{PROJECT, ReferenceQueue};
use testkit::tree::{difference, snapshot};
use testkit::{Server, World};

/// A world whose legacy queue DB holds an event of [`PROJECT`], which calls itself `acme/widgets`.
fn world() -> (World, Server) {
    let (world, server) = with_server();
    ReferenceQueue::create(&world.root().join("queue.db")).event("01KRX0000000000000000000A1", None);
    (world, server)
}

#[test]
fn project_typo_is_refused_and_changes_nothing() {
    let (world, _server) = world();
    world.run(["sync", "migrate"]).exits(0);
    let before = snapshot(&world.root());
    for named in ["typo", "all", "ALL", "", "widgets", "164b830e-0aa9-486a-80e9-73e0ff9bd517"] {
        for verb in [
            &["sync", "opt-in", "--yes", "--project"][..],
            &["sync", "opt-in", "--include-held", "--yes", "--project"],
            &["sync", "opt-in", "--project"],
            &["sync", "opt-out", "--project"],
        ] {
            let run = world.run(verb.iter().chain(&[named])).exits(2);
            assert!(run.stderr.contains(PROJECT), "{verb:?} {named}: {}", run.stderr);
            let json = world.run(verb.iter().chain(&[named, "--json"])).exits(2).json();
            assert_eq!(json["error_code"], "PROJECT_UNKNOWN", "{verb:?} {named}: {json:#}");
        }
    }
    assert_eq!(difference(&before, &snapshot(&world.root())), [""; 0]);
}

#[test]
fn project_slug_and_every_spelling_of_the_uuid_decide() {
    let (world, server) = world();
    let out = world.run(["sync", "opt-out", "--project", "Acme/Widgets", "--json"]).exits(0).json();
    assert_eq!(out["project_uuid"], PROJECT, "{out:#}");
    let config = std::fs::read_to_string(world.home().config_file()).unwrap();
    assert!(config.contains(PROJECT), "{config}");
    let braces = format!("{{{}}}", PROJECT.to_uppercase());
    let text = world.run(["sync", "opt-in", "--include-held", "--yes", "--project", &braces]).exits(0).stdout;
    assert!(text.contains("acme/widgets"), "{text}");
    world.run(["sync", "now"]).exits(0);
    assert_eq!(server.event_ids().len(), 1);
}

#[test]
fn project_that_only_config_knows_can_be_decided_again() {
    let (world, _server) = with_server();
    let config = std::fs::read_to_string(world.home().config_file()).unwrap();
    let decided = format!(
        "{config}\n[sync.projects.\"{PROJECT}\"]\nenabled = false\n\n[sync.projects.all]\nenabled = true\n"
    );
    world.write_config(&decided);
    world.run(["sync", "opt-in", "--project", PROJECT, "--yes"]).exits(0);
    world.run(["sync", "opt-in", "--project", "all", "--yes"]).exits(2);
}

#[test]
fn slug_of_two_projects_is_refused_with_both_uuids() {
    let (world, _server) = world();
    let legacy = Connection::open(world.root().join("queue.db")).unwrap();
    let other = "892d6066-b402-45e3-9521-a4ac582672a6";
    let sql = "INSERT INTO queue (event_id, event_type, data, timestamp)
        SELECT '01KRX0000000000000000000A2', event_type, replace(data, ?1, ?2), timestamp FROM queue";
    legacy.execute(sql, [PROJECT, other]).unwrap();
    let run = world.run(["sync", "opt-out", "--project", "acme/widgets"]).exits(2);
    assert!(run.stderr.contains(PROJECT) && run.stderr.contains(other), "{}", run.stderr);
}

#[test]
fn held_rows_of_another_program_name_their_project() {
    let (world, _server) = world();
    world.run(["sync", "migrate"]).exits(0);
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    let scoped = Connection::open(status["active_queue"]["path"].as_str().unwrap()).unwrap();
    // As another program adds them: no command of this one has looked at them yet.
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10500)
        INSERT INTO queue (event_id, event_type, data, timestamp)
        SELECT printf('01KRX%021d', i), event_type, data, timestamp FROM n, (SELECT * FROM queue LIMIT 1)";
    scoped.execute(sql, []).unwrap();
    drop(scoped);
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    let held = status["held"].as_array().unwrap();
    assert_eq!(held.len(), 1, "{held:#?}");
    assert_eq!((&held[0]["project_uuid"], &held[0]["events"]), (&PROJECT.into(), &10_501.into()));
    assert!(held[0]["remediation_hint"].as_str().unwrap().contains(PROJECT), "{held:#?}");
}
