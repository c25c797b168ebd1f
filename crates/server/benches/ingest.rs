//! Ingest rate: events a second, acknowledged after their commit, compared with the row rate of the bare
//! database in the same run on the same disk: SQLite, and PostgreSQL where `.ci/postgres` started one.
//!
//! `cargo bench -p spec-kitty-server`. Prints only; asserts no rate.

// A benchmark's output is its purpose.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "../tests/server/databases.rs"]
#[allow(dead_code)]
mod databases;

use contract::wire::endpoint;
use flate2::{Compression, write::GzEncoder};
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use server::{Admin, Handle, ServerConfig, ServerLimits, StoreLocation};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant};

const EVENTS: usize = 100_000;
const PER_BATCH: usize = 1000;
const TEAM: &str = "Team-1";

fn main() {
    let packed: Vec<Vec<Value>> = (0..EVENTS / PER_BATCH).map(batch).collect();
    let texts: Vec<String> = packed.iter().map(|events| json!({ "events": events }).to_string()).collect();
    let bytes: usize = texts.iter().map(String::len).sum();
    println!("{EVENTS} events in batches of {PER_BATCH}, {} bytes each on average", bytes / EVENTS);

    let bare = bare_rate(&packed);
    println!("bare SQLite, id and bytes, one commit a batch:  {bare:>9.0} rows/s");
    for senders in [1, 2, 4] {
        for is_packed in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let (rate, cpu) = server_rate(directory.path().into(), &texts, senders, is_packed);
            let how = if is_packed { "gzip " } else { "plain" };
            println!(
                "server, {senders} sender(s), {how}:                     {rate:>9.0} events/s   {:.2} of bare SQLite{cpu}",
                rate / bare
            );
        }
    }
    if std::env::var_os(databases::DATABASE).is_some() {
        let copied = copy_rate(&packed);
        println!(
            "bare PostgreSQL by COPY, one commit a batch, {CONNECTIONS} connections: {copied:>9.0} rows/s"
        );
        for is_packed in [true, false] {
            let store = databases::new_database(databases::DATABASE).into();
            let (rate, cpu) = server_rate(store, &texts, CONNECTIONS, is_packed);
            let how = if is_packed { "gzip " } else { "plain" };
            println!(
                "server on PostgreSQL, {CONNECTIONS} senders, {how}:      {rate:>9.0} events/s   {:.2} of COPY{cpu}",
                rate / copied
            );
        }
    }
    let validate = validate_rate(&packed);
    println!("parse and judge alone, one thread:              {validate:>9.0} events/s");
}

fn batch(number: usize) -> Vec<Value> {
    (0..PER_BATCH).map(|at| event(number * PER_BATCH + at)).collect()
}

