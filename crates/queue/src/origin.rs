//! The `projects` table: every origin of rows, stored when the first of them is captured or found.
//! An origin is never changed or deleted, because rows point to it for ever.

use crate::consent::RowOrigin;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::collections::HashMap;

/// Number of an origin in this file.
pub(crate) type OriginId = i64;

/// The number of `place`, which is stored if it is new. Inside a write transaction.
pub(crate) fn id_of(conn: &Connection, place: &RowOrigin) -> rusqlite::Result<OriginId> {
    let uuid = place.project_uuid.as_deref().unwrap_or_default();
    let slug = place.repo_slug.as_deref().unwrap_or_default();
    let checkout = place.checkout().map(system::file::path_bytes).unwrap_or_default();
    let known = conn
        .prepare_cached(
            "SELECT id FROM projects WHERE project_uuid = ?1 AND repo_slug = ?2 AND checkout = ?3",
        )?
        .query_row(params![uuid, slug, checkout], |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    conn.prepare_cached("INSERT INTO projects(project_uuid, repo_slug, checkout) VALUES (?1, ?2, ?3)")?
        .insert(params![uuid, slug, checkout])
}

/// Every origin, by number.
pub(crate) fn read_all(conn: &Connection) -> rusqlite::Result<HashMap<OriginId, RowOrigin>> {
    conn.prepare_cached("SELECT project_uuid, repo_slug, checkout, id FROM projects")?
        .query_map([], |row| Ok((row.get(3)?, of_row(row, 0)?)))?
        .collect()
}

/// The origin in a row whose columns, from `first` on, are `project_uuid, repo_slug, checkout`.
pub(crate) fn of_row(row: &Row<'_>, first: usize) -> rusqlite::Result<RowOrigin> {
    let text = |value: String| Some(value).filter(|text| !text.is_empty());
    let checkout: Vec<u8> = row.get(first + 2)?;
    Ok(RowOrigin {
        project_uuid: text(row.get(first)?),
        repo_slug: text(row.get(first + 1)?),
        checkout: (!checkout.is_empty()).then(|| system::file::path_from_bytes(checkout)),
    })
}
