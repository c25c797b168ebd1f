//! Pages of a store with many events.

use crate::events::{PER_BATCH, gzip, id, text};
use crate::process::{ServerProcess, account, exchange};
use crate::{Database, databases};
use contract::wire::endpoint;
use std::time::Instant;

/// Requests of each page.
const REQUESTS: usize = 50;

/// Generates `rows` events and measures pages at both ends and in the middle.
pub(crate) fn measure(database: Database, rows: usize) {
    let store = database.new_store();
    let token = account(store.location.clone());
    match &store.directory {
        Some(directory) => fill_sqlite(directory.path(), rows),
        None => fill_postgres(&store.variable.1.to_string_lossy(), rows),
    }
    let server = ServerProcess::start(&store);
    for (name, path) in [
        ("first page of 100", "?limit=100".to_owned()),
        ("page of 100 in the middle", format!("?limit=100&after={}", rows / 2)),
        ("last page of 100", format!("?limit=100&after={}", rows - 100)),
        ("page of 10 of a project", format!("?limit=10&after={}&project={PROJECT}", rows / 2)),
        ("one event by its id", format!("?event_id={}", id(rows / 3))),
    ] {
        let of_path = |path: &str| {
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n")
        };
        let page = of_path(&format!("{}{path}", endpoint::INSPECT_EVENTS));
        let (times, yardstick) = (time(&server, &page), time(&server, &of_path(endpoint::ME)));
        println!(
            "| {} | {name}, {rows} events | {:.2} ms, p99 {:.2} ms | {:.2} ms: `/api/v1/me` | {:.1} | - | {:.0} MiB |",
            database.name(),
            times[times.len() / 2],
            times[times.len() * 99 / 100],
            yardstick[yardstick.len() / 2],
            times[times.len() / 2] / yardstick[yardstick.len() / 2],
            server.peak_memory() as f64 / 1024.0 / 1024.0,
        );
    }
}

/// Milliseconds of each request, sorted.
fn time(server: &ServerProcess, request: &str) -> Vec<f64> {
    let mut stream = server.connect();
    exchange(&mut stream, request.as_bytes());
    let mut times: Vec<f64> = (0..REQUESTS)
        .map(|_| {
            let started = Instant::now();
            exchange(&mut stream, request.as_bytes());
            started.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

const PROJECT: &str = "4a9c9a6e-5d3c-4b52-8f0e-6f4c3a2b1d00";

/// As ingest stores them, without their commits. Each block is the same batch, which pages without content do not
/// read.
fn fill_sqlite(directory: &std::path::Path, rows: usize) {
    let connection = rusqlite::Connection::open(directory.join("server.db")).unwrap();
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -262144; BEGIN").unwrap();
    connection
        .execute("INSERT INTO projects (team, project_uuid) VALUES (1, ?1), (1, 'other')", [PROJECT])
        .unwrap();
    let packed = gzip(text(&crate::events::batches()[0]).as_bytes());
    let mut block = connection
        .prepare("INSERT INTO blocks (key, team, project, received_at, packed) VALUES (?1, 1, ?2, 0, ?3)")
        .unwrap();
    let mut event = connection
        .prepare(
            "INSERT INTO events (team, event_id, event_type, aggregate_id, project, deviations, digest, content_digest,
                 block, offset, length)
             VALUES (1, ?1, 'WPStatusChanged', 'WP01', ?2, 0, ?3, ?4, ?5, ?6, 1000)",
        )
        .unwrap();
    for n in 0..rows {
        let (number, at) = ((n / PER_BATCH + 1) as i64, n % PER_BATCH);
        let project = 1 + i64::from(number % 10 == 0);
        if at == 0 {
            block.execute(rusqlite::params![number, project, packed]).unwrap();
        }
        event
            .execute(rusqlite::params![id(n), project, [7_u8; 32], [7_u8; 16], number, (at * 1000) as i64])
            .unwrap();
    }
    drop((block, event));
    connection
        .execute(
            "INSERT INTO counts (team, project_uuid, slot, events, bodies) VALUES (1, ?1, 0, ?2, 0)",
            rusqlite::params![PROJECT, rows as i64],
        )
        .unwrap();
    connection.execute_batch("COMMIT").unwrap();
}

fn fill_postgres(url: &str, rows: usize) {
    databases::run(
        url,
        &format!("INSERT INTO projects (team, project_uuid) VALUES (1, '{PROJECT}'), (1, 'other')"),
    );
    databases::run(
        url,
        &format!(
            "INSERT INTO blocks (team, key, project, received_at, packed)
                 SELECT 1, number, CASE WHEN number % 10 = 0 THEN 2 ELSE 1 END, 0, ''
                 FROM generate_series(1, {rows} / {PER_BATCH}) AS number"
        ),
    );
    // Ids of another kind: they only have to differ.
    databases::run(
        url,
        &format!(
            "INSERT INTO events (team, event_id, event_type, aggregate_id, project, deviations, digest, content_digest,
                 block, \"offset\", length)
             SELECT 1, '01K' || lpad(n::text, 7, '0') || upper(substr(md5(n::text), 1, 16)), 'WPStatusChanged', 'WP01',
                 CASE WHEN (n / {PER_BATCH} + 1) % 10 = 0 THEN 2 ELSE 1 END, 0, decode(repeat('07', 32), 'hex'),
                 decode(repeat('07', 16), 'hex'), n / {PER_BATCH} + 1, 0, 1000
             FROM generate_series(0, {rows} - 1) AS n"
        ),
    );
    databases::run(
        url,
        &format!(
            "INSERT INTO counts (team, project_uuid, slot, events, bodies) VALUES (1, '{PROJECT}', 0, {rows}, 0)"
        ),
    );
    databases::run(url, "ANALYZE");
    assert_eq!(databases::run(url, "SELECT count(*) FROM events"), [rows.to_string()]);
}
