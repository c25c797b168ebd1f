//! Foreign rows: rows of a scoped queue DB that another program wrote. They belong to the project that they
//! name and are bound before they may leave.

use crate::consent::{Hold, RowOrigin};
use crate::error::QueueError;
use crate::legacy::{LegacyKey, LegacyTable, text_of};
use crate::origin;
use crate::parked::{Parking, park, raw_value, reason};
use crate::row::{Kind, RowDigest};
use crate::store::{Abort, ScopedDb};
use crate::stored_event::StoredEvent;
use crate::waiting::{self, Binding};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Transaction};

/// A row that another program wrote, as far as counting needs it.
pub(crate) struct ForeignRow {
    pub(crate) kind: Kind,
    pub(crate) place: RowOrigin,
    pub(crate) hold: Hold,
    /// Since when it waits; not read for bodies, whose column lies behind their content.
    pub(crate) at: Option<f64>,
}

/// The origin and hold of an event that another program wrote.
pub(crate) fn belonging(envelope: &StoredEvent<'_>) -> (RowOrigin, Hold) {
    let place =
        RowOrigin { project_uuid: envelope.project_uuid(), repo_slug: envelope.repo_slug(), checkout: None };
    (place, Hold::of_foreign(envelope.drain_blocked_reason().as_deref()))
}

/// The place of a body that another program wrote.
pub(crate) fn belonging_of_body(project_uuid: &str) -> RowOrigin {
    let uuid = contract::scope::trim(project_uuid).to_lowercase();
    RowOrigin { project_uuid: Some(uuid).filter(|uuid| !uuid.is_empty()), ..RowOrigin::default() }
}

/// Visits every unbound row; `bindings` is whether the file has our tables.
pub(crate) fn look(
    conn: &Connection,
    bindings: bool,
    visit: &mut dyn FnMut(ForeignRow),
) -> Result<(), Abort> {
    let unbound = |kind: Kind| match bindings {
        true => format!(
            "WHERE NOT EXISTS (SELECT 1 FROM bindings WHERE kind = {} AND row = {}.rowid)",
            kind.stored(),
            kind.table()
        ),
        false => String::new(),
    };
    if conn.table_exists(None, Kind::Event.table())? {
        let mut select =
            conn.prepare(&format!("SELECT data, timestamp FROM queue {}", unbound(Kind::Event)))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let facts = bytes_of(row.get_ref(0)?).and_then(|data| StoredEvent::read(data).ok());
            let (place, hold) = belonging(&facts.unwrap_or_default());
            visit(ForeignRow { kind: Kind::Event, place, hold, at: Some(number_of(row.get_ref(1)?)) });
        }
    }
    if conn.table_exists(None, Kind::Body.table())? {
        let sql = format!("SELECT project_uuid FROM body_upload_queue {}", unbound(Kind::Body));
        let mut select = conn.prepare(&sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let place = belonging_of_body(text_of(row.get_ref(0)?).unwrap_or_default());
            visit(ForeignRow { kind: Kind::Body, place, hold: Hold::Foreign, at: None });
        }
    }
    Ok(())
}

/// Most rows that one transaction binds.
const CHUNK: i64 = 2_000;

/// Binds every unbound row; one that cannot be sent, ever, is parked as unreadable.
pub(crate) fn bind_all(store: &mut ScopedDb) -> Result<(), QueueError> {
    for kind in Kind::ALL {
        let mut after = if has_unbound(store, kind)? { Some(i64::MIN) } else { None };
        while let Some(from) = after {
            after = store.write("bind foreign rows in", |tx| bind_chunk(tx, kind, from))?;
        }
    }
    Ok(())
}

/// The tallies count the bound rows, so two cheap counts are compared.
fn has_unbound(store: &mut ScopedDb, kind: Kind) -> Result<bool, QueueError> {
    store.read("count", |tx| {
        let all: i64 =
            tx.query_row(&format!("SELECT COUNT(*) FROM {}", kind.table()), [], |row| row.get(0))?;
        let bound: i64 = tx.query_row(
            "SELECT COALESCE(SUM(waiting), 0) FROM tallies WHERE kind = ?1",
            [kind.stored()],
            |row| row.get(0),
        )?;
        Ok(all != bound)
    })
}

