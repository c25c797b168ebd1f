//! Failures of the server's own store: the client gets an answer without details, and the log has the reason.

use crate::worlds::fresh;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;
use testkit::ServerStore;

#[test]
fn store_failure_is_logged_and_hidden_from_the_client() {
    let world = fresh();
    let data = world.user_home().join("server-data");
    let data = data.to_str().unwrap();
    let store = ServerStore::of(&world);
    store.administer(&world, &["server", "user", "add", "--email", "dev@example.com"], 0);
    let issue = ["server", "token", "add", "--email", "dev@example.com", "--label", "test"];
    let issued = store.administer(&world, &issue, 0);
    let token = issued["token"].as_str().unwrap();

    let mut command = world.command();
    command.args(["server", "--data", data, "--listen", "127.0.0.1:0", "--quiet"]);
    let mut server = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let url = ready.trim().strip_prefix("listening on ").unwrap();

    let store = std::fs::read_dir(data).unwrap().flatten().map(|entry| entry.path());
    let store = store.into_iter().find(|path| path.extension().is_some_and(|end| end == "db")).unwrap();
    let store = rusqlite::Connection::open(store).unwrap();
    store.execute_batch("PRAGMA foreign_keys = OFF; DROP TABLE events").unwrap();
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let inspect = agent.get(format!("{url}/api/v1/inspect/events"));
    let mut answer = inspect.header("Authorization", format!("Bearer {token}")).call().unwrap();
    assert_eq!(answer.status().as_u16(), 503);
    let body = answer.body_mut().read_to_string().unwrap();
    assert!(!body.contains("events"), "{body}");

    server.kill().unwrap();
    let mut told = String::new();
    server.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    server.wait().unwrap();
    let line: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    assert_eq!((&line["level"], &line["message"]), (&"ERROR".into(), &"the store failed".into()), "{told}");
    assert!(line["error"].as_str().unwrap().contains("events"), "{told}");
    assert!(!told.contains(token));
}

#[test]
fn proxy_without_a_public_url_is_warned_of_at_the_start() {
    let world = fresh();
    let data = world.user_home().join("server-data");
    let mut command = world.command();
    command.args(["server", "--listen", "127.0.0.1:0", "--quiet", "--trusted-proxy", "127.0.0.1", "--data"]);
    let mut server = command.arg(data).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    server.kill().unwrap();
    let mut told = String::new();
    server.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    server.wait().unwrap();
    let line: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    assert_eq!(line["level"], "WARN", "{told}");
    assert!(line["message"].as_str().unwrap().contains("--public-url"), "{told}");
}
