//! Records the outcomes of sent rows, in one transaction.
//!
//! The triggers are off (see [`Outbox::open`]): a row leaves with its binding, and each tally changes once.

use super::{HandedOut, Outbox, RecordedRequest, RecordedRows, RowBinding, RowId, RowOutcome};
use crate::consent::Hold;
use crate::error::QueueError;
use crate::fault_point::{FaultPoint, reached};
use crate::foreign_rows::content_digest;
use crate::legacy::LegacyKey;
use crate::observe::LAST_DELIVERY;
use crate::origin::OriginId;
use crate::parked::{Parking, park};
use crate::row::{Kind, RowDigest};
use crate::sent;
use crate::store::{Abort, data_version, meta, now_seconds, set_meta};
use rusqlite::{CachedStatement, OptionalExtension as _, Transaction, params};
use std::collections::HashMap;
use std::ops::Range;

/// The number of the newest receipt, in the meta table.
const NEWEST: &str = "receipt_seq";

/// Records the outcomes of `requests`, each for a row and the digest it was sent with.
pub(super) fn record(
    outbox: &mut Outbox,
    requests: &[RecordedRequest<'_>],
) -> Result<RecordedRows, QueueError> {
    let Outbox { store, server_url, out, keep, .. } = outbox;
    let keep = *keep;
    let recorded = store.write("record outcomes in", |tx| {
        let at = now_seconds();
        let is_delivered =
            |outcome: &RowOutcome| matches!(outcome, RowOutcome::Delivered | RowOutcome::Duplicate);
        let mut delivered = false;
        let mut recording = Recording::new(tx, server_url, at)?;
        for RecordedRequest { outcomes, sent } in requests {
            recording.receipts.block = None;
            if outcomes.iter().any(|(.., outcome)| is_delivered(outcome)) {
                delivered = true;
                if let Some(sent) = sent.filter(|_| !keep.is_nothing()) {
                    recording.receipts.block = Some(sent::store(tx, at, sent.packed)?);
                    recording.receipts.spans = sent.spans.iter().cloned().collect();
                }
            }
            for (row, digest, outcome) in *outcomes {
                recording.record(*row, *digest, outcome, out.get(row))?;
            }
        }
        let (recorded, newest) = recording.finish()?;
        if delivered {
            set_meta(tx, NEWEST, &newest.to_string())?;
            set_meta(tx, LAST_DELIVERY, &at.to_string())?;
            sent::retain(tx, keep, at)?;
        }
        reached(FaultPoint::RecordWritten);
        Ok(recorded)
    })?;
    for (row, ..) in requests.iter().flat_map(|request| request.outcomes) {
        out.remove(row);
    }
    reached(FaultPoint::Recorded);
    Ok(recorded)
}

/// Writes the receipt of a row that another program has delivered; false when there is one.
pub(crate) fn record_receipt(
    tx: &Transaction<'_>,
    kind: Kind,
    key: &str,
    digest: RowDigest,
    server: &str,
    place: i64,
) -> Result<bool, Abort> {
    let newest: i64 = meta(tx, NEWEST)?.and_then(|text| text.parse().ok()).unwrap_or_default();
    let seq = newest + 1;
    let written = tx
        .prepare_cached(
            "INSERT OR IGNORE INTO receipts(kind, key, digest, server, at, outcome, reason, seq, place, hold)
             VALUES (?1, ?2, ?3, ?4, ?5, 'delivered', 'by another release', ?6, ?7, ?8)",
        )?
        .execute(params![
            kind.stored(),
            key,
            digest.0,
            server,
            now_seconds(),
            seq,
            place,
            Hold::Sealed as i64
        ])?;
    set_meta(tx, NEWEST, &seq.to_string())?;
    Ok(written > 0)
}

/// The receipts of one transaction.
struct Receipts<'a> {
    server: &'a str,
    at: i64,
    /// The number of the newest receipt.
    seq: i64,
    /// Block with the bytes of the request that is being recorded.
    block: Option<i64>,
    spans: HashMap<RowId, Range<usize>>,
}

const INSERT_RECEIPT: &str =
    "INSERT INTO receipts(kind, key, digest, server, at, outcome, seq, place, hold, since, block, offset, length)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

