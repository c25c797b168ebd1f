//! Listings: parked rows, receipts, and the rows that would leave. Everything is read into memory
//! a page at a time, so that no cursor is open while it is shown.

use super::active::{check_version, read_meta};
use super::reader::read_only;
use crate::consent::ConsentView;
use crate::error::ObserveError;
use crate::file::Role;
use crate::outbox;
use crate::parked::raw_value;
use crate::row::{Kind, RowDigest};
use crate::store::Abort;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

/// A parked row, without its payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ParkedRow {
    /// Id for `sync parked` commands.
    pub id: i64,
    /// `event`, `body` or `failure_log`.
    pub kind: &'static str,
    /// The row's key.
    pub key: String,
    /// Its project.
    pub project_uuid: Option<String>,
    /// Reason of the parking.
    pub reason: String,
    /// Text of the finding or of the answer, verbatim.
    pub detail: String,
    /// Unix seconds; shown as an instant.
    #[serde(serialize_with = "instant")]
    pub parked_at: i64,
    /// Size of the payload.
    pub bytes: u64,
}

fn instant<S: serde::Serializer>(seconds: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    match jiff::Timestamp::from_second(*seconds) {
        Ok(at) => serializer.collect_str(&at),
        Err(_) => serializer.serialize_i64(*seconds),
    }
}

/// A parked row with everything that was kept of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParkedContent {
    /// The row.
    pub row: ParkedRow,
    /// Its columns.
    pub columns: Value,
    /// Its payload: a string, or `{"hex": ...}` for what is not text.
    pub payload: Value,
}

/// A receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// `event`, `body` or `failure_log`.
    pub kind: &'static str,
    /// The row's key.
    pub key: String,
    /// The digest of what was delivered or dropped.
    pub digest: RowDigest,
    /// Destination; empty for a drop.
    pub server: String,
    /// Unix seconds.
    pub at: i64,
    /// `delivered`, `duplicate` or `dropped`.
    pub outcome: String,
    /// Reason of a drop.
    pub reason: String,
}

/// A row that would leave with the next drain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Leaving {
    /// Its kind.
    pub kind: Kind,
    /// Its key.
    pub key: String,
    /// Its project.
    pub project_uuid: Option<String>,
    /// Since when it waits, Unix seconds.
    pub waiting_since: i64,
    /// Size of the document.
    pub bytes: u64,
    /// The document, as stored, when it was asked for.
    pub payload: Option<String>,
}

