//! Missions of the current releases, written as those releases write them.

use super::tasks::{self, mark, moved};
use super::world::World;
use mission::command::decision::{self, CloseRequest, Closing, OpenRequest};
use mission::command::{finalize, mark_status, move_task};
use mission::log::{self, Row};
use mission::{Lane, Result};
use serde_json::{Value, json};

const MISSION: &str = "demo-01KZ0000";

fn path(file: &str) -> String {
    format!("kitty-specs/{MISSION}/{file}")
}

/// A mission whose WP01 has two subtasks and was seeded by 3.2.7.
fn world() -> World {
    let world = World::new();
    let meta = json!({
        "mission_id": "01KZ0000000000000000000000", "mission_slug": MISSION, "mission_type": "software-dev",
        "slug": MISSION, "target_branch": "main", "topology": "single_branch", "free": ["kept"],
    });
    world.write(path("meta.json"), &meta.to_string());
    world.write(path("spec.md"), super::world::SPEC);
    world.write(path("tasks.md"), "## WP01 - First\n- [ ] T001 do\n- [ ] T002 check\n");
    let file = super::world::wp_file("WP01", "First", "src/a.rs");
    world.write(path("tasks/WP01-first.md"), &file.replace("title:", "subtasks: [T001, T002]\ntitle:"));
    let seed = json!({
        "actor": "finalize-tasks", "at": "2026-08-01T10:00:00.000000+00:00",
        "event_id": "01KZ0000000000000000000001", "evidence": null, "execution_mode": "worktree", "force": false,
        "from_lane": "genesis", "mission_id": "01KZ0000000000000000000000", "mission_slug": MISSION,
        "policy_metadata": null, "reason": "canonical bootstrap", "review_ref": null, "to_lane": "planned",
        "wp_id": "WP01",
    });
    world.write(path("status.events.jsonl"), &format!("{seed}\n"));
    world.git(["add", "-A"]);
    world.git(["commit", "-q", "-m", "mission"]);
    world
}

fn to(lane: &str) -> move_task::MoveTaskRequest {
    move_task::MoveTaskRequest { agent: Some("claude".into()), ..tasks::to(MISSION, lane) }
}

fn marked(world: &World, ids: &[&str], status: &str) -> Result<mark_status::Marking> {
    mark(world, MISSION, ids, status)
}

/// The rows behind the first `known`.
fn rows(world: &World, known: usize) -> Vec<Value> {
    world.log(MISSION).split_off(known)
}

fn status(world: &World) -> Value {
    serde_json::from_str(&world.read(path("status.json"))).unwrap()
}

#[test]
fn claim_is_a_lane_row_and_an_annotation_and_no_file_change() {
    let world = world();
    let file = world.read(path("tasks/WP01-first.md"));
    let request =
        move_task::MoveTaskRequest { note: Some("begin".into()), shell_pid: Some(4242), ..to("claimed") };
    moved(&world, &request).unwrap();
    let rows = rows(&world, 1);
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0]["to_lane"], &rows[0]["reason"]), (&json!("claimed"), &json!("begin")));
    let keys: Vec<_> = rows[1].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["actor", "at", "delta", "event_id", "kind", "wp_id"]);
    assert_eq!(rows[1]["delta"], json!({ "agent": "claude", "note": "begin", "shell_pid": 4242 }));
    assert!(rows[1]["at"].as_str() > rows[0]["at"].as_str(), "{rows:?}");
    assert_eq!(world.read(path("tasks/WP01-first.md")), file);
    let package = status(&world)["work_packages"]["WP01"].clone();
    assert_eq!((&package["agent"], &package["notes"]), (&json!("claude"), &json!(["begin"])));
    assert_eq!(world.git(["status", "--porcelain"]), "");
    let other = move_task::MoveTaskRequest { agent: Some("codex".into()), ..to("in_progress") };
    assert_eq!(moved(&world, &other).unwrap_err().code().name(), "AGENT_MISMATCH");
    // Nothing is new, so nothing is written.
    assert!(!moved(&world, &to("claimed")).unwrap().changed);
    let again = move_task::MoveTaskRequest { note: Some("still".into()), ..to("claimed") };
    assert!(moved(&world, &again).unwrap().changed);
    assert_eq!(super::current::rows(&world, 3)[0]["delta"], json!({ "note": "still" }));
}

