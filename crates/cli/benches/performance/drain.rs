//! A whole drain: `sync now` against a server of its own, both sides durable.

use crate::BINARY;
use benches::report::{Goal, Measurement, PerformanceReport, milliseconds};
use benches::{ProcessCost, cpu_of_process, cpu_of_thread, peak_of_process, process_cost};
use contract::event::ValidatedEvent;
use contract::wire::endpoint::{CONTRACT_HEADER, CONTRACT_VERSION, EVENTS_BATCH, TEAM_HEADER};
use identity::BuildInfo;
use preflight::Boundary;
use queue::{Capacity, Capture, NewRow, RowOrigin, Witness, Writer};
use rusqlite::{Connection, params};
use std::time::{Duration, Instant};
use testkit::events::common;
use testkit::{Server, World, gzip};

/// As many as a request of this server may hold.
const PER_BATCH: usize = 1000;

/// One project, at three sizes.
pub(crate) fn one_project(report: &mut PerformanceReport) {
    for rows in [1_000, 5_000, 20_000] {
        let (cost, server) = drain(1, rows);
        report.plot("drain", rows as f64, cost);
        report.plot("ingest (processor time of the server)", rows as f64, server);
        if rows == 20_000 {
            let (bare, of_client) = bare(rows);
            let rate = |took: Duration| rows as f64 / took.as_secs_f64();
            report.add(Measurement {
                what: format!("drain of {rows} rows of one project"),
                unit: "rows/s",
                value: rate(cost.wall),
                yardstick: Some(("bare SQLite, the rows of both sides in the same batches", rate(bare))),
                goal: Some(Goal::RatioAtLeast(1.3)),
            });
            let each = |took: Duration| took.as_secs_f64() * 1e6 / rows as f64;
            report.add(Measurement {
                what: "... processor time of the client for each event".into(),
                unit: "us",
                value: each(cost.cpu),
                yardstick: Some(("the client's rows in bare SQLite", each(of_client))),
                goal: Some(Goal::AtMost(16.0)),
            });
            report.add(Measurement {
                what: "... processor time of the server for each event".into(),
                unit: "us",
                value: each(server.cpu),
                yardstick: None,
                goal: None,
            });
        }
    }
}

/// Many projects of ten rows each, against as many rows of one project.
pub(crate) fn many_projects(report: &mut PerformanceReport) {
    let (one, _) = drain(1, 10_000);
    let (many, _) = drain(1_000, 10);
    report.add(Measurement {
        what: "drain of 1,000 projects of 10 rows".into(),
        unit: "ms",
        value: milliseconds(many.wall),
        yardstick: Some(("10,000 rows of one project", milliseconds(one.wall))),
        goal: Some(Goal::RatioAtMost(1.5)),
    });
    report.add(Measurement {
        what: "... processor time of the client".into(),
        unit: "ms",
        value: milliseconds(many.cpu),
        yardstick: Some(("10,000 rows of one project", milliseconds(one.cpu))),
        goal: None,
    });
}

/// Events sent alone, by several senders at once: what each costs the server.
pub(crate) fn single_events(report: &mut PerformanceReport) {
    const SENDERS: usize = 8;
    const EACH: usize = 500;
    let (_world, server) = testkit::host::with_server(BINARY);
    let before = cpu_of_process(server.id()).unwrap_or_default();
    std::thread::scope(|threads| {
        for sender in 0..SENDERS {
            let server = &server;
            threads.spawn(move || {
                let agent = ureq::Agent::new_with_defaults();
                for number in 0..EACH {
                    let event = event(sender * EACH + number, &project(0));
                    let mut answer = agent
                        .post(format!("{}{EVENTS_BATCH}", server.url()))
                        .header("Authorization", format!("Bearer {}", server.token))
                        .header(TEAM_HEADER, &server.team)
                        .header(CONTRACT_HEADER, CONTRACT_VERSION)
                        .header("Content-Encoding", "gzip")
                        .content_type("application/json")
                        .send(gzip(format!("{{\"events\":[{}]}}", event.text()).as_bytes()))
                        .expect("an answer");
                    assert_eq!(answer.status(), 200);
                    // A connection whose answer is not read to its end is not used again.
                    let _ = answer.body_mut().read_to_vec().expect("the whole answer");
                }
            });
        }
    });
    let spent = cpu_of_process(server.id()).unwrap_or_default().saturating_sub(before);
    report.add(Measurement {
        what: "server, one event a request, processor time for each".into(),
        unit: "us",
        value: spent.as_secs_f64() * 1e6 / (SENDERS * EACH) as f64,
        yardstick: None,
        goal: Some(Goal::AtMost(150.0)),
    });
}

