//! Boards of missions that other releases wrote, and of damaged ones.

use super::emit::to;
use super::world::World;
use mission::Lane;
use mission::command::emit;
use mission::command::status::{BoardLane, Card, LaneSource, list, materialize, show};
use serde_json::{Value, json};

const MISSION: &str = "demo-01KZ0000";

fn package(id: &str, more: &str) -> String {
    format!("---\nwork_package_id: {id}\ntitle: Part\n{more}---\nbody\n")
}

/// A mission of another release: its files only.
fn foreign(meta: Option<&str>, log: &str) -> World {
    let world = World::new();
    let at = |file: &str| format!("kitty-specs/{MISSION}/{file}");
    if let Some(meta) = meta {
        world.write(at("meta.json"), meta);
    }
    world.write(at("tasks/WP01-part.md"), &package("WP01", ""));
    world.write(at("tasks/WP02-part.md"), &package("WP02", ""));
    if !log.is_empty() {
        world.write(at("status.events.jsonl"), log);
    }
    world
}

fn move_row(id: u8, from: &str, to: &str, actor: Value) -> String {
    let row = json!({
        "actor": actor, "at": format!("2026-08-01T10:00:0{id}.000000+00:00"),
        "event_id": format!("01KZ000000000000000000000{id}"), "evidence": null, "execution_mode": "worktree",
        "force": false, "from_lane": from, "mission_slug": MISSION, "policy_metadata": null, "reason": null,
        "review_ref": null, "to_lane": to, "wp_id": "WP01",
    });
    row.to_string()
}

fn annotation(id: u8, delta: Value) -> String {
    let row = json!({
        "actor": "claude", "at": format!("2026-08-01T10:00:0{id}.000000+00:00"), "delta": delta,
        "event_id": format!("01KZ000000000000000000000{id}"), "kind": "annotation", "wp_id": "WP01",
    });
    row.to_string()
}

fn current_log() -> String {
    let claude = json!({ "model": null, "profile": null, "role": "implementer", "tool": "claude" });
    [
        move_row(1, "genesis", "planned", json!("finalize-tasks")),
        move_row(2, "planned", "claimed", claude),
        annotation(3, json!({ "subtasks": { "T001": "done" }, "agent": "claude" })),
        r#"{"type": "RetrospectiveCaptured", "actor": {"id": "g"}, "force": false, "wp_id": null}"#
            .to_owned(),
        r#"{"kind": "future", "event_id": "x"}"#.to_owned(),
    ]
    .join("\n")
        + "\n"
}

fn lanes(cards: &[Card]) -> Vec<Lane> {
    cards
        .iter()
        .map(|card| match card.lane {
            BoardLane::In(lane) => lane,
            BoardLane::Unknown => panic!("{} is unknown", card.work_package_id),
        })
        .collect()
}

