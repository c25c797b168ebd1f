//! Recorded requests and answers of the reference, beside our requests and our handling of those answers.
//!
//! Reads recordings beside the workspace, when they are there.

use crate::machine::{Machine, session};
use crate::world::{accepting, body_of, capture, drain_all, event, logged_in};
use delivery::classify::{BatchJudgement, ItemVerdict, ServerStopReason, judge_batch};
use delivery::http::HttpAnswer;
use identity::Session;
use queue::NewRow;
use serde_json::Value;
use std::path::PathBuf;
use testkit::World;
use testkit::scripted::ScriptedRequest;
use testkit::world::team;

struct Recording {
    case: String,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    status: u16,
    answer: String,
}

impl Recording {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The recordings of the cases that `wanted` names.
fn recordings(wanted: impl Fn(&str) -> bool) -> Vec<Recording> {
    let cases = std::fs::read_dir(testkit::shared().join("golden/wire")).expect("the recorded data");
    let mut found = Vec::new();
    let mut cases: Vec<PathBuf> = cases.map(|case| case.unwrap().path()).collect();
    cases.sort();
    for case in cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        if !wanted(&name) {
            continue;
        }
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(&case).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "json"))
        {
            let meta: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
            let Some(method) = meta["method"].as_str() else { continue };
            let header = |pair: &Value| Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned()));
            found.push(Recording {
                case: name.clone(),
                method: method.to_owned(),
                path: meta["path"].as_str().unwrap_or_default().to_owned(),
                headers: meta["headers"]
                    .as_array()
                    .map(|list| list.iter().filter_map(header).collect())
                    .unwrap_or_default(),
                body: std::fs::read(file.with_extension("body")).unwrap_or_default(),
                status: meta["response_status"]
                    .as_u64()
                    .and_then(|status| u16::try_from(status).ok())
                    .unwrap_or(0),
                answer: meta["response_body"].as_str().unwrap_or_default().to_owned(),
            });
        }
    }
    assert!(!found.is_empty(), "recordings are there, but none of the wanted cases");
    found
}

/// A machine logged in as the account of the recordings.
fn recorded_account(server: &str) -> World {
    let machine = logged_in(server);
    machine.store(&Session { teams: vec![team("pt-7f3a", true)], ..session(server) });
    machine
}

/// Headers that belong to the protocol; the others name the HTTP library.
fn meaning(header: impl Fn(&str) -> Option<String>) -> Vec<Option<String>> {
    ["authorization", "content-type", "content-encoding", "x-team-slug"].into_iter().map(header).collect()
}

fn assert_same_request(ours: &ScriptedRequest, theirs: &Recording) {
    assert_eq!((ours.method.as_str(), ours.path.as_str()), (theirs.method.as_str(), theirs.path.as_str()));
    let headers = meaning(|name| ours.header(name).map(str::to_owned));
    assert_eq!(headers, meaning(|name| theirs.header(name).map(str::to_owned)), "{}", theirs.case);
    let (ours, theirs_json) = (ours.json(), theirs.json());
    assert_eq!(ours, theirs_json, "{}", theirs.case);
    // Equal values may still differ in the order of their keys.
    assert_eq!(ours.to_string(), theirs_json.to_string(), "{}", theirs.case);
}

#[test]
#[ignore = "needs the recorded data"]
fn batch_equals_the_recorded_batch() {
    let cases = ["now-success-3", "now-non-ascii", "now-drain-blocked-field"];
    let recordings = recordings(|case| cases.contains(&case));
    for theirs in recordings {
        let stub = accepting();
        let machine = recorded_account(&stub.url());
        // The rows as the queue held them: with the local member, without a team.
        let sent = theirs.json();
        let rows: Vec<NewRow> = sent["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|sent| {
                let mut stored = sent.clone();
                stored["team_slug"] = Value::Null;
                stored["drain_blocked_reason"] = "no_auth".into();
                event(stored.to_string())
            })
            .collect();
        let project = sent["events"][0]["project_uuid"].as_str().unwrap().to_owned();
        capture(&machine, &project, rows);
        drain_all(&machine);
        assert_same_request(&stub.seen_at("/api/v1/events/batch/")[0], &theirs);
    }
}

