//! With a server that refuses everything no row is parked and few requests are made; once it accepts, it gets every
//! row. Invalid rows are parked and hold back no other row.

use crate::world::{Ingest, PROJECT, body_row, capture, drain_all, events, logged_in};
use delivery::classify::ServerStopReason;
use delivery::drain::{DrainReport, StoppedBy};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use testkit::World;
use testkit::scripted::{Reply, ScriptedRequest, ScriptedServer};

const BATCH: &str = "/api/v1/events/batch/";
const PUSH: &str = "/api/dossier/push-content/";
const HEALTH: &str = "/api/v1/sync/health/";

fn is_everything_refused(report: &DrainReport) -> bool {
    report
        .stopped
        .as_ref()
        .is_some_and(|stopped| stopped.reason == StoppedBy::Server(ServerStopReason::EverythingRefused))
}

/// A server that answers `refused` paths by `reply` until it is well.
fn sick(refused: &'static [&'static str], reply: fn() -> Reply) -> (ScriptedServer, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(false));
    let ingest = Ingest::default();
    let stub = ScriptedServer::start({
        let well = well.clone();
        move |seen, _| match well.load(Ordering::SeqCst) {
            false if refused.contains(&seen.path.as_str()) => reply(),
            _ => ingest.answer(seen),
        }
    });
    (stub, well)
}

fn fill(machine: &World, rows: usize) {
    let ids: Vec<String> = (0..rows).map(|n| format!("e{n:03}")).collect();
    capture(machine, PROJECT, events(PROJECT, &ids.iter().map(String::as_str).collect::<Vec<_>>()));
    let bodies = (0..rows).map(|n| body_row(PROJECT, &format!("research/{n:03}.md"), &format!("# {n}\n")));
    capture(machine, PROJECT, bodies.collect());
}

#[test]
fn refusing_everything_parks_nothing_after_few_requests() {
    let replies: [fn() -> Reply; 6] = [
        || Reply::json(400, json!({"error": "Bad request", "error_code": "schema_mismatch"})),
        || Reply::text(400, "<html>blocked</html>"),
        || Reply::json(413, json!({"error": "Payload too large"})),
        || Reply::text(413, ""),
        || Reply::json(422, json!({"detail": [{"msg": "no"}]})),
        || Reply::json(404, json!({"error": "namespace_not_found"})),
    ];
    let parts: [&[&str]; 4] = [&[HEALTH, BATCH, PUSH], &[BATCH, PUSH], &[PUSH], &[BATCH]];
    for (case, reply) in replies.into_iter().enumerate() {
        for refused in parts {
            // A batch that is answered 404 has met no sync server at all: that stops by another name.
            if case == 5 && refused.contains(&BATCH) {
                continue;
            }
            let (stub, well) = sick(refused, reply);
            let machine = logged_in(&stub.url());
            fill(&machine, 40);
            for round in 0..4 {
                let before = stub.seen().len();
                let report = drain_all(&machine);
                let asked = stub.seen().len() - before;
                let what = format!("case {case}, {refused:?}, round {round}: {report:?}");
                assert!(is_everything_refused(&report), "{what}");
                assert_eq!(report.parked.total(), 0, "{what}");
                assert!(asked <= if round == 0 { 30 } else { 8 }, "{asked} requests: {what}");
            }
            well.store(true, Ordering::SeqCst);
            for _ in 0..2 {
                drain_all(&machine);
            }
            let report = drain_all(&machine);
            assert_eq!((report.remaining.total(), report.parked.total()), (0, 0), "{case} {refused:?}");
        }
    }
}

#[test]
fn few_rows_that_a_proxy_refuses_wait_too() {
    let (stub, well) = sick(&[HEALTH, BATCH, PUSH], || Reply::text(400, "<html>blocked</html>"));
    let machine = logged_in(&stub.url());
    fill(&machine, 3);
    for _ in 0..5 {
        let report = drain_all(&machine);
        assert!(is_everything_refused(&report), "{report:?}");
        assert_eq!((report.parked.total(), report.remaining.total()), (0, 6), "{report:?}");
    }
    well.store(true, Ordering::SeqCst);
    drain_all(&machine);
    assert_eq!(drain_all(&machine).remaining.total(), 0);
}

#[test]
fn rows_captured_one_by_one_are_not_parked_one_by_one() {
    let (stub, _well) = sick(&[BATCH], || Reply::json(400, json!({"error": "Bad request"})));
    let machine = logged_in(&stub.url());
    let mut parked = 0;
    for n in 0..30 {
        capture(&machine, PROJECT, events(PROJECT, &[&format!("e{n:02}")]));
        parked = drain_all(&machine).parked.events;
    }
    assert!(parked < 8, "{parked} of 30 parked");
}

/// Refuses bodies whose path contains `bad`, and accepts all others.
fn picky() -> ScriptedServer {
    let ingest = Ingest::default();
    ScriptedServer::start(move |seen: &ScriptedRequest, _| {
        let bad = seen.path == PUSH && seen.json()["artifact_path"].as_str().unwrap().contains("bad");
        if bad { Reply::text(400, "<html>blocked</html>") } else { ingest.answer(seen) }
    })
}

#[test]
fn bad_rows_at_the_head_are_parked_and_keep_no_good_one_back() {
    let stub = picky();
    let machine = logged_in(&stub.url());
    let bad = (0..12).map(|n| body_row(PROJECT, &format!("research/bad-{n:02}.md"), &format!("# {n}\n")));
    capture(&machine, PROJECT, bad.collect());
    let good = (0..5).map(|n| body_row(PROJECT, &format!("research/good-{n}.md"), &format!("# {n}\n")));
    capture(&machine, PROJECT, good.collect());
    let mut delivered = 0;
    let mut last = drain_all(&machine);
    for _ in 0..10 {
        delivered += last.bodies.delivered;
        last = drain_all(&machine);
    }
    assert_eq!((delivered, last.parked.bodies, last.remaining.bodies), (5, 12, 0), "{last:?}");
}

#[test]
fn bad_row_beside_a_good_one_is_parked_at_once() {
    let stub = picky();
    let machine = logged_in(&stub.url());
    for path in ["research/bad.md", "research/good.md", "research/bad-too.md"] {
        capture(&machine, PROJECT, vec![body_row(PROJECT, path, path)]);
    }
    let report = drain_all(&machine);
    assert_eq!((report.bodies.delivered, report.bodies.parked, report.remaining.bodies), (1, 2, 0));
    assert!(report.stopped.is_none(), "{report:?}");
}

#[test]
fn project_after_project_that_is_forbidden_ends_the_drain() {
    let (stub, _well) = sick(&[BATCH], || Reply::json(403, json!({"error": "not yours"})));
    let machine = logged_in(&stub.url());
    for n in 0..30 {
        let project = format!("164b830e-0aa9-486a-80e9-73e0ff9bd5{n:02}");
        capture(&machine, &project, events(&project, &[&format!("e{n:02}")]));
    }
    let report = drain_all(&machine);
    assert!(is_everything_refused(&report), "{report:?}");
    assert_eq!((report.remaining.events, report.parked.events), (30, 0));
    assert!(report.requests < 12, "{report:?}");
}
