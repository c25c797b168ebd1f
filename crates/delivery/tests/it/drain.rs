//! The drain, seen from the server and from the queue.

use crate::machine::{Machine, VERSION, session};
use crate::world::{
    Ingest, OTHER_PROJECT, PROJECT, accepting, batches, body_row, capture, counts, drain_all, egress, event,
    event_text, events, logged_in, try_drain,
};
use contract::ExitCode;
use delivery::DrainError;
use delivery::classify::ServerStopReason;
use delivery::drain::{DrainOptions, DrainProgress, DrainReport, StoppedBy, failure_report};
use identity::{ConfigEdit, Session};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use system::FileLock;
use testkit::World;
use testkit::scripted::{Reply, ScriptedServer};

const IDS: [&str; 6] = ["e1", "e2", "e3", "e4", "e5", "e6"];

fn stopped(report: &DrainReport) -> StoppedBy {
    report.stopped.as_ref().unwrap_or_else(|| panic!("it did not stop: {report:?}")).reason
}

#[test]
fn events_leave_as_they_were_stored_and_before_the_bodies() {
    let stub = accepting();
    let machine = logged_in(&stub.url());
    capture(&machine, PROJECT, events(PROJECT, &IDS));
    capture(
        &machine,
        PROJECT,
        vec![body_row(PROJECT, "spec.md", "# Spec \u{e9}\n"), body_row(PROJECT, "plan.md", "# Plan\n")],
    );
    let report = drain_all(&machine);

    assert_eq!((report.events.delivered, report.bodies.delivered), (6, 2));
    assert_eq!((report.remaining.events, report.remaining.bodies, report.exit(true)), (0, 0, ExitCode::Ok));
    let seen = stub.seen();
    let paths: Vec<&str> = seen.iter().map(|seen| seen.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/api/v1/sync/health/",
            "/api/v1/events/batch/",
            "/api/dossier/push-content/",
            "/api/dossier/push-content/"
        ]
    );
    let expected: Vec<String> = IDS.iter().map(|id| event_text(id, PROJECT)).collect();
    assert_eq!(
        String::from_utf8(seen[1].plain()).unwrap(),
        format!("{{\"events\":[{}]}}", expected.join(","))
    );
    assert_eq!(
        (seen[1].header("content-encoding"), seen[1].header("x-team-slug")),
        (Some("gzip"), Some("PT-1"))
    );
    assert_eq!((seen[2].header("content-encoding"), seen[2].header("x-team-slug")), (None, None));
    assert_eq!(seen[2].json().as_object().unwrap().len(), 9);
    for seen in &seen {
        assert_eq!(seen.header("authorization"), Some("Bearer acc-1"));
        assert_eq!(seen.header("user-agent"), Some("spec-kitty/9.9.9"));
        assert_eq!(seen.header("x-spec-kitty-contract"), Some(contract::wire::endpoint::CONTRACT_VERSION));
    }
    assert!(!serde_json::to_string(&report).unwrap().contains("acc-1"));

    let again = drain_all(&machine);
    assert_eq!((again.requests, stub.seen().len()), (0, 4), "nothing waits, so nothing is asked");
}

#[test]
fn one_project_a_batch_and_first_in_first_out_in_each() {
    let stub = accepting();
    let machine = logged_in(&stub.url());
    for (project, id) in
        [(PROJECT, "a1"), (OTHER_PROJECT, "b1"), (PROJECT, "a2"), (OTHER_PROJECT, "b2"), (PROJECT, "a3")]
    {
        capture(&machine, project, events(project, &[id]));
    }
    drain_all(&machine);
    let mut sent = batches(&stub);
    sent.sort();
    assert_eq!(sent, [vec!["a1", "a2", "a3"], vec!["b1", "b2"]]);
}

#[test]
fn limits_of_the_health_document_are_kept() {
    let ingest = Ingest::limited(4);
    let stub = ScriptedServer::start(move |seen, _| ingest.answer(seen));
    let machine = logged_in(&stub.url());
    capture(&machine, PROJECT, events(PROJECT, &IDS));
    drain_all(&machine);
    assert_eq!(batches(&stub), [vec!["e1", "e2", "e3", "e4"], vec!["e5", "e6"]]);
}

