//! Facts that are captured again, after the queue DB was lost or in a repository without its caches, are the events
//! that the server has. The real program and a real server.

use crate::worlds::with_server;
use contract::{Remedy, Scope};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use testkit::mission::{Mission, SPEC};
use testkit::reference_queue::ReferenceQueue;
use testkit::world::USER;
use testkit::{Server, World};

fn queue(world: &World, server: &Server) -> PathBuf {
    world.home().scoped_queue(&Scope::new(&server.url(), USER, &server.team))
}

fn run(world: &World, mission: &Mission, argv: &[&str]) {
    world.run(argv.iter().copied().chain(["--mission", &mission.slug])).exits(0);
}

/// A mission of which nothing is captured before its planning; its lane rows are on a branch when `topology` says so.
fn planned(world: &World, topology: &str) -> Mission {
    let slug =
        world.run(["agent", "mission", "create", "sample", "--json"]).exits(0).json()["mission_slug"].clone();
    let slug = slug.as_str().unwrap().to_owned();
    let mission = Mission { path: world.work().join("kitty-specs").join(&slug), slug };
    if topology == "coord" {
        let branch = format!("kitty/mission-{}", mission.slug);
        let mut meta: Value = serde_json::from_str(&mission.read("meta.json")).unwrap();
        meta["coordination_branch"] = json!(branch);
        meta["topology"] = json!(topology);
        mission.write("meta.json", &meta.to_string());
        let _ = world.run_program("git", ["branch", &branch]).exits(0);
    }
    mission.specified(world).planned().with_tasks();
    run(world, &mission, &["agent", "mission", "finalize-tasks"]);
    mission
}

/// Takes a work package to `approved`, with a commit between the moves, and a document to and fro.
fn worked(world: &World, mission: &Mission) {
    let moved = |lane: &str, more: &[&str]| {
        let argv = ["agent", "tasks", "move-task", "WP01", "--to", lane, "--agent", "dev", "--force"];
        run(world, mission, &[&argv, more].concat());
    };
    moved("in_progress", &[]);
    mission.write("spec.md", &format!("{SPEC}\nMore.\n"));
    moved("for_review", &["--note", "see src"]);
    mission.write("spec.md", SPEC);
    run(world, mission, &["agent", "tasks", "add-history", "WP01", "--note", "it rings"]);
    moved("approved", &["--reviewer", "rev", "--approval-ref", "#1", "--note", "heard it"]);
}

/// Captures the mission as the repair advises, and delivers: nothing is new to the server, and nothing is parked.
#[track_caller]
fn captured_again(world: &World, server: &Server, mission: &Mission) {
    let before = server.held();
    let captured =
        world.run(["sync", "capture", "--history", &mission.slug, "--yes", "--json"]).exits(0).json();
    assert!(captured["capture"]["events"].as_u64() > Some(10), "{captured:#}");
    let now = world.run(["sync", "now", "--json"]).exits(0).json();
    assert_eq!((&now["events"]["delivered"], &now["events"]["parked"]), (&json!(0), &json!(0)), "{now:#}");
    assert_eq!(now["events"]["duplicate"], captured["capture"]["events"], "{now:#}");
    assert_eq!(server.held(), before);
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    assert_eq!(status["parked"], json!({"events": 0, "bodies": 0}), "{status:#}");
}