#[test]
fn marked_subtasks_are_ticked_with_one_annotation_per_package() {
    let world = world();
    moved(&world, &to("in_progress")).unwrap();
    let known = world.log(MISSION).len();
    let refused = moved(&world, &to("for_review")).unwrap_err().to_string();
    assert!(refused.contains("unchecked subtasks: T001, T002"), "{refused}");
    marked(&world, &["T001", "T002"], "done").unwrap();
    let [row] = &rows(&world, known)[..] else { panic!("{:?}", rows(&world, known)) };
    assert_eq!(row["delta"], json!({ "subtasks": { "T001": "done", "T002": "done" } }));
    assert_eq!((&row["actor"], &row["wp_id"]), (&json!("user"), &json!("WP01")));
    assert!(world.read(path("tasks.md")).contains("- [x] T001 do\n- [x] T002 check\n"));
    assert_eq!(world.git(["status", "--porcelain"]), "");
    let again = marked(&world, &["T001"], "done").unwrap();
    assert_eq!((again.summary.already_satisfied, world.log(MISSION).len()), (1, known + 1));
    marked(&world, &["T002"], "pending").unwrap();
    assert_eq!(rows(&world, known + 1)[0]["delta"], json!({ "subtasks": { "T002": "planned" } }));
    assert_eq!(marked(&world, &["T009"], "done").unwrap_err().code().name(), "SUBTASK_NOT_FOUND");
}

#[test]
fn subtask_that_only_the_front_matter_lists_is_marked_in_the_log() {
    let world = world();
    world.write(path("tasks.md"), "## WP01 - First\n");
    let marking = marked(&world, &["T002"], "done").unwrap();
    assert_eq!((marking.summary.updated, marking.results[0].format), (1, Some("roster")));
    assert_eq!(world.read(path("tasks.md")), "## WP01 - First\n");
    assert_eq!(status(&world)["work_packages"]["WP01"]["subtasks"], json!({ "T002": "done" }));
}

#[test]
fn earlier_tick_counts_and_a_missing_list_is_a_warning() {
    let world = world();
    world.write(path("tasks.md"), "## WP01 - First\n- [x] T001 do\n- [x] T002 check\n");
    assert!(moved(&world, &to("for_review")).unwrap().warnings.is_empty());
    let world = super::current::world();
    let file = world.read(path("tasks/WP01-first.md")).replace("subtasks: [T001, T002]\n", "");
    world.write(path("tasks/WP01-first.md"), &file);
    let warnings = moved(&world, &to("for_review")).unwrap().warnings;
    assert!(warnings[0].contains("no `subtasks`"), "{warnings:?}");
}

#[test]
fn review_is_in_the_row_that_leaves_it() {
    let world = world();
    marked(&world, &["T001", "T002"], "done").unwrap();
    moved(&world, &to("in_review")).unwrap();
    let known = world.log(MISSION).len();
    world.write("feedback.md", "**Issue**: no");
    let rejection = move_task::MoveTaskRequest {
        review_feedback_file: Some(world.root.join("feedback.md")),
        reviewer: Some("renata".into()),
        ..to("planned")
    };
    moved(&world, &rejection).unwrap();
    let row = rows(&world, known).remove(0);
    let pointer = row["review_ref"].as_str().unwrap();
    assert!(pointer.starts_with("review-cycle://"), "{row}");
    let wanted = json!({ "reviewer": "renata", "verdict": "changes_requested", "reference": pointer });
    assert_eq!((&row["review_result"], &row["evidence"]), (&wanted, &Value::Null));
    let approval = move_task::MoveTaskRequest {
        reviewer: Some("renata".into()),
        approval_ref: Some("#12".into()),
        note: Some("fine".into()),
        ..to("approved")
    };
    moved(&world, &approval).unwrap();
    let rows = world.log(MISSION);
    let row = rows.iter().rfind(|row| row["to_lane"] == "approved").unwrap();
    let review = json!({ "reviewer": "renata", "verdict": "approved", "reference": "#12" });
    assert_eq!((&row["review_result"], &row["evidence"]["review"]), (&review, &review));
    assert_eq!(status(&world)["work_packages"]["WP01"]["review_result"], review);
}

#[test]
fn cancellation_tells_who_gave_the_reason() {
    let world = world();
    moved(&world, &move_task::MoveTaskRequest { note: Some("not needed".into()), ..to("canceled") }).unwrap();
    let package = status(&world)["work_packages"]["WP01"].clone();
    assert_eq!(
        (&package["cancellation_reason"], &package["reason_source"]),
        (&json!("not needed"), &json!("operator"))
    );
}

