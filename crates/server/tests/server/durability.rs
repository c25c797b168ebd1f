//! A server process that is killed or stopped between requests loses nothing it acknowledged.

use super::client::send;
use super::world::{EMAIL, TEAM, event};
use contract::wire::endpoint;
use serde_json::json;
use server::{Admin, ServerConfig, Shutdown, serve};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Set for the process that only serves; holds the data directory.
const CHILD: &str = "SPEC_KITTY_TEST_SERVER_DATA";
const READY: &str = "listening on ";

/// Not a test of its own: the server process of the test below runs it, by name.
#[test]
#[ignore = "no test: the body of the server process that the durability test starts and ends"]
fn serves_for_another_process() {
    let Some(data) = std::env::var_os(CHILD) else { return };
    let mut config = ServerConfig::new(std::path::PathBuf::from(data));
    config.stop_on_signals = true;
    config.on_ready = Some(Box::new(|address| {
        // Past the test harness, which captures the usual output.
        let _ = writeln!(std::io::stderr(), "{READY}{address}");
    }));
    serve(config, Shutdown::new()).expect("a server");
}

fn start(data: &Path) -> (Child, SocketAddr) {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args([
            "--exact",
            "durability::serves_for_another_process",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CHILD, data)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a server process");
    let mut lines = BufReader::new(child.stderr.take().expect("its output")).lines();
    let address = loop {
        let line = lines.next().expect("a line before the end").expect("a line");
        if let Some((_, address)) = line.split_once(READY) {
            break address.trim().parse().expect("an address");
        }
    };
    (child, address)
}

#[test]
fn kill_loses_no_acknowledged_event() {
    for_each_end(|child| child.kill().expect("a kill"));
}

#[test]
fn stop_under_load_loses_no_acknowledged_event() {
    for_each_end(|child| {
        let stopped = Command::new("kill").arg(child.id().to_string()).status();
        assert!(stopped.expect("kill").success());
        assert!(child.wait().expect("its end").success(), "an orderly stop");
    });
}

/// Servers that are ended under load, one after another on the same data.
fn for_each_end(end: impl Fn(&mut Child)) {
    let data = tempfile::tempdir().expect("a directory");
    let admin = Admin::open(data.path()).expect("a store");
    admin.create_account(EMAIL, None, Some(TEAM)).expect("an account");
    let token = admin.issue_ci_token(EMAIL, None, "test").expect("a token").token.expose().to_owned();
    drop(admin);
    let authorization = format!("Bearer {token}");
    let next = AtomicU64::new(0);
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..6 {
        let (mut child, address) = start(data.path());
        let ended = AtomicBool::new(false);
        let sender = || {
            let mut done = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                let first = next.fetch_add(20, Ordering::Relaxed);
                let events: Vec<_> = (first..first + 20).map(event).collect();
                let ids =
                    events.iter().map(|event| event["event_id"].as_str().unwrap_or_default().to_owned());
                let ids: Vec<String> = ids.collect();
                let body = json!({ "events": events }).to_string();
                let headers = [("Authorization", authorization.as_str()), ("X-Team-Slug", TEAM)];
                let asked = std::panic::catch_unwind(|| {
                    send(address, "POST", endpoint::EVENTS_BATCH, &headers, body.as_bytes())
                });
                // A torn answer acknowledges nothing.
                let Ok(answer) = asked else { break };
                let whole: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
                if answer.status == 200 && whole.is_some_and(|answer| answer["results"].as_array().is_some())
                {
                    done.extend(ids);
                }
            }
            done
        };
        std::thread::scope(|scope| {
            let senders: Vec<_> = (0..3).map(|_| scope.spawn(sender)).collect();
            std::thread::sleep(Duration::from_millis(120 + 60 * round));
            end(&mut child);
            ended.store(true, Ordering::Relaxed);
            for sender in senders {
                acknowledged.extend(sender.join().expect("a sender"));
            }
        });
        child.wait().expect("its end");
    }
    assert!(!acknowledged.is_empty(), "the rounds acknowledged nothing");
    let connection = rusqlite::Connection::open(data.path().join("server.db")).expect("a database");
    let mut held = connection.prepare("SELECT event_id FROM events").expect("a query");
    let held: std::collections::HashSet<String> =
        held.query_map([], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("ids");
    let lost: Vec<&String> = acknowledged.iter().filter(|id| !held.contains(*id)).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged events are lost", lost.len(), acknowledged.len());
    let whole: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a result");
    assert_eq!(whole, "ok");
    println!("{} acknowledged events all held after 6 ends", acknowledged.len());
}
