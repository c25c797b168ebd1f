//! Whatever a server does and whenever the process dies: nothing is lost, nothing leaves twice without
//! being called a duplicate, and every drain ends.

use crate::machine::{Machine, VERSION};
use crate::world::{
    Ingest, OTHER_PROJECT, PROJECT, batches, body_row, capture, counts, drain_all, egress, events, logged_in,
    try_drain,
};
use delivery::drain::DrainOptions;
use identity::{BuildInfo, Environment, Home};
use preflight::Boundary;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use testkit::scripted::{Reply, ScriptedServer};

/// One way to answer a batch.
#[derive(Clone, Debug)]
enum Mood {
    Take,
    /// Accepts some rows and omits the rest from its answer.
    Forget,
    Reject,
    Strangers,
    Contradict,
    TooLarge,
    Bad,
    BadNaming,
    Status(u16),
    Html,
    Drop,
}

fn mood() -> impl Strategy<Value = Mood> {
    prop_oneof![
        4 => Just(Mood::Take),
        1 => Just(Mood::Forget),
        1 => Just(Mood::Reject),
        1 => Just(Mood::Strangers),
        1 => Just(Mood::Contradict),
        2 => Just(Mood::TooLarge),
        2 => Just(Mood::Bad),
        1 => Just(Mood::BadNaming),
        1 => prop::sample::select(vec![401u16, 403, 404, 409, 429, 500, 503]).prop_map(Mood::Status),
        1 => Just(Mood::Html),
        1 => Just(Mood::Drop),
    ]
}

/// Rows at the server: the number of times that it took each.
type Held = Arc<Mutex<BTreeMap<String, u32>>>;

fn answer_batch(ids: &[String], mood: &Mood, held: &Held) -> Reply {
    let mut held = held.lock().unwrap();
    let mut take = |id: &String| {
        let times = held.entry(id.clone()).or_default();
        *times += 1;
        if *times == 1 { "success" } else { "duplicate" }
    };
    let one = |id: &String, status: &str| json!({"event_id": id, "status": status});
    let results = |list: Vec<Value>| Reply::json(200, json!({"results": list}));
    match mood {
        Mood::Take => results(ids.iter().map(|id| one(id, take(id))).collect()),
        Mood::Forget => results(ids.iter().step_by(2).map(|id| one(id, take(id))).collect()),
        Mood::Reject => results(
            ids.iter()
                .enumerate()
                .map(|(at, id)| one(id, if at % 3 == 0 { "rejected" } else { take(id) }))
                .collect(),
        ),
        Mood::Strangers => results(ids.iter().map(|id| one(&format!("{id}-x"), "success")).collect()),
        Mood::Contradict => {
            results(ids.iter().flat_map(|id| [one(id, take(id)), one(id, "rejected")]).collect())
        }
        Mood::TooLarge => Reply::json(413, json!({"error_code": "sync_batch_too_large"})),
        Mood::Bad => Reply::json(400, json!({"error": "Bad request"})),
        Mood::BadNaming => Reply::json(
            400,
            json!({"error": "Bad request", "details": [{"event_id": ids[0], "error": "schema"}]}),
        ),
        Mood::Status(status) => Reply::json(*status, json!({"error": "no"})),
        Mood::Html => Reply::text(200, "<html>"),
        Mood::Drop => Reply::Drop,
    }
}

