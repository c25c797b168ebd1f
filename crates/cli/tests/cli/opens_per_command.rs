//! Opens of each state file by each command, pinned: a further read of a file is a change of this table.
#![cfg(target_os = "linux")]

use crate::worlds::trace_opens;
use testkit::World;
use testkit::host::with_listener;
use testkit::mission::Mission;
use testkit::reference_queue::ReferenceQueue;

/// Name of a column, and the end of the paths that it counts.
const FILES: [(&str, &str); 7] = [
    ("config", "/config.toml"),
    ("session", "/auth/session.json"),
    ("queue DB", ".db"),
    ("legacy queue DB", "/queue.db"),
    ("status log", "/status.events.jsonl"),
    ("owner record", "/owner.json"),
    ("owner lock", "/owner.lock"),
];

/// Opens of [`FILES`] by one run of each command, in this order.
const OPENS: [(&[&str], [usize; 7]); 32] = [
    (&["sync", "status", "--check", "--json"], [1, 1, 2, 1, 0, 1, 1]),
    (&["sync", "doctor"], [7, 8, 4, 2, 1, 4, 5]),
    (&["sync", "preview"], [1, 1, 6, 1, 0, 1, 1]),
    (&["sync", "diagnose"], [1, 1, 4, 1, 0, 1, 1]),
    (&["sync", "export"], [1, 1, 8, 1, 0, 1, 1]),
    (&["sync", "parked", "list"], [1, 1, 3, 1, 0, 1, 1]),
    (&["sync", "now"], [4, 6, 9, 2, 0, 2, 2]),
    (&["sync", "migrate"], [1, 1, 4, 1, 0, 1, 1]),
    (&["sync", "gc"], [1, 1, 3, 1, 0, 1, 1]),
    (&["sync", "opt-in"], [1, 1, 3, 2, 0, 1, 1]),
    (&["sync", "setup", "--yes"], [3, 2, 3, 2, 0, 4, 5]),
    (&["sync", "daemon", "status"], [0, 0, 0, 0, 0, 2, 2]),
    (&["auth", "status"], [1, 1, 0, 0, 0, 0, 0]),
    (&["auth", "whoami"], [1, 1, 0, 0, 0, 0, 0]),
    (&["auth", "doctor"], [1, 2, 0, 0, 0, 0, 0]),
    (&["doctor", "repair"], [3, 4, 6, 4, 0, 2, 4]),
    (&["doctor", "orphan-daemons"], [1, 1, 2, 1, 0, 2, 1]),
    (&["init"], [0, 0, 0, 0, 0, 0, 0]),
    (&["agent", "mission", "check-prerequisites", "--mission", "tea-timer"], [0, 0, 0, 0, 1, 0, 0]),
    (&["agent", "mission", "setup-plan", "--mission", "tea-timer"], [1, 1, 5, 2, 3, 1, 3]),
    (&["agent", "mission", "finalize-tasks", "--mission", "tea-timer"], [1, 1, 5, 2, 2, 1, 3]),
    (&["agent", "tasks", "list", "--mission", "tea-timer"], [0, 0, 0, 0, 1, 0, 0]),
    (&["agent", "tasks", "status", "--mission", "tea-timer"], [0, 0, 0, 0, 1, 0, 0]),
    (
        &["agent", "tasks", "mark-status", "T001", "--status", "done", "--mission", "tea-timer"],
        [1, 1, 5, 2, 2, 1, 3],
    ),
    (&["agent", "decision", "verify", "--mission", "tea-timer"], [0, 0, 0, 0, 0, 0, 0]),
    (&["agent", "status", "validate", "--mission", "tea-timer"], [0, 0, 0, 0, 2, 0, 0]),
    // A history may be too long to be kept, so each of its passes reads the log row by row.
    (&["sync", "capture", "--history", "tea-timer", "--yes"], [1, 1, 5, 2, 8, 1, 3]),
    (
        &["agent", "tasks", "move-task", "WP01", "--to", "claimed", "--mission", "tea-timer"],
        [1, 1, 5, 2, 3, 1, 3],
    ),
    (
        &["agent", "tasks", "add-history", "WP01", "--note", "x", "--mission", "tea-timer"],
        [1, 1, 5, 2, 2, 1, 3],
    ),
    (&["agent", "status", "show", "--mission", "tea-timer"], [0, 0, 0, 0, 1, 0, 0]),
    (
        &["agent", "status", "emit", "WP01", "--to", "claimed", "--actor", "dev", "--mission", "tea-timer"],
        [1, 1, 3, 2, 1, 1, 1],
    ),
    (&["agent", "mission", "create", "another-mission"], [1, 1, 5, 2, 1, 1, 3]),
];

#[test]
#[ignore = "needs strace"]
fn opens_of_state_files_match_the_table() {
    let (world, _listener) = with_listener(env!("CARGO_BIN_EXE_spec-kitty"));
    ReferenceQueue::create(&world.root().join("queue.db"))
        .event("01KRX0000000000000000000A1", Some("team-of-others"));
    world.write_state("sync/daemon/owner.lock", b"");
    let mission = Mission::create(&world, "tea-timer");
    mission.specified(&world).planned().with_tasks();
    world.git(["add", "--all"]);
    world.git(["commit", "--quiet", "-m", "tasks"]);
    world.run(["agent", "mission", "finalize-tasks", "--mission", "tea-timer"]).exits(0);
    let mut measured = String::new();
    for (argv, _) in OPENS {
        // A log that was written just now is read once more.
        std::thread::sleep(std::time::Duration::from_millis(60));
        measured.push_str(&row(argv, &opens(&world, argv)));
    }
    let expected: String = OPENS.iter().map(|(argv, opens)| row(argv, opens)).collect();
    assert_eq!(measured, expected, "columns: {:?}\n{measured}", FILES.map(|(column, _)| column));
}

fn row(argv: &[&str], opens: &[usize; 7]) -> String {
    format!("{opens:?} {}\n", argv.join(" "))
}

/// Opens of each file by the main thread of one command. Children are not followed: git reads a file
/// again when its index is of the same second.
fn opens(world: &World, argv: &[&str]) -> [usize; 7] {
    let trace = trace_opens(world, &["-s", "4096"], argv);
    let mut opens = [0; 7];
    for line in trace.lines() {
        if let Some(column) = opened_path(line).and_then(column) {
            opens[column] += 1;
        }
    }
    opens
}

/// The path of `openat(AT_FDCWD</dir>, "name", FLAGS) = 3</dir/name>`. A failed one ends with `= -1 ENOENT (...)`: of
/// those only the owner record counts, which most homes have none of.
fn opened_path(line: &str) -> Option<&str> {
    let (call, result) = line.rsplit_once(" = ")?;
    let opened = result.split_once('<').map(|(_, path)| path.trim_end_matches('>'));
    opened.or_else(|| call.split('"').nth(1).filter(|path| path.ends_with("/owner.json")))
}

fn column(path: &str) -> Option<usize> {
    // The legacy queue DB ends like every other one.
    let is_legacy = path.ends_with("/queue.db");
    FILES.iter().position(|(name, end)| path.ends_with(end) && (*name == "queue DB") <= !is_legacy)
}
