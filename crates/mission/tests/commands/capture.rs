use super::world::{PLAN, SPEC, World};
use mission::command::{create, emit};
use mission::{CaptureState, MissionError};
use serde_json::Value;
use std::collections::BTreeSet;

fn create_captured(world: &World) -> create::Created {
    world.captured(|outgoing| {
        let project = world.project();
        let request = create::CreateRequest { slug: "demo".into(), ..Default::default() };
        create::plan(&project, &request, &world.root, &world.clock)
            .unwrap()
            .apply(Some(outgoing), &world.clock)
            .unwrap()
    })
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event_type"].as_str().unwrap()).collect()
}

/// A captured mission with a committed spec and a plan.
fn planned(world: &World) -> String {
    let slug = create_captured(world).mission_slug;
    world.write(format!("kitty-specs/{slug}/spec.md"), SPEC);
    world.git(["add", "kitty-specs"]);
    world.git(["commit", "-q", "-m", "spec"]);
    world.write(format!("kitty-specs/{slug}/plan.md"), PLAN);
    slug
}

#[test]
fn create_captures_each_fact_once_under_its_row_id() {
    let world = World::new();
    let created = create_captured(&world);
    let events = world.events();
    assert_eq!(types(&events)[..2], ["MissionCreated", "SpecifyStarted"]);
    let log = world.log(&created.mission_slug);
    assert_eq!(events[0]["event_id"], log[0]["event_id"]);
    assert_eq!(events[0]["aggregate_id"], created.mission_id.as_str());
    assert_eq!(events[0]["payload"]["mission_type"], "software-dev");
    assert!(events[0]["payload"].get("actor").is_none());
    assert_eq!(events[0]["team_slug"], "team-PRIV-01");
    assert!(events[1]["payload"].get("artifact_path").is_none());
    assert_eq!(events[1]["correlation_id"], events[0]["correlation_id"]);
    assert_eq!(types(&events).iter().filter(|kind| **kind == "MissionDossierSnapshotComputed").count(), 1);
    assert_eq!(world.bodies(), ["spec.md"]);
    let captured = created.capture.captured.unwrap();
    assert_eq!((captured.events, captured.bodies), (events.len() as u64, 1));
    assert_eq!(
        created.capture.line().unwrap(),
        format!("captured {} events, 1 body; {} waiting", events.len(), captured.waiting)
    );
}

#[test]
fn clock_values_ascend_over_commands() {
    let world = World::new();
    let created = create_captured(&world);
    world.write(format!("kitty-specs/{}/spec.md", created.mission_slug), SPEC);
    world.git(["add", "kitty-specs"]);
    world.git(["commit", "-q", "-m", "spec"]);
    world.captured(|outgoing| world.setup_plan(&created.mission_slug, Some(outgoing))).unwrap();
    let values: Vec<u64> =
        world.events().iter().map(|event| event["lamport_clock"].as_u64().unwrap()).collect();
    let unique: BTreeSet<_> = values.iter().collect();
    assert_eq!(unique.len(), values.len(), "{values:?}");
}

#[test]
fn only_documents_that_changed_are_captured_again() {
    let world = World::new();
    let slug = planned(&world);
    let first = world.captured(|outgoing| world.setup_plan(&slug, Some(outgoing))).unwrap();
    assert!(first.capture.captured.unwrap().events > 0);
    let mut bodies = world.bodies();
    bodies.sort_unstable();
    assert_eq!(bodies, ["plan.md", "spec.md", "spec.md"]);
    let before = world.events();
    let again = world.captured(|outgoing| world.setup_plan(&slug, Some(outgoing))).unwrap();
    assert_eq!(again.capture.state, CaptureState::Captured);
    assert_eq!(again.capture.captured, None);
    assert_eq!(world.events(), before);
}

#[test]
fn lane_change_is_captured_with_repository_evidence() {
    let world = World::new();
    let slug = create_captured(&world).mission_slug;
    world.write(format!("kitty-specs/{slug}/tasks/WP01-a.md"), "---\nwork_package_id: WP01\n---\n");
    let review = r#"{"review": {"reviewer": "rev", "verdict": "approved", "reference": "pr/1", "extra": 1}, "private": 2}"#;
    let request = emit::EmitRequest {
        mission: Some(slug.clone()),
        wp_id: "WP01".into(),
        to: "done".into(),
        actor: "dev".into(),
        force: true,
        reason: Some("imported".into()),
        evidence_json: Some(review.into()),
        ..Default::default()
    };
    let emitted = world.captured(|outgoing| world.emit(&request, Some(outgoing))).unwrap();
    let events = world.events();
    let event = events.iter().find(|event| event["event_type"] == "WPStatusChanged").unwrap();
    assert_eq!(event["event_id"], emitted.event_id.unwrap().as_str());
    let evidence = &event["payload"]["evidence"];
    assert_eq!(evidence["repos"][0]["branch"], "main");
    assert_eq!(evidence["review"]["reviewer"], "rev");
    assert!(!evidence.to_string().contains("private") && !evidence.to_string().contains("extra"));
}

#[test]
fn invalid_event_stops_the_command_before_it_writes() {
    let world = World::new();
    let slug = create_captured(&world).mission_slug;
    world.write(format!("kitty-specs/{slug}/tasks/WP01-a.md"), "---\nwork_package_id: WP01\n---\n");
    let before = (world.state(), world.events().len());
    let request = emit::EmitRequest {
        mission: Some(slug),
        wp_id: "WP01".into(),
        to: "done".into(),
        actor: "dev".into(),
        force: true,
        reason: Some("no evidence".into()),
        ..Default::default()
    };
    let error = world.captured(|outgoing| world.emit(&request, Some(outgoing))).unwrap_err();
    assert!(matches!(error, MissionError::Capture { .. }), "{error}");
    assert!(error.to_string().contains("published contract"), "{error}");
    assert_eq!((world.state(), world.events().len()), before);
}

#[test]
fn project_that_is_opted_out_works_locally() {
    let world = World::new();
    let project =
        identity::ProjectIdentity::ensure(&world.root, None, &system::Machine::observe(), &world.environment)
            .unwrap();
    let mut edit = identity::ConfigEdit::begin(&world.home).unwrap();
    edit.opt_out(Some(&project.uuid));
    edit.commit().unwrap();
    let created = create_captured(&world);
    assert_eq!(created.capture.state, CaptureState::OptedOut);
    assert!(!world.permit().queue_path().exists());
    assert!(created.capture.line().unwrap().contains("opted out"));
}

#[test]
fn hook_that_refuses_leaves_no_fact_waiting() {
    let world = World::new();
    let slug = planned(&world);
    world.write(".git/hooks/commit-msg", "#!/bin/sh\nexit 1\n");
    #[cfg(unix)]
    std::fs::set_permissions(
        world.root.join(".git/hooks/commit-msg"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let before = (world.state(), world.events());
    world.captured(|outgoing| world.setup_plan(&slug, Some(outgoing))).unwrap_err();
    assert_eq!((world.state(), world.events()), before);
    assert_eq!((world.count("prepared"), world.count("parked")), (0, 0));
    std::fs::remove_file(world.root.join(".git/hooks/commit-msg")).unwrap();
    let done = world.captured(|outgoing| world.setup_plan(&slug, Some(outgoing))).unwrap();
    assert_eq!(done.result, "success");
    assert_eq!(done.capture.settled.unwrap().parked, 0);
    assert!(world.bodies().contains(&"plan.md".to_owned()));
}
