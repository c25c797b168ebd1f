//! Reads a batch: the streams that may leave, their oldest rows, and whether each row may be sent.

use super::streams::{ProjectStreams, open_streams, streams};
use super::{BatchLimits, Outbox, OutgoingBody, OutgoingEvent, RowBatch, RowId, SkipSet};
use crate::consent::ConsentView;
use crate::error::QueueError;
use crate::foreign_rows;
use crate::row::{Kind, RowDigest, body_of_row};
use crate::store::Abort;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use std::collections::HashSet;

/// A row that can be sent.
pub(super) trait Sendable: Sized {
    const KIND: Kind;
    /// The columns that [`Sendable::read`] expects, of table `r` joined with its binding `b`.
    const COLUMNS: &'static str;

    /// The row, if its columns are what they must be.
    fn read(row: &Row<'_>) -> rusqlite::Result<Self>;
    fn key(&self) -> String;
    fn row(&self) -> RowId;
    fn digest(&self) -> RowDigest;
    fn bytes(&self) -> usize;
}

impl Sendable for OutgoingEvent {
    const KIND: Kind = Kind::Event;
    const COLUMNS: &'static str = "r.id, r.event_id, r.event_type, r.data, COALESCE(r.retry_count, 0)";

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (event_type, data): (String, String) = (row.get(2)?, row.get(3)?);
        Ok(Self {
            row: RowId { kind: Self::KIND, id: row.get(0)? },
            event_id: row.get(1)?,
            digest: RowDigest::of_event(event_type.as_bytes(), data.as_bytes()),
            data,
            retry_count: row.get(4)?,
        })
    }

    fn key(&self) -> String {
        self.event_id.clone()
    }

    fn row(&self) -> RowId {
        self.row
    }

    fn digest(&self) -> RowDigest {
        self.digest
    }

    fn bytes(&self) -> usize {
        self.data.len()
    }
}

impl Sendable for OutgoingBody {
    const KIND: Kind = Kind::Body;
    const COLUMNS: &'static str = "r.id, r.project_uuid, r.mission_slug, r.target_branch, r.mission_type,
        r.manifest_version, r.artifact_path, r.content_hash, r.hash_algorithm, r.content_body, r.retry_count";

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let body = body_of_row(row, 1)?.ok_or(rusqlite::Error::InvalidQuery)?;
        let row_id = RowId { kind: Self::KIND, id: row.get(0)? };
        Ok(Self { row: row_id, digest: RowDigest::of_body(&body), body, retry_count: row.get(10)? })
    }

    fn key(&self) -> String {
        self.body.key()
    }

    fn row(&self) -> RowId {
        self.row
    }

    fn digest(&self) -> RowDigest {
        self.digest
    }

    fn bytes(&self) -> usize {
        self.body.content_body.len()
    }
}

/// What one look at the file found.
struct BatchRead<T> {
    batch: Option<RowBatch<T>>,
    /// Rows that left long ago: same key, same content, with a receipt.
    delivered: Vec<i64>,
    /// Rows whose content is not what was bound: another program rewrote them.
    rewritten: Vec<i64>,
}

/// The next batch of a kind. `due` is the time at which bodies must be due.
pub(super) fn batch<T: Sendable>(
    outbox: &mut Outbox,
    limits: BatchLimits,
    consent: &dyn ConsentView,
    skip: &SkipSet,
    due: Option<f64>,
) -> Result<Option<RowBatch<T>>, QueueError> {
    let mut looked_for_found_rows = false;
    loop {
        let open = outbox.store.read("read waiting rows of", |tx| Ok(streams(tx, T::KIND)?))?;
        let open = open_streams(open, consent, skip);
        let look = outbox.store.read("read waiting rows of", |tx| look::<T>(tx, &open, limits, skip, due))?;
        tidy(outbox, T::KIND, &look.delivered, &look.rewritten)?;
        if let Some(batch) = look.batch {
            outbox.out.extend(batch.rows.iter().map(|row| (row.row(), row.key())));
            return Ok(Some(batch));
        }
        if look.delivered.is_empty() && look.rewritten.is_empty() {
            if looked_for_found_rows {
                return Ok(None);
            }
            // Another program may have added rows since the outbox was opened.
            foreign_rows::bind_all(&mut outbox.store)?;
            looked_for_found_rows = true;
        }
    }
}

