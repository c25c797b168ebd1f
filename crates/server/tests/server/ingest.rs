//! Events: accepted once, answered each, refused for the right reason.

use super::client::send;
use super::world::{EMAIL, PROJECT, TEAM, World, event, statuses};
use contract::wire::endpoint;
use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};
use server::{Lifetimes, ServerLimits};
use std::collections::BTreeMap;
use std::io::Read;
use testkit::gzip;

#[test]
fn event_is_stored_once_in_any_spelling() {
    let world = World::new();
    let token = world.token();
    let first = event(1);
    let mut other_spelling = event(1);
    other_spelling["event_id"] = first["event_id"].as_str().unwrap().to_lowercase().into();
    let answer = world.batch(&token, TEAM, &[first.clone(), first.clone(), event(2)]);
    assert_eq!(statuses(&answer), ["success", "duplicate", "success"]);
    let answer = world.batch(&token, TEAM, &[other_spelling.clone()]);
    assert_eq!(statuses(&answer), ["duplicate"]);
    assert_eq!(
        answer.json()["results"][0]["event_id"],
        other_spelling["event_id"],
        "the id is echoed as sent"
    );
    assert_eq!(answer.json()["results"][0]["content_differs"], true);
    assert_eq!(world.held_events(&token).len(), 2);
}

#[test]
fn fact_captured_again_is_a_plain_duplicate() {
    let world = World::new();
    let token = world.token();
    assert_eq!(statuses(&world.batch(&token, TEAM, &[event(1)])), ["success"]);
    let mut again = event(1);
    again["lamport_clock"] = 977.into();
    again["head_commit_sha"] = "0123456789abcdef0123456789abcdef01234567".into();
    again["git_branch"] = "main".into();
    again["node_id"] = "ba9876543210".into();
    again["build_id"] = "5d3c4b52-3a2b-4d00-9a6e-0f0e6f4c8f0e".into();
    let differs = |event: &Value| {
        let answer = world.batch(&token, TEAM, std::slice::from_ref(event));
        assert_eq!(statuses(&answer), ["duplicate"]);
        answer.json()["results"][0]["content_differs"].clone()
    };
    assert_eq!(differs(&again), Value::Null);
    again["payload"]["wp_title"] = "Second".into();
    assert_eq!(differs(&again), true);
}

#[test]
fn equal_bytes_are_equal_under_old_digests() {
    let world = World::in_directory(ServerLimits::default(), Lifetimes::default());
    let token = world.token();
    world.batch(&token, TEAM, &[event(1)]);
    let database = rusqlite::Connection::open(world.data.path().join("server.db")).unwrap();
    database.execute("UPDATE events SET content_digest = zeroblob(16)", []).unwrap();
    let mut other = event(1);
    other["lamport_clock"] = 977.into();
    let answer = world.batch(&token, TEAM, &[event(1)]);
    assert_eq!(answer.json()["results"][0]["content_differs"], Value::Null);
    let answer = world.batch(&token, TEAM, &[other]);
    assert_eq!(answer.json()["results"][0]["content_differs"], true);
}

#[test]
fn invalid_event_does_not_affect_the_others() {
    let world = World::new();
    let token = world.token();
    let mut forbidden = event(2);
    forbidden["payload"]["mission_key"] = "k".into();
    let mut no_id = event(3);
    no_id.as_object_mut().unwrap().shift_remove("event_id");
    let mut odd_id = event(4);
    odd_id["event_id"] = json!({"not": "text"});
    let batch = [event(1), forbidden.clone(), no_id, odd_id.clone(), json!([1]), event(5)];
    let answer = world.batch(&token, TEAM, &batch);
    assert_eq!(statuses(&answer), ["success", "rejected", "rejected", "rejected", "rejected", "success"]);
    let results = answer.json()["results"].as_array().unwrap().clone();
    assert_eq!(results[1]["event_id"], forbidden["event_id"]);
    assert_eq!(
        (&results[1]["code"], &results[1]["path"]),
        (&json!("FORBIDDEN_KEY"), &json!("payload.mission_key"))
    );
    assert_eq!(results[2]["event_id"], Value::Null);
    assert_eq!(results[3]["event_id"], odd_id["event_id"]);
    for result in &results[1..5] {
        let text = result["error_message"].as_str().unwrap().to_lowercase();
        assert!(["field", "schema"].iter().any(|word| text.contains(word)), "{text}");
    }
    assert_eq!(world.held_events(&token).len(), 2);
}

