use super::finalize::{finalize, with_tasks};
use super::world::World;
use mission::command::{add_history, mark_status, move_task, status};
use mission::{Lane, MissionError, Result};

pub(crate) fn moved(world: &World, request: &move_task::MoveTaskRequest) -> Result<move_task::Moved> {
    let project = world.project();
    move_task::plan(&project, request, &world.clock)?.apply(&project, None, &world.clock)
}

pub(crate) fn to(slug: &str, lane: &str) -> move_task::MoveTaskRequest {
    move_task::MoveTaskRequest {
        mission: Some(slug.into()),
        wp_id: "WP01".into(),
        to: lane.into(),
        agent: Some("dev".into()),
        ..Default::default()
    }
}

pub(crate) fn mark(world: &World, slug: &str, ids: &[&str], status: &str) -> Result<mark_status::Marking> {
    let project = world.project();
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    let request = mark_status::MarkStatusRequest {
        mission: Some(slug.into()),
        ids,
        status: status.into(),
        commit: None,
    };
    mark_status::plan(&project, &request, &world.clock)?.apply(&project, None, &world.clock)
}

pub(crate) fn ready(world: &World) -> String {
    let slug = with_tasks(world);
    finalize(world, &slug).unwrap();
    slug
}

fn lanes(world: &World, slug: &str) -> Vec<String> {
    let rows = world.log(slug);
    rows.iter()
        .filter(|row| row["wp_id"] == "WP01")
        .skip(1)
        .map(|row| row["to_lane"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn work_package_travels_from_planned_to_done_with_one_rejection() {
    let world = World::new();
    let slug = ready(&world);
    let file = format!("kitty-specs/{slug}/tasks/WP01-first.md");
    moved(&world, &to(&slug, "doing")).unwrap();
    assert_eq!(lanes(&world, &slug), ["claimed", "in_progress"]);
    let open = moved(&world, &to(&slug, "for_review")).unwrap_err();
    assert_eq!(open.code().name(), "SUBTASKS_UNCHECKED");
    assert!(open.to_string().contains("T001"), "{open}");
    mark(&world, &slug, &["T001"], "done").unwrap();
    moved(&world, &to(&slug, "for_review")).unwrap();

    world.write("feedback.md", "**Issue**: no tests\n");
    let back = move_task::MoveTaskRequest {
        review_feedback_file: Some(world.root.join("feedback.md")),
        ..to(&slug, "planned")
    };
    let rejected = moved(&world, &back).unwrap();
    assert_eq!(
        rejected.review_feedback.as_deref(),
        Some(format!("review-cycle://{slug}/WP01-first/review-cycle-1.md").as_str())
    );
    let row = world.log(&slug).pop().unwrap();
    assert_eq!((row["force"].as_bool(), row["to_lane"].as_str()), (Some(true), Some("planned")));
    assert!(row["reason"].as_str().unwrap().starts_with("backward rewind: for_review -> planned"));

    let approve = to(&slug, "approved");
    assert_eq!(moved(&world, &approve).unwrap_err().code().name(), "REVIEW_REJECTED");
    let again = move_task::MoveTaskRequest {
        skip_review_artifact_check: true,
        note: Some("reviewed again".into()),
        ..approve
    };
    moved(&world, &again).unwrap();
    let done = move_task::MoveTaskRequest { to: "done".into(), ..again };
    let last = moved(&world, &done).unwrap();
    assert_eq!((last.old_lane, last.new_lane), (Lane::Approved, Lane::Done));
    assert_eq!(
        lanes(&world, &slug),
        [
            "claimed",
            "in_progress",
            "for_review",
            "planned",
            "claimed",
            "in_progress",
            "for_review",
            "in_review",
            "approved",
            "done"
        ]
    );
    let text = world.read(&file);
    assert!(text.contains("agent: dev\n") && text.contains("– dev – Moved to in_progress"), "{text}");
    assert_eq!(world.git(["log", "-1", "--format=%s"]).trim(), "chore: Move WP01 to done on spec demo [dev]");
    assert_eq!(
        world
            .git(["status", "--porcelain", "kitty-specs"])
            .lines()
            .filter(|line| line.contains("WP01"))
            .count(),
        0
    );
}

#[test]
fn move_commits_only_its_own_changes() {
    let world = World::new();
    let slug = ready(&world);
    let tasks = format!("kitty-specs/{slug}/tasks.md");
    for staged in [true, false] {
        world.write(&tasks, &format!("{}\nmine, unfinished\n", world.read(&tasks)));
        if staged {
            world.git(["add", &tasks]);
        }
        let status = world.git(["status", "--porcelain", &tasks]);
        moved(&world, &to(&slug, if staged { "claimed" } else { "doing" })).unwrap();
        assert_eq!(world.git(["status", "--porcelain", &tasks]), status);
        assert!(!world.git(["show", &format!("HEAD:{tasks}")]).contains("mine"));
    }
}

#[test]
fn rebase_and_detached_head_refuse_commits_first() {
    let world = World::new();
    let slug = ready(&world);
    world.git(["add", "-A"]);
    world.git(["commit", "-q", "--allow-empty", "-m", "all"]);
    let codes = |slug: &str| {
        [
            moved(&world, &to(slug, "claimed")).unwrap_err(),
            mark(&world, slug, &["T001"], "done").unwrap_err(),
            finalize(&world, slug).unwrap_err(),
        ]
        .map(|error| error.code().name())
    };
    world.write(format!("kitty-specs/{slug}/tasks/README.md"), "finalize has something to commit");
    world.git(["checkout", "-q", "--detach"]);
    assert_eq!(codes(&slug), ["DETACHED_HEAD"; 3]);
    world.write(".git/rebase-merge/onto", "");
    let before = world.state();
    assert_eq!(codes(&slug), ["GIT_OPERATION_IN_PROGRESS"; 3]);
    // Before the mission and everything else.
    assert_eq!(
        moved(&world, &to("nowhere", "claimed")).unwrap_err().code().name(),
        "GIT_OPERATION_IN_PROGRESS"
    );
    assert_eq!(
        mark(&world, "nowhere", &["T001"], "done").unwrap_err().code().name(),
        "GIT_OPERATION_IN_PROGRESS"
    );
    assert_eq!(world.state(), before);
}

#[test]
fn obstacle_is_named_and_nothing_is_written() {
    let world = World::new();
    let slug = ready(&world);
    moved(&world, &to(&slug, "claimed")).unwrap();
    let before = world.state();
    let other = move_task::MoveTaskRequest { agent: Some("else".into()), ..to(&slug, "in_progress") };
    assert_eq!(moved(&world, &other).unwrap_err().code().name(), "AGENT_MISMATCH");
    let no_feedback = move_task::MoveTaskRequest { force: true, ..to(&slug, "planned") };
    assert!(matches!(
        moved(&world, &no_feedback).unwrap_err(),
        MissionError::Argument { name: "--review-feedback-file", .. }
    ));
    let empty = move_task::MoveTaskRequest {
        review_feedback_file: Some(world.root.join("nothing")),
        ..to(&slug, "planned")
    };
    assert!(moved(&world, &empty).unwrap_err().to_string().contains("is empty"));
    assert!(moved(&world, &to(&slug, "nowhere")).unwrap_err().to_string().contains("Unknown lane"));
    let unknown = move_task::MoveTaskRequest { wp_id: "WP07".into(), ..to(&slug, "claimed") };
    assert_eq!(moved(&world, &unknown).unwrap_err().code().name(), "WORK_PACKAGE_NOT_FOUND");
    let same = moved(&world, &to(&slug, "claimed")).unwrap();
    assert!(!same.changed && same.event_id.is_some());
    assert_eq!(world.state(), before);
}

#[test]
fn done_requires_a_merged_lane_or_a_reason() {
    let world = World::new();
    let slug = ready(&world);
    let branch = format!("kitty/mission-{slug}-lane-a");
    world.git(["switch", "-q", "-c", &branch]);
    world.write("src.rs", "x");
    world.git(["add", "src.rs"]);
    world.git(["commit", "-q", "-m", "work"]);
    world.git(["switch", "-q", "main"]);
    mark(&world, &slug, &["T001"], "done").unwrap();
    let refused = moved(&world, &to(&slug, "done")).unwrap_err();
    assert_eq!(refused.code().name(), "LANE_NOT_MERGED");
    let why = move_task::MoveTaskRequest {
        done_override_reason: Some("landed by hand".into()),
        ..to(&slug, "done")
    };
    assert!(moved(&world, &why).unwrap().changed);
}

#[test]
fn subtasks_of_every_form_are_ticked_and_only_the_file_committed() {
    let world = World::new();
    let slug = ready(&world);
    let tasks = format!("kitty-specs/{slug}/tasks.md");
    world.write(
        &tasks,
        &format!(
            "{}\n| ID | Status |\n|---|---|\n| T003 | [ ] |\n\nSubtasks: T004\n- ✅ T005 e\n",
            world.read(&tasks)
        ),
    );
    world.write("mine.txt", "mine");
    world.git(["add", "mine.txt"]);
    let done =
        mark(&world, &slug, &["T001", &format!("{slug}/T003"), "T004", "T005", "T999", "WP01"], "done")
            .unwrap();
    let formats: Vec<_> = done.results.iter().map(|result| result.format).collect();
    assert_eq!(
        formats,
        [Some("checkbox"), Some("pipe_table"), Some("inline_subtasks"), Some("checkbox"), None, None]
    );
    assert_eq!((done.summary.updated, done.summary.already_satisfied, done.summary.not_found), (3, 1, 2));
    assert!(done.results[5].message.contains("move-task"));
    assert_eq!(world.git(["show", "--name-only", "--format=", "HEAD"]).trim(), tasks);
    let before = world.state();
    let again = mark(&world, &slug, &["T001"], "done").unwrap();
    assert_eq!((again.summary.already_satisfied, again.commit_hash), (1, None));
    assert_eq!(mark(&world, &slug, &["T999"], "done").unwrap_err().code().name(), "SUBTASK_NOT_FOUND");
    assert!(mark(&world, &slug, &["T001"], "maybe").is_err());
    assert_eq!(world.state(), before);
}

#[test]
fn note_is_kept_in_the_file_and_captured_with_it_as_witness() {
    let world = World::new();
    let slug = ready(&world);
    let request = add_history::NoteRequest {
        mission: Some(slug.clone()),
        wp_id: "WP01".into(),
        note: "found it".into(),
        agent: Some("dev".into()),
        shell_pid: None,
    };
    world
        .captured(|outgoing| {
            let project = world.project();
            add_history::plan(&project, &request, &world.clock)?.apply(&project, Some(outgoing), &world.clock)
        })
        .unwrap();
    assert!(world.read(format!("kitty-specs/{slug}/tasks/WP01-first.md")).ends_with("– dev – found it\n"));
    let events = world.events();
    let event = events.iter().find(|event| event["event_type"] == "HistoryAdded").unwrap();
    assert_eq!(event["payload"]["wp_id"], "WP01");
    assert_eq!(event["payload"]["entry_content"], "found it");
}

#[test]
fn tick_is_captured_under_the_work_package_it_belongs_to() {
    let world = World::new();
    let slug = ready(&world);
    let request = mark_status::MarkStatusRequest {
        mission: Some(slug),
        ids: vec!["T002".into()],
        status: "done".into(),
        commit: Some(false),
    };
    world
        .captured(|outgoing| {
            let project = world.project();
            mark_status::plan(&project, &request, &world.clock)?.apply(&project, Some(outgoing), &world.clock)
        })
        .unwrap();
    let events = world.events();
    let event = events.iter().find(|event| event["event_type"] == "HistoryAdded").unwrap();
    assert_eq!(event["payload"]["wp_id"], "WP02");
}

#[test]
fn board_shows_every_mission_and_names_the_broken_ones() {
    let world = World::new();
    let slug = ready(&world);
    moved(&world, &to(&slug, "claimed")).unwrap();
    let broken = world.create("broken").mission_slug;
    // A log that is not even a file.
    let log = world.root.join(format!("kitty-specs/{broken}/status.events.jsonl"));
    std::fs::remove_file(&log).unwrap();
    std::fs::create_dir(&log).unwrap();
    let before = world.state();
    let boards = status::show(&world.project(), None).unwrap();
    assert_eq!((boards.missions.len(), boards.unreadable.len()), (1, 1));
    assert_eq!(boards.unreadable[0].mission_slug, broken);
    let board = &boards.missions[0];
    assert_eq!((board.summary["claimed"].as_u64(), board.summary["planned"].as_u64()), (Some(1), Some(1)));
    assert_eq!(board.work_packages[0].lane_id.as_deref(), Some("lane-a"));
    assert_eq!(board.lanes[0].branch, format!("kitty/mission-{slug}-lane-a"));
    let list = status::list(&world.project(), Some(&slug), Some(Lane::Claimed)).unwrap();
    assert_eq!((list.count, list.tasks[0].title.as_str()), (1, "First"));
    assert_eq!(world.state(), before);
}

#[test]
fn materializing_restores_status_json_from_the_log() {
    let world = World::new();
    let slug = ready(&world);
    let path = format!("kitty-specs/{slug}/status.json");
    let before = world.read(&path);
    world.write(&path, "{}");
    let done = status::materialize(&world.project(), Some(&slug), &world.clock).unwrap();
    assert_eq!(world.read(&path), before);
    assert_eq!(
        (done.document["event_count"].as_u64(), done.is_written, done.warnings.len()),
        (Some(2), true, 0)
    );
}

#[test]
fn lost_arguments_are_refused_and_note_without_move_is_kept() {
    let world = World::new();
    let slug = ready(&world);
    world.write("feedback.md", "no tests\n");
    let before = world.state();
    let lost = move_task::MoveTaskRequest {
        review_feedback_file: Some(world.root.join("feedback.md")),
        ..to(&slug, "in_progress")
    };
    let error = moved(&world, &lost).unwrap_err().to_string();
    assert!(error.starts_with("--review-feedback-file: is only for a rejection"), "{error}");
    assert_eq!(world.state(), before);

    moved(&world, &to(&slug, "claimed")).unwrap();
    let rows = world.log(&slug).len();
    assert!(!moved(&world, &to(&slug, "claimed")).unwrap().changed);
    let stay = move_task::MoveTaskRequest {
        note: Some("waits for the bell".into()),
        assignee: Some("ada".into()),
        ..to(&slug, "claimed")
    };
    let stayed = moved(&world, &stay).unwrap();
    assert!(stayed.changed && stayed.commit_hash.is_some());
    assert_eq!((stayed.old_lane, stayed.new_lane), (Lane::Claimed, Lane::Claimed));
    assert_eq!(world.log(&slug).len(), rows, "nothing moved");
    let file = format!("kitty-specs/{slug}/tasks/WP01-first.md");
    let text = world.read(&file);
    assert!(text.contains("assignee: ada\n") && text.ends_with("– dev – waits for the bell\n"), "{text}");
    assert_eq!(world.git(["status", "--porcelain", &file]), "");
}

#[test]
fn ticking_a_work_package_is_refused_with_a_remedy() {
    let world = World::new();
    let slug = ready(&world);
    let error = mark(&world, &slug, &["WP01"], "done").unwrap_err();
    let problem =
        "WP01 is a work package, not a subtask: `spec-kitty agent tasks move-task` changes its lane";
    assert_eq!(error.to_string(), problem);
    assert!(format!("{:?}", error.remedies()).contains("move-task"), "{:?}", error.remedies());
    let shouted = mark(&world, &slug, &["T001"], " DONE").unwrap();
    assert_eq!(shouted.results[0].message, "T001 is done now.");
}

#[test]
fn move_requiring_force_is_refused_with_move_task_text() {
    let world = World::new();
    let slug = ready(&world);
    moved(&world, &to(&slug, "canceled")).unwrap();
    let error = moved(&world, &to(&slug, "in_progress")).unwrap_err();
    assert_eq!(error.code().name(), "ILLEGAL_TRANSITION");
    let remedy = format!("{:?}", error.remedies());
    assert!(remedy.contains("--force") && remedy.contains("--note"), "{remedy}");
    assert!(!remedy.contains("--reason"), "move-task has no --reason");
    let forced =
        move_task::MoveTaskRequest { force: true, note: Some("it is wanted".into()), ..to(&slug, "doing") };
    assert!(moved(&world, &forced).unwrap().changed);
}

#[test]
fn note_author_is_one_line() {
    let world = World::new();
    let slug = ready(&world);
    let request = add_history::NoteRequest {
        mission: Some(slug),
        wp_id: "WP01".into(),
        note: "n".into(),
        agent: Some("x\ny".into()),
        shell_pid: None,
    };
    let error = add_history::plan(&world.project(), &request, &world.clock).unwrap_err();
    assert_eq!(error.code().name(), "INVALID_ARGUMENT");
}

#[test]
fn files_that_contradict_each_other_or_their_name_are_named() {
    let world = World::new();
    let slug = ready(&world);
    let listed = || status::list(&world.project(), Some(&slug), None).unwrap();
    assert_eq!(listed().warnings, Vec::<String>::new());
    let second = world.read(format!("kitty-specs/{slug}/tasks/WP02-second.md"));
    world.write(format!("kitty-specs/{slug}/tasks/WP02-twin.md"), &second);
    world.write(format!("kitty-specs/{slug}/tasks/WP03-x.md"), &second.replace("WP02", "WP01"));
    let warnings = listed().warnings.join("\n");
    assert!(warnings.contains("WP02-twin.md is WP02 in its front matter, and so is"), "{warnings}");
    assert!(warnings.contains("WP03-x.md is WP01 in its front matter, and WP03 by its name"), "{warnings}");
    let boards = status::show(&world.project(), Some(&slug)).unwrap();
    assert_eq!(boards.missions[0].warnings.join("\n"), warnings);
}

#[test]
fn damaged_meta_json_is_not_an_unknown_mission() {
    let world = World::new();
    let slug = world.create("tea").mission_slug;
    world.write(format!("kitty-specs/{slug}/meta.json"), "{");
    let error = status::list(&world.project(), Some("tea"), None).unwrap_err().to_string();
    assert!(error.contains("no mission `tea`") && error.contains(&format!("{slug}/meta.json")), "{error}");
}
