//! The reading commands that agents call: the board, the context of an action, the branches, the judgement of a log.

use super::emit::to;
use super::finalize::{finalize, with_tasks};
use super::world::World;
use mission::Clock;
use mission::command::action_context::{ActionContext, ContextRequest, resolve};
use mission::command::branch::advise;
use mission::command::move_task;
use mission::command::task_board::{STALE_AFTER, TaskBoard, look};
use mission::command::validate_log::{ValidatedLog, validate};
use mission::{ErrorCode, MissionError};
use serde_json::{Value, json};

/// A finalized mission with two work packages, each in a lane of its own.
struct Ready {
    world: World,
    slug: String,
}

impl Ready {
    fn new() -> Self {
        let world = World::new();
        let slug = with_tasks(&world);
        finalize(&world, &slug).unwrap();
        Self { world, slug }
    }

    fn at(&self, name: &str) -> String {
        format!("kitty-specs/{}/{name}", self.slug)
    }

    fn board(&self, clock: &Clock) -> TaskBoard {
        look(&self.world.project(), Some(&self.slug), STALE_AFTER, clock).unwrap()
    }

    fn force(&self, lane: &str) {
        let request = mission::command::emit::EmitRequest {
            force: true,
            reason: Some("test".into()),
            ..to(&self.slug, lane)
        };
        self.world.emit(&request, None).unwrap();
    }

    fn context(&self, action: &str, wp_id: Option<&str>) -> Result<ActionContext, MissionError> {
        let request = ContextRequest {
            action: action.into(),
            mission: Some(self.slug.clone()),
            wp_id: wp_id.map(str::to_owned),
            agent: Some("ada l".into()),
        };
        resolve(&self.world.project(), &request)
    }

    fn judged(&self) -> ValidatedLog {
        validate(&self.world.project(), Some(&self.slug)).unwrap()
    }

    /// Adds a worktree for the lane of WP01, with one commit of the given time.
    fn work(&self, at: &str) {
        let context = self.context("implement", Some("WP01")).unwrap();
        let (path, branch) = (context.workspace_path.unwrap(), context.branch_name.unwrap());
        self.world.git(["worktree", "add", "--quiet", "-b", &branch, &path]);
        std::fs::write(format!("{path}/work"), "").unwrap();
        for words in [&["add", "work"][..], &["commit", "--quiet", "-m", "work"]] {
            let done = std::process::Command::new("git")
                .args(words)
                .current_dir(&path)
                .env("GIT_COMMITTER_DATE", at)
                .status()
                .unwrap();
            assert!(done.success());
        }
    }
}

fn clock(at: &str) -> Clock {
    Clock::fixed_at(at.parse().unwrap())
}

#[test]
fn board_counts_lanes_and_weighs_them() {
    let ready = Ready::new();
    ready.force("done");
    let before = ready.world.state();
    let board = serde_json::to_value(ready.board(&Clock::system())).unwrap();
    assert_eq!(ready.world.state(), before);
    assert_eq!(board["by_lane"], json!({ "planned": 1, "done": 1 }));
    assert_eq!((&board["weighted_percentage"], &board["done_percentage"]), (&json!(50.0), &json!(50.0)));
    assert_eq!((&board["total_wps"], &board["done_count"]), (&json!(2), &json!(1)));
    let first = &board["work_packages"][0];
    for (key, value) in [
        ("id", json!("WP01")),
        ("lane", json!("done")),
        ("phase", json!("Unknown Phase")),
        ("agent", json!("")),
        ("shell_pid_created_at", Value::Null),
        ("execution_mode", json!("code_change")),
        ("workspace_kind", json!("lane_workspace")),
    ] {
        assert_eq!(first[key], value, "{key}");
    }
    assert_eq!(first.get("stale"), None, "only work in progress can be stale");
}

