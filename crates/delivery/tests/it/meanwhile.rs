//! Changes and failures while a drain waits for an answer.

use crate::world::{
    Ingest, PROJECT, batches, body_row, capture, counts, drain_all, egress, event, event_text, events,
    logged_in, try_drain,
};
use delivery::drain::{DrainOptions, DrainProgress, DrainReport, StoppedBy};
use identity::{ConfigEdit, Home};
use rusqlite::Connection;
use serde_json::json;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use testkit::World;
use testkit::scripted::{Reply, ScriptedRequest, ScriptedServer};

const IDS: [&str; 6] = ["e1", "e2", "e3", "e4", "e5", "e6"];
const BATCH: &str = "/api/v1/events/batch/";
const CONTENT: &str = "/api/dossier/push-content/";

fn opt_out(home: &Home) {
    let mut edit = ConfigEdit::begin(home).unwrap();
    edit.opt_out(Some(PROJECT));
    edit.commit().unwrap();
}

/// A machine at a server that answers by `script`, which is given the home of the machine.
fn machine_at(
    script: impl Fn(&ScriptedRequest, &Home) -> Reply + Send + Sync + 'static,
) -> (ScriptedServer, World) {
    let home: Arc<OnceLock<Home>> = Arc::default();
    let known = home.clone();
    let stub = ScriptedServer::start(move |seen, _| script(seen, known.get().expect("a home")));
    let machine = logged_in(&stub.url());
    home.set(machine.home()).expect("once");
    (stub, machine)
}

/// The queue DB as another program opens it.
fn other_program(machine: &World) -> Connection {
    Connection::open(egress(machine).queue_path()).expect("the queue DB")
}

/// A statement that runs when an answer with `at` delivered rows was judged.
struct Between {
    connection: Connection,
    at: u64,
    sql: &'static str,
}

impl DrainProgress for Between {
    fn advance(&mut self, report: &DrainReport) {
        if report.events.delivered == self.at {
            self.connection.execute_batch(self.sql).expect("changed");
        }
    }
}

fn stopped(report: &DrainReport) -> Option<StoppedBy> {
    report.stopped.as_ref().map(|stopped| stopped.reason)
}

#[test]
fn opt_out_between_two_pieces_holds_the_later_one() {
    let ingest = Ingest::default();
    let (stub, machine) = machine_at(move |seen, home| match seen.path.as_str() {
        BATCH if seen.event_ids().len() > 3 => Reply::json(413, json!({"error": "Payload too large"})),
        BATCH => {
            opt_out(home);
            ingest.answer(seen)
        }
        _ => ingest.answer(seen),
    });
    capture(&machine, PROJECT, events(PROJECT, &IDS));
    let report = drain_all(&machine);
    assert_eq!(batches(&stub), [IDS.to_vec(), IDS[..3].to_vec()]);
    assert_eq!((report.events.delivered, report.held_rows(), report.remaining.events), (3, 3, 3));
    assert_eq!(stopped(&report), None);
}

/// A server that refuses the first token for `path`, and whose user opts out while the token is renewed.
fn opt_out_at_renewal(path: &'static str) -> (ScriptedServer, World) {
    let ingest = Ingest::default();
    machine_at(move |seen, home| match seen.path.as_str() {
        "/oauth/token" => {
            opt_out(home);
            Reply::json(200, json!({"access_token": "acc-2", "refresh_token": "ref-2"}))
        }
        at if at == path && seen.header("authorization") == Some("Bearer acc-1") => {
            Reply::json(401, json!({"error": "Unauthorized"}))
        }
        _ => ingest.answer(seen),
    })
}

#[test]
fn opt_out_before_the_repeat_of_a_batch_holds_it() {
    let (stub, machine) = opt_out_at_renewal(BATCH);
    capture(&machine, PROJECT, events(PROJECT, &IDS));
    let report = drain_all(&machine);
    assert_eq!((batches(&stub).len(), stub.seen_at("/oauth/token").len()), (1, 1));
    assert_eq!((report.events.left(), report.held_rows(), stopped(&report)), (0, 6, None));
}

