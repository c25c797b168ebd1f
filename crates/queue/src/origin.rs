//! The `projects` table: every place that rows came from, learned when they are captured or found.
//! A place is never changed or deleted, because rows point to it for ever.

use crate::consent::Place;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::collections::HashMap;

/// Number of a place in this file.
pub(crate) type PlaceId = i64;

/// The number of `place`, which is stored if it is new. Inside a write transaction.
pub(crate) fn id_of(conn: &Connection, place: &Place) -> rusqlite::Result<PlaceId> {
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

/// Every place, by number.
pub(crate) fn read_all(conn: &Connection) -> rusqlite::Result<HashMap<PlaceId, Place>> {
    conn.prepare_cached("SELECT project_uuid, repo_slug, checkout, id FROM projects")?
        .query_map([], |row| Ok((row.get(3)?, of_row(row, 0)?)))?
        .collect()
}

/// The place in a row whose columns, from `first` on, are `project_uuid, repo_slug, checkout`.
pub(crate) fn of_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Place> {
    let text = |value: String| Some(value).filter(|text| !text.is_empty());
    let checkout: Vec<u8> = row.get(first + 2)?;
    Ok(Place {
        project_uuid: text(row.get(first)?),
        repo_slug: text(row.get(first + 1)?),
        checkout: (!checkout.is_empty()).then(|| system::file::path_from_bytes(checkout)),
    })
}