#[test]
fn shapes_of_earlier_clients_are_flagged() {
    let world = World::in_directory(ServerLimits::default(), Lifetimes::default());
    let token = world.token();
    let mut older = event(1);
    older["payload"] = json!({"wp_id": "WP01", "title": "First", "dependencies": [], "mission_slug": "demo"});
    older["project_uuid"] = Value::Null;
    let answer = world.batch(&token, TEAM, &[older]);
    assert_eq!(answer.json()["results"][0]["status"], "success");
    let flags = json!(["wp_created_title", "null_project_uuid"]);
    assert_eq!(answer.json()["results"][0]["legacy_shape"], flags);
    let held = world.get(&token, endpoint::INSPECT_EVENTS).json();
    assert_eq!(held["rows"][0]["legacy_shape"], flags);
    assert_eq!(held["rows"][0]["project_uuid"], Value::Null);
}

/// The stored bytes of each event, by id.
fn contents(world: &World, token: &str) -> BTreeMap<String, String> {
    let held = world.get(token, "/api/v1/inspect/events?content=1");
    assert_eq!(held.status, 200, "{}", held.text());
    let rows = held.json()["rows"].as_array().expect("rows").clone();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    rows.iter().map(|row| (text(row, "event_id"), text(row, "content"))).collect()
}

/// Everything in the store's blocks, unpacked.
fn unpacked_blocks(world: &World) -> Vec<String> {
    let connection = rusqlite::Connection::open(world.data.path().join("server.db")).expect("the store");
    let mut blocks = connection.prepare("SELECT packed FROM blocks ORDER BY key").expect("the store");
    let blocks: Vec<Vec<u8>> = blocks
        .query_map([], |row| row.get(0))
        .expect("the store")
        .collect::<Result<_, _>>()
        .expect("the store");
    let unpack = |packed: &Vec<u8>| {
        let mut text = String::new();
        MultiGzDecoder::new(&packed[..]).read_to_string(&mut text).expect("the store");
        text
    };
    blocks.iter().map(unpack).collect()
}

#[test]
fn event_bytes_are_kept_as_sent() {
    let world = World::new();
    let token = world.token();
    let text = event(1)
        .to_string()
        .replace("\"dev\"", "  \"d\\u0065v\" ")
        .replace("\"First\"", "\"\\ud83d\\ude00\"");
    let authorization = format!("Bearer {token}");
    let plain = [("Authorization", authorization.as_str()), ("X-Team-Slug", TEAM)];
    let other = text.replace("000000001\"", "000000002\"");
    assert_eq!(statuses(&world.batch_text(&token, TEAM, &format!("{{\"events\": [{text}]}}"))), ["success"]);
    let body = format!("{{ \"more\": 1, \"events\" :[ {other} ]}}");
    let answer = send(world.address(), "POST", endpoint::EVENTS_BATCH, &plain, body.as_bytes());
    assert_eq!(statuses(&answer), ["success"]);
    let held: Vec<String> = contents(&world, &token).into_values().collect();
    assert_eq!(held, [text.clone(), other]);
    let digests = world.get(&token, endpoint::INSPECT_EVENTS).json();
    assert_eq!(digests["rows"][0]["digest"], contract::wire::body::hash(text.as_bytes()));
    assert_eq!(digests["rows"][0]["content"], Value::Null, "only when asked for");
}

#[test]
fn mixed_batch_is_stored_without_rejected_events() {
    let world = World::in_directory(ServerLimits::default(), Lifetimes::default());
    let token = world.token();
    let mut elsewhere = event(2);
    elsewhere["project_uuid"] = "11111111-2222-4333-8444-555555555555".into();
    let mut nowhere = event(3);
    nowhere["project_uuid"] = Value::Null;
    let mut refused = event(4);
    refused["payload"]["surprise"] = "must-not-be-kept".into();
    let batch = [event(1), elsewhere.clone(), nowhere.clone(), refused, event(5)];
    let answer = world.batch(&token, TEAM, &batch);
    assert_eq!(statuses(&answer), ["success", "success", "success", "rejected", "success"]);
    let held = contents(&world, &token);
    for sent in [event(1), elsewhere, nowhere, event(5)] {
        assert_eq!(held[sent["event_id"].as_str().unwrap()], sent.to_string());
    }
    let blocks = unpacked_blocks(&world);
    assert_eq!(blocks.len(), 3, "one for each project");
    assert!(blocks.iter().all(|block| !block.contains("must-not-be-kept")));
    let both = |block: &String| block.contains("11111111-2222") && block.contains(PROJECT);
    assert!(!blocks.iter().any(both));
}

#[test]
fn repeated_batch_is_stored_once_in_order() {
    let world = World::in_directory(ServerLimits::default(), Lifetimes::default());
    let token = world.token();
    let mut elsewhere = event(2);
    elsewhere["project_uuid"] = "11111111-2222-4333-8444-555555555555".into();
    let first = [event(1), elsewhere.clone(), event(3)];
    assert_eq!(statuses(&world.batch(&token, TEAM, &first)), ["success"; 3]);
    let before = unpacked_blocks(&world).len();
    assert_eq!(statuses(&world.batch(&token, TEAM, &first)), ["duplicate"; 3]);
    assert_eq!(unpacked_blocks(&world).len(), before);
    let answer = world.batch(&token, TEAM, &[event(4), elsewhere, event(1), event(5)]);
    assert_eq!(statuses(&answer), ["success", "duplicate", "duplicate", "success"]);
}