/// A server that answers its n-th batch in its n-th mood, and takes everything afterwards.
fn moody(moods: Vec<Mood>, held: Held) -> ScriptedServer {
    let next = Mutex::new(moods.into_iter());
    ScriptedServer::start(move |seen, _| match seen.path.as_str() {
        "/api/v1/events/batch/" => {
            let mood = next.lock().unwrap().next().unwrap_or(Mood::Take);
            answer_batch(&seen.event_ids(), &mood, &held)
        }
        "/oauth/token" => Reply::json(200, json!({"access_token": "acc-2"})),
        _ => Reply::json(404, json!({"error": "Not found", "error_code": "not_found"})),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_server_makes_a_row_vanish_or_a_drain_run_for_ever(
        moods in prop::collection::vec(mood(), 0..24),
        sizes in (0usize..20, 0usize..6),
    ) {
        let held: Held = Arc::default();
        let stub = moody(moods, held.clone());
        let machine = logged_in(&stub.url());
        let names = |prefix: &str, count: usize| (0..count).map(|n| format!("{prefix}{n:02}")).collect::<Vec<_>>();
        let mine = [(PROJECT, names("a", sizes.0)), (OTHER_PROJECT, names("b", sizes.1))];
        for (project, ids) in &mine {
            if !ids.is_empty() {
                capture(&machine, project, events(project, &ids.iter().map(String::as_str).collect::<Vec<_>>()));
            }
        }
        let total = (sizes.0 + sizes.1) as u64;
        let options = DrainOptions { ignore_pause: true, ..DrainOptions::default() };
        let mut left = 0;
        let mut parked = 0;
        // Each round a drain of its own, as `sync now` run again and again.
        for _ in 0..4 {
            let before = stub.seen().len() as u64;
            let report = try_drain(&machine, options, &mut ()).unwrap();
            let requests = stub.seen().len() as u64 - before;
            prop_assert!(requests <= 4 * total + 8, "a drain of {total} rows made {requests} requests");
            left += report.events.left();
            parked += report.events.parked;
            prop_assert_eq!(left + parked + report.remaining.events, total, "every row left, is parked, or waits");
            prop_assert_eq!(report.parked.events, parked);
        }
        // A row left only if the server has it.
        prop_assert!(left <= held.lock().unwrap().len() as u64);
        for batch in batches(&stub) {
            let prefixes: BTreeSet<&str> = batch.iter().map(|id| &id[..1]).collect();
            prop_assert_eq!(prefixes.len(), 1, "one project a batch");
            prop_assert!(batch.is_sorted(), "first in, first out: {:?}", batch);
        }
        // Rows are offered for the first time in the order in which they were captured.
        for (_, ids) in &mine {
            let mut first: Vec<String> = Vec::new();
            for id in batches(&stub).into_iter().flatten().filter(|id| ids.contains(id)) {
                if !first.contains(&id) { first.push(id); }
            }
            prop_assert!(first.is_sorted(), "{:?}", first);
        }
    }
}

const CHILD_HOME: &str = "DELIVERY_TEST_CHILD_HOME";

#[test]
fn drain_killed_after_commit_repeats_as_duplicate() {
    let ingest = Arc::new(Ingest::limited(2));
    let (committed, wait) = mpsc::channel();
    let committed = Mutex::new(Some(committed));
    let script = ingest.clone();
    let stub = ScriptedServer::start(move |seen, _| {
        let reply = script.answer(seen);
        if seen.path == "/api/v1/events/batch/"
            && let Some(committed) = committed.lock().unwrap().take()
        {
            // The server has the rows; the client never hears of it.
            committed.send(()).unwrap();
            return Reply::Hang;
        }
        reply
    });
    let machine = logged_in(&stub.url());
    capture(&machine, PROJECT, events(PROJECT, &["e1", "e2", "e3"]));
    capture(&machine, PROJECT, vec![body_row(PROJECT, "spec.md", "x")]);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hostile::child_that_drains", "--ignored", "--quiet"])
        .env(CHILD_HOME, machine.user_home())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait.recv_timeout(Duration::from_secs(30)).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(counts(&machine).events, 3, "nothing left without a valid answer");

    let report = drain_all(&machine);
    assert_eq!((report.events.delivered, report.events.duplicate, report.bodies.delivered), (1, 2, 1));
    assert_eq!(report.remaining.total(), 0);
}

#[test]
#[ignore = "no test: the body of the second process that the test above starts"]
fn child_that_drains() {
    let Ok(home) = std::env::var(CHILD_HOME) else { return };
    let environment = [("HOME", home.as_str()), ("USERPROFILE", &home), ("SPEC_KITTY_ENABLE_SAAS_SYNC", "1")];
    let environment = Environment::from_pairs(environment);
    let home = Home::resolve(&environment).unwrap();
    let build = BuildInfo { version: VERSION.to_owned(), commit: None, release: true };
    let permit = Boundary::new(&environment, &home, build).egress_permit().unwrap();
    let context = delivery::DeliveryContext::new(&home, &environment, VERSION).unwrap();
    delivery::drain(permit, &context, &DrainOptions::default(), &mut ()).unwrap();
}

#[test]
fn queue_that_was_replaced_after_the_gate_saw_it_is_not_drained() {
    let held: Held = Arc::default();
    let stub = moody(Vec::new(), held);
    let machine = logged_in(&stub.url());
    capture(&machine, PROJECT, events(PROJECT, &["e1"]));
    let permit = egress(&machine);
    let path = permit.queue_path().to_path_buf();
    std::fs::rename(&path, path.with_extension("moved")).unwrap();
    capture(&machine, PROJECT, events(PROJECT, &["e2"]));
    let error = delivery::drain(permit, &machine.context(), &DrainOptions::default(), &mut ()).unwrap_err();
    assert_eq!(error.exit(), contract::ExitCode::Refused, "{error}");
    assert!(error.to_string().contains("queue_identity_changed"), "{error}");
    assert!(stub.seen().is_empty());
}