/// The remedies of the missions whose rows the queue DB lacks.
fn incomplete(world: &World) -> Value {
    let run = world.run(["sync", "doctor", "--offline", "--json"]);
    let doctor = run.json();
    let checks = doctor["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "missions").unwrap();
    let finding =
        check["findings"].as_array().unwrap().iter().find(|row| row["code"] == "capture_incomplete");
    finding.map_or(Value::Null, |finding| finding["remediation"].clone())
}

#[test]
fn missions_of_a_lost_queue_are_named_until_their_history_is_captured() {
    let (mut world, server) = with_server();
    let missions = ["kettle", "tea-timer", "unused"].map(|name| Mission::create(&world, name));
    let captured = |mission: &Mission| Remedy::CaptureHistory { mission: mission.slug.clone() };
    for mission in &missions[..2] {
        world.run(captured(mission).argv().unwrap()).exits(0);
    }
    world.run(["sync", "now"]).exits(0);
    assert_eq!(incomplete(&world), Value::Null);
    let before = server.held();

    std::fs::remove_file(queue(&world, &server)).unwrap();
    let hints = json!([captured(&missions[0]).hint(), captured(&missions[1]).hint()]);
    assert_eq!(incomplete(&world), hints, "the queue DB is gone");
    let warnings = world.run(["sync", "status", "--json"]).json()["warnings"].clone();
    assert_eq!(warnings[0]["code"], "queue_missing", "{warnings:#}");
    assert!(warnings[0]["remediation_hint"].as_str().unwrap().contains("sync doctor"), "{warnings:#}");
    for _ in 0..2 {
        let now = world.run(["sync", "now"]).exits(0).stdout;
        assert!(now.contains("is gone") && !now.contains("nothing waits"), "{now}");
    }
    // A new queue DB, and a document that changed, leave the history as it is.
    missions[0].specified(&world);
    run(&world, &missions[0], &["agent", "mission", "setup-plan"]);
    assert_eq!(incomplete(&world), hints, "there is another one");
    assert_eq!(world.run(["sync", "status", "--json"]).json()["warnings"], json!([]));
    world.set("SPEC_KITTY_ENABLE_SAAS_SYNC", "0");
    assert_eq!(incomplete(&world), Value::Null, "nothing is captured");
    world.set("SPEC_KITTY_ENABLE_SAAS_SYNC", "1");

    for (number, mission) in missions[..2].iter().enumerate() {
        world.run(captured(mission).argv().unwrap()).exits(0);
        assert_eq!(incomplete(&world).as_array().map_or(0, Vec::len), 1 - number);
    }
    world.run(["sync", "now"]).exits(0);
    let all = server.held();
    assert!(before.iter().all(|row| all.contains(row)), "{all:?}");

    // A clone: it has no record of what was captured. The page has a line for all of its missions.
    std::fs::remove_file(queue(&world, &server)).unwrap();
    std::fs::remove_dir_all(world.work().join(".git/spec-kitty-locks")).unwrap();
    assert_eq!(incomplete(&world), Value::Null);
    let page = include_str!("../../../../docs/queue.md");
    let line = page.lines().find(|line| line.starts_with("for mission in")).unwrap();
    let programs = Path::new(crate::worlds::BINARY).parent().unwrap().display().to_string();
    world.set("PATH", &format!("{programs}:{}", std::env::var("PATH").unwrap()));
    let run = world.run_program("sh", ["-c", line]).exits(0);
    for mission in &missions {
        assert!(run.stdout.contains(&format!("{}: captured ", mission.slug)), "{run:?}");
    }
    world.run(["sync", "now"]).exits(0);
    let held = server.held();
    assert!(all.iter().all(|row| held.contains(row)) && held.len() > all.len(), "{held:?}");
}

/// Only a capture makes a new queue DB: the warning stays, whatever delivers, reads, collects or decides.
#[test]
fn lost_queue_db_is_made_again_by_a_capture_alone() {
    let (mut world, server) = with_server();
    let mission = Mission::create(&world, "sample");
    let capture = Remedy::CaptureHistory { mission: mission.slug.clone() };
    world.run(capture.argv().unwrap()).exits(0);
    world.run(["sync", "now"]).exits(0);
    world.allow_daemon();
    // A row of another account, which is counted and never moved.
    ReferenceQueue::create(&world.home().legacy_queue())
        .event("01KRX0000000000000000000B1", Some("team-other"));
    let queue = queue(&world, &server);
    std::fs::remove_file(&queue).unwrap();
    let warned = |world: &World, what: &dyn std::fmt::Debug| {
        assert!(!queue.exists(), "{what:?}");
        let warnings = world.run(["sync", "status", "--json"]).json()["warnings"].clone();
        assert_eq!(warnings[0]["code"], "queue_missing", "{what:?}: {warnings:#}");
    };
    for argv in [
        &["sync", "status", "--check"][..],
        &["sync", "now"],
        &["sync", "now", "--json"],
        &["sync", "preview"],
        &["sync", "diagnose"],
        &["sync", "export"],
        &["sync", "doctor"],
        &["doctor", "repair"],
        &["sync", "setup", "--yes"],
        &["sync", "migrate"],
        &["sync", "migrate", "--json"],
        &["sync", "gc"],
        &["sync", "gc", "--sent"],
        &["sync", "resend", "--since", "7d", "--yes"],
        &["sync", "resend", "--missing", "--yes"],
        &["sync", "parked", "list"],
        &["sync", "parked", "retry", "--all"],
        &["sync", "parked", "retry", "1"],
        &["sync", "parked", "drop", "1", "--reason", "none"],
        &["sync", "opt-in", "--yes"],
        &["sync", "opt-in", "--include-held", "--yes"],
        &["sync", "opt-in", "--all-held", "--yes"],
        &["sync", "opt-out", "--yes"],
        &["sync", "opt-in", "--yes"],
        &["agent", "status", "show", "--mission", "sample"],
        &["agent", "mission", "setup-plan", "--mission", "sample", "--local-only"],
        &["sync", "daemon", "start"],
        &["sync", "now"],
    ] {
        let _ = world.run(argv.iter().copied());
        warned(&world, &argv);
    }
    world.run(capture.argv().unwrap()).exits(0);
    assert!(queue.exists());
    assert_eq!(world.run(["sync", "status", "--json"]).json()["warnings"], json!([]));
}

/// A new queue DB got all documents, and the log has no row to send.
#[test]
fn history_without_a_row_to_capture_is_complete() {
    let (world, _server) = with_server();
    let mission = Mission::create(&world, "sample");
    std::fs::remove_file(mission.path.join("status.events.jsonl")).unwrap();
    let remedy = Remedy::CaptureHistory { mission: mission.slug.clone() };
    let captured =
        || world.run([&remedy.argv().unwrap()[..], &["--json".to_owned()]].concat()).exits(0).json();
    captured();
    let caches = std::fs::read_dir(world.work().join(".git/spec-kitty-locks")).unwrap();
    let cache = caches
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().ends_with(".captured.json"))
        .unwrap();
    let mut known: Value = serde_json::from_slice(&std::fs::read(&cache).unwrap()).unwrap();
    known["incomplete"] = json!(true);
    std::fs::write(&cache, known.to_string()).unwrap();
    assert_eq!(incomplete(&world), json!([remedy.hint()]));
    let again = captured();
    assert_eq!(again["capture"]["events"].as_u64().unwrap_or(0), 0, "{again:#}");
    assert_eq!(incomplete(&world), Value::Null);
}

