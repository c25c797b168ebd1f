//! Releases up to 3.2.7, recognised by a header: what they leave out and add, and which answers they survive.

use super::client::{Answer, send};
use super::world::{PROJECT, TEAM, World, body_of, event, indexed, statuses};
use contract::wire::endpoint;
use serde_json::{Value, json};
use server::{Lifetimes, ServerLimits};
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;
use testkit::gzip;

const PROTOCOL: (&str, &str) = (endpoint::SYNC_PROTOCOL_HEADER, endpoint::SYNC_PROTOCOL_VERSION);

/// A batch as these releases send it: packed, without a team.
fn batch(world: &World, token: &str, events: &[Value]) -> Answer {
    let body = gzip(json!({ "events": events }).to_string().as_bytes());
    world.post(token, endpoint::EVENTS_BATCH, &[PROTOCOL, ("Content-Encoding", "gzip")], &body)
}

fn preflight(world: &World, token: &str, events: &[Value]) -> Answer {
    let body = json!({"history_action_id": "a", "preview_hash": "h", "events": events}).to_string();
    world.post(token, endpoint::EVENTS_PREFLIGHT, &[PROTOCOL], body.as_bytes())
}

fn push(world: &World, token: &str, push: &Value) -> Answer {
    world.post(token, endpoint::PUSH_CONTENT, &[PROTOCOL], push.to_string().as_bytes())
}

/// An event with the members that these releases add.
fn sent(mut event: Value) -> Value {
    event["type"] = "event".into();
    event["spec_kitty_delivery_identity"] = event["event_id"].clone();
    event["admission_generation"] = 1.into();
    event["binding_audience"] = "local-nonstrict:http://127.0.0.1:8470".into();
    event["drain_blocked_reason"] = Value::Null;
    event
}

fn of_team(n: u64, team: Value) -> Value {
    let mut event = sent(event(n));
    event["team_slug"] = team;
    event
}

/// The cause in a 412, as these releases print it.
fn guidance(answer: &Answer) -> String {
    assert_eq!(answer.status, 412, "{}", answer.text());
    answer.json()["sync_protocol"]["upgrade_guidance"].as_str().expect("guidance").to_owned()
}

#[test]
fn batch_without_a_team_is_the_private_team_s() {
    let world = World::new();
    let token = world.token();
    let answer = batch(&world, &token, &[of_team(1, Value::Null), of_team(2, "TEAM-1".into())]);
    assert_eq!(statuses(&answer), ["success"; 2]);
    let answer = batch(&world, &token, &[of_team(3, Value::Null), of_team(4, "Team-2".into())]);
    assert_eq!(statuses(&answer), ["success", "rejected"]);
    assert_eq!(answer.json()["results"][1]["path"], "team_slug");
    assert_eq!(world.held_events(&token).len(), 3);
    let page = world.get(&token, endpoint::INSPECT_EVENTS).json();
    assert_eq!(page["rows"][0]["team"], TEAM);
}

#[test]
fn wrong_team_header_is_refused_and_not_replaced() {
    let world = World::new();
    let token = world.token();
    let body = json!({ "events": [event(1)] }).to_string();
    let headers = [PROTOCOL, (endpoint::TEAM_HEADER, "Team-2")];
    let answer = world.post(&token, endpoint::EVENTS_BATCH, &headers, body.as_bytes());
    assert!(guidance(&answer).contains("may not send events to this teamspace"));
    assert!(world.held_events(&token).is_empty());
}

#[test]
fn push_takes_transport_keys_and_no_twelfth() {
    let world = World::new();
    let token = world.token();
    batch(&world, &token, &[sent(indexed(1, "spec.md", "x"))]);
    let mut body = body_of("spec.md", "x");
    body["admission_generation"] = 1.into();
    body["binding_audience"] = "local-nonstrict:http://127.0.0.1:8470".into();
    let stored = push(&world, &token, &body);
    assert_eq!((stored.status, &stored.json()["status"]), (201, &json!("stored")), "{}", stored.text());
    assert_eq!(stored.json()["content_hash"], body["content_hash"]);
    assert_eq!(push(&world, &token, &body).json()["status"], "already_exists");
    body["another"] = 1.into();
    let refused = push(&world, &token, &body);
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("`another`"), "{}", refused.text());
}

#[test]
fn ended_login_gets_a_retryable_status_on_each_route() {
    let world = World::new();
    let token = world.token();
    assert!(guidance(&batch(&world, "no-such-token", &[sent(event(1))])).contains("spec-kitty auth login"));
    let refused = preflight(&world, "no-such-token", &[sent(event(1))]);
    assert_eq!((refused.status, &refused.json()["details"]), (400, &Value::Null));
    assert!(refused.json()["error"].as_str().unwrap().contains("spec-kitty auth login"));
    assert_eq!(push(&world, "no-such-token", &body_of("spec.md", "x")).status, 401);
    // Other clients get the status that they classify.
    assert_eq!(world.batch("no-such-token", TEAM, &[event(1)]).status, 401);
    assert_eq!(statuses(&batch(&world, &token, &[sent(event(1))])), ["success"]);
}