#[test]
fn damaged_block_is_detected_and_not_returned() {
    let world = World::in_directory(ServerLimits::default(), Lifetimes::default());
    let token = world.token();
    world.batch(&token, TEAM, &[event(1)]);
    let connection = rusqlite::Connection::open(world.data.path().join("server.db")).unwrap();
    let other = gzip(json!({"events": [event(7)]}).to_string().as_bytes());
    connection.execute("UPDATE blocks SET packed = ?1", [other]).unwrap();
    assert_eq!(world.get(&token, "/api/v1/inspect/events?content=1").status, 503);
    assert_eq!(world.get(&token, endpoint::INSPECT_EVENTS).status, 200);
}

#[test]
fn token_sends_to_its_own_teamspaces_only() {
    let world = World::new();
    let (theirs, _) = world.neighbour();
    let ours = world.token();
    let answer = world.batch(&theirs, TEAM, &[event(1)]);
    assert_eq!(answer.status, 403);
    assert_eq!(answer.json()["category"], "direct_ingress_missing_private_team");
    let mut of_theirs = event(1);
    of_theirs["team_slug"] = "Team-2".into();
    assert_eq!(statuses(&world.batch(&theirs, "Team-2", &[of_theirs])), ["success"]);
    assert_eq!(statuses(&world.batch(&ours, TEAM, &[event(1)])), ["success"], "ids are per team");
    assert_eq!(world.held_events(&ours).len(), 1);
    let of_neighbour = world.get(&ours, "/api/v1/inspect/events?team=Team-2").json();
    assert_eq!(of_neighbour["total"], 0);
}

#[test]
fn two_members_of_one_teamspace_share_its_events() {
    let world = World::new();
    world.admin().create_account("second@example.com", None, Some(TEAM)).unwrap();
    let (one, two) = (world.token(), world.token_of("second@example.com", TEAM));
    assert_eq!(statuses(&world.batch(&one, TEAM, &[event(1)])), ["success"]);
    assert_eq!(statuses(&world.batch(&two, TEAM, &[event(1)])), ["duplicate"]);
    assert_eq!(world.held_events(&two).len(), 1);
}

#[test]
fn request_without_a_valid_token_is_not_read() {
    let world = World::new();
    for token in ["", "no-such-token", "skp_e30.x", &"x".repeat(3000)] {
        let answer = world.batch(token, TEAM, &[event(1)]);
        assert_eq!(answer.status, 401, "{}", answer.text());
    }
    let issued = world.admin().issue_ci_token(EMAIL, None, "short-lived").unwrap();
    let token = issued.token.expose().to_owned();
    assert_eq!(statuses(&world.batch(&token, TEAM, &[event(1)])), ["success"]);
    assert!(world.admin().revoke_ci_token(&issued.record.id).unwrap());
    assert_eq!(world.batch(&token, TEAM, &[event(2)]).status, 401);
}

#[test]
fn limits_hold_for_the_unpacked_size() {
    let limits = ServerLimits { bytes_per_batch: 8192, events_per_batch: 4, ..ServerLimits::default() };
    let world = World::with(limits, Lifetimes::default());
    let token = world.token();
    let advertised = world.get(&token, endpoint::SYNC_HEALTH).json()["sync_ingress"]["limits"].clone();
    assert_eq!(advertised["max_events_per_batch"], 4);
    assert_eq!(advertised["max_decompressed_bytes_per_batch"], 8192);
    assert_eq!(statuses(&world.batch(&token, TEAM, &[event(1), event(2), event(3), event(4)])).len(), 4);

    let many: Vec<Value> = (10..15).map(event).collect();
    let mut large = event(20);
    large["payload"]["wp_title"] = "x".repeat(9000).into();
    for answer in [world.batch(&token, TEAM, &many), world.batch(&token, TEAM, &[large])] {
        assert_eq!(answer.status, 413);
        let body = answer.json();
        assert_eq!(body["error"], "Batch payload exceeds decompressed byte limit");
        assert_eq!(body["error_code"], "sync_batch_too_large");
        assert_eq!(body["limits"], advertised);
    }
    assert_eq!(world.held_events(&token).len(), 4);
}