#[test]
#[ignore = "needs the recorded data"]
fn body_equals_the_recorded_body() {
    let recordings = recordings(|case| case == "auth-coherent-no-daemon");
    let pushes: Vec<Recording> =
        recordings.into_iter().filter(|seen| seen.path == "/api/dossier/push-content/").collect();
    assert!(!pushes.is_empty());
    for theirs in pushes.iter().take(2) {
        let stub = accepting();
        let machine = recorded_account(&stub.url());
        let sent = theirs.json();
        capture(
            &machine,
            sent["project_uuid"].as_str().unwrap(),
            vec![body_of(serde_json::from_value(sent.clone()).unwrap())],
        );
        drain_all(&machine);
        assert_same_request(&stub.seen_at("/api/dossier/push-content/")[0], theirs);
    }
}

#[test]
#[ignore = "needs the recorded data"]
fn recorded_answers_settle_what_they_name_and_keep_the_rest() {
    let recordings = recordings(|case| case.starts_with("now-"));
    let mut judged = 0;
    // Large bodies were not kept, and a connection that was dropped has no answer.
    let kept = |seen: &&Recording| !seen.body.is_empty() && seen.status > 0;
    for theirs in recordings.iter().filter(|seen| seen.path == "/api/v1/events/batch/").filter(kept) {
        let batch = theirs.json();
        let ids: Vec<&str> = batch["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["event_id"].as_str().unwrap())
            .collect();
        let answer = HttpAnswer::from_parts(theirs.status, None, theirs.answer.clone().into_bytes());
        let judgement = judge_batch(&ids, &answer);
        let results: Value = serde_json::from_str(&theirs.answer).unwrap_or_default();
        let named = |id: &str, words: &[&str]| {
            results["results"].as_array().is_some_and(|list| {
                list.iter()
                    .any(|one| one["event_id"] == id && words.iter().any(|word| one["status"] == *word))
            })
        };
        let case = theirs.case.as_str();
        match judgement {
            BatchJudgement::Items { verdicts, .. } => {
                for (id, verdict) in ids.iter().zip(verdicts) {
                    match verdict {
                        ItemVerdict::Delivered => {
                            assert!(named(id, &["success", "accepted", "warning"]), "{case}")
                        }
                        ItemVerdict::Conflict => panic!("{case}: the reference has no such answer"),
                        ItemVerdict::Duplicate => assert!(named(id, &["duplicate"]), "{case}"),
                        ItemVerdict::Unanswered => assert!(!theirs.answer.contains(id), "{case}"),
                        ItemVerdict::Rejected(_) | ItemVerdict::Deferred(_) => {
                            assert!(named(id, &["rejected", "error"]) || theirs.status == 400, "{case}");
                        }
                        ItemVerdict::Resend => assert_eq!(theirs.status, 400, "{case}"),
                    }
                }
            }
            BatchJudgement::Refused(_) | BatchJudgement::Split { .. } => {
                assert!(matches!(theirs.status, 400 | 413), "{case}")
            }
            BatchJudgement::Refresh => assert_eq!(theirs.status, 401, "{case}"),
            BatchJudgement::StopProject(_) => assert_eq!(theirs.status, 403, "{case}"),
            BatchJudgement::Stop(stop) => match theirs.status {
                200 => assert_eq!(stop.reason, ServerStopReason::UnusableAnswer, "{case}"),
                403 => assert_eq!(stop.reason, ServerStopReason::TeamForbidden, "{case}"),
                429 => assert_eq!(stop.reason, ServerStopReason::Throttled, "{case}"),
                500 => assert_eq!(stop.reason, ServerStopReason::ServerError, "{case}"),
                other => panic!("{case}: {other}"),
            },
        }
        judged += 1;
    }
    assert!(judged > 40, "{judged}");
}
