//! Event contract: accepted shapes, shapes that the server tolerates beside them, and no input that panics.

// Some tests print what they counted.
#![allow(clippy::print_stdout)]

use contract::event::{self, Deviation, Node, RejectionCode, Tolerance};
use contract::event::{EventSummary, Rejection};
use proptest::prelude::*;
use serde_json::{Value, json};

const PROJECT: &str = "4a9c9a6e-5d3c-4b52-8f0e-6f4c3a2b1d00";

fn validate(event: &Value) -> Result<EventSummary, Rejection> {
    event::validate_event(&Node::from(event), Tolerance::Strict)
}

fn envelope(event_type: &str, aggregate: (&str, &str), payload: Value) -> Value {
    json!({
        "event_id": "01K0000000000000000000000A", "event_type": event_type,
        "aggregate_id": aggregate.1, "aggregate_type": aggregate.0, "schema_version": "3.0.0",
        "build_id": "0f0e6f4c-3a2b-4d00-9a6e-5d3c4b528f0e", "payload": payload, "node_id": "0123456789ab",
        "lamport_clock": 7, "causation_id": null, "correlation_id": "01K0000000000000000000000A",
        "timestamp": "2026-11-22T09:00:00.123456+00:00", "team_slug": "Team-1",
        "project_uuid": PROJECT, "project_slug": "demo"
    })
}

fn moved(from: Value, to: &str, more: Value) -> Value {
    let mut payload = json!({"mission_slug": "demo", "wp_id": "WP01", "from_lane": from, "to_lane": to,
        "actor": "dev", "execution_mode": "worktree"});
    if let (Some(payload), Some(more)) = (payload.as_object_mut(), more.as_object()) {
        payload.extend(more.clone());
    }
    envelope("WPStatusChanged", ("WorkPackage", "WP01"), payload)
}

fn with(mut event: Value, key: &str, value: Value) -> Value {
    event[key] = value;
    event
}

fn without(mut event: Value, key: &str) -> Value {
    event.as_object_mut().expect("an object").shift_remove(key);
    event
}

fn wp_created() -> Value {
    let payload = json!({"mission_slug": "demo", "wp_id": "WP01", "wp_title": "First", "depends_on": [], "actor": "dev"});
    envelope("WPCreated", ("WorkPackage", "WP01"), payload)
}

fn tolerated(event: &Value) -> Result<Vec<Deviation>, String> {
    event::validate_event(&Node::from(event), Tolerance::LegacyShape)
        .map(|valid| valid.deviations)
        .map_err(|fault| fault.to_string())
}

fn refused(event: &Value) -> (RejectionCode, String) {
    let fault = validate(event).expect_err("a refusal");
    (fault.code, fault.path_text())
}

#[test]
fn accepted_event_tells_what_a_store_needs() {
    let valid = validate(&with(wp_created(), "event_id", "01k0000000000000000000000a".into())).unwrap();
    assert_eq!(valid.event_id, "01k0000000000000000000000a");
    assert_eq!(valid.canonical_id, "01K0000000000000000000000A");
    assert_eq!(valid.project_uuid.as_deref(), Some(PROJECT));
    assert_eq!((valid.lamport_clock, valid.deviations.len()), (7, 0));
}

#[test]
fn each_envelope_fault_names_its_key() {
    let cases = [
        (without(wp_created(), "node_id"), "node_id"),
        (without(wp_created(), "schema_version"), "schema_version"),
        (with(wp_created(), "schema_version", "3.0.1".into()), "schema_version"),
        (with(wp_created(), "event_id", "01K".into()), "event_id"),
        (with(wp_created(), "causation_id", "x".into()), "causation_id"),
        (with(wp_created(), "lamport_clock", (-1).into()), "lamport_clock"),
        (with(wp_created(), "timestamp", "soon".into()), "timestamp"),
        (with(wp_created(), "project_uuid", Value::Null), "project_uuid"),
        (with(wp_created(), "build_id", "".into()), "build_id"),
        (with(wp_created(), "data_tier", 5.into()), "data_tier"),
        (with(wp_created(), "payload", json!([])), "payload"),
        (with(wp_created(), "aggregate_id", "feature/x".into()), "aggregate_id"),
        (with(wp_created(), "event_type", "FeatureCreated".into()), "event_type"),
        (with(wp_created(), "event_type", "Surprise".into()), "event_type"),
    ];
    for (event, path) in cases {
        assert_eq!(refused(&event), (RejectionCode::EnvelopeShapeInvalid, path.to_owned()), "{event}");
    }
}

#[test]
fn forbidden_key_is_found_at_any_depth_and_values_are_never_read() {
    let mut event = wp_created();
    event["extra"] = json!([{"deep": {"feature_slug": 1}}]);
    assert_eq!(refused(&event), (RejectionCode::ForbiddenKey, "extra[0].deep.feature_slug".to_owned()));
    assert!(validate(&with(wp_created(), "extra", "feature_slug".into())).is_ok());
}

#[test]
fn unknown_lanes_and_forbidden_moves_are_refused() {
    assert!(validate(&moved(json!("planned"), "claimed", json!({}))).is_ok());
    assert!(validate(&moved(Value::Null, "planned", json!({}))).is_ok());
    assert!(validate(&moved(json!("claimed"), "doing", json!({}))).is_ok());
    let (code, path) = refused(&moved(json!("planned"), "awaiting-review", json!({})));
    assert_eq!((code, path.as_str()), (RejectionCode::UnknownLane, "payload.to_lane"));
    let back = validate(&moved(json!("in_review"), "planned", json!({"review_ref": "r"}))).unwrap_err();
    assert!(back.message.contains("force=True") && back.message.contains("review-rejection"), "{back}");
    let (_, path) = refused(&moved(json!("planned"), "planned", json!({"force": true, "reason": " "})));
    assert_eq!(path, "payload.reason");
}

