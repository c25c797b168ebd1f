//! What `sync now` says about rows that wait, about a refused login and about a daemon that was faster; and
//! what it keeps about its attempts.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use queue::{LastAttempt, observe_counts};
use rusqlite::Connection;
use serde_json::json;
use std::path::PathBuf;
use testkit::World;
use testkit::reference_queue::{PROJECT, ReferenceQueue};
use testkit::scripted::{Reply, ScriptedServer};
use testkit::world::{TEAM, USER, session};

const BINARY: &str = env!("CARGO_BIN_EXE_spec-kitty");

fn queue_path(world: &World) -> PathBuf {
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    status["active_queue"]["path"].as_str().unwrap().into()
}

fn last_attempt(world: &World) -> Option<LastAttempt> {
    let undecided = |_: &queue::Place| contract::Consent::Unset;
    observe_counts(&queue_path(world), &undecided).unwrap().last_attempt
}

/// A world that is logged in, by a session, at `server`.
fn logged_in(server: &str) -> World {
    let world = World::new(BINARY);
    world.write_config(&format!("[sync]\nserver_url = \"{server}\"\n"));
    world.write_session(&session(server, USER, TEAM));
    world.init_project();
    world
}

#[test]
fn bodies_that_wait_for_their_next_attempt_are_named_with_its_time() {
    let (world, _server) = testkit::host::with_server(BINARY);
    ReferenceQueue::create(&world.root().join("queue.db")).body("spec.md", "# Spec\n");
    world.run(["sync", "migrate"]).exits(0);
    world.run(["sync", "opt-in", "--project", PROJECT, "--include-held", "--yes"]).exits(0);
    // No event has announced the document, so the server does not take it yet.
    let first = world.run(["sync", "now", "--json"]).exits(1).json();
    assert_eq!((&first["result"], &first["bodies"]["kept"]), (&"incomplete".into(), &1.into()));
    assert_eq!(last_attempt(&world).unwrap().outcome, "incomplete");

    let due = jiff::Timestamp::now().as_second() + 3000;
    let queue = Connection::open(queue_path(&world)).unwrap();
    queue.execute("UPDATE body_upload_queue SET next_attempt_at = ?1", [due as f64]).unwrap();
    let now = world.run(["sync", "now", "--json"]).exits(0).json();
    let due = jiff::Timestamp::from_second(due).unwrap().to_string();
    assert_eq!(now["result"], "waiting", "{now:#}");
    assert_eq!(now["waiting"], json!({"bodies": 1, "next_attempt_at": due}), "{now:#}");
    let text = world.run(["sync", "now"]).exits(0).stdout;
    assert!(text.contains(&due) && !text.contains("nothing waits"), "{text}");
    assert_eq!(last_attempt(&world).unwrap().outcome, "waiting");
}

#[test]
fn revoked_login_is_refused_although_nothing_waits() {
    let server = ScriptedServer::start(|asked| match asked.path.as_str() {
        "/oauth/token" => Reply::json(400, &json!({"error": "invalid_grant"})),
        _ => Reply::json(401, &json!({"error": "unauthorized", "error_code": "auth_expired"})),
    });
    let world = logged_in(&server.url());
    let now = world.run(["sync", "now", "--json"]).exits(2).json();
    assert_eq!(now["error_code"], "SAAS_SYNC_UNAUTHENTICATED", "{now:#}");
    assert_ne!(now["result"], "nothing_to_do");
    // The queue is the account's still; its login is not.
    world.write_session(&session(&server.url(), USER, TEAM));
    let attempt = last_attempt(&world).unwrap();
    assert!(attempt.failed && attempt.token_refused, "{attempt:?}");
    assert_eq!(attempt.outcome, "login_ended");
}

#[test]
fn unreachable_server_is_no_failure_while_nothing_waits() {
    let closed = ScriptedServer::start(|_| Reply::html(200, ""));
    let url = closed.url();
    drop(closed);
    let world = logged_in(&url);
    let now = world.run(["sync", "now", "--json"]).exits(0).json();
    assert_eq!((&now["result"], &now["server"]), (&"nothing_to_do".into(), &"unreachable".into()));
    let text = world.run(["sync", "now"]).exits(0).stdout;
    assert!(text.contains("server    : unreachable"), "{text}");
    let attempt = last_attempt(&world).unwrap();
    assert!(attempt.failed && !attempt.token_refused, "{attempt:?}");
    assert_eq!(attempt.outcome, "unreachable");

    world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
    let now = world.run(["sync", "now", "--json"]).exits(1).json();
    assert_eq!(now["stopped"]["reason"], "unreachable", "{now:#}");
}

#[cfg(unix)]
#[test]
fn delivery_by_the_daemon_a_moment_ago_is_said() {
    let (mut world, server) = testkit::host::with_server(BINARY);
    world.unset("SPEC_KITTY_NO_DAEMON");
    let _daemons = testkit::daemon::Daemons::of(&world);
    world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
    testkit::patience::eventually("the daemon delivers", || !server.event_ids().is_empty());
    testkit::patience::eventually("the daemon has recorded it", || last_attempt(&world).is_some());
    let now = world.run(["sync", "now", "--json"]).exits(0).json();
    assert!(now["daemon_delivery"]["events"].as_u64().unwrap() > 0, "{now:#}");
    let text = world.run(["sync", "now"]).exits(0).stdout;
    assert!(text.contains("daemon    : delivered"), "{text}");
}
