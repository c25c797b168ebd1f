//! Waiting rows: the only statements that insert into the reference's tables, each with a binding to an
//! origin, a hold and a digest.

use crate::consent::Hold;
use crate::foreign_rows::raw_bytes;
use crate::origin::OriginId;
use crate::row::{Kind, RowDigest};
use contract::wire::ArtifactBody;
use rusqlite::config::DbConfig;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Statement, params};
use std::collections::HashMap;

/// The columns of an event that is about to wait. Borrowed, so that a copy passes no value twice.
pub(crate) struct WaitingEvent<'a> {
    pub(crate) event_id: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) data: &'a str,
    /// Unix seconds, whole.
    pub(crate) timestamp: i64,
    pub(crate) retry_count: i64,
    pub(crate) coalesce_key: Option<&'a str>,
}

/// Earlier attempts of a body.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BodyProgress<'a> {
    pub(crate) retry_count: i64,
    /// Unix seconds.
    pub(crate) next_attempt_at: f64,
    /// Unix seconds.
    pub(crate) created_at: f64,
    pub(crate) last_error: Option<&'a str>,
}

/// Origin, hold and digest of a waiting row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binding {
    pub(crate) place: OriginId,
    pub(crate) hold: Hold,
    pub(crate) digest: RowDigest,
    /// When it was captured (Unix seconds, with their fraction), where that is known. Consent is judged by it;
    /// else by the row's own time, which may be whole seconds.
    pub(crate) captured_at: Option<f64>,
}

impl Binding {
    fn at(&self, own_time: f64) -> f64 {
        self.captured_at.unwrap_or(own_time)
    }
}

const INSERT_EVENT: &str =
    "INSERT OR IGNORE INTO queue(event_id, event_type, data, timestamp, retry_count, coalesce_key)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const INSERT_BODY: &str =
    "INSERT OR IGNORE INTO body_upload_queue(project_uuid, mission_slug, target_branch, mission_type,
         manifest_version, artifact_path, content_hash, hash_algorithm, content_body, size_bytes, retry_count,
         next_attempt_at, created_at, last_error)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";

const INSERT_BINDING: &str =
    "INSERT INTO bindings(kind, row, place, hold, at, digest) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// The statements that let rows wait, compiled once for many rows.
pub(crate) struct Queueing<'c> {
    conn: &'c Connection,
    /// Counts of a bulk; nothing when the triggers count.
    counted: Option<Bulk<'c>>,
    event: CachedStatement<'c>,
    body: CachedStatement<'c>,
    binding: CachedStatement<'c>,
}

impl<'c> Queueing<'c> {
    /// For one command's rows.
    pub(crate) fn new(conn: &'c Connection) -> rusqlite::Result<Self> {
        Self::prepare(conn, None)
    }

    /// For very many rows: the triggers that keep the tallies are off, which more than halves the cost of a binding.
    /// [`Queueing::finish`] adds the counts.
    pub(crate) fn bulk(conn: &'c Connection) -> rusqlite::Result<Self> {
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        Self::prepare(conn, Some(Bulk { conn, tallies: HashMap::new() }))
    }

    fn prepare(conn: &'c Connection, counted: Option<Bulk<'c>>) -> rusqlite::Result<Self> {
        Ok(Self {
            conn,
            counted,
            event: conn.prepare_cached(INSERT_EVENT)?,
            body: conn.prepare_cached(INSERT_BODY)?,
            binding: conn.prepare_cached(INSERT_BINDING)?,
        })
    }

    /// Lets an event wait; false when a row of its id waits already, or the table does not take it.
    pub(crate) fn event(&mut self, event: &WaitingEvent<'_>, binding: Binding) -> rusqlite::Result<bool> {
        let inserted = self.event.execute(params![
            event.event_id,
            event.event_type,
            event.data,
            event.timestamp,
            event.retry_count,
            event.coalesce_key
        ])?;
        self.bind(inserted, Kind::Event, event.timestamp as f64, binding)
    }

