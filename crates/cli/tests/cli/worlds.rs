//! The worlds that most tests begin with, and what they read in them.

use rusqlite::Connection;
use serde_json::Value;
use std::process::Command;
use testkit::listener::CountingListener;
use testkit::mission::Mission;
use testkit::tree::{difference, snapshot};
use testkit::{Server, World};

/// The program under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_spec-kitty");

pub(crate) const EVENT: &str = "01KRX0000000000000000000A1";
pub(crate) const ANOTHER: &str = "01KRX0000000000000000000A2";

/// A home in which nothing was done. Hosted sync is on.
pub(crate) fn fresh() -> World {
    World::new(BINARY)
}

/// A project in which hosted sync is off.
pub(crate) fn offline() -> World {
    let mut world = fresh();
    world.set("SPEC_KITTY_ENABLE_SAAS_SYNC", "0");
    world.init_project();
    world
}

/// The mission `sample` with its documents and work packages, before they are final.
pub(crate) fn sample(world: &World) -> Mission {
    let mission = Mission::create(world, "sample");
    mission.specified(world).planned().with_tasks();
    mission
}

/// The mission `sample` in its final form, with the name of its coordination branch.
pub(crate) fn coordinated(world: &World) -> (Mission, String) {
    let mission = Mission::create(world, "sample");
    let branch = format!("kitty/mission-{}", mission.slug);
    let mut meta: Value = serde_json::from_str(&mission.read("meta.json")).unwrap();
    meta["coordination_branch"] = branch.as_str().into();
    meta["topology"] = "coord".into();
    mission.write("meta.json", &meta.to_string());
    world.git(["branch", &branch]);
    mission.specified(world).planned().with_tasks();
    world.run(["agent", "mission", "finalize-tasks", "--mission", "sample", "--json"]).exits(0);
    (mission, branch)
}

/// Number of events that wait in the active queue DB.
pub(crate) fn waiting(world: &World) -> u64 {
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    status["active_queue"]["event_count"].as_u64().unwrap()
}

/// A logged-in world with a project.
pub(crate) fn logged_in() -> World {
    testkit::host::logged_in(BINARY)
}

/// Commands act as the user of a running server, in a project.
pub(crate) fn with_server() -> (World, Server) {
    testkit::host::with_server(BINARY)
}

/// Logged in, with a project, at a listener that counts connections and does not answer.
pub(crate) fn with_listener() -> (World, CountingListener) {
    testkit::host::with_listener(BINARY)
}

/// A world whose queue holds the facts of one new mission.
pub(crate) fn with_mission() -> (World, String) {
    let world = logged_in();
    let created = world.run(["agent", "mission", "create", "widgets", "--json"]).exits(0).json();
    let slug = created["mission_slug"].as_str().unwrap().to_owned();
    (world, slug)
}

pub(crate) fn scoped(world: &World) -> Connection {
    Connection::open(world.home().scoped_queue(&world.scope())).unwrap()
}

pub(crate) fn count(db: &Connection, table: &str) -> u64 {
    db.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap() as u64
}

pub(crate) fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The screens of rows that wait show these texts, and write nothing.
#[track_caller]
pub(crate) fn assert_on_every_screen(world: &World, texts: &[&str]) {
    let before = snapshot(&world.root());
    for verb in [
        &["sync", "status"][..],
        &["sync", "status", "--check"],
        &["sync", "doctor", "--offline"],
        &["sync", "setup"],
    ] {
        let run = world.run(verb.iter().copied());
        assert!(texts.iter().all(|text| run.stdout.contains(text)), "{verb:?}: {run:?}");
    }
    assert_eq!(difference(&before, &snapshot(&world.root())), Vec::<String>::new());
}

/// The calls that open a file in a command, by strace with these options; the command may fail.
pub(crate) fn trace_opens(world: &World, options: &[&str], argv: &[&str]) -> String {
    let traces = tempfile::tempdir().unwrap();
    let log = traces.path().join("trace");
    let mut command = Command::new("strace");
    command.args(options).args(["-y", "-e", "trace=open,openat,openat2", "-o"]).arg(&log);
    command.arg(BINARY).args(argv);
    world.dress(&mut command);
    command.env("SPEC_KITTY_NO_DAEMON", "1");
    let run = testkit::world::finish(command);
    let trace = std::fs::read_to_string(&log).unwrap_or_default();
    assert!(!trace.is_empty() && !run.stderr.contains("ptrace"), "strace cannot trace: {}", run.stderr);
    trace
}
