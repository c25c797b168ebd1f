//! A mission from its name to its evidence, by commands alone, against a running server.

use crate::worlds::{coordinated, offline, sample, with_server};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use testkit::World;
use testkit::mission::{Mission, PLAN, SPEC};
use testkit::patience::eventually;

/// Runs a command on the mission, and gives back its document.
#[track_caller]
fn document(world: &World, argv: &[&str], exit: i32) -> Value {
    world.run(argv.iter().copied().chain(["--mission", "tea-timer", "--json"])).exits(exit).json()
}

/// Creates, specifies and plans, with one question on the way.
fn plan(world: &World) -> Mission {
    let created =
        world.run(["specify", "tea-timer", "--friendly-name", "Tea timer", "--json"]).exits(0).json();
    let slug = created["mission_slug"].as_str().unwrap().to_owned();
    let mission = Mission { path: world.work().join("kitty-specs").join(&slug), slug };
    assert_eq!(document(world, &["agent", "mission", "setup-plan"], 0)["result"], "blocked");

    let open =
        ["agent", "decision", "open", "--flow", "specify", "--step-id", "scope", "--input-key", "sound"];
    let question = [&open[..], &["--question", "Which sound?", "--options", r#"["bell","gong"]"#]].concat();
    let opened = document(world, &question, 0);
    let id = opened["decision_id"].as_str().unwrap();
    assert_eq!(document(world, &question, 0)["idempotent"], true);
    document(world, &["agent", "decision", "defer", id, "--rationale", "ask the users"], 0);
    let drift = document(world, &["agent", "decision", "verify"], 1);
    assert_eq!(drift["findings"][0]["kind"], "DEFERRED_WITHOUT_MARKER", "{drift:#}");
    document(world, &["agent", "decision", "resolve", id, "--final-answer", "gong"], 0);
    assert_eq!(document(world, &["agent", "decision", "verify"], 0)["status"], "clean");
    let page = mission.read(&format!("decisions/DM-{id}.md"));
    assert!(page.contains("Which sound?") && page.contains("gong"), "{page}");
    let refused = document(world, &["agent", "decision", "cancel", id, "--rationale", "no"], 1);
    assert_eq!(refused["error_code"], "DECISION_TERMINAL_CONFLICT");

    mission.write("spec.md", SPEC);
    world.git(["add", "--all"]);
    world.git(["commit", "--quiet", "-m", "spec"]);
    document(world, &["plan"], 0);
    mission.write("plan.md", PLAN);
    assert_eq!(document(world, &["plan"], 0)["phase_complete"], true);
    mission
}

/// Moves both work packages to done; the first is rejected once by each of the two ways.
fn work(world: &World) {
    let to = |wp: &str, lane: &str, more: &[&str], exit: i32| {
        document(
            world,
            &[&["agent", "tasks", "move-task", wp, "--to", lane, "--agent", "dev"], more].concat(),
            exit,
        )
    };
    to("WP01", "doing", &[], 0);
    assert_eq!(to("WP01", "for_review", &[], 1)["error_code"], "SUBTASKS_UNCHECKED");
    document(world, &["agent", "tasks", "mark-status", "T001", "T002", "--status", "done"], 0);
    to("WP01", "for_review", &[], 0);
    let back = ["agent", "status", "emit", "WP01", "--to", "planned", "--actor", "rev"];
    assert_eq!(document(world, &back, 1)["error_code"], "ILLEGAL_TRANSITION");
    let forced = document(world, &[&back[..], &["--force", "--reason", "it never rings"]].concat(), 0);
    assert_eq!((&forced["from_lane"], &forced["to_lane"]), (&"for_review".into(), &"planned".into()));

    to("WP01", "for_review", &[], 0);
    std::fs::write(world.work().join("feedback.md"), "**Issue**: it still does not ring\n").unwrap();
    let rejected = to("WP01", "planned", &["--review-feedback-file", "feedback.md"], 0);
    assert!(rejected["review_feedback"].as_str().unwrap().ends_with("review-cycle-1.md"), "{rejected:#}");
    document(world, &["agent", "tasks", "add-history", "WP01", "--note", "it rings now"], 0);
    assert_eq!(to("WP01", "approved", &[], 1)["error_code"], "REVIEW_REJECTED");
    to("WP01", "approved", &["--skip-review-artifact-check", "--note", "heard it"], 0);
    to("WP01", "done", &["--skip-review-artifact-check", "--note", "heard it"], 0);

    document(world, &["agent", "tasks", "mark-status", "T003", "--status", "done"], 0);
    to("WP02", "done", &["--reviewer", "rev", "--approval-ref", "#2"], 0);
    let again = to("WP02", "done", &[], 0);
    assert_eq!((&again["changed"], &again["capture"]["state"]), (&false.into(), &"local".into()));
}

/// Captures, drafts and verifies evidence, and catches a lie.
fn prove(world: &World, mission: &Mission) {
    std::fs::create_dir_all(world.work().join("src")).unwrap();
    std::fs::write(world.work().join("src/ring.sh"), "echo gong\n").unwrap();
    mission.write(
        "evidence.yaml",
        "checks:\n- id: it-rings\n  issue: 7\n  work_package: WP02\n  command: sh src/ring.sh\n  timeout: 30\n  \
         contains: [gong]\n  sources: ['src/**']\n",
    );
    let verify = ["agent", "evidence", "verify"];
    assert_eq!(document(world, &verify, 1)["findings"][0]["problem"], "missing");
    let captured = document(world, &["agent", "evidence", "capture"], 0);
    assert_eq!((&captured["result"], &captured["checks"][0]["passed"]), (&"success".into(), &true.into()));
    let drafted = document(world, &["agent", "evidence", "draft"], 0);
    assert_eq!(drafted["files"].as_array().unwrap().len(), 3, "{drafted:#}");
    let done = mission.read("evidence/definition-of-done.md");
    assert!(done.contains("- [x] WP01 Count down: done") && done.contains("- [x] #7 `it-rings`"), "{done}");
    assert_eq!(document(world, &verify, 0)["status"], "clean");

    let transcript = "evidence/test-transcripts/it-rings.stdout.txt";
    let original = mission.read(transcript);
    mission.write(transcript, "gong gong\n");
    assert_eq!(document(world, &verify, 1)["findings"][0]["problem"], "edited");
    mission.write(transcript, &original);
    std::fs::write(world.work().join("src/ring.sh"), "exit 3\n").unwrap();
    assert_eq!(document(world, &verify, 1)["findings"][0]["problem"], "stale");
    assert_eq!(document(world, &[&verify[..], &["--integrity-only"]].concat(), 0)["status"], "clean");
    let elsewhere = world.user_home().join("transcripts");
    let capture = ["agent", "evidence", "capture", "--transcripts", elsewhere.to_str().unwrap()];
    let failed = world.run(capture.into_iter().chain(["--mission", "tea-timer"])).exits(1);
    assert!(failed.stderr.contains("reopen WP02"), "{failed:?}");
}

/// Rows of the mission's log that are sent: all but those of decisions.
fn travelling(mission: &Mission) -> Vec<String> {
    let log = mission.read("status.events.jsonl");
    log.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|row| !row["event_type"].as_str().is_some_and(|kind| kind.starts_with("Decision")))
        .map(|row| row["event_id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn mission_runs_from_create_to_done_and_is_delivered() {
    let (world, server) = with_server();
    let mission = plan(&world);
    mission.with_tasks();
    let judged = document(&world, &["tasks", "--validate-only"], 0);
    assert_eq!(judged["validation"]["lanes_preview"]["lane_ids"], serde_json::json!(["lane-a", "lane-b"]));
    let done = document(&world, &["tasks"], 0);
    assert_eq!((&done["wp_count"], &done["commit_created"]), (&2.into(), &true.into()));
    assert_eq!(document(&world, &["tasks"], 0)["commit_created"], false);
    work(&world);
    let board = world.run(["agent", "status", "show", "--mission", "tea-timer"]).exits(0).stdout;
    assert!(board.contains("software-dev: 2 of 2 done") && board.contains("done (2)"), "{board}");
    assert_eq!(document(&world, &["agent", "tasks", "list", "--lane", "done"], 0)["count"], 2);
    let before = mission.read("status.json");
    let materialized = document(&world, &["agent", "status", "materialize"], 0);
    assert_eq!(materialized, serde_json::from_str::<Value>(&before).unwrap());
    assert_eq!(mission.read("status.json"), before);
    prove(&world, &mission);

    let now = world.run(["sync", "now", "--json"]).exits(0).json();
    assert_eq!(now["result"], "delivered", "{now:#}");
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    assert_eq!(
        (&status["active_queue"]["event_count"], &status["active_queue"]["body_upload_count"]),
        (&0.into(), &0.into())
    );
    assert_eq!(status["parked"]["events"], 0, "{status:#}");
    let arrived = server.event_ids();
    let known: BTreeSet<&String> = arrived.iter().collect();
    assert_eq!(known.len(), arrived.len(), "each once");
    let rows = travelling(&mission);
    assert!(rows.len() > 20, "{rows:?}");
    let missing: Vec<_> = rows.iter().filter(|id| !known.contains(id)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let bodies = server.body_hashes();
    for name in ["spec.md", "plan.md", "tasks.md", "tasks/WP01-count-down.md", "tasks/WP02-ring.md"] {
        let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(mission.read(name)));
        assert!(bodies.contains(&hash), "{name} did not arrive");
    }
    let page = server.get("/api/v1/inspect/events");
    let types: BTreeSet<&str> =
        page["rows"].as_array().unwrap().iter().filter_map(|row| row["event_type"].as_str()).collect();
    for kind in ["MissionCreated", "PlanCompleted", "WPCreated", "WPStatusChanged", "HistoryAdded"] {
        assert!(types.contains(kind), "{kind}: {types:?}");
    }
}

/// Agents call `agent decision` without `--json`, as earlier releases had nothing else.
#[test]
fn decision_is_a_document_wherever_no_person_reads_it() {
    let (world, _server) = with_server();
    Mission::create(&world, "tea-timer");
    let open = ["agent", "decision", "open", "--mission", "tea-timer", "--flow", "plan", "--slot-key", "p.k"];
    let question = open.into_iter().chain(["--input-key", "k", "--question", "q?"]);
    let opened = world.run(question.clone()).exits(0).json();
    assert_eq!(opened["idempotent"], false);
    let text = world.run(question.clone().chain(["--no-json"])).exits(0).stdout;
    assert!(text.contains("is open already"), "{text}");
    let wrong =
        world.run(["agent", "decision", "resolve", "x", "--mission", "tea-timer", "--final-answer", "a"]);
    assert_eq!(wrong.exits(1).json()["error_code"], "INVALID_ARGUMENT");
}

/// A handle that names nothing is answered with what there is.
#[test]
fn mission_that_is_not_there_is_answered_with_those_that_are() {
    let (world, _server) = with_server();
    let mission = Mission::create(&world, "tea-timer");
    for argv in [&["agent", "status", "show", "--mission", "coffee"][..], &["agent", "tasks", "list"]] {
        let run = world.run(argv).exits(1);
        assert!(run.stderr.contains(&format!("missions: {}", mission.slug)), "{}", run.stderr);
        assert!(run.stderr.contains("hint: pass --mission"), "{}", run.stderr);
    }
    for handle in [&mission.slug, "tea-timer", mission.slug.rsplit('-').next().unwrap()] {
        world.run(["agent", "tasks", "list", "--mission", handle]).exits(0);
    }
}

/// Ctrl-C ends the check with all it started, and keeps what was captured before.
#[cfg(unix)]
#[test]
fn interrupted_evidence_capture_keeps_the_earlier_transcript() {
    use std::io::Read as _;
    let (world, _server) = with_server();
    let mission = Mission::create(&world, "tea-timer");
    let checks = |command: &str| {
        format!(
            "checks:\n- {{id: waits, issue: 1, work_package: WP01, command: '{command}', sources: ['src/**']}}\n"
        )
    };
    mission.write("tasks/WP01-first.md", "---\nwork_package_id: WP01\ntitle: First\n---\n");
    std::fs::create_dir_all(world.work().join("src")).unwrap();
    std::fs::write(world.work().join("src/ring.sh"), "echo gong\n").unwrap();
    mission.write("evidence.yaml", &checks("echo first"));
    document(&world, &["agent", "evidence", "capture"], 0);
    for pipe in ["up", "down"] {
        world.run_program("mkfifo", [pipe]).exits(0);
    }
    mission.write("evidence.yaml", &checks("echo second; echo up > up; sleep 1000 > down"));
    let mut command = world.command();
    command.args(["agent", "evidence", "capture", "--mission", "tea-timer", "--json"]);
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    // Opening waits for the check to get there, and the end of the second pipe for the sleeper's end.
    assert_eq!(std::fs::read_to_string(world.work().join("up")).unwrap(), "up\n");
    let mut down = std::fs::File::open(world.work().join("down")).unwrap();
    world.run_program("kill", ["-INT", &child.id().to_string()]).exits(0);
    down.read_to_end(&mut Vec::new()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&said["error_code"], &said["exit_code"]), (&"INTERRUPTED".into(), &130.into()));
    assert_eq!(mission.read("evidence/test-transcripts/waits.stdout.txt"), "first\n");
    let left = std::fs::read_dir(mission.path.join("evidence/test-transcripts")).unwrap().count();
    assert_eq!(left, 4, "nothing half-written is left");
}

/// An option that has nothing to do here is taken, and its call is told so.
#[test]
fn option_without_an_effect_is_named() {
    let world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
    world.init_project();
    let create =
        ["agent", "mission", "create", "demo", "--branch-strategy", "already-confirmed", "--local-only"];
    let created = world.run(create).exits(0);
    assert!(created.stderr.contains("--branch-strategy has no effect"), "{created:?}");
}

#[test]
fn mission_in_a_linked_worktree_is_moved_there() {
    let world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
    world.init_project();
    let linked = world.work().with_file_name("linked");
    let shown = linked.to_str().unwrap();
    world.git(["add", "--all"]);
    world.git(["commit", "--quiet", "--allow-empty", "-m", "project"]);
    world.git(["worktree", "add", "--quiet", "-b", "topic", shown]);
    if !linked.join(".kittify").exists() {
        std::fs::create_dir(linked.join(".kittify")).unwrap();
    }
    let create = ["agent", "mission", "create", "demo", "--owned-checkout", shown, "--local-only", "--json"];
    let slug = world.run(create).exits(0).json()["mission_slug"].as_str().unwrap().to_owned();
    let mission = linked.join("kitty-specs").join(&slug);
    assert!(mission.join("meta.json").exists() && !world.work().join("kitty-specs").join(&slug).exists());
    assert_eq!(
        world.git(["log", "-1", "--format=%s", "topic"]).trim(),
        format!("Add meta for feature {slug}")
    );
    std::fs::write(mission.join("tasks.md"), "## WP01 - One\n- [ ] T001 do\n").unwrap();
    std::fs::write(mission.join("tasks/WP01-one.md"), "---\nwork_package_id: WP01\ntitle: One\n---\n")
        .unwrap();
    let mark = [
        "agent",
        "tasks",
        "mark-status",
        "T001",
        "--status",
        "done",
        "--local-only",
        "--owned-checkout",
        shown,
    ];
    let refused = world.run(mark).exits(1);
    assert!(
        refused.stderr.contains("--owned-checkout") && refused.stderr.contains("--mission"),
        "{refused:?}"
    );
    let named: Vec<&str> = mark.into_iter().chain(["--mission", &slug]).collect();
    let _ = world.run(named).exits(0);
    assert!(std::fs::read_to_string(mission.join("tasks.md")).unwrap().contains("[x] T001"));
}

/// The verbs that write into a mission and need no commit, with their options.
const WRITING: [&[&str]; 6] = [
    &["agent", "tasks", "add-history", "WP01", "--note", "n"],
    &["agent", "tasks", "mark-status", "T001", "--status", "done", "--no-auto-commit"],
    &["agent", "status", "emit", "WP01", "--to", "claimed", "--actor", "me"],
    &["agent", "status", "materialize"],
    &["agent", "decision", "open", "--flow", "plan", "--step-id", "s", "--input-key", "k", "--question", "?"],
    &["agent", "evidence", "capture"],
];

/// A project in which hosted sync is off, with a finalized mission and a check of its evidence.
fn local_mission() -> (World, Mission) {
    let mut world = crate::worlds::fresh();
    world.set("SPEC_KITTY_ENABLE_SAAS_SYNC", "0");
    world.init_project();
    let mission = Mission::create(&world, "sample");
    mission.specified(&world).planned().with_tasks();
    world.run(["tasks", "--mission", &mission.slug]).exits(0);
    mission.write(
        "evidence.yaml",
        "checks:\n- id: one\n  issue: 1\n  work_package: WP01\n  command: \"true\"\n  sources: [\"kitty-specs/**/spec.md\"]\n",
    );
    (world, mission)
}

#[track_caller]
fn warns(world: &World, mission: &Mission, argv: &[&str], words: &str) {
    let run = world.run(argv.iter().copied().chain(["--mission", &mission.slug, "--json"])).exits(0);
    assert!(run.stderr.contains(words), "{argv:?}: {run:?}");
    if argv[2] != "materialize" {
        assert!(run.json()["warnings"].to_string().contains(words), "{argv:?}: {run:?}");
    }
}

#[test]
fn every_writing_verb_warns_of_a_detached_head() {
    let (world, mission) = local_mission();
    world.git(["add", "--all"]);
    world.git(["commit", "--quiet", "-m", "mission"]);
    world.git(["switch", "--quiet", "--detach"]);
    for argv in WRITING {
        warns(&world, &mission, argv, "no branch is checked out (detached HEAD)");
    }
    // The remedy keeps what was written.
    let run = world.run(["agent", "tasks", "add-history", "WP01", "--note", "m", "--mission", &mission.slug]);
    let remedy = run.stderr.split('`').nth(1).unwrap().to_owned();
    world.run_program("sh", ["-c", &remedy]).exits(0);
    assert!(world.git(["diff", "HEAD"]).contains("+- "), "the note is still in the work package's file");
    let quiet =
        world.run(["agent", "tasks", "add-history", "WP01", "--note", "o", "--mission", &mission.slug]);
    assert!(!quiet.stderr.contains("warning"), "{quiet:?}");
}

#[test]
fn every_writing_verb_warns_of_a_renamed_target_branch() {
    let (world, mission) = local_mission();
    world.git(["add", "--all"]);
    world.git(["commit", "--quiet", "-m", "mission"]);
    world.git(["branch", "--move", "main", "trunk"]);
    for argv in WRITING {
        warns(&world, &mission, argv, "target branch `main` does not exist");
    }
    let note = |note: &str| {
        world
            .run(["agent", "tasks", "add-history", "WP01", "--note", note, "--mission", &mission.slug])
            .exits(0)
    };
    let warned = note("renamed");
    // Each of the two ways out.
    let create = warned.stderr.rsplit('`').nth(1).unwrap().to_owned();
    world.run_program("sh", ["-c", &create]).exits(0);
    assert!(!note("created").stderr.contains("warning"));
    world.git(["branch", "--delete", "--force", "main"]);
    let meta = mission.read("meta.json");
    mission.write("meta.json", &meta.replace("\"target_branch\": \"main\"", "\"target_branch\": \"trunk\""));
    assert!(!note("recorded").stderr.contains("warning"));
}

#[test]
fn plan_and_tasks_warn_of_a_renamed_target_branch() {
    let mut world = crate::worlds::fresh();
    world.set("SPEC_KITTY_ENABLE_SAAS_SYNC", "0");
    world.init_project();
    let mission = Mission::create(&world, "sample");
    mission.specified(&world);
    world.git(["branch", "--move", "main", "trunk"]);
    for verb in ["plan", "tasks"] {
        let run = world.run([verb, "--mission", &mission.slug, "--json"]).exits(0);
        let words = "target branch `main` does not exist";
        assert!(run.stderr.contains(words), "{verb}: {run:?}");
        assert!(run.json()["warnings"].to_string().contains(words), "{verb}: {run:?}");
        mission.planned().with_tasks();
    }
}

#[test]
fn history_names_the_kinds_of_rows_that_stay() {
    let world = crate::worlds::logged_in();
    let mission = Mission::create(&world, "sample");
    let question = ["--step-id", "s", "--input-key", "k", "--question", "?", "--mission", &mission.slug];
    world.run(["agent", "decision", "open", "--flow", "specify"].into_iter().chain(question)).exits(0);
    let preview = world.run(["sync", "capture", "--history", &mission.slug]).exits(2);
    let words = "1 row stays here, as its kind is not sent: DecisionPointOpened\n";
    assert!(preview.stdout.contains(words), "{}", preview.stdout);
    let preview = world.run(["sync", "capture", "--history", &mission.slug, "--json"]).exits(2).json();
    assert_eq!(preview["stays_by_kind"]["DecisionPointOpened"], 1, "{preview:#}");
}

#[test]
fn project_without_a_repository_is_never_called_set_up() {
    let world = crate::worlds::fresh();
    world.run(["init"]).exits(0);
    let again = world.run(["init"]).exits(0);
    assert!(again.stdout.contains("lacks a git repository"), "{again:?}");
    assert!(again.stderr.contains("run `git init`, then `spec-kitty init`"), "{again:?}");
    world.git(["init", "--quiet"]);
    assert!(world.run(["init"]).exits(0).stdout.contains("git config: "));
    assert!(world.run(["init"]).exits(0).stdout.contains("is set up"));
}

#[test]
fn decisions_are_committed_with_the_log() {
    for on_branch in [false, true] {
        let world = offline();
        let mission = if on_branch { coordinated(&world).0 } else { sample(&world) };
        let run =
            |argv: &[&str]| world.run(argv.iter().copied().chain(["--mission", &mission.slug])).exits(0);
        let uncommitted = || {
            let files = ["decisions", "status.events.jsonl"].map(|name| mission.path.join(name));
            let files = files.iter().map(|file| file.to_str().unwrap());
            world.git(["status", "--porcelain", "--"].into_iter().chain(files))
        };
        let finalize = ["agent", "mission", "finalize-tasks"];
        let moved = ["agent", "tasks", "move-task", "WP01", "--to", "claimed", "--agent", "dev"];
        let begun = ["agent", "tasks", "move-task", "WP01", "--to", "in_progress", "--agent", "dev"];
        for (number, commits) in [&finalize[..], &moved, &begun].into_iter().enumerate() {
            let key = number.to_string();
            let asked =
                ["agent", "decision", "open", "--flow", "plan", "--slot-key", "s", "--input-key", &key];
            run(&[&asked[..], &["--question", "Which?"]].concat());
            assert_ne!(uncommitted(), "", "on a branch: {on_branch}, {commits:?}");
            run(commits);
            assert_eq!(uncommitted(), "", "on a branch: {on_branch}, {commits:?}");
        }
    }
}

#[test]
fn second_mission_of_a_name_has_a_warning() {
    let world = offline();
    let create = || world.run(["agent", "mission", "create", "kettle", "--json"]);
    let first = create().exits(0).json();
    assert_eq!(first["warnings"], Value::Null);
    let mut second = Value::Null;
    eventually("another directory, after a second", || {
        let run = create();
        second = run.json();
        run.code == Some(0) || second["error_code"] != "MISSION_EXISTS"
    });
    let warning = second["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.contains(first["mission_slug"].as_str().unwrap()), "{second:#}");
}