#[test]
fn opt_out_before_the_repeat_of_a_piece_holds_it() {
    let ingest = Ingest::default();
    let (stub, machine) = machine_at(move |seen, home| match seen.path.as_str() {
        "/oauth/token" => {
            opt_out(home);
            Reply::json(200, json!({"access_token": "acc-2", "refresh_token": "ref-2"}))
        }
        BATCH if seen.event_ids().len() > 3 => Reply::json(413, json!({"error": "Payload too large"})),
        BATCH => Reply::json(401, json!({"error": "Unauthorized"})),
        _ => ingest.answer(seen),
    });
    capture(&machine, PROJECT, events(PROJECT, &IDS));
    let report = drain_all(&machine);
    assert_eq!(batches(&stub), [IDS.to_vec(), IDS[..3].to_vec()]);
    assert_eq!((report.events.left(), report.held_rows(), stopped(&report)), (0, 6, None));
}

#[test]
fn opt_out_before_the_repeat_of_a_body_holds_it() {
    let (stub, machine) = opt_out_at_renewal(CONTENT);
    capture(&machine, PROJECT, vec![body_row(PROJECT, "spec.md", "x"), body_row(PROJECT, "plan.md", "y")]);
    let report = drain_all(&machine);
    assert_eq!((stub.seen_at(CONTENT).len(), stub.seen_at("/oauth/token").len()), (1, 1));
    assert_eq!((report.bodies.left(), report.held_rows(), stopped(&report)), (0, 2, None));
}

#[test]
fn answer_is_recorded_when_the_read_ahead_fails() {
    let ingest = Ingest::limited(2);
    let (stub, machine) = machine_at(move |seen, _| ingest.answer(seen));
    let retired = event_text("old", PROJECT).replace("\"n\": 1.50", "\"feature_slug\": \"x\"");
    capture(&machine, PROJECT, events(PROJECT, &["e1", "e2"]));
    capture(&machine, PROJECT, vec![event(retired), event(event_text("e3", PROJECT))]);
    // The retired row is parked by the read ahead; the reason is no JSON, so the row cannot be written.
    other_program(&machine).execute_batch("CREATE INDEX refuse ON parked(json(reason))").expect("an index");
    let report = drain_all(&machine);
    assert_eq!(stopped(&report), Some(StoppedBy::QueueFailed));
    assert_eq!(batches(&stub), [["e1", "e2"]]);
    assert_eq!((report.events.delivered, counts(&machine).events), (2, 2));
}

#[test]
fn answers_stay_in_hand_when_their_record_fails_once() {
    let ingest = Ingest::limited(1);
    let (stub, machine) = machine_at(move |seen, _| ingest.answer(seen));
    let ids: Vec<String> = (0..20).map(|n| format!("e{n:02}")).collect();
    capture(&machine, PROJECT, events(PROJECT, &ids.iter().map(String::as_str).collect::<Vec<_>>()));
    let connection = other_program(&machine);
    connection.execute_batch("CREATE INDEX refuse ON receipts(json(outcome))").expect("an index");
    // The first 16 are recorded while the 17th is on its way.
    let mut between = Between { connection, at: 17, sql: "DROP INDEX refuse" };
    let report = try_drain(&machine, DrainOptions::default(), &mut between).unwrap();
    assert_eq!(stopped(&report), Some(StoppedBy::QueueFailed));
    assert_eq!((report.events.delivered, counts(&machine).events, batches(&stub).len()), (17, 3, 17));
}

#[test]
fn report_counts_no_delivery_without_its_record() {
    let ingest = Ingest::limited(2);
    let (_stub, machine) = machine_at(move |seen, _| ingest.answer(seen));
    capture(&machine, PROJECT, events(PROJECT, &IDS));
    other_program(&machine)
        .execute_batch("CREATE INDEX refuse ON receipts(json(outcome))")
        .expect("an index");
    let report = drain_all(&machine);
    assert_eq!(stopped(&report), Some(StoppedBy::QueueFailed));
    assert_eq!((report.events.left(), report.remaining.events), (0, 6));
}

