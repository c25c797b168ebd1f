use super::world::{SPEC, World, wp_file};
use mission::command::finalize::{FinalizeRequest, plan, validate};
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
    let request = FinalizeRequest { mission: Some(slug.into()), ..Default::default() };
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
    let workspaces = &done.lanes.workspaces;
    assert_eq!(
        (&workspaces[0].wp_ids[..], &workspaces[1].wp_ids[..]),
        (&["WP01".into()][..], &["WP02".into()][..])
    );
    let first = world.read(format!("kitty-specs/{slug}/tasks/WP02-second.md"));
    assert!(first.contains("dependencies:\n- WP01\n") && first.contains("# kept comment"), "{first}");
    let lanes: Value = serde_json::from_str(&world.read(format!("kitty-specs/{slug}/lanes.json"))).unwrap();
    assert_eq!(lanes["mission_branch"], format!("kitty/mission-{slug}"));
    assert_eq!(lanes["lanes"][1]["depends_on_lanes"], json!(["lane-a"]));
    // The commit that the work starts from is the one before this command's.
    assert_eq!(lanes["planning_commit_sha"], world.git(["rev-parse", "HEAD~"]).trim());
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

/// The second work package with these `owned_files`.
fn owning(files: &str) -> String {
    let file = wp_file("WP02", "Second", "src/b.rs");
    file.replace("owned_files:\n- src/b.rs", &format!("owned_files: {files}"))
}