/// Parked rows behind the id `after`, at most `limit` of them, in the order in which they were parked.
pub fn observe_parked(path: &Path, after: i64, limit: usize) -> Result<Vec<ParkedRow>, ObserveError> {
    of_ours(path, |conn| {
        let sql = format!("{PARKED} WHERE k.id > ?1 ORDER BY k.id LIMIT ?2");
        let mut select = conn.prepare(&sql)?;
        let rows = select.query_map(params![after, as_limit(limit)], parked_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    })
}

/// One parked row with its payload.
pub fn observe_parked_row(path: &Path, id: i64) -> Result<Option<ParkedContent>, ObserveError> {
    let found = of_ours(path, |conn| {
        let sql = format!("{} WHERE k.id = ?1", PARKED.replacen("SELECT ", "SELECT k.head, k.payload, ", 1));
        let mut select = conn.prepare(&sql)?;
        let rows = select.query_map([id], |row| {
            let head: String = row.get(0)?;
            Ok(ParkedContent {
                columns: serde_json::from_str(&head).unwrap_or(Value::String(head)),
                payload: raw_value(row.get_ref(1)?),
                row: parked_row_from(row, 2)?,
            })
        })?;
        Ok(rows.collect::<Result<Vec<_>, _>>()?)
    })?;
    Ok(found.into_iter().next())
}

const PARKED: &str = "SELECT k.id, k.kind, k.key, p.project_uuid, k.reason, k.detail, k.parked_at,
        COALESCE(OCTET_LENGTH(k.payload), 0)
    FROM parked AS k LEFT JOIN projects AS p ON p.id = k.place";

fn parked_row(row: &Row<'_>) -> rusqlite::Result<ParkedRow> {
    parked_row_from(row, 0)
}

fn parked_row_from(row: &Row<'_>, first: usize) -> rusqlite::Result<ParkedRow> {
    let project: Option<String> = row.get(first + 3)?;
    Ok(ParkedRow {
        id: row.get(first)?,
        kind: kind_name(row.get(first + 1)?),
        key: row.get(first + 2)?,
        project_uuid: project.filter(|uuid| !uuid.is_empty()),
        reason: row.get(first + 4)?,
        detail: row.get(first + 5)?,
        parked_at: row.get(first + 6)?,
        bytes: row.get::<_, i64>(first + 7)?.unsigned_abs(),
    })
}

/// Receipts whose key is behind `after` in byte order, at most `limit` of them; with `key`, only those
/// of that key.
pub fn observe_receipts(
    path: &Path,
    key: Option<&str>,
    after: &str,
    limit: usize,
) -> Result<Vec<Receipt>, ObserveError> {
    of_ours(path, |conn| {
        let mut select = conn.prepare(
            "SELECT kind, key, digest, server, at, outcome, reason FROM receipts
             WHERE (?1 IS NULL OR key = ?1) AND key > ?2 ORDER BY key, kind, at LIMIT ?3",
        )?;
        let rows = select.query_map(params![key, after, as_limit(limit)], |row| {
            let digest: Vec<u8> = row.get(2)?;
            Ok(Receipt {
                kind: kind_name(row.get(0)?),
                key: row.get(1)?,
                digest: RowDigest::from_slice(&digest).unwrap_or(RowDigest([0; 32])),
                server: row.get(3)?,
                at: row.get(4)?,
                outcome: row.get(5)?,
                reason: row.get(6)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    })
}

/// Number of receipts older than `before` (Unix seconds), which a collection would remove.
pub fn observe_collectable(path: &Path, before: i64) -> Result<u64, ObserveError> {
    of_ours(path, |conn| {
        let count = conn
            .query_row("SELECT COUNT(*) FROM receipts WHERE at < ?1", [before], |row| row.get::<_, i64>(0))?;
        Ok(count.unsigned_abs())
    })
}

/// Rows that the next drain would send, oldest first within each project, at most `limit`. Unbound rows of another
/// program are not among them: they are held. Without `payloads` no document is read.
pub fn observe_outgoing(
    path: &Path,
    consent: &dyn ConsentView,
    limit: usize,
    payloads: bool,
) -> Result<Vec<Leaving>, ObserveError> {
    let mut leaving = Vec::new();
    for kind in Kind::ALL {
        let streams = of_ours(path, |conn| Ok(outbox::streams(conn, kind)?))?;
        for project in outbox::open_streams(streams, consent) {
            let left = limit.saturating_sub(leaving.len());
            let rows: Vec<Leaving> = of_ours(path, |conn| {
                let ids = project.first_rows(conn, kind, left, &|_| false)?;
                ids.into_iter()
                    .map(|id| read_leaving(conn, kind, id, &project.project_uuid, payloads))
                    .collect()
            })?;
            leaving.extend(rows);
        }
    }
    Ok(leaving)
}

fn read_leaving(
    conn: &Connection,
    kind: Kind,
    id: i64,
    project_uuid: &Option<String>,
    payloads: bool,
) -> Result<Leaving, Abort> {
    let (key, payload, since) = match kind {
        Kind::Event => ("event_id", "data", "timestamp"),
        Kind::Body => (
            "json_array(project_uuid, mission_slug, target_branch, mission_type, manifest_version, artifact_path,
                content_hash)",
            "content_body",
            "created_at",
        ),
    };
    let shown = if payloads { payload } else { "NULL" };
    let sql = format!(
        "SELECT {key}, OCTET_LENGTH({payload}), {since}, {shown} FROM {} WHERE id = ?1",
        kind.table()
    );
    Ok(conn.prepare_cached(&sql)?.query_row([id], |row| {
        let at = match row.get_ref(2)? {
            ValueRef::Integer(at) => at,
            ValueRef::Real(at) => at as i64,
            _ => 0,
        };
        Ok(Leaving {
            kind,
            key: row.get(0)?,
            project_uuid: project_uuid.clone(),
            waiting_since: at,
            bytes: row.get::<_, Option<i64>>(1)?.unwrap_or_default().unsigned_abs(),
            payload: row.get(3)?,
        })
    })?)
}

/// Looks at a file that has our tables; any other file has none of what is asked for.
pub(crate) fn of_ours<T: Default>(
    path: &Path,
    look: impl Fn(&Connection) -> Result<T, Abort>,
) -> Result<T, ObserveError> {
    let seen = read_only(path, Role::Active, |conn| match check_version(path, &read_meta(conn)?)? {
        0 => Ok(T::default()),
        _ => look(conn),
    })?;
    Ok(seen.unwrap_or_default())
}

fn kind_name(stored: i64) -> &'static str {
    match Kind::from_stored(stored) {
        Some(Kind::Event) => "event",
        Some(Kind::Body) => "body",
        None => "failure_log",
    }
}

fn as_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
