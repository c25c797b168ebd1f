//! `/openapi.json` describes the routes of the router, and the answers that they give.
#![allow(clippy::unwrap_used, reason = "a test")]

use super::client::Answer;
use super::scoping::{Login, ROWS, ask};
use super::world::{EMAIL, PROJECT, TEAM, World, body_of, event, hasty, indexed, statuses};
use contract::wire::endpoint;
use serde_json::{Map, Value};
use server::ServerLimits;
use std::collections::BTreeSet;

fn document(world: &World) -> Value {
    let answer = world.get("", endpoint::OPENAPI);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    answer.json()
}

/// The path of a request as the document has it: a number is a parameter that is named by what it counts.
fn template(path: &str) -> String {
    let mut before = "";
    let segments = path.split('?').next().unwrap().split('/').map(|segment| {
        let counted = std::mem::replace(&mut before, segment);
        match segment.parse::<u64>() {
            Ok(_) => format!("{{{}}}", counted.trim_end_matches('s')),
            Err(_) => segment.to_owned(),
        }
    });
    segments.collect::<Vec<_>>().join("/")
}

/// Methods and paths of the router's source.
fn routes() -> BTreeSet<(String, String)> {
    let router = include_str!("../../src/app.rs");
    let mut routes = BTreeSet::new();
    for rest in router.split(".route(").skip(1) {
        let (name, handlers) = rest.split_once(',').unwrap();
        let name = name.trim();
        let name = name.strip_prefix("endpoint::").unwrap_or(name.trim_matches('"'));
        let row = ROWS.iter().find(|row| row.route == name).unwrap_or_else(|| panic!("no row for {name}"));
        let handlers = handlers.split_once('\n').map_or(handlers, |(line, _)| line);
        for method in ["get", "post"] {
            if handlers.contains(&format!("{method}(")) {
                routes.insert((method.to_owned(), template(row.path)));
            }
        }
    }
    routes
}

/// The object behind a reference, or the object itself.
fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            let pointer = reference.strip_prefix('#').unwrap();
            document.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"))
        }
        None => value,
    }
}

/// Checks what the document's schemas use of JSON Schema.
fn check(document: &Value, schema: &Value, value: &Value, place: &str) {
    let schema = resolved(document, schema);
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "integer" => value.is_u64() || value.is_i64(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{place}: unknown type {other}"),
    };
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    assert!(kinds.is_empty() || kinds.iter().any(|kind| is(kind)), "{place}: {value} is not {kinds:?}");
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(allowed.contains(value), "{place}: {value} is not one of {allowed:?}");
    }
    if let Some(constant) = schema.get("const") {
        assert_eq!(value, constant, "{place}");
    }
    for item in value.as_array().into_iter().flatten().filter(|_| schema.get("items").is_some()) {
        check(document, &schema["items"], item, &format!("{place}[]"));
    }
    let Some(members) = value.as_object() else { return };
    let required = schema["required"].as_array();
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        assert!(members.contains_key(name), "{place}: {name} is absent from {value}");
    }
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    for (name, member) in members {
        match properties.get(name) {
            Some(schema) => check(document, schema, member, &format!("{place}.{name}")),
            // What the server sends is described whole.
            None => assert!(properties.is_empty(), "{place}: {name} is not described"),
        }
    }
}

/// Checks an answer against the description of its route.
fn check_answer(document: &Value, operation: &Value, answer: &Answer, place: &str) {
    let responses = operation["responses"].as_object().unwrap();
    let response = responses.get(&answer.status.to_string());
    let response = response.unwrap_or_else(|| panic!("{place}: {} is not described", answer.status));
    let Some(content) = resolved(document, response)["content"].as_object() else { return };
    let kind = answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
    let described = content.get(kind).unwrap_or_else(|| panic!("{place}: {kind} is not described"));
    if kind == "application/json" {
        check(document, &described["schema"], &answer.json(), place);
    }
}

#[test]
fn document_has_exactly_the_routes() {
    let document = document(&World::new());
    let mut described = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            described.insert((method.clone(), path.clone()));
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{path} {method}");
            for part in operation["parameters"].as_array().into_iter().flatten() {
                assert!(resolved(&document, part)["name"].is_string(), "{path}");
            }
        }
    }
    assert_eq!(described, routes());
}

#[test]
fn answers_of_every_route_fit_the_document() {
    let world = World::with(ServerLimits::default(), hasty());
    let document = document(&world);
    let admin = world.admin();
    admin.add_team("guild", Some("Guild"), false).unwrap();
    admin.add_member("guild", EMAIL, false).unwrap();
    let login = Login::of(&world, EMAIL, &world.secret);
    let member = login.token.clone();
    let nobody = Login { token: String::new(), cookie: String::new() };
    let events = [event(1), indexed(2, "spec.md", "# Spec\n"), event(1), Value::Null];
    assert_eq!(
        statuses(&world.batch(&member, TEAM, &events)),
        ["success", "success", "duplicate", "rejected"]
    );
    assert_eq!(world.push(&member, &body_of("spec.md", "# Spec\n")).status, 201);
    for row in ROWS {
        let path = template(row.path);
        let operation = &document["paths"][&path][row.method.to_lowercase()];
        assert!(operation.is_object(), "{} {path} is not described", row.method);
        let needs_token = operation["security"][0].get("bearer").is_some();
        for (who, login) in [("nobody", &nobody), ("a member", &login)] {
            let answer = ask(&world, row, login);
            let place = format!("{} {path} for {who}", row.method);
            check_answer(&document, operation, &answer, &place);
            assert_eq!(answer.status == 401, needs_token && login.token.is_empty(), "{place}");
        }
    }
    let batch = &document["paths"][endpoint::EVENTS_BATCH]["post"];
    for (place, answer) in [
        ("a mixed batch", world.batch(&member, TEAM, &events)),
        ("an empty batch", world.batch(&member, TEAM, &[])),
        ("a batch of another team", world.batch(&member, "guild", &[event(9)])),
    ] {
        check_answer(&document, batch, &answer, place);
    }
    let forgotten = endpoint::FORGET_PROJECT.replace("{project_uuid}", PROJECT);
    assert_eq!(world.post(&member, &forgotten, &[], b"{}").status, 200);
}
