//! Pages of a store with many events.

use crate::events::{PER_BATCH, text};
use crate::process::{EMAIL, ServerProcess, account, exchange};
use crate::{Database, client, databases};
use contract::wire::endpoint;
use sha2::{Digest, Sha256};
use std::time::Instant;
use testkit::events::common_id;
use testkit::gzip;

/// Requests of each page.
const REQUESTS: usize = 50;

/// Generates `rows` events of a mission for each batch, and measures every page: those of `/api/v1/inspect` at both ends
/// and in the middle, and those for people.
pub(crate) fn measure(database: Database, rows: usize) {
    let store = database.new_store();
    let credentials = account(store.location.clone());
    match &store.directory {
        Some(directory) => fill_sqlite(directory.path(), rows),
        None => fill_postgres(&store.variable.1.to_string_lossy(), rows),
    }
    let server = ServerProcess::start(&store);
    let bearer = format!("Authorization: Bearer {}", credentials.token);
    let cookie = format!("Accept: text/html\r\nCookie: {}", sign_in(&server, &credentials.secret));
    let inspect = |query: String| (format!("{}?{query}", endpoint::INSPECT_EVENTS), &bearer);
    let page = |path: &str| (path.to_owned(), &cookie);
    let mission = format!("/missions/{}", rows / PER_BATCH);
    let middle = rows / PER_BATCH / 2;
    for (name, (path, header)) in [
        ("inspection, first page of 100", inspect("limit=100".to_owned())),
        ("inspection, page of 100 in the middle", inspect(format!("limit=100&after={}", rows / 2))),
        ("inspection, last page of 100", inspect(format!("limit=100&after={}", rows - 100))),
        (
            "inspection, page of 10 of a project",
            inspect(format!("limit=10&after={}&project={PROJECT}", rows / 2)),
        ),
        ("inspection, one event by its id", inspect(format!("event_id={}", common_id(rows / 3)))),
        ("overview", page("/")),
        ("missions", page("/missions")),
        ("missions, page in the middle", page(&format!("/missions?before={middle}-{middle}"))),
        ("board of 1000 events", page(&mission)),
        ("work package of 1000 events", page(&format!("{mission}/work-package?id=WP01"))),
        ("events of a mission", page(&format!("{mission}/events"))),
        ("document", page(&format!("{mission}/documents/1"))),
        ("machines", page("/machines")),
        ("rejected items", page("/rejected")),
        ("account", page("/account")),
    ] {
        let get = |path: &str, header: &str| {
            format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{header}\r\n\r\n", server.address)
        };
        let (times, yardstick) =
            (time(&server, &get(&path, header)), time(&server, &get(endpoint::ME, &bearer)));
        println!(
            "| {} | {name}, {rows} events | 20 ms | {:.2} ms, p99 {:.2} ms | {:.2} ms: `/api/v1/me` | {:.1} | - | {:.0} MiB |",
            database.name(),
            times[times.len() / 2],
            times[times.len() * 99 / 100],
            yardstick[yardstick.len() / 2],
            times[times.len() / 2] / yardstick[yardstick.len() / 2],
            server.peak_memory() as f64 / 1024.0 / 1024.0,
        );
    }
}

