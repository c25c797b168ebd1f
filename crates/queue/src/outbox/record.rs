//! Records the outcomes of sent rows, in one transaction.

use super::{Outbox, RecordedRows, RowId, RowOutcome, SentBytes};
use crate::consent::Hold;
use crate::error::QueueError;
use crate::fault_point::{FaultPoint, reached};
use crate::foreign_rows::content_digest;
use crate::legacy::LegacyKey;
use crate::observe::LAST_DELIVERY;
use crate::parked::{Parking, park};
use crate::row::{Kind, RowDigest};
use crate::sent;
use crate::store::{Abort, meta, now_seconds, set_meta};
use rusqlite::{OptionalExtension as _, Transaction, params};
use std::collections::HashMap;
use std::ops::Range;

/// The number of the newest receipt, in the meta table.
const NEWEST: &str = "receipt_seq";

/// Records `outcomes`, each for a row and the digest it was sent with.
pub(super) fn record(
    outbox: &mut Outbox,
    outcomes: &[(RowId, RowDigest, RowOutcome)],
    sent: Option<&SentBytes<'_>>,
) -> Result<RecordedRows, QueueError> {
    let Outbox { store, server_url, out, keep, .. } = outbox;
    let keep = *keep;
    let recorded = store.write("record outcomes in", |tx| {
        let mut recorded = RecordedRows::default();
        let at = now_seconds();
        let delivered = outcomes
            .iter()
            .any(|(.., outcome)| matches!(outcome, RowOutcome::Delivered | RowOutcome::Duplicate));
        let mut receipts = Receipts { server: server_url, at, seq: 0, block: None, spans: HashMap::new() };
        if delivered {
            receipts.seq = meta(tx, NEWEST)?.and_then(|text| text.parse().ok()).unwrap_or_default();
            if let Some(sent) = sent.filter(|_| !keep.is_nothing()) {
                receipts.block = Some(sent::store(tx, at, sent.packed)?);
                receipts.spans = sent.spans.iter().cloned().collect();
            }
        }
        for (row, digest, outcome) in outcomes {
            let known = out.get(row).map(String::as_str);
            record_one(tx, *row, *digest, outcome, known, &mut receipts, &mut recorded)?;
        }
        if delivered {
            set_meta(tx, NEWEST, &receipts.seq.to_string())?;
            set_meta(tx, LAST_DELIVERY, &at.to_string())?;
            sent::retain(tx, keep, at)?;
        }
        reached(FaultPoint::RecordWritten);
        Ok(recorded)
    })?;
    for (row, ..) in outcomes {
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
    /// Where the bytes of this request are.
    block: Option<i64>,
    spans: HashMap<RowId, Range<usize>>,
}

impl Receipts<'_> {
    /// Writes the receipt of a row that the server has.
    fn write(
        &mut self,
        tx: &Transaction<'_>,
        row: RowId,
        (key, digest): (&str, RowDigest),
        outcome: &'static str,
    ) -> Result<(), Abort> {
        self.seq += 1;
        let kind = row.kind.stored();
        let (place, hold, since) = binding_of(tx, row)?;
        let span = self.spans.get(&row);
        let block = span.and(self.block);
        let whole = |number: Option<usize>| number.and_then(|number| i64::try_from(number).ok()).unwrap_or(0);
        let (offset, length) = (whole(span.map(|span| span.start)), whole(span.map(Range::len)));
        tx.prepare_cached(
            "INSERT INTO receipts(kind, key, digest, server, at, outcome, seq, place, hold, since, block, offset,
                 length)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
             ON CONFLICT(kind, key, digest) DO UPDATE SET server = ?4, at = ?5, outcome = ?6, reason = '',
                 seq = ?7, place = ?8, hold = ?9, since = ?10, block = ?11, offset = ?12, length = ?13, again = 0
                 WHERE outcome = 'dropped' OR again = 1",
        )?
        .execute(params![
            kind,
            key,
            digest.0,
            self.server,
            self.at,
            outcome,
            self.seq,
            place,
            hold as i64,
            since,
            block,
            offset,
            length
        ])?;
        // The same fact under another digest: as it was stored before it was sent.
        tx.prepare_cached("UPDATE receipts SET again = 0 WHERE kind = ?1 AND key = ?2 AND again = 1")?
            .execute(params![kind, key])?;
        Ok(())
    }
}

fn record_one(
    tx: &Transaction<'_>,
    row: RowId,
    digest: RowDigest,
    outcome: &RowOutcome,
    known: Option<&str>,
    receipts: &mut Receipts<'_>,
    recorded: &mut RecordedRows,
) -> Result<(), Abort> {
    let table = row.kind.legacy_table();
    let sql = format!("SELECT {} FROM {} WHERE id = ?1", table.column_list(), table.name());
    let mut select = tx.prepare_cached(&sql)?;
    let mut rows = select.query([row.id])?;
    let stored = match rows.next()? {
        Some(stored) if content_digest(table, stored, 0)? == digest => Some(stored),
        _ => None,
    };
    let key = match (&stored, known) {
        (Some(stored), _) => Some(LegacyKey::of(table, row.id, stored, 0)?.key),
        (None, known) => known.map(str::to_owned),
    };
    if let (RowOutcome::Delivered | RowOutcome::Duplicate, Some(key)) = (outcome, &key) {
        let name = if *outcome == RowOutcome::Delivered { "delivered" } else { "duplicate" };
        receipts.write(tx, row, (key, digest), name)?;
    }
    let (Some(stored), Some(key)) = (stored, key) else {
        recorded.vanished += 1;
        return Ok(());
    };
    match outcome {
        RowOutcome::Delivered | RowOutcome::Duplicate => recorded.settled += 1,
        RowOutcome::Park { reason, detail } => {
            let (place, hold, _) = binding_of(tx, row)?;
            let parking = Parking { key: &key, digest, place, hold, reason, detail };
            park(tx, table, stored, 0, &parking)?;
            recorded.parked += 1;
        }
        RowOutcome::Retry { error, not_before } => {
            drop(rows);
            retry(tx, row, error, *not_before)?;
            recorded.retried += 1;
            return Ok(());
        }
    }
    drop(rows);
    tx.prepare_cached(&format!("DELETE FROM {} WHERE id = ?1", row.kind.table()))?.execute([row.id])?;
    Ok(())
}

/// Place and hold of a waiting row, and since when it waits.
fn binding_of(tx: &Transaction<'_>, row: RowId) -> Result<(i64, Hold, f64), Abort> {
    let binding = tx
        .prepare_cached("SELECT place, hold, at FROM bindings WHERE kind = ?1 AND row = ?2")?
        .query_row(params![row.kind.stored(), row.id], |binding| {
            Ok((binding.get(0)?, Hold::from_stored(binding.get(1)?), binding.get(2)?))
        })
        .optional()?;
    Ok(binding.unwrap_or((0, Hold::Sealed, 0.0)))
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