/// The cost of delivering `each` rows of `projects` projects, and what the server uses for it.
fn drain(projects: usize, each: usize) -> (ProcessCost, ProcessCost) {
    let (world, server) = waiting(projects, each);
    let before = cpu_of_process(server.id()).unwrap_or_default();
    let mut command = world.command();
    command.args(["sync", "now", "--json"]);
    let cost = process_cost(command);
    let spent = cpu_of_process(server.id()).unwrap_or_default().saturating_sub(before);
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    assert_eq!(status["active_queue"]["event_count"], 0, "everything is delivered");
    // How long the server works is how long the drain takes: only its processor time is its own.
    (cost, ProcessCost { wall: spent, cpu: spent, peak_kib: peak_of_process(server.id()) })
}

/// A home with rows that wait, and the server that takes them.
pub(crate) fn waiting(projects: usize, each: usize) -> (World, Server) {
    let (world, server) = testkit::host::with_server(BINARY);
    // Decisions as a user of many projects has them.
    let decisions: String = (0..projects)
        .map(|number| format!("[sync.projects.\"{}\"]\nenabled = true\n", project(number)))
        .collect();
    world.write_config(&format!(
        "[sync]\nserver_url = \"{}\"\nmax_queue_size = 1000000\n{decisions}",
        server.url()
    ));
    let (environment, home) = (world.environment(), world.home());
    let build = BuildInfo { version: "3.3.0".into(), commit: None, release: true };
    let permit = Boundary::new(&environment, &home, build).capture_permit().expect("a coherent boundary");
    let mut writer = Writer::open(&permit, Capacity(1_000_000)).expect("the queue");
    for number in 0..projects {
        let rows = (0..each).map(|row| {
            let event = event(number * each + row, &project(number));
            let witness = Witness::LogRow { log: "/nowhere".into(), event_id: event.id().to_owned() };
            NewRow::event(event, witness)
        });
        let place = RowOrigin { project_uuid: Some(project(number)), ..RowOrigin::default() };
        let capture = Capture { place, mission_slug: "demo-01M81786".into(), rows: rows.collect() };
        let prepared = writer.prepare(&capture).expect("prepared");
        writer.confirm(prepared).expect("confirmed");
    }
    (world, server)
}

fn project(number: usize) -> String {
    format!("4a9c9a6e-5d3c-4b52-8f0e-6f4c3a2b{number:04x}")
}

fn event(n: usize, project: &str) -> ValidatedEvent {
    ValidatedEvent::parse(common(n, project, None).to_string()).expect("an event of the contract")
}