#[test]
fn stale_work_is_reported_and_fresh_work_is_not() {
    let ready = Ready::new();
    ready.force("in_progress");
    let activity = |at: &str| ready.board(&clock(at)).work_packages[0].activity.clone().unwrap();
    let none = activity("2026-08-01T10:00:00Z");
    assert_eq!((none.stale.status, none.is_stale, none.worktree_exists), ("fresh", false, false));
    ready.work("2026-08-01T10:00:00Z");
    let fresh = activity("2026-08-01T10:09:00Z");
    assert_eq!((fresh.is_stale, fresh.minutes_since_commit), (false, Some(9.0)));
    let board = ready.board(&clock("2026-08-01T10:42:30Z"));
    let stale = serde_json::to_value(&board.work_packages[0]).unwrap();
    assert_eq!((board.stale_wps, &stale["is_stale"]), (1, &json!(true)));
    assert_eq!((&stale["minutes_since_commit"], &stale["stale"]["status"]), (&json!(42.5), &json!("stale")));
    assert_eq!(stale["worktree_exists"], true);
}

#[test]
fn work_claimed_by_a_living_process_is_never_stale() {
    let ready = Ready::new();
    ready.force("in_progress");
    ready.work("2026-08-01T10:00:00Z");
    let pid = format!("---\nshell_pid: {}\n", std::process::id());
    let name = std::fs::read_dir(ready.world.root.join(ready.at("tasks")))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .find(|name| name.starts_with("WP01"))
        .unwrap();
    let file = ready.at(&format!("tasks/{name}"));
    let text = ready.world.read(&file);
    ready.world.write(&file, &text.replacen("---\n", &pid, 1));
    let board = ready.board(&clock("2026-08-01T12:00:00Z"));
    let activity = board.work_packages[0].activity.as_ref().unwrap();
    assert_eq!((board.stale_wps, activity.stale.reason), (0, Some("live_claim_process")));
}

#[test]
fn review_is_stalled_after_the_minutes_of_the_configuration() {
    let ready = Ready::new();
    ready.force("in_review");
    let stalled = |minutes: i64| {
        let now = Clock::system().now().plus_micros(minutes * 60_000_000);
        ready.board(&Clock::fixed_at(now.0)).stalled_wps
    };
    assert_eq!(stalled(29), []);
    assert_eq!(stalled(45)[0].threshold_minutes, 30);
    ready.world.write(".kittify/config.yaml", "review:\n  stall_threshold_minutes: 5\n");
    assert_eq!((stalled(29)[0].wp_id.as_str(), stalled(29)[0].threshold_minutes), ("WP01", 5));
}

#[test]
fn damage_is_told_beside_the_board() {
    let ready = Ready::new();
    ready.force("done");
    let log = ready.at("status.events.jsonl");
    let rows = ready.world.read(&log);
    ready.world.write(&log, &format!("{rows}{{\"torn\n"));
    ready.world.write(ready.at("lanes.json"), "{");
    ready.world.write(ready.at("tasks/WP03-x.md"), "no front matter\n");
    let board = ready.board(&Clock::system());
    assert_eq!((board.total_wps, board.done_count), (3, 1));
    let warnings = board.warnings.join("\n");
    for part in ["status.events.jsonl line", "lanes.json", "WP03-x.md"] {
        assert!(warnings.contains(part), "{part}: {warnings}");
    }
    let context = ready.context("implement", Some("WP02")).unwrap();
    assert!(context.warnings.iter().any(|line| line.contains("WP02 has no lane yet")), "{context:?}");
}

#[test]
fn context_names_the_package_that_waits_for_the_action() {
    let ready = Ready::new();
    ready.force("for_review");
    let implement = ready.context("implement", None).unwrap();
    assert_eq!((implement.wp_id.as_deref(), implement.lane), (Some("WP02"), Some("planned")));
    let workflow = implement.commands["workflow"].as_str().unwrap();
    assert!(workflow.starts_with("spec-kitty agent action implement WP02 --agent 'ada l'"), "{workflow}");
    let review = ready.context("review", None).unwrap();
    assert_eq!((review.wp_id.as_deref(), review.commands.len()), (Some("WP01"), 3));
    let named = ready.context("review", Some("wp02-any-name")).unwrap();
    assert_eq!(named.wp_id.as_deref(), Some("WP02"));
    assert!(named.branch_name.unwrap().ends_with("-lane-b"));
    let planned = ready.context("plan", None).unwrap();
    assert_eq!((planned.wp_id, planned.commands.len(), planned.success), (None, 2, true));
    ready.force("done");
    for (action, wp_id) in [("review", None), ("implement", Some("WP09"))] {
        let error = ready.context(action, wp_id).unwrap_err();
        assert_eq!(error.code(), ErrorCode::WorkPackageNotFound, "{error}");
    }
}