#[test]
fn failed_store_asks_for_a_later_request() {
    let world = World::in_directory(ServerLimits::default(), Lifetimes::default());
    let token = world.token();
    let database = rusqlite::Connection::open(world.data.path().join("server.db")).unwrap();
    database
        .execute_batch("ALTER TABLE events RENAME TO hidden; ALTER TABLE artifacts RENAME TO away")
        .unwrap();
    assert!(guidance(&batch(&world, &token, &[sent(event(1))])).contains("database is unavailable"));
    assert_eq!(preflight(&world, &token, &[sent(event(1))]).status, 400);
    assert_eq!(push(&world, &token, &body_of("spec.md", "x")).status, 429);
    assert_eq!(world.batch(&token, TEAM, &[event(1)]).status, 503);
    database
        .execute_batch("ALTER TABLE hidden RENAME TO events; ALTER TABLE away RENAME TO artifacts")
        .unwrap();
    assert_eq!(statuses(&batch(&world, &token, &[sent(event(1))])), ["success"]);
}

#[test]
fn used_share_and_slow_upload_get_retryable_statuses() {
    let limits = ServerLimits {
        uploads_per_account: 1,
        upload_wait: Duration::from_millis(50),
        body_timeout: Duration::from_secs(2),
        ..ServerLimits::default()
    };
    let world = World::with(limits, Lifetimes::default());
    let token = world.token();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{}: {}\r\nExpect: 100-continue\r\n\
         Content-Length: 500\r\nConnection: close\r\n\r\n",
        endpoint::EVENTS_BATCH,
        PROTOCOL.0,
        PROTOCOL.1
    );
    let mut slow = TcpStream::connect(world.address()).unwrap();
    slow.write_all(head.as_bytes()).unwrap();
    // The server asks for the body: the upload has its permit.
    let mut go_on = [0; 25];
    std::io::Read::read_exact(&mut slow, &mut go_on).unwrap();
    let throttled = batch(&world, &token, &[sent(event(1))]);
    assert!(guidance(&throttled).contains("limits the requests"), "{}", throttled.text());
    assert!(throttled.header("retry-after").is_some());
    assert_eq!(push(&world, &token, &body_of("spec.md", "x")).status, 429);
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut slow, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 412") && answer.contains("did not arrive in time"), "{answer}");
    assert_eq!(statuses(&batch(&world, &token, &[sent(event(1))])), ["success"]);
}

