//! Operations: health, metrics, logs, start and stop.

use super::client::{raw, send};
use super::world::{EMAIL, TEAM, World, event, hasty, statuses};
use contract::wire::endpoint;
use serde_json::Value;
use server::{Admin, Handle, ServerConfig, ServerError, ServerLimits};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn operator_routes_need_no_login() {
    let world = World::new();
    let get = |path: &str| send(world.address(), "GET", path, &[], &[]);
    assert_eq!((get("/healthz").status, get("/readyz").status), (200, 200));
    let overview = get("/");
    assert!(overview.text().contains("This sync server is running"));
    assert!(!overview.text().contains(EMAIL) && !overview.text().contains(TEAM));
    assert!(get("/metrics").text().contains("spec_kitty_requests_total{route=\"events_batch\"} 0\n"));
    assert_eq!(send(world.address(), "HEAD", "/", &[], &[]).status, 200);
}

#[test]
fn private_metrics_show_no_counts() {
    let data = tempfile::tempdir().unwrap();
    Admin::open(data.path()).unwrap();
    let mut config = ServerConfig::new(data.path());
    config.private_metrics = true;
    let server = Handle::start(config).unwrap();
    let get = |path: &str| send(server.address(), "GET", path, &[], &[]);
    let metrics = get(endpoint::METRICS);
    assert_eq!((metrics.status, &metrics.json()["error_code"]), (404, &"not_found".into()));
    let overview = get("/");
    assert_eq!(overview.status, 200);
    let text = overview.text();
    assert!(text.contains("Events in a batch"), "limits are no counts: {text}");
    for hidden in ["Stored", "Since the start", "Accounts", "Client requests", "/metrics"] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
    assert_eq!((get("/healthz").status, get("/readyz").status), (200, 200));
    server.stop().unwrap();
}

#[test]
fn client_counters_ignore_operator_requests() {
    let world = World::new();
    let token = world.token();
    send(world.address(), "GET", "/metrics", &[], &[]);
    send(world.address(), "GET", "/healthz", &[], &[]);
    assert_eq!(world.client_requests(), 0);
    assert_eq!(statuses(&world.batch(&token, TEAM, &[event(1)])), ["success"]);
    let batches = world.counter("requests_total{route=\"events_batch\"}");
    assert_eq!((world.client_requests(), batches), (1, 1));
}

#[test]
fn unknown_routes_and_methods_are_json_errors() {
    let world = World::new();
    for path in ["/api/v1/tracker/status/", "/api/v1/events/batch", "/ws", "/%2e%2e/etc/passwd"] {
        let answer = send(world.address(), "POST", path, &[], b"{\"team_id\": \"x\"}");
        assert_eq!((answer.status, &answer.json()["error_code"]), (404, &"not_found".into()), "{path}");
    }
    let wrong = send(world.address(), "GET", endpoint::EVENTS_BATCH, &[], &[]);
    assert_eq!((wrong.status, &wrong.json()["error_code"]), (405, &"method_not_allowed".into()));
    assert!(wrong.header("allow").is_some_and(|allow| allow.contains("POST")));
    let upgrade = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")];
    assert_eq!(send(world.address(), "GET", "/ws?token=x", &upgrade, &[]).status, 404);
}

#[test]
fn access_log_has_a_line_and_no_secret() {
    let mut world = World::with(ServerLimits::default(), hasty());
    let grant = world.login();
    let ci = world.token();
    let access = grant["access_token"].as_str().unwrap().to_owned();
    world.get(&access, "/api/v1/inspect/events?project=s3cret-query");
    world.batch(&ci, TEAM, &[event(1), Value::Null]);
    world.batch("s3cret-bearer", TEAM, &[event(1)]);
    let (requests, secret) = (world.client_requests(), world.secret.clone());
    world.stop();
    let log = world.log.text();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    let of_clients = lines.iter().filter(|line| line["path"] != "/metrics");
    assert_eq!(of_clients.count() as u64, requests, "{log}");
    let refresh = grant["refresh_token"].as_str().unwrap();
    for secret in [access.as_str(), refresh, &ci, &secret, "s3cret", "skd_", "skp_"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    let batch = lines.iter().find(|line| line["events"].is_object()).expect("the batch's line");
    assert_eq!(batch["events"], serde_json::json!({"stored": 1, "duplicate": 0, "rejected": 1}));
    assert_eq!((&batch["team"], &batch["status"]), (&TEAM.into(), &200.into()));
    assert!(lines.iter().any(|line| line["refusal"] == "auth_expired"));
    assert!(lines.iter().all(|line| line["request_id"].as_str().is_some_and(|id| id.len() == 26)));
}

#[test]
fn stop_finishes_running_requests_only() {
    let mut world = World::new();
    let (address, token) = (world.address(), world.token());
    let body = serde_json::json!({"events": [event(1)]}).to_string();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nX-Team-Slug: {TEAM}\r\n\
         Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        endpoint::EVENTS_BATCH,
        body.len()
    );
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    // The server asks for the body: the request runs.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    let stopping = std::thread::spawn(move || {
        world.stop();
        world
    });
    while TcpStream::connect(address).is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"success\""), "{answer}");
    let mut world = stopping.join().unwrap();
    world.start();
    assert_eq!(world.held_events(&token).len(), 1);
}