#[test]
fn primary_branch_is_what_the_remote_has_checked_out() {
    let world = World::new();
    let advice = |world: &World, target| advise(&world.project(), target, &world.clock).unwrap();
    let first = advice(&world, None);
    assert_eq!((first.primary.as_str(), first.strategy()), ("main", "feature-branch"));
    world.git(["switch", "--quiet", "--create", "topic"]);
    let topic = serde_json::to_value(advice(&world, Some("release"))).unwrap();
    for (key, value) in [
        ("current_branch", json!("topic")),
        ("target_branch", json!("release")),
        ("target_branch_source", json!("cli_arg")),
        ("primary_branch", json!("main")),
        ("CURRENT_IS_PRIMARY", json!(false)),
        ("recommended_strategy", json!("stay")),
    ] {
        assert_eq!(topic[key], value, "{key}");
    }
    assert_eq!(topic["runtime_vars"]["primary_branch"], "main");
    assert_eq!(topic["branch_context"]["reason"], topic["branch_recommendation_reason"]);
    world.git(["update-ref", "refs/remotes/origin/trunk", "HEAD"]);
    world.git(["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk"]);
    assert_eq!(advice(&world, None).primary, "trunk");
    let error = advise(&world.project(), Some("--output=x"), &world.clock).unwrap_err().to_string();
    assert!(error.contains("`--output=x` is not") && error.contains("`git branch --list`"), "{error}");
    world.git(["checkout", "--quiet", "--detach"]);
    assert_eq!(advise(&world.project(), None, &world.clock).unwrap_err().code(), ErrorCode::DetachedHead);
}

#[test]
fn log_of_this_program_is_in_order_and_a_stale_status_is_not() {
    let ready = Ready::new();
    ready.world.emit(&to(&ready.slug, "claimed"), None).unwrap();
    let judged = ready.judged();
    assert!(judged.passed && judged.warnings.is_empty(), "{judged:?}");
    let status = ready.at("status.json");
    let text = ready.world.read(&status);
    ready.world.write(&status, &text.replace("\"lane\": \"claimed\"", "\"lane\": \"blocked\""));
    let judged = ready.judged();
    assert!(judged.errors[0].starts_with("WP01 is in "), "{judged:?}");
    std::fs::remove_file(ready.world.root.join(&status)).unwrap();
    assert!(ready.judged().errors[0].contains("status.json is missing"));
}

#[test]
fn every_fault_of_a_log_is_found_at_once() {
    let ready = Ready::new();
    ready.world.emit(&to(&ready.slug, "claimed"), None).unwrap();
    let log = ready.at("status.events.jsonl");
    let rows = ready.world.read(&log);
    let last = rows.lines().last().unwrap();
    let mut jump: Value = serde_json::from_str(last).unwrap();
    for (key, value) in
        [("event_id", "01KZ0000000000000000000009"), ("to_lane", "done"), ("from_lane", "claimed")]
    {
        jump[key] = json!(value);
    }
    ready
        .world
        .write(&log, &format!("{rows}{jump}\n<<<<<<< HEAD\n{{\"kind\": \"future\", \"event_id\": \"x\"}}\n"));
    let judged = ready.judged();
    let errors = judged.errors.join("\n");
    for part in
        ["is a conflict marker", "no move leads from `claimed` to `done`", "`evidence.review.reviewer`"]
    {
        assert!(errors.contains(part), "{part}: {errors}");
    }
    assert!(judged.warnings[0].contains("written by a newer version"), "{judged:?}");
    assert_eq!((judged.passed, judged.error_count), (false, judged.errors.len()));
}

