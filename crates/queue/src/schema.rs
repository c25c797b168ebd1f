//! The tables of a scoped queue DB, and the upgrade of files of older releases.
//!
//! Forward-only numbered steps under one write lock; the number reached is `meta.schema_version` (`user_version`
//! stays 0, because older readers may rely on it). Reading never upgrades a file. The tables of the reference keep
//! their names, columns, constraints and indexes, so that older programs still read and write them. Tables of this
//! program are beside them, in the syntax of SQLite 3.31.

use crate::legacy::LegacyTable;
use crate::store::Abort;
use contract::{Fault, FaultCode, Remedy};
use rusqlite::{Connection, Transaction};
use std::collections::HashSet;
use std::path::Path;

/// The newest schema that this program supports.
pub(crate) const VERSION: i64 = STEPS.len() as i64;

/// One forward step of the schema, inside the transaction that also raises the version.
type SchemaStep = fn(&Transaction<'_>) -> Result<(), Abort>;

/// Step N brings a file from schema N to N + 1. Never edited once released.
const STEPS: [SchemaStep; 2] = [first, keep_sent];

/// Runs the steps that `version` has not seen. Inside the caller's write transaction.
pub(crate) fn upgrade(tx: &Transaction<'_>, version: i64) -> Result<(), Abort> {
    for (number, step) in (0..).zip(STEPS) {
        if number >= version {
            step(tx)?;
        }
    }
    // Deleted first: SQLite skips a write of equal bytes, and without a write the commit proves nothing.
    tx.execute("DELETE FROM meta WHERE key = 'schema_version'", [])?;
    tx.execute("INSERT INTO meta(key, value) VALUES ('schema_version', ?1)", [VERSION])?;
    Ok(())
}

/// The fault of a file that a newer release wrote.
pub(crate) fn newer(path: &Path, version: i64) -> Fault {
    Fault::new(
        FaultCode::QueueSchemaNewer,
        path,
        format!("has schema {version}; this release supports up to {VERSION}"),
        Remedy::Advice("update spec-kitty to the release that wrote this queue".to_owned()),
    )
}

/// Tables and triggers of this program in a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    /// Whether there is a table of ours. A file with none is one of an earlier release.
    pub(crate) ours: bool,
    /// Parts that a file with tables of ours has lost: the schema that brought each, and its name.
    lost: Vec<(i64, String)>,
}

impl Parts {
    /// A part that a file of schema `version` has lost, if any. A part that a later schema brings is not lost.
    pub(crate) fn missing(&self, version: i64) -> Option<&String> {
        self.lost.iter().find(|(since, _)| *since <= version.max(1)).map(|(_, what)| what)
    }
}

/// Reads which parts a file has.
pub(crate) fn parts(conn: &Connection) -> rusqlite::Result<Parts> {
    let mut present = HashSet::new();
    let mut select =
        conn.prepare("SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'trigger')")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        present.insert((row.get::<_, String>(0)?, row.get::<_, String>(1)?.to_ascii_lowercase()));
    }
    let has = |kind: &str, name: &str| present.contains(&(kind.to_owned(), name.to_owned()));
    if !OUR_TABLES.iter().any(|name| has("table", name)) {
        return Ok(Parts::default());
    }
    let tables = OUR_TABLES.into_iter().chain(LegacyTable::ALL.map(LegacyTable::name));
    let needed = tables.map(|name| ("table", name)).chain(TRIGGERS.map(|name| ("trigger", name)));
    let lost = needed.into_iter().filter(|(kind, name)| !has(kind, name));
    let lost = lost.map(|(kind, name)| (since(name), format!("the {kind} `{name}` is missing"))).collect();
    Ok(Parts { ours: true, lost })
}

/// The schema that brought a part.
fn since(name: &str) -> i64 {
    if name == "sent" { 2 } else { 1 }
}

/// A table of a file of schema `version` whose columns are not the ones it needs, if there is one.
pub(crate) fn misshapen(conn: &Connection, version: i64) -> Result<Option<String>, Abort> {
    let mut fresh = Connection::open_in_memory()?;
    let fresh = fresh.transaction()?;
    for step in STEPS.iter().take(usize::try_from(version).unwrap_or_default().max(1)) {
        step(&fresh)?;
    }
    for table in OUR_TABLES.into_iter().chain(LegacyTable::ALL.map(LegacyTable::name)) {
        if since(table) > version {
            continue;
        }
        let there = columns(conn, table)?;
        if let Some(column) = columns(&fresh, table)?.iter().find(|column| !there.contains(column)) {
            return Ok(Some(format!("the table `{table}` has no column `{column}`")));
        }
    }
    Ok(None)
}

/// The columns of a table, in order; empty when there is no such table.
pub(crate) fn columns(conn: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    conn.prepare_cached("SELECT name FROM pragma_table_info(?1)")?
        .query_map([table], |row| row.get(0))?
        .collect()
}

