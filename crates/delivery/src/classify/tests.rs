use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

const IDS: [&str; 4] = ["a", "b", "c", "d"];

fn answer(status: u16, body: &Value) -> HttpAnswer {
    HttpAnswer::from_parts(status, None, body.to_string().into_bytes())
}

fn items(judgement: BatchJudgement) -> (Vec<ItemVerdict>, usize) {
    match judgement {
        BatchJudgement::Items { verdicts, unknown_ids } => (verdicts, unknown_ids),
        other => panic!("{other:?}"),
    }
}

fn results(list: &[(&str, &str)]) -> Value {
    let list: Vec<Value> =
        list.iter().map(|(id, status)| json!({"event_id": id, "status": status})).collect();
    json!({ "results": list })
}

#[test]
fn each_row_gets_the_verdict_its_own_result_gives() {
    let body = json!({"results": [
        {"event_id": "b", "status": "duplicate"},
        {"event_id": "a", "status": "success"},
        {"event_id": "c", "status": "rejected", "code": "PAYLOAD_SCHEMA_FAIL", "path": "payload.wp_id", "error_message": "field missing"},
        {"event_id": "d", "status": "warning", "message": "late"}]});
    let (verdicts, unknown) = items(judge_batch(&IDS, &answer(200, &body)));
    assert_eq!(unknown, 0);
    assert_eq!(
        (&verdicts[0], &verdicts[1], &verdicts[3]),
        (&ItemVerdict::Delivered, &ItemVerdict::Duplicate, &ItemVerdict::Delivered)
    );
    let ItemVerdict::Rejected(rejection) = &verdicts[2] else { panic!("{verdicts:?}") };
    assert_eq!(
        (rejection.reason, rejection.detail.as_str()),
        ("rejected", "PAYLOAD_SCHEMA_FAIL: payload.wp_id: field missing")
    );
    assert_eq!(rejection.category, Category::SchemaMismatch);
}

#[test]
fn missing_unknown_and_odd_results_settle_nothing() {
    let body = json!({"results": [{"event_id": "zzz", "status": "success"}, {"event_id": "A", "status": "success"},
        7, null, {"status": "success"}, {"event_id": 3, "status": "success"}, {"event_id": "a"}]});
    let (verdicts, unknown) = items(judge_batch(&IDS, &answer(200, &body)));
    assert_eq!(verdicts, vec![ItemVerdict::Unanswered; 4]);
    assert_eq!(unknown, 4, "two strangers, two without an id");
}

#[test]
fn duplicate_with_other_content_is_a_conflict() {
    let body = json!({"results": [
        {"event_id": "a", "status": "duplicate", "content_differs": true},
        {"event_id": "b", "status": "duplicate", "content_differs": false},
        {"event_id": "c", "status": "duplicate", "content_differs": true},
        {"event_id": "c", "status": "duplicate"}]});
    let (verdicts, _) = items(judge_batch(&IDS, &answer(200, &body)));
    assert_eq!(
        verdicts,
        [ItemVerdict::Conflict, ItemVerdict::Duplicate, ItemVerdict::Unanswered, ItemVerdict::Unanswered]
    );
}

#[test]
fn contradicting_answers_about_one_row_settle_nothing() {
    let body = results(&[
        ("a", "success"),
        ("a", "rejected"),
        ("b", "success"),
        ("b", "duplicate"),
        ("c", "duplicate"),
        ("c", "duplicate"),
    ]);
    let (verdicts, _) = items(judge_batch(&IDS, &answer(200, &body)));
    assert_eq!(
        verdicts,
        [ItemVerdict::Unanswered, ItemVerdict::Delivered, ItemVerdict::Duplicate, ItemVerdict::Unanswered]
    );
}

#[test]
fn error_that_passes_is_deferred_and_a_rejection_is_final() {
    let body = json!({"results": [
        {"event_id": "a", "status": "error", "error": "rate limit exceeded"},
        {"event_id": "b", "status": "rejected", "error": "rate limit exceeded"},
        {"event_id": "c", "status": "error", "error": "field missing"},
        {"event_id": "d", "status": "teapot"}]});
    let (verdicts, _) = items(judge_batch(&IDS, &answer(200, &body)));
    assert!(matches!(verdicts[0], ItemVerdict::Deferred(_)));
    assert!(verdicts[1..].iter().all(|verdict| matches!(verdict, ItemVerdict::Rejected(_))));
}

