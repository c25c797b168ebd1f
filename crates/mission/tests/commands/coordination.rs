//! Missions that keep their lane rows on a coordination branch.

use super::emit::to;
use super::finalize::{finalize, with_tasks};
use super::world::World;
use mission::command::repair_log::repair_log;
use mission::command::status::{Board, list, materialize, show};
use mission::command::validate_log::validate;
use mission::command::{capture_history, mark_status, move_task};
use mission::mission_log::read_logs_elsewhere;
use mission::{ErrorCode, MissionError, Project};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A finalized mission whose lane rows are on its coordination branch, which nothing has checked out.
struct Coordinated {
    world: World,
    slug: String,
    branch: String,
}

impl Coordinated {
    fn new() -> Self {
        let world = World::new();
        let slug = with_tasks(&world);
        let mission = Self { branch: format!("kitty/mission-{slug}"), slug, world };
        mission.world.git(["branch", &mission.branch, "HEAD~1"]);
        mission.set_meta("coordination_branch", json!(mission.branch));
        mission.set_meta("topology", json!("coord"));
        mission.world.git(["add", "--all"]);
        mission.world.git(["commit", "--quiet", "-m", "documents"]);
        finalize(&mission.world, &mission.slug).unwrap();
        mission
    }

    fn set_meta(&self, key: &str, value: Value) {
        set_meta(&self.directory(), key, value);
    }

    fn directory(&self) -> PathBuf {
        self.world.root.join("kitty-specs").join(&self.slug)
    }

    /// Checks the branch out, as 3.2.7 does.
    fn worktree(&self) -> PathBuf {
        let path = self.world.root.join(format!(".worktrees/{}-coord", self.slug));
        self.world.git(["worktree", "add", "--quiet", path.to_str().unwrap(), &self.branch]);
        path
    }

    fn on_branch(&self, name: &str) -> String {
        self.world.git(["show", &format!("{}:kitty-specs/{}/{name}", self.branch, self.slug)])
    }

    fn subjects(&self) -> Vec<String> {
        self.world.git(["log", "--format=%s", &self.branch]).lines().map(str::to_owned).collect()
    }

    fn tip(&self) -> String {
        self.world.git(["rev-parse", &self.branch]).trim().to_owned()
    }

    fn lanes(&self) -> String {
        lanes(&board(&self.world.root, &self.slug))
    }

    /// A clone that has its own remote-tracking branches.
    fn clone_to(&self, name: &str) -> PathBuf {
        let path = self.world.root.with_file_name(name);
        git(&self.world.root, &["clone", "--quiet", ".", path.to_str().unwrap()]);
        configure(&path);
        path
    }

    /// An error of `emit`, and proof that it changed nothing.
    fn refused(&self) -> MissionError {
        let before = (self.world.state(), self.world.git(["for-each-ref"]));
        let error = self.world.emit(&to(&self.slug, "claimed"), None).unwrap_err();
        assert!(before == (self.world.state(), self.world.git(["for-each-ref"])));
        error
    }
}

fn set_meta(directory: &Path, key: &str, value: Value) {
    let path = directory.join("meta.json");
    let mut meta: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    match value {
        Value::Null => drop(meta.as_object_mut().unwrap().remove(key)),
        value => meta[key] = value,
    }
    std::fs::write(path, serde_json::to_string_pretty(&meta).unwrap()).unwrap();
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let out = Command::new("git").args(arguments).current_dir(directory).output().unwrap();
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn configure(directory: &Path) {
    git(directory, &["config", "user.name", "Dev"]);
    git(directory, &["config", "user.email", "dev@example.com"]);
}

fn board(root: &Path, slug: &str) -> Board {
    show(&Project::read(root).unwrap(), Some(slug)).unwrap().missions.remove(0)
}

fn lanes(board: &Board) -> String {
    board.work_packages.iter().map(|card| card.lane.name()).collect::<Vec<_>>().join(" ")
}

fn emit_in(
    world: &World,
    root: &Path,
    slug: &str,
    lane: &str,
) -> Result<mission::command::emit::Emitted, MissionError> {
    let project = Project::read(root).unwrap();
    mission::command::emit::plan(&project, &to(slug, lane), &world.clock)?.apply(&project, None, &world.clock)
}

fn event_types(text: &str) -> Vec<bool> {
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap().get("event_type").is_some())
        .collect()
}

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
fn fresh_clone_shows_the_board_and_writing_makes_the_branch() {
    let mission = Coordinated::new();
    mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
    let clone = mission.clone_to("clone");
    let shown = board(&clone, &mission.slug);
    assert_eq!((lanes(&shown).as_str(), shown.warnings.as_slice()), ("claimed planned", &[][..]));
    assert_eq!(git(&clone, &["branch", "--list", &mission.branch]), "");
    emit_in(&mission.world, &clone, &mission.slug, "in_progress").unwrap();
    assert_eq!(lanes(&board(&clone, &mission.slug)), "in_progress planned");
    let upstream = git(&clone, &["rev-parse", "--abbrev-ref", &format!("{}@{{upstream}}", mission.branch)]);
    assert_eq!(upstream.trim(), format!("origin/{}", mission.branch));
    assert_eq!(
        git(&clone, &["rev-list", "--count", &format!("origin/{0}..{0}", mission.branch)]).trim(),
        "1"
    );
    // Nothing is pushed.
    assert_eq!(mission.lanes(), "claimed planned");
}

