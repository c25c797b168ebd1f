//! The `prepared` table: rows whose local write is not yet confirmed.

use super::{Capture, Captured};
use crate::consent::Hold;
use crate::error::QueueError;
use crate::origin::{self, OriginId};
use crate::parked::{Parking, park_values, reason};
use crate::row::{Content, Kind, RowDigest};
use crate::store::{Abort, now, now_seconds};
use crate::waiting::{self, Binding, BodyProgress, Queueing, WaitingEvent};
use contract::wire::ArtifactBody;
use contract::wire::body::BODY_KEY_COLUMNS;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use serde_json::{Map, Value, json};

/// Refuses rows that could never be sent, before anything is stored.
pub(crate) fn check(capture: &Capture) -> Result<(), QueueError> {
    let ours = capture.place.project_uuid.as_deref().map(str::to_lowercase);
    for row in &capture.rows {
        let (fault, project) = match &row.content {
            Content::Event(event) => (None, event.project().map(str::to_owned)),
            Content::Body(body) => (body.stored_fault(), Some(body.project_uuid.to_lowercase())),
        };
        let elsewhere = project.filter(|project| Some(project) != ours.as_ref());
        let fault = fault.or_else(|| {
            let ours = ours.as_deref().unwrap_or("none");
            elsewhere.map(|project| format!("belongs to project {project} and is captured in {ours}"))
        });
        if let Some(why) = fault {
            return Err(QueueError::BadRow { key: row.key(), why });
        }
    }
    Ok(())
}

/// Stores the rows of a capture that are not known yet; returns how many, and how many are known. A row that an
/// interrupted command left here is taken over: it is the same fact.
pub(crate) fn insert(tx: &Transaction<'_>, command: &str, capture: &Capture) -> Result<(u64, u64), Abort> {
    let mut place = capture.place.clone();
    place.project_uuid = place.project_uuid.map(|uuid| uuid.to_lowercase());
    let place = origin::id_of(tx, &place)?;
    let (mut stored, mut already) = (0, 0);
    for row in &capture.rows {
        let (kind, key) = (row.kind(), row.key());
        let is_known = match &row.content {
            Content::Event(event) => is_known_event(tx, event.id())?,
            Content::Body(body) => is_waiting_body(tx, body)? || has_an_answer(tx, kind, &key)?,
        };
        if is_known {
            already += 1;
            continue;
        }
        // The same content, parked as `not_in_log`, is this row: it must not wait twice.
        tx.prepare_cached("DELETE FROM parked WHERE kind = ?1 AND key = ?2 AND digest = ?3 AND reason = ?4")?
            .execute(params![kind.stored(), key, row.digest().0, reason::NOT_IN_LOG])?;
        let (head, payload) = stored_columns(&row.content);
        let (form, path, value) = row.witness.to_stored();
        tx.prepare_cached(
            "INSERT OR REPLACE INTO prepared(command, mission_slug, kind, key, place, witness, witness_path,
                 witness_value, prepared_at, head, payload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            command,
            capture.mission_slug,
            kind.stored(),
            key,
            place,
            form,
            path,
            value,
            now(),
            head.to_string(),
            payload
        ])?;
        stored += 1;
    }
    Ok((stored, already))
}

/// Whether the fact needs no further capture: it was delivered, or is parked with the server's answer.
///
/// A row parked as `not_in_log` has no answer, and this capture brings its local write. A dropped event is
/// final, because it happened once. A dropped body is not, because a document can have that content again.
fn has_an_answer(conn: &Connection, kind: Kind, key: &str) -> rusqlite::Result<bool> {
    conn.prepare_cached(
        "SELECT 1 FROM receipts WHERE kind = ?1 AND key = ?2 AND again = 0 AND (?1 = 0 OR outcome <> 'dropped')
         UNION ALL SELECT 1 FROM parked WHERE kind = ?1 AND key = ?2 AND reason <> ?3",
    )?
    .exists(params![kind.stored(), key, reason::NOT_IN_LOG])
}

/// Whether an event is not captured again.
pub(crate) fn is_known_event(conn: &Connection, event_id: &str) -> rusqlite::Result<bool> {
    let waits = conn.prepare_cached("SELECT 1 FROM queue WHERE event_id = ?1")?.exists([event_id])?;
    Ok(waits || has_an_answer(conn, Kind::Event, event_id)?)
}

