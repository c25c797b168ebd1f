//! Malformed and hostile requests: the server answers or closes, keeps serving, and stores nothing
//! it should not.

use super::client::raw;
use super::world::{TEAM, World, body_of, event, indexed, statuses};
use contract::wire::body::BODY_KEY_COLUMNS;
use contract::wire::endpoint;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use server::{Lifetimes, ServerLimits};
use std::time::Duration;
use testkit::gzip;

fn few() -> ProptestConfig {
    ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() }
}

/// After whatever came before, a good client is still served.
fn still_serves(world: &World, token: &str, n: u64) {
    let answer = world.batch(token, TEAM, &[event(n)]);
    assert_eq!(statuses(&answer), ["success"]);
}

#[test]
fn random_bytes_are_refused() {
    let world = World::new();
    let token = world.token();
    let mut runner = TestRunner::new(few());
    runner
        .run(&proptest::collection::vec(any::<u8>(), 0..600), |bytes| {
            let mut request = bytes.clone();
            request.extend_from_slice(b"\r\n\r\n");
            if let Some(answer) = raw(world.address(), &request) {
                prop_assert!(answer.status >= 400, "{}", answer.head);
            }
            Ok(())
        })
        .unwrap();
    still_serves(&world, &token, 1);
}

#[test]
fn damaged_batches_have_an_answer() {
    let world = World::new();
    let token = world.token();
    let good = json!({"events": [event(1), indexed(2, "spec.md", "x"), event(3)]}).to_string();
    let mut runner = TestRunner::new(few());
    let damage = (0..good.len(), 0..40usize, any::<u8>(), any::<bool>());
    runner
        .run(&damage, |(at, cut, byte, is_packed)| {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = byte;
            bytes.drain(at..(at + cut).min(bytes.len()));
            let coding = if is_packed { "gzip" } else { "identity" };
            let body = if is_packed { gzip(&bytes) } else { bytes };
            let answer = world.batch_bytes(&token, TEAM, coding, &body);
            prop_assert!([200, 400].contains(&answer.status), "{} {}", answer.status, answer.text());
            if answer.status == 200 {
                let results = answer.json()["results"].as_array().map_or(0, Vec::len);
                prop_assert!(results >= 1, "every event is answered");
            }
            Ok(())
        })
        .unwrap();
    still_serves(&world, &token, 9);
}

#[test]
fn damaged_gzip_streams_are_refused() {
    let world = World::new();
    let token = world.token();
    let good = gzip(json!({"events": [event(1)]}).to_string().as_bytes());
    let mut runner = TestRunner::new(few());
    runner
        .run(&(0..good.len(), any::<u8>(), 0..good.len()), |(at, byte, keep)| {
            let mut bytes = good.clone();
            bytes[at] ^= byte;
            bytes.truncate(keep);
            let answer = world.batch_bytes(&token, TEAM, "gzip", &bytes);
            prop_assert!([200, 400].contains(&answer.status), "{} {}", answer.status, answer.text());
            Ok(())
        })
        .unwrap();
    still_serves(&world, &token, 2);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z_]{1,8}", inner, 0..4)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

#[test]
fn any_value_of_any_key_is_answered() {
    let world = World::new();
    let token = world.token();
    let keys: Vec<String> = event(1).as_object().unwrap().keys().cloned().collect();
    let mut runner = TestRunner::new(few());
    runner
        .run(&(0..keys.len(), any_json(), 1000..9000u64), |(key, value, n)| {
            let mut changed = event(n);
            changed[&keys[key]] = value;
            let answer = world.batch(&token, TEAM, &[changed.clone(), changed]);
            prop_assert_eq!(answer.status, 200, "{}", answer.text());
            let results = answer.json()["results"].clone();
            prop_assert!(results[1]["status"] != "success", "{}", results);
            Ok(())
        })
        .unwrap();
    still_serves(&world, &token, 1);
}

#[test]
fn any_value_in_place_of_a_body_is_refused() {
    let world = World::new();
    let token = world.token();
    world.batch(&token, TEAM, &[indexed(1, "spec.md", "x")]);
    let mut runner = TestRunner::new(few());
    runner
        .run(&any_json(), |value| {
            let answer = world.push(&token, &value);
            prop_assert_eq!(answer.status, 400, "{}", answer.text());
            Ok(())
        })
        .unwrap();
    still_serves(&world, &token, 2);
}

#[test]
fn smuggled_and_contradictory_framing_is_refused() {
    let impatient = ServerLimits { head_timeout: Duration::from_millis(300), ..ServerLimits::default() };
    let world = World::with(impatient, Lifetimes::default());
    let token = world.token();
    let path = endpoint::EVENTS_BATCH;
    let requests = [
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"),
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        format!("POST {path} HTTP/9.9\r\nHost: x\r\n\r\n"),
        "GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "\r\n\r\n\r\n".to_owned(),
    ];
    for request in requests {
        if let Some(answer) = raw(world.address(), request.as_bytes()) {
            assert!(answer.status >= 400, "{request:?} -> {}", answer.head);
        }
    }
    still_serves(&world, &token, 1);
}

/// A struct can be read from an array, field by field in order: no request of the protocol is one.
#[test]
fn json_array_in_place_of_the_object_is_refused() {
    let world = World::new();
    let token = world.token();
    let batch = format!("[[{}]]", event(1));
    assert_eq!(world.batch_text(&token, TEAM, &batch).status, 400);
    world.batch(&token, TEAM, &[indexed(2, "spec.md", "x")]);
    let push = body_of("spec.md", "x");
    let names = BODY_KEY_COLUMNS.into_iter().chain(["hash_algorithm", "content_body"]);
    let fields: Vec<Value> = names.map(|name| push[name].clone()).collect();
    let answer = world.push(&token, &fields.into());
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(world.held_events(&token).len(), 1);
}
