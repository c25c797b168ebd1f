//! Yardsticks: rates of the bare databases.

use crate::events::{EVENTS, text};
use crate::{CONNECTIONS, Database, Stopwatch, Yardstick, databases};
use rusqlite::{Connection, params};
use serde_json::Value;
use server::Admin;
use std::sync::Mutex;
use testkit::gzip;
use tokio_postgres::{Client, NoTls};

/// Bare SQLite storing ids and bytes, with one commit a batch.
pub(crate) fn bare_inserts(batches: &[Vec<Value>]) -> Yardstick {
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
    let watch = Stopwatch::start(Database::Sqlite);
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
    watch.stop(rows.iter().map(Vec::len).sum())
}

/// The tables of a server, with a team and a project.
fn prepare(url: &str) {
    drop(Admin::open(url.parse::<server::DatabaseUrl>().unwrap()).unwrap());
    databases::run(url, "INSERT INTO teams (team_id, name, is_private, created_at) VALUES ('t', 't', 1, 0)");
    databases::run(url, "INSERT INTO projects (team, project_uuid) VALUES (1, 'p')");
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Runs a task on each of [`CONNECTIONS`] connections.
fn on_connections<F: Future>(url: &str, task: impl Fn(Client) -> F + Sync) {
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async { task(connect(url).await).await });
            });
        }
    });
}

/// `INSERT` of ids and bytes, with one commit a row.
pub(crate) fn inserts(batches: &[Vec<Value>]) -> Yardstick {
    let url = databases::new_database_text(databases::DATABASE);
    databases::run(&url, "CREATE TABLE bare (seq BIGSERIAL PRIMARY KEY, event_id TEXT UNIQUE, body TEXT)");
    let rows: Vec<(String, String)> = batches
        .iter()
        .flatten()
        .map(|event| (event["event_id"].as_str().unwrap().to_owned(), event.to_string()))
        .collect();
    let waiting = Mutex::new(rows.iter());
    let watch = Stopwatch::start(Database::Postgres);
    on_connections(&url, async |client| {
        let insert = client.prepare("INSERT INTO bare (event_id, body) VALUES ($1, $2)").await.unwrap();
        loop {
            let next = waiting.lock().unwrap().next();
            let Some((id, body)) = next else { break };
            client.execute(&insert, &[id, body]).await.unwrap();
        }
    });
    watch.stop(rows.len())
}

/// COPY into a table with the keys and indexes of `events`, and the packed batch in one of
/// `blocks`: what the server writes, without validation, HTTP and answers.
pub(crate) fn copies(batches: &[Vec<Value>]) -> Yardstick {
    use tokio_postgres::binary_copy::BinaryCopyInWriter;
    use tokio_postgres::types::{ToSql, Type};
    let url = databases::new_database_text(databases::DATABASE);
    prepare(&url);
    let packed: Vec<Vec<u8>> = batches.iter().map(|events| gzip(text(events).as_bytes())).collect();
    let ids: Vec<Vec<&str>> = batches
        .iter()
        .map(|events| events.iter().map(|event| event["event_id"].as_str().unwrap()).collect())
        .collect();
    let waiting = Mutex::new(ids.iter().zip(&packed).enumerate());
    let watch = Stopwatch::start(Database::Postgres);
    on_connections(&url, async |mut client| {
        loop {
            let next = waiting.lock().unwrap().next();
            let Some((number, (ids, packed))) = next else { break };
            let block = i64::try_from(number).unwrap() + 1;
            let transaction = client.transaction().await.unwrap();
            let insert =
                "INSERT INTO blocks (team, key, project, received_at, packed) VALUES (1, $1, 1, 0, $2)";
            transaction.execute(insert, &[&block, packed]).await.unwrap();
            let copy = "COPY events (team, event_id, event_type, aggregate_id, project, deviations, digest,
                            content_digest, block, \"offset\", length) FROM STDIN BINARY";
            let sink = transaction.copy_in(copy).await.unwrap();
            let types = [
                Type::INT8,
                Type::TEXT,
                Type::TEXT,
                Type::TEXT,
                Type::INT8,
                Type::INT8,
                Type::BYTEA,
                Type::BYTEA,
                Type::INT8,
                Type::INT8,
                Type::INT8,
            ];
            let mut writer = std::pin::pin!(BinaryCopyInWriter::new(sink, &types));
            for (at, id) in ids.iter().enumerate() {
                let (one, zero, at) = (1_i64, 0_i64, at as i64);
                let (digest, content) = ([7_u8; 32], [7_u8; 16]);
                let row: [&(dyn ToSql + Sync); 11] = [
                    &one,
                    id,
                    &"WPStatusChanged",
                    &"WP01",
                    &one,
                    &zero,
                    &digest.as_slice(),
                    &content.as_slice(),
                    &block,
                    &at,
                    &at,
                ];
                writer.as_mut().write(&row).await.unwrap();
            }
            writer.finish().await.unwrap();
            transaction.commit().await.unwrap();
        }
    });
    watch.stop(EVENTS)
}

/// One thread that parses and judges.
pub(crate) fn judge(batches: &[Vec<Value>]) -> Yardstick {
    use contract::event::{Node, Tolerance};
    let texts: Vec<String> = batches.iter().flatten().map(Value::to_string).collect();
    let watch = Stopwatch::start(Database::Sqlite);
    for text in &texts {
        let node = Node::parse(text).unwrap();
        std::hint::black_box(contract::event::validate_event(&node, Tolerance::LegacyShape).unwrap());
    }
    watch.stop(EVENTS)
}