#[test]
fn rows_that_cannot_be_checked_are_one_error_of_the_result() {
    let ready = Ready::new();
    let (log, meta) = (ready.at("status.events.jsonl"), ready.at("meta.json"));
    let (rows, text) = (ready.world.read(&log), ready.world.read(&meta));
    ready.world.write(&meta, &text.replacen('{', "{\n  \"coordination_branch\": \"--output=x\",", 1));
    for newer in ["", "{\"kind\": \"future\", \"event_id\": \"x\"}\n"] {
        ready.world.write(&log, &format!("{rows}{newer}"));
        let judged = ready.judged();
        let (errors, warnings) = (judged.errors.join("\n"), judged.warnings.join("\n"));
        assert_eq!((judged.passed, errors.matches("coordination_branch").count()), (false, 1), "{errors}");
        assert!(errors.starts_with("not all rows were checked: ") && errors.contains("by hand"), "{errors}");
        assert!(!warnings.contains("coordination_branch"), "{warnings}");
        assert_eq!(warnings.contains("written by a newer version"), !newer.is_empty(), "{warnings}");
    }
}

/// The words that a shell reads from a printed command, which it runs as arguments of `printf`.
#[cfg(unix)]
fn read_back(world: &World, line: &str) -> Vec<String> {
    let script = format!("printf '%s\\n' {line}");
    let out =
        std::process::Command::new("sh").args(["-c", &script]).current_dir(&world.root).output().unwrap();
    assert!(out.status.success() && !world.root.join("p").exists(), "{line}");
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[cfg(unix)]
#[test]
fn printed_commands_keep_a_hostile_mission_name_one_word() {
    for (hostile, last) in [
        ("x;touch p", ["--mission", "x;touch p"].as_slice()),
        ("x$(touch p)`touch p`'", &["--mission", "x$(touch p)`touch p`'"]),
        ("--json", &["--mission=--json"]),
    ] {
        let mut ready = Ready::new();
        ready.force("for_review");
        let missions = ready.world.root.join("kitty-specs");
        std::fs::rename(missions.join(&ready.slug), missions.join(hostile)).unwrap();
        hostile.clone_into(&mut ready.slug);
        let mut lines = Vec::new();
        for action in ["plan", "implement", "review"] {
            let context = ready.context(action, None).unwrap();
            lines.extend(context.commands.values().map(|line| line.as_str().unwrap().to_owned()));
        }
        assert_eq!(lines.len(), 6, "{lines:?}");
        std::fs::remove_file(ready.world.root.join(ready.at("status.json"))).unwrap();
        let unknown = ready.context("implement", Some("WP09")).unwrap_err().remedies()[0].to_string();
        for text in [&ready.judged().errors[0], &unknown] {
            let (start, end) = (text.find('`').unwrap() + 1, text.rfind('`').unwrap());
            lines.push(text[start..end].to_owned());
        }
        assert!(lines[7].starts_with("spec-kitty agent tasks status --mission"), "{lines:?}");
        for line in lines {
            let words = read_back(&ready.world, &line);
            assert!(
                words.ends_with(&last.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()),
                "{line}"
            );
        }
    }
}

#[test]
fn move_task_records_assignment_and_tickets() {
    let ready = Ready::new();
    let request = move_task::MoveTaskRequest {
        mission: Some(ready.slug.clone()),
        wp_id: "WP01".into(),
        to: "claimed".into(),
        model: Some("large".into()),
        profile: Some("reviewer".into()),
        tracker_refs: vec!["#12".into(), " JIRA-1".into()],
        ..Default::default()
    };
    let moved = |request: &move_task::MoveTaskRequest| {
        let (project, clock) = (ready.world.project(), &ready.world.clock);
        move_task::plan(&project, request, clock).unwrap().apply(&project, None, clock).unwrap()
    };
    // An rc11 mission has a place for the tickets alone.
    let first = moved(&request);
    assert!(first.warnings[0].contains("--model, --profile is not recorded"), "{:?}", first.warnings);
    let file = ready.world.read(ready.board(&Clock::system()).board.work_packages[0].path.as_ref().unwrap());
    assert!(file.contains("#12") && file.contains("JIRA-1"), "{file}");
    // A current mission has one for each.
    let meta = ready.at("meta.json");
    let text = ready.world.read(&meta);
    ready.world.write(&meta, &text.replacen('{', "{\n  \"topology\": \"single_branch\",", 1));
    assert!(
        moved(&move_task::MoveTaskRequest { to: "in_progress".into(), ..request.clone() })
            .warnings
            .is_empty()
    );
    let card = ready.board(&Clock::system()).work_packages.remove(0);
    assert_eq!((card.resolved_model.as_str(), card.resolved_agent_profile.as_str()), ("large", "reviewer"));
    let count = ready.world.log(&ready.slug).len();
    let again = move_task::MoveTaskRequest { to: "in_progress".into(), ..request };
    assert!(!moved(&again).changed && ready.world.log(&ready.slug).len() == count);
    let more = move_task::MoveTaskRequest { tracker_refs: vec!["#13".into()], ..again };
    assert!(moved(&more).changed);
    let blank = move_task::MoveTaskRequest { tracker_refs: vec![" ".into()], ..more };
    assert!(blank.check().unwrap_err().to_string().starts_with("--tracker-ref: "));
}

#[test]
fn log_that_changes_between_two_plans_is_read_again() {
    let ready = Ready::new();
    let log = ready.world.root.join(ready.at("status.events.jsonl"));
    // Old enough for the time of the next change to be another.
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    std::fs::File::options().write(true).open(&log).unwrap().set_modified(long_ago).unwrap();
    let (project, clock) = (ready.world.project(), &ready.world.clock);
    let request = to(&ready.slug, "claimed");
    let planned = mission::command::emit::plan(&project, &request, clock).unwrap();
    ready.world.emit(&request, None).unwrap();
    let emitted = planned.apply(&project, None, clock).unwrap();
    assert!(!emitted.changed, "the row of the other process counts");
    // Without such a change the log that was read is the one that is written behind.
    let next = to(&ready.slug, "in_progress");
    std::fs::File::options().write(true).open(&log).unwrap().set_modified(long_ago).unwrap();
    let planned = mission::command::emit::plan(&project, &next, clock).unwrap();
    assert!(planned.apply(&project, None, clock).unwrap().changed);
    assert_eq!(ready.world.log(&ready.slug).iter().filter(|row| row["to_lane"] == "in_progress").count(), 1);
}

#[test]
fn log_with_rows_of_both_dialects_is_read_and_written_as_current() {
    let ready = Ready::new();
    let log = ready.at("status.events.jsonl");
    let rows = ready.world.read(&log);
    assert!(rows.contains(r#""from_lane": "planned""#) && !rows.contains("genesis"), "{rows}");
    // Another release continues the mission: a package of its own, and a subtask.
    let seed = json!({
        "actor": "finalize-tasks", "at": "2026-08-01T10:00:00+00:00", "event_id": "01KZ0000000000000000000001",
        "execution_mode": "worktree", "force": false, "from_lane": "genesis", "mission_slug": ready.slug,
        "to_lane": "planned", "wp_id": "WP03",
    });
    let tick = json!({
        "actor": "ada", "at": "2026-08-01T10:00:01+00:00", "delta": {"agent": "ada", "subtasks": {"T001": "done"}},
        "event_id": "01KZ0000000000000000000002", "kind": "annotation", "wp_id": "WP01",
    });
    ready.world.write(&log, &format!("{rows}{seed}\n{tick}\n"));
    let board = ready.board(&Clock::system());
    assert_eq!((board.warnings.as_slice(), board.work_packages[0].agent.as_str()), (&[][..], "ada"));
    let lanes: Vec<_> = board.board.work_packages.iter().map(|card| card.lane.name()).collect();
    assert_eq!(lanes, ["planned", "planned", "planned"]);
    let request = move_task::MoveTaskRequest {
        mission: Some(ready.slug.clone()),
        wp_id: "WP01".into(),
        to: "claimed".into(),
        note: Some("mine".into()),
        ..Default::default()
    };
    let (project, clock) = (ready.world.project(), &ready.world.clock);
    move_task::plan(&project, &request, clock).unwrap().apply(&project, None, clock).unwrap();
    let last = ready.world.log(&ready.slug).pop().unwrap();
    assert_eq!((&last["kind"], &last["delta"]["note"]), (&json!("annotation"), &json!("mine")));
    assert_eq!(ready.board(&Clock::system()).work_packages[0].lane.name(), "claimed");
}