fn first(tx: &Transaction<'_>) -> Result<(), Abort> {
    modernise(tx)?;
    tx.execute_batch(REFERENCE)?;
    tx.execute_batch(OURS)?;
    tx.execute_batch(OUR_TRIGGERS)?;
    Ok(())
}

/// Schema 2: the bytes of what was delivered, and receipts that point to them. Safe to repeat, because a
/// salvaged file has the newest tables whatever its number was.
fn keep_sent(tx: &Transaction<'_>) -> Result<(), Abort> {
    let present = columns(tx, "receipts")?;
    for (column, definition) in RECEIPT_COLUMNS {
        if !present.iter().any(|name| name == column) {
            tx.execute_batch(&format!("ALTER TABLE receipts ADD COLUMN {column} {definition}"))?;
        }
    }
    tx.execute_batch(SENT)?;
    Ok(())
}

/// Makes the tables of this program as the newest schema has them.
pub(crate) fn create_ours(tx: &Transaction<'_>) -> Result<(), Abort> {
    tx.execute_batch(OURS)?;
    keep_sent(tx)
}

/// Brings tables of the oldest releases to today's column names; the data stays as it is.
fn modernise(tx: &Transaction<'_>) -> Result<(), Abort> {
    let queue = columns(tx, "queue")?;
    if !queue.is_empty() && !queue.iter().any(|name| name == "coalesce_key") {
        tx.execute_batch("ALTER TABLE queue ADD COLUMN coalesce_key TEXT")?;
    }
    for table in ["body_upload_queue", "body_upload_failure_log"] {
        let present = columns(tx, table)?;
        for (old, new) in [("feature_slug", "mission_slug"), ("mission_key", "mission_type")] {
            let has = |wanted: &str| present.iter().any(|name| name == wanted);
            if has(old) && !has(new) {
                tx.execute_batch(&format!("ALTER TABLE {table} RENAME COLUMN {old} TO {new}"))?;
            }
        }
    }
    Ok(())
}

/// The reference's tables.
pub(crate) const REFERENCE: &str = "
CREATE TABLE IF NOT EXISTS queue (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT UNIQUE NOT NULL,
    event_type TEXT NOT NULL,
    data TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    retry_count INTEGER DEFAULT 0,
    coalesce_key TEXT
);
CREATE INDEX IF NOT EXISTS idx_timestamp ON queue(timestamp);
CREATE INDEX IF NOT EXISTS idx_retry ON queue(retry_count);
CREATE INDEX IF NOT EXISTS idx_coalesce_key ON queue(coalesce_key);
CREATE TABLE IF NOT EXISTS body_upload_queue (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_uuid TEXT NOT NULL,
    mission_slug TEXT NOT NULL,
    target_branch TEXT NOT NULL,
    mission_type TEXT NOT NULL,
    manifest_version TEXT NOT NULL,
    artifact_path TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    hash_algorithm TEXT NOT NULL DEFAULT 'sha256',
    content_body TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    retry_count INTEGER NOT NULL DEFAULT 0,
    next_attempt_at REAL NOT NULL DEFAULT 0.0,
    created_at REAL NOT NULL,
    last_error TEXT,
    UNIQUE(project_uuid, mission_slug, target_branch, mission_type, manifest_version, artifact_path, content_hash)
);
CREATE INDEX IF NOT EXISTS idx_body_queue_next_attempt ON body_upload_queue(next_attempt_at);
CREATE INDEX IF NOT EXISTS idx_body_queue_namespace
    ON body_upload_queue(project_uuid, mission_slug, target_branch);
CREATE TABLE IF NOT EXISTS body_upload_failure_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_uuid TEXT NOT NULL,
    mission_slug TEXT NOT NULL,
    target_branch TEXT NOT NULL,
    mission_type TEXT NOT NULL,
    manifest_version TEXT NOT NULL,
    artifact_path TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    hash_algorithm TEXT NOT NULL DEFAULT 'sha256',
    size_bytes INTEGER NOT NULL,
    failure_reason TEXT NOT NULL,
    failure_count INTEGER NOT NULL DEFAULT 1,
    first_failed_at REAL NOT NULL,
    last_failed_at REAL NOT NULL,
    UNIQUE(project_uuid, mission_slug, target_branch, mission_type, manifest_version, artifact_path, content_hash,
        failure_reason)
);
CREATE INDEX IF NOT EXISTS idx_body_failure_last_failed_at
    ON body_upload_failure_log(last_failed_at DESC);
";

/// The tables of [`OURS`] and [`SENT`].
pub(crate) const OUR_TABLES: [&str; 9] =
    ["meta", "projects", "bindings", "tallies", "prepared", "imported", "receipts", "parked", "sent"];

/// The triggers that keep bindings and tallies.
const TRIGGERS: [&str; 5] = ["bound", "unbound", "moved", "event_left", "body_left"];