#[test]
fn plain_batch_and_empty_probe_are_accepted() {
    let world = World::new();
    let authorization = format!("Bearer {}", world.token());
    let headers = [("Authorization", authorization.as_str()), ("X-Team-Slug", TEAM)];
    let path = endpoint::EVENTS_BATCH;
    let probe = send(world.address(), "POST", path, &headers, br#"{"events": []}"#);
    assert_eq!(probe.status, 400);
    assert!(probe.text().contains("No events provided"), "{}", probe.text());
    let plain = json!({"events": [event(1)]}).to_string();
    assert_eq!(statuses(&send(world.address(), "POST", path, &headers, plain.as_bytes())), ["success"]);
    let strange = [headers[0], headers[1], ("Content-Encoding", "br")];
    assert_eq!(send(world.address(), "POST", path, &strange, plain.as_bytes()).status, 415);
    let mislabelled = [headers[0], headers[1], ("Content-Encoding", "gzip")];
    assert_eq!(send(world.address(), "POST", path, &mislabelled, plain.as_bytes()).status, 400);
    let packed = gzip(plain.as_bytes());
    assert_eq!(send(world.address(), "POST", path, &headers, &packed).status, 400);
}

#[test]
fn client_of_another_contract_is_refused() {
    let world = World::new();
    let authorization = format!("Bearer {}", world.token());
    let ask = |version: &str| {
        let headers = [("Authorization", authorization.as_str()), (endpoint::CONTRACT_HEADER, version)];
        send(world.address(), "GET", endpoint::SYNC_HEALTH, &headers, &[]).status
    };
    assert_eq!((ask(endpoint::CONTRACT_VERSION), ask("5.9"), ask("6.0"), ask("")), (200, 200, 426, 426));
}

#[test]
fn inspection_has_pages_and_a_project_filter() {
    let world = World::new();
    let token = world.token();
    let mut events: Vec<Value> = (1..=5).map(event).collect();
    events[4]["project_uuid"] = "11111111-2222-4333-8444-555555555555".into();
    assert_eq!(statuses(&world.batch(&token, TEAM, &events)), ["success"; 5]);
    let path = format!("/api/v1/inspect/events?project={PROJECT}&limit=3");
    let first = world.get(&token, &path).json();
    assert_eq!((&first["total"], first["rows"].as_array().unwrap().len()), (&json!(4), 3));
    let second = world.get(&token, &format!("{path}&after={}", first["next"])).json();
    assert_eq!((second["rows"].as_array().unwrap().len(), &second["next"]), (1, &Value::Null));
    let one = world
        .get(&token, &format!("/api/v1/inspect/events?event_id={}", events[2]["event_id"].as_str().unwrap()));
    assert_eq!(one.json()["total"], 1);
    assert_eq!(world.get(&token, "/api/v1/inspect/events?limit=x").status, 400);
    assert_eq!(world.get("no-such-token", "/api/v1/inspect/events").status, 401);
}

#[test]
fn envelope_of_another_team_is_not_stored() {
    let world = World::new();
    let token = world.token();
    let of_team = |n: u64, team: Value| {
        let mut event = event(n);
        event["team_slug"] = team;
        event
    };
    let events = [
        of_team(1, "Team-2".into()),
        of_team(2, "team-1".into()),
        of_team(3, Value::Null),
        of_team(4, "".into()),
        of_team(5, "no-team".into()),
    ];
    // The header's case does not matter either.
    let answer = world.batch(&token, "TEAM-1", &events);
    assert_eq!(statuses(&answer), ["rejected", "success", "success", "success", "rejected"]);
    for rejected in [0, 4] {
        let result = &answer.json()["results"][rejected];
        assert_eq!(
            (&result["code"], &result["path"]),
            (&json!("ENVELOPE_SHAPE_INVALID"), &json!("team_slug"))
        );
        let text = result["error"].as_str().unwrap();
        assert!(text.contains("another team") && !text.contains("Team-2"), "{text}");
    }
    assert_eq!(world.held_events(&token).len(), 3);
    let page = world.get(&token, &format!("{}?team=TEAM-1", contract::wire::endpoint::INSPECT_EVENTS)).json();
    assert_eq!((&page["total"], &page["rows"][0]["team"]), (&json!(3), &json!(TEAM)));
}

#[test]
fn team_ids_are_compared_without_case() {
    let world = World::new();
    let joined = world.admin().create_account("second@example.com", None, Some("TEAM-1")).unwrap();
    assert_eq!(joined.account.teams[0].team_id, TEAM, "it joins the team that is there");
    let issued = world.admin().issue_ci_token("second@example.com", Some("team-1"), "x").unwrap();
    assert_eq!(issued.record.team_id, TEAM);
    let answer = world.batch(issued.token.expose(), "tEAM-1", &[event(1)]);
    assert_eq!(statuses(&answer), ["success"]);
    assert_eq!(world.held_events(&world.token()).len(), 1);
}