/// The row work of a drain on both sides in bare SQLite. Rows are read and looked up, stored and indexed on the other
/// side, and deleted with a receipt. Each side makes one durable commit a batch; nothing is packed, sent or judged.
/// Returns the time of both sides and the processor time of the client's.
fn bare(rows: usize) -> (Duration, Duration) {
    let directory = tempfile::tempdir().expect("a directory");
    let open = |name: &str, journal: &str, schema: &str| {
        let conn = Connection::open(directory.path().join(name)).expect("a database");
        conn.query_row(&format!("PRAGMA journal_mode = {journal}"), [], |_| Ok(())).expect("a journal");
        conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = -16384").expect("pragmas");
        conn.execute_batch(schema).expect("tables");
        conn
    };
    let mut client = open("client.db", "TRUNCATE", CLIENT);
    let mut server = open("server.db", "WAL", SERVER);
    let fill = client.transaction().expect("a transaction");
    for row in 0..rows {
        let event = event(row, &project(0));
        fill.prepare_cached(
            "INSERT INTO queue(event_id, event_type, data, timestamp) VALUES (?1, 'T', ?2, ?3)",
        )
        .expect("a statement")
        .execute(params![event.id(), event.text(), i64::try_from(row / 100).expect("a small number")])
        .expect("inserted");
        fill.prepare_cached("INSERT INTO bindings VALUES (0, ?1, 1, 0, ?2, ?3)")
            .expect("a statement")
            .execute(params![
                fill.last_insert_rowid(),
                i64::try_from(row / 100).expect("a small number"),
                [7_u8; 32]
            ])
            .expect("bound");
    }
    fill.commit().expect("committed");
    let cpu = || cpu_of_thread().unwrap_or_default();
    let mut of_client = Duration::ZERO;
    let start = Instant::now();
    loop {
        let before = cpu();
        let batch: Vec<(i64, String, String)> = client
            .prepare_cached(
                "SELECT q.id, q.event_id, q.data FROM bindings AS b JOIN queue AS q ON q.id = b.row
                 WHERE b.kind = 0 AND b.place = 1 AND b.hold = 0 ORDER BY b.at, b.row LIMIT ?1",
            )
            .expect("a statement")
            .query_map([PER_BATCH as i64], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .expect("rows")
            .collect::<Result<_, _>>()
            .expect("rows");
        of_client += cpu().saturating_sub(before);
        if batch.is_empty() {
            return (start.elapsed(), of_client);
        }
        let work = server.transaction().expect("a transaction");
        for (_, id, data) in &batch {
            work.prepare_cached("INSERT INTO events(event_id, body) VALUES (?1, ?2)")
                .expect("a statement")
                .execute([id, data])
                .expect("stored");
        }
        work.commit().expect("committed");
        let before = cpu();
        let work = client.transaction().expect("a transaction");
        for (row, id, _) in &batch {
            work.prepare_cached("INSERT INTO receipts VALUES (0, ?1, ?2, 'delivered', ?3)")
                .expect("a statement")
                .execute(params![id, [7_u8; 32], row])
                .expect("a receipt");
            for sql in ["DELETE FROM bindings WHERE kind = 0 AND row = ?1", "DELETE FROM queue WHERE id = ?1"]
            {
                work.prepare_cached(sql).expect("a statement").execute([row]).expect("gone");
            }
        }
        work.commit().expect("committed");
        of_client += cpu().saturating_sub(before);
    }
}

const CLIENT: &str = "
CREATE TABLE queue (id INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT UNIQUE NOT NULL, event_type TEXT NOT NULL,
    data TEXT NOT NULL, timestamp INTEGER NOT NULL, retry_count INTEGER DEFAULT 0, coalesce_key TEXT);
CREATE INDEX idx_timestamp ON queue(timestamp);
CREATE INDEX idx_retry ON queue(retry_count);
CREATE INDEX idx_coalesce_key ON queue(coalesce_key);
CREATE TABLE bindings (kind INTEGER, row INTEGER, place INTEGER, hold INTEGER, at REAL, digest BLOB,
    PRIMARY KEY (kind, row)) WITHOUT ROWID;
CREATE INDEX bindings_order ON bindings(kind, place, hold, at);
CREATE TABLE receipts (kind INTEGER, key TEXT, digest BLOB, outcome TEXT, seq INTEGER,
    PRIMARY KEY (kind, key, digest)) WITHOUT ROWID;
CREATE INDEX receipts_order ON receipts(kind, seq);
";

const SERVER: &str = "CREATE TABLE events (seq INTEGER PRIMARY KEY, event_id TEXT UNIQUE, body TEXT);";