#[test]
fn shallow_clone_of_all_branches_is_read_of_one_is_reported() {
    let mission = Coordinated::new();
    let source = format!("file://{}", mission.world.root.display());
    for (name, all) in [("all", true), ("one", false)] {
        let path = mission.world.root.with_file_name(name);
        let mut arguments = vec!["clone", "--quiet", "--depth", "1", &source, path.to_str().unwrap()];
        arguments.extend(all.then_some("--no-single-branch"));
        git(&mission.world.root, &arguments);
        let shown = board(&path, &mission.slug);
        let expected = if all { "planned planned" } else { "unknown unknown" };
        assert_eq!((lanes(&shown).as_str(), shown.warnings.is_empty()), (expected, all));
    }
}

/// A clone with two remotes whose coordination branches differ, and no local one.
fn diverged() -> (Coordinated, PathBuf) {
    let mission = Coordinated::new();
    let (clone, fork) = (mission.clone_to("clone"), mission.clone_to("fork"));
    emit_in(&mission.world, &fork, &mission.slug, "claimed").unwrap();
    let wp2 = mission::command::emit::EmitRequest { wp_id: "WP02".into(), ..to(&mission.slug, "blocked") };
    mission.world.emit(&wp2, None).unwrap();
    git(&clone, &["remote", "add", "fork", fork.to_str().unwrap()]);
    git(&clone, &["fetch", "--quiet", "--all"]);
    (mission, clone)
}

#[test]
fn differing_remotes_are_read_and_not_written_until_chosen() {
    let (mission, clone) = diverged();
    let shown = board(&clone, &mission.slug);
    assert_eq!(lanes(&shown), "claimed blocked");
    assert!(shown.warnings[0].contains("differ: fork/kitty/mission-"), "{:?}", shown.warnings);
    let error = emit_in(&mission.world, &clone, &mission.slug, "in_progress").unwrap_err();
    assert_eq!(error.code(), ErrorCode::CoordinationBranchDiverged);
    // The remedy, followed.
    let remedy = error.remedies()[0].to_string();
    let command = remedy.split('`').nth(1).unwrap();
    let arguments: Vec<&str> = command.split(' ').skip(1).collect();
    git(&clone, &arguments);
    emit_in(&mission.world, &clone, &mission.slug, "in_progress").unwrap();
}

#[test]
fn remotes_that_agree_are_one() {
    let mission = Coordinated::new();
    let clone = mission.clone_to("clone");
    git(&clone, &["remote", "add", "team/ada", mission.world.root.to_str().unwrap()]);
    git(&clone, &["fetch", "--quiet", "--all"]);
    emit_in(&mission.world, &clone, &mission.slug, "claimed").unwrap();
    assert_eq!(lanes(&board(&clone, &mission.slug)), "claimed planned");
}

/// A mission whose branch is lost; one package moved in the checkout's log.
fn lost() -> (Coordinated, MissionError) {
    let mission = Coordinated::new();
    let rows = mission.on_branch("status.events.jsonl");
    let log = format!("kitty-specs/{}/status.events.jsonl", mission.slug);
    let facts = mission.world.read(&log);
    mission.world.write(&log, &format!("{facts}{}\n", rows.lines().next().unwrap()));
    mission.world.git(["branch", "-D", &mission.branch]);
    let error = mission.refused();
    assert_eq!(error.code(), ErrorCode::CoordinationBranchMissing);
    (mission, error)
}