#[test]
fn too_large_halves_and_delivers_in_order() {
    let ingest = Ingest::default();
    let stub = ScriptedServer::start(move |seen, _| {
        if seen.path == "/api/v1/events/batch/" && seen.event_ids().len() > 2 {
            return Reply::json(413, json!({"error": "Batch payload exceeds decompressed byte limit"}));
        }
        ingest.answer(seen)
    });
    let machine = logged_in(&stub.url());
    capture(&machine, PROJECT, events(PROJECT, &IDS));
    let report = drain_all(&machine);
    assert_eq!((report.events.delivered, report.events.parked), (6, 0));
    let taken: Vec<String> = batches(&stub).into_iter().filter(|batch| batch.len() <= 2).flatten().collect();
    assert_eq!(taken, IDS);
}

#[test]
fn single_event_that_is_too_large_is_parked_with_its_payload() {
    let stub = ScriptedServer::start(|seen, _| match seen.path.as_str() {
        "/api/v1/events/batch/" => Reply::json(413, json!({"error": "Payload too large"})),
        _ => Ingest::default().answer(seen),
    });
    let machine = logged_in(&stub.url());
    capture(&machine, PROJECT, events(PROJECT, &["e1"]));
    let report = drain_all(&machine);
    assert_eq!((report.events.parked, report.parked.events, report.remaining.events), (1, 1, 0));
    assert_eq!(
        (report.failures[0].category, report.exit(true), report.exit(false)),
        ("oversized_event", ExitCode::Failed, ExitCode::Ok)
    );
}

#[test]
fn bare_400_is_bisected_and_only_the_bad_row_is_parked() {
    let ingest = Ingest::default();
    let stub = ScriptedServer::start(move |seen, _| {
        if seen.path == "/api/v1/events/batch/" && seen.event_ids().contains(&"e5".to_owned()) {
            return Reply::json(400, json!({"error": "Bad request: field missing"}));
        }
        ingest.answer(seen)
    });
    let machine = logged_in(&stub.url());
    capture(&machine, PROJECT, events(PROJECT, &IDS));
    let report = drain_all(&machine);
    assert_eq!((report.events.delivered, report.events.parked), (5, 1));
    assert_eq!(
        (report.failures[0].event_id.as_str(), report.failures[0].category),
        ("e5", "schema_mismatch")
    );
    let taken: Vec<String> =
        batches(&stub).into_iter().filter(|batch| !batch.contains(&"e5".to_owned())).flatten().collect();
    assert_eq!(taken, ["e1", "e2", "e3", "e4", "e6"]);
}