fn is_waiting_body(conn: &Connection, body: &ArtifactBody) -> rusqlite::Result<bool> {
    conn.prepare_cached(
        "SELECT 1 FROM body_upload_queue
         WHERE project_uuid = ?1 AND mission_slug = ?2 AND target_branch = ?3 AND mission_type = ?4
           AND manifest_version = ?5 AND artifact_path = ?6 AND content_hash = ?7",
    )?
    .exists(body.key_columns())
}

/// A row as `prepared` keeps it: the small columns as a JSON object, the payload apart.
fn stored_columns(content: &Content) -> (Value, &str) {
    match content {
        Content::Event(event) => (
            json!({
                "event_id": event.id(),
                "event_type": event.event_type(),
                "coalesce_key": event.coalesce_key(),
            }),
            event.text(),
        ),
        Content::Body(body) => {
            let columns = BODY_KEY_COLUMNS.into_iter().zip(body.key_columns());
            let columns = columns.chain([("hash_algorithm", body.hash_algorithm.as_str())]);
            let head: Map<String, Value> =
                columns.map(|(name, value)| (name.to_owned(), value.into())).collect();
            (head.into(), &body.content_body)
        }
    }
}

/// One row of `prepared`, without its witness.
pub(crate) struct PreparedRow {
    pub(crate) id: i64,
    pub(crate) kind: i64,
    pub(crate) key: String,
    pub(crate) place: OriginId,
    pub(crate) prepared_at: f64,
    pub(crate) head: Map<String, Value>,
    pub(crate) payload: String,
}

impl PreparedRow {
    pub(crate) fn read(conn: &Connection, id: i64) -> rusqlite::Result<Self> {
        conn.prepare_cached(
            "SELECT kind, key, place, head, payload, prepared_at FROM prepared WHERE id = ?1",
        )?
        .query_row([id], |row| {
            let head: String = row.get(3)?;
            Ok(Self {
                id,
                kind: row.get(0)?,
                key: row.get(1)?,
                place: row.get(2)?,
                prepared_at: row.get(5)?,
                head: serde_json::from_str(&head).unwrap_or_default(),
                payload: row.get(4)?,
            })
        })
    }
}

/// Makes the first `most` prepared rows of a command wait; false when there may be more.
pub(crate) fn confirm(
    tx: &Transaction<'_>,
    command: &str,
    most: i64,
    captured: &mut Captured,
) -> Result<bool, Abort> {
    let ids: Vec<i64> = tx
        .prepare_cached("SELECT id FROM prepared WHERE command = ?1 ORDER BY id LIMIT ?2")?
        .query_map(params![command, most], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut queueing = Queueing::new(tx)?;
    for id in &ids {
        let row = PreparedRow::read(tx, *id)?;
        confirm_row(tx, &mut queueing, &row, captured)?;
    }
    Ok((ids.len() as i64) < most)
}

/// Makes one prepared row wait.
pub(crate) fn confirm_row(
    tx: &Transaction<'_>,
    queueing: &mut Queueing<'_>,
    row: &PreparedRow,
    captured: &mut Captured,
) -> Result<(), Abort> {
    // A leftover may be settled after an opt-out and an opt-in, and is older than both. A clock that was set back
    // meanwhile makes no row younger.
    let captured_at = row.prepared_at.min(now());
    let belongs = Belongs { origin: row.place, hold: Hold::Free, captured_at };
    match make_waiting(tx, queueing, row.kind, belongs, &row.head, &row.payload)? {
        WaitingOutcome::Event => captured.events += 1,
        WaitingOutcome::Coalesced => {
            captured.events += 1;
            captured.coalesced += 1;
        }
        WaitingOutcome::Body => captured.bodies += 1,
        WaitingOutcome::Known => captured.already += 1,
        WaitingOutcome::Unfit => {
            let parking = Parking {
                key: &row.key,
                digest: RowDigest::of([row.payload.as_bytes()]),
                place: row.place,
                hold: Hold::Free,
                reason: reason::UNREADABLE_ROW,
                detail: "its stored columns do not make a row",
            };
            park_values(tx, row.kind, &parking, row.head.clone(), &row.payload)?;
        }
    }
    tx.prepare_cached("DELETE FROM prepared WHERE id = ?1")?.execute([row.id])?;
    Ok(())
}

/// Result of [`make_waiting`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitingOutcome {
    /// An event waits.
    Event,
    /// An event waits in the place of an older one.
    Coalesced,
    /// A body waits.
    Body,
    /// A row of that key waits already.
    Known,
    /// The columns do not make a row.
    Unfit,
}

/// Origin, hold and time of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Belongs {
    pub(crate) origin: OriginId,
    pub(crate) hold: Hold,
    /// See [`Binding::captured_at`].
    pub(crate) captured_at: f64,
}