/// Behind [`INSERT_RECEIPT`]. SQLite then keeps a journal of each statement, so it is left out for new keys.
const OR_UPDATE: &str =
    "ON CONFLICT(kind, key, digest) DO UPDATE SET server = ?4, at = ?5, outcome = ?6, reason = '',
         seq = ?7, place = ?8, hold = ?9, since = ?10, block = ?11, offset = ?12, length = ?13, again = 0
         WHERE outcome = 'dropped' OR again = 1";

/// Outcomes that are being recorded, with their statements compiled once.
struct Recording<'t> {
    tx: &'t Transaction<'t>,
    /// The state of the file.
    file: i64,
    receipts: Receipts<'t>,
    recorded: RecordedRows,
    /// Rows that left, by kind, place and hold.
    left: HashMap<(Kind, OriginId, i64), i64>,
    new_receipt: CachedStatement<'t>,
    receipt: CachedStatement<'t>,
    binding: CachedStatement<'t>,
    unbind: CachedStatement<'t>,
}

impl<'t> Recording<'t> {
    fn new(tx: &'t Transaction<'t>, server: &'t str, at: i64) -> Result<Self, Abort> {
        let seq = meta(tx, NEWEST)?.and_then(|text| text.parse().ok()).unwrap_or_default();
        let receipts = Receipts { server, at, seq, block: None, spans: HashMap::new() };
        Ok(Self {
            tx,
            file: data_version(tx)?,
            receipts,
            recorded: RecordedRows::default(),
            left: HashMap::new(),
            new_receipt: tx.prepare_cached(INSERT_RECEIPT)?,
            receipt: tx.prepare_cached(&format!("{INSERT_RECEIPT} {OR_UPDATE}"))?,
            binding: tx
                .prepare_cached("SELECT place, hold, at FROM bindings WHERE kind = ?1 AND row = ?2")?,
            unbind: tx.prepare_cached("DELETE FROM bindings WHERE kind = ?1 AND row = ?2")?,
        })
    }

    fn record(
        &mut self,
        row: RowId,
        digest: RowDigest,
        outcome: &RowOutcome,
        handed: Option<&HandedOut>,
    ) -> Result<(), Abort> {
        let tx = self.tx;
        let name = match outcome {
            RowOutcome::Delivered => "delivered",
            RowOutcome::Duplicate => "duplicate",
            RowOutcome::Park { .. } | RowOutcome::Retry { .. } => "",
        };
        // No other process changed the file since the row was read, so the row is as it was sent.
        if let Some(handed) = handed.filter(|handed| handed.file == self.file && !name.is_empty()) {
            let bound = Some(handed.binding);
            self.write_receipt(row, &handed.key, digest, bound, name, handed.known)?;
            match self.remove(row, bound)? {
                true => self.recorded.settled += 1,
                false => self.recorded.vanished += 1,
            }
            return Ok(());
        }
        let bound = self.binding_of(row)?;
        let table = row.kind.legacy_table();
        let sql = format!("SELECT {} FROM {} WHERE id = ?1", table.column_list(), table.name());
        let mut select = tx.prepare_cached(&sql)?;
        let mut rows = select.query([row.id])?;
        let stored = match rows.next()? {
            Some(stored) if content_digest(table, stored, 0)? == digest => Some(stored),
            _ => None,
        };
        let key = match &stored {
            Some(stored) => Some(LegacyKey::of(table, row.id, stored, 0)?.key),
            None => handed.map(|handed| handed.key.clone()),
        };
        if let (false, Some(key)) = (name.is_empty(), &key) {
            self.write_receipt(row, key, digest, bound, name, true)?;
        }
        let (Some(stored), Some(key)) = (stored, key) else {
            self.recorded.vanished += 1;
            return Ok(());
        };
        match outcome {
            RowOutcome::Delivered | RowOutcome::Duplicate => self.recorded.settled += 1,
            RowOutcome::Park { reason, detail } => {
                let RowBinding { place, hold, .. } = bound.unwrap_or_default();
                let hold = Hold::from_stored(hold);
                let parking = Parking { key: &key, digest, place, hold, reason, detail };
                park(tx, table, stored, 0, &parking)?;
                self.recorded.parked += 1;
            }
            RowOutcome::Retry { error, not_before } => {
                drop(rows);
                retry(tx, row, error, *not_before)?;
                self.recorded.retried += 1;
                return Ok(());
            }
        }
        drop(rows);
        self.remove(row, bound)?;
        Ok(())
    }

