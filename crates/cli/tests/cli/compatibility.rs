//! The claims of docs/compatibility.md that decide the destination of rows and whether a command acts, proven from state
//! that these tests write in the formats of the reference. The recorded homes prove them again, and more.
#![cfg(unix)]

use crate::worlds::{ANOTHER, EVENT, count, fresh, logged_in, scoped, with_server};
use contract::Scope;
use rstest::rstest;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use testkit::World;
use testkit::owner::{agreeing, failing_names, stand_in};
use testkit::reference_queue::{PROJECT, ReferenceQueue};
use testkit::tree::{difference, snapshot};
use testkit::world::{TEAM, USER};

fn status(world: &World) -> Value {
    world.run(["sync", "status", "--json"]).exits(0).json()
}

/// Credentials of a release before sessions.
const CREDENTIALS: &str =
    "[user]\nusername = \"dev@example.com\"\n[server]\nurl = \"https://example.invalid\"\n";

#[test]
fn old_credentials_give_a_queue_but_no_login() {
    let world = fresh();
    world.write(&world.home().credentials_file(), CREDENTIALS);
    let status = status(&world);
    assert_eq!((&status["auth_required"], &status["auth_present"]), (&true.into(), &false.into()));
    assert_eq!(failing_names(&status), ["auth_absent"], "{status:#}");
    let queue = status["active_queue"]["path"].as_str().unwrap();
    assert!(queue.contains("/queues/queue-"), "{queue}");
}

#[test]
fn rows_of_a_logged_out_home_are_not_legacy_rows() {
    let world = fresh();
    ReferenceQueue::create(&world.root().join("queue.db")).event(EVENT, None).body("spec.md", "# Spec\n");
    let status = status(&world);
    assert_eq!(status["active_queue"]["event_count"], 1, "{status:#}");
    assert_eq!(status["legacy_queue"]["rows_in_scope"], 0, "{status:#}");
}

#[rstest]
#[case::mode_0644(|world: &World| {
    let mode = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(world.home().session_file(), mode).unwrap();
})]
#[case::salt_missing(|world: &World| std::fs::remove_file(world.home().session_salt()).unwrap())]
#[case::version_1(|world: &World| {
    std::fs::write(world.home().session_file(), "{\"version\": 1, \"email\": \"dev@example.com\"}").unwrap();
})]
fn unreadable_session_is_a_fault_and_never_another_queue(#[case] damage: fn(&World)) {
    let world = logged_in();
    damage(&world);
    let status = status(&world);
    assert_eq!(failing_names(&status), ["auth_absent", "session_unreadable"], "{status:#}");
    assert_eq!(status["foreground"]["queue_db_path"], Value::Null, "{status:#}");
}

#[rstest]
#[case::empty(b"")]
#[case::truncated(b"{\"pid\": 1")]
#[case::array(b"[]")]
#[case::byte_order_mark(b"\xef\xbb\xbf{}")]
#[case::not_utf8(b"{\"pid\": \"\xff\"}")]
fn owner_record_that_is_not_one_is_a_fault(#[case] bytes: &[u8]) {
    let world = logged_in();
    world.write_state("sync/daemon/owner.json", bytes);
    assert_eq!(failing_names(&status(&world)), ["owner_record_unreadable"]);
}

#[rstest]
#[case::pid_as_text("pid", json!("4242"))]
#[case::pid_as_fraction("pid", json!(4242.5))]
#[case::pid_null("pid", Value::Null)]
#[case::port_as_text("port", json!("x"))]
#[case::server_null("server_url", Value::Null)]
fn owner_record_with_a_wrong_value_is_a_fault(#[case] key: &str, #[case] value: Value) {
    let world = logged_in();
    let mut record: Value = serde_json::from_str(&agreeing(&world, stand_in()).render()).unwrap();
    record[key] = value;
    world.write_state("sync/daemon/owner.json", record.to_string().as_bytes());
    assert_eq!(failing_names(&status(&world)), ["owner_record_unreadable"], "{record:#}");
}

