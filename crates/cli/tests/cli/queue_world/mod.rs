//! Worlds with a queue, for the tests of the verbs about its rows.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use rusqlite::Connection;
use serde_json::Value;
use testkit::World;

pub const EVENT: &str = "01KRX0000000000000000000A1";
pub const ANOTHER: &str = "01KRX0000000000000000000A2";

/// A logged-in world with a project.
pub fn world() -> World {
    testkit::host::logged_in(env!("CARGO_BIN_EXE_spec-kitty"))
}

/// A world whose queue holds the facts of one new mission.
pub fn with_mission() -> (World, String) {
    let world = world();
    let created = world.run(["agent", "mission", "create", "widgets", "--json"]).exits(0).json();
    let slug = created["mission_slug"].as_str().unwrap().to_owned();
    (world, slug)
}

pub fn scoped(world: &World) -> Connection {
    Connection::open(world.home().scoped_queue(&world.scope())).unwrap()
}

pub fn count(db: &Connection, table: &str) -> u64 {
    db.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap() as u64
}

pub fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