/// The most common event of a real queue: a lane change, about a kilobyte.
fn event(n: usize) -> Value {
    // Ids as a client draws them: time first, then chance.
    let chance = (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let id = format!("01K{:07}{:016X}", n / 10, chance);
    let (from, to, actor) = ("claimed", "in_progress", "implementer");
    json!({
        "event_id": id, "event_type": "WPStatusChanged", "aggregate_id": "WP01", "aggregate_type": "WorkPackage",
        "schema_version": "3.0.0", "build_id": "0f0e6f4c-3a2b-4d00-9a6e-5d3c4b528f0e",
        "payload": {"mission_slug": "demo-boundary-01M81786", "wp_id": "WP01", "from_lane": from, "to_lane": to,
            "actor": actor, "force": false, "reason": null, "review_ref": null, "execution_mode": "worktree",
            "evidence": null},
        "node_id": "0123456789ab", "lamport_clock": n, "causation_id": id, "correlation_id": id,
        "timestamp": "2026-11-22T09:00:00.123456+00:00", "team_slug": TEAM,
        "project_uuid": "4a9c9a6e-5d3c-4b52-8f0e-6f4c3a2b1d00", "project_slug": "demo", "git_branch": "main",
        "head_commit_sha": "e31fe09eca6060c088f6dba8e0fcd70f5ab7f0d4", "repo_slug": "owner/demo",
        "from_lane": from, "to_lane": to, "actor": actor, "force": false, "reason": null, "review_ref": null,
        "execution_mode": "worktree", "evidence": null
    })
}

fn bare_rate(batches: &[Vec<Value>]) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let mut connection = Connection::open(directory.path().join("bare.db")).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-32768")
        .unwrap();
    let rows: Vec<Vec<(String, String)>> = batches
        .iter()
        .map(|events| {
            events.iter().map(|e| (e["event_id"].as_str().unwrap().to_owned(), e.to_string())).collect()
        })
        .collect();
    connection
        .execute_batch("CREATE TABLE bare (seq INTEGER PRIMARY KEY, event_id TEXT UNIQUE, body TEXT)")
        .unwrap();
    let started = Instant::now();
    for events in &rows {
        let transaction = connection.transaction().unwrap();
        let mut insert =
            transaction.prepare_cached("INSERT INTO bare (event_id, body) VALUES (?1, ?2)").unwrap();
        for (id, body) in events {
            insert.execute(params![id, body]).unwrap();
        }
        drop(insert);
        transaction.commit().unwrap();
    }
    EVENTS as f64 / started.elapsed().as_secs_f64()
}

const CONNECTIONS: usize = 8;

/// Rows a second of COPY into a table with the keys and indexes of `events`, and the packed batch in one of
/// `blocks`: what the server writes, without validation, HTTP and answers.
fn copy_rate(batches: &[Vec<Value>]) -> f64 {
    use tokio_postgres::binary_copy::BinaryCopyInWriter;
    use tokio_postgres::types::{ToSql, Type};
    let url = databases::new_database_text(databases::DATABASE);
    drop(Admin::open(url.parse::<server::DatabaseUrl>().unwrap()).unwrap());
    databases::run(&url, "INSERT INTO teams (team_id, name, is_private, created_at) VALUES ('t', 't', 1, 0)");
    databases::run(&url, "INSERT INTO projects (team, project_uuid) VALUES (1, 'p')");
    let packed: Vec<Vec<u8>> = batches
        .iter()
        .map(|events| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(json!({ "events": events }).to_string().as_bytes()).unwrap();
            encoder.finish().unwrap()
        })
        .collect();
    let ids: Vec<Vec<&str>> = batches
        .iter()
        .map(|events| events.iter().map(|event| event["event_id"].as_str().unwrap()).collect())
        .collect();
    let waiting = Mutex::new(ids.iter().zip(&packed).enumerate());
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let (mut client, connection) =
                        tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
                    tokio::spawn(connection);
                    loop {
                        let next = waiting.lock().unwrap().next();
                        let Some((number, (ids, packed))) = next else { break };
                        let block = i64::try_from(number).unwrap() + 1;
                        let transaction = client.transaction().await.unwrap();
                        let insert = "INSERT INTO blocks (team, key, project, received_at, packed) VALUES (1, $1, 1, 0, $2)";
                        transaction.execute(insert, &[&block, packed]).await.unwrap();
                        let copy = "COPY events (team, event_id, event_type, aggregate_id, project, deviations, digest,
                            content_digest, block, \"offset\", length) FROM STDIN BINARY";
                        let sink = transaction.copy_in(copy).await.unwrap();
                        let types = [
                            Type::INT8, Type::TEXT, Type::TEXT, Type::TEXT, Type::INT8, Type::INT8, Type::BYTEA,
                            Type::BYTEA, Type::INT8, Type::INT8, Type::INT8,
                        ];
                        let mut writer = std::pin::pin!(BinaryCopyInWriter::new(sink, &types));
                        for (at, id) in ids.iter().enumerate() {
                            let (one, zero, at) = (1_i64, 0_i64, at as i64);
                            let (digest, content) = ([7_u8; 32], [7_u8; 16]);
                            let row: [&(dyn ToSql + Sync); 11] = [
                                &one, id, &"WPStatusChanged", &"WP01", &one, &zero, &digest.as_slice(),
                                &content.as_slice(), &block, &at, &at,
                            ];
                            writer.as_mut().write(&row).await.unwrap();
                        }
                        writer.finish().await.unwrap();
                        transaction.commit().await.unwrap();
                    }
                });
            });
        }
    });
    EVENTS as f64 / started.elapsed().as_secs_f64()
}