#[test]
fn mission_of_a_current_release_is_shown_and_moved() {
    let world = foreign(Some(r#"{"mission_slug": "demo-01KZ0000"}"#), &current_log());
    let board = show(&world.project(), Some(MISSION)).unwrap().missions.remove(0);
    assert_eq!(lanes(&board.work_packages), [Lane::Claimed, Lane::Planned]);
    assert_eq!(board.work_packages[0].actor.as_deref(), Some("claude"));
    let [warning] = &board.warnings[..] else { panic!("{:?}", board.warnings) };
    assert!(warning.contains("line 5 has the kind `future`: written by a newer version"), "{warning}");
    let request = emit::EmitRequest { actor: "claude".into(), ..to(MISSION, "in_progress") };
    assert_eq!(world.emit(&request, None).unwrap().to_lane, Lane::InProgress);
    let text = world.read(format!("kitty-specs/{MISSION}/status.events.jsonl"));
    assert!(text.starts_with(&current_log()) && text.lines().count() == 6, "{text}");
    let status: Value =
        serde_json::from_str(&world.read(format!("kitty-specs/{MISSION}/status.json"))).unwrap();
    let package = &status["work_packages"]["WP01"];
    assert_eq!((&package["agent"], &package["subtasks"]), (&json!("claude"), &json!({ "T001": "done" })));
}

#[test]
fn damaged_file_warns_and_stops_only_writing() {
    let torn = format!("{}{{\"actor\": \"cl", current_log());
    let world = foreign(Some("{"), &torn);
    world.write(format!("kitty-specs/{MISSION}/tasks/WP02-part.md"), "---\na: [\n---\n");
    world.write(format!("kitty-specs/{MISSION}/lanes.json"), "{");
    let project = world.project();
    let board = show(&project, Some(MISSION)).unwrap().missions.remove(0);
    assert_eq!(lanes(&board.work_packages), [Lane::Claimed, Lane::Planned]);
    let files = ["meta.json: ", "status.events.jsonl line 6: is not JSON", "WP02-part.md: ", "lanes.json: "];
    for file in files {
        assert!(board.warnings.iter().any(|warning| warning.contains(file)), "{file}: {:?}", board.warnings);
    }
    let tasks = list(&project, Some(MISSION), None).unwrap();
    assert_eq!((tasks.count, tasks.tasks[0].lane), (2, Lane::Claimed.into()));
    let stored = format!("kitty-specs/{MISSION}/status.json");
    world.write(&stored, "{\"of\": \"the whole log\"}");
    let done = materialize(&project, Some(MISSION), &world.clock).unwrap();
    assert_eq!(
        (done.is_written, &done.document["work_packages"]["WP01"]["lane"]),
        (false, &json!("claimed"))
    );
    for part in ["line 6", "status.json stays as it is"] {
        assert!(done.warnings.iter().any(|warning| warning.contains(part)), "{part}: {:?}", done.warnings);
    }
    assert_eq!(world.read(&stored), "{\"of\": \"the whole log\"}");
    world.write(format!("kitty-specs/{MISSION}/meta.json"), "{}");
    let request = emit::EmitRequest { actor: "claude".into(), ..to(MISSION, "in_progress") };
    let refused = world.emit(&request, None).unwrap_err();
    assert_eq!(refused.code().name(), "LOG_DAMAGED");
    assert_eq!(world.read(format!("kitty-specs/{MISSION}/status.events.jsonl")), torn);
}

#[cfg(unix)]
#[test]
fn log_of_which_nothing_can_be_read_hides_no_other_mission() {
    let world = foreign(Some("{}"), "");
    let other = world.create("other").mission_slug;
    std::os::unix::fs::symlink(
        "/dev/zero",
        world.root.join("kitty-specs").join(MISSION).join("status.events.jsonl"),
    )
    .unwrap();
    let boards = show(&world.project(), None).unwrap();
    assert_eq!((&boards.missions[0].mission_slug, boards.missions.len()), (&other, 1));
    assert!(boards.unreadable[0].error.contains("symbolic link"), "{:?}", boards.unreadable);
    assert!(materialize(&world.project(), Some(MISSION), &world.clock).is_err());
}

#[test]
fn mission_without_a_log_shows_front_matter_lanes_with_a_mark() {
    let world = foreign(Some(r#"{"feature_number": "007"}"#), "");
    let file = format!("kitty-specs/{MISSION}/tasks/WP01-part.md");
    world.write(&file, &package("WP01", "lane: \"doing\"\n"));
    let board = show(&world.project(), Some(MISSION)).unwrap().missions.remove(0);
    assert_eq!(lanes(&board.work_packages), [Lane::InProgress, Lane::Planned]);
    assert_eq!((board.lane_source, board.warnings.len()), (LaneSource::FrontMatter, 0));
    assert_eq!(json!(list(&world.project(), Some(MISSION), None).unwrap())["lane_source"], "front_matter");
    world.write(format!("kitty-specs/{MISSION}/meta.json"), r#"{"topology": "coord"}"#);
    let board = show(&world.project(), Some(MISSION)).unwrap().missions.remove(0);
    assert_eq!(lanes(&board.work_packages), [Lane::Planned, Lane::Planned]);
    assert!(board.lane_source.is_log());
}

#[test]
fn directory_without_meta_and_without_a_log_is_no_mission() {
    let world = foreign(None, "");
    world.write("kitty-specs/_done/plan.md", "x");
    assert!(show(&world.project(), None).unwrap().missions.is_empty());
    world.write(format!("kitty-specs/{MISSION}/status.events.jsonl"), &current_log());
    let names: Vec<_> =
        show(&world.project(), None).unwrap().missions.into_iter().map(|board| board.mission_slug).collect();
    assert_eq!(names, [MISSION]);
}