#[test]
fn approval_needs_evidence_and_strictly_also_its_review() {
    let repos = json!([{"repo": "o/r", "branch": "main", "commit": "abc"}]);
    let review = json!({"reviewer": "r", "verdict": "approved"});
    let whole =
        moved(json!("in_review"), "approved", json!({"evidence": {"repos": repos, "review": review}}));
    assert!(validate(&whole).is_ok());
    let unreviewed = moved(json!("in_review"), "approved", json!({"evidence": {"repos": repos}}));
    assert_eq!(refused(&unreviewed).1, "payload.evidence.review");
    assert_eq!(tolerated(&unreviewed), Ok(vec![Deviation::EvidenceWithoutReview]));
    let none = moved(json!("in_review"), "approved", json!({"evidence": null}));
    assert!(tolerated(&none).is_err());
    let elsewhere = moved(json!("planned"), "claimed", json!({"evidence": {"repos": repos}}));
    assert!(tolerated(&elsewhere).is_err(), "only approved and done are tolerated without review");
    let forbidden = moved(json!("planned"), "done", json!({"evidence": {"repos": repos}}));
    assert!(tolerated(&forbidden).is_err(), "the tolerance does not reach the lane rules");
}

#[test]
fn server_tolerates_exactly_the_listed_deviations() {
    let older = json!({"wp_id": "WP01", "title": "First", "dependencies": ["WP00"], "mission_slug": "demo"});
    let older = envelope("WPCreated", ("WorkPackage", "WP01"), older);
    assert_eq!(tolerated(&older), Ok(vec![Deviation::WpCreatedTitle]));
    assert!(validate(&older).is_err());
    assert!(tolerated(&with(older, "payload", json!({"wp_id": "WP01", "title": "x"}))).is_err());

    let build = envelope(
        "BuildRegistered",
        ("Build", "b"),
        json!({"repo_slug": null, "branch": "main", "x": {"y": 1}}),
    );
    assert_eq!(tolerated(&build), Ok(vec![Deviation::BuildExtraKeys]));
    assert!(tolerated(&with(build, "payload", json!({"repo_slug": 7}))).is_err());

    let bare = with(with(wp_created(), "project_uuid", Value::Null), "build_id", "".into());
    assert_eq!(tolerated(&bare), Ok(vec![Deviation::NullProject, Deviation::EmptyBuild]));
    assert!(tolerated(&without(wp_created(), "project_uuid")).is_err());
    assert!(tolerated(&with(wp_created(), "project_uuid", "".into())).is_err());
    assert!(tolerated(&with(wp_created(), "build_id", Value::Null)).is_err());
    assert_eq!(tolerated(&wp_created()), Ok(vec![]));
}

#[test]
fn message_never_quotes_a_value() {
    let secret = "s3cret-value";
    let events = [
        with(wp_created(), "event_id", secret.into()),
        with(wp_created(), "timestamp", secret.into()),
        with(wp_created(), "event_type", secret.into()),
        with(wp_created(), "schema_version", secret.into()),
        moved(json!("planned"), secret, json!({})),
        moved(json!("planned"), "claimed", json!({"execution_mode": secret})),
    ];
    for event in events {
        let fault = validate(&event).expect_err("a refusal").to_string();
        assert!(!fault.contains(secret), "{fault}");
    }
}

#[test]
#[ignore = "needs the recorded data"]
fn recorded_events_of_the_reference_are_accepted() {
    let recordings =
        std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/golden/wire"));
    assert!(recordings.is_dir(), "the recorded data is missing: {}", recordings.display());
    let (mut accepted, mut flagged) = (0, 0);
    for case in std::fs::read_dir(recordings).expect("cases").flatten() {
        for file in std::fs::read_dir(case.path()).expect("files").flatten() {
            let body = std::fs::read_to_string(file.path()).unwrap_or_default();
            let is_batch =
                file.path().extension().is_some_and(|e| e == "body") && body.starts_with(r#"{"events""#);
            let batch: Value =
                if is_batch { serde_json::from_str(&body).expect("a batch") } else { continue };
            for event in batch["events"].as_array().expect("events") {
                match event::validate_event(&Node::from(event), Tolerance::LegacyShape) {
                    Ok(valid) => {
                        accepted += 1;
                        flagged += usize::from(!valid.deviations.is_empty());
                    }
                    Err(fault) => panic!("{}: {fault}\n{event}", file.path().display()),
                }
            }
        }
    }
    println!("{accepted} recorded events accepted, {flagged} of them flagged");
    assert!(accepted > 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in ".{0,200}") {
        if let Ok(node) = Node::parse(&text) {
            let _ = event::validate_event(&node, Tolerance::LegacyShape);
        }
    }

    #[test]
    fn no_damage_to_a_good_event_panics(key in 0usize..18, kind in 0usize..8, at in 0usize..600) {
        let mut event = wp_created();
        let values = [Value::Null, json!(0), json!(-1.5), json!(""), json!("\u{0}\u{202e}"), json!([]), json!({}), json!(true)];
        let keys: Vec<String> = event.as_object().expect("an object").keys().cloned().collect();
        event[&keys[key % keys.len()]] = values[kind].clone();
        let _ = event::validate_event(&Node::from(&event), Tolerance::LegacyShape);
        let text = event.to_string();
        let cut: String = text.chars().take(at).collect();
        if let Ok(node) = Node::parse(&cut) {
            let _ = event::validate_event(&node, Tolerance::LegacyShape);
        }
    }
}
