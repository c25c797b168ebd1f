//! Streams of waiting rows: the rows of one kind and project that may leave, oldest first.
//!
//! A project has one stream for each origin and hold that consent allows to leave. Each stream is a range of the
//! `bindings_order` index, so nothing is sorted and nothing is scanned.

use super::RowId;
use crate::consent::{ConsentView, Hold, RowOrigin};
use crate::origin::{self, OriginId};
use crate::row::Kind;
use crate::store::data_version;
use rusqlite::{Connection, OptionalExtension as _, params};
use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};

/// One place and hold with rows that wait.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    place_id: OriginId,
    hold: i64,
    place: RowOrigin,
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
    place: OriginId,
    hold: i64,
    /// Unix seconds; older rows stay held.
    from: f64,
}

/// Every stream of a kind that is not empty.
pub(crate) fn streams(conn: &Connection, kind: Kind) -> rusqlite::Result<Vec<Stream>> {
    conn.prepare_cached(
        "SELECT COALESCE(p.project_uuid, ''), COALESCE(p.repo_slug, ''), COALESCE(p.checkout, x''), t.place, t.hold
         FROM tallies AS t LEFT JOIN projects AS p ON p.id = t.place WHERE t.kind = ?1 AND t.waiting > 0",
    )?
    .query_map([kind.stored()], |row| {
        Ok(Stream { place_id: row.get(3)?, hold: row.get(4)?, place: origin::of_row(row, 0)? })
    })?
    .collect()
}

/// The streams that consent leaves open, by project. Calls the caller's code, so no transaction may be open.
pub(crate) fn open_streams(streams: Vec<Stream>, consent: &dyn ConsentView) -> Vec<ProjectStreams> {
    let mut projects: BTreeMap<Option<String>, Vec<OpenStream>> = BTreeMap::new();
    for Stream { place_id, hold, place } in streams {
        if let Ok(from) = Hold::from_stored(hold).leaves_from(consent.consent(&place)) {
            projects.entry(place.project_uuid).or_default().push(OpenStream { place: place_id, hold, from });
        }
    }
    projects.into_iter().map(|(project_uuid, streams)| ProjectStreams { project_uuid, streams }).collect()
}

/// The projects of one kind that may leave, oldest row first.
///
/// Kept from batch to batch while no other process changed the file and no decision changed. Rows only leave
/// meanwhile, so a remembered age is never too young: the first project is looked at again before it is used.
#[derive(Debug)]
pub(super) struct SendingOrder {
    /// The state of the file that it was read from.
    pub(super) file: i64,
    /// The consent version under which the order was read.
    pub(super) consent: Option<u64>,
    projects: VecDeque<((f64, i64), ProjectStreams)>,
}

impl SendingOrder {
    pub(super) fn read(
        conn: &Connection,
        kind: Kind,
        open: Vec<ProjectStreams>,
        consent: Option<u64>,
    ) -> rusqlite::Result<Self> {
        let mut projects = Vec::with_capacity(open.len());
        for project in open {
            if let Some(oldest) = project.oldest(conn, kind)? {
                projects.push((oldest, project));
            }
        }
        projects.sort_by(|(a, _), (b, _)| compare(a, b));
        Ok(Self { file: data_version(conn)?, consent, projects: projects.into() })
    }

    /// The project at `index` by the age that its oldest row has now; those without rows are forgotten.
    pub(super) fn project(
        &mut self,
        conn: &Connection,
        kind: Kind,
        index: usize,
    ) -> rusqlite::Result<Option<&ProjectStreams>> {
        while let Some((known, project)) = self.projects.get(index) {
            let oldest = project.oldest(conn, kind)?;
            if oldest.is_some_and(|oldest| compare(&oldest, known).is_le()) {
                break;
            }
            if let (Some((_, project)), Some(oldest)) = (self.projects.remove(index), oldest) {
                let place = self.projects.partition_point(|(age, _)| compare(age, &oldest).is_lt());
                self.projects.insert(place.max(index), (oldest, project));
            }
        }
        Ok(self.projects.get(index).map(|(_, project)| project))
    }
}

impl ProjectStreams {
    /// Time since which the oldest row has waited, with its id; nothing when none waits.
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
                (Some(known), Some(found)) if compare(&found, &known).is_lt() => Some(found),
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
        candidates.sort_by(compare);
        candidates.truncate(limit);
        Ok(candidates.into_iter().map(|(_, id)| id).collect())
    }
}

/// By age, then by row.
pub(crate) fn compare(a: &(f64, i64), b: &(f64, i64)) -> Ordering {
    a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
}