#[test]
fn missing_branch_is_reported_and_its_packages_are_unknown() {
    let (mission, error) = lost();
    let shown = board(&mission.world.root, &mission.slug);
    assert_eq!((lanes(&shown).as_str(), &shown.summary["unknown"]), ("planned unknown", &json!(1)));
    let warning = &shown.warnings[0];
    assert!(
        warning.starts_with("lane rows may be missing: ") && warning.contains(&error.to_string()),
        "{warning}"
    );
    for remedy in error.remedies() {
        assert!(warning.contains(&remedy.to_string()), "{warning}");
    }
    let listed = list(&mission.world.project(), Some(&mission.slug), None).unwrap();
    assert_eq!((listed.tasks[1].lane.name(), listed.warnings[0].as_str()), ("unknown", warning.as_str()));
    // Every command that writes on top of the log.
    let (project, clock) = (mission.world.project(), &mission.world.clock);
    assert!(materialize(&project, Some(&mission.slug), clock).is_err());
    assert!(finalize(&mission.world, &mission.slug).is_err());
    let ticked = mark_status::MarkStatusRequest {
        mission: Some(mission.slug.clone()),
        ids: vec!["T001".into()],
        status: "done".into(),
        commit: None,
    };
    assert!(mark_status::plan(&project, &ticked, clock).is_err());
}

#[test]
fn recreated_branch_is_written_again() {
    let (mission, error) = lost();
    let remedy = error.remedies()[0].to_string();
    let command = remedy.split('`').find(|part| part.starts_with("git branch ")).unwrap().to_owned();
    mission.world.git(command.split(' ').skip(1));
    mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
    assert!(mission.on_branch("status.events.jsonl").contains("\"claimed\""));
}

#[test]
fn branch_that_a_remote_has_is_fetched_again() {
    let mission = Coordinated::new();
    mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
    let clone = mission.world.root.with_file_name("one");
    let source = format!("file://{}", mission.world.root.display());
    git(&mission.world.root, &["clone", "--quiet", "--single-branch", &source, clone.to_str().unwrap()]);
    configure(&clone);
    let error = emit_in(&mission.world, &clone, &mission.slug, "in_progress").unwrap_err();
    let remedy = error.remedies()[0].to_string();
    let command =
        remedy.split('`').find(|part| part.starts_with("git fetch ")).unwrap().replace("REMOTE", "origin");
    git(&clone, &command.split(' ').skip(1).collect::<Vec<_>>());
    assert_eq!(
        emit_in(&mission.world, &clone, &mission.slug, "in_progress").unwrap().from_lane.name(),
        "claimed"
    );
}

#[test]
fn mission_without_the_key_is_written_in_the_checkout() {
    let (mission, error) = lost();
    let remedy = error.remedies()[1].to_string();
    assert!(
        remedy.contains("remove the key `coordination_branch` from ") && remedy.contains("meta.json"),
        "{remedy}"
    );
    mission.set_meta("coordination_branch", Value::Null);
    mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
    assert_eq!(mission.lanes(), "claimed planned");
}

#[test]
fn leftover_worktree_of_a_flattened_mission_is_ignored() {
    for (key, value) in
        [("flattened", json!(true)), ("topology", json!("lanes")), ("topology", json!("single_branch"))]
    {
        let mission = Coordinated::new();
        mission.worktree();
        mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
        let tip = mission.tip();
        mission.set_meta(key, value);
        assert_eq!(mission.lanes(), "planned planned");
        finalize(&mission.world, &mission.slug).unwrap();
        mission.world.emit(&to(&mission.slug, "blocked"), None).unwrap();
        assert_eq!((mission.lanes().as_str(), mission.tip()), ("blocked planned", tip));
    }
}

#[test]
fn worktree_of_another_mission_in_the_usual_place_is_not_used() {
    let mission = Coordinated::new();
    mission.world.git(["branch", "kitty/mission-other", "main"]);
    let path = mission.world.root.join(format!(".worktrees/{}-coord", mission.slug));
    mission.world.git(["worktree", "add", "--quiet", path.to_str().unwrap(), "kitty/mission-other"]);
    mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
    assert_eq!(git(&path, &["status", "--porcelain"]), "");
    assert_eq!(mission.subjects()[0], "chore(spec-kitty): status transition WP01");
    assert_eq!(mission.lanes(), "claimed planned");
}

