//! Parked rows: put back into the queue, or dropped with a receipt that holds the reason.

use super::migrate::{RowOwner, owner_of};
use crate::capture::{
    Belongs, FilesElsewhere, WaitingOutcome, WriteEvidence, is_proven_row, make_waiting, parked_witness,
};
use crate::consent::Hold;
use crate::error::QueueError;
use crate::legacy::LegacyTable;
use crate::origin::OriginId;
use crate::parked::reason;
use crate::row::RowDigest;
use crate::row::{Kind, Witness};
use crate::store::{Abort, ScopedDb, now, now_seconds};
use crate::stored_event::StoredEvent;
use crate::waiting::Queueing;
use contract::event::kind::HISTORY_ADDED;
use rusqlite::types::{ToSqlOutput, Value as SqlValue, ValueRef};
use rusqlite::{OptionalExtension as _, Transaction, params, params_from_iter};
use serde::Serialize;
use serde_json::{Map, Value};

/// The result of a retry of parked rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unparked {
    /// Rows that wait again.
    pub restored: Vec<i64>,
    /// Rows that stay parked.
    pub kept: Vec<StillParked>,
}

/// A row that could not be put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StillParked {
    /// Its id.
    pub id: i64,
    /// Reason.
    pub why: String,
}

struct RowToRestore {
    id: i64,
    kind: i64,
    place: OriginId,
    key: String,
    digest: Vec<u8>,
    reason: String,
    head: Map<String, Value>,
    /// The payload, if it is text.
    payload: Option<String>,
}

impl RowToRestore {
    fn event_type(&self) -> Option<&str> {
        self.head.get("event_type")?.as_str()
    }
}

/// Puts parked rows back, each in a transaction of its own: a large body is in memory once. An
/// unknown id is refused before any row moves.
pub(super) fn retry(
    store: &mut ScopedDb,
    ids: &[i64],
    elsewhere: FilesElsewhere,
) -> Result<Unparked, QueueError> {
    let mut done = Unparked::default();
    let missing = store.read("read parked rows of", |tx| {
        let mut known = tx.prepare_cached("SELECT 1 FROM parked WHERE id = ?1")?;
        for id in ids {
            if !known.exists([id])? {
                return Ok(Some(*id));
            }
        }
        Ok(None)
    })?;
    if let Some(id) = missing {
        return Err(unknown(store, id));
    }
    let mut evidence = WriteEvidence::new(elsewhere);
    for id in ids {
        let row = store.read("read parked rows of", |tx| Ok(read(tx, *id)?))?;
        let Some(row) = row else {
            // Another process restored or dropped it meanwhile.
            done.kept.push(StillParked { id: *id, why: "it is no longer parked".to_owned() });
            continue;
        };
        let witness = parked_witness(&row.head).filter(|_| row.reason == reason::NOT_IN_LOG);
        let proven = match &witness {
            None => true,
            // Proven exactly when the row it was captured with is.
            Some(Witness::Row { kind, key }) => {
                store.read("read waiting rows of", |tx| is_proven_row(tx, *kind, key))?
            }
            // A note's event proves that the file was written, not its content. After it was parked, a file with
            // that content belongs to the repeated command, which captured its own note.
            Some(Witness::File { .. }) if row.event_type() == Some(HISTORY_ADDED) => false,
            Some(witness) => evidence.found(witness),
        };
        if !proven {
            done.kept.push(StillParked { id: *id, why: "its local write is still not there".to_owned() });
            continue;
        }
        if let Some(why) = owned_elsewhere(store, &row)? {
            done.kept.push(StillParked { id: *id, why });
            continue;
        }
        match store.write("put parked rows back in", |tx| restore(tx, &row))? {
            Ok(()) => done.restored.push(*id),
            Err(why) => done.kept.push(StillParked { id: *id, why }),
        }
    }
    Ok(done)
}

/// Reason why a row that is parked as `owner_unknown` may not wait here; nothing for any other.
fn owned_elsewhere(store: &ScopedDb, row: &RowToRestore) -> Result<Option<String>, QueueError> {
    let table = LegacyTable::ALL.into_iter().find(|table| table.kind() == row.kind);
    let (Some(table), Some(digest)) = (table, RowDigest::from_slice(&row.digest)) else { return Ok(None) };
    if row.reason != reason::OWNER_UNKNOWN {
        return Ok(None);
    }
    let owner = owner_of(store.path(), table, &row.key, digest);
    Ok(match owner.map_err(|abort| store.failed("look up a parked row of", abort))? {
        RowOwner::Unowned => None,
        RowOwner::Unreadable(path) => Some(format!("{} still cannot be read", contract::text::path(&path))),
        RowOwner::Other(path) => Some(format!(
            "{} imported or delivered this row, so it belongs to that account; remove it here with `spec-kitty sync parked drop {} --reason TEXT`",
            contract::text::path(&path),
            row.id
        )),
    })
}

