//! Planning documents that cannot be relied on, files that are not read, and the branch a mission lands on.
#![cfg(unix)]

use crate::worlds::{offline, sample};
use serde_json::{Value, json};
use testkit::World;
use testkit::mission::{Mission, PLAN, SPEC, TASKS, work_package};

fn world() -> (World, Mission) {
    let world = offline();
    let mission = sample(&world);
    (world, mission)
}

#[track_caller]
fn document(world: &World, argv: &[&str], mission: &Mission, exit: i32) -> Value {
    world.run(argv.iter().copied().chain(["--mission", &mission.slug, "--json"])).exits(exit).json()
}

const SHOW: [&str; 3] = ["agent", "status", "show"];
const LIST: [&str; 3] = ["agent", "tasks", "list"];
const FINALIZE: [&str; 3] = ["agent", "mission", "finalize-tasks"];
const CHECK: [&str; 3] = ["agent", "mission", "check-prerequisites"];

#[test]
fn file_that_is_not_read_is_named_and_finalize_refuses() {
    for name in ["WP2-x.md", "WP003.md", "WP100-x.md", "wp03-x.md"] {
        let (world, mission) = world();
        mission.write(&format!("tasks/{name}"), &work_package("WP03", "x", "FR-001", "src/x"));
        let shown = document(&world, &SHOW, &mission, 0);
        let named = |warnings: &Value| {
            warnings.to_string().contains(&format!("tasks/{name} looks like a work package"))
        };
        assert!(named(&shown["missions"][0]["warnings"]), "{shown:#}");
        assert!(named(&document(&world, &LIST, &mission, 0)["warnings"]));
        assert!(named(&document(&world, &CHECK, &mission, 0)["warnings"]));
        let text = world.run(SHOW.into_iter().chain(["--mission", &mission.slug])).exits(0);
        assert!(text.stderr.contains(name), "{text:?}");
        let refused = document(&world, &FINALIZE, &mission, 1);
        assert_eq!(refused["error_code"], "WORK_PACKAGE_FILES_UNREAD");
        assert!(refused["unread_files"].to_string().contains(name), "{refused:#}");
    }
}

#[test]
fn heading_that_is_not_read_is_named() {
    let (world, mission) = world();
    mission.write("tasks.md", &format!("{TASKS}\n## WP003 - More\n\n## wp04\n"));
    for warnings in [
        document(&world, &SHOW, &mission, 0)["missions"][0]["warnings"].clone(),
        document(&world, &FINALIZE, &mission, 0)["warnings"].clone(),
    ] {
        let text = warnings.to_string();
        assert!(text.contains("heading `WP003 - More`") && text.contains("heading `wp04`"), "{text}");
    }
}

#[test]
fn one_bad_file_hides_nothing_of_the_board() {
    let bad: [(&str, &[u8]); 4] = [
        ("tasks/WP02-ring.md", b"no front matter"),
        ("tasks/WP02-ring.md", b"---\nwork_package_id: WP02\ntitle: \xff\n---\n"),
        ("lanes.json", b"{"),
        ("meta.json", b"{"),
    ];
    for (name, bytes) in bad {
        let (world, mission) = world();
        document(&world, &FINALIZE, &mission, 0);
        std::fs::write(mission.path.join(name), bytes).unwrap();
        let shown = document(&world, &SHOW, &mission, 0);
        let board = &shown["missions"][0];
        assert_eq!(board["work_packages"].as_array().unwrap().len(), 2, "{name}: {shown:#}");
        assert!(board["warnings"].to_string().contains(name), "{name}: {shown:#}");
        assert_eq!(document(&world, &LIST, &mission, 0)["count"], 2, "{name}");
    }
}

#[test]
fn conflict_marker_in_a_planning_document_is_an_error() {
    let (world, mission) = world();
    let marked = |text: &str| format!("{text}\n<<<<<<< HEAD\nours\n=======\ntheirs\n>>>>>>> side\n");
    for (name, text, verbs) in [
        ("spec.md", SPEC, &[&["agent", "mission", "setup-plan"], &FINALIZE][..]),
        ("plan.md", PLAN, &[&["agent", "mission", "setup-plan"], &FINALIZE]),
        ("tasks.md", TASKS, &[&FINALIZE]),
    ] {
        mission.write(name, &marked(text));
        for argv in [&["add", "--all"][..], &["commit", "--quiet", "-m", name]] {
            world.git(argv);
        }
        for verb in verbs {
            let refused = document(&world, verb.as_slice(), &mission, 1);
            assert_eq!(refused["error_code"], "MALFORMED_FILE", "{name}: {refused:#}");
            assert!(refused["error"].as_str().unwrap().contains(name), "{refused:#}");
            assert!(refused["line"].is_u64(), "{refused:#}");
        }
        let checked = document(&world, &CHECK, &mission, 0);
        assert!(checked["valid"] == false && checked["errors"].to_string().contains(name), "{checked:#}");
        mission.write(name, text);
    }
    mission.write("tasks.md", &marked(TASKS));
    let before = mission.read("tasks.md");
    document(&world, &["agent", "tasks", "mark-status", "T001", "--status", "done"], &mission, 1);
    assert_eq!(mission.read("tasks.md"), before);
}

