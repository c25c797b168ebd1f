//! Settling: a row of an interrupted capture waits if its witness is found, and is parked otherwise.

use super::prepared::{PreparedRow, confirm_row};
use super::witness::{FilesElsewhere, WriteEvidence};
use super::{Captured, Settled};
use crate::consent::Hold;
use crate::error::QueueError;
use crate::fault_point::{FaultPoint, reached};
use crate::parked::{Parking, park_values, reason};
use crate::row::{Kind, RowDigest, Witness};
use crate::store::{Abort, ScopedDb};
use crate::waiting::{self, Queueing};
use rusqlite::{Connection, Transaction, params};
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;

/// A prepared row of an interrupted capture, with its witness.
struct Leftover {
    id: i64,
    kind: i64,
    key: String,
    witness: Option<Witness>,
}

/// Settles the leftovers of one mission in one checkout. Logs and files are read before the write lock is
/// taken; the caller holds the mission's lock, so no row of them can appear meanwhile. A clone of the
/// repository has its own lock, and perhaps a running command: its rows are not settled.
pub(crate) fn settle(
    store: &mut ScopedDb,
    mission_slug: &str,
    checkout: Option<&Path>,
    elsewhere: FilesElsewhere,
) -> Result<Settled, QueueError> {
    let leftovers =
        store.read("read prepared rows of", |tx| Ok(read_leftovers(tx, mission_slug, checkout)?))?;
    if leftovers.is_empty() {
        return Ok(Settled::default());
    }
    let proven = read_proven(&leftovers, elsewhere);
    store.write("settle prepared rows in", |tx| {
        let mut settled = Settled::default();
        for (leftover, proven) in leftovers.iter().zip(proven) {
            settle_one(tx, leftover, proven, &mut settled)?;
        }
        reached(FaultPoint::SettleWritten);
        Ok(settled)
    })
}

fn read_leftovers(
    conn: &Connection,
    mission_slug: &str,
    checkout: Option<&Path>,
) -> rusqlite::Result<Vec<Leftover>> {
    let checkout = checkout.map(system::file::path_bytes).unwrap_or_default();
    conn.prepare_cached(
        "SELECT r.id, r.kind, r.key, r.witness, r.witness_path, r.witness_value
         FROM prepared AS r JOIN projects AS p ON p.id = r.place
         WHERE r.mission_slug = ?1 AND p.checkout = ?2 ORDER BY r.id",
    )?
    .query_map(params![mission_slug, checkout], |row| {
        Ok(Leftover {
            id: row.get(0)?,
            kind: row.get(1)?,
            key: row.get(2)?,
            witness: Witness::from_stored((row.get(3)?, row.get(4)?, row.get(5)?)),
        })
    })?
    .collect()
}

/// Marks the leftovers that are proven. A row whose witness is another row follows it, at most once around.
fn read_proven(leftovers: &[Leftover], elsewhere: FilesElsewhere) -> Vec<bool> {
    let mut evidence = WriteEvidence::new(elsewhere);
    let direct: Vec<bool> = leftovers
        .iter()
        .map(|leftover| leftover.witness.as_ref().is_some_and(|witness| evidence.found(witness)))
        .collect();
    let by_key: HashMap<(i64, &str), usize> =
        leftovers.iter().enumerate().map(|(at, row)| ((row.kind, row.key.as_str()), at)).collect();
    (0..leftovers.len())
        .map(|start| {
            let mut at = start;
            for _ in 0..leftovers.len() {
                let Some(Witness::Row { kind, key }) = &leftovers[at].witness else { break };
                match by_key.get(&(kind.stored(), key.as_str())) {
                    Some(next) => at = *next,
                    None => break,
                }
            }
            direct[at]
        })
        .collect()
}

fn settle_one(
    tx: &Transaction<'_>,
    leftover: &Leftover,
    proven: bool,
    settled: &mut Settled,
) -> Result<(), Abort> {
    let row = PreparedRow::read(tx, leftover.id)?;
    // A row witness that is not a leftover waits already or was delivered; then this row is proven, too.
    let proven = proven
        || match &leftover.witness {
            Some(Witness::Row { kind, key }) => is_proven_row(tx, *kind, key)?,
            _ => false,
        };
    if proven {
        confirm_row(tx, &mut Queueing::new(tx)?, &row, &mut Captured::default())?;
        settled.confirmed += 1;
        return Ok(());
    }
    let mut head = row.head.clone();
    if let Some(witness) = &leftover.witness {
        let (form, path, value) = witness.to_stored();
        let path = data_encoding::HEXLOWER.encode(&path);
        head.insert("witness".to_owned(), json!([form, path, value]));
    }
    let content = match Kind::from_stored(row.kind) {
        Some(Kind::Event) => head.get("event_type"),
        _ => head.get("hash_algorithm"),
    };
    let first = content.and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    let parking = Parking {
        key: &row.key,
        digest: RowDigest::of([first.as_bytes(), row.payload.as_bytes()]),
        place: row.place,
        hold: Hold::Free,
        reason: reason::NOT_IN_LOG,
        detail: &describe(leftover.witness.as_ref()),
    };
    park_values(tx, row.kind, &parking, head, &row.payload)?;
    tx.prepare_cached("DELETE FROM prepared WHERE id = ?1")?.execute([row.id])?;
    settled.parked += 1;
    Ok(())
}

/// Whether a row was proven before: it waits, or was delivered.
pub(crate) fn is_proven_row(tx: &Transaction<'_>, kind: Kind, key: &str) -> Result<bool, Abort> {
    let waits = match kind {
        Kind::Event => tx.prepare_cached("SELECT 1 FROM queue WHERE event_id = ?1")?.exists([key])?,
        Kind::Body => match serde_json::from_str::<[String; 7]>(key) {
            Ok(columns) => waiting::find_body(tx, columns.each_ref().map(String::as_str))?.is_some(),
            Err(_) => false,
        },
    };
    let delivered = tx
        .prepare_cached("SELECT 1 FROM receipts WHERE kind = ?1 AND key = ?2 AND outcome <> 'dropped'")?
        .exists(rusqlite::params![kind.stored(), key])?;
    Ok(waits || delivered)
}

/// The description of a missing witness.
fn describe(witness: Option<&Witness>) -> String {
    match witness {
        Some(Witness::LogRow { log, event_id }) => {
            format!("no row `{event_id}` in {}", contract::text::path(log))
        }
        Some(Witness::File { path, .. }) => {
            format!("{} does not have the captured content", contract::text::path(path))
        }
        Some(Witness::Row { kind, key }) => format!("the {kind} `{key}` it was captured with is not proven"),
        None => "its witness has an unknown form".to_owned(),
    }
}

/// The witness in a parked row's columns, for a retry.
pub(crate) fn parked_witness(head: &serde_json::Map<String, serde_json::Value>) -> Option<Witness> {
    let stored = head.get("witness")?.as_array()?;
    let text = |at: usize| stored.get(at).and_then(|value| value.as_str());
    let path = data_encoding::HEXLOWER.decode(text(1)?.as_bytes()).ok()?;
    Witness::from_stored((text(0)?.to_owned(), path, text(2)?.to_owned()))
}
