//! Looking changes nothing: not a byte, not a mode, not a time, no side file, in any state of the
//! machine; and it starts no process and opens no socket.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use contract::OwnerRecord;
use std::process::Command;
use testkit::World;
use testkit::owner::{agreeing, write};
use testkit::reference_queue::ReferenceQueue;
use testkit::tree::{difference, snapshot};
use testkit::world::TEAM;

/// A state of the machine: its name, and how it comes about.
type State = (&'static str, fn(&World));

const STATES: [State; 11] = [
    ("nothing there", |world| drop(std::fs::remove_dir_all(world.root()))),
    ("logged in", |_| {}),
    ("logged in, without an identity card", |world| drop(std::fs::remove_file(world.home().identity_card()))),
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
    ("an orphan owner record", |world| {
        write(world, &OwnerRecord { pid: i64::from(u32::MAX), ..agreeing(world, 1) });
    }),
    ("a stale daemon", |world| {
        write(world, &OwnerRecord { package_version: "0".into(), ..agreeing(world, std::process::id()) });
    }),
    ("files that cannot be read", |world| {
        world
            .write_state("sync/daemon/owner.json", b"{")
            .write_state("queue.db", b"no database at all, and not empty");
        world.write_state("auth/session.json", b"{}");
    }),
];

const READ_ONLY: [&[&str]; 30] = [
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
    &["--version"],
    &["--help"],
];

#[test]
fn every_read_only_command_leaves_every_state_as_it_was() {
    for (name, arrange) in STATES {
        let world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
        world.log_in().init_project();
        arrange(&world);
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
}

/// System calls that look and nothing else.
#[cfg(target_os = "linux")]
#[test]
fn looking_and_being_refused_start_no_process_open_no_socket_and_write_no_file() {
    if Command::new("strace").arg("-V").output().is_err() {
        println!("skipped: strace is not installed");
        return;
    }
    let world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
    world.log_in();
    ReferenceQueue::create(&world.root().join("queue.db")).event("01KRX0000000000000000000A1", Some(TEAM));
    write(&world, &OwnerRecord { package_version: "0".into(), ..agreeing(&world, std::process::id()) });
    let log = world.user_home().parent().unwrap().join("strace.log");
    for (argv, code) in
        [(&["sync", "status", "--check", "--json"][..], 2), (&["sync", "now"], 2), (&["auth", "doctor"], 0)]
    {
        let mut command = Command::new("strace");
        command.args(["-f", "-e", "trace=%file,%process,%network,%desc", "-o"]).arg(&log);
        command.arg(env!("CARGO_BIN_EXE_spec-kitty")).args(argv);
        world.dress(&mut command);
        let run = testkit::world::finish(command);
        let Ok(trace) = std::fs::read_to_string(&log) else {
            println!("skipped: strace may not trace here: {}", run.stderr);
            return;
        };
        if run.stderr.contains("ptrace") {
            println!("skipped: strace may not trace here: {}", run.stderr);
            return;
        }
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
