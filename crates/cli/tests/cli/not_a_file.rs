//! A pipe in place of any file: every command ends, with an error that names it or without the file.
#![cfg(target_os = "linux")]

use crate::worlds::{fresh, trace_opens};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use testkit::host::with_listener;
use testkit::mission::Mission;
use testkit::reference_queue::ReferenceQueue;
use testkit::world::TEAM;
use testkit::{Run, World};

/// Commands of every class that open files. `timeout` ends what hangs.
const COMMANDS: [&[&str]; 32] = [
    &["sync", "status", "--check", "--json"],
    &["sync", "doctor"],
    &["sync", "preview"],
    &["sync", "diagnose"],
    &["sync", "export"],
    &["sync", "parked", "list"],
    &["sync", "now"],
    &["sync", "migrate"],
    &["sync", "gc"],
    &["sync", "opt-in"],
    &["sync", "setup", "--yes"],
    &["sync", "daemon", "status"],
    &["auth", "status"],
    &["auth", "whoami"],
    &["auth", "doctor"],
    &["doctor", "repair"],
    &["doctor", "orphan-daemons"],
    &["init"],
    &["agent", "mission", "check-prerequisites", "--mission", "tea-timer"],
    &["agent", "mission", "setup-plan", "--mission", "tea-timer"],
    &["agent", "mission", "finalize-tasks", "--mission", "tea-timer"],
    &["agent", "tasks", "list", "--mission", "tea-timer"],
    &["agent", "tasks", "status", "--mission", "tea-timer"],
    &["agent", "tasks", "mark-status", "T001", "--status", "done", "--mission", "tea-timer"],
    &["agent", "decision", "verify", "--mission", "tea-timer"],
    &["agent", "status", "validate", "--mission", "tea-timer"],
    &["sync", "capture", "--history", "tea-timer", "--yes"],
    &["agent", "tasks", "move-task", "WP01", "--to", "claimed", "--mission", "tea-timer"],
    &["agent", "tasks", "add-history", "WP01", "--note", "x", "--mission", "tea-timer"],
    &["agent", "status", "show", "--mission", "tea-timer"],
    &["agent", "status", "emit", "WP01", "--to", "claimed", "--actor", "dev", "--mission", "tea-timer"],
    &["agent", "mission", "create", "another-mission"],
];

/// Directories in which this program opens no file: git's own store, whose files are git's to look at.
const OF_GIT: [&str; 6] =
    ["/.git/objects/", "/.git/hooks/", "/.git/refs/", "/.git/logs/", "/.git/worktrees", "/.git/branches"];

#[test]
#[ignore = "needs strace"]
fn pipe_in_place_of_any_file_never_hangs_a_command() {
    let (world, _listener) = with_listener(env!("CARGO_BIN_EXE_spec-kitty"));
    ReferenceQueue::create(&world.root().join("queue.db")).event("01KRX0000000000000000000A1", Some(TEAM));
    let mission = Mission::create(&world, "tea-timer");
    mission.specified(&world).planned().with_tasks();
    world.git(["add", "--all"]);
    world.git(["commit", "--quiet", "-m", "tasks"]);
    let _ = world.run(["agent", "mission", "finalize-tasks", "--mission", "tea-timer"]);
    // So that the commit of the branch is looked for there.
    world.git(["pack-refs", "--all"]);
    let top = world.user_home().parent().unwrap().to_owned();
    let copy = tempfile::tempdir().unwrap();
    duplicate(&top, copy.path());

    let (mut tried, mut hung) = (0, Vec::new());
    for argv in COMMANDS {
        let paths = opened_files(&world, argv, &top);
        duplicate(copy.path(), &top);
        for path in paths {
            if path.parent().is_none_or(|parent| !parent.is_dir()) || path.is_dir() {
                continue;
            }
            let _ = std::fs::remove_file(&path);
            mkfifo(&path);
            tried += 1;
            let run = run(&world, argv);
            let said = format!("{}{}", run.stdout, run.stderr);
            if run.code == Some(124) {
                hung.push(format!("{argv:?} with {}", path.display()));
            }
            assert!(!said.contains("panicked"), "{argv:?} with {path:?}: {said}");
            assert!(run.code == Some(0) || !said.trim().is_empty(), "{argv:?} with {path:?} prints nothing");
            duplicate(copy.path(), &top);
        }
    }
    println!("{tried} runs with a pipe in place of a file");
    assert!(tried > 100, "the traces name the files");
    assert!(hung.is_empty(), "{} commands hung:\n{}", hung.len(), hung.join("\n"));
}

