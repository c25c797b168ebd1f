//! The daemon that really delivers: the gate before every drain, and never under another account.
#![cfg(unix)]

use crate::common::{Bench, eventually, is_alive};
use contract::Scope;
use serde_json::json;
use std::path::{Path, PathBuf};
use testkit::listener::CountingListener;
use testkit::reference_queue::{PROJECT, ReferenceQueue};
use testkit::world::session;

const USER: &str = "dev@example.com";
const TEAM: &str = "team-PRIV-01";

/// Logged in at a server that counts connections and never answers, with rows of an opted-in project.
fn with_rows() -> (Bench, CountingListener, PathBuf) {
    let server = CountingListener::start();
    let mut bench = Bench::logged_out();
    bench.set("DAEMON_BENCH_DELIVERER", "1");
    bench.world.write_config(&format!(
        "[sync]\nserver_url = \"{}\"\n\n[sync.projects.\"{PROJECT}\"]\nenabled = true\n",
        server.url()
    ));
    bench.world.write_session(&session(&server.url(), USER, TEAM));
    let queue = bench.world.home().scoped_queue(&Scope::new(&server.url(), USER, TEAM));
    ReferenceQueue::create(&queue).event("01KRX11MAAAAAAAAAAAAAAAAAA", Some(TEAM));
    (bench, server, queue)
}

fn rows(queue: &Path) -> u64 {
    let counts =
        queue::observe_counts(queue, &|_: &queue::RowOrigin| contract::Consent::ALWAYS).expect("counts");
    counts.events
}

#[test]
fn coherent_daemon_keeps_rows_its_server_does_not_accept() {
    let (bench, server, queue) = with_rows();
    bench.start();
    eventually("it has knocked", || server.connections() > 0);
    let outcome = bench.ok(&["drain"])["outcome"].take();
    assert_eq!(outcome["result"], "drained", "{outcome}");
    assert_eq!(
        (outcome["delivered"].as_u64(), outcome["remaining"].as_u64()),
        (Some(0), Some(1)),
        "{outcome}"
    );
    assert!(outcome["stopped"].is_string() && outcome["retry_after_ms"].is_u64(), "{outcome}");
    assert_eq!(rows(&queue), 1);
    bench.ok(&["stop"]);
}

#[test]
fn mismatched_record_stops_sending() {
    let (mut bench, server, queue) = with_rows();
    // Nothing may leave before the record is broken: the project is opted in only afterwards.
    let config = std::fs::read_to_string(bench.world.home().config_file()).unwrap();
    bench.world.write_config(&config.replace("enabled = true", "enabled = false"));
    bench.set("DAEMON_BENCH_CHECK_MS", "600000");
    bench.start();
    let mut record = bench.record();
    record["package_version"] = json!("1.0.0");
    record["server_url"] = json!("https://elsewhere.example");
    bench.write_record(&record);
    bench.world.write_config(&config);
    let outcome = bench.ok(&["drain"])["outcome"].take();
    assert_eq!(
        outcome,
        json!({ "result": "refused", "names": ["daemon_package_version", "daemon_server_url"] })
    );
    assert_eq!((server.connections(), rows(&queue)), (0, 1));
}

#[test]
fn changed_login_ends_the_daemon_before_sending() {
    let (bench, server, queue) = with_rows();
    let config = std::fs::read_to_string(bench.world.home().config_file()).unwrap();
    bench.world.write_config(&config.replace("enabled = true", "enabled = false"));
    let pid = bench.start();
    bench.world.write_session(&session(&server.url(), "other@example.com", "team-2"));
    bench.world.write_config(&config);
    let answer = bench.ok(&["drain"]);
    assert!(answer["outcome"].is_null() || answer["outcome"]["result"] == "scope_changed", "{answer}");
    eventually("it retires", || !is_alive(pid));
    let stops = bench.ok(&["status"])["stops"].take();
    assert_eq!(stops[0]["reason"], "scope_changed", "{stops}");
    assert!(stops[0]["now"].as_str().unwrap().ends_with("|other@example.com|team-2"), "{stops}");
    assert_eq!((server.connections(), rows(&queue)), (0, 1));
}

#[test]
fn logout_ends_the_daemon_and_unreadable_session_pauses_it() {
    let (mut bench, server, queue) = with_rows();
    let config = std::fs::read_to_string(bench.world.home().config_file()).unwrap();
    bench.world.write_config(&config.replace("enabled = true", "enabled = false"));
    bench.set("DAEMON_BENCH_CHECK_MS", "50");
    let pid = bench.start();
    let session_file = bench.world.home().session_file();
    let session = std::fs::read(&session_file).unwrap();
    std::fs::write(&session_file, "{").unwrap();
    bench.world.write_config(&config);
    let outcome = bench.ok(&["drain"])["outcome"].take();
    assert_eq!(outcome["result"], "refused", "{outcome}");
    assert!(outcome["names"].as_array().unwrap().contains(&json!("session_unreadable")), "{outcome}");
    assert!(is_alive(pid), "the login is unreadable: it waits");
    std::fs::write(&session_file, session).unwrap();
    std::fs::remove_file(&session_file).unwrap();
    eventually("it retires", || !is_alive(pid));
    assert_eq!(bench.stop_reasons(), ["scope_changed"]);
    assert_eq!((server.connections(), rows(&queue)), (0, 1));
}

/// A clock that jumps ahead makes a good login look expired; no other login exists, so the daemon stays.
#[test]
fn login_expired_by_clock_pauses_the_daemon() {
    let (bench, server, queue) = with_rows();
    let config = std::fs::read_to_string(bench.world.home().config_file()).unwrap();
    bench.world.write_config(&config.replace("enabled = true", "enabled = false"));
    let pid = bench.start();
    let good = session(&server.url(), USER, TEAM);
    let expired = identity::Session {
        access_token_expires_at: "2020-01-01T00:00:00Z".parse().unwrap(),
        refresh_token_expires_at: Some("2020-01-01T00:00:00Z".parse().unwrap()),
        ..good.clone()
    };
    bench.world.write_session(&expired);
    bench.world.write_config(&config);
    let outcome = bench.ok(&["drain"])["outcome"].take();
    assert_eq!(outcome, json!({ "result": "refused", "names": ["auth_absent"] }));
    assert_eq!((server.connections(), rows(&queue), is_alive(pid)), (0, 1, true));
    // The clock is right again.
    bench.world.write_session(&good);
    let outcome = bench.ok(&["drain"])["outcome"].take();
    assert_eq!(outcome["result"], "drained", "{outcome}");
    assert!(server.connections() > 0, "it knocks");
    bench.ok(&["stop"]);
}