#[test]
fn new_work_package_of_a_current_mission_starts_at_genesis() {
    let world = world();
    world.write("src/a.rs", "");
    world.write("src/b.rs", "");
    world.write(path("tasks.md"), "## WP01 - First\n- [ ] T001 do\n\n## WP02 - Second\n");
    world.write(path("tasks/WP02-second.md"), &super::world::wp_file("WP02", "Second", "src/b.rs"));
    let (project, request) =
        (world.project(), finalize::FinalizeRequest { mission: Some(MISSION.into()), ..Default::default() });
    finalize::plan(&project, &request, &world.clock).unwrap().apply(&project, None, &world.clock).unwrap();
    let mut seeds = Vec::new();
    let keep = |row| {
        if let Row::Lane(row) = row {
            seeds.push((row.wp_id, row.from_lane, row.to_lane, row.force));
        }
    };
    log::each_row(&world.root.join("kitty-specs").join(MISSION), keep).unwrap();
    let seed = |id: &str| (id.to_owned(), Lane::Genesis, Lane::Planned, false);
    assert_eq!(seeds, [seed("WP01"), seed("WP02")]);
}

#[test]
fn note_of_a_current_mission_is_captured_without_its_seed() {
    let world = world();
    let request = move_task::MoveTaskRequest { note: Some("begin".into()), ..to("claimed") };
    world
        .captured(|outgoing| {
            let project = world.project();
            move_task::plan(&project, &request, &world.clock)?.apply(&project, Some(outgoing), &world.clock)
        })
        .unwrap();
    let events = world.events();
    let note = events.iter().find(|event| event["event_type"] == "HistoryAdded").unwrap();
    assert_eq!(note["event_id"], world.log(MISSION)[2]["event_id"]);
    assert_eq!(note["payload"]["entry_content"], "begin");
}

#[test]
fn current_decision_names_its_asker_and_is_logged_once() {
    let world = world();
    let request = OpenRequest {
        mission: Some(MISSION.into()),
        flow: "implement".into(),
        step_id: Some("s".into()),
        input_key: "k".into(),
        question: "which?".into(),
        ..Default::default()
    };
    let opened = decision::open(&world.project(), &request, &world.clock).unwrap();
    let page = world.read(path(&format!("decisions/DM-{}.md", opened.decision_id)));
    assert!(page.contains("- **Opened by:** `cli`\n"), "{page}");
    let close = CloseRequest {
        mission: Some(MISSION.into()),
        decision_id: opened.decision_id,
        closing: Closing::Resolve { final_answer: "this".into(), other_answer: false },
        rationale: None,
        resolved_by: None,
        actor: None,
        dry_run: false,
    };
    decision::close(&world.project(), &close, &world.clock).unwrap();
    let whole = world.read(path("status.events.jsonl"));
    assert!(decision::close(&world.project(), &close, &world.clock).unwrap().idempotent);
    assert_eq!(world.read(path("status.events.jsonl")), whole);
    // As after a crash between the ledger and the log.
    let cut = whole.lines().take(2).map(|line| format!("{line}\n")).collect::<String>();
    world.write(path("status.events.jsonl"), &cut);
    decision::close(&world.project(), &close, &world.clock).unwrap();
    let types: Vec<_> = rows(&world, 1).iter().map(|row| row["event_type"].clone()).collect();
    assert_eq!(types, ["DecisionPointOpened", "DecisionPointResolved"]);
    let earlier = world.create("earlier").mission_slug;
    let request = OpenRequest { mission: Some(earlier), ..request };
    let refused = decision::open(&world.project(), &request, &world.clock).unwrap_err().to_string();
    assert!(refused.contains("use charter, specify or plan"), "{refused}");
}