#[rstest]
#[case::trailing_slash("https://example.invalid/")]
#[case::case_of_the_host("https://Example.INVALID")]
fn owner_record_with_another_spelling_of_the_server_agrees(#[case] url: &str) {
    let world = logged_in();
    let mut record = agreeing(&world, stand_in());
    record.server_url = url.to_owned();
    testkit::owner::write(&world, &record);
    assert_eq!(failing_names(&status(&world)), [""; 0]);
}

#[test]
fn legacy_rows_go_to_the_account_that_owns_them() {
    let world = logged_in();
    let queue = ReferenceQueue::create(&world.root().join("queue.db"));
    queue.event(EVENT, None).event(ANOTHER, Some("team-other"));
    world.run(["sync", "migrate"]).exits(0);
    let ids: String = scoped(&world).query_row("SELECT event_id FROM queue", [], |row| row.get(0)).unwrap();
    assert_eq!(ids, EVENT);
    let left = rusqlite::Connection::open(queue.path()).unwrap();
    let id: String = left.query_row("SELECT event_id FROM queue", [], |row| row.get(0)).unwrap();
    assert_eq!(id, ANOTHER, "the row of the other team stays for its account");
    assert_eq!(failing_names(&status(&world)), [""; 0]);
}

/// Releases before 0.4.8 named the column of the mission `feature_slug`.
#[test]
fn body_rows_with_the_older_column_name_are_moved() {
    let world = logged_in();
    let queue = ReferenceQueue::create(&world.root().join("queue.db"));
    queue.event(EVENT, Some(TEAM)).body("spec.md", "# Spec\n");
    let db = rusqlite::Connection::open(queue.path()).unwrap();
    db.execute_batch("ALTER TABLE body_upload_queue RENAME COLUMN mission_slug TO feature_slug").unwrap();
    world.run(["sync", "migrate"]).exits(0);
    assert_eq!(count(&scoped(&world), "body_upload_queue"), 1);
    assert_eq!(failing_names(&status(&world)), [""; 0]);
}

#[test]
fn same_key_with_other_content_is_parked_and_not_dropped() {
    let world = logged_in();
    let here = ReferenceQueue::create(&world.home().scoped_queue(&world.scope()));
    here.event(EVENT, Some(TEAM));
    let legacy = ReferenceQueue::create(&world.root().join("queue.db"));
    legacy.event(EVENT, Some(TEAM));
    let changed = "UPDATE queue SET data = replace(data, 'planned', 'blocked')";
    rusqlite::Connection::open(legacy.path()).unwrap().execute(changed, []).unwrap();
    world.run(["sync", "migrate"]).exits(0);
    let parked = world.run(["sync", "parked", "list", "--json"]).exits(0).json();
    assert_eq!(parked["rows"][0]["reason"], "conflict", "{parked:#}");
    let db = scoped(&world);
    let kept: String = db.query_row("SELECT data FROM queue", [], |row| row.get(0)).unwrap();
    let aside: String = db.query_row("SELECT payload FROM parked", [], |row| row.get(0)).unwrap();
    assert!(kept.contains("\"planned\"") && aside.contains("\"blocked\""), "{kept}\n{aside}");
}

#[test]
fn damaged_legacy_queue_is_a_fault_and_not_zero_rows() {
    let world = logged_in();
    world.write_state("queue.db", b"not a database, and not empty");
    assert_eq!(failing_names(&status(&world)), ["legacy_queue_unreadable"]);
}

#[test]
fn foreign_rows_are_held_until_their_project_is_opted_in() {
    let (world, server) = with_server();
    let queue = world.home().scoped_queue(&Scope::new(&server.url(), USER, &server.team));
    ReferenceQueue::create(&queue).event(EVENT, None);
    world.run(["sync", "now"]).exits(0);
    assert_eq!(server.event_ids(), [""; 0], "held");
    world.run(["sync", "opt-in", "--project", PROJECT, "--include-held", "--yes"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    assert_eq!(server.event_ids(), [EVENT]);
}

#[test]
fn status_moves_no_legacy_rows() {
    let world = logged_in();
    ReferenceQueue::create(&world.root().join("queue.db")).event(EVENT, Some(TEAM));
    let before = snapshot(&world.root());
    assert_eq!(failing_names(&status(&world)), ["legacy_rows_in_scope"]);
    assert_eq!(difference(&before, &snapshot(&world.root())), [""; 0]);
}
