//! Reads a batch: the streams that may leave, their oldest rows, and whether each row may be sent.

use super::streams::{SendingOrder, open_streams, streams};
use super::{
    BatchLimits, HandedOut, Outbox, OutgoingBody, OutgoingEvent, RowBatch, RowBinding, RowId, SkipSet,
};
use crate::consent::ConsentView;
use crate::error::QueueError;
use crate::foreign_rows;
use crate::row::{Kind, RowDigest, body_of_row};
use crate::store::{Abort, data_version};
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row, Transaction, params};
use std::borrow::Cow;
use std::collections::HashSet;

/// A row that can be sent.
pub(super) trait Sendable: Sized {
    const KIND: Kind;
    /// The columns that [`Sendable::read`] expects, of table `r` joined with its binding `b`.
    const COLUMNS: &'static str;

    /// The row, if its columns are what they must be.
    fn read(row: &Row<'_>) -> rusqlite::Result<Self>;
    fn key(&self) -> Cow<'_, str>;
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

    fn key(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.event_id)
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

    fn key(&self) -> Cow<'_, str> {
        Cow::Owned(self.body.key())
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

/// Result of one read of the file.
struct BatchRead<T> {
    batch: Option<RowBatch<T>>,
    /// Facts about the rows of the batch.
    handed: Vec<(RowId, HandedOut)>,
    /// The state of the file that was looked at.
    file: i64,
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
    let mut settled = None;
    loop {
        let version = consent.version();
        let remembered = outbox.order.take();
        let remembered = remembered.filter(|(kind, order)| *kind == T::KIND && order.consent == version);
        let mut order = match remembered.filter(|_| version.is_some()) {
            Some((_, order)) => order,
            None => read_order(outbox, T::KIND, consent)?,
        };
        let look = outbox.store.read("read waiting rows of", |tx| {
            let file = data_version(tx)?;
            if order.file != file && version.is_some() {
                return Ok(None);
            }
            look::<T>(tx, file, &mut order, limits, skip, due).map(Some)
        })?;
        // Another process changed the file, so the order is read again.
        let Some(look) = look else { continue };
        outbox.order = Some((T::KIND, order));
        settle_and_rebind(outbox, T::KIND, &look.delivered, &look.rewritten)?;
        if let Some(batch) = look.batch {
            outbox.out.extend(look.handed);
            return Ok(Some(batch));
        }
        if look.delivered.is_empty() && look.rewritten.is_empty() {
            if looked_for_found_rows {
                return Ok(None);
            }
            // Another program may have added rows since the outbox was opened.
            outbox.with_triggers(foreign_rows::bind_all)?;
            looked_for_found_rows = true;
            continue;
        }
        let found = Some((look.file, look.delivered, look.rewritten));
        if found == settled {
            // The same rows are found again although no other process wrote. Checks of pages do not detect this.
            return Err(outbox.store.remember_damage("an index disagrees with its table"));
        }
        settled = found;
    }
}

fn read_order(
    outbox: &mut Outbox,
    kind: Kind,
    consent: &dyn ConsentView,
) -> Result<SendingOrder, QueueError> {
    let version = consent.version();
    let open = outbox.store.read("read waiting rows of", |tx| Ok(streams(tx, kind)?))?;
    let open = open_streams(open, consent);
    outbox.store.read("read waiting rows of", |tx| Ok(SendingOrder::read(tx, kind, open, version)?))
}

fn look<T: Sendable>(
    tx: &Transaction<'_>,
    file: i64,
    order: &mut SendingOrder,
    limits: BatchLimits,
    skip: &SkipSet,
    due: Option<f64>,
) -> Result<BatchRead<T>, Abort> {
    let mut look =
        BatchRead { batch: None, handed: Vec::new(), file, delivered: Vec::new(), rewritten: Vec::new() };
    let resting = due.map(|now| not_due(tx, now)).transpose()?.unwrap_or_default();
    let passed = |row: RowId| skip.has_row(row) || resting.contains(&row.id);
    let mut reader = RowReader::new::<T>(tx)?;
    let mut index = 0;
    while let Some(project) = order.project(tx, T::KIND, index)? {
        index += 1;
        if skip.has_project(&project.project_uuid) {
            continue;
        }
        let ids = project.first_rows(tx, T::KIND, limits.rows.max(1), &passed)?;
        let mut rows: Vec<T> = Vec::with_capacity(ids.len());
        let mut bytes = 0;
        for id in ids {
            match reader.read::<T>(id)? {
                RowCheck::Ready { row, known, binding } => {
                    bytes += row.bytes();
                    if bytes > limits.bytes && !rows.is_empty() {
                        break;
                    }
                    let key = row.key().into_owned();
                    look.handed.push((row.row(), HandedOut { key, file, known, binding }));
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
    Ready {
        row: T,
        /// Whether the key has receipts, none of which settles this content.
        known: bool,
        binding: RowBinding,
    },
    Delivered,
    Rewritten,
}

/// The statements that decide whether a row leaves.
struct RowReader<'c> {
    row: CachedStatement<'c>,
    receipts: CachedStatement<'c>,
}

impl<'c> RowReader<'c> {
    fn new<T: Sendable>(tx: &'c Connection) -> rusqlite::Result<Self> {
        let row = tx.prepare_cached(&format!(
            "SELECT {}, b.place, b.hold, b.at, b.digest FROM {} AS r JOIN bindings AS b ON b.kind = {} AND b.row = r.id WHERE r.id = ?1",
            T::COLUMNS,
            T::KIND.table(),
            T::KIND.stored()
        ))?;
        // A body that was dropped and waits again was captured again from the same document.
        let receipts = tx.prepare_cached(
            "SELECT digest = ?3 AND again = 0 AND (?1 = 0 OR outcome <> 'dropped') FROM receipts
             WHERE kind = ?1 AND key = ?2",
        )?;
        Ok(Self { row, receipts })
    }

    fn read<T: Sendable>(&mut self, id: i64) -> Result<RowCheck<T>, Abort> {
        let bound_column = self.row.column_count() - 1;
        let read = self
            .row
            .query_row([id], |row| {
                let bound = row.get_ref(bound_column)?.as_blob()?;
                // A column of the wrong type is as good as a rewritten row.
                let read =
                    T::read(row).ok().filter(|read| RowDigest::from_slice(bound) == Some(read.digest()));
                read.map(|read| Ok((read, RowBinding::of_row(row, bound_column - 3)?))).transpose()
            })
            .optional()?;
        let Some(Some((row, binding))) = read else { return Ok(RowCheck::Rewritten) };
        let key = row.key();
        let mut receipts = self.receipts.query(params![T::KIND.stored(), key, row.digest().0])?;
        let mut known = false;
        while let Some(receipt) = receipts.next()? {
            if receipt.get(0)? {
                return Ok(RowCheck::Delivered);
            }
            known = true;
        }
        drop((receipts, key));
        Ok(RowCheck::Ready { row, known, binding })
    }
}

/// The bodies that must wait longer. Read from the index alone: the column lies behind the content.
fn not_due(conn: &Connection, now: f64) -> rusqlite::Result<HashSet<i64>> {
    conn.prepare_cached("SELECT id FROM body_upload_queue WHERE next_attempt_at > ?1")?
        .query_map([now], |row| row.get(0))?
        .collect()
}

/// Settles rows that have a receipt, and binds rewritten rows by their present content.
fn settle_and_rebind(
    outbox: &mut Outbox,
    kind: Kind,
    delivered: &[i64],
    rewritten: &[i64],
) -> Result<(), QueueError> {
    if delivered.is_empty() && rewritten.is_empty() {
        return Ok(());
    }
    let settled = outbox.with_triggers(|store| {
        store.write("settle rows of", |tx| {
            let mut settled = 0;
            for id in delivered {
                let sql = format!("DELETE FROM {} WHERE id = ?1", kind.table());
                settled += tx.prepare_cached(&sql)?.execute([id])? as u64;
            }
            for id in rewritten {
                foreign_rows::bind_foreign(tx, kind, *id)?;
                // In a damaged file a row can be gone without its binding, which would be read for ever.
                let sql = format!(
                    "DELETE FROM bindings WHERE kind = ?1 AND row = ?2 AND NOT EXISTS (SELECT 1 FROM {} WHERE id = ?2)",
                    kind.table()
                );
                tx.prepare_cached(&sql)?.execute(params![kind.stored(), id])?;
            }
            Ok(settled)
        })
    })?;
    outbox.settled += settled;
    Ok(())
}
