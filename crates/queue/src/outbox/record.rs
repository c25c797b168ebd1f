//! Recording: what became of the rows that were handed out, in one transaction.

use super::{Outbox, Outcome, Recorded, RowId};
use crate::consent::Hold;
use crate::error::QueueError;
use crate::fault_point::{FaultPoint, reached};
use crate::found::content_digest;
use crate::legacy::LegacyKey;
use crate::observe::LAST_DELIVERY;
use crate::parked::{Parking, park};
use crate::row::{Kind, RowDigest};
use crate::store::{Abort, now_seconds, set_meta};
use rusqlite::{OptionalExtension as _, Transaction, params};

/// Records `outcomes`, each for a row and the digest it was sent with.
pub(super) fn record(
    outbox: &mut Outbox,
    outcomes: &[(RowId, RowDigest, Outcome)],
) -> Result<Recorded, QueueError> {
    let Outbox { store, server_url, out, .. } = outbox;
    let recorded = store.write("record outcomes in", |tx| {
        let mut recorded = Recorded::default();
        let at = now_seconds();
        let mut delivered = false;
        for (row, digest, outcome) in outcomes {
            delivered |= matches!(outcome, Outcome::Delivered | Outcome::Duplicate);
            let known = out.get(row).map(String::as_str);
            record_one(tx, *row, *digest, outcome, Receipt { server: server_url, at, known }, &mut recorded)?;
        }
        if delivered {
            set_meta(tx, LAST_DELIVERY, &at.to_string())?;
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

/// What a receipt says beside the row.
struct Receipt<'a> {
    server: &'a str,
    at: i64,
    /// The key under which the row was handed out.
    known: Option<&'a str>,
}

fn record_one(
    tx: &Transaction<'_>,
    row: RowId,
    digest: RowDigest,
    outcome: &Outcome,
    receipt: Receipt<'_>,
    recorded: &mut Recorded,
) -> Result<(), Abort> {
    let table = row.kind.legacy_table();
    let sql = format!("SELECT {} FROM {} WHERE id = ?1", table.column_list(), table.name());
    let mut select = tx.prepare_cached(&sql)?;
    let mut rows = select.query([row.id])?;
    let stored = match rows.next()? {
        Some(stored) if content_digest(table, stored, 0)? == digest => Some(stored),
        _ => None,
    };
    let key = match (&stored, receipt.known) {
        (Some(stored), _) => Some(LegacyKey::of(table, row.id, stored, 0)?.key),
        (None, known) => known.map(str::to_owned),
    };
    if let (Outcome::Delivered | Outcome::Duplicate, Some(key)) = (outcome, &key) {
        let name = if *outcome == Outcome::Delivered { "delivered" } else { "duplicate" };
        tx.prepare_cached(
            "INSERT INTO receipts(kind, key, digest, server, at, outcome) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT(kind, key, digest) DO UPDATE SET server = ?4, at = ?5, outcome = ?6, reason = ''
                 WHERE outcome = 'dropped'",
        )?
        .execute(params![row.kind.stored(), key, digest.0, receipt.server, receipt.at, name])?;
    }
    let (Some(stored), Some(key)) = (stored, key) else {
        recorded.vanished += 1;
        return Ok(());
    };
    match outcome {
        Outcome::Delivered | Outcome::Duplicate => recorded.settled += 1,
        Outcome::Park { reason, detail } => {
            let (place, hold) = bond_of(tx, row)?;
            let parking = Parking { key: &key, digest, place, hold, reason, detail };
            park(tx, table, stored, 0, &parking)?;
            recorded.parked += 1;
        }
        Outcome::Retry { error, not_before } => {
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

/// Place and hold of a waiting row.
fn bond_of(tx: &Transaction<'_>, row: RowId) -> Result<(i64, Hold), Abort> {
    let bond = tx
        .prepare_cached("SELECT place, hold FROM bindings WHERE kind = ?1 AND row = ?2")?
        .query_row(params![row.kind.stored(), row.id], |bond| {
            Ok((bond.get(0)?, Hold::from_stored(bond.get(1)?)))
        })
        .optional()?;
    Ok(bond.unwrap_or((0, Hold::Sealed)))
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
