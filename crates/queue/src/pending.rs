//! Rows that wait: the only statements that put one into the reference's tables, each with its binding
//! to a place, a hold and the digest of its content.

use crate::consent::Hold;
use crate::found::raw_bytes;
use crate::place::PlaceId;
use crate::row::{BodyRow, Kind, RowDigest};
use rusqlite::{Connection, OptionalExtension as _, params};

/// The columns of an event that is about to wait. Borrowed, so that a copy passes no value twice.
pub(crate) struct PendingEvent<'a> {
    pub(crate) event_id: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) data: &'a str,
    /// Unix seconds, whole.
    pub(crate) timestamp: i64,
    pub(crate) retry_count: i64,
    pub(crate) coalesce_key: Option<&'a str>,
}

/// A body that is about to wait.
pub(crate) struct PendingBody<'a> {
    /// The seven key columns.
    pub(crate) key: [&'a str; 7],
    pub(crate) hash_algorithm: &'a str,
    pub(crate) content_body: &'a str,
}

impl<'a> From<&'a BodyRow> for PendingBody<'a> {
    fn from(body: &'a BodyRow) -> Self {
        Self {
            key: body.key_columns(),
            hash_algorithm: &body.hash_algorithm,
            content_body: &body.content_body,
        }
    }
}

/// What happened to a body on the way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BodyProgress<'a> {
    pub(crate) retry_count: i64,
    /// Unix seconds.
    pub(crate) next_attempt_at: f64,
    /// Unix seconds.
    pub(crate) created_at: f64,
    pub(crate) last_error: Option<&'a str>,
}

/// Where a waiting row belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bond {
    pub(crate) place: PlaceId,
    pub(crate) hold: Hold,
    pub(crate) digest: RowDigest,
}

/// Lets an event wait. Nothing when a row of its id waits already.
pub(crate) fn insert_event(
    conn: &Connection,
    event: &PendingEvent<'_>,
    bond: Bond,
) -> rusqlite::Result<Option<i64>> {
    let inserted = conn
        .prepare_cached(
            "INSERT OR IGNORE INTO queue(event_id, event_type, data, timestamp, retry_count, coalesce_key)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            event.event_id,
            event.event_type,
            event.data,
            event.timestamp,
            event.retry_count,
            event.coalesce_key
        ])?;
    if inserted == 0 {
        return Ok(None);
    }
    let id = conn.last_insert_rowid();
    bind(conn, Kind::Event, id, event.timestamp as f64, bond)?;
    Ok(Some(id))
}

/// Lets a body wait. Nothing when a row of its key waits already.
pub(crate) fn insert_body(
    conn: &Connection,
    body: &PendingBody<'_>,
    progress: BodyProgress<'_>,
    bond: Bond,
) -> rusqlite::Result<Option<i64>> {
    let size = i64::try_from(body.content_body.len()).unwrap_or(i64::MAX);
    let [
        project_uuid,
        mission_slug,
        target_branch,
        mission_type,
        manifest_version,
        artifact_path,
        content_hash,
    ] = body.key;
    let inserted = conn
        .prepare_cached(
            "INSERT OR IGNORE INTO body_upload_queue(project_uuid, mission_slug, target_branch, mission_type,
                 manifest_version, artifact_path, content_hash, hash_algorithm, content_body, size_bytes,
                 retry_count, next_attempt_at, created_at, last_error)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            project_uuid,
            mission_slug,
            target_branch,
            mission_type,
            manifest_version,
            artifact_path,
            content_hash,
            body.hash_algorithm,
            body.content_body,
            size,
            progress.retry_count,
            progress.next_attempt_at,
            progress.created_at,
            progress.last_error
        ])?;
    if inserted == 0 {
        return Ok(None);
    }
    let id = conn.last_insert_rowid();
    bind(conn, Kind::Body, id, progress.created_at, bond)?;
    Ok(Some(id))
}

/// Binds a waiting row to its place, or binds it anew.
pub(crate) fn bind(conn: &Connection, kind: Kind, id: i64, at: f64, bond: Bond) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO bindings(kind, row, place, hold, at, digest) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT(kind, row) DO UPDATE SET place = ?3, hold = ?4, at = ?5, digest = ?6",
    )?
    .execute(params![kind.stored(), id, bond.place, bond.hold as i64, at, bond.digest.0])?;
    Ok(())
}

/// The digest of the waiting event of this id, from its content as it is now.
pub(crate) fn find_event(conn: &Connection, event_id: &str) -> rusqlite::Result<Option<RowDigest>> {
    conn.prepare_cached("SELECT event_type, data FROM queue WHERE event_id = ?1")?
        .query_row([event_id], |row| {
            Ok(RowDigest::of([raw_bytes(row.get_ref(0)?), raw_bytes(row.get_ref(1)?)]))
        })
        .optional()
}

/// The digest of the waiting body of this key, from its content as it is now.
pub(crate) fn find_body(conn: &Connection, key: [&str; 7]) -> rusqlite::Result<Option<RowDigest>> {
    conn.prepare_cached(
        "SELECT hash_algorithm, content_body FROM body_upload_queue
         WHERE project_uuid = ?1 AND mission_slug = ?2 AND target_branch = ?3 AND mission_type = ?4
           AND manifest_version = ?5 AND artifact_path = ?6 AND content_hash = ?7",
    )?
    .query_row(key, |row| Ok(RowDigest::of([raw_bytes(row.get_ref(0)?), raw_bytes(row.get_ref(1)?)])))
    .optional()
}

/// Whether rows of this key have left with a receipt or are parked, whatever their content.
pub(crate) fn is_settled(conn: &Connection, kind: i64, key: &str) -> rusqlite::Result<bool> {
    conn.prepare_cached(
        "SELECT 1 FROM receipts WHERE kind = ?1 AND key = ?2 UNION ALL SELECT 1 FROM parked WHERE kind = ?1 AND key = ?2",
    )?
    .exists(params![kind, key])
}

/// Whether this very content has left with a receipt or is parked.
pub(crate) fn is_settled_with(
    conn: &Connection,
    kind: i64,
    key: &str,
    digest: RowDigest,
) -> rusqlite::Result<bool> {
    conn.prepare_cached(
        "SELECT 1 FROM receipts WHERE kind = ?1 AND key = ?2 AND digest = ?3
         UNION ALL SELECT 1 FROM parked WHERE kind = ?1 AND key = ?2 AND digest = ?3",
    )?
    .exists(params![kind, key, digest.0])
}