#[test]
fn success_that_is_not_this_protocol_stops_and_keeps() {
    for body in [
        "",
        "<html>ok</html>",
        "null",
        "[]",
        "{}",
        r#"{"results": {}}"#,
        r#"{"results": "no"}"#,
        r#"{"results": ["#,
    ] {
        let answer = HttpAnswer::from_parts(200, None, body.as_bytes().to_vec());
        let BatchJudgement::Stop(stop) = judge_batch(&IDS, &answer) else { panic!("{body}") };
        assert_eq!(stop.reason, ServerStopReason::UnusableAnswer);
    }
}

#[test]
fn every_other_status_keeps_the_rows() {
    let expect = |status: u16, body: Value| judge_batch(&IDS, &answer(status, &body));
    let reason = |judgement| match judgement {
        BatchJudgement::Stop(stop) => stop.reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(expect(401, json!({})), BatchJudgement::Refresh);
    assert!(matches!(expect(403, json!({"error": "forbidden"})), BatchJudgement::StopProject(_)));
    let team = json!({"error": "x", "category": "direct_ingress_missing_private_team"});
    assert_eq!(reason(expect(403, team)), ServerStopReason::TeamForbidden);
    for (status, expected) in [
        (404, ServerStopReason::NoSuchRoute),
        (405, ServerStopReason::NoSuchRoute),
        (408, ServerStopReason::ServerError),
        (409, ServerStopReason::UnexpectedStatus),
        (412, ServerStopReason::ContractSkew),
        (418, ServerStopReason::UnexpectedStatus),
        (426, ServerStopReason::ContractSkew),
        (429, ServerStopReason::Throttled),
        (500, ServerStopReason::ServerError),
        (503, ServerStopReason::ServerError),
        (301, ServerStopReason::UnexpectedStatus),
        (100, ServerStopReason::UnexpectedStatus),
    ] {
        assert_eq!(reason(expect(status, json!({"error": "no"}))), expected, "{status}");
    }
}

/// The page of a proxy decides nothing about a project.
#[test]
fn foreign_403_stops_everything() {
    let page = HttpAnswer::from_parts(403, None, b"<html>blocked</html>".to_vec());
    let BatchJudgement::Stop(stop) = judge_batch(&IDS, &page) else { panic!("events") };
    assert_eq!(stop.reason, ServerStopReason::UnusableAnswer);
    let BodyJudgement::Stop(stop) = judge_body(&page, "abc") else { panic!("a body") };
    assert_eq!(stop.reason, ServerStopReason::UnusableAnswer);
}

/// What reports print, whether a later attempt alone can help, and words of the remedy where no login chooses it.
#[test]
fn each_stop_has_its_name_and_remedy() {
    use ServerStopReason::*;
    const OF_LOGIN: &str = "chosen by the login";
    for (reason, name, is_transient, remedy) in [
        (Unreachable, "unreachable", true, None),
        (NoAnswer, "no_answer", true, None),
        (Throttled, "throttled", true, None),
        (ServerError, "server_error", true, Some("administrator")),
        (ContractSkew, "contract_skew", false, Some("update spec-kitty")),
        (Unauthorized, "unauthorized", false, Some(OF_LOGIN)),
        (ProjectForbidden, "project_forbidden", false, Some("access to this project")),
        (TeamForbidden, "team_forbidden", false, Some("private teamspace")),
        (NoSuchRoute, "no_such_route", false, Some(OF_LOGIN)),
        (UnusableAnswer, "unusable_answer", false, Some(OF_LOGIN)),
        (Redirected, "redirected", false, Some(OF_LOGIN)),
        (EverythingRefused, "everything_refused", false, Some("administrator")),
        (UnexpectedStatus, "unexpected_status", false, Some("administrator")),
    ] {
        assert_eq!((reason.name(), reason.is_transient()), (name, is_transient));
        if remedy == Some(OF_LOGIN) {
            continue;
        }
        let text = reason.remedy(|| unreachable!("no login is needed")).map(|remedy| remedy.hint());
        match remedy {
            None => assert_eq!(text, None, "{name}"),
            Some(words) => {
                assert!(text.as_ref().is_some_and(|text| text.contains(words)), "{name}: {text:?}")
            }
        }
    }
    assert_eq!(Category::MissingPrivateTeam.name(), "direct_ingress_missing_private_team");
    assert_eq!(Category::OversizedBatch.name(), "oversized_batch");
}

#[test]
fn too_large_halves_and_names_the_limits_whatever_the_status() {
    let body = json!({"error_code": "sync_batch_too_large", "limits": {"max_events_per_batch": 3}});
    for status in [413, 400] {
        let BatchJudgement::Split { too_large: true, limits } = judge_batch(&IDS, &answer(status, &body))
        else {
            panic!("{status}")
        };
        assert_eq!(limits.max_events_per_batch, Some(3));
    }
    let alone = judge_batch(&["a"], &answer(413, &json!({})));
    assert!(matches!(alone, BatchJudgement::Refused(RowRejection { reason: "too_large", .. })));
}

#[test]
fn status_400_parks_named_rows_and_bisects_without_names() {
    let bare = BatchJudgement::Split { too_large: false, limits: IngressLimits::default() };
    assert_eq!(judge_batch(&IDS, &answer(400, &json!({"error": "Bad request"}))), bare);
    assert_eq!(
        judge_batch(&IDS, &answer(400, &json!({"details": [{"event_id": "zz", "error": "x"}]}))),
        bare
    );
    assert_eq!(judge_batch(&IDS, &answer(400, &json!({"details": "plain words"}))), bare);
    let list = json!([{"event_id": "c", "reason": "missing field"}]);
    for details in [list.clone(), Value::String(list.to_string())] {
        let (verdicts, _) =
            items(judge_batch(&IDS, &answer(400, &json!({"error": "Bad request", "details": details}))));
        assert!(
            matches!(&verdicts[2], ItemVerdict::Rejected(rejection) if rejection.detail == "missing field")
        );
        assert_eq!(verdicts.iter().filter(|verdict| **verdict == ItemVerdict::Resend).count(), 3);
    }
    let alone = judge_batch(&["a"], &answer(400, &json!({"error": "Bad request"})));
    assert!(matches!(alone, BatchJudgement::Refused(_)));
}

#[test]
fn pause_is_read_from_the_header_first() {
    let body = json!({"error": "slow down", "retry_after_seconds": 9}).to_string().into_bytes();
    let header = HttpAnswer::from_parts(429, Some(RetryAfter::Seconds(3)), body.clone());
    let BatchJudgement::Stop(stop) = judge_batch(&IDS, &header) else { panic!() };
    assert_eq!(stop.asked, Some(RequestedPause::Header(RetryAfter::Seconds(3))));
    let BatchJudgement::Stop(stop) = judge_batch(&IDS, &HttpAnswer::from_parts(429, None, body)) else {
        panic!()
    };
    assert_eq!(stop.asked, Some(RequestedPause::Body(Duration::from_secs(9))));
}

#[test]
fn body_waits_for_its_event_and_is_parked_only_when_refused() {
    let judge = |status: u16, body: Value| judge_body(&answer(status, &body), "abc");
    assert_eq!(judge(201, json!({"status": "stored"})), BodyJudgement::Delivered);
    assert_eq!(
        judge(200, json!({"status": "already_exists", "content_hash": "abc"})),
        BodyJudgement::Duplicate
    );
    assert_eq!(judge(200, json!({"status": "stored", "content_hash": null})), BodyJudgement::Delivered);
    for body in [
        json!({}),
        json!({"status": "ok"}),
        json!({"status": "stored", "content_hash": "abd"}),
        json!({"status": "stored", "content_hash": 7}),
        json!(["stored", "abc"]),
        json!({"results": []}),
    ] {
        for status in [200, 201] {
            let BodyJudgement::Stop(stop) = judge(status, body.clone()) else { panic!("{body}") };
            assert_eq!(stop.reason, ServerStopReason::UnusableAnswer, "{body}");
        }
    }
    let reason = |judgement| match judgement {
        BodyJudgement::Stop(stop) => stop.reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(judge(204, json!({}))), ServerStopReason::UnusableAnswer);
    let team = json!({"error": "x", "category": "direct_ingress_missing_private_team"});
    assert_eq!(reason(judge(403, team)), ServerStopReason::TeamForbidden);
    assert_eq!(
        judge(404, json!({"error": "index_entry_not_found"})),
        BodyJudgement::Later("index_entry_not_found".into())
    );
    assert!(matches!(
        judge(404, json!({"error": "namespace_not_found"})),
        BodyJudgement::Rejected(RowRejection { reason: "namespace_not_found", .. })
    ));
    assert!(matches!(judge(404, json!({"error": "mission not found"})), BodyJudgement::Later(_)));
    assert!(matches!(
        judge(404, json!({"error": "Not found", "error_code": "not_found"})),
        BodyJudgement::Stop(_)
    ));
    assert!(matches!(
        judge_body(&HttpAnswer::from_parts(404, None, b"<html>".to_vec()), "abc"),
        BodyJudgement::Stop(_)
    ));
    assert_eq!(judge(401, json!({})), BodyJudgement::Refresh);
    assert!(matches!(judge(403, json!({"error": "no"})), BodyJudgement::StopProject(_)));
    for status in [400, 409, 413, 415, 422] {
        assert!(matches!(judge(status, json!({"error": "no"})), BodyJudgement::Rejected(_)), "{status}");
    }
    for status in [301, 408, 412, 426, 429, 500, 502] {
        assert!(matches!(judge(status, json!({"error": "no"})), BodyJudgement::Stop(_)), "{status}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever a server answers: as many verdicts as rows, no row accepted that was not named as accepted, a
    /// single row never split.
    #[test]
    fn answer_settles_only_the_rows_it_names(
        status in prop_oneof![Just(200u16), 100u16..600],
        listed in prop::collection::vec((0usize..6, prop::sample::select(vec!["success", "duplicate", "rejected", "error", "?"])), 0..12),
        sent in 1usize..5,
        raw in prop::option::of("\\PC{0,40}"),
    ) {
        let names = ["a", "b", "c", "d", "e", "f"];
        let ids = &names[..sent];
        let list: Vec<(&str, &str)> = listed.iter().map(|(id, word)| (names[*id], *word)).collect();
        let body = raw.unwrap_or_else(|| results(&list).to_string());
        match judge_batch(ids, &HttpAnswer::from_parts(status, None, body.into_bytes())) {
            BatchJudgement::Items { verdicts, .. } => {
                prop_assert_eq!(verdicts.len(), ids.len());
                for (id, verdict) in ids.iter().zip(verdicts) {
                    if matches!(verdict, ItemVerdict::Delivered | ItemVerdict::Duplicate) {
                        prop_assert!((200..300).contains(&status));
                        let named = |word: &str| list.contains(&(*id, word));
                        prop_assert!(named("success") || named("duplicate"));
                        prop_assert!(!named("rejected") && !named("error") && !named("?"));
                    }
                }
            }
            BatchJudgement::Split { .. } => prop_assert!(ids.len() > 1),
            _ => {}
        }
    }
}

#[test]
fn rejection_text_that_repeats_code_and_path_is_not_doubled() {
    let answer = |error: &str| {
        let body = serde_json::json!({"results": [{
            "event_id": "A", "status": "rejected", "code": "UNKNOWN_LANE", "path": "payload.to_lane",
            "error_message": error,
        }]});
        HttpAnswer::from_parts(200, None, body.to_string().into_bytes())
    };
    for (said, kept) in [
        ("UNKNOWN_LANE at payload.to_lane: no such lane", "UNKNOWN_LANE at payload.to_lane: no such lane"),
        ("no such lane", "UNKNOWN_LANE: payload.to_lane: no such lane"),
    ] {
        let BatchJudgement::Items { verdicts, .. } = judge_batch(&["A"], &answer(said)) else {
            panic!("items")
        };
        assert!(
            matches!(&verdicts[0], ItemVerdict::Rejected(rejection) if rejection.detail == kept),
            "{verdicts:?}"
        );
    }
}