fn read(tx: &Transaction<'_>, id: i64) -> rusqlite::Result<Option<RowToRestore>> {
    tx.prepare_cached("SELECT id, kind, place, reason, head, payload, key, digest FROM parked WHERE id = ?1")?
        .query_row([id], |row| {
            let head: String = row.get(4)?;
            let payload = match row.get_ref(5)? {
                ValueRef::Text(bytes) => String::from_utf8(bytes.to_vec()).ok(),
                _ => None,
            };
            Ok(RowToRestore {
                id: row.get(0)?,
                kind: row.get(1)?,
                place: row.get(2)?,
                key: row.get(6)?,
                digest: row.get(7)?,
                reason: row.get(3)?,
                head: serde_json::from_str(&head).unwrap_or_default(),
                payload,
            })
        })
        .optional()
}

/// Makes one row wait again, or returns why it cannot.
fn restore(tx: &Transaction<'_>, row: &RowToRestore) -> Result<Result<(), String>, Abort> {
    if row.kind == LegacyTable::FailureLog.kind() && row.reason == reason::OWNER_UNKNOWN {
        return restore_failure(tx, row);
    }
    if Kind::from_stored(row.kind).is_none() {
        return Ok(Err(format!(
            "failure-log rows are never sent; remove it with `spec-kitty sync parked drop {} --reason TEXT`",
            row.id
        )));
    }
    let Some(payload) = &row.payload else { return Ok(Err("its payload is not text".to_owned())) };
    if row.kind == Kind::Event.stored()
        && let Err(why) = StoredEvent::read(payload.as_bytes())
    {
        return Ok(Err(format!("its data is not a valid event: {why}")));
    }
    let hold = row.head.get("hold").and_then(Value::as_i64).map_or(Hold::Sealed, Hold::from_stored);
    let mut queueing = Queueing::new(tx)?;
    let belongs = Belongs { origin: row.place, hold, captured_at: now() };
    match make_waiting(tx, &mut queueing, row.kind, belongs, &row.head, payload)? {
        WaitingOutcome::Known => Ok(Err("a row of its key waits already".to_owned())),
        WaitingOutcome::Unfit => Ok(Err("its columns do not make a row that can wait".to_owned())),
        WaitingOutcome::Event | WaitingOutcome::Coalesced | WaitingOutcome::Body => {
            tx.prepare_cached("DELETE FROM parked WHERE id = ?1")?.execute([row.id])?;
            Ok(Ok(()))
        }
    }
}

/// Puts a failure-log row into its table.
fn restore_failure(tx: &Transaction<'_>, row: &RowToRestore) -> Result<Result<(), String>, Abort> {
    let table = LegacyTable::FailureLog;
    let values = table.columns().iter().map(|(column, _)| match row.head.get(*column) {
        Some(Value::String(text)) => ToSqlOutput::Owned(SqlValue::Text(text.clone())),
        Some(Value::Number(number)) if number.is_i64() => {
            ToSqlOutput::Owned(SqlValue::Integer(number.as_i64().unwrap_or_default()))
        }
        Some(Value::Number(number)) => {
            ToSqlOutput::Owned(SqlValue::Real(number.as_f64().unwrap_or_default()))
        }
        _ => ToSqlOutput::Owned(SqlValue::Null),
    });
    let marks = vec!["?"; table.columns().len()].join(", ");
    let sql = format!("INSERT OR IGNORE INTO {}({}) VALUES ({marks})", table.name(), table.column_list());
    if tx.prepare_cached(&sql)?.execute(params_from_iter(values))? == 0 {
        return Ok(Err("a row of its key is there already, or its columns do not fit the table".to_owned()));
    }
    tx.prepare_cached("DELETE FROM parked WHERE id = ?1")?.execute([row.id])?;
    Ok(Ok(()))
}

/// Drops parked rows, leaving a receipt of the drop. All of them or none.
pub(super) fn drop_rows(store: &mut ScopedDb, ids: &[i64], why: &str) -> Result<u64, QueueError> {
    if contract::scope::trim(why).is_empty() {
        return Err(QueueError::BadRow { key: "reason".to_owned(), why: "is empty".to_owned() });
    }
    let path = store.path().to_owned();
    store.write("drop parked rows of", |tx| {
        for id in ids {
            tx.prepare_cached(
                "INSERT INTO receipts(kind, key, digest, server, at, outcome, reason)
                 SELECT kind, key, digest, '', ?2, 'dropped', ?3 FROM parked WHERE id = ?1
                 ON CONFLICT(kind, key, digest) DO UPDATE
                     SET server = '', at = ?2, outcome = 'dropped', reason = ?3, again = 0 WHERE again = 1",
            )?
            .execute(params![id, now_seconds(), why])?;
            if tx.prepare_cached("DELETE FROM parked WHERE id = ?1")?.execute([id])? == 0 {
                let path = path.clone();
                return Err(QueueError::Unknown { path, what: "parked row", id: id.to_string() }.into());
            }
        }
        Ok(ids.len() as u64)
    })
}

fn unknown(store: &ScopedDb, id: i64) -> QueueError {
    QueueError::Unknown { path: store.path().to_owned(), what: "parked row", id: id.to_string() }
}