/// Columns that schema 2 adds to a receipt. `seq` is the order of recording (0: before receipts were numbered).
/// `place`, `hold` and `since` are those of the row. `block` and the range point at its bytes in the table `sent`,
/// which may be gone. `again` marks a row that is to be resent: it settles no row.
const RECEIPT_COLUMNS: [(&str, &str); 8] = [
    ("seq", "INTEGER NOT NULL DEFAULT 0"),
    ("place", "INTEGER NOT NULL DEFAULT 0"),
    ("hold", "INTEGER NOT NULL DEFAULT 2"),
    ("since", "REAL NOT NULL DEFAULT 0"),
    ("block", "INTEGER"),
    ("offset", "INTEGER NOT NULL DEFAULT 0"),
    ("length", "INTEGER NOT NULL DEFAULT 0"),
    ("again", "INTEGER NOT NULL DEFAULT 0"),
];

/// Delivered bytes, one block for each request, gzip; ids are never used twice. `bytes` is the size of
/// `packed`; `meta.sent_bytes` is the sum over all blocks.
const SENT: &str = "
CREATE TABLE IF NOT EXISTS sent (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    packed BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS receipts_order ON receipts(kind, place, seq);
";

/// Our tables. Kinds: 0 event, 1 body, 2 failure-log row. Holds: see [`crate::consent::Hold`].
///
/// `bindings` gives each waiting row its place for ever; the digest binds it to the row's *content*, so a row
/// that another program rewrites is a foreign row again. `tallies` counts rows by place and hold; triggers
/// update it for every writer.
pub(crate) const OURS: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value NOT NULL) WITHOUT ROWID;
CREATE TABLE projects (
    id INTEGER PRIMARY KEY,
    project_uuid TEXT NOT NULL,
    repo_slug TEXT NOT NULL,
    checkout BLOB NOT NULL,
    UNIQUE(project_uuid, repo_slug, checkout)
);
CREATE TABLE bindings (
    kind INTEGER NOT NULL,
    row INTEGER NOT NULL,
    place INTEGER NOT NULL,
    hold INTEGER NOT NULL,
    at REAL NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (kind, row)
) WITHOUT ROWID;
CREATE INDEX bindings_order ON bindings(kind, place, hold, at);
CREATE TABLE tallies (
    kind INTEGER NOT NULL,
    place INTEGER NOT NULL,
    hold INTEGER NOT NULL,
    waiting INTEGER NOT NULL,
    PRIMARY KEY (kind, place, hold)
) WITHOUT ROWID;
CREATE TABLE prepared (
    id INTEGER PRIMARY KEY,
    command TEXT NOT NULL,
    mission_slug TEXT NOT NULL,
    kind INTEGER NOT NULL,
    key TEXT NOT NULL,
    place INTEGER NOT NULL,
    witness TEXT NOT NULL,
    witness_path BLOB NOT NULL,
    witness_value TEXT NOT NULL,
    prepared_at REAL NOT NULL,
    head TEXT NOT NULL,
    payload TEXT NOT NULL,
    UNIQUE(kind, key)
);
CREATE TABLE imported (
    source TEXT NOT NULL,
    key TEXT NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (source, key, digest)
) WITHOUT ROWID;
CREATE TABLE receipts (
    kind INTEGER NOT NULL,
    key TEXT NOT NULL,
    digest BLOB NOT NULL,
    server TEXT NOT NULL,
    at INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (kind, key, digest)
) WITHOUT ROWID;
CREATE TABLE parked (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL,
    key TEXT NOT NULL,
    digest BLOB NOT NULL,
    place INTEGER NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    parked_at INTEGER NOT NULL,
    head TEXT NOT NULL,
    payload
);
CREATE INDEX parked_key ON parked(kind, key);
";

/// Statements that create [`TRIGGERS`].
pub(crate) const OUR_TRIGGERS: &str = "
CREATE TRIGGER bound AFTER INSERT ON bindings BEGIN
    INSERT INTO tallies(kind, place, hold, waiting) VALUES (new.kind, new.place, new.hold, 1)
        ON CONFLICT(kind, place, hold) DO UPDATE SET waiting = waiting + 1;
END;
CREATE TRIGGER unbound AFTER DELETE ON bindings BEGIN
    UPDATE tallies SET waiting = waiting - 1
        WHERE kind = old.kind AND place = old.place AND hold = old.hold;
END;
CREATE TRIGGER moved AFTER UPDATE OF place, hold ON bindings BEGIN
    UPDATE tallies SET waiting = waiting - 1
        WHERE kind = old.kind AND place = old.place AND hold = old.hold;
    INSERT INTO tallies(kind, place, hold, waiting) VALUES (new.kind, new.place, new.hold, 1)
        ON CONFLICT(kind, place, hold) DO UPDATE SET waiting = waiting + 1;
END;
CREATE TRIGGER event_left AFTER DELETE ON queue BEGIN
    DELETE FROM bindings WHERE kind = 0 AND row = old.id;
END;
CREATE TRIGGER body_left AFTER DELETE ON body_upload_queue BEGIN
    DELETE FROM bindings WHERE kind = 1 AND row = old.id;
END;
";