/// The cookie of a browser that signed in.
fn sign_in(server: &ServerProcess, secret: &str) -> String {
    let cookie = |answer: &client::Answer| {
        answer.header("set-cookie").unwrap().split(';').next().unwrap_or_default().to_owned()
    };
    let page = client::send(server.address, "GET", "/sign-in", &[], &[]);
    let hidden = client::hidden_fields(&page.text());
    let mut fields: Vec<(&str, &str)> = hidden.iter().map(|(name, value)| (&**name, &**value)).collect();
    fields.extend([("email", EMAIL), ("secret", secret)]);
    let origin = format!("http://{}", server.address);
    let headers = [("Cookie", &*cookie(&page)), ("Origin", &*origin)];
    let answer = client::post_form(server.address, "/sign-in", &headers, &fields);
    assert_eq!(answer.status, 303, "{}", answer.text());
    cookie(&answer)
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

/// An event in the text of a block.
struct EventSpan {
    offset: usize,
    length: usize,
    digest: [u8; 32],
}

/// The batch that each block is, packed, and its events.
fn block() -> (Vec<u8>, Vec<EventSpan>) {
    let batch = &crate::events::batches()[0];
    let plain = text(batch);
    let mut at = 0;
    let spans = batch.iter().map(|event| {
        let event = event.to_string();
        let offset = at + plain[at..].find(&event).unwrap();
        at = offset + event.len();
        EventSpan { offset, length: event.len(), digest: Sha256::digest(&event).into() }
    });
    (gzip(plain.as_bytes()), spans.collect())
}

/// What both databases have beside blocks and events: a mission for each block, counts, and a document of the newest mission.
fn rest(rows: usize) -> String {
    let blocks = rows / PER_BATCH;
    format!(
        "INSERT INTO missions (key, team, project, slug, name, active_at)
            SELECT key, 1, project, 'mission-' || key, '', key FROM blocks WHERE team = 1;
         INSERT INTO mission_spans (team, mission, first_seq, last_seq, block)
            SELECT 1, key, (key - 1) * {PER_BATCH} + 1, key * {PER_BATCH}, key FROM blocks WHERE team = 1;
         INSERT INTO counts (team, project_uuid, slot, events, bodies) VALUES (1, '{PROJECT}', 0, {rows}, 0);
         INSERT INTO artifacts (key, team, project_uuid, mission_slug, target_branch, mission_type, manifest_version, path,
                latest)
            SELECT 1, 1, project_uuid, 'mission-{blocks}', 'main', 'software-dev', '1', 'spec.md', 1
            FROM blocks JOIN projects ON projects.team = 1 AND projects.key = project
            WHERE blocks.team = 1 AND blocks.key = {blocks};
         INSERT INTO bodies (seq, team, project_uuid, artifact, content_hash, size_bytes, received_at, content)
            VALUES (1, 1, '{PROJECT}', 1, '', 10, 0, '# Document');"
    )
}

/// As ingest stores them, without their commits. Each block is the same batch, under other ids.
fn fill_sqlite(directory: &std::path::Path, rows: usize) {
    let connection = rusqlite::Connection::open(directory.join("server.db")).unwrap();
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -262144; BEGIN").unwrap();
    connection
        .execute("INSERT INTO projects (team, project_uuid) VALUES (1, ?1), (1, 'other')", [PROJECT])
        .unwrap();
    let (packed, spans) = block();
    let mut block = connection
        .prepare(
            "INSERT INTO blocks (key, team, project, received_at, packed, spans_known) VALUES (?1, 1, ?2, 0, ?3, 1)",
        )
        .unwrap();
    let mut event = connection
        .prepare(
            "INSERT INTO events (team, event_id, event_type, aggregate_id, project, deviations, digest, content_digest,
                 block, offset, length)
             VALUES (1, ?1, 'WPStatusChanged', 'WP01', ?2, 0, ?3, ?4, ?5, ?6, ?7)",
        )
        .unwrap();
    for n in 0..rows {
        let (number, at) = ((n / PER_BATCH + 1) as i64, n % PER_BATCH);
        let project = 1 + i64::from(number % 10 == 1);
        if at == 0 {
            block.execute(rusqlite::params![number, project, packed]).unwrap();
        }
        let EventSpan { offset, length, digest } = &spans[at];
        event
            .execute(rusqlite::params![
                common_id(n),
                project,
                digest,
                [7_u8; 16],
                number,
                *offset as i64,
                *length as i64
            ])
            .unwrap();
    }
    drop((block, event));
    connection.execute_batch(&rest(rows)).unwrap();
    connection.execute_batch("COMMIT").unwrap();
}

fn fill_postgres(url: &str, rows: usize) {
    let (packed, spans) = block();
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let template: Vec<String> = spans
        .iter()
        .enumerate()
        .map(|(at, EventSpan { offset, length, digest })| {
            format!("({at}, {offset}, {length}, decode('{}', 'hex'))", hex(digest))
        })
        .collect();
    // Ids of another kind: they only have to differ.
    let statements = format!(
        "INSERT INTO projects (team, project_uuid) VALUES (1, '{PROJECT}'), (1, 'other');
         INSERT INTO blocks (team, key, project, received_at, packed, spans_known)
             SELECT 1, number, CASE WHEN number % 10 = 1 THEN 2 ELSE 1 END, 0, decode('{}', 'hex'), 1
             FROM generate_series(1, {rows} / {PER_BATCH}) AS number;
         CREATE TEMPORARY TABLE spans (at BIGINT, start BIGINT, length BIGINT, digest BYTEA);
         INSERT INTO spans VALUES {};
         INSERT INTO events (team, seq, event_id, event_type, aggregate_id, project, deviations, digest, content_digest,
                 block, \"offset\", length)
             SELECT 1, n + 1, '01K' || lpad(n::text, 7, '0') || upper(substr(md5(n::text), 1, 16)), 'WPStatusChanged',
                 'WP01', CASE WHEN (n / {PER_BATCH} + 1) % 10 = 1 THEN 2 ELSE 1 END, 0, digest,
                 decode(repeat('07', 16), 'hex'), n / {PER_BATCH} + 1, start, length
             FROM generate_series(0, {rows} - 1) AS n JOIN spans ON at = n % {PER_BATCH};
         {}",
        hex(&packed),
        template.join(", "),
        rest(rows)
    );
    databases::run(url, &statements);
    databases::run(url, "VACUUM ANALYZE");
    assert_eq!(databases::run(url, "SELECT count(*) FROM events"), [rows.to_string()]);
}