fn server_rate(store: StoreLocation, texts: &[String], senders: usize, is_packed: bool) -> (f64, String) {
    let token = account(store.clone());
    let mut config = ServerConfig::new(store);
    config.limits = ServerLimits {
        bytes_per_batch: 4 * 1024 * 1024,
        uploads_per_account: CONNECTIONS,
        ..ServerLimits::default()
    };
    let server = Handle::start(config).unwrap();
    let requests: Vec<Vec<u8>> = texts.iter().map(|text| request(text, &token, is_packed)).collect();
    let waiting = Mutex::new(requests.into_iter());
    let (started, cpu) = (Instant::now(), cpu_seconds());
    std::thread::scope(|scope| {
        for _ in 0..senders {
            scope.spawn(|| {
                let mut stream = connect(server.address());
                loop {
                    let next = waiting.lock().unwrap().next();
                    let Some(request) = next else { break };
                    exchange(&mut stream, &request);
                }
            });
        }
    });
    let rate = EVENTS as f64 / started.elapsed().as_secs_f64();
    let cpu = cpu.zip(cpu_seconds()).map_or(String::new(), |(before, after)| {
        format!("   {:.1} us of CPU an event", (after - before) * 1e6 / EVENTS as f64)
    });
    let scrape = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", endpoint::METRICS);
    let metrics = exchange(&mut connect(server.address()), scrape.as_bytes());
    let stored = format!("\nspec_kitty_events_stored_total {EVENTS}\n");
    assert!(metrics.contains(&stored), "every event was stored: {metrics}");
    server.stop().unwrap();
    (rate, cpu)
}

/// CPU seconds of this process, senders included; independent of what else the machine does.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}

fn account(store: StoreLocation) -> String {
    let admin = Admin::open(store).unwrap();
    admin.create_account("dev@example.com", None, Some(TEAM)).unwrap();
    admin.issue_ci_token("dev@example.com", None, "bench").unwrap().token.expose().to_owned()
}

fn request(text: &str, token: &str, is_packed: bool) -> Vec<u8> {
    let body = if is_packed {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    } else {
        text.as_bytes().to_vec()
    };
    let coding = if is_packed { "Content-Encoding: gzip\r\n" } else { "" };
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nX-Team-Slug: {TEAM}\r\n{coding}\
         Content-Length: {}\r\n\r\n",
        endpoint::EVENTS_BATCH,
        body.len()
    );
    [head.as_bytes(), &body].concat()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// Sends a request and reads its whole answer.
fn exchange(stream: &mut TcpStream, request: &[u8]) -> String {
    stream.write_all(request).unwrap();
    let (mut received, mut buffer) = (Vec::new(), [0; 64 * 1024]);
    loop {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the server closed: {}", String::from_utf8_lossy(&received));
        received.extend_from_slice(&buffer[..count]);
        let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&received[..end]).to_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{}", String::from_utf8_lossy(&received));
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let length: usize = length.unwrap().trim().parse().unwrap();
        if received.len() >= end + 4 + length {
            return String::from_utf8_lossy(&received).into_owned();
        }
    }
}

fn validate_rate(batches: &[Vec<Value>]) -> f64 {
    use contract::event::{Node, Tolerance, judge};
    let texts: Vec<String> = batches.iter().flatten().map(Value::to_string).collect();
    let started = Instant::now();
    for text in &texts {
        let node = Node::parse(text).unwrap();
        std::hint::black_box(judge(&node, Tolerance::LegacyShape).unwrap());
    }
    EVENTS as f64 / started.elapsed().as_secs_f64()
}