#[test]
fn row_removed_after_the_read_ahead_does_not_leave() {
    let ingest = Ingest::limited(2);
    let (stub, machine) = machine_at(move |seen, _| ingest.answer(seen));
    capture(&machine, PROJECT, events(PROJECT, &IDS));
    let connection = other_program(&machine);
    let mut between = Between { connection, at: 2, sql: "DELETE FROM queue WHERE event_id = 'e3'" };
    let report = try_drain(&machine, DrainOptions::default(), &mut between).unwrap();
    assert_eq!(batches(&stub), [vec!["e1", "e2"], vec!["e4", "e5"], vec!["e6"]]);
    assert_eq!((report.events.delivered, stopped(&report)), (5, None));
}

/// A batch that is on its way.
struct Open {
    project: String,
    rows: usize,
    bytes: usize,
}

/// Each case is the limits of a request, the rows of each of eight projects, and the most batches on their way.
#[test]
fn few_batches_are_on_their_way_each_of_another_project() {
    const ROWS: usize = 1000;
    const BYTES: usize = 1_000_000;
    for (rows, bytes, of_each, most) in [(ROWS, BYTES, [1; 8], 4), (5, BYTES, [2; 8], 2)] {
        let open: Arc<Mutex<(Vec<Open>, usize)>> = Arc::default();
        let mut ingest = Ingest::limited(1);
        ingest.limits =
            Some(json!({"max_events_per_batch": rows, "max_decompressed_bytes_per_batch": bytes}));
        let seen_open = Arc::clone(&open);
        let stub = ScriptedServer::start(move |seen, _| {
            if seen.path != BATCH {
                return ingest.answer(seen);
            }
            let project = seen.json()["events"][0]["project_uuid"].as_str().unwrap().to_owned();
            {
                let (open, peak) = &mut *seen_open.lock().unwrap();
                let batch = Open {
                    project: project.clone(),
                    rows: seen.event_ids().len(),
                    bytes: seen.plain().len(),
                };
                open.push(batch);
                *peak = open.len().max(*peak);
            }
            // The others have time to come, and one too many too.
            let begun = Instant::now();
            while seen_open.lock().unwrap().1 < most && begun.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_millis(40));
            let (open, _) = &mut *seen_open.lock().unwrap();
            let mut projects: Vec<&str> = open.iter().map(|batch| batch.project.as_str()).collect();
            projects.sort_unstable();
            projects.dedup();
            let sum = |size: fn(&Open) -> usize| open.iter().map(size).sum::<usize>();
            let fits = open.len() <= 4
                && projects.len() == open.len()
                && sum(|batch| batch.rows) <= rows
                && sum(|batch| batch.bytes) <= bytes;
            let at = open.iter().position(|batch| batch.project == project).unwrap();
            open.remove(at);
            // A refusal of the whole, which the test sees in the report.
            if fits { ingest.answer(seen) } else { Reply::json(500, json!({"error": "too many at once"})) }
        });
        let machine = logged_in(&stub.url());
        for (number, count) in of_each.into_iter().enumerate() {
            let project = format!("164b830e-0aa9-486a-80e9-73e0ff9bd51{number}");
            let ids: Vec<String> = (0..count).map(|row| format!("e{number}-{row:02}")).collect();
            capture(
                &machine,
                &project,
                events(&project, &ids.iter().map(String::as_str).collect::<Vec<_>>()),
            );
        }
        let report = drain_all(&machine);
        let all: usize = of_each.iter().sum();
        assert_eq!((report.events.delivered, stopped(&report)), (u64::try_from(all).unwrap(), None));
        assert!(open.lock().unwrap().1 >= most, "case of {most}");
    }
}