fn look<T: Sendable>(
    tx: &Transaction<'_>,
    open: &[ProjectStreams],
    limits: BatchLimits,
    skip: &SkipSet,
    due: Option<f64>,
) -> Result<BatchRead<T>, Abort> {
    let mut look = BatchRead { batch: None, delivered: Vec::new(), rewritten: Vec::new() };
    let resting = due.map(|now| not_due(tx, now)).transpose()?.unwrap_or_default();
    let mut by_age = Vec::new();
    for project in open {
        if let Some(oldest) = project.oldest(tx, T::KIND)? {
            by_age.push((oldest, project));
        }
    }
    by_age.sort_by(|(a, _), (b, _)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    for (_, project) in by_age {
        let passed = |row: RowId| skip.has_row(row) || resting.contains(&row.id);
        let ids = project.first_rows(tx, T::KIND, limits.rows.max(1), &passed)?;
        let mut rows: Vec<T> = Vec::new();
        let mut bytes = 0;
        for id in ids {
            match judge::<T>(tx, id)? {
                RowCheck::Ready(row) => {
                    bytes += row.bytes();
                    if bytes > limits.bytes && !rows.is_empty() {
                        break;
                    }
                    rows.push(row);
                }
                RowCheck::Delivered => look.delivered.push(id),
                RowCheck::Rewritten => look.rewritten.push(id),
            }
        }
        if !rows.is_empty() {
            look.batch = Some(RowBatch { project_uuid: project.project_uuid.clone(), rows });
            break;
        }
    }
    Ok(look)
}

enum RowCheck<T> {
    Ready(T),
    Delivered,
    Rewritten,
}

fn judge<T: Sendable>(tx: &Transaction<'_>, id: i64) -> Result<RowCheck<T>, Abort> {
    let sql = format!(
        "SELECT {}, b.digest FROM {} AS r JOIN bindings AS b ON b.kind = {} AND b.row = r.id WHERE r.id = ?1",
        T::COLUMNS,
        T::KIND.table(),
        T::KIND.stored()
    );
    let mut select = tx.prepare_cached(&sql)?;
    let bound_column = select.column_count() - 1;
    let read = select
        .query_row([id], |row| {
            let bound: Vec<u8> = row.get(bound_column)?;
            // A column of the wrong type is as good as a rewritten row.
            Ok(T::read(row).ok().map(|read| (RowDigest::from_slice(&bound) == Some(read.digest()), read)))
        })
        .optional()?;
    let Some(Some((true, row))) = read else { return Ok(RowCheck::Rewritten) };
    // A body that was dropped and waits again was captured again from the same document.
    let receipt = tx
        .prepare_cached(
            "SELECT 1 FROM receipts
             WHERE kind = ?1 AND key = ?2 AND digest = ?3 AND again = 0
               AND (?1 = 0 OR outcome <> 'dropped')",
        )?
        .exists(params![T::KIND.stored(), row.key(), row.digest().0])?;
    Ok(if receipt { RowCheck::Delivered } else { RowCheck::Ready(row) })
}

/// The bodies that must wait longer. Read from the index alone: the column lies behind the content.
fn not_due(conn: &Connection, now: f64) -> rusqlite::Result<HashSet<i64>> {
    conn.prepare_cached("SELECT id FROM body_upload_queue WHERE next_attempt_at > ?1")?
        .query_map([now], |row| row.get(0))?
        .collect()
}

/// Settles rows that have a receipt, and binds rewritten rows by their present content.
fn tidy(outbox: &mut Outbox, kind: Kind, delivered: &[i64], rewritten: &[i64]) -> Result<(), QueueError> {
    if delivered.is_empty() && rewritten.is_empty() {
        return Ok(());
    }
    let settled = outbox.store.write("settle rows of", |tx| {
        let mut settled = 0;
        for id in delivered {
            let sql = format!("DELETE FROM {} WHERE id = ?1", kind.table());
            settled += tx.prepare_cached(&sql)?.execute([id])? as u64;
        }
        for id in rewritten {
            foreign_rows::bind_foreign(tx, kind, *id)?;
        }
        Ok(settled)
    })?;
    outbox.settled += settled;
    Ok(())
}