    /// Writes the receipt of a row that the server has. `known` is whether its key may have receipts.
    fn write_receipt(
        &mut self,
        row: RowId,
        key: &str,
        digest: RowDigest,
        bound: Option<RowBinding>,
        outcome: &'static str,
        known: bool,
    ) -> Result<(), Abort> {
        let Receipts { server, at, seq, block, spans } = &mut self.receipts;
        *seq += 1;
        let kind = row.kind.stored();
        let RowBinding { place, hold, since } = bound.unwrap_or_default();
        let span = spans.get(&row);
        let block = span.and(*block);
        let whole = |number: Option<usize>| number.and_then(|number| i64::try_from(number).ok()).unwrap_or(0);
        let (offset, length) = (whole(span.map(|span| span.start)), whole(span.map(Range::len)));
        let insert = if known { &mut self.receipt } else { &mut self.new_receipt };
        insert.execute(params![
            kind,
            key,
            digest.0,
            *server,
            *at,
            outcome,
            *seq,
            place,
            Hold::from_stored(hold) as i64,
            since,
            block,
            offset,
            length
        ])?;
        if known {
            // The same fact under another digest: as it was stored before it was sent.
            self.tx
                .prepare_cached("UPDATE receipts SET again = 0 WHERE kind = ?1 AND key = ?2 AND again = 1")?
                .execute(params![kind, key])?;
        }
        Ok(())
    }

    fn binding_of(&mut self, row: RowId) -> Result<Option<RowBinding>, Abort> {
        let bound =
            self.binding.query_row(params![row.kind.stored(), row.id], |bound| RowBinding::of_row(bound, 0));
        Ok(bound.optional()?)
    }

    /// Deletes a row and its binding; false when there is no such row.
    fn remove(&mut self, row: RowId, bound: Option<RowBinding>) -> Result<bool, Abort> {
        let sql = match row.kind {
            Kind::Event => "DELETE FROM queue WHERE id = ?1",
            Kind::Body => "DELETE FROM body_upload_queue WHERE id = ?1",
        };
        let removed = self.tx.prepare_cached(sql)?.execute([row.id])?;
        self.unbind.execute(params![row.kind.stored(), row.id])?;
        if let Some(RowBinding { place, hold, .. }) = bound {
            *self.left.entry((row.kind, place, hold)).or_default() += 1;
        }
        Ok(removed > 0)
    }

    /// Takes the rows that left from the tallies; what was recorded, and the number of the newest receipt.
    fn finish(self) -> Result<(RecordedRows, i64), Abort> {
        for ((kind, place, hold), rows) in self.left {
            let kind = kind.stored();
            let rest: Option<i64> = self
                .tx
                .prepare_cached(
                    "UPDATE tallies SET waiting = waiting - ?4 WHERE kind = ?1 AND place = ?2 AND hold = ?3
                     RETURNING waiting",
                )?
                .query_row(params![kind, place, hold, rows], |row| row.get(0))
                .optional()?;
            // A drained place is forgotten, or every batch would pass over it.
            if rest == Some(0) {
                self.tx
                    .prepare_cached("DELETE FROM tallies WHERE kind = ?1 AND place = ?2 AND hold = ?3")?
                    .execute(params![kind, place, hold])?;
            }
        }
        Ok((self.recorded, self.receipts.seq))
    }
}

impl Default for RowBinding {
    /// Of a row without a binding.
    fn default() -> Self {
        Self { place: 0, hold: Hold::Sealed as i64, since: 0.0 }
    }
}

fn retry(tx: &Transaction<'_>, row: RowId, error: &str, not_before: f64) -> Result<(), Abort> {
    match row.kind {
        Kind::Event => tx
            .prepare_cached("UPDATE queue SET retry_count = COALESCE(retry_count, 0) + 1 WHERE id = ?1")?
            .execute([row.id])?,
        Kind::Body => tx
            .prepare_cached(
                "UPDATE body_upload_queue SET retry_count = retry_count + 1, next_attempt_at = ?2, last_error = ?3
                 WHERE id = ?1",
            )?
            .execute(params![row.id, not_before, error])?,
    };
    Ok(())
}
