//! Read-only commands change nothing in any state of the machine: no byte, mode or time, and no side file. They start
//! no process and open no socket.

use crate::worlds::{fresh, logged_in};
use contract::OwnerRecord;
use std::path::Path;
use std::process::Command;
use testkit::World;
#[cfg(unix)]
use testkit::daemon::Daemon;
use testkit::owner::{agreeing, failing_names, stand_in, write};
use testkit::reference_queue::{ReferenceQueue, leave_hot_journal};
use testkit::tree::{difference, snapshot};
use testkit::world::TEAM;

/// A state of the machine: its name, and how it is made.
type State = (&'static str, fn(&World));

const STATES: [State; 16] = [
    ("nothing there", |world| drop(std::fs::remove_dir_all(world.root()))),
    ("logged in", |_| {}),
    ("logged in, without a session cache", |world| {
        drop(std::fs::remove_file(world.home().session_cache_file()))
    }),
    ("logged out", |world| drop(std::fs::remove_dir_all(world.root().join("auth")))),
    ("legacy rows", |world| {
        let queue = ReferenceQueue::create(&world.root().join("queue.db"));
        queue.event("01KRX0000000000000000000A1", Some(TEAM)).body("spec.md", "# Spec\n");
    }),
    ("a queue of ours with rows", |world| {
        world.run(["agent", "mission", "create", "some-mission"]).exits(0);
    }),
    ("a scoped queue of the reference", |world| {
        let queue = ReferenceQueue::create(&world.home().scoped_queue(&world.scope()));
        queue.event("01KRX0000000000000000000A1", Some(TEAM));
    }),
    ("a legacy queue in WAL mode", |world| {
        let queue = ReferenceQueue::create(&world.root().join("queue.db"));
        queue.event("01KRX0000000000000000000A1", None);
        drop(queue);
        let db = rusqlite::Connection::open(world.root().join("queue.db")).unwrap();
        db.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    }),
    ("a legacy queue with a hot journal", |world| leave_hot_journal(&world.root().join("queue.db"))),
    ("an active queue with a hot journal", |world| {
        let queue = world.home().scoped_queue(&world.scope());
        std::fs::create_dir_all(queue.parent().unwrap()).unwrap();
        leave_hot_journal(&queue);
    }),
    ("a legacy queue with frames in its log", |world| {
        leave_frames(&world.root().join("queue.db"), &["-wal", "-shm"]);
    }),
    ("a legacy queue with frames and no index", |world| {
        leave_frames(&world.root().join("queue.db"), &["-wal"]);
    }),
    ("an active queue with frames in its log", |world| {
        leave_frames(&world.home().scoped_queue(&world.scope()), &["-wal", "-shm"]);
    }),
    ("an orphan owner record", |world| {
        write(world, &OwnerRecord { pid: i64::from(u32::MAX), ..agreeing(world, 1) });
    }),
    ("a stale daemon", |world| {
        write(world, &OwnerRecord { package_version: "0".into(), ..agreeing(world, stand_in()) });
    }),
    ("files that cannot be read", |world| {
        world
            .write_state("sync/daemon/owner.json", b"{")
            .write_state("queue.db", b"no database at all, and not empty");
        world.write_state("auth/session.json", b"{}");
    }),
];

const READ_ONLY: [&[&str]; 32] = [
    &["sync", "status"],
    &["sync", "status", "--json"],
    &["sync", "status", "--check"],
    &["sync", "status", "--check", "--json"],
    &["sync", "daemon", "status"],
    &["sync", "daemon", "status", "--json"],
    &["auth", "status"],
    &["auth", "whoami"],
    &["sync", "doctor", "--offline"],
    &["sync", "doctor", "--offline", "--json"],
    &["sync", "setup"],
    &["sync", "setup", "--json"],
    &["auth", "doctor"],
    &["auth", "doctor", "--json"],
    &["doctor", "orphan-daemons"],
    &["doctor", "paths"],
    &["sync", "migrate", "--dry-run"],
    &["sync", "preview"],
    &["sync", "preview", "--json", "--payload"],
    &["sync", "diagnose"],
    &["sync", "diagnose", "--json", "--all"],
    &["sync", "export"],
    &["sync", "export", "--scope", "legacy"],
    &["sync", "parked", "list"],
    &["sync", "parked", "show", "1", "--json"],
    &["sync", "parked", "export"],
    &["sync", "gc", "--dry-run"],
    &["completions", "bash"],
    &["help"],
    &["help", "guide"],
    &["--version"],
    &["--help"],
];

#[test]
fn every_read_only_command_leaves_every_state_as_it_was() {
    for (name, arrange) in STATES {
        let world = logged_in();
        arrange(&world);
        changes_nothing(&world, name);
    }
}

/// Runs everything that only looks, and compares every file.
#[track_caller]
fn changes_nothing(world: &World, name: &str) {
    let everything = world.user_home().parent().unwrap();
    let before = snapshot(everything);
    for argv in READ_ONLY {
        let run = world.run(argv);
        assert!(matches!(run.code, Some(0..=2)), "{name}: {argv:?}: {run:?}");
        assert!(!run.stderr.contains("panicked"), "{name}: {argv:?}: {run:?}");
        let changed = difference(&before, &snapshot(everything));
        assert!(changed.is_empty(), "{name}: {argv:?}: {changed:#?}");
    }
}

/// Beside a live daemon of ours, which is only asked how it is, and beside one that cannot answer.
#[cfg(unix)]
#[test]
fn read_only_commands_leave_daemons_as_they_were() {
    let world = logged_in();
    let daemons = Daemon::start(&world);
    assert_eq!(status_of(&world), "running");
    changes_nothing(&world, "a live daemon");
    daemons.signal("STOP");
    assert_eq!(status_of(&world), "suspended");
    changes_nothing(&world, "a suspended daemon");
    daemons.signal("CONT");
    assert_eq!(status_of(&world), "running");
}

#[cfg(unix)]
fn status_of(world: &World) -> String {
    world.run(["sync", "daemon", "status", "--json"]).json()["state"].as_str().unwrap().to_owned()
}

/// Neither is ever zero rows: with its index the log is read, without it the warning names the missing part.
#[test]
fn row_in_the_wal_alone_is_counted_or_reported() {
    for side_files in [&["-wal", "-shm"][..], &["-wal"]] {
        let world = fresh();
        world.log_in();
        leave_frames(&world.root().join("queue.db"), side_files);
        let status = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
        let names = if side_files.len() == 2 { "legacy_rows_in_scope" } else { "queue_recovery_needed" };
        assert_eq!(failing_names(&status), [names], "{status:#}");
        world.run(["sync", "migrate"]).exits(0);
        let status = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
        assert_eq!(status["active_queue"]["event_count"], 1, "{status:#}");
    }
}

/// A queue DB at `path` as a crash in write-ahead mode leaves it, with these of its side files: its one
/// row is in the log alone.
fn leave_frames(path: &Path, side_files: &[&str]) {
    let scratch = path.with_extension("scratch");
    let queue = ReferenceQueue::create(&scratch);
    let db = rusqlite::Connection::open(&scratch).unwrap();
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0").unwrap();
    queue.event("01KRX0000000000000000000A1", Some(TEAM));
    let side = |path: &Path, suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        std::path::PathBuf::from(name)
    };
    std::fs::copy(&scratch, path).unwrap();
    for suffix in side_files {
        std::fs::copy(side(&scratch, suffix), side(path, suffix)).unwrap();
    }
    assert!(std::fs::metadata(side(path, "-wal")).unwrap().len() > 0, "a log with frames");
    drop((db, queue));
    for file in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(side(&scratch, file));
    }
}

