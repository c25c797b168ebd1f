//! Bodies: stored once, after their index event, and only if they match their digest.

use super::world::{PROJECT, TEAM, World, body_of, event, indexed, statuses};
use contract::wire::body::{self, MAX_CONTENT_BYTES};
use contract::wire::endpoint;
use serde_json::{Value, json};

#[test]
fn body_is_stored_once_after_its_index_event() {
    let world = World::new();
    let token = world.token();
    let push = body_of("spec.md", "# Spec\n");
    let early = world.push(&token, &push);
    assert_eq!((early.status, &early.json()["error"]), (404, &json!("index_entry_not_found")));
    assert_eq!(statuses(&world.batch(&token, TEAM, &[indexed(1, "spec.md", "# Spec\n")])), ["success"]);
    let stored = world.push(&token, &push);
    assert_eq!((stored.status, &stored.json()["status"]), (201, &json!("stored")));
    assert_eq!(stored.json()["artifact_path"], "spec.md");
    let again = world.push(&token, &push);
    assert_eq!((again.status, &again.json()["status"]), (200, &json!("already_exists")));
    let newer = world.push(&token, &body_of("spec.md", "# Spec, second\n"));
    assert_eq!(newer.status, 201, "the path is announced, whatever its content");

    let held = world.get(&token, &format!("{}?project={PROJECT}", endpoint::INSPECT_BODIES)).json();
    assert_eq!(held["total"], 2);
    assert_eq!(held["rows"][0]["content_hash"], body::hash(b"# Spec\n"));
    assert_eq!((&held["rows"][0]["size_bytes"], &held["rows"][0]["content"]), (&json!(7), &Value::Null));
    let whole = world.get(&token, "/api/v1/inspect/bodies?content=1").json();
    assert_eq!(whole["rows"][1]["content"], "# Spec, second\n");
}

#[test]
fn body_has_the_namespace_of_its_index_event() {
    let world = World::new();
    let token = world.token();
    world.batch(&token, TEAM, &[indexed(1, "spec.md", "x"), event(2)]);
    for key in ["mission_slug", "target_branch", "mission_type", "manifest_version"] {
        let mut push = body_of("spec.md", "x");
        push[key] = "another".into();
        assert_eq!(world.push(&token, &push).status, 404, "{key}");
    }
    assert_eq!(world.push(&token, &body_of("plan.md", "x")).status, 404);
    let (theirs, _) = world.neighbour();
    assert_eq!(world.push(&theirs, &body_of("spec.md", "x")).status, 404, "another team's index is not ours");
    assert_eq!(world.push(&token, &body_of("spec.md", "x")).status, 201);
}

#[test]
fn artifact_with_a_long_key_is_rejected_alone() {
    let world = World::new();
    let token = world.token();
    // Digests, which no store makes shorter.
    let branch = |bytes: usize| -> String {
        let digits = (0_u64..).flat_map(|n| body::hash(&n.to_le_bytes()).into_bytes());
        digits.take(bytes).map(char::from).collect()
    };
    let mut long = indexed(1, "spec.md", "x");
    long["payload"]["namespace"]["target_branch"] = branch(4000).into();
    let mut possible = indexed(2, "spec.md", "x");
    possible["payload"]["namespace"]["target_branch"] = branch(1980).into();
    let answer = world.batch(&token, TEAM, &[long, possible, event(3)]);
    assert_eq!(statuses(&answer), ["rejected", "success", "success"], "{}", answer.text());
    assert!(answer.text().contains("4060 bytes"), "{}", answer.text());
}

#[test]
fn wrong_field_is_named_and_nothing_is_stored() {
    let world = World::new();
    let token = world.token();
    world.batch(&token, TEAM, &[indexed(1, "spec.md", "x")]);
    let mut cases = Vec::new();
    for (key, value, word) in [
        ("content_hash", json!(body::hash(b"y")), "content_hash"),
        ("content_hash", json!(format!("sha256:{}", body::hash(b"x"))), "content_hash"),
        ("hash_algorithm", json!("md5"), "hash_algorithm"),
        ("artifact_path", json!("../spec.md"), "artifact_path"),
        ("artifact_path", json!("meta.json"), "artifact_path"),
        ("project_uuid", json!("nothing"), "project_uuid"),
        ("mission_slug", json!(""), "mission_slug"),
        ("content_body", json!(""), "content_body"),
        ("feature_slug", json!("f"), "feature_slug"),
        ("mission_key", json!("k"), "mission_key"),
        ("manifest_version", json!(1), "schema"),
    ] {
        let mut push = body_of("spec.md", "x");
        push[key] = value;
        cases.push((push, word));
    }
    let mut incomplete = body_of("spec.md", "x");
    incomplete.as_object_mut().unwrap().shift_remove("target_branch");
    cases.push((incomplete, "target_branch"));
    for (push, word) in cases {
        let answer = world.push(&token, &push);
        assert_eq!(answer.status, 400, "{push}");
        assert!(answer.text().contains(word), "{word}: {}", answer.text());
    }
    assert_eq!(world.get(&token, endpoint::INSPECT_BODIES).json()["total"], 0);
}

#[test]
fn largest_body_passes_fully_escaped() {
    let world = World::new();
    let token = world.token();
    let content = "\u{1}".repeat(MAX_CONTENT_BYTES);
    world.batch(&token, TEAM, &[indexed(1, "spec.md", &content)]);
    let push = body_of("spec.md", &content);
    assert!(push.to_string().len() > 3 * 1024 * 1024);
    assert_eq!(world.push(&token, &push).status, 201);
    let larger = body_of("spec.md", &"x".repeat(MAX_CONTENT_BYTES + 1));
    assert_eq!(world.push(&token, &larger).status, 400);
    let enormous = body_of("spec.md", &"x".repeat(5 * 1024 * 1024));
    assert_eq!(world.push(&token, &enormous).status, 413);
}

#[test]
fn body_without_a_token_is_refused_for_now() {
    let world = World::new();
    assert_eq!(world.push("no-such-token", &body_of("spec.md", "x")).status, 401);
}
