//! Verbs of the Python CLI, which a shell script replaces: it prints a version and then runs the test's commands.
#![cfg(unix)]

use crate::worlds::waiting;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use testkit::mission::Mission;
use testkit::world::copy_program;
use testkit::{Run, World};

const BINARY: &str = env!("CARGO_BIN_EXE_spec-kitty");

/// Runs the commands in the file `act` of the home; `row ID AT` appends a move of WP01 to the log in `$LOG`.
const PYTHON: &str = r#"#!/bin/sh
if [ "$1" = --version ]; then echo "spec-kitty-cli version 3.2.7"; exit 0; fi
printf '%s|%s|%s|%s\n' "$*" "$SPEC_KITTY_FRONT" "$SPEC_KITTY_ENABLE_SAAS_SYNC" "$SPEC_KITTY_TOKEN" >> "$HOME/calls"
now() { date -u +%Y-%m-%dT%H:%M:%S.%6N+00:00; }
row() {
    printf '{"actor": "py", "at": "%s", "event_id": "%s", "evidence": null, "execution_mode": "worktree", "force": false, "from_lane": "planned", "mission_id": null, "mission_slug": "%s", "policy_metadata": null, "reason": null, "review_ref": null, "to_lane": "claimed", "wp_id": "WP01"}\n' \
        "$2" "$1" "$(basename "$(dirname "$LOG")")" >> "$LOG"
}
if [ -f "$HOME/act" ]; then . "$HOME/act"; fi
"#;

const FIRST: &str = "01KZ0000000000000000000001";
const SECOND: &str = "01KZ0000000000000000000002";

fn write_program(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text_file = path.with_extension("text");
    std::fs::write(&text_file, text).unwrap();
    std::fs::set_permissions(&text_file, std::fs::Permissions::from_mode(0o755)).unwrap();
    copy_program(&text_file, path);
    std::fs::remove_file(text_file).unwrap();
}

/// Puts directories before the PATH of the test.
fn put_on_path(world: &mut World, directories: &[&Path]) {
    let rest = std::env::var_os("PATH").unwrap();
    let entries = directories.iter().map(|path| path.to_path_buf()).chain(std::env::split_paths(&rest));
    let path = std::env::join_paths(entries).unwrap();
    world.set("PATH", path.to_str().unwrap());
}

fn install_python(world: &mut World) -> PathBuf {
    let program = world.user_home().join("py/spec-kitty");
    write_program(&program, PYTHON);
    put_on_path(world, &[program.parent().unwrap()]);
    program
}

/// A logged-in world with a finalized mission, and the Python CLI on the PATH.
fn world() -> (World, Mission) {
    let mut world = testkit::host::logged_in(BINARY);
    install_python(&mut world);
    let mission = Mission::create(&world, "tea-timer");
    mission.specified(&world).planned().with_tasks();
    let _ = world.run(["tasks", "--local-only", "--mission", "tea-timer"]).exits(0);
    world.set("LOG", mission.path.join("status.events.jsonl").to_str().unwrap());
    world.set("OURS", BINARY);
    (world, mission)
}

/// Each command that `doctor paths` marks as one of the Python CLI has this program's beside it, which runs.
#[test]
fn context_marks_commands_that_run_in_the_python_cli() {
    let (world, mission) = world();
    let paths = world.run(["doctor", "paths"]).exits(0).stdout.clone();
    let is_handed_on = |line: &str| {
        let words = line.strip_prefix("spec-kitty ").unwrap();
        paths.lines().filter(|path| path.contains("Python CLI")).any(|path| {
            let verb = path.trim().split("  ").next().unwrap();
            words == verb || words.starts_with(&format!("{verb} "))
        })
    };
    let mut marked = Vec::new();
    for action in ["specify", "plan", "tasks_finalize", "implement", "review", "accept", "status"] {
        let resolve = ["agent", "context", "resolve", "--action", action, "--mission", &mission.slug];
        let text = world.run(resolve).exits(0).stdout.clone();
        let document = world.run(resolve.into_iter().chain(["--json"])).exits(0).json();
        for (name, line) in document["commands"].as_object().unwrap() {
            let (line, ours) = (line.as_str().unwrap(), document["counterparts"][name].as_str());
            assert_eq!(is_handed_on(line), ours.is_some(), "{line}: {document:#}");
            let Some(ours) = ours else { continue };
            assert!(text.contains(&format!("runs in the Python CLI; in this program: {ours}\n")), "{text}");
            world.run(ours.split(' ').skip(1).chain(["--local-only"])).exits(0);
            marked.push(action);
        }
        if action == "implement" {
            let review =
                ["agent", "tasks", "move-task", "WP01", "--to", "for_review", "--force", "--note", "n"];
            world.run(review.into_iter().chain(["--local-only", "--mission", &mission.slug])).exits(0);
        }
    }
    assert_eq!(marked, ["implement", "review"]);
}