/// System calls that look and nothing else.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs strace"]
fn read_only_and_refused_commands_have_no_side_effects() {
    let world = fresh();
    world.log_in();
    ReferenceQueue::create(&world.root().join("queue.db")).event("01KRX0000000000000000000A1", Some(TEAM));
    write(&world, &OwnerRecord { package_version: "0".into(), ..agreeing(&world, stand_in()) });
    let log = world.user_home().parent().unwrap().join("strace.log");
    for (argv, code) in
        [(&["sync", "status", "--check", "--json"][..], 2), (&["sync", "now"], 2), (&["auth", "doctor"], 0)]
    {
        let mut command = Command::new("strace");
        command.args(["-f", "-e", "trace=%file,%process,%network,%desc", "-o"]).arg(&log);
        command.arg(env!("CARGO_BIN_EXE_spec-kitty")).args(argv);
        world.dress(&mut command);
        let run = testkit::world::finish(command);
        assert!(!run.stderr.contains("ptrace"), "{}", run.stderr);
        let trace = std::fs::read_to_string(&log).unwrap();
        assert_eq!(run.code, Some(code), "{run:?}");
        let calls: Vec<&str> = trace.lines().filter(|line| is_forbidden(line)).collect();
        assert!(calls.is_empty(), "{argv:?}:\n{}", calls.join("\n"));
        assert!(trace.contains("config.toml"), "the trace is of the right program");
    }
}

/// Whether a traced call creates, writes, starts or connects anything. The program's own start, and
/// what it prints, are none of these.
#[cfg(target_os = "linux")]
fn is_forbidden(line: &str) -> bool {
    let call = line.split_once(' ').map_or(line, |(_, call)| call.trim_start());
    let name = call.split('(').next().unwrap_or_default();
    let failed_probe = call.contains(" = -1 ");
    match name {
        "open" | "openat" | "openat2" | "creat" => {
            ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"].iter().any(|flag| call.contains(flag))
                && !call.contains("\"/dev/null\"")
        }
        "mkdir" | "mkdirat" | "rename" | "renameat" | "renameat2" | "unlink" | "unlinkat" | "rmdir"
        | "link" | "linkat" | "symlink" | "symlinkat" | "chmod" | "fchmod" | "fchmodat" | "chown"
        | "fchown" | "fchownat" | "truncate" | "ftruncate" | "fallocate" | "utimensat" | "mknod"
        | "mknodat" | "setxattr" | "pwrite64" | "fsync" | "fdatasync" | "socket" | "connect" | "bind"
        | "sendto" | "fork" | "vfork" => true,
        // A thread would show here, too: looking needs none.
        "clone" | "clone3" => true,
        "execve" => !call.contains(env!("CARGO_BIN_EXE_spec-kitty")) && !failed_probe,
        "write" => !call.starts_with("write(1,") && !call.starts_with("write(2,"),
        _ => false,
    }
}
