//! Reports of `sync now` about rows that wait, about a refused login and about a daemon that was faster; and
//! what it keeps about its attempts.

use crate::worlds::{fresh, with_server};
use queue::{LastAttempt, observe_counts};
use rusqlite::Connection;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use testkit::World;
use testkit::reference_queue::{PROJECT, ReferenceQueue};
use testkit::scripted::{Reply, ScriptedServer};
use testkit::world::{TEAM, USER, session};

fn queue_path(world: &World) -> PathBuf {
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    status["active_queue"]["path"].as_str().unwrap().into()
}

fn last_attempt(world: &World) -> Option<LastAttempt> {
    let undecided = |_: &queue::RowOrigin| contract::Consent::Unset;
    observe_counts(&queue_path(world), &undecided).unwrap().last_attempt
}

/// A world that is logged in, by a session, at `server`.
fn logged_in(server: &str) -> World {
    let world = fresh();
    world.log_in_at(server);
    world.init_project();
    world
}

#[test]
fn waiting_bodies_are_named_with_the_time_of_their_next_attempt() {
    let (world, _server) = with_server();
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
    let server = ScriptedServer::start(|asked, _| match asked.path.as_str() {
        "/oauth/token" => Reply::json(400, json!({"error": "invalid_grant"})),
        _ => Reply::json(401, json!({"error": "unauthorized", "error_code": "auth_expired"})),
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
    let closed = ScriptedServer::start(|_, _| Reply::text(200, ""));
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
fn recent_delivery_by_the_daemon_is_reported() {
    let (mut world, server) = with_server();
    world.allow_daemon();
    world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
    testkit::patience::eventually("the daemon delivers", || !server.event_ids().is_empty());
    testkit::patience::eventually("the daemon has recorded it", || last_attempt(&world).is_some());
    let now = world.run(["sync", "now", "--json"]).exits(0).json();
    assert!(now["daemon_delivery"]["events"].as_u64().unwrap() > 0, "{now:#}");
    let text = world.run(["sync", "now"]).exits(0).stdout;
    assert!(text.contains("daemon    : delivered"), "{text}");
}

/// Writes the record of a daemon's delivery.
fn record_daemon_delivery(queue: &Path, seconds_ago: i64, events: u64) {
    let at = jiff::Timestamp::now().as_second() - seconds_ago;
    let value = json!({"at": at, "events": events, "bodies": 0}).to_string();
    let queue = Connection::open(queue).unwrap();
    let set = "INSERT OR REPLACE INTO meta(key, value) VALUES ('daemon_delivery', ?1)";
    queue.execute(set, [value]).unwrap();
}

/// A server that is asked after the command has looked at the queue and before the command has ended: the daemon
/// delivers in between.
#[test]
fn delivery_by_the_daemon_meanwhile_replaces_an_older_one() {
    let queue = Arc::new(OnceLock::<PathBuf>::new());
    let known = Arc::clone(&queue);
    let server = ScriptedServer::start(move |_, _| {
        if let Some(queue) = known.get() {
            record_daemon_delivery(queue, 0, 9);
        }
        Reply::json(200, json!({"status": "ok", "sync_ingress": {"limits": {}}}))
    });
    let world = logged_in(&server.url());
    world.run(["sync", "now"]).exits(0);
    let path = queue_path(&world);
    record_daemon_delivery(&path, 59, 7);
    queue.set(path).unwrap();
    let now = world.run(["sync", "now", "--json"]).json();
    let delivery = &now["daemon_delivery"];
    assert_eq!((&delivery["events"], &now["result"]), (&9.into(), &"nothing_to_do".into()), "{now:#}");
    assert!(delivery["seconds_ago"].as_i64().unwrap() < 59, "{now:#}");
}

#[test]
fn stopped_delivery_names_no_earlier_one_of_the_daemon() {
    let closed = ScriptedServer::start(|_, _| Reply::text(200, ""));
    let url = closed.url();
    drop(closed);
    let world = logged_in(&url);
    world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
    record_daemon_delivery(&queue_path(&world), 5, 7);
    let text = world.run(["sync", "now"]).exits(1).stdout;
    assert!(text.contains("stopped   : ") && !text.contains("daemon    : "), "{text}");
}

/// The lines of `sync status --check` after the identity block.
fn after_block(text: &str) -> Vec<&str> {
    let lines: Vec<_> = text.lines().collect();
    let last = lines.iter().position(|line| line.starts_with("  Boundary        : ")).expect("the last line");
    lines[last + 1..].to_vec()
}

#[test]
fn status_shows_a_failed_attempt_in_text_and_json() {
    let closed = ScriptedServer::start(|_, _| Reply::text(200, ""));
    let url = closed.url();
    drop(closed);
    let world = logged_in(&url);
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    assert!(status["last_attempt"].is_null(), "{status:#}");
    let check = world.run(["sync", "status", "--check"]).exits(0).stdout;
    assert!(check.contains("\n  Boundary        : coherent\n") && after_block(&check).is_empty(), "{check}");

    world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
    world.run(["sync", "now"]).exits(1);
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    let (attempt, kept) = (&status["last_attempt"], last_attempt(&world).unwrap());
    assert_eq!((&attempt["outcome"], &attempt["failed"]), (&"unreachable".into(), &true.into()), "{attempt}");
    let at = jiff::Timestamp::from_second(kept.at).unwrap().to_string();
    assert_eq!((&attempt["at"], &attempt["by"]), (&at.as_str().into(), &"command".into()), "{attempt}");
    let line = format!("Last attempt  : unreachable at {at}: {}", kept.detail);
    let text = world.run(["sync", "status"]).exits(0).stdout;
    assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    let check = world.run(["sync", "status", "--check"]).exits(0).stdout;
    assert_eq!(after_block(&check), [line.as_str()], "{check}");
    let doctor = world.run(["sync", "doctor", "--offline"]).stdout;
    assert!(doctor.contains(&format!("unreachable at {at}")), "{doctor}");
}

#[test]
fn refused_login_is_a_warning_until_another_one_is_stored() {
    let server = ScriptedServer::start(|asked, _| match asked.path.as_str() {
        "/oauth/token" => Reply::json(400, json!({"error": "invalid_grant"})),
        _ => Reply::json(401, json!({"error": "unauthorized", "error_code": "auth_expired"})),
    });
    let mut world = logged_in(&server.url());
    let warning = |world: &World| {
        let status = world.run(["sync", "status", "--json"]).exits(0).json();
        let warnings = status["warnings"].as_array().unwrap().clone();
        warnings.into_iter().find(|warning| warning["code"] == "login_refused")
    };
    world.run(["sync", "now"]).exits(2);
    // A copy of the refused session is restored, with its modification time.
    let attempt = last_attempt(&world).unwrap_or_else(|| {
        world.write_session(&session(&server.url(), USER, TEAM));
        last_attempt(&world).unwrap()
    });
    let stored_at = |seconds: i64| {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds.try_into().unwrap());
        let file = std::fs::File::options().write(true).open(world.home().session_file()).unwrap();
        file.set_modified(time).unwrap();
    };
    stored_at(attempt.at - 60);
    let said = warning(&world).expect("a warning");
    assert_eq!(said["remediation_hint"], "spec-kitty auth login", "{said:#}");
    let check = world.run(["sync", "status", "--check"]).exits(0).stdout;
    assert!(check.contains("warning: the server refused the login at "), "{check}");
    let doctor = world.run(["sync", "doctor", "--offline", "--json"]).exits(1).json();
    assert!(doctor.to_string().contains("login_refused"), "{doctor:#}");

    stored_at(attempt.at + 60);
    assert_eq!(warning(&world), None);

    world.set("SPEC_KITTY_TOKEN", "skp_YXxi.secret").set("SPEC_KITTY_SERVER_URL", &server.url());
    world.run(["sync", "now"]).exits(2);
    let said = warning(&world).expect("a warning");
    assert!(said["text"].as_str().unwrap().contains("the CI token"), "{said:#}");
    assert!(said["remediation_hint"].as_str().unwrap().contains("SPEC_KITTY_TOKEN"), "{said:#}");
}

#[test]
fn boundary_line_counts_the_reasons() {
    let world = fresh();
    world.init_project();
    world.write_config("[sync]\nserver_url = \"https://example.invalid\"\n");
    let check = world.run(["sync", "status", "--check"]).exits(2).stdout;
    assert!(check.contains("\n  Boundary        : refused (1 reasons)\n"), "{check}");
    world.write_state("sync/daemon/owner.json", b"no record");
    let check = world.run(["sync", "status", "--check"]).exits(2).stdout;
    assert!(check.contains("\n  Boundary        : refused (2 reasons)\n"), "{check}");
    world.write_config("[sync\n");
    let check = world.run(["sync", "status", "--check"]).exits(2).stdout;
    assert!(check.contains("\n  Boundary        : refused (3 reasons)\n"), "{check}");
}

#[test]
fn stopped_project_is_named_by_its_slug() {
    let server = ScriptedServer::start(|asked, _| match asked.path.as_str() {
        path if path.contains("health") => {
            Reply::json(200, json!({"status": "ok", "sync_ingress": {"limits": {}}}))
        }
        _ => Reply::json(403, json!({"error": "not yours"})),
    });
    let world = logged_in(&server.url());
    ReferenceQueue::create(&world.root().join("queue.db")).event("01KRX0000000000000000000A1", None);
    world.run(["sync", "migrate"]).exits(0);
    world.run(["sync", "opt-in", "--project", PROJECT, "--include-held", "--yes"]).exits(0);
    let now = world.run(["sync", "now", "--json"]).exits(1).json();
    assert_eq!(now["stopped_projects"][0]["repo_slug"], "acme/widgets", "{now:#}");
    let text = world.run(["sync", "now"]).exits(1).stdout;
    assert!(text.contains(&format!("stopped   : acme/widgets ({PROJECT}): ")), "{text}");
}