#[test]
fn conflict_marker_in_front_matter_is_an_error() {
    const FILE: &str = "tasks/WP02-ring.md";
    let (world, mission) = world();
    let text = mission.read(FILE);
    let line = 1 + text.lines().position(|line| line.starts_with("title:")).unwrap();
    let marked = text.replacen("title:", "<<<<<<< HEAD\ntitle:", 1);
    mission.write(FILE, &marked);
    let problem = format!("WP02-ring.md line {line}: is a conflict marker of a merge");
    for verb in [
        &FINALIZE[..],
        &["agent", "tasks", "add-history", "WP02", "--note", "n"],
        &["agent", "tasks", "move-task", "WP02", "--to", "blocked"],
    ] {
        let refused = document(&world, verb, &mission, 1);
        assert_eq!((&refused["error_code"], &refused["line"]), (&json!("MALFORMED_FILE"), &json!(line)));
        assert!(refused["error"].as_str().unwrap().contains(&problem), "{refused:#}");
        assert_eq!(mission.read(FILE), marked);
    }
    assert_shown_with(&world, &mission, &problem);
    mission.write(FILE, &text.replacen("title:", "[title:", 1));
    let refused = document(&world, &FINALIZE, &mission, 1);
    let found = format!("line {line}");
    assert!(refused["error"].as_str().unwrap().contains(&found), "the line of the file: {refused:#}");
}

/// The board, the list and the check name the problem beside both work packages.
#[track_caller]
fn assert_shown_with(world: &World, mission: &Mission, problem: &str) {
    let shown = document(world, &SHOW, mission, 0);
    let board = &shown["missions"][0];
    let card = &board["work_packages"][1];
    assert_eq!((&card["work_package_id"], &card["title"]), (&json!("WP02"), &json!("Ring")), "{board:#}");
    for warnings in [
        &board["warnings"],
        &document(world, &LIST, mission, 0)["warnings"],
        &document(world, &CHECK, mission, 0)["warnings"],
    ] {
        assert!(warnings.to_string().contains(problem), "{warnings:#}");
    }
}

#[test]
fn conflict_marker_in_the_text_of_a_work_package_is_named() {
    let (world, mission) = world();
    let text = mission.read("tasks/WP02-ring.md");
    let line = text.lines().count() + 1;
    mission.write("tasks/WP02-ring.md", &format!("{text}<<<<<<< HEAD\na\n=======\nb\n>>>>>>> side\n"));
    let problem = format!("WP02-ring.md line {line}: is a conflict marker of a merge");
    assert_shown_with(&world, &mission, &problem);
    let done = world.run(FINALIZE.into_iter().chain(["--mission", &mission.slug, "--json"])).exits(0);
    assert!(
        done.json()["warnings"].to_string().contains(&problem) && done.stderr.contains(&problem),
        "{done:?}"
    );
}

#[test]
fn second_section_of_a_work_package_is_an_error() {
    let (world, mission) = world();
    mission.write("tasks.md", &format!("{TASKS}\n## WP01 - Again\n\n- [ ] T009 x\n"));
    let refused = document(&world, &FINALIZE, &mission, 1);
    assert!(refused["error"].as_str().unwrap().contains("second section of WP01"), "{refused:#}");
    let shown = document(&world, &SHOW, &mission, 0);
    assert!(shown["missions"][0]["warnings"].to_string().contains("second section of WP01"), "{shown:#}");
}

#[test]
fn topic_branch_mission_lands_on_the_branch_of_meta() {
    let world = offline();
    world.git(["switch", "--quiet", "-c", "topic"]);
    let create = ["agent", "mission", "create", "sample", "--target-branch", "main", "--pr-bound", "--json"];
    let created = world.run(create).exits(0).json();
    let slug = created["mission_slug"].as_str().unwrap().to_owned();
    let mission = Mission { path: world.work().join("kitty-specs").join(&slug), slug };
    mission.specified(&world).planned().with_tasks();
    let planned = document(&world, &["agent", "mission", "setup-plan"], &mission, 0);
    let checked = document(&world, &CHECK, &mission, 0);
    for answer in [created, planned, checked] {
        for key in ["target_branch", "merge_target_branch", "TARGET_BRANCH", "EXPECTED_BASE_BRANCH"] {
            assert_eq!(answer[key], "main", "{key}: {answer:#}");
        }
        assert_eq!(
            (&answer["current_branch"], &answer["branch_matches_target"]),
            (&json!("topic"), &json!(false))
        );
    }
    document(&world, &FINALIZE, &mission, 0);
    let file = mission.read("tasks/WP01-count-down.md");
    assert!(file.contains("merge_target_branch: main") && !file.contains("topic"), "{file}");
    let lanes: Value = serde_json::from_str(&mission.read("lanes.json")).unwrap();
    assert_eq!(lanes["target_branch"], "main");
}

#[test]
fn mission_is_found_by_its_directory_and_a_trailing_slash() {
    let (world, mission) = world();
    let absolute = mission.path.to_str().unwrap();
    for handle in [
        format!("{}/", mission.slug),
        "sample/".to_owned(),
        format!("kitty-specs/{}", mission.slug),
        format!("./kitty-specs/{}/", mission.slug),
        format!("{absolute}/"),
    ] {
        let shown = world.run(["agent", "status", "show", "--mission", &handle, "--json"]).exits(0).json();
        assert_eq!(shown["missions"][0]["mission_slug"], mission.slug, "{handle}");
    }
    for handle in ["/", "..", "../work", "kitty-specs/../kitty-specs", "/etc/passwd"] {
        world.run(["agent", "status", "show", "--mission", handle, "--json"]).exits(1);
    }
}

#[test]
fn commit_of_mark_status_names_only_what_changed() {
    let (world, mission) = world();
    let mark = ["agent", "tasks", "mark-status", "T001", "T777", "--status", "done"];
    let marked = document(&world, &mark, &mission, 0);
    assert_eq!(marked["summary"]["not_found"], 1);
    let subject = world.git(["log", "-1", "--format=%s"]);
    assert!(subject.contains("Mark T001 as done") && !subject.contains("T777"), "{subject}");
}