#[test]
fn proxy_that_refuses_everything_does_not_park_the_whole_queue() {
    let stub = ScriptedServer::start(|_, _| Reply::text(400, "<html>blocked</html>"));
    let machine = logged_in(&stub.url());
    let ids: Vec<String> = (0..64).map(|n| format!("e{n:02}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    capture(&machine, PROJECT, events(PROJECT, &ids));
    let report = drain_all(&machine);
    assert_eq!(stopped(&report), StoppedBy::Server(ServerStopReason::EverythingRefused));
    assert_eq!((report.events.parked, report.remaining.events), (0, 64), "{report:?}");
}

#[test]
fn status_400_with_names_parks_those_and_sends_the_others_again() {
    let ingest = Ingest::default();
    let stub = ScriptedServer::start(move |seen, _| {
        if seen.path == "/api/v1/events/batch/" && seen.event_ids().contains(&"e2".to_owned()) {
            return Reply::json(
                400,
                json!({"error": "Bad request", "details": [{"event_id": "e2", "reason": "schema"}]}),
            );
        }
        ingest.answer(seen)
    });
    let machine = logged_in(&stub.url());
    capture(&machine, PROJECT, events(PROJECT, &IDS));
    let report = drain_all(&machine);
    assert_eq!((report.events.delivered, report.events.parked), (5, 1));
    assert_eq!(batches(&stub)[1], ["e1", "e3", "e4", "e5", "e6"]);
}

#[test]
fn rejected_rows_are_parked_and_the_others_delivered() {
    let stub = ScriptedServer::start(|seen, _| match seen.path.as_str() {
        "/api/v1/events/batch/" => Reply::json(
            200,
            json!({"results": [
            {"event_id": "e1", "status": "success"},
            {"event_id": "e2", "status": "rejected", "code": "UNKNOWN_LANE", "path": "payload.to_lane", "error_message": "field to_lane"},
            {"event_id": "e3", "status": "duplicate"},
            {"event_id": "e4", "status": "error", "error": "rate limit exceeded"},
            {"event_id": "stranger", "status": "success"}]}),
        ),
        _ => Reply::json(404, json!({})),
    });
    let machine = logged_in(&stub.url());
    capture(&machine, PROJECT, events(PROJECT, &IDS));
    let report = drain_all(&machine);
    let tally = report.events;
    assert_eq!(
        (tally.delivered, tally.duplicate, tally.parked, tally.kept, report.unknown_ids),
        (1, 1, 1, 3, 1)
    );
    assert_eq!(
        (report.remaining.events, batches(&stub).len()),
        (3, 1),
        "rows without an answer wait for another drain"
    );
    assert_eq!(report.failures[0].error, "UNKNOWN_LANE: payload.to_lane: field to_lane");
    let file = failure_report(&report, "2026-05-18T12:00:00Z".parse().unwrap());
    assert_eq!(file["summary"]["total_events"], 6);
    assert_eq!(
        (&file["summary"]["synced"], &file["summary"]["duplicates"], &file["summary"]["failed"]),
        (&json!(1), &json!(1), &json!(4))
    );
    assert_eq!(file["summary"]["categories"]["schema_mismatch"], 1);
    let keys: Vec<&String> = file["failures"][0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["event_id", "error", "category"]);
}

#[test]
fn row_before_the_cut_over_is_parked_without_blocking() {
    let stub = accepting();
    let machine = logged_in(&stub.url());
    let retired = event_text("old", PROJECT).replace("\"n\": 1.50", "\"feature_slug\": \"x\"");
    let foreign = event_text("foreign", PROJECT).replace("PT-1", "PT-9");
    capture(&machine, PROJECT, vec![event(retired), event(foreign), event(event_text("e1", PROJECT))]);
    let report = drain_all(&machine);
    assert_eq!((report.events.delivered, report.events.parked), (1, 2));
    assert_eq!(batches(&stub), [vec!["e1"]]);
    let categories: Vec<&str> = report.failures.iter().map(|failure| failure.category).collect();
    assert_eq!(categories, ["historical_mission_state", "unauthorized"]);
}

#[test]
fn status_403_stops_its_project_and_no_other() {
    let ingest = Ingest::default();
    let stub = ScriptedServer::start(move |seen, _| {
        let forbidden = seen.path == "/api/v1/events/batch/" && seen.event_ids().contains(&"a1".to_owned());
        if forbidden { Reply::json(403, json!({"error": "not yours"})) } else { ingest.answer(seen) }
    });
    let machine = logged_in(&stub.url());
    capture(&machine, PROJECT, events(PROJECT, &["a1", "a2"]));
    capture(&machine, OTHER_PROJECT, events(OTHER_PROJECT, &["b1"]));
    capture(&machine, PROJECT, vec![body_row(PROJECT, "spec.md", "x")]);
    let report = drain_all(&machine);
    assert_eq!((report.events.delivered, report.bodies.delivered, report.remaining.total()), (1, 0, 3));
    assert_eq!(report.stopped_projects[0].project_uuid.as_deref(), Some(PROJECT));
    assert_eq!((report.stopped.is_none(), report.exit(true)), (true, ExitCode::Failed));
}

#[test]
fn answers_about_the_whole_stop_and_keep_every_row() {
    type Case = (fn() -> Reply, ServerStopReason);
    let cases: [Case; 9] = [
        (|| Reply::text(500, "oops"), ServerStopReason::ServerError),
        (|| Reply::text(502, ""), ServerStopReason::ServerError),
        (|| Reply::json(412, json!({"error": "x"})), ServerStopReason::ContractSkew),
        (|| Reply::json(426, json!({"error": "x"})), ServerStopReason::ContractSkew),
        (
            || Reply::json(403, json!({"category": "direct_ingress_missing_private_team"})),
            ServerStopReason::TeamForbidden,
        ),
        (|| Reply::text(404, "<html>"), ServerStopReason::NoSuchRoute),
        (|| Reply::text(200, "<html>welcome to the hotel</html>"), ServerStopReason::UnusableAnswer),
        (|| Reply::json(200, json!({"ok": true})), ServerStopReason::UnusableAnswer),
        (|| Reply::Drop, ServerStopReason::NoAnswer),
    ];
    for (case, reason) in cases {
        let stub = ScriptedServer::start(move |seen, _| match seen.path.as_str() {
            "/api/v1/events/batch/" => case(),
            _ => Reply::json(404, json!({})),
        });
        let machine = logged_in(&stub.url());
        capture(&machine, PROJECT, events(PROJECT, &IDS));
        capture(&machine, PROJECT, vec![body_row(PROJECT, "spec.md", "x")]);
        let report = drain_all(&machine);
        assert_eq!(stopped(&report), StoppedBy::Server(reason));
        assert_eq!(
            (report.remaining.events, report.remaining.bodies, report.parked.total()),
            (6, 1, 0),
            "{reason:?}"
        );
        assert_eq!(batches(&stub).len(), 1, "{reason:?}: one request, then peace");
        assert!(stub.seen_at("/api/dossier/push-content/").is_empty());
    }
}

#[test]
fn unreachable_server_stops_before_any_row_is_touched() {
    let machine = logged_in("http://127.0.0.1:9");
    capture(&machine, PROJECT, events(PROJECT, &IDS));
    let report = drain_all(&machine);
    assert_eq!(stopped(&report), StoppedBy::Server(ServerStopReason::Unreachable));
    assert_eq!(
        (report.remaining.events, report.exit(true), report.exit(false)),
        (6, ExitCode::Failed, ExitCode::Ok)
    );
    assert!(report.stopped.unwrap().pause().is_some());
}

#[test]
fn pause_the_server_asks_for_is_kept_by_the_next_drain() {
    let stub = ScriptedServer::start(|seen, n| match (seen.path.as_str(), n) {
        ("/api/v1/sync/health/", _) => Reply::json(404, json!({})),
        (_, 1) => Reply::json(429, json!({"error": "slow down"})).with("Retry-After", "600"),
        _ => Ingest::default().answer(seen),
    });
    let machine = logged_in(&stub.url());
    capture(&machine, PROJECT, events(PROJECT, &IDS));
    let report = drain_all(&machine);
    assert_eq!(stopped(&report), StoppedBy::Server(ServerStopReason::Throttled));
    let pause = report.stopped.unwrap().pause().unwrap();
    assert!((600..=660).contains(&pause.as_secs()), "{pause:?}");
    let report = drain_all(&machine);
    assert_eq!((stopped(&report), report.requests, report.remaining.events), (StoppedBy::Pausing, 0, 6));
    let insisting = DrainOptions { ignore_pause: true, ..DrainOptions::default() };
    assert_eq!(try_drain(&machine, insisting, &mut ()).unwrap().events.delivered, 6);
    capture(&machine, PROJECT, events(PROJECT, &["e7"]));
    assert_eq!(drain_all(&machine).events.delivered, 1, "a drain that ends well ends the pause");
}

/// The pause is a moment of the wall clock, and that may be wrong twice: when it is written and when it is read.
#[test]
fn pause_from_a_future_clock_is_ignored() {
    let stub = accepting();
    let machine = logged_in(&stub.url());
    capture(&machine, PROJECT, events(PROJECT, &IDS));
    let mut outbox = queue::Outbox::open(&egress(&machine)).expect("an outbox");
    let next_year = jiff::Timestamp::now().as_second() as f64 + 31_536_000.0;
    outbox.set_deadline(Some(next_year), "throttled").expect("written");
    drop(outbox);
    assert_eq!(drain_all(&machine).events.delivered, 6);
}

#[test]
fn refused_token_is_refreshed_once_and_the_batch_sent_again() {
    let ingest = Ingest::default();
    let stub =
        ScriptedServer::start(move |seen, _| match (seen.path.as_str(), seen.header("authorization")) {
            ("/oauth/token", _) => {
                Reply::json(200, json!({"access_token": "acc-2", "refresh_token": "ref-2"}))
            }
            (_, Some("Bearer acc-2")) => ingest.answer(seen),
            _ => Reply::json(401, json!({"error": "Unauthorized"})),
        });
    let machine = logged_in(&stub.url());
    capture(&machine, PROJECT, events(PROJECT, &IDS));
    let report = drain_all(&machine);
    assert_eq!((report.events.delivered, stub.seen_at("/oauth/token").len()), (6, 1));
    assert_eq!(machine.stored().unwrap().access_token.expose(), "acc-2");
}

#[test]
fn login_that_a_refresh_does_not_help_stops_and_keeps() {
    let stub = ScriptedServer::start(|seen, _| match seen.path.as_str() {
        "/oauth/token" => Reply::json(200, json!({"access_token": "acc-2"})),
        _ => Reply::json(401, json!({"error": "Unauthorized"})),
    });
    let machine = logged_in(&stub.url());
    capture(&machine, PROJECT, events(PROJECT, &IDS));
    let report = drain_all(&machine);
    assert_eq!(
        (stopped(&report), report.exit(false)),
        (StoppedBy::Server(ServerStopReason::Unauthorized), ExitCode::Refused)
    );
    assert_eq!((report.remaining.events, stub.seen_at("/oauth/token").len(), stub.seen().len()), (6, 1, 3));
}

type Change = Box<dyn Fn() + Send + Sync>;

/// A server that takes two events a batch and lets `change` happen while it answers the first.
fn changing() -> (ScriptedServer, Arc<OnceLock<Change>>) {
    let change: Arc<OnceLock<Change>> = Arc::default();
    let script = change.clone();
    let ingest = Ingest::limited(2);
    let first = AtomicUsize::new(0);
    let stub = ScriptedServer::start(move |seen, _| {
        if seen.path == "/api/v1/events/batch/"
            && first.fetch_add(1, Ordering::SeqCst) == 0
            && let Some(change) = script.get()
        {
            change();
        }
        ingest.answer(seen)
    });
    (stub, change)
}

#[test]
fn account_change_during_drain_stops_sending() {
    type Apply = fn(&World, &str);
    let changes: [(&str, Apply); 4] = [
        ("user", |machine, url| {
            machine.store(&Session { email: "other@example.com".into(), ..session(url) });
        }),
        ("team", |machine, _| {
            delivery::auth::switch_team(&machine.context(), "PT-2").unwrap();
        }),
        ("server", |machine, _| {
            machine.configure("http://127.0.0.1:9");
        }),
        ("logged out", |machine, _| machine.context().sessions().delete().unwrap()),
    ];
    for (what, apply) in changes {
        let (stub, change) = changing();
        let machine = Arc::new(logged_in(&stub.url()));
        capture(&machine, PROJECT, events(PROJECT, &IDS));
        let (changed, url) = (machine.clone(), stub.url());
        let _ = change.set(Box::new(move || apply(&changed, &url)));
        let report = drain_all(&machine);
        assert_eq!(
            (stopped(&report), report.exit(false)),
            (StoppedBy::IdentityChanged, ExitCode::Refused),
            "{what}"
        );
        assert_eq!(
            (batches(&stub), report.remaining.events),
            (vec![vec!["e1".to_owned(), "e2".to_owned()]], 4),
            "{what}"
        );
        for seen in stub.seen() {
            assert_eq!(
                (seen.header("authorization"), seen.header("x-team-slug")),
                (Some("Bearer acc-1"), Some("PT-1"))
            );
        }
    }
}

#[test]
fn opt_out_in_the_middle_of_a_drain_holds_the_rest() {
    let (stub, change) = changing();
    let machine = Arc::new(logged_in(&stub.url()));
    capture(&machine, PROJECT, events(PROJECT, &IDS));
    let changed = machine.clone();
    let _ = change.set(Box::new(move || {
        let mut edit = ConfigEdit::begin(&changed.home()).unwrap();
        edit.opt_out(Some(PROJECT));
        edit.commit().unwrap();
    }));
    let report = drain_all(&machine);
    assert_eq!((report.events.delivered, report.held_rows(), report.remaining.events), (2, 4, 4));
    assert!(report.stopped.is_none());
}

#[test]
fn watcher_can_end_it_between_two_requests() {
    struct Impatient(u64);
    impl DrainProgress for Impatient {
        fn advance(&mut self, report: &DrainReport) {
            self.0 = report.events.delivered;
        }
        fn is_cancelled(&self) -> bool {
            self.0 > 0
        }
    }
    let ingest = Ingest::limited(2);
    let stub = ScriptedServer::start(move |seen, _| ingest.answer(seen));
    let machine = logged_in(&stub.url());
    capture(&machine, PROJECT, events(PROJECT, &IDS));
    let report = try_drain(&machine, DrainOptions::default(), &mut Impatient(0)).unwrap();
    assert_eq!((stopped(&report), report.exit(true)), (StoppedBy::Interrupted, ExitCode::Interrupted));
    assert_eq!((report.remaining.events, batches(&stub).len()), (4, 1));
}

#[test]
fn one_drain_at_a_time_per_scope_and_the_holder_is_named() {
    let stub = accepting();
    let machine = logged_in(&stub.url());
    capture(&machine, PROJECT, events(PROJECT, &IDS));
    let path = machine.home().drain_lock(egress(&machine).scope());
    let mut lock = FileLock::acquire(&path, Duration::ZERO, "a test").unwrap();
    lock.record_holder(VERSION).unwrap();
    let error = try_drain(&machine, DrainOptions::default(), &mut ()).unwrap_err();
    assert_eq!(error.exit(), ExitCode::Busy);
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    assert!(stub.seen().is_empty());
    drop(lock);
    assert_eq!(drain_all(&machine).events.delivered, 6);
}

#[test]
fn drains_that_race_send_every_row_once() {
    let ingest = Ingest::limited(1);
    let stub = ScriptedServer::start(move |seen, _| ingest.answer(seen));
    let machine = Arc::new(logged_in(&stub.url()));
    capture(&machine, PROJECT, events(PROJECT, &IDS));
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let machine = machine.clone();
            std::thread::spawn(move || {
                let waiting = DrainOptions { patience: Duration::from_secs(30), ..DrainOptions::default() };
                try_drain(&machine, waiting, &mut ()).unwrap().events.delivered
            })
        })
        .collect();
    let delivered: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    let sent: Vec<String> = batches(&stub).into_iter().flatten().collect();
    assert_eq!((delivered, sent), (6, IDS.map(str::to_owned).to_vec()));
}