#[test]
fn name_that_is_no_branch_is_reported_and_refused() {
    let mission = Coordinated::new();
    mission.set_meta("coordination_branch", json!("--output=x"));
    let error = mission.refused().to_string();
    assert!(error.contains("meta.json: key `coordination_branch` is not the name of a branch"), "{error}");
    let shown = board(&mission.world.root, &mission.slug);
    assert!(shown.warnings[0].contains("coordination_branch"), "{:?}", shown.warnings);
    assert_eq!(lanes(&shown), "unknown unknown");
}

#[test]
fn remedies_quote_the_name_of_the_branch() {
    let mission = Coordinated::new();
    mission.set_meta("coordination_branch", json!("x;touch${IFS}p"));
    let remedy = mission.refused().remedies()[0].to_string();
    for command in ["`git branch 'x;touch${IFS}p'`", "`git fetch REMOTE 'x;touch${IFS}p:x;touch${IFS}p'`"] {
        assert!(remedy.contains(command), "{remedy}");
    }
}

#[cfg(unix)]
#[test]
fn links_on_the_branch_and_in_the_worktree_are_not_followed() {
    use std::os::unix::fs::symlink;
    let mission = Coordinated::new();
    let worktree = mission.worktree();
    let directory = worktree.join("kitty-specs").join(&mission.slug);
    let log = directory.join("status.events.jsonl");
    std::fs::remove_file(&log).unwrap();
    symlink("status.events.jsonl", &log).unwrap();
    assert!(mission.refused().to_string().contains("is a symbolic link"));
    git(&worktree, &["commit", "--quiet", "--all", "-m", "a link to itself"]);
    mission.world.git(["worktree", "remove", "--force", worktree.to_str().unwrap()]);
    assert!(mission.refused().to_string().contains("is a symbolic link there"));
    assert!(board(&mission.world.root, &mission.slug).warnings[0].contains("symbolic link"));
    // A directory that links to itself.
    let worktree = mission.worktree();
    std::fs::remove_dir_all(&directory).unwrap();
    symlink(&directory, &directory).unwrap();
    assert!(mission.refused().to_string().contains("is a symbolic link"));
    git(&worktree, &["add", "--all"]);
    git(&worktree, &["commit", "--quiet", "-m", "a directory that is a link"]);
    mission.world.git(["worktree", "remove", "--force", worktree.to_str().unwrap()]);
    assert_eq!(mission.lanes(), "unknown unknown");
    assert!(mission.refused().to_string().contains("which is a symbolic link or a file, not a directory"));
}

#[test]
fn repository_without_a_commit_is_read() {
    let world = World::new();
    let root = world.root.with_file_name("empty");
    let directory = root.join("kitty-specs/m");
    std::fs::create_dir_all(root.join(".kittify")).unwrap();
    std::fs::create_dir_all(directory.join("tasks")).unwrap();
    git(&root, &["init", "--quiet"]);
    std::fs::write(directory.join("meta.json"), "{\"coordination_branch\": \"kitty/m\"}").unwrap();
    std::fs::write(directory.join("tasks/WP01-a.md"), "---\nwork_package_id: WP01\ntitle: A\n---\n").unwrap();
    assert_eq!(lanes(&board(&root, "m")), "unknown");
    let error = emit_in(&world, &root, "m", "claimed").unwrap_err();
    assert_eq!(error.code(), ErrorCode::CoordinationBranchMissing);
}

