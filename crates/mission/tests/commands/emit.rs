use super::world::World;
use mission::Lane;
use mission::command::emit::EmitRequest;
use serde_json::Value;

fn with_package(world: &World) -> String {
    let slug = world.create("demo").mission_slug;
    world.write(
        format!("kitty-specs/{slug}/tasks/WP01-first.md"),
        "---\nwork_package_id: WP01\ntitle: First\n---\nbody\n",
    );
    world.write(format!("kitty-specs/{slug}/tasks.md"), "## WP01 - First\n- [ ] T001 do\n");
    slug
}

pub(crate) fn to(mission: &str, lane: &str) -> EmitRequest {
    EmitRequest {
        mission: Some(mission.into()),
        wp_id: "WP01".into(),
        to: lane.into(),
        actor: "dev".into(),
        ..Default::default()
    }
}

#[test]
fn status_json_follows_the_work_package() {
    let world = World::new();
    let slug = with_package(&world);
    let first = world.emit(&to(&slug, "claimed"), None).unwrap();
    assert_eq!((first.from_lane, first.to_lane, first.changed), (Lane::Planned, Lane::Claimed, true));
    world.emit(&to(&slug, "doing"), None).unwrap();
    let unfinished = world.emit(&to(&slug, "for_review"), None).unwrap_err().to_string();
    assert!(unfinished.contains("subtask"), "{unfinished}");
    world.write(format!("kitty-specs/{slug}/tasks.md"), "## WP01 - First\n- ✅ T001 do\n");
    world.emit(&to(&slug, "for_review"), None).unwrap();
    world.emit(&to(&slug, "in_review"), None).unwrap();
    let review = r#"{"review": {"reviewer": "rev", "verdict": "approved", "reference": "pr/1"}}"#;
    let approved = EmitRequest { evidence_json: Some(review.into()), ..to(&slug, "approved") };
    world.emit(&approved, None).unwrap();
    world.emit(&EmitRequest { to: "done".into(), ..approved }, None).unwrap();
    let status: Value = serde_json::from_str(&world.read(format!("kitty-specs/{slug}/status.json"))).unwrap();
    assert_eq!(status["work_packages"]["WP01"]["lane"], "done");
    assert_eq!(status["event_count"], 6);
}

#[test]
fn rejection_needs_force_and_a_reason() {
    let world = World::new();
    let slug = with_package(&world);
    world.emit(&to(&slug, "claimed"), None).unwrap();
    world.emit(&to(&slug, "in_progress"), None).unwrap();
    let before = world.state();
    let plain = EmitRequest { reason: Some("no".into()), ..to(&slug, "planned") };
    assert!(world.emit(&plain, None).unwrap_err().to_string().contains("force=True"));
    let mute = EmitRequest { force: true, ..to(&slug, "planned") };
    assert!(world.emit(&mute, None).unwrap_err().to_string().contains("reason"));
    assert_eq!(world.state(), before);
    let forced = EmitRequest { force: true, ..plain };
    assert!(world.emit(&forced, None).unwrap().changed);
}

