//! Streams of waiting rows: the rows of one kind and project that may leave, oldest first.
//!
//! A project has one stream for each origin and hold that consent allows to leave. Each stream is a range of the
//! `bindings_order` index, so nothing is sorted and nothing is scanned.

use super::{RowId, SkipSet};
use crate::consent::{ConsentView, Hold, Place};
use crate::origin::{self, PlaceId};
use crate::row::Kind;
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::BTreeMap;

/// One place and hold with rows that wait.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    place_id: PlaceId,
    hold: i64,
    place: Place,
}

/// The streams of one project that may leave.
#[derive(Clone, Debug)]
pub(crate) struct ProjectStreams {
    pub(crate) project_uuid: Option<String>,
    streams: Vec<OpenStream>,
}

/// A stream that may leave, from an instant on.
#[derive(Clone, Copy, Debug)]
struct OpenStream {
    place: PlaceId,
    hold: i64,
    /// Unix seconds; older rows stay held.
    from: f64,
}

/// Every stream of a kind that is not empty.
pub(crate) fn streams(conn: &Connection, kind: Kind) -> rusqlite::Result<Vec<Stream>> {
    let places = origin::read_all(conn)?;
    conn.prepare_cached("SELECT place, hold FROM tallies WHERE kind = ?1 AND waiting > 0")?
        .query_map([kind.stored()], |row| {
            let place_id: PlaceId = row.get(0)?;
            let place = places.get(&place_id).cloned().unwrap_or_default();
            Ok(Stream { place_id, hold: row.get(1)?, place })
        })?
        .collect()
}

/// The streams that consent and the drain leave open, by project. Calls the caller's code, so no
/// transaction may be open.
pub(crate) fn open_streams(
    streams: Vec<Stream>,
    consent: &dyn ConsentView,
    skip: &SkipSet,
) -> Vec<ProjectStreams> {
    let mut projects: BTreeMap<Option<String>, Vec<OpenStream>> = BTreeMap::new();
    for Stream { place_id, hold, place } in streams {
        if let Ok(from) = Hold::from_stored(hold).leaves_from(consent.consent(&place))
            && !skip.has_project(&place.project_uuid)
        {
            projects.entry(place.project_uuid).or_default().push(OpenStream { place: place_id, hold, from });
        }
    }
    projects.into_iter().map(|(project_uuid, streams)| ProjectStreams { project_uuid, streams }).collect()
}

impl ProjectStreams {
    /// When the oldest row began to wait; nothing when none waits.
    pub(crate) fn oldest(&self, conn: &Connection, kind: Kind) -> rusqlite::Result<Option<(f64, i64)>> {
        let mut oldest = None;
        for OpenStream { place, hold, from } in &self.streams {
            let first: Option<(f64, i64)> = conn
                .prepare_cached(
                    "SELECT at, row FROM bindings WHERE kind = ?1 AND place = ?2 AND hold = ?3 AND at >= ?4
                     ORDER BY at, row LIMIT 1",
                )?
                .query_row(params![kind.stored(), place, hold, from], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            oldest = match (oldest, first) {
                (Some(known), Some(found)) if before(&found, &known) => Some(found),
                (None, found) => found,
                (known, _) => known,
            };
        }
        Ok(oldest)
    }

    /// The first `limit` rows, oldest first, without those that `passed` names.
    pub(crate) fn first_rows(
        &self,
        conn: &Connection,
        kind: Kind,
        limit: usize,
        passed: &dyn Fn(RowId) -> bool,
    ) -> rusqlite::Result<Vec<i64>> {
        let mut candidates: Vec<(f64, i64)> = Vec::new();
        for OpenStream { place, hold, from } in &self.streams {
            let mut select = conn.prepare_cached(
                "SELECT at, row FROM bindings WHERE kind = ?1 AND place = ?2 AND hold = ?3 AND at >= ?4
                 ORDER BY at, row",
            )?;
            let mut rows = select.query(params![kind.stored(), place, hold, from])?;
            let mut taken = 0;
            while let Some(row) = rows.next()?.filter(|_| taken < limit) {
                let id: i64 = row.get(1)?;
                if !passed(RowId { kind, id }) {
                    candidates.push((row.get(0)?, id));
                    taken += 1;
                }
            }
        }
        candidates.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        candidates.truncate(limit);
        Ok(candidates.into_iter().map(|(_, id)| id).collect())
    }
}

pub(crate) fn before(a: &(f64, i64), b: &(f64, i64)) -> bool {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).is_lt()
}
