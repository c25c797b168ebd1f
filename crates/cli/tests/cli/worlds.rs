//! The worlds that most tests begin with, and what they read in them.

use rusqlite::Connection;
use serde_json::Value;
use testkit::listener::CountingListener;
use testkit::{Server, World};

/// The program under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_spec-kitty");

pub(crate) const EVENT: &str = "01KRX0000000000000000000A1";
pub(crate) const ANOTHER: &str = "01KRX0000000000000000000A2";

/// A home in which nothing was done. Hosted sync is on.
pub(crate) fn fresh() -> World {
    World::new(BINARY)
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