fn act(world: &World, script: &str) {
    std::fs::write(world.user_home().join("act"), script).unwrap();
}

fn calls(world: &World) -> String {
    std::fs::read_to_string(world.user_home().join("calls")).unwrap_or_default()
}

fn next(world: &World, code: i32) -> Run {
    world.run(["next", "--agent", "py", "--mission", "tea-timer"]).exits(code)
}

#[test]
fn rows_of_the_run_are_captured_and_the_end_is_the_childs() {
    let (mut world, _) = world();
    world.set("SPEC_KITTY_TOKEN", "");
    act(
        &world,
        &format!(
            "row {FIRST} \"$(now)\"; row {SECOND} 2026-01-01T00:00:00+00:00; echo out; echo err >&2; exit 7"
        ),
    );
    let run = next(&world, 7);
    assert_eq!(run.stdout, "out\n");
    assert!(run.stderr.starts_with("err\n") && run.stderr.contains("captured 1 event, 0 bodies"), "{run:?}");
    assert_eq!(calls(&world), "next --agent py --mission tea-timer|1|0|\n");
    assert_eq!(waiting(&world), 1);
    // Rows from before the second run do not belong to it.
    act(&world, "");
    let again = next(&world, 0);
    assert!(!again.stderr.contains("captured 1"), "{again:?}");
    assert_eq!(waiting(&world), 1);
    let preview = world.run(["sync", "capture", "--history", "tea-timer", "--json"]).exits(2).json();
    assert_eq!(preview["known"], 1, "{preview:#}");
}

#[test]
fn rows_in_a_worktree_and_on_a_branch_are_captured_once() {
    let (world, mission) = world();
    let log = format!("kitty-specs/{}/status.events.jsonl", mission.slug);
    world.git(["add", "--all"]);
    world.git(["commit", "--quiet", "--allow-empty", "-m", "mission"]);
    world.git(["worktree", "add", "--quiet", "-b", "coord", ".worktrees/coord"]);
    // One row in the worktree, not committed; one on a branch that is checked out nowhere.
    let script = format!(
        "LOG=$PWD/.worktrees/coord/{log}; row {FIRST} \"$(now)\"\n\
         git worktree add --quiet -b aside .worktrees/aside || exit 90\n\
         LOG=$PWD/.worktrees/aside/{log}; row {FIRST} \"$(now)\"; row {SECOND} \"$(now)\"\n\
         git -C .worktrees/aside commit --quiet -am rows || exit 91\n\
         git worktree remove --force .worktrees/aside || exit 92\n"
    );
    act(&world, &script);
    let run = next(&world, 0);
    assert!(run.stderr.contains("captured 2 events"), "{run:?}");
    assert_eq!(waiting(&world), 2);
}

#[test]
fn rows_on_a_remote_tracking_branch_stay() {
    let (world, mission) = world();
    world.git(["add", "--all"]);
    world.git(["commit", "--quiet", "--allow-empty", "-m", "mission"]);
    world.git(["init", "--quiet", "--bare", "remote.git"]);
    world.git(["remote", "add", "origin", "remote.git"]);
    world.git(["push", "--quiet", "origin", "main"]);
    let script = format!(
        "row {FIRST} \"$(now)\"; git commit --quiet -am row; git push --quiet origin main; row {SECOND} \"$(now)\""
    );
    act(&world, &script);
    assert!(next(&world, 0).stderr.contains("captured 1 event"), "{}", mission.slug);
    let preview = world.run(["sync", "capture", "--history", "tea-timer", "--json"]).exits(2).json();
    assert_eq!(preview["known"], 1, "{preview:#}");
}

#[test]
fn boundary_that_refuses_after_the_run_captures_nothing() {
    let (world, _) = world();
    act(&world, &format!("row {FIRST} \"$(now)\"; rm -r \"$HOME/.spec-kitty/auth\"; exit 3"));
    let run = next(&world, 3);
    assert!(
        run.stderr.contains("captured nothing") && run.stderr.contains("sync capture --history"),
        "{run:?}"
    );
    world.log_in();
    assert_eq!(waiting(&world), 0);
    act(&world, "");
    let later = next(&world, 0);
    assert!(!later.stderr.contains("interrupted command"), "{later:?}");
    assert_eq!(waiting(&world), 0);
}

