//! Parked rows: refused for good, or unfit for their table, with payload, reason and columns. Only `retry`
//! and `drop` remove them.

use crate::consent::Hold;
use crate::legacy::LegacyTable;
use crate::origin::OriginId;
use crate::row::RowDigest;
use crate::store::{Abort, now_seconds};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, params};
use serde_json::{Map, Value, json};

/// Reasons of parking that this crate decides. Delivery adds those of the server.
pub mod reason {
    /// The local write behind a prepared row was not found.
    pub(crate) const NOT_IN_LOG: &str = "not_in_log";
    /// The row cannot enter its table: not JSON, no key, a constraint.
    pub const UNREADABLE_ROW: &str = "unreadable_row";
    /// A queue DB of this home that may own the row cannot be read.
    pub(crate) const OWNER_UNKNOWN: &str = "owner_unknown";
    /// A row of the same key with other content was there first.
    pub const CONFLICT: &str = "conflict";
}

/// Columns stored beside the row itself.
pub(crate) struct Parking<'a> {
    pub(crate) key: &'a str,
    pub(crate) digest: RowDigest,
    pub(crate) place: OriginId,
    pub(crate) hold: Hold,
    pub(crate) reason: &'a str,
    pub(crate) detail: &'a str,
}

/// Parks a stored row: `row` holds, from `first` on, the columns of `table` in their order. Every value
/// is kept as it is, whatever its type: the payload as a column, the others as JSON. The row itself is
/// the caller's to delete.
pub(crate) fn park(
    conn: &Connection,
    table: LegacyTable,
    row: &Row<'_>,
    first: usize,
    parking: &Parking<'_>,
) -> Result<(), Abort> {
    let mut head = Map::new();
    let mut payload = ValueRef::Null;
    for (offset, (column, _)) in table.columns().iter().enumerate() {
        let value = row.get_ref(first + offset)?;
        if Some(*column) == table.payload_column() {
            payload = value;
        } else {
            head.insert((*column).to_owned(), raw_value(value));
        }
    }
    Ok(insert(conn, table.kind(), parking, head, payload)?)
}

/// Parks a row from its columns.
pub(crate) fn park_values(
    conn: &Connection,
    kind: i64,
    parking: &Parking<'_>,
    head: Map<String, Value>,
    payload: &str,
) -> rusqlite::Result<()> {
    insert(conn, kind, parking, head, ValueRef::Text(payload.as_bytes()))
}

fn insert(
    conn: &Connection,
    kind: i64,
    parking: &Parking<'_>,
    mut head: Map<String, Value>,
    payload: ValueRef<'_>,
) -> rusqlite::Result<()> {
    head.insert("hold".to_owned(), json!(parking.hold as i64));
    conn.prepare_cached(
        "INSERT INTO parked(kind, key, digest, place, reason, detail, parked_at, head, payload)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        kind,
        parking.key,
        parking.digest.0,
        parking.place,
        parking.reason,
        parking.detail,
        now_seconds(),
        Value::Object(head).to_string(),
        ToSqlOutput::Borrowed(payload),
    ])?;
    Ok(())
}

/// A column as JSON that can be turned back: bytes that JSON cannot carry are hex.
pub(crate) fn raw_value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => json!(number),
        ValueRef::Real(number) => json!(number),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => json!(text),
            Err(_) => json!({ "text_hex": data_encoding::HEXLOWER.encode(bytes) }),
        },
        ValueRef::Blob(bytes) => json!({ "hex": data_encoding::HEXLOWER.encode(bytes) }),
    }
}
