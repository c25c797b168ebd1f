//! Writes of rows of a mission with a coordination branch.

use super::*;

#[test]
fn lane_rows_go_to_the_branch_and_facts_to_the_checkout() {
    let mission = Coordinated::new();
    let (branch, checkout) = (
        mission.on_branch("status.events.jsonl"),
        mission.world.read(mission.directory().join("status.events.jsonl")),
    );
    assert_eq!(event_types(&branch), [false, false]);
    assert!(event_types(&checkout).iter().all(|fact| *fact) && !checkout.is_empty());
    assert_eq!(mission.subjects(), ["chore(spec-kitty): status transition WP01, WP02", "base"]);
    assert!(!mission.directory().join("status.json").exists());
    let status: Value = serde_json::from_str(&mission.on_branch("status.json")).unwrap();
    assert_eq!(status["summary"]["planned"], 2);

    let (before, tip) = (mission.world.state(), mission.tip());
    let emitted = mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
    assert_eq!(mission.world.state(), before, "the checkout is as it was");
    assert_eq!(emitted.coordination_commit.as_deref(), Some(mission.tip().as_str()));
    assert_eq!(mission.world.git(["rev-parse", &format!("{}^", mission.branch)]).trim(), tip);
    assert_eq!(mission.subjects()[0], "chore(spec-kitty): status transition WP01");
    assert_eq!(mission.lanes(), "claimed planned");
    // The rest of the branch is as it was.
    let changed = mission.world.git(["diff", "--name-only", &tip, &mission.branch]);
    assert_eq!(changed.lines().count(), 2, "{changed}");
    // Nothing to do: no commit.
    let again = mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
    assert_eq!((again.changed, again.coordination_commit), (false, None));
}