#[test]
fn command_inside_the_run_captures_nothing_itself() {
    let (world, _) = world();
    act(
        &world,
        "\"$OURS\" agent tasks move-task WP01 --to claimed --agent dev --mission tea-timer >/dev/null 2>\"$HOME/inner\"; \
         echo $?; \"$OURS\" merge 2>>\"$HOME/inner\"; echo $?",
    );
    let run = next(&world, 0);
    assert_eq!(run.stdout, "0\n2\n", "{run:?}");
    let inner = std::fs::read_to_string(world.user_home().join("inner")).unwrap();
    assert!(inner.contains("captured by the calling command"), "{inner}");
    assert!(inner.contains("SPEC_KITTY_FRONT is 1"), "{inner}");
    assert_eq!(calls(&world).lines().count(), 1);
    assert!(run.stderr.contains("captured 1 event"), "{run:?}");
    assert_eq!(waiting(&world), 1);
}

#[test]
fn killed_hand_over_is_settled_by_the_next_producing_command() {
    let (world, _) = world();
    act(
        &world,
        &format!(
            "row {FIRST} \"$(now)\"; touch \"$HOME/ready\"; while [ -e \"$HOME/ready\" ] && [ ! -e \"$HOME/go\" ]; do sleep 0.02; done"
        ),
    );
    let mut front = world.command().args(["next", "--agent", "py"]).spawn().unwrap();
    wait_for(&world.user_home().join("ready"));
    // A hand-over that is at work is left alone.
    let note = ["agent", "tasks", "add-history", "WP01", "--note", "x", "--mission", "tea-timer"];
    let beside = world.run(note).exits(0);
    assert!(!beside.stderr.contains("interrupted command"), "{beside:?}");
    front.kill().unwrap();
    front.wait().unwrap();
    let settled = world.run(note).exits(0);
    assert!(settled.stderr.contains("interrupted command: captured 1 event"), "{settled:?}");
    let after = world.run(note).exits(0);
    assert!(!after.stderr.contains("interrupted command"), "{after:?}");
    std::fs::write(world.user_home().join("go"), "").unwrap();
    let locks = std::fs::read_dir(world.work().join(".git/spec-kitty-locks")).unwrap();
    let left: Vec<_> =
        locks.flatten().filter(|lock| lock.file_name().to_string_lossy().starts_with("hand-over")).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn wait_for(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} does not appear", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn signals_reach_the_child_and_its_own_end_is_ours() {
    let (world, _) = world();
    act(
        &world,
        "trap 'exit 9' TERM; touch \"$HOME/ready\"; while [ -e \"$HOME/ready\" ]; do sleep 0.02; done",
    );
    let mut front = world.command().args(["next", "--agent", "py"]).spawn().unwrap();
    wait_for(&world.user_home().join("ready"));
    let _ = world.run_program("kill", ["-TERM", &front.id().to_string()]).exits(0);
    assert_eq!(front.wait().unwrap().code(), Some(9));
    act(&world, &format!("row {FIRST} \"$(now)\"; kill -KILL $$"));
    let ended = world.command().args(["next"]).status().unwrap();
    assert_eq!(ended.signal(), Some(9), "{ended:?}");
    assert_eq!(waiting(&world), 1);
}

#[test]
fn this_program_on_the_path_is_passed_over() {
    let mut world = testkit::host::logged_in(BINARY);
    let directory = |name: &str| {
        let directory = world.user_home().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        directory
    };
    let entries = ["link", "hard", "copy", "wrapper", "mute", "directory"].map(directory);
    let [link, hard, copy, wrapper, mute, is_directory] = entries.each_ref();
    std::os::unix::fs::symlink(BINARY, link.join("spec-kitty")).unwrap();
    // Another file system has no hard link to the binary; a link to the copy is one to another file.
    if std::fs::hard_link(BINARY, hard.join("spec-kitty")).is_err() {
        copy_program(Path::new(BINARY), &hard.join("spec-kitty"));
    }
    copy_program(Path::new(BINARY), &copy.join("spec-kitty"));
    write_program(&wrapper.join("spec-kitty"), &format!("#!/bin/sh\nexec {BINARY} \"$@\"\n"));
    write_program(&mute.join("spec-kitty"), "#!/bin/sh\ntouch \"$HOME/called\"\n");
    std::fs::create_dir_all(is_directory.join("spec-kitty")).unwrap();
    let mut paths: Vec<&Path> = entries.iter().map(PathBuf::as_path).collect();
    put_on_path(&mut world, &paths);
    let run = next(&world, 2);
    for (directory, why) in [
        (link, "is this program"),
        (copy, "is another program"),
        (wrapper, "is another program"),
        (mute, "prints no version"),
    ] {
        let line = format!("{}/spec-kitty {why}", directory.display());
        assert!(run.stderr.contains(&line), "{line}: {run:?}");
    }
    assert!(
        run.stderr.contains("spec-kitty agent status show") && run.stderr.contains("pipx install"),
        "{run:?}"
    );

    let python = install_python(&mut world);
    paths.push(python.parent().unwrap());
    put_on_path(&mut world, &paths);
    let _ = world.run(["charter", "context", "--action", "specify"]).exits(0);
    assert_eq!(calls(&world), "charter context --action specify|1|0|\n");
}