#[test]
fn differing_rows_of_one_id_are_reported() {
    let mission = Coordinated::new();
    let row = mission
        .on_branch("status.events.jsonl")
        .lines()
        .next()
        .unwrap()
        .replace("finalize-tasks", "intruder");
    let log = format!("kitty-specs/{}/status.events.jsonl", mission.slug);
    let facts = mission.world.read(&log);
    mission.world.write(&log, &format!("{facts}{row}\n"));
    let shown = board(&mission.world.root, &mission.slug);
    assert!(shown.warnings[0].contains("1 rows of the same id that differ"), "{:?}", shown.warnings);
    assert_eq!(shown.work_packages[0].actor.as_deref(), Some("finalize-tasks"));
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
fn status_of_the_branch_is_judged_where_it_is() {
    for checked_out in [false, true] {
        let mission = Coordinated::new();
        mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
        let judge = || validate(&mission.world.project(), Some(&mission.slug)).unwrap();
        assert!(judge().passed, "{:?}", judge());
        let worktree = mission.worktree();
        std::fs::write(worktree.join(format!("kitty-specs/{}/status.json", mission.slug)), "{}").unwrap();
        git(&worktree, &["commit", "--quiet", "--all", "-m", "stale"]);
        if !checked_out {
            mission.world.git(["worktree", "remove", worktree.to_str().unwrap()]);
        }
        assert!(judge().errors.join(" ").contains("WP01 is missing in status.json"), "{:?}", judge());
    }
    let (mission, _) = lost();
    let judged = validate(&mission.world.project(), Some(&mission.slug)).unwrap();
    assert!(judged.passed && judged.warnings[0].contains("lane rows may be missing"), "{judged:?}");
}

#[test]
fn damaged_log_of_the_branch_is_shown_refused_and_repaired() {
    for checked_out in [false, true] {
        let mission = Coordinated::new();
        let worktree = mission.worktree();
        let log = worktree.join(format!("kitty-specs/{}/status.events.jsonl", mission.slug));
        let rows = std::fs::read_to_string(&log).unwrap();
        std::fs::write(&log, format!("{rows}<<<<<<< HEAD\n")).unwrap();
        git(&worktree, &["commit", "--quiet", "--all", "-m", "damage"]);
        if !checked_out {
            mission.world.git(["worktree", "remove", worktree.to_str().unwrap()]);
        }
        let shown = board(&mission.world.root, &mission.slug);
        assert_eq!(lanes(&shown), "planned planned");
        assert!(shown.warnings[0].contains("line 3: is a conflict marker"), "{:?}", shown.warnings);
        assert_eq!(mission.refused().code(), ErrorCode::LogDamaged);
        let (project, clock) = (mission.world.project(), &mission.world.clock);
        let repaired = repair_log(&project, Some(&mission.slug), clock).unwrap();
        assert_eq!(repaired.result, "nothing_to_repair", "the checkout's log is whole");
        let repaired = repaired.coordination.unwrap();
        assert_eq!((repaired.result, repaired.kept, repaired.moved.len()), ("repaired", 2, 1));
        assert_eq!(mission.on_branch("status.events.jsonl"), rows);
        let aside = repaired.moved_to.unwrap();
        let name = aside.rsplit('/').next().unwrap();
        assert_eq!(mission.on_branch(name), "<<<<<<< HEAD\n");
        assert_eq!(mission.subjects()[0], "chore(spec-kitty): status log repaired");
        mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
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
    let (document, _) = materialize(&mission.world.project(), Some(&mission.slug), clock).unwrap();
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
        let logs = read_logs_elsewhere(&log);
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
    assert!(read_logs_elsewhere(Path::new("/nowhere/kitty-specs/m/status.events.jsonl")).is_empty());
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
            super::world::wp_file("WP03", "Third", "src/c.rs"),
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
fn log_of_200_000_rows_is_read_from_the_branch() {
    let mission = Coordinated::new();
    let worktree = mission.worktree();
    let log = worktree.join(format!("kitty-specs/{}/status.events.jsonl", mission.slug));
    let first = std::fs::read_to_string(&log).unwrap().lines().next().unwrap().to_owned();
    let id = serde_json::from_str::<Value>(&first).unwrap()["event_id"].as_str().unwrap().to_owned();
    let mut text = String::with_capacity(200_000 * (first.len() + 1));
    for row in 0..200_000 {
        text.push_str(&first.replace(&id, &format!("01KZ{row:022}")));
        text.push('\n');
    }
    std::fs::write(&log, text).unwrap();
    git(&worktree, &["commit", "--quiet", "--all", "-m", "long"]);
    mission.world.git(["worktree", "remove", worktree.to_str().unwrap()]);
    let (document, _) =
        materialize(&mission.world.project(), Some(&mission.slug), &mission.world.clock).unwrap();
    assert_eq!(document["event_count"], 200_000);
}

#[test]
fn listing_of_many_missions_reads_each_branch() {
    let mission = Coordinated::new();
    mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
    let root = &mission.world.root;
    for name in ["b", "c"] {
        let directory = root.join("kitty-specs").join(name);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("meta.json"), format!("{{\"coordination_branch\": \"kitty/{name}\"}}"))
            .unwrap();
    }
    mission.world.git(["branch", "kitty/b", &mission.branch]);
    let boards = show(&mission.world.project(), None).unwrap();
    let names: Vec<_> = boards
        .missions
        .iter()
        .map(|board| (board.mission_slug.as_str(), lanes(board), board.warnings.len()))
        .collect();
    assert_eq!(
        names,
        [("b", String::new(), 0), ("c", String::new(), 1), (&*mission.slug, "claimed planned".into(), 0)]
    );
}