/// Runs a command that is ended when it hangs.
fn run(world: &World, argv: &[&str]) -> Run {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=1", "30"]).arg(env!("CARGO_BIN_EXE_spec-kitty")).args(argv);
    world.dress(&mut command);
    command.env("SPEC_KITTY_NO_DAEMON", "1").stdin(Stdio::null());
    testkit::world::finish(command)
}

/// The files below `top` that a command and its children open or ask for.
fn opened_files(world: &World, argv: &[&str], top: &Path) -> BTreeSet<PathBuf> {
    let trace = trace_opens(world, &["-f"], argv);
    let mut files = BTreeSet::new();
    for line in trace.lines() {
        // `12 openat(AT_FDCWD</dir>, "name", FLAGS) = 3</dir/name>`; a new file of a random name is no case.
        let Some((directory, rest)) =
            line.split_once("openat(").and_then(|(_, rest)| rest.split_once(", \""))
        else {
            continue;
        };
        let Some((name, flags)) = rest.split_once('"') else { continue };
        let directory = directory.split_once('<').map_or("", |(_, rest)| rest.trim_end_matches('>'));
        let path = Path::new(directory).join(name);
        let text = path.to_string_lossy();
        let is_own = path.starts_with(top) && !flags.contains("O_EXCL") && !flags.contains("O_DIRECTORY");
        if is_own && !OF_GIT.iter().any(|part| text.contains(part)) {
            files.insert(path);
        }
    }
    // Side files, which exist beside a database only at times.
    let databases: Vec<PathBuf> =
        files.iter().filter(|path| path.extension().is_some_and(|kind| kind == "db")).cloned().collect();
    for database in databases {
        for suffix in ["-journal", "-wal", "-shm"] {
            files.insert(format!("{}{suffix}", database.display()).into());
        }
    }
    files
}

/// Makes `to` the same as `from`, modes and times included.
fn duplicate(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(to).unwrap().flatten() {
        let path = entry.path();
        let gone = if path.is_dir() && !path.is_symlink() {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        gone.unwrap();
    }
    let source = format!("{}/.", from.display());
    assert!(Command::new("cp").arg("-a").arg(source).arg(to).status().unwrap().success());
}

fn mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn token_file_may_be_a_pipe_with_a_writer() {
    let mut world = fresh();
    let pipe = world.user_home().join("token");
    mkfifo(&pipe);
    world.set("SPEC_KITTY_TOKEN_FILE", pipe.to_str().unwrap());
    world.set("SPEC_KITTY_SERVER_URL", "https://sync.example.org");
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        // `dev@example.com|team-1`, as a token spells it.
        move || std::fs::write(pipe, "skp_ZGV2QGV4YW1wbGUuY29tfHRlYW0tMQ.secret\n").unwrap()
    });
    let status = world.run(["auth", "status"]);
    writer.join().unwrap();
    assert!(status.stdout.contains("dev@example.com"), "{status:?}");
}

#[test]
fn token_file_that_is_a_pipe_without_a_writer_is_given_up() {
    let mut world = fresh();
    let pipe = world.user_home().join("token");
    mkfifo(&pipe);
    world.set("SPEC_KITTY_TOKEN_FILE", pipe.to_str().unwrap());
    let run = run(&world, &["auth", "status"]);
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(run.code != Some(124) && said.contains("within 5 s"), "{said}");
}

#[test]
fn pipe_in_place_of_a_git_file_has_a_remedy() {
    let (world, _listener) = with_listener(env!("CARGO_BIN_EXE_spec-kitty"));
    let index = world.work().join(".git/index");
    let _ = std::fs::remove_file(&index);
    mkfifo(&index);
    let refused = run(&world, &["agent", "mission", "create", "tea-timer"]);
    assert!(refused.code == Some(1) && refused.stderr.contains(".git/index"), "{refused:?}");
    assert!(
        refused.stderr.contains("git read-tree HEAD") && !refused.stderr.contains("git log"),
        "{refused:?}"
    );
    std::fs::remove_file(&index).unwrap();
    let _ = world.run_program("git", ["read-tree", "HEAD"]);
    let _ = run(&world, &["agent", "mission", "create", "tea-timer"]).exits(0);
}