/// The script of an installer is known without starting it.
#[test]
fn entry_point_of_an_installer_is_run_once() {
    let mut world = World::new(BINARY);
    let program = world.user_home().join("py/spec-kitty");
    write_program(
        &program,
        "#!/bin/sh\n: '\nfrom specify_cli import main\n'\necho \"$*\" >> \"$HOME/calls\"\n",
    );
    put_on_path(&mut world, &[program.parent().unwrap()]);
    let _ = world.run(["dashboard", "--port", "1"]).exits(0);
    assert_eq!(calls(&world), "dashboard --port 1\n");
}

#[test]
fn configured_program_wins_and_relative_path_entries_are_ignored() {
    let mut world = World::new(BINARY);
    write_program(&world.work().join("bin/spec-kitty"), PYTHON);
    world.set("PATH", &format!("bin::.:{}", std::env::var("PATH").unwrap()));
    let _ = world.run(["dashboard"]).exits(2);
    let program = world.user_home().join("elsewhere/py-kitty");
    write_program(&program, PYTHON);
    let _ = world.run(["config", "set", "cli.python", program.to_str().unwrap()]).exits(0);
    let _ = world.run(["dashboard"]).exits(0);
    assert_eq!(calls(&world), "dashboard|1|0|\n");
    let _ = world.run(["config", "set", "cli.python", "relative"]).exits(2);
    std::fs::remove_file(&program).unwrap();
    let gone = world.run(["dashboard", "--json"]).exits(2).json();
    assert_eq!(gone["error_code"], "PYTHON_CLI_UNUSABLE");
    let _ = world.run(["config", "unset", "cli.python"]).exits(0);
    assert_eq!(world.run(["dashboard", "--json"]).exits(2).json()["error_code"], "PYTHON_CLI_MISSING");
}

#[test]
fn only_producing_verbs_need_a_login_and_only_with_the_switch_on() {
    let mut world = World::new(BINARY);
    install_python(&mut world);
    world.init_project();
    assert!(next(&world, 2).stderr.contains("auth login"));
    let _ = world.run(["frobnicate"]).exits(2);
    let _ = world.run(["charter", "frobnicate"]).exits(2);
    assert_eq!(calls(&world), "");
    let _ = world.run(["charter", "context"]).exits(0);
    let _ = world.run(["merge", "--help"]).exits(0);
    world.set("SPEC_KITTY_ENABLE_SAAS_SYNC", "0");
    next(&world, 0);
    assert_eq!(calls(&world).lines().count(), 3);
    assert!(!world.root().join("queues").exists());
}

#[test]
fn init_with_python_options_runs_there_and_adds_drivers() {
    let mut world = World::new(BINARY);
    install_python(&mut world);
    act(&world, "mkdir -p made/.kittify && echo made");
    let run = world.run(["init", "made", "--ai", "claude"]).exits(0);
    assert_eq!((run.stdout.as_str(), calls(&world).as_str()), ("made\n", "init made --ai claude|1|0|\n"));
    assert!(world.work().join("made/.gitattributes").is_file(), "{run:?}");
    act(&world, "exit 4");
    let failed = world.run(["init", "other", "--ai", "claude"]).exits(4);
    assert!(!world.work().join("other").exists(), "{failed:?}");
    let _ = world.run(["init", "--help"]).exits(0);
    assert_eq!(calls(&world).lines().count(), 2);
}

#[test]
fn inventory_lists_the_verbs_of_the_python_cli() {
    let world = World::new(BINARY);
    let paths = world.run(["doctor", "paths", "--json"]).exits(0).json();
    let of =
        |verb: &str| paths["paths"].as_array().unwrap().iter().find(|path| path["verb"] == verb).cloned();
    let next = of("next").unwrap();
    assert_eq!((&next["class"], &next["runs_in"]), (&"producing".into(), &"python".into()));
    assert_eq!(of("charter context").unwrap()["class"], "read-only");
    assert_eq!(of("sync now").unwrap().get("runs_in"), None);
}