#[test]
fn finalize_names_faults_and_changes_nothing() {
    let world = World::new();
    let slug = with_tasks(&world);
    let dir = format!("kitty-specs/{slug}");
    let broken: [(&str, String, &str); 10] = [
        ("tasks.md", "## WP01\n## WP03\n".into(), "TASKS_COVERAGE_INCOMPLETE"),
        ("tasks.md", "## WP01\nDepends on WP02\n## WP02\nDepends on WP01\n".into(), "DEPENDENCY_CYCLE"),
        ("tasks.md", "## WP01\nDepends on WP09\n## WP02\n".into(), "INVALID_DEPENDENCIES"),
        ("spec.md", SPEC.replace("FR-001", "FR-002"), "REQUIREMENT_MAPPING_INVALID"),
        (
            "tasks/WP01-first.md",
            wp_file("WP01", "First", "docs/a.md").replace("docs/\n", "src/\n"),
            "OWNERSHIP_INVALID",
        ),
        ("tasks/WP02-second.md", owning("[]"), "OWNERSHIP_CONTRADICTION_CODE_CHANGE_EMPTY_OWNED_FILES"),
        ("tasks/WP02-second.md", owning("[kitty-specs/x.md]"), "INVALID_WP_OWNED_FILES_KITTY_SPECS"),
        ("tasks/WP02-second.md", owning("[src/b.rs]\nlane: genesis"), "MALFORMED_FILE"),
        (
            "tasks/WP02-second.md",
            owning("[src/b.rs]\ndependencies: []\ndependencies: [WP01]"),
            "MALFORMED_FILE",
        ),
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
    world.write(format!("{dir}/tasks/WP03-third.md"), &wp_file("WP03", "Third", "src/a.rs"));
    world.write(
        format!("{dir}/tasks.md"),
        "## WP01\n## WP02\nDepends on WP01\n## WP03\nDepends on WP01, WP02\n",
    );
    let before = world.state();
    let error = finalize(&world, &slug).unwrap_err();
    assert_eq!(error.code().name(), "LANE_DEPENDENCY_CYCLE");
    assert!(error.to_string().contains("lane-a -> lane-planning -> lane-a"), "{error}");
    assert_eq!(world.state(), before);
}

#[test]
fn validating_tells_what_would_change_and_writes_nothing() {
    let world = World::new();
    let slug = with_tasks(&world);
    let before = world.state();
    let judged =
        validate(&world.project(), &FinalizeRequest { mission: Some(slug), ..Default::default() }).unwrap();
    let judged = serde_json::to_value(judged).unwrap();
    assert_eq!(judged["result"], "validation_passed");
    assert_eq!(judged["would_modify"][1]["changes"]["dependencies"], json!(["WP01"]));
    assert_eq!(judged["validation"]["bootstrap_preview"]["newly_seeded"], 2);
    assert_eq!(world.state(), before);
}

#[test]
fn facts_of_every_work_package_are_captured_once() {
    let world = World::new();
    let slug = with_tasks(&world);
    let run = || {
        world.captured(|outgoing| {
            let project = world.project();
            let request = FinalizeRequest { mission: Some(slug.clone()), ..Default::default() };
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
fn mission_without_tasks_md_gets_one_from_wps_yaml() {
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
    assert!(error.to_string().ends_with("WP01 -> WP02 -> WP01 (from wps.yaml)"), "{error}");
    assert!(!format!("{:?}", error.remedies()).contains("tasks.md"), "{error:?}");
}

#[test]
fn missing_surface_is_inferred_from_the_owned_files() {
    let world = World::new();
    let slug = with_tasks(&world);
    let bare = |owned: &str| {
        format!(
            "---\nwork_package_id: WP01\ntitle: First\nrequirement_refs: [FR-001]\nexecution_mode: code_change\nowned_files: {owned}\n---\n\nWrite.\n"
        )
    };
    for (owned, surface) in [("[\"src/part2/*.py\"]", "src/part2/"), ("[src/x/**, tests/y/**]", "src/x/")] {
        world.write(format!("kitty-specs/{slug}/tasks/WP01-first.md"), &bare(owned));
        let judged = validate(
            &world.project(),
            &FinalizeRequest { mission: Some(slug.clone()), ..Default::default() },
        )
        .unwrap();
        assert_eq!(judged.would_modify[0].changes["authoritative_surface"], surface);
        let said = judged.ownership_warnings.iter().any(|line| line.contains("several directories"));
        assert_eq!(said, owned.contains("tests"), "{:?}", judged.ownership_warnings);
    }
}

/// `tasks.md` with the dependencies of each of the two work packages.
fn write_tasks(world: &World, slug: &str, first: &str, second: &str) {
    let text = format!("## WP01 - First\n\n{first}\n\n## WP02 - Second\n\n{second}\n");
    world.write(format!("kitty-specs/{slug}/tasks.md"), &text);
}

#[test]
fn front_matter_decides_about_dependencies_and_text_fills_gaps() {
    let world = World::new();
    let slug = with_tasks(&world);
    let file = format!("kitty-specs/{slug}/tasks/WP02-second.md");
    let original = world.read(&file);
    let none = "**Dependencies**: none";
    let beside = "**Dependencies**: none (can run beside WP01)";
    for (front, text, wanted, said) in [
        ("", "Depends on: WP01", &["WP01"][..], ""),
        ("", beside, &[], ""),
        ("", "It depends on WP01 being there.", &[], ""),
        ("dependencies: []\n", beside, &[], ""),
        ("dependencies: []\n", "", &[], ""),
        ("dependencies: []\n", "Depends on WP01", &["WP01"], "tasks.md names WP01, and that counts"),
        ("dependencies: [WP01]\n", beside, &["WP01"], ""),
        (
            "",
            "**Dependencies:** WP01",
            &[],
            "line 7: `**Dependencies:** WP01` is not read as a dependency of WP02",
        ),
        ("dependencies: [WP01]\n", "**Dependencies:** WP01", &["WP01"], ""),
    ] {
        write_tasks(&world, &slug, "**Dependencies**: none (parallel-safe with WP02).", text);
        world.write(&file, &original.replace("title: Second\n", &format!("title: Second\n{front}")));
        let project = world.project();
        let request = FinalizeRequest { mission: Some(slug.clone()), ..Default::default() };
        let plan = plan(&project, &request, &world.clock).unwrap();
        let outcome = plan.outcome();
        assert_eq!(outcome.dependencies_parsed["WP02"], wanted, "{front}{text}");
        assert!(outcome.dependencies_parsed["WP01"].is_empty(), "{text}");
        let warnings = outcome.warnings.join("\n");
        assert!(
            if said.is_empty() { warnings.is_empty() } else { warnings.contains(said) },
            "{text}: {warnings}"
        );
    }
    write_tasks(&world, &slug, none, "Depends on WP09");
    world.write(&file, &original.replace("title: Second\n", "title: Second\ndependencies: [WP01]\n"));
    assert_eq!(finalize(&world, &slug).unwrap().dependencies_parsed["WP02"], ["WP01"]);
}

#[test]
fn sequential_work_packages_may_share_files_with_a_warning() {
    let world = World::new();
    let slug = with_tasks(&world);
    let file = format!("kitty-specs/{slug}/tasks/WP02-second.md");
    world.write(&file, &wp_file("WP02", "Second", "src/a.rs"));
    let judged =
        validate(&world.project(), &FinalizeRequest { mission: Some(slug.clone()), ..Default::default() })
            .unwrap();
    let warnings = judged.ownership_warnings.join("\n");
    assert!(warnings.contains("WP01 ('src/a.rs') and WP02 ('src/a.rs') share files"), "{warnings}");
    assert!(warnings.contains("path 'src/a.rs' does not exist: add it to create_intent"), "{warnings}");
    assert_eq!(judged.validation.lanes_preview.count, 1);
    write_tasks(&world, &slug, "", "");
    assert_eq!(finalize(&world, &slug).unwrap_err().code().name(), "OWNERSHIP_INVALID");
    let wide = wp_file("WP02", "Second", "src/a.rs")
        .replace("title:", "scope: codebase-wide\ncreate_intent: [src/a.rs]\ntitle:");
    world.write(&file, &wide);
    let done = finalize(&world, &slug).unwrap();
    assert!(
        !done.ownership_warnings.iter().any(|line| line.starts_with("WP02")),
        "{:?}",
        done.ownership_warnings
    );
}

#[test]
fn requirement_in_a_sentence_is_a_warning_with_its_line() {
    let world = World::new();
    let slug = with_tasks(&world);
    let spec =
        format!("# S\n\n## Requirements\n\n{SPEC}\nFR-002 is meant, see FR-001.\n\n```\nFR-003\n```\n");
    world.write(format!("kitty-specs/{slug}/spec.md"), &spec);
    let judged =
        validate(&world.project(), &FinalizeRequest { mission: Some(slug), ..Default::default() }).unwrap();
    let [line] = &judged.requirement_extraction_warnings[..] else { panic!("{judged:?}") };
    assert!(line.contains("spec.md line 9: FR-002 is in a sentence"), "{line}");
}

#[test]
fn canceled_work_package_is_outside_of_graph_and_lanes() {
    let world = World::new();
    let slug = with_tasks(&world);
    finalize(&world, &slug).unwrap();
    let cancel = |id: &str| {
        let request = mission::command::emit::EmitRequest {
            mission: Some(slug.clone()),
            wp_id: id.into(),
            to: "canceled".into(),
            actor: "ada".into(),
            reason: Some("not needed".into()),
            ..Default::default()
        };
        world.emit(&request, None).unwrap();
    };
    cancel("WP01");
    let error = finalize(&world, &slug).unwrap_err();
    assert_eq!(error.code().name(), "CANCELED_WP_DEPENDENCY");
    assert_eq!(error.facts()["stale_dependencies"][0]["canceled_dependency_wp_id"], "WP01");
    // Ownership and dependencies of a canceled one are ignored.
    let second = format!("kitty-specs/{slug}/tasks/WP02-second.md");
    let text = world
        .read(&second)
        .replace("dependencies:\n- WP01\n", "dependencies: []\n")
        .replace("src/b.rs", "src/a.rs");
    world.write(&second, &text);
    write_tasks(&world, &slug, "Depends on WP02", "");
    let done = finalize(&world, &slug).unwrap();
    assert_eq!((done.lanes.count, &done.lanes.workspaces[0].wp_ids[..]), (1, &["WP02".into()][..]));
    cancel("WP02");
    let done = finalize(&world, &slug).unwrap();
    assert_eq!((done.lanes.computed, done.lanes.count), (true, 0));
}

#[test]
fn lanes_of_begun_work_stay_and_a_new_work_package_gets_its_own() {
    let world = World::new();
    let slug = with_tasks(&world);
    let dir = format!("kitty-specs/{slug}");
    finalize(&world, &slug).unwrap();
    let claim = mission::command::emit::EmitRequest {
        mission: Some(slug.clone()),
        wp_id: "WP01".into(),
        to: "claimed".into(),
        actor: "ada".into(),
        ..Default::default()
    };
    world.emit(&claim, None).unwrap();
    let before = world.read(format!("{dir}/lanes.json"));
    // The rules would put both into one lane today.
    let file = format!("{dir}/tasks/WP02-second.md");
    world.write(&file, &world.read(&file).replace("src/b.rs", "src/a.rs"));
    finalize(&world, &slug).unwrap();
    assert_eq!(world.read(format!("{dir}/lanes.json")), before);
    let tasks = world.read(format!("{dir}/tasks.md"));
    world.write(format!("{dir}/tasks.md"), &format!("{tasks}\n## WP03 - Third\n\nDepends on WP02\n"));
    world.write(format!("{dir}/tasks/WP03-third.md"), &wp_file("WP03", "Third", "src/c.rs"));
    finalize(&world, &slug).unwrap();
    let (old, new): (Value, Value) = (
        serde_json::from_str(&before).unwrap(),
        serde_json::from_str(&world.read(format!("{dir}/lanes.json"))).unwrap(),
    );
    assert_eq!(new["lanes"].as_array().unwrap()[..2], old["lanes"].as_array().unwrap()[..]);
    assert_eq!(new["lanes"][2]["lane_id"], "lane-c");
    assert_eq!(new["lanes"][2]["depends_on_lanes"], json!(["lane-b"]));
    assert_eq!(new["planning_commit_sha"], old["planning_commit_sha"]);
    let state = world.state();
    finalize(&world, &slug).unwrap();
    assert_eq!(world.state(), state);
}

#[test]
fn older_lanes_json_keeps_its_rule_and_its_form() {
    let world = World::new();
    let slug = with_tasks(&world);
    let path = format!("kitty-specs/{slug}/lanes.json");
    world.write(&path, "{\"version\": 1, \"computed_at\": \"x\", \"lanes\": []}");
    let done = finalize(&world, &slug).unwrap();
    assert_eq!(done.lanes.workspaces[0].wp_ids, ["WP01", "WP02"]);
    assert!(!world.read(&path).contains("planning_commit_sha"));
    world.write(&path, "{\"lanes\": 3}");
    let error = finalize(&world, &slug).unwrap_err();
    assert!(error.to_string().contains("is not a `lanes.json`"), "{error}");
}

#[test]
fn pull_request_mission_lands_on_the_branch_of_its_meta() {
    let world = World::new();
    world.git(["switch", "-q", "-c", "topic"]);
    let project = world.project();
    let request = mission::command::create::CreateRequest {
        slug: "x".into(),
        target_branch: Some("main".into()),
        pr_bound: true,
        ..Default::default()
    };
    let plan = mission::command::create::plan(&project, &request, &world.root, &world.clock).unwrap();
    let slug = plan.apply(None, &world.clock).unwrap().mission_slug;
    let dir = format!("kitty-specs/{slug}");
    world.write(format!("{dir}/spec.md"), SPEC);
    world.write(format!("{dir}/tasks.md"), "## WP01 - First\n");
    let file = format!("{dir}/tasks/WP01-first.md");
    world.write(&file, &wp_file("WP01", "First", "src/a.rs"));
    finalize(&world, &slug).unwrap();
    let text = world.read(&file);
    assert!(text.contains("planning_base_branch: main\nmerge_target_branch: main\n"), "{text}");
    let lanes: Value = serde_json::from_str(&world.read(format!("{dir}/lanes.json"))).unwrap();
    let tip = world.git(["rev-parse", "main"]);
    assert_eq!(
        (&lanes["target_branch"], &lanes["planning_commit_sha"]),
        (&json!("main"), &json!(tip.trim()))
    );
    let meta = world.read(format!("{dir}/meta.json"));
    world.write(
        format!("{dir}/meta.json"),
        &meta.replacen('{', "{\n  \"merge_target_branch\": \"trunk\",", 1),
    );
    finalize(&world, &slug).unwrap();
    let text = world.read(&file);
    assert!(text.contains("planning_base_branch: main\nmerge_target_branch: trunk\n"), "{text}");
}

#[test]
fn criteria_that_no_review_can_see_are_named() {
    let world = World::new();
    let slug = with_tasks(&world);
    let file = format!("kitty-specs/{slug}/tasks/WP01-first.md");
    let text = world.read(&file)
        + "\n## Acceptance criteria\n\nAfter deployment the page loads.\n\n## Notes\n\nOnce merged.\n";
    world.write(&file, &text);
    let judged =
        validate(&world.project(), &FinalizeRequest { mission: Some(slug), ..Default::default() }).unwrap();
    let [line] = &judged.post_integration_acceptance_warnings[..] else { panic!("{judged:?}") };
    assert!(line.starts_with("WP01: ") && line.contains("(after deploy)"), "{line}");
}

#[test]
fn target_branch_of_the_request_is_recorded_and_committed() {
    let world = World::new();
    let slug = with_tasks(&world);
    let target = |name: &str| FinalizeRequest {
        mission: Some(slug.clone()),
        target_branch: Some(name.into()),
        ..Default::default()
    };
    let refused = plan(&world.project(), &target("a b"), &world.clock).unwrap_err().to_string();
    assert!(refused.contains("cannot be the name of a branch"), "{refused}");
    let project = world.project();
    plan(&project, &target("release"), &world.clock).unwrap().apply(&project, None, &world.clock).unwrap();
    let committed = |file: &str| -> Value {
        serde_json::from_str(&world.git(["show", &format!("HEAD:kitty-specs/{slug}/{file}")])).unwrap()
    };
    assert_eq!(committed("meta.json")["target_branch"], "release");
    assert_eq!(committed("lanes.json")["target_branch"], "release");
    // Work has begun: the lanes stay, and name the new branch.
    world.emit(&super::emit::to(&slug, "claimed"), None).unwrap();
    let lanes = committed("lanes.json")["lanes"].clone();
    plan(&project, &target("main"), &world.clock).unwrap().apply(&project, None, &world.clock).unwrap();
    assert_eq!(
        (&committed("lanes.json")["target_branch"], &committed("lanes.json")["lanes"]),
        (&json!("main"), &lanes)
    );
}

#[test]
fn planning_commit_of_begun_work_is_refreshed_along_its_history_only() {
    let world = World::new();
    let slug = with_tasks(&world);
    finalize(&world, &slug).unwrap();
    let recorded = || -> Value {
        let text = world.read(format!("kitty-specs/{slug}/lanes.json"));
        serde_json::from_str::<Value>(&text).unwrap()["planning_commit_sha"].clone()
    };
    let first = recorded();
    world.emit(&super::emit::to(&slug, "claimed"), None).unwrap();
    finalize(&world, &slug).unwrap();
    assert_eq!(recorded(), first, "it stays without the option");
    let request =
        FinalizeRequest { mission: Some(slug.clone()), refresh_planning_commit: true, ..Default::default() };
    let refresh = || {
        let project = world.project();
        plan(&project, &request, &world.clock)?.apply(&project, None, &world.clock)
    };
    let tip = world.git(["rev-parse", "HEAD"]);
    refresh().unwrap();
    assert_eq!(recorded(), tip.trim());
    // A history that was rewritten is not an amendment.
    world.git(["switch", "--quiet", "--orphan", "new"]);
    world.git(["commit", "--quiet", "--allow-empty", "-m", "other"]);
    let other = world.git(["rev-parse", "HEAD"]);
    world.git(["switch", "--quiet", "main"]);
    let path = format!("kitty-specs/{slug}/lanes.json");
    world.write(&path, &world.read(&path).replace(tip.trim(), other.trim()));
    let refused = refresh().unwrap_err().to_string();
    assert!(refused.contains("is not an ancestor of main"), "{refused}");
}