#[test]
fn rejection_to_work_needs_force_and_reason() {
    let world = World::new();
    let slug = with_package(&world);
    world.write(format!("kitty-specs/{slug}/tasks.md"), "## WP01 - First\n- [x] T001 do\n");
    for lane in ["claimed", "in_progress", "for_review", "in_review"] {
        world.emit(&to(&slug, lane), None).unwrap();
    }
    let verdict = |verdict: &str| {
        Some(format!(r#"{{"review": {{"reviewer": "rev", "verdict": "{verdict}", "reference": "pr/1"}}}}"#))
    };
    let back = EmitRequest { review_ref: Some("pr/1".into()), ..to(&slug, "in_progress") };
    let rejected = EmitRequest { evidence_json: verdict("rejected"), ..back.clone() };
    let before = world.state();
    assert!(world.emit(&rejected, None).unwrap_err().to_string().contains("force=True"));
    assert_eq!(world.state(), before);
    world.emit(&EmitRequest { evidence_json: verdict("approved"), ..to(&slug, "approved") }, None).unwrap();
    assert!(world.emit(&back, None).unwrap_err().to_string().contains("force=True"));
    let forced = EmitRequest { force: true, reason: Some("it does not ring".into()), ..rejected };
    assert_eq!(world.emit(&forced, None).unwrap().from_lane, Lane::Approved);
}

#[test]
fn repeating_a_move_changes_nothing_and_succeeds() {
    let world = World::new();
    let slug = with_package(&world);
    let first = world.emit(&to(&slug, "claimed"), None).unwrap();
    let before = world.state();
    let again = world.emit(&to(&slug, "claimed"), None).unwrap();
    assert_eq!((again.changed, again.event_id), (false, first.event_id));
    assert_eq!(world.state(), before);
}

#[test]
fn unknown_work_package_is_refused() {
    let world = World::new();
    let slug = with_package(&world);
    let before = world.state();
    let unknown = EmitRequest { wp_id: "WP09".into(), ..to(&slug, "claimed") };
    assert_eq!(world.emit(&unknown, None).unwrap_err().code().name(), "WORK_PACKAGE_NOT_FOUND");
    for (wrong, expected) in [
        (EmitRequest { wp_id: "WP1".into(), ..to(&slug, "claimed") }, "work package id"),
        (to(&slug, "flying"), "Unknown lane"),
        (EmitRequest { actor: " ".into(), ..to(&slug, "claimed") }, "--actor"),
        (EmitRequest { evidence_json: Some("{}".into()), ..to(&slug, "claimed") }, "review.reviewer"),
        (
            EmitRequest { execution_mode: Some("code_change".into()), ..to(&slug, "claimed") },
            "--execution-mode",
        ),
    ] {
        let message = world.emit(&wrong, None).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(world.state(), before);
}

#[test]
fn damaged_log_is_named_and_never_appended_to() {
    let world = World::new();
    let slug = with_package(&world);
    let log = format!("kitty-specs/{slug}/status.events.jsonl");
    world.write(&log, &format!("{}{{torn", world.read(&log)));
    let before = world.state();
    let error = world.emit(&to(&slug, "claimed"), None).unwrap_err();
    assert!(error.to_string().contains("line 3: is not JSON"), "{error}");
    assert_eq!(world.state(), before);
}

#[test]
fn many_at_once_lose_nothing_and_agree_on_the_status() {
    let world = World::new();
    let slug = world.create("demo").mission_slug;
    for n in 1..=6 {
        world.write(
            format!("kitty-specs/{slug}/tasks/WP{n:02}-x.md"),
            &format!("---\nwork_package_id: WP{n:02}\ntitle: X\n---\n"),
        );
    }
    std::thread::scope(|scope| {
        for n in 1..=6 {
            let (world, slug) = (&world, &slug);
            scope.spawn(move || {
                for lane in ["claimed", "in_progress", "blocked"] {
                    let request = EmitRequest { wp_id: format!("WP{n:02}"), ..to(slug, lane) };
                    assert!(world.emit(&request, None).unwrap().changed);
                }
            });
        }
    });
    assert_eq!(world.log(&slug).len(), 2 + 18);
    let status: Value = serde_json::from_str(&world.read(format!("kitty-specs/{slug}/status.json"))).unwrap();
    assert_eq!((status["event_count"].as_u64(), status["summary"]["blocked"].as_u64()), (Some(18), Some(6)));
}

#[test]
fn event_names_the_lane_of_the_board() {
    let world = World::new();
    let slug = with_package(&world);
    world.emit(&to(&slug, "claimed"), None).unwrap();
    let log = format!("kitty-specs/{slug}/status.events.jsonl");
    let year = &world.log(&slug).last().unwrap()["at"].as_str().unwrap()[..4].to_owned();
    let ahead = world.read(&log).replace(&format!("\"at\": \"{year}"), "\"at\": \"2091");
    world.write(&log, &ahead);
    let emitted = world.captured(|outgoing| world.emit(&to(&slug, "in_progress"), Some(outgoing))).unwrap();
    let row = world.log(&slug).pop().unwrap();
    let events = world.events();
    let event = events.iter().find(|event| event["event_type"] == "WPStatusChanged").unwrap();
    assert_eq!((&event["event_id"], &event["timestamp"]), (&row["event_id"], &row["at"]));
    assert_eq!(event["payload"]["to_lane"], "in_progress");
    assert_eq!((emitted.to_lane.name(), emitted.changed, emitted.warnings.len()), ("in_progress", true, 1));
    let status: Value = serde_json::from_str(&world.read(format!("kitty-specs/{slug}/status.json"))).unwrap();
    assert_eq!(status["work_packages"]["WP01"]["lane"], "in_progress");
}