fn destroy(path: &Path) {
    std::fs::write(path, "no database at all").unwrap();
}

#[test]
fn facts_captured_again_after_a_lost_queue_are_duplicates() {
    for topology in ["lanes", "coord"] {
        let (world, server) = with_server();
        let mission = planned(&world, topology);
        worked(&world, &mission);
        world.run(["sync", "now"]).exits(0);
        // The head and the number of the mission are others by now.
        let mut meta: Value = serde_json::from_str(&mission.read("meta.json")).unwrap();
        meta["mission_number"] = json!(7);
        mission.write("meta.json", &meta.to_string());
        let _ = world.run_program("git", ["add", "--all"]).exits(0);
        let _ = world.run_program("git", ["commit", "--quiet", "-m", "merged"]).exits(0);
        world.run(["sync", "capture", "--history", &mission.slug, "--yes"]).exits(0);
        world.run(["sync", "now"]).exits(0);

        destroy(&queue(&world, &server));
        let repaired = world.run(["doctor", "repair"]).exits(0).stdout;
        assert!(repaired.contains("spec-kitty sync capture --history"), "{repaired}");
        let hint = Remedy::CaptureHistory { mission: mission.slug.clone() }.hint();
        assert_eq!(incomplete(&world), json!([hint]));
        captured_again(&world, &server, &mission);
        assert_eq!(incomplete(&world), Value::Null);

        // A file that is gone, and a clone: no cache of captured documents.
        std::fs::remove_file(queue(&world, &server)).unwrap();
        std::fs::remove_dir_all(world.work().join(".git/spec-kitty-locks")).unwrap();
        captured_again(&world, &server, &mission);
    }
}

#[test]
fn document_that_returns_to_old_content_is_sent_again() {
    let (world, server) = with_server();
    let mission = Mission::create(&world, "sample");
    let changed = |text: &str| {
        mission.write("spec.md", text);
        world.run(["sync", "capture", "--history", &mission.slug, "--yes"]).exits(0);
        world.run(["sync", "now"]).exits(0);
        let rows = server.get("/api/v1/inspect/events?content=1")["rows"].clone();
        let announced = rows
            .as_array()
            .unwrap()
            .iter()
            .rev()
            .find(|row| row["aggregate_id"] == format!("{}:spec.md", mission.slug));
        let event: Value = serde_json::from_str(announced.unwrap()["content"].as_str().unwrap()).unwrap();
        event["payload"]["content_ref"]["hash"].as_str().unwrap().to_owned()
    };
    let first = changed(SPEC);
    for _ in 0..2 {
        assert_ne!(changed("# Other\n"), first);
        assert_eq!(changed(SPEC), first);
    }
}