#[test]
fn approval_by_who_worked_on_it_is_a_fact_of_the_log() {
    let world = world();
    let fallback = move_task::MoveTaskRequest {
        agent: Some("codex".into()),
        force: true,
        note: Some("read it twice".into()),
        self_review_fallback: true,
        intended_reviewer: Some("claude".into()),
        reviewer_failure_reason: Some("no quota".into()),
        ..to("approved")
    };
    for (problem, request) in [
        ("needs --force", move_task::MoveTaskRequest { force: false, ..fallback.clone() }),
        (
            "only for --to approved or done",
            move_task::MoveTaskRequest { to: "for_review".into(), ..fallback.clone() },
        ),
        (
            "needs --intended-reviewer",
            move_task::MoveTaskRequest { intended_reviewer: None, ..fallback.clone() },
        ),
        ("is needed with", move_task::MoveTaskRequest { self_review_fallback: false, ..fallback.clone() }),
    ] {
        let refused = request.check().unwrap_err().to_string();
        assert!(refused.contains(problem), "{problem}: {refused}");
    }
    moved(&world, &fallback).unwrap();
    let is_fact = |row: &&Value| row["event_type"] == "ReviewerSelfApproval";
    let log = world.log(MISSION);
    let facts: Vec<_> = log.iter().filter(is_fact).collect();
    let [fact] = facts[..] else { panic!("{facts:?}") };
    assert_eq!((&fact["aggregate_id"], &fact["aggregate_type"]), (&json!("WP01"), &json!("WorkPackage")));
    let payload = &fact["payload"];
    for (key, value) in [
        ("wp_id", json!("WP01")),
        ("implementing_actor", json!("codex")),
        ("intended_reviewer", json!("claude")),
        ("failure_reason", json!("no quota")),
        ("fallback_approved", json!(true)),
    ] {
        assert_eq!(payload[key], value, "{key}");
    }
    // The same once more is known.
    moved(
        &world,
        &move_task::MoveTaskRequest { to: "done".into(), done_override_reason: Some("x".into()), ..fallback },
    )
    .unwrap();
    assert_eq!(world.log(MISSION).iter().filter(is_fact).count(), 1);
}

#[test]
fn recorded_dispatch_names_model_and_profile() {
    const ID: &str = "01KZ0000000000000000000009";
    let world = world();
    let mission_id = "01KZ0000000000000000000000";
    let record = |wp: &str| {
        let started = json!({
            "event": "started", "invocation_id": ID, "profile_id": "implementer", "action": "implement",
            "mission_id": mission_id, "wp_id": wp, "model_id": "m-1", "request_text": "", "actor": "codex",
        });
        world.write(format!("kitty-ops/{ID}.jsonl"), &format!("{started}\n{{\"event\": \"completed\"}}\n"));
    };
    let request = move_task::MoveTaskRequest { invocation_id: Some(ID.into()), ..to("claimed") };
    for (id, problem) in [("../../x", "is not a ULID"), (ID, "does not exist")] {
        let request = move_task::MoveTaskRequest { invocation_id: Some(id.into()), ..request.clone() };
        let refused = moved(&world, &request).unwrap_err().to_string();
        assert!(refused.contains(problem), "{refused}");
    }
    record("WP02");
    let refused = moved(&world, &request).unwrap_err().to_string();
    assert!(refused.contains("the work package is `WP02` there, and `WP01` here"), "{refused}");
    record("WP01");
    let other = move_task::MoveTaskRequest { model: Some("m-2".into()), ..request.clone() };
    assert!(moved(&world, &other).unwrap_err().to_string().contains("--model is `m-1` there"));
    moved(&world, &request).unwrap();
    let log = world.log(MISSION);
    let delta = &log.last().unwrap()["delta"];
    assert_eq!((&delta["model"], &delta["agent_profile"]), (&json!("m-1"), &json!("implementer")));
}

#[test]
fn review_result_of_an_emit_is_recorded_by_itself() {
    let world = world();
    let emit = |to: &str, result: Option<&str>| {
        let request = mission::command::emit::EmitRequest {
            mission: Some(MISSION.into()),
            wp_id: "WP01".into(),
            to: to.into(),
            actor: "bo".into(),
            force: result.is_none(),
            reason: Some("because".into()),
            review_result_json: result.map(str::to_owned),
            ..Default::default()
        };
        world.emit(&request, None)
    };
    emit("in_review", None).unwrap();
    let incomplete = emit("in_progress", Some(r#"{"reviewer": "bo", "verdict": "changes_requested"}"#));
    assert!(incomplete.unwrap_err().to_string().contains("--review-result-json"));
    let result = r#"{"reviewer": "bo", "verdict": "changes_requested", "reference": "r-1"}"#;
    emit("in_progress", Some(result)).unwrap();
    let log = world.log(MISSION);
    assert_eq!(log.last().unwrap()["review_result"], serde_json::from_str::<Value>(result).unwrap());
}