#[test]
fn commit_on_the_branch_runs_no_hook_and_is_not_signed() {
    let mission = Coordinated::new();
    mission.world.git(["config", "commit.gpgsign", "true"]);
    mission.world.git(["config", "gpg.program", "/bin/false"]);
    #[cfg(unix)]
    for hook in ["pre-commit", "commit-msg", "post-commit", "reference-transaction"] {
        use std::os::unix::fs::PermissionsExt;
        let path = mission.world.root.join(".git/hooks").join(hook);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "#!/bin/sh\nexit 1\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
    assert!(!mission.world.git(["cat-file", "commit", &mission.branch]).contains("gpgsig"));
    assert_eq!(mission.lanes(), "claimed planned");
}

#[test]
fn move_task_writes_moves_and_annotations_on_the_branch_alone() {
    let mission = Coordinated::new();
    let before = mission.world.state();
    let project = mission.world.project();
    let request = move_task::MoveTaskRequest {
        mission: Some(mission.slug.clone()),
        wp_id: "WP01".into(),
        to: "in_progress".into(),
        agent: Some("ada".into()),
        ..Default::default()
    };
    let clock = &mission.world.clock;
    let moved = move_task::plan(&project, &request, clock).unwrap().apply(&project, None, clock).unwrap();
    assert_eq!(moved.coordination_commit, Some(mission.tip()));
    assert_eq!((moved.commit_hash, mission.world.state()), (None, before));
    assert!(mission.on_branch("status.events.jsonl").contains("\"kind\": \"annotation\""));
    assert_eq!(mission.lanes(), "in_progress planned");
}

#[test]
fn mark_status_ticks_in_the_checkout_annotates_on_the_branch() {
    for checked_out in [false, true] {
        let mission = Coordinated::new();
        let tasks = mission.directory().join("tasks");
        let names = std::fs::read_dir(&tasks).unwrap().flatten().map(|entry| entry.path());
        let file = names.into_iter().find(|path| path.to_string_lossy().contains("WP01")).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replacen("---\n", "---\nsubtasks: [T001]\n", 1)).unwrap();
        mission.world.git(["add", "--all"]);
        mission.world.git(["commit", "--quiet", "-m", "roster"]);
        let worktree = checked_out.then(|| mission.worktree());
        let ticked = mark_status::MarkStatusRequest {
            mission: Some(mission.slug.clone()),
            ids: vec!["T001".into()],
            status: "done".into(),
            commit: None,
        };
        let (project, clock) = (mission.world.project(), &mission.world.clock);
        let plan = mark_status::plan(&project, &ticked, clock).unwrap();
        let marked = plan.apply(&project, None, clock).unwrap();
        assert!(marked.commit_hash.is_some(), "{checked_out}");
        let log = mission.on_branch("status.events.jsonl");
        assert!(log.contains(r#""subtasks": {"T001": "done"}"#), "{checked_out}: {log}");
        let document = std::fs::read_to_string(mission.directory().join("tasks.md")).unwrap();
        assert!(document.contains("- [x] T001"), "{checked_out}: {document}");
        for directory in worktree.iter().chain([&mission.world.root]) {
            assert_eq!(git(directory, &["status", "--porcelain", "-uno"]), "", "{checked_out}");
        }
    }
}

#[test]
fn registered_worktree_is_read_with_uncommitted_rows_and_written() {
    let mission = Coordinated::new();
    let worktree = mission.worktree();
    mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
    assert_eq!(git(&worktree, &["status", "--porcelain"]), "");
    assert_eq!(mission.subjects()[0], "chore(spec-kitty): status transition WP01");
    // A row of another program, not committed yet.
    let log = worktree.join(format!("kitty-specs/{}/status.events.jsonl", mission.slug));
    let text = std::fs::read_to_string(&log).unwrap();
    let mut row: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    for (key, value) in
        [("event_id", "01KZ0000000000000000000009"), ("from_lane", "claimed"), ("to_lane", "in_progress")]
    {
        row[key] = json!(value);
    }
    row["at"] = json!("2099-01-01T00:00:00+00:00");
    std::fs::write(&log, format!("{text}{row}\n")).unwrap();
    assert_eq!(mission.lanes(), "in_progress planned");
    let blocked = mission.world.emit(&to(&mission.slug, "blocked"), None).unwrap();
    assert_eq!(blocked.coordination_commit, Some(mission.tip()));
    assert!(std::fs::read_to_string(&log).unwrap().contains("01KZ0000000000000000000009"));
    assert!(mission.on_branch("status.events.jsonl").contains("01KZ0000000000000000000009"));
    assert_eq!(git(&worktree, &["status", "--porcelain"]), "");
}

#[test]
fn branch_of_the_checkout_itself_is_written_in_the_checkout() {
    let mission = Coordinated::new();
    mission.world.git(["switch", "--quiet", "--create", "kitty/side"]);
    mission.set_meta("coordination_branch", json!("kitty/side"));
    finalize(&mission.world, &mission.slug).unwrap();
    mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
    assert!(mission.world.log(&mission.slug).iter().any(|row| row["to_lane"] == "claimed"));
    assert_eq!(mission.lanes(), "claimed planned");
}

#[test]
fn worktree_deleted_or_without_the_log_loses_no_row() {
    let mission = Coordinated::new();
    let worktree = mission.worktree();
    std::fs::remove_dir_all(worktree.join("kitty-specs")).unwrap();
    assert_eq!(mission.lanes(), "planned planned");
    mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
    assert_eq!(mission.on_branch("status.events.jsonl").lines().count(), 3);
    std::fs::remove_dir_all(&worktree).unwrap();
    let path = mission.world.root.join("a-row-later");
    mission.world.emit(&to(&mission.slug, "in_progress"), None).unwrap();
    assert_eq!(mission.on_branch("status.events.jsonl").lines().count(), 4);
    assert!(!path.exists() && !worktree.exists());
}

#[test]
fn review_cycle_is_kept_and_counted_beside_the_lane_rows() {
    for checked_out in [false, true] {
        let mission = Coordinated::new();
        let worktree = checked_out.then(|| mission.worktree());
        let feedback = mission.world.root.with_file_name("feedback.md");
        std::fs::write(&feedback, "**Issue**: no").unwrap();
        let before = mission.world.state().0;
        for number in [1, 2] {
            let forced = mission::command::emit::EmitRequest {
                force: true,
                reason: Some("test".into()),
                ..to(&mission.slug, "for_review")
            };
            mission.world.emit(&forced, None).unwrap();
            let request = move_task::MoveTaskRequest {
                mission: Some(mission.slug.clone()),
                wp_id: "WP01".into(),
                to: "planned".into(),
                review_feedback_file: Some(feedback.clone()),
                ..Default::default()
            };
            let (project, clock) = (mission.world.project(), &mission.world.clock);
            let moved =
                move_task::plan(&project, &request, clock).unwrap().apply(&project, None, clock).unwrap();
            let pointer = moved.review_feedback.unwrap();
            assert!(pointer.ends_with(&format!("/review-cycle-{number}.md")), "{pointer}");
            let name = pointer.rsplit('/').take(2).collect::<Vec<_>>();
            let cycle = mission.on_branch(&format!("tasks/{}/{}", name[1], name[0]));
            assert!(cycle.contains("**Issue**: no") && cycle.contains("verdict: rejected"), "{cycle}");
        }
        let in_worktrees = |path: &Path| path.components().any(|part| part.as_os_str() == ".worktrees");
        let mut after = mission.world.state().0;
        after.retain(|path, _| !in_worktrees(path) || before.contains_key(path));
        after.iter_mut().filter(|(path, _)| in_worktrees(path)).for_each(|(path, bytes)| {
            *bytes = before[path].clone();
        });
        assert_eq!(after, before, "the checkout is as it was");
        for directory in worktree.iter() {
            assert_eq!(git(directory, &["status", "--porcelain"]), "");
        }
    }
}

#[test]
fn materialize_restores_status_json_on_the_branch() {
    let mission = Coordinated::new();
    let clock = &mission.world.clock;
    let before = mission.tip();
    materialize(&mission.world.project(), Some(&mission.slug), clock).unwrap();
    assert_eq!(mission.tip(), before, "it is as it should be");
    let worktree = mission.worktree();
    std::fs::write(worktree.join(format!("kitty-specs/{}/status.json", mission.slug)), "{}").unwrap();
    git(&worktree, &["commit", "--quiet", "--all", "-m", "stale"]);
    mission.world.git(["worktree", "remove", worktree.to_str().unwrap()]);
    let document = materialize(&mission.world.project(), Some(&mission.slug), clock).unwrap().document;
    assert_eq!(serde_json::from_str::<Value>(&mission.on_branch("status.json")).unwrap(), document);
    assert_eq!(mission.subjects()[0], "chore(spec-kitty): status snapshot");
}

#[test]
fn rows_of_the_branch_are_captured_and_prove_their_capture() {
    let mission = Coordinated::new();
    let log = mission.directory().join("status.events.jsonl");
    let emitted = mission
        .world
        .captured(|outgoing| mission.world.emit(&to(&mission.slug, "claimed"), Some(outgoing)))
        .unwrap();
    let id = emitted.event_id.unwrap();
    assert!(mission.world.events().iter().any(|event| event["event_id"] == id.as_str()));
    // The witness names the log of the checkout; the row is on the branch, or in its worktree and not committed.
    let holds = |id: &str| {
        let logs = read_elsewhere(&log);
        logs.iter().any(|bytes| String::from_utf8_lossy(bytes).contains(id))
    };
    assert!(
        !std::fs::read_to_string(&log).unwrap().contains(&id) && holds(&id) && !holds("01KZNEVERWRITTEN")
    );
    let worktree = mission.worktree();
    assert!(holds(&id));
    let file = worktree.join(format!("kitty-specs/{}/status.events.jsonl", mission.slug));
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}{{\"event_id\": \"01KZUNCOMMITTED\", \"kind\": \"new\"}}\n"))
        .unwrap();
    assert!(holds("01KZUNCOMMITTED"));
    assert!(read_elsewhere(Path::new("/nowhere/kitty-specs/m/status.events.jsonl")).is_empty());
    // The history holds the rows of both.
    let request = capture_history::HistoryRequest { mission: mission.slug.clone() };
    let plan = capture_history::plan(&mission.world.project(), &request, &mission.world.clock).unwrap();
    let history = plan.outcome();
    assert!(history.ids.contains(&id), "{history:?}");
    assert!(
        history.events["WPCreated"] == 2 && history.events["WPStatusChanged"] >= 1,
        "{:?}",
        history.events
    );
}

#[cfg(unix)]
#[test]
fn failed_commit_in_the_checkout_undoes_that_on_the_branch() {
    for checked_out in [false, true] {
        let mission = Coordinated::new();
        let worktree = checked_out.then(|| mission.worktree());
        let (state, tip) = (mission.world.state(), mission.tip());
        std::fs::write(
            mission.directory().join("tasks/WP03-third.md"),
            super::super::world::wp_file("WP03", "Third", "src/c.rs"),
        )
        .unwrap();
        let tasks = mission.world.read(mission.directory().join("tasks.md"));
        mission.world.write(
            mission.directory().join("tasks.md"),
            &format!("{tasks}\n## WP03 - Third\n- [ ] T003 c\n"),
        );
        let before = mission.world.state();
        assert_ne!(state, before);
        // Only the checkout's commit fails.
        refuse_commits_on_main(&mission.world.root);
        let error = finalize(&mission.world, &mission.slug).unwrap_err();
        assert_eq!(error.code(), ErrorCode::GitCommitFailed, "{error}");
        assert_eq!((mission.tip(), mission.world.state()), (tip, before));
        if let Some(worktree) = worktree {
            assert_eq!(git(&worktree, &["status", "--porcelain"]), "");
        }
    }
}

#[cfg(unix)]
fn refuse_commits_on_main(root: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let path = root.join(".git/hooks/pre-commit");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "#!/bin/sh\n[ \"$(git symbolic-ref --short HEAD)\" != main ]\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn review_cycle_beside_the_rows_is_captured_with_its_text() {
    for checked_out in [false, true] {
        let mission = Coordinated::new();
        let (world, clock) = (&mission.world, &mission.world.clock);
        if checked_out {
            mission.worktree();
        }
        world.emit(&to(&mission.slug, "claimed"), None).unwrap();
        world.write("feedback.md", "it stops at one\n");
        let project = world.project();
        let request = move_task::MoveTaskRequest {
            mission: Some(mission.slug.clone()),
            wp_id: "WP01".into(),
            to: "planned".into(),
            review_feedback_file: Some(world.root.join("feedback.md")),
            ..Default::default()
        };
        world.captured(|outgoing| {
            move_task::plan(&project, &request, clock)
                .unwrap()
                .apply(&project, Some(outgoing), clock)
                .unwrap()
        });
        let name = "tasks/WP01-first/review-cycle-1.md";
        assert!(!mission.directory().join(name).exists(), "it is on the branch");
        let cycles = || world.bodies().into_iter().filter(|body| body == name).count();
        assert_eq!(cycles(), 1, "{:?}", world.bodies());
        let is_indexed = |event: &Value| event["payload"]["artifact_id"]["path"] == name;
        assert!(world.events().iter().any(is_indexed));
        // The witness names the checkout's path; the file is on the branch, or in its worktree.
        let found = read_elsewhere(&mission.directory().join(name));
        assert_eq!(found, [mission.on_branch(name).into_bytes()]);
        // It has not changed, so nothing of it is captured again.
        world.captured(|outgoing| world.emit(&to(&mission.slug, "claimed"), Some(outgoing)).unwrap());
        assert_eq!(cycles(), 1);
        let request = capture_history::HistoryRequest { mission: mission.slug.clone() };
        let plan = capture_history::plan(&project, &request, clock).unwrap();
        let documents = plan.outcome().documents;
        std::fs::create_dir_all(mission.directory().join("tasks/WP01-first")).unwrap();
        std::fs::write(mission.directory().join(name), "the checkout decides").unwrap();
        let plan = capture_history::plan(&project, &request, clock).unwrap();
        assert_eq!(plan.outcome().documents, documents, "it counts once");
    }
}
