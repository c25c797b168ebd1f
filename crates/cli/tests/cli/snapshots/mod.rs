//! Printed output of each command in its main states, as text and as JSON: one file for each command and
//! state, in the folder of its group. CONTRIBUTING.md describes how to review a change.

mod auth;
mod config;
mod daemon;
mod doctor;
mod help;
mod mission;
mod queue;
mod refusal;
mod schemas;
mod server;
mod sync;

use crate::worlds::{ANOTHER, EVENT, fresh, logged_in};
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use testkit::reference_queue::ReferenceQueue;
use testkit::world::TEAM;
use testkit::{Run, World};

/// Texts that differ between two runs or machines, each with a replacement of the same width. Paths are replaced
/// before, and version and ports, whose width may differ, are at the end of their line.
const FILTERS: &[(&str, &str)] = &[
    // Daemons of other homes, which other tests run beside this one.
    (r"(?m)^foreign_daemon pid=\d+ .*\n(  .*\n)+", ""),
    (r"\[VERSION\]\+[0-9a-f]{10}", "[VERSION]"),
    (r"\[VERSION\] \([0-9a-f]* \w+\)", "[VERSION]"),
    (
        r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
        "UUID____-____-____-____-____________",
    ),
    (r"(\b|_)01[0-9A-HJKMNP-TV-Z]{24}\b", "${1}01ULID____________________"),
    (r"\bpt-01[0-9a-z]{24}\b", "pt-01ulid____________________"),
    (r"\b[0-9a-f]{32}\b", "QUEUE_ID________________________"),
    (r"\b([0-9a-z]{5}-){4}[0-9a-z]{5}\b", "SECRET_______________________"),
    (r"\baside-\d{8}T\d{6}Z\b", "aside-YYYYMMDDThhmmssZ"),
    (r"-01[0-9A-HJKMNP-TV-Z]{6}\b", "-01ULID__"),
    (r"\b01[0-9A-HJKMNP-TV-Z]{6}\b", "01ULID__"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", "YYYY-MM-DDThh:mm:ssZ"),
    (r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "YYYY-MM-DD hh:mm:ss UTC"),
    (r"\b\d+ MiB are free", "NUMBER MiB are free"),
    (r"\b\d+ ms\b", "NUMBER ms"),
    // Sizes of databases and of compressed requests, and the time in the name of a replaced database.
    (r"(team; )\d+ bytes\b", "${1}NUMBER bytes"),
    (r#"("(?:blocks|schema)": \d+,\s+"bytes": )\d+"#, "${1}NUMBER"),
    (r"\.aside-\d{13}\b", ".aside-UNIX_MILLIS__"),
    (r"\bSQLite \d+\.\d+\.\d+", "SQLite VERSION"),
    (r"\b[0-9a-f]{64}\b", "SHA256__________________________________________________________"),
    (r"\b[0-9a-f]{40}\b", "COMMIT__________________________________"),
    (r"\bas [0-9a-f]{12}\b", "as COMMIT______"),
    (r"\bhash [0-9a-f]{8}\b", "hash SHA256__"),
    (r"\bqueue-[0-9a-f]{16}\b", "queue-SCOPE___________"),
    (r#""at": \d{10}\b"#, "\"at\": UNIX_TIME_"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r#"(pid|port|process_start_ticks|lock_inode|duration_ms)(=| |": )\d+"#, "${1}${2}NUMBER"),
    (r"(PID|Port)( +): \d+", "${1}${2}: NUMBER"),
    (r"skp_[A-Za-z0-9_.-]+", "skp_SECRET"),
];

/// Words of a command line; double quotes keep spaces.
fn words(line: &str) -> Vec<&str> {
    let parts = line.split('"').enumerate();
    parts
        .flat_map(|(index, part)| if index % 2 == 1 { vec![part] } else { part.split_whitespace().collect() })
        .collect()
}

/// Compares what `line` prints, as text and as JSON, with the snapshot `file`. Each of the two runs in a scene
/// of its own, unless `scene` returns the same one.
#[track_caller]
fn prints<S: AsRef<World>>(file: &str, scene: impl Fn() -> S, line: &str) {
    let text = {
        let scene = scene();
        shown(scene.as_ref(), line)
    };
    let scene = scene();
    let json = shown(scene.as_ref(), &format!("{line} --json"));
    compare(file, &format!("{text}\n{json}"));
}

/// The same for a command that has no JSON form.
#[track_caller]
fn prints_text(file: &str, world: &World, line: &str) {
    compare(file, &shown(world, line));
}

/// Runs a command. The result has the command line, both streams and the exit code.
fn shown(world: &World, line: &str) -> String {
    printed(world, line, world.run(words(line)))
}

/// The same of a command that has run.
fn printed(world: &World, line: &str, run: Run) -> String {
    let Run { code, stdout, stderr } = run;
    let stdout = match serde_json::from_str::<serde_json::Value>(&stdout) {
        Ok(mut document) if stdout.lines().count() == 1 && document.is_object() => {
            if let Some(findings) = document.get_mut("findings").and_then(serde_json::Value::as_array_mut) {
                findings.retain(|finding| finding["kind"] != "foreign_daemon");
            }
            format!("{document:#}\n")
        }
        _ => stdout,
    };
    let mut out = format!("$ spec-kitty {line}\n{stdout}");
    if !stderr.is_empty() {
        out.push_str(&format!("--- stderr\n{stderr}"));
    }
    let code = code.map_or_else(|| "none".to_owned(), |code| code.to_string());
    redacted(world, &format!("{out}--- exit code {code}\n"))
}

/// Paths of this run and of this checkout, and the version.
fn redacted(world: &World, text: &str) -> String {
    let replaced = |text: String, path: &Path, name: &str| text.replace(&path.display().to_string(), name);
    let text = replaced(text.to_owned(), world.user_home(), "[HOME]");
    let text = replaced(text, world.work(), "[WORK]");
    let text = replaced(text, world.binary(), "[PROGRAM]");
    // A program that was built outside of the checkout has its own directory as source path.
    let text = replaced(text, world.binary().parent().unwrap(), "[CHECKOUT]");
    let text = replaced(text, &workspace(), "[CHECKOUT]");
    text.replace(env!("CARGO_PKG_VERSION"), "[VERSION]")
}

#[track_caller]
fn compare(file: &str, text: &str) {
    let (folder, name) = file.split_once('/').expect("a group and a name");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (pattern, replacement) in FILTERS {
        settings.add_filter(pattern, *replacement);
    }
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// The same with hosted sync off.
fn switched_off() -> World {
    let mut world = fresh();
    world.unset("SPEC_KITTY_ENABLE_SAAS_SYNC");
    world
}

/// The rows of a new mission wait.
fn waiting() -> World {
    let world = logged_in();
    world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
    world
}

/// Rows of another program wait, whose project is not opted in.
fn held() -> World {
    let world = logged_in();
    let path = world.home().scoped_queue(&world.scope());
    ReferenceQueue::create(&path)
        .event(EVENT, Some(TEAM))
        .event(ANOTHER, Some(TEAM))
        .body("spec.md", "# Spec\n");
    world
}

/// Rows of this account wait in the legacy queue DB, and one of another account.
fn legacy_rows() -> World {
    let world = logged_in();
    let queue = ReferenceQueue::create(&world.root().join("queue.db"));
    queue.event(EVENT, Some(TEAM)).event(ANOTHER, Some("team-other")).body("spec.md", "# Spec\n");
    world
}

/// One row is parked: the data of a legacy event is not JSON.
fn parked() -> World {
    let world = logged_in();
    let path = world.root().join("queue.db");
    ReferenceQueue::create(&path).event(EVENT, Some(TEAM));
    Connection::open(path).unwrap().execute("UPDATE queue SET data = 'not\u{1b}[31m json'", []).unwrap();
    world.run(["sync", "migrate"]).exits(0);
    world
}

/// The configuration file is not TOML.
fn damaged_config() -> World {
    let world = logged_in();
    world.write_config("[sync]\nserver_url = \"https://example.invalid\"\nmax_queue_size =\n");
    world
}

/// The session file is damaged.
fn damaged_session() -> World {
    let world = logged_in();
    std::fs::write(world.home().session_file(), "{").unwrap();
    world
}

/// The owner record is that of a daemon that has ended.
fn orphan_record() -> World {
    let world = logged_in();
    let mut ended = std::process::Command::new("true").spawn().unwrap();
    let pid = ended.id();
    ended.wait().unwrap();
    testkit::owner::write(&world, &testkit::owner::agreeing(&world, pid));
    world
}

/// A snapshot that no test compares with is a leftover.
#[test]
fn every_snapshot_file_is_named_by_a_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/snapshots");
    let (mut sources, mut files) = (String::new(), BTreeSet::new());
    for entry in std::fs::read_dir(&folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_file() {
            sources.push_str(&std::fs::read_to_string(&path).unwrap());
            continue;
        }
        for file in std::fs::read_dir(&path).unwrap().flatten() {
            let group = entry.file_name().into_string().unwrap();
            files.insert(format!("{group}/{}", file.path().file_stem().unwrap().to_str().unwrap()));
        }
    }
    assert!(files.len() >= 150, "{} files", files.len());
    let known: BTreeSet<String> = help::files().chain(refusal::files()).collect();
    let unnamed: Vec<_> = files
        .iter()
        .filter(|file| !known.contains(*file) && !sources.contains(&format!("\"{file}\"")))
        .collect();
    assert!(unnamed.is_empty(), "{unnamed:#?}");
}
