//! Missions: from nothing to a work package in each lane.

use super::{fresh, logged_in, prints, switched_off, waiting};
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
