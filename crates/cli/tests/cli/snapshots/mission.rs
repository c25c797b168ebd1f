//! Missions: from nothing to a work package in each lane.

use super::{compare, fresh, logged_in, prints, shown, switched_off, waiting};
use testkit::World;
use testkit::mission::Mission;

/// A mission with specification, plan and finalized work packages; nothing is captured.
fn finalized() -> World {
    let world = switched_off();
    world.init_project();
    let mission = Mission::create(&world, "tea-timer");
    mission.specified(&world).planned().with_tasks();
    world.run(["agent", "mission", "finalize-tasks", "--mission", "tea-timer"]).exits(0);
    world
}

fn moved(lanes: &[&str]) -> World {
    let world = finalized();
    for lane in lanes {
        let argv =
            ["agent", "status", "emit", "WP01", "--to", lane, "--actor", "dev", "--mission", "tea-timer"];
        world.run(argv.iter().copied().chain(["--force", "--reason", "as planned"])).exits(0);
    }
    world
}

#[test]
fn mission_create() {
    prints("mission/create", logged_in, "agent mission create tea-timer");
    prints("mission/create_local", logged_in, "agent mission create tea-timer --local-only");
    prints("mission/create_no_project", switched_off, "agent mission create tea-timer");
    prints("mission/create_unusable_name", logged_in, "agent mission create \"Tea Timer!\"");
    prints("mission/create_not_logged_in", fresh, "agent mission create tea-timer");
    prints("mission/plan_no_spec", waiting, "agent mission setup-plan --mission tea-timer");
}

#[test]
fn status_and_tasks_in_each_lane() {
    for (file, lanes) in [
        ("mission/board_planned", &[][..]),
        ("mission/board_in_progress", &["claimed", "in_progress"]),
        ("mission/board_blocked", &["blocked"]),
        ("mission/board_done", &["done"]),
    ] {
        prints(file, || moved(lanes), "agent status show --mission tea-timer");
    }
    prints("mission/tasks_list", finalized, "agent tasks list --mission tea-timer");
}

#[test]
fn output_for_agents() {
    let of = "--mission tea-timer";
    prints("mission/tasks_status", || moved(&["done"]), &format!("agent tasks status {of}"));
    prints(
        "mission/tasks_status_in_progress",
        || moved(&["in_progress"]),
        &format!("agent tasks status {of}"),
    );
    prints("mission/context_implement", finalized, &format!("agent context resolve --action implement {of}"));
    prints("mission/context_plan", finalized, &format!("agent context resolve --action plan {of}"));
    prints(
        "mission/context_nothing_waits",
        finalized,
        &format!("agent context resolve --action review {of}"),
    );
    prints("mission/branch_context", finalized, "agent mission branch-context");
    prints(
        "mission/branch_context_target",
        finalized,
        "agent mission branch-context --target-branch release",
    );
    prints("mission/validate", || moved(&["claimed"]), &format!("agent status validate {of}"));
    prints("mission/validate_faults", faulty, &format!("agent status validate {of}"));
}