/// Binds one chunk of rows behind `after`; the last row looked at, or nothing when all were.
fn bind_chunk(tx: &Transaction<'_>, kind: Kind, after: i64) -> Result<Option<i64>, Abort> {
    let ids: Vec<i64> = tx
        .prepare_cached(&format!(
            "SELECT id FROM {} AS r WHERE id > ?1
             AND NOT EXISTS (SELECT 1 FROM bindings WHERE kind = {} AND row = r.id) ORDER BY id LIMIT ?2",
            kind.table(),
            kind.stored()
        ))?
        .query_map([after, CHUNK], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in &ids {
        bind_foreign(tx, kind, *id)?;
    }
    Ok(ids.last().copied().filter(|_| ids.len() as i64 == CHUNK))
}

/// Binds the row `id` by its present content, or parks it.
pub(crate) fn bind_foreign(tx: &Transaction<'_>, kind: Kind, id: i64) -> Result<(), Abort> {
    let table = kind.legacy_table();
    let sql = format!("SELECT {} FROM {} WHERE id = ?1", table.column_list(), table.name());
    let mut select = tx.prepare_cached(&sql)?;
    let mut rows = select.query([id])?;
    let Some(row) = rows.next()? else { return Ok(()) };
    let key = LegacyKey::of(table, id, row, 0)?;
    let digest = content_digest(table, row, 0)?;
    match examine(table, &key, row, 0)? {
        Ok((place, hold)) => {
            let at = number_of(row.get_ref(time_column(kind))?);
            let place = origin::id_of(tx, &place)?;
            waiting::bind(tx, kind, id, at, Binding { place, hold, digest, captured_at: None })?;
            Ok(())
        }
        Err(why) => {
            let place = origin::id_of(tx, &RowOrigin::default())?;
            let parking = Parking {
                key: &key.key,
                digest,
                place,
                hold: Hold::Foreign,
                reason: reason::UNREADABLE_ROW,
                detail: &why,
            };
            park(tx, table, row, 0, &parking)?;
            drop(rows);
            tx.prepare_cached(&format!("DELETE FROM {} WHERE id = ?1", table.name()))?.execute([id])?;
            Ok(())
        }
    }
}

/// The index in [`LegacyTable::columns`] of the time since when a row waits.
pub(crate) fn time_column(kind: Kind) -> usize {
    match kind {
        Kind::Event => 3,
        Kind::Body => 12,
    }
}

/// Origin and hold of a row that another program wrote, or why the row cannot be sent. `row` holds
/// the columns of `table` from `first` on.
pub(crate) fn examine(
    table: LegacyTable,
    key: &LegacyKey,
    row: &Row<'_>,
    first: usize,
) -> Result<Result<(RowOrigin, Hold), String>, Abort> {
    let column = |offset: usize| row.get_ref(first + offset);
    if !key.is_natural(table) {
        return Ok(Err("a key column is missing or not text".to_owned()));
    }
    Ok(match table {
        LegacyTable::Events => {
            let whole = matches!(column(3)?, ValueRef::Integer(_) | ValueRef::Real(_));
            match (text_of(column(1)?), bytes_of(column(2)?)) {
                (None, _) => Err("`event_type` is not text".to_owned()),
                (_, None) => Err("`data` is not text".to_owned()),
                _ if !whole => Err("`timestamp` is not a number".to_owned()),
                (Some(_), Some(data)) => StoredEvent::read(data)
                    .map(|facts| belonging(&facts))
                    .map_err(|why| format!("`data` is not a valid event: {why}")),
            }
        }
        LegacyTable::Bodies => match (text_of(column(7)?), text_of(column(8)?)) {
            (Some(_), Some(_)) => {
                Ok((belonging_of_body(text_of(column(0)?).unwrap_or_default()), Hold::Foreign))
            }
            _ => Err("`hash_algorithm` or `content_body` is not text".to_owned()),
        },
        LegacyTable::FailureLog => {
            Ok((belonging_of_body(text_of(column(0)?).unwrap_or_default()), Hold::Foreign))
        }
    })
}

/// The digest of a stored row's content, without retry counts and times.
pub(crate) fn content_digest(table: LegacyTable, row: &Row<'_>, first: usize) -> Result<RowDigest, Abort> {
    let bytes = |offset: usize| Ok::<_, rusqlite::Error>(raw_bytes(row.get_ref(first + offset)?));
    Ok(match table {
        LegacyTable::Events => RowDigest::of([bytes(1)?, bytes(2)?]),
        LegacyTable::Bodies => RowDigest::of([bytes(7)?, bytes(8)?]),
        LegacyTable::FailureLog => {
            let shown = (8..13)
                .map(|offset| Ok(raw_value(row.get_ref(first + offset)?).to_string()))
                .collect::<Result<Vec<_>, rusqlite::Error>>()?;
            RowDigest::of([shown.join(" ").as_bytes()])
        }
    })
}

/// Text, or bytes that may be text.
pub(crate) fn bytes_of(value: ValueRef<'_>) -> Option<&[u8]> {
    match value {
        ValueRef::Text(bytes) => Some(bytes),
        _ => None,
    }
}

/// The bytes of any value; numbers and nulls have none.
pub(crate) fn raw_bytes(value: ValueRef<'_>) -> &[u8] {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
        _ => &[],
    }
}

/// A time column, which SQLite lets hold anything.
pub(crate) fn number_of(value: ValueRef<'_>) -> f64 {
    match value {
        ValueRef::Integer(number) => number as f64,
        ValueRef::Real(number) => number,
        _ => 0.0,
    }
}
