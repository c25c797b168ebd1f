use super::world::{SPEC, World, wp_file};
use mission::command::finalize::{Request, plan, validate};
use mission::{MissionError, Result};
use serde_json::{Value, json};

/// A mission with two work packages, the second behind the first.
pub(crate) fn with_tasks(world: &World) -> String {
    let slug = world.create("demo").mission_slug;
    let dir = format!("kitty-specs/{slug}");
    world.write(format!("{dir}/spec.md"), SPEC);
    world.write(format!("{dir}/tasks.md"), "# T\n\n## WP01 - First\n- [ ] T001 a\n\n**Dependencies**: none\n\n## WP02 - Second\n- [ ] T002 b\n\n**Dependencies**: WP01\n");
    world.write(format!("{dir}/tasks/WP01-first.md"), &wp_file("WP01", "First", "src/a.rs"));
    world.write(format!("{dir}/tasks/WP02-second.md"), &wp_file("WP02", "Second", "src/b.rs"));
    slug
}

pub(crate) fn finalize(world: &World, slug: &str) -> Result<mission::command::finalize::Finalized> {
    let project = world.project();
    let request = Request { mission: Some(slug.into()) };
    plan(&project, &request, &world.clock)?.apply(&project, None, &world.clock)
}

#[test]
fn finalize_commits_once_and_repeats_without_effect() {
    let world = World::new();
    let slug = with_tasks(&world);
    let done = finalize(&world, &slug).unwrap();
    assert_eq!((done.wp_count, done.bootstrap.newly_seeded, done.commit_created), (2, 2, true));
    assert_eq!(
        done.lanes.workspaces[0].worktree.as_deref(),
        Some(format!(".worktrees/{slug}-lane-a").as_str())
    );
    assert_eq!(done.lanes.workspaces[0].wp_ids, ["WP01", "WP02"]);
    let first = world.read(format!("kitty-specs/{slug}/tasks/WP02-second.md"));
    assert!(first.contains("dependencies:\n- WP01\n") && first.contains("# kept comment"), "{first}");
    let lanes: Value = serde_json::from_str(&world.read(format!("kitty-specs/{slug}/lanes.json"))).unwrap();
    assert_eq!(lanes["mission_branch"], format!("kitty/mission-{slug}"));
    assert_eq!(
        world.git([
            "status",
            "--porcelain",
            &format!("kitty-specs/{slug}/tasks"),
            &format!("kitty-specs/{slug}/lanes.json")
        ]),
        ""
    );
    let before = world.state();
    let again = finalize(&world, &slug).unwrap();
    assert_eq!(
        (again.commit_created, again.updated_wp_count, again.bootstrap.already_initialized),
        (false, 0, 2)
    );
    assert_eq!(world.state(), before);
}

#[test]
fn finalize_names_faults_and_changes_nothing() {
    let world = World::new();
    let slug = with_tasks(&world);
    let dir = format!("kitty-specs/{slug}");
    let broken: [(&str, String, &str); 6] = [
        ("tasks.md", "## WP01\n## WP03\n".into(), "TASKS_COVERAGE_INCOMPLETE"),
        ("tasks.md", "## WP01\nDepends on WP02\n## WP02\nDepends on WP01\n".into(), "DEPENDENCY_CYCLE"),
        ("tasks.md", "## WP01\nDepends on WP09\n## WP02\n".into(), "INVALID_DEPENDENCIES"),
        ("spec.md", SPEC.replace("FR-001", "FR-002"), "REQUIREMENT_MAPPING_INVALID"),
        ("tasks/WP02-second.md", wp_file("WP02", "Second", "src/a.rs"), "OWNERSHIP_INVALID"),
        ("tasks/WP02-second.md", "no front matter".into(), "MALFORMED_FILE"),
    ];
    for (file, text, code) in broken {
        let path = format!("{dir}/{file}");
        let original = world.read(&path);
        world.write(&path, &text);
        let before = world.state();
        let error = finalize(&world, &slug).unwrap_err();
        assert_eq!(error.code().name(), code, "{error}");
        assert_eq!(world.state(), before, "{code}");
        world.write(&path, &original);
    }
    finalize(&world, &slug).unwrap();
}

#[test]
fn circular_lanes_are_named_before_writing() {
    let world = World::new();
    let slug = with_tasks(&world);
    let dir = format!("kitty-specs/{slug}");
    let planning = wp_file("WP02", "Second", "docs/x.md").replace("code_change", "planning_artifact");
    world.write(format!("{dir}/tasks/WP02-second.md"), &planning);
    world.write(format!("{dir}/tasks/WP03-third.md"), &wp_file("WP03", "Third", "lib/c.rs"));
    world.write(
        format!("{dir}/tasks.md"),
        "## WP01\n## WP02\nDepends on WP01\n## WP03\nDepends on WP01, WP02\n",
    );
    let before = world.state();
    let error = finalize(&world, &slug).unwrap_err();
    assert_eq!(error.code().name(), "LANE_CYCLE");
    assert!(error.to_string().contains("lane-a -> lane-planning -> lane-a"), "{error}");
    assert_eq!(world.state(), before);
}