/// A mission whose log has a row that no move may make, and a line that is none.
fn faulty() -> World {
    let world = moved(&["claimed"]);
    let missions = std::fs::read_dir(world.work().join("kitty-specs")).unwrap();
    let log = missions.flatten().next().unwrap().path().join("status.events.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    let row = text.lines().last().unwrap();
    let row = row
        .replace("\"force\": true", "\"force\": false")
        .replace("\"to_lane\": \"claimed\"", "\"to_lane\": \"done\"");
    let id = row.find("\"event_id\": \"").unwrap() + "\"event_id\": \"".len();
    let row = format!("{}01KZ0000000000000000000001{}", &row[..id], &row[id + 26..]);
    std::fs::write(&log, format!("{text}{row}\n<<<<<<< HEAD\n")).unwrap();
    world
}

#[test]
fn status_emit() {
    let emit = "agent status emit WP01 --actor dev --mission tea-timer --to";
    prints("mission/emit_claimed", finalized, &format!("{emit} claimed"));
    prints("mission/emit_not_allowed", finalized, &format!("{emit} approved"));
    prints("mission/emit_unknown_lane", finalized, &format!("{emit} someday"));
    prints(
        "mission/emit_unknown_package",
        finalized,
        "agent status emit WP09 --actor dev --mission tea-timer --to claimed",
    );
    prints(
        "mission/emit_unknown_mission",
        finalized,
        "agent status emit WP01 --actor dev --mission coffee --to claimed",
    );
}

/// A mission with documents of two work packages, which are not finalized.
fn with_documents() -> World {
    let world = switched_off();
    world.init_project();
    Mission::create(&world, "tea-timer").specified(&world).planned().with_tasks();
    world
}

#[test]
fn planning() {
    let of = "--mission tea-timer";
    prints("mission/specify", logged_in, "specify tea-timer");
    prints("mission/prerequisites", finalized, &format!("agent mission check-prerequisites {of}"));
    prints(
        "mission/prerequisites_paths",
        finalized,
        &format!("agent mission check-prerequisites {of} --paths-only"),
    );
    prints(
        "mission/prerequisites_missing",
        waiting,
        &format!("agent mission check-prerequisites {of} --include-tasks"),
    );
    prints(
        "mission/prerequisites_paths_missing",
        waiting,
        &format!("agent mission check-prerequisites {of} --paths-only"),
    );
    prints("mission/setup_plan", with_documents, &format!("agent mission setup-plan {of}"));
    prints("mission/plan_again", finalized, &format!("plan {of}"));
    prints("mission/finalize", with_documents, &format!("agent mission finalize-tasks {of}"));
    prints("mission/finalize_dry_run", with_documents, &format!("tasks {of} --validate-only"));
    prints("mission/tasks", with_documents, &format!("tasks {of}"));
    prints("mission/init", fresh, "init");
    prints("mission/init_again", finalized, "init");
}

#[test]
fn work_on_a_package() {
    let of = "--mission tea-timer";
    prints("mission/add_history", finalized, &format!("agent tasks add-history WP01 --note hello {of}"));
    prints("mission/list_dependents", finalized, &format!("agent tasks list-dependents WP01 {of}"));
    prints(
        "mission/map_requirements",
        finalized,
        &format!("agent tasks map-requirements --wp WP01 --refs FR-002 --tracker-ref T-1 {of}"),
    );
    prints("mission/mark_status", finalized, &format!("agent tasks mark-status T001 --status done {of}"));
    prints("mission/move_task", finalized, &format!("agent tasks move-task WP01 --to doing {of}"));
    prints(
        "mission/move_task_again",
        || moved(&["claimed"]),
        &format!("agent tasks move-task WP01 --to claimed {of}"),
    );
    prints("mission/materialize", || moved(&["claimed"]), &format!("agent status materialize {of}"));
}

const ASK: &str = "agent decision open --flow plan --slot-key plan.repeat --input-key repeat \
    --question \"Does it repeat?\" --mission tea-timer";

#[test]
fn decisions() {
    prints("mission/decision_open", with_documents, &format!("{ASK} --no-json"));
    prints("mission/decision_open_dry_run", with_documents, &format!("{ASK} --dry-run --no-json"));
    prints("mission/decision_none", with_documents, "agent decision verify --mission tea-timer --no-json");
    closes("mission/decision_resolve", "resolve", "--final-answer yes");
    closes("mission/decision_defer", "defer", "--rationale later");
    closes("mission/decision_cancel", "cancel", "--rationale \"no need\"");
    let deferred = || {
        let (world, id) = asked();
        let defer = ["agent", "decision", "defer", &id, "--rationale", "later", "--mission", "tea-timer"];
        world.run(defer).exits(0);
        world
    };
    prints("mission/decision_drift", deferred, "agent decision verify --mission tea-timer --no-json");
}

/// A mission with an open decision, and its id.
fn asked() -> (World, String) {
    let world = with_documents();
    let opened = world.run(super::words(ASK)).exits(0).json();
    (world, opened["decision_id"].as_str().unwrap().to_owned())
}

/// The end of a decision, as text and as JSON.
#[track_caller]
fn closes(file: &str, verb: &str, option: &str) {
    let printed = ["--no-json", "--json"].map(|form| {
        let (world, id) = asked();
        shown(&world, &format!("agent decision {verb} {id} {option} --mission tea-timer {form}"))
    });
    compare(file, &printed.join("\n"));
}

/// A mission with one check of its evidence.
fn with_evidence(contains: &str) -> World {
    let world = finalized();
    world.write(&world.work().join("src/ring.sh"), "echo gong\n");
    let missions = std::fs::read_dir(world.work().join("kitty-specs")).unwrap();
    let checks = format!(
        "checks:\n- id: it-rings\n  issue: 7\n  work_package: WP02\n  command: echo gong\n  timeout: 30\n  \
         contains: [{contains}]\n  sources: ['src/**']\n"
    );
    std::fs::write(missions.flatten().next().unwrap().path().join("evidence.yaml"), checks).unwrap();
    world
}

#[test]
fn evidence() {
    let captured = || {
        let world = with_evidence("gong");
        world.run(["agent", "evidence", "capture", "--mission", "tea-timer"]).exits(0);
        world
    };
    let of = "--mission tea-timer";
    prints("mission/evidence_capture", || with_evidence("gong"), &format!("agent evidence capture {of}"));
    prints(
        "mission/evidence_capture_failed",
        || with_evidence("bell"),
        &format!("agent evidence capture {of}"),
    );
    prints("mission/evidence_draft", captured, &format!("agent evidence draft {of}"));
    prints("mission/evidence_verify", captured, &format!("agent evidence verify {of}"));
    prints("mission/evidence_missing", || with_evidence("gong"), &format!("agent evidence verify {of}"));
}