#[test]
fn without_a_server_or_the_right_issuer_no_drain_starts() {
    let stub = accepting();
    let machine = logged_in(&stub.url());
    capture(&machine, PROJECT, events(PROJECT, &IDS));
    machine.store(&Session { issuer: Some("https://elsewhere.example".into()), ..session(&stub.url()) });
    let error = try_drain(&machine, DrainOptions::default(), &mut ()).unwrap_err();
    assert_eq!((error.code(), error.exit()), (Some("SYNC_TOKEN_HOST"), ExitCode::Refused));
    assert!(matches!(error, DrainError::Token(_)) && error.remedy(&machine.context()).is_some());
    assert!(stub.seen().is_empty());
    assert_eq!(counts(&machine).events, 6);
}

#[test]
fn bodies_wait_for_their_event_and_are_parked_when_refused() {
    let stub = ScriptedServer::start(|seen, _| match seen.path.as_str() {
        "/api/dossier/push-content/" => match seen.json()["artifact_path"].as_str() {
            Some("spec.md") => Reply::json(404, json!({"error": "index_entry_not_found"})),
            Some("plan.md") => Reply::json(400, json!({"error": "field content_hash"})),
            Some("tasks.md") => Reply::json(404, json!({"error": "namespace_not_found"})),
            Some("research.md") => Reply::json(200, json!({"status": "already_exists"})),
            _ => Reply::json(201, json!({"status": "stored"})),
        },
        _ => Reply::json(404, json!({})),
    });
    let machine = logged_in(&stub.url());
    let paths = ["spec.md", "plan.md", "tasks.md", "research.md", "quickstart.md"];
    capture(&machine, PROJECT, paths.iter().map(|path| body_row(PROJECT, path, path)).collect());
    let report = drain_all(&machine);
    let tally = report.bodies;
    assert_eq!((tally.delivered, tally.duplicate, tally.parked, tally.kept), (1, 1, 2, 1));
    assert_eq!((report.remaining.bodies, report.parked.bodies), (1, 2));
    let failures = report.failures.iter();
    assert!(failures.clone().all(|row| row.mission_slug.as_deref() == Some("demo-01KRX11M")), "{failures:?}");
    let sent: Vec<Value> = stub
        .seen_at("/api/dossier/push-content/")
        .iter()
        .map(|seen| seen.json()["artifact_path"].clone())
        .collect();
    assert_eq!(sent, paths);
}

#[test]
fn sent_field_order_and_body_bytes_are_the_stored_ones() {
    let stub = accepting();
    let machine = logged_in(&stub.url());
    let content = "line\r\n\ttab \"quoted\" \u{1f63a} \u{7f}\n";
    capture(&machine, PROJECT, vec![body_row(PROJECT, "research/a.md", content)]);
    drain_all(&machine);
    let sent = stub.seen_at("/api/dossier/push-content/")[0].json();
    assert_eq!(sent["content_body"], content);
    assert_eq!(sent["content_hash"], contract::wire::body::hash(content.as_bytes()));
}