#[test]
fn sessions_and_events_survive_a_restart() {
    let mut world = World::with(ServerLimits::default(), hasty());
    let grant = world.login();
    let access = grant["access_token"].as_str().unwrap().to_owned();
    world.batch(&access, TEAM, &[event(1)]);
    world.stop();
    world.start();
    assert_eq!(statuses(&world.batch(&access, TEAM, &[event(1), event(2)])), ["duplicate", "success"]);
    assert_eq!(world.refresh(grant["refresh_token"].as_str().unwrap()).status, 200);
}

#[test]
fn second_server_on_the_same_data_is_refused() {
    let world = World::in_directory(ServerLimits::default(), hasty());
    let second = Handle::start(ServerConfig::new(world.data.path())).unwrap_err();
    assert!(matches!(second, ServerError::InUse(_)), "{second}");
    let mut open = ServerConfig::new(world.data.path().join("other"));
    open.listen = "0.0.0.0:0".parse().unwrap();
    let refused = Handle::start(open).unwrap_err();
    assert!(matches!(refused, ServerError::NotLoopback(_)), "{refused}");
    let mut taken = ServerConfig::new(world.data.path().join("other"));
    taken.listen = world.address();
    let busy = Handle::start(taken).unwrap_err();
    assert!(matches!(busy, ServerError::Listen(..)), "{busy}");
    for error in [second, refused, busy] {
        assert!(!error.remedy().hint().is_empty());
    }
}

#[test]
fn newer_or_foreign_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(Admin::open(directory.path()).unwrap());
    let path = directory.path().join("server.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(connection);
    let newer = Handle::start(ServerConfig::new(directory.path())).unwrap_err();
    assert!(matches!(newer, ServerError::NewerSchema { found: 99, .. }), "{newer}");

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.db");
    std::fs::write(&path, "this is no database, and long enough to be looked at").unwrap();
    let broken = Handle::start(ServerConfig::new(directory.path())).unwrap_err();
    assert!(
        matches!(broken, ServerError::Database(..)) && broken.to_string().contains("server.db"),
        "{broken}"
    );
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("this is no database"));
    let file = directory.path().join("a file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(Handle::start(ServerConfig::new(file)).unwrap_err(), ServerError::DataDir(..)));
}

#[test]
fn slow_and_endless_heads_do_not_block() {
    let limits = ServerLimits {
        head_timeout: Duration::from_millis(800),
        body_timeout: Duration::from_millis(800),
        connections: 4,
        ..ServerLimits::default()
    };
    let world = World::with(limits, hasty());
    let token = world.token();
    // As many silent clients as there are places; they must be disconnected before this answer.
    let silent: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(world.address()).unwrap()).collect();
    assert_eq!(send(world.address(), "GET", "/healthz", &[], &[]).status, 200);
    drop(silent);
    let authorization = format!("Authorization: Bearer {token}");
    let announced = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\n{authorization}\r\nX-Team-Slug: {TEAM}\r\nContent-Length: 500\r\n\r\nhalf",
        endpoint::EVENTS_BATCH
    );
    assert_eq!(raw(world.address(), announced.as_bytes()).expect("an answer").status, 408);
    let endless = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(200_000));
    let answer = raw(world.address(), endless.as_bytes());
    assert!(answer.is_none_or(|answer| answer.status == 431));
    let many: String = (0..500).map(|n| format!("X-{n}: y\r\n")).collect();
    let answer = raw(world.address(), format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n").as_bytes());
    assert!(answer.is_none_or(|answer| answer.status == 431));
    assert_eq!(statuses(&world.batch(&token, TEAM, &[event(1)])), ["success"]);
}