#[test]
fn validating_tells_what_would_change_and_writes_nothing() {
    let world = World::new();
    let slug = with_tasks(&world);
    let before = world.state();
    let judged = validate(&world.project(), &Request { mission: Some(slug) }).unwrap();
    let judged = serde_json::to_value(judged).unwrap();
    assert_eq!(judged["result"], "validation_passed");
    assert_eq!(judged["would_modify"][1]["changes"]["dependencies"], json!(["WP01"]));
    assert_eq!(judged["validation"]["bootstrap_preview"]["newly_seeded"], 2);
    assert_eq!(world.state(), before);
}

#[test]
fn the_facts_of_every_work_package_are_captured_once() {
    let world = World::new();
    let slug = with_tasks(&world);
    let run = || {
        world.captured(|outgoing| {
            let project = world.project();
            let request = Request { mission: Some(slug.clone()) };
            plan(&project, &request, &world.clock)?.apply(&project, Some(outgoing), &world.clock)
        })
    };
    run().unwrap();
    let kinds = |world: &World| -> Vec<String> {
        let events = world.events();
        let mut kinds: Vec<_> =
            events.iter().map(|event| event["event_type"].as_str().unwrap().to_owned()).collect();
        kinds.retain(|kind| !kind.starts_with("MissionDossier"));
        kinds
    };
    let expected =
        ["TasksStarted", "WPCreated", "WPCreated", "TasksCompleted", "WPStatusChanged", "WPStatusChanged"];
    assert_eq!(kinds(&world), expected);
    let events = world.events();
    let created = events
        .iter()
        .find(|event| event["aggregate_id"] == "WP02" && event["event_type"] == "WPCreated")
        .unwrap();
    assert_eq!(created["payload"]["depends_on"], json!(["WP01"]));
    assert_eq!(created["payload"]["wp_path"], format!("kitty-specs/{slug}/tasks/WP02-second.md"));
    let again = run().unwrap();
    assert_eq!((again.capture.captured, kinds(&world).len()), (None, expected.len()));
}

#[test]
fn a_mission_without_tasks_md_gets_one_from_wps_yaml() {
    let world = World::new();
    let slug = with_tasks(&world);
    let dir = format!("kitty-specs/{slug}");
    std::fs::remove_file(world.root.join(format!("{dir}/tasks.md"))).unwrap();
    world.write(format!("{dir}/wps.yaml"), "work_packages:\n- {id: WP01, title: First, subtasks: [T001]}\n- {id: WP02, title: Second, dependencies: [WP01]}\n");
    let done = finalize(&world, &slug).unwrap();
    assert_eq!(done.dependencies_parsed["WP02"], ["WP01"]);
    assert!(world.read(format!("{dir}/tasks.md")).contains("- [ ] T001"));
    let mission: Result<(), MissionError> = finalize(&world, &slug).map(|_| ());
    mission.unwrap();
}

#[test]
fn front_matter_cycle_is_found_with_its_file() {
    let world = World::new();
    let slug = with_tasks(&world);
    let dir = format!("kitty-specs/{slug}");
    let first = format!("{dir}/tasks/WP01-first.md");
    let original = world.read(&first);
    for (dependency, code) in [("WP02", "DEPENDENCY_CYCLE"), ("WP09", "INVALID_DEPENDENCIES")] {
        let named = format!("title: First\ndependencies: [{dependency}]\n");
        world.write(&first, &original.replace("title: First\n", &named));
        let before = world.state();
        let error = finalize(&world, &slug).unwrap_err();
        assert_eq!(error.code().name(), code, "{error}");
        assert!(
            error.code().name() != "DEPENDENCY_CYCLE" || error.to_string().contains("front matter"),
            "{error}"
        );
        assert_eq!(world.state(), before);
    }
    world.write(&first, &original);
    let manifest = "work_packages:\n- {id: WP01, dependencies: [WP02]}\n- {id: WP02, dependencies: [WP01]}\n";
    world.write(format!("{dir}/wps.yaml"), manifest);
    let error = finalize(&world, &slug).unwrap_err();
    assert!(error.to_string().ends_with("WP01 -> WP02 -> WP01 (as wps.yaml says)"), "{error}");
    assert!(!format!("{:?}", error.remedies()).contains("tasks.md"), "{error:?}");
}

#[test]
fn missing_surface_is_reported_as_inferred() {
    let world = World::new();
    let slug = with_tasks(&world);
    let bare =
        "---\nwork_package_id: WP01\ntitle: First\nrequirement_refs: [FR-001]\n---\n\nWrite src/f1.py.\n";
    world.write(format!("kitty-specs/{slug}/tasks/WP01-first.md"), bare);
    let error = finalize(&world, &slug).unwrap_err();
    assert_eq!(error.code().name(), "OWNERSHIP_INVALID");
    let evidence = error.evidence().join("\n");
    assert!(evidence.contains("WP01: its front matter names no authoritative_surface"), "{evidence}");
    assert!(!evidence.contains("WP02"), "{evidence}");
}