#[test]
fn large_body_and_unknown_encoding_are_refused() {
    let world = World::new();
    let token = world.token();
    let enormous = body_of("spec.md", &"x".repeat(5 * 1024 * 1024));
    assert_eq!(push(&world, &token, &enormous).status, 400);
    assert_eq!(push(&world, &token, &body_of("spec.md", "x")).status, 404, "its index event has to be first");
    let encoded = [PROTOCOL, ("Content-Encoding", "br")];
    assert_eq!(world.post(&token, endpoint::EVENTS_BATCH, &encoded, b"x").status, 412);
    let probe = world.post(&token, endpoint::EVENTS_BATCH, &[PROTOCOL], br#"{"events": []}"#);
    assert!(probe.status == 400 && probe.text().contains("No events provided"));
    let mut large = event(1);
    large["payload"]["wp_title"] = "x".repeat(2 * 1024 * 1024).into();
    assert_eq!(batch(&world, &token, &[sent(large), sent(event(2))]).status, 413, "the client halves it");
}

#[test]
fn preflight_judges_and_stores_nothing() {
    let world = World::new();
    let token = world.token();
    assert_eq!(statuses(&batch(&world, &token, &[sent(event(1))])), ["success"]);
    let answer = preflight(&world, &token, &[event(1), event(2), event(2)]);
    assert_eq!(statuses(&answer), ["duplicate", "success", "duplicate"]);
    assert_eq!(answer.json()["error"], Value::Null);
    let mut wrong = event(3);
    wrong["payload"]["mission_key"] = "k".into();
    let answer = preflight(&world, &token, &[event(2), wrong.clone()]);
    assert_eq!(statuses(&answer), ["success", "rejected"]);
    let answer = answer.json();
    assert_eq!(answer["code"], "FORBIDDEN_KEY");
    let detail = &answer["details"][0];
    assert_eq!((&detail["event_id"], &detail["path"]), (&wrong["event_id"], &json!("payload.mission_key")));
    assert!(detail["detail"].as_str().is_some_and(|text| answer["error"].as_str().unwrap().contains(text)));
    assert_eq!(world.held_events(&token).len(), 1);
    assert_eq!(statuses(&batch(&world, &token, &[sent(event(2))])), ["success"]);
}

#[test]
fn preflight_takes_more_bytes_than_a_batch() {
    let world = World::new();
    let token = world.token();
    let mut large = event(1);
    large["payload"]["wp_title"] = "x".repeat(1024 * 1024).into();
    assert_eq!(statuses(&preflight(&world, &token, &[large])), ["success"]);
    let mut enormous = event(1);
    enormous["payload"]["wp_title"] = "x".repeat(5 * 1024 * 1024).into();
    assert_eq!(preflight(&world, &token, &[enormous]).status, 413);
}

#[test]
fn websocket_token_is_refused_with_a_sentence() {
    let world = World::new();
    let body = json!({ "team_id": TEAM }).to_string();
    let answer = world.post(&world.token(), endpoint::WS_TOKEN, &[], body.as_bytes());
    assert_eq!(answer.status, 403);
    assert!(answer.json()["error_description"].as_str().unwrap().contains("no live channel"));
    assert_ne!(answer.json()["error"], "not_a_team_member");
    assert_eq!(world.post("no-such-token", endpoint::WS_TOKEN, &[], body.as_bytes()).status, 401);
}

#[test]
fn shares_are_listed_to_an_account() {
    let world = World::new();
    let path = format!("{}?source_project_uuid={PROJECT}", endpoint::REPOSITORY_SHARES);
    let answer = world.get(&world.token(), &path);
    assert_eq!((answer.status, answer.json()), (200, json!({ "results": [] })));
    assert_eq!(send(world.address(), "GET", &path, &[], &[]).status, 401);
}

#[test]
fn copies_of_two_programs_do_not_differ() {
    let world = World::new();
    let token = world.token();
    assert_eq!(statuses(&world.batch(&token, TEAM, &[event(1)])), ["success"]);
    let mut members: Vec<(String, Value)> = sent(event(1)).as_object().unwrap().clone().into_iter().collect();
    members.reverse();
    let reversed: Value = members.into_iter().collect::<serde_json::Map<_, _>>().into();
    let answer = batch(&world, &token, std::slice::from_ref(&reversed));
    assert_eq!(statuses(&answer), ["duplicate"]);
    assert_eq!(answer.json()["results"][0]["content_differs"], Value::Null);
    let mut changed = reversed;
    changed["payload"]["wp_title"] = "Second".into();
    let answer = batch(&world, &token, &[changed]);
    assert_eq!(answer.json()["results"][0]["content_differs"], true);
}

#[test]
fn repeat_from_before_an_update_is_compared() {
    let world = World::in_directory(ServerLimits::default(), Lifetimes::default());
    let token = world.token();
    world.batch(&token, TEAM, &[event(1)]);
    let database = rusqlite::Connection::open(world.data.path().join("server.db")).unwrap();
    database.execute("UPDATE events SET content_digest = NULL", []).unwrap();
    let differs = |answer: Answer| answer.json()["results"][0]["content_differs"].clone();
    assert_eq!(differs(world.batch(&token, TEAM, &[event(1)])), Value::Null);
    assert_eq!(differs(batch(&world, &token, &[sent(event(1))])), true);
}

#[test]
fn lifecycle_row_of_a_mission_is_flagged() {
    let world = World::new();
    let token = world.token();
    let mut created = event(1);
    created["event_type"] = "MissionCreated".into();
    created["aggregate_id"] = "01M8J4QF6VMKX582BNF7DQS9EA".into();
    created["payload"] = json!({
        "actor": "spec-kitty mission create", "created_at": "2026-05-18T06:37:28.583739+00:00",
        "friendly_name": "Demo", "mission_id": "01M8J4QF6VMKX582BNF7DQS9EA", "mission_number": null,
        "mission_slug": "demo-01M8J4QF", "purpose_context": "We greet.", "purpose_tldr": "Greet",
        "target_branch": "main"
    });
    let answer = batch(&world, &token, &[sent(created.clone())]);
    assert_eq!(answer.json()["results"][0]["legacy_shape"], json!(["mission_created_lifecycle"]));
    created["payload"].as_object_mut().unwrap().shift_remove("mission_slug");
    created["event_id"] = event(2)["event_id"].clone();
    assert_eq!(statuses(&batch(&world, &token, &[sent(created)])), ["rejected"]);
}

#[test]
fn first_move_of_a_package_is_flagged() {
    let world = World::new();
    let token = world.token();
    let from_genesis = |n: u64, to: &str| {
        let mut moved = event(n);
        moved["event_type"] = "WPStatusChanged".into();
        moved["payload"] = json!({
            "actor": "finalize-tasks", "execution_mode": "worktree", "force": false, "from_lane": "genesis",
            "mission_slug": "demo", "reason": "canonical bootstrap", "to_lane": to, "wp_id": "WP01"
        });
        sent(moved)
    };
    let answer = batch(&world, &token, &[from_genesis(1, "planned"), from_genesis(2, "done")]);
    assert_eq!(statuses(&answer), ["success", "rejected"]);
    assert_eq!(answer.json()["results"][0]["legacy_shape"], json!(["status_from_genesis"]));
}