/// Lets a row wait, from its stored columns.
pub(crate) fn make_waiting(
    tx: &Transaction<'_>,
    queueing: &mut Queueing<'_>,
    kind: i64,
    Belongs { origin, hold, captured_at }: Belongs,
    head: &Map<String, Value>,
    payload: &str,
) -> Result<WaitingOutcome, Abort> {
    let text = |name: &str| head.get(name).and_then(Value::as_str);
    match Kind::from_stored(kind) {
        Some(Kind::Event) => {
            let (Some(event_id), Some(event_type)) = (text("event_id"), text("event_type")) else {
                return Ok(WaitingOutcome::Unfit);
            };
            let digest = RowDigest::of_event(event_type.as_bytes(), payload.as_bytes());
            let event = WaitingEvent {
                event_id,
                event_type,
                data: payload,
                timestamp: next_timestamp(tx)?,
                retry_count: 0,
                coalesce_key: text("coalesce_key"),
            };
            let binding = Binding { place: origin, hold, digest, captured_at: Some(captured_at) };
            if coalesce(tx, &event, binding)? {
                return Ok(WaitingOutcome::Coalesced);
            }
            Ok(if queueing.event(&event, binding)? { WaitingOutcome::Event } else { WaitingOutcome::Known })
        }
        Some(Kind::Body) => {
            let Some(body) = body_of(head, payload) else { return Ok(WaitingOutcome::Unfit) };
            let digest = RowDigest::of_body(&body);
            let binding = Binding { place: origin, hold, digest, captured_at: Some(captured_at) };
            let progress = BodyProgress { created_at: now(), ..BodyProgress::default() };
            Ok(if queueing.body(&body, progress, binding)? {
                WaitingOutcome::Body
            } else {
                WaitingOutcome::Known
            })
        }
        None => Ok(WaitingOutcome::Unfit),
    }
}

/// The body in stored columns.
fn body_of(head: &Map<String, Value>, payload: &str) -> Option<ArtifactBody> {
    let text = |name: &str| head.get(name).and_then(Value::as_str);
    let names = BODY_KEY_COLUMNS.into_iter().chain(["hash_algorithm"]);
    let columns: Option<Vec<String>> =
        names.map(text).chain([Some(payload)]).map(|column| column.map(str::to_owned)).collect();
    columns?.try_into().ok().map(ArtifactBody::from_columns)
}

/// Longest lead of the newest row over the clock that is still followed.
const CLOCK_STEP_SECONDS: i64 = 24 * 60 * 60;

/// The timestamp of a row that begins to wait now. Rows are sent in the order of their timestamps, so it is never
/// below the newest one, even after the clock was set back. A row from the far future is ignored.
fn next_timestamp(tx: &Transaction<'_>) -> rusqlite::Result<i64> {
    let newest: Option<i64> = tx
        .prepare_cached("SELECT CAST(MAX(timestamp) AS INTEGER) FROM queue")?
        .query_row([], |row| row.get(0))?;
    let now = now_seconds();
    Ok(newest
        .filter(|newest| (1..=CLOCK_STEP_SECONDS).contains(&(newest.saturating_sub(now))))
        .unwrap_or(now))
}

/// Replaces an older disposable event of the same key, if it has the same origin and was never attempted. Its
/// id, content and time change; its position in the table stays.
fn coalesce(tx: &Transaction<'_>, event: &WaitingEvent<'_>, binding: Binding) -> Result<bool, Abort> {
    let Some(key) = event.coalesce_key else { return Ok(false) };
    let older: Option<i64> = tx
        .prepare_cached(
            "SELECT q.id FROM queue AS q JOIN bindings AS b ON b.kind = 0 AND b.row = q.id
             WHERE q.coalesce_key = ?1 AND q.retry_count = 0 AND b.place = ?2 AND b.hold = ?3
             ORDER BY q.id LIMIT 1",
        )?
        .query_row(params![key, binding.place, binding.hold as i64], |row| row.get(0))
        .optional()?;
    let Some(id) = older else { return Ok(false) };
    let updated = tx
        .prepare_cached("UPDATE OR IGNORE queue SET event_id = ?2, data = ?3, timestamp = ?4 WHERE id = ?1")?
        .execute(params![id, event.event_id, event.data, event.timestamp])?;
    if updated == 0 {
        return Ok(false);
    }
    waiting::bind(tx, Kind::Event, id, event.timestamp as f64, binding)?;
    Ok(true)
}
