use super::finalize::with_tasks;
use super::world::World;
use mission::Result;
use mission::command::dependents::list_dependents;
use mission::command::map_requirements::{Mapped, MappingRequest, plan};

fn map(world: &World, request: MappingRequest) -> Result<Mapped> {
    let project = world.project();
    request.check()?;
    plan(&project, &request, &world.clock)?.apply(&project, None, &world.clock)
}

#[test]
fn requirements_are_added_once_and_committed() {
    let world = World::new();
    let slug = with_tasks(&world);
    world.git(["add", "-A"]);
    world.git(["commit", "-qm", "plan"]);
    let path = format!("kitty-specs/{slug}/tasks/WP01-first.md");
    let bare = world.read(&path).replace("requirement_refs: [FR-001]\n", "");
    world.write(&path, &bare);
    let request = MappingRequest {
        mission: Some(slug.clone()),
        wp_id: Some("wp01".into()),
        refs: Some("fr-001".into()),
        ..Default::default()
    };
    let done = map(&world, request.clone()).unwrap();
    assert_eq!((done.committed, done.coverage.mapped_functional), (true, 1));
    let text = world.read(&path);
    assert!(text.contains("requirement_refs:\n- FR-001\n") && text.contains("# kept comment"), "{text}");
    let before = world.state();
    assert!(!map(&world, request).unwrap().committed);
    assert_eq!(world.state(), before);
}

#[test]
fn invalid_mapping_is_named_and_nothing_is_written() {
    let world = World::new();
    let slug = with_tasks(&world);
    let before = world.state();
    let ask = |wp: Option<&str>, refs: Option<&str>, batch: Option<&str>| MappingRequest {
        mission: Some(slug.clone()),
        wp_id: wp.map(str::to_owned),
        refs: refs.map(str::to_owned),
        batch: batch.map(str::to_owned),
        ..Default::default()
    };
    for (request, code) in [
        (ask(Some("WP09"), Some("FR-001"), None), "WORK_PACKAGE_NOT_FOUND"),
        (ask(Some("WP01"), Some("FR-009"), None), "REQUIREMENT_UNDECLARED"),
        (ask(Some("WP01"), Some("FR-1a"), None), "INVALID_ARGUMENT"),
        (ask(Some("one"), Some("FR-001"), None), "INVALID_ARGUMENT"),
        (ask(Some("WP01"), None, None), "INVALID_ARGUMENT"),
        (ask(None, None, Some("[]")), "INVALID_ARGUMENT"),
        (ask(Some("WP01"), None, Some("{}")), "INVALID_ARGUMENT"),
    ] {
        let error = map(&world, request).unwrap_err();
        assert_eq!(error.code().name(), code, "{error}");
    }
    assert_eq!(world.state(), before);
}

#[test]
fn tickets_go_where_the_mission_keeps_them() {
    let world = World::new();
    let slug = with_tasks(&world);
    let request = MappingRequest {
        mission: Some(slug.clone()),
        wp_id: Some("WP01".into()),
        tracker_refs: vec!["#12".into()],
        commit: Some(false),
        ..Default::default()
    };
    map(&world, request.clone()).unwrap();
    let path = format!("kitty-specs/{slug}/tasks/WP01-first.md");
    assert!(world.read(&path).contains("tracker_refs:\n- '#12'\n"), "{}", world.read(&path));
    let meta = format!("kitty-specs/{slug}/meta.json");
    world.write(&meta, &world.read(&meta).replacen('{', "{\n  \"status_phase\": \"1\",", 1));
    map(&world, request).unwrap();
    let last = world.log(&slug).pop().unwrap();
    assert_eq!((&last["kind"], &last["delta"]["tracker_refs"][0]), (&"annotation".into(), &"#12".into()));
}

#[test]
fn dependents_are_listed_by_the_rules_of_finalizing() {
    let world = World::new();
    let slug = with_tasks(&world);
    let project = world.project();
    let found = list_dependents(&project, Some(&slug), "wp01").unwrap();
    assert_eq!((found.depends_on.len(), &found.dependents[..]), (0, &["WP02".to_owned()][..]));
    world.write(
        format!("kitty-specs/{slug}/wps.yaml"),
        "work_packages: [{id: WP01, dependencies: [WP02]}, {id: WP02}]\n",
    );
    let found = list_dependents(&project, Some(&slug), "WP01").unwrap();
    assert_eq!((&found.depends_on[..], found.dependents.len()), (&["WP02".to_owned()][..], 0));
    let error = list_dependents(&project, Some(&slug), "WP09").unwrap_err();
    assert_eq!(error.code().name(), "WORK_PACKAGE_NOT_FOUND");
}