    /// Lets a body wait; false when a row of its key waits already, or the table does not take it.
    pub(crate) fn body(
        &mut self,
        body: &ArtifactBody,
        progress: BodyProgress<'_>,
        binding: Binding,
    ) -> rusqlite::Result<bool> {
        let size = i64::try_from(body.content_body.len()).unwrap_or(i64::MAX);
        let [project, mission, branch, mission_type, manifest, artifact, hash] = body.key_columns();
        let inserted = self.body.execute(params![
            project,
            mission,
            branch,
            mission_type,
            manifest,
            artifact,
            hash,
            body.hash_algorithm,
            body.content_body,
            size,
            progress.retry_count,
            progress.next_attempt_at,
            progress.created_at,
            progress.last_error
        ])?;
        self.bind(inserted, Kind::Body, progress.created_at, binding)
    }

    fn bind(&mut self, inserted: usize, kind: Kind, at: f64, binding: Binding) -> rusqlite::Result<bool> {
        if inserted == 0 {
            return Ok(false);
        }
        let id = self.conn.last_insert_rowid();
        bind_by(&mut self.binding, kind, id, at, binding)?;
        if let Some(Bulk { tallies, .. }) = &mut self.counted {
            *tallies.entry((kind.stored(), binding.place, binding.hold as i64)).or_default() += 1;
        }
        Ok(true)
    }

    /// Ends a bulk: in the same transaction, so that the tallies stay correct.
    pub(crate) fn finish(self) -> rusqlite::Result<()> {
        let Some(bulk) = &self.counted else { return Ok(()) };
        for ((kind, place, hold), rows) in &bulk.tallies {
            self.conn
                .prepare_cached(
                    "INSERT INTO tallies(kind, place, hold, waiting) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT(kind, place, hold) DO UPDATE SET waiting = waiting + ?4",
                )?
                .execute(params![kind, place, hold, rows])?;
        }
        Ok(())
    }
}

/// Keeps the triggers off while it lives.
struct Bulk<'c> {
    conn: &'c Connection,
    tallies: HashMap<(i64, OriginId, i64), i64>,
}

impl Drop for Bulk<'_> {
    fn drop(&mut self) {
        // Fails only if this SQLite lacks the setting; then the triggers were never disabled.
        let _ = self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true);
    }
}

/// Binds a waiting row to its origin, or replaces the binding.
pub(crate) fn bind(
    conn: &Connection,
    kind: Kind,
    id: i64,
    at: f64,
    binding: Binding,
) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached(
        "INSERT INTO bindings(kind, row, place, hold, at, digest) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT(kind, row) DO UPDATE SET place = ?3, hold = ?4, at = ?5, digest = ?6",
    )?;
    bind_by(&mut statement, kind, id, at, binding)
}

fn bind_by(
    statement: &mut Statement<'_>,
    kind: Kind,
    id: i64,
    at: f64,
    binding: Binding,
) -> rusqlite::Result<()> {
    let (hold, at, digest) = (binding.hold as i64, binding.at(at), binding.digest.0);
    statement.execute(params![kind.stored(), id, binding.place, hold, at, digest]).map(drop)
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

/// Whether rows of this key have left with a receipt or are parked, whatever their content. A receipt that
/// is marked to be sent again settles nothing.
///
/// Read-only commands ask this of files of schema 1, whose receipts have no column `again`: there the name
/// means the outer zero.
pub(crate) fn is_settled(conn: &Connection, kind: i64, key: &str) -> rusqlite::Result<bool> {
    conn.prepare_cached(
        "SELECT 1 FROM (SELECT 0 AS again)
         WHERE EXISTS (SELECT 1 FROM receipts WHERE kind = ?1 AND key = ?2 AND again = 0)
            OR EXISTS (SELECT 1 FROM parked WHERE kind = ?1 AND key = ?2)",
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
        "SELECT 1 FROM (SELECT 0 AS again)
         WHERE EXISTS (SELECT 1 FROM receipts WHERE kind = ?1 AND key = ?2 AND digest = ?3 AND again = 0)
            OR EXISTS (SELECT 1 FROM parked WHERE kind = ?1 AND key = ?2 AND digest = ?3)",
    )?
    .exists(params![kind, key, digest.0])
}
