//! Row counts of a queue DB, by hold and state.

use super::active::{FileMeta, check_version, read_meta};
use super::attempt::{DaemonDelivery, LastAttempt};
use super::reader::read_only;
use crate::consent::{ConsentView, HeldRows, Hold, HoldReason, RowOrigin};
use crate::cure::{CAPTURE_EPOCH, capture_key};
use crate::error::ObserveError;
use crate::file::Role;
use crate::foreign_rows;
use crate::origin;
use crate::rewound::{self, Rewound};
use crate::row::Kind;
use crate::store::{Abort, now};
use crate::unindexed::{self, Unindexed};
use rusqlite::{Connection, params};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Events and bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RowCounts {
    /// Events.
    pub events: u64,
    /// Bodies.
    pub bodies: u64,
}

impl RowCounts {
    /// Both.
    pub const fn total(&self) -> u64 {
        self.events + self.bodies
    }

    pub(crate) fn of_mut(&mut self, kind: Kind) -> &mut u64 {
        match kind {
            Kind::Event => &mut self.events,
            Kind::Body => &mut self.bodies,
        }
    }
}

/// Row counts and warnings of a queue DB.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct QueueCounts {
    /// Rows of the `queue` table, held ones included.
    pub events: u64,
    /// Rows of `body_upload_queue`, held ones included.
    pub bodies: u64,
    /// Rows of captures that were not confirmed yet.
    pub prepared: RowCounts,
    /// Rows that were refused for good, with payload and reason.
    pub parked: RowCounts,
    /// Rows that wait for a decision, by project and reason.
    pub held: Vec<HeldRows>,
    /// Time since which the oldest row that may leave has waited, in Unix seconds.
    pub oldest_pending_at: Option<i64>,
    /// Time of the newest receipt of a delivery, in Unix seconds.
    pub last_delivery: Option<i64>,
    /// End and reason of the pause that the last drain recorded.
    pub pause: Option<Pause>,
    /// The warning that the server no longer has rows that it acknowledged.
    pub rewound: Option<Rewound>,
    /// Key under which documents and history are captured now; none for a file without one. See
    /// [`crate::Writer::capture_key`].
    #[serde(skip)]
    pub capture_key: Option<String>,
    /// Bodies that wait for an event that is not in this queue, by mission.
    #[serde(skip)]
    pub unindexed: Vec<Unindexed>,
    /// Bodies that may leave and wait for their next attempt.
    pub waiting: Option<NextAttempt>,
    /// The newest drain that asked the server something, or could not.
    pub last_attempt: Option<LastAttempt>,
    /// The newest drain of a daemon that delivered something.
    pub daemon_delivery: Option<DaemonDelivery>,
}

/// Rows that may leave and are not due yet: the server did not take them the last time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NextAttempt {
    /// Number of bodies that wait.
    pub bodies: u64,
    /// Time of the first attempt that is due, in Unix seconds.
    pub next_attempt_at: f64,
}

/// A drain deadline, as the last drain left it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pause {
    /// Unix seconds; may have passed.
    pub until: f64,
    /// Reason of the pause.
    pub reason: String,
}

/// Counts the rows of a queue DB, of ours or of the reference. An absent file holds nothing.
///
/// Every row of another program is read for its project, whether or not a command that may write has bound
/// it: the remedy of held rows names the project. Reading one costs about 1 us.
///
/// In a file without a scope (`queue.db`, logged out) the held rows are what would be held after a
/// login and a migration.
pub fn observe_counts(path: &Path, consent: &dyn ConsentView) -> Result<QueueCounts, ObserveError> {
    let seen = read_only(path, Role::Active, |conn| {
        let meta = read_meta(conn)?;
        let version = check_version(path, &meta)?;
        counts(conn, &meta, version, consent)
    })?;
    Ok(seen.unwrap_or_default())
}

pub(super) fn counts(
    conn: &Connection,
    meta: &FileMeta,
    version: i64,
    consent: &dyn ConsentView,
) -> Result<QueueCounts, Abort> {
    let mut seen = QueueCounts {
        events: count(conn, "SELECT COUNT(*) FROM queue")?,
        bodies: count(conn, "SELECT COUNT(*) FROM body_upload_queue")?,
        last_delivery: meta.get(LAST_DELIVERY).and_then(|text| text.parse().ok()),
        pause: pause_of(meta),
        capture_key: meta
            .get("queue_id")
            .map(|id| capture_key(id, meta.get(CAPTURE_EPOCH).map(String::as_str))),
        rewound: meta.get(rewound::KEY).and_then(|text| Rewound::parse(text)),
        last_attempt: meta.get(LastAttempt::KEY).and_then(|text| LastAttempt::parse(text)),
        daemon_delivery: meta.get(DaemonDelivery::KEY).and_then(|text| DaemonDelivery::parse(text)),
        ..QueueCounts::default()
    };
    let mut waiting = HeldTotals::default();
    let mut bound = RowCounts::default();
    if version > 0 {
        seen.prepared = RowCounts {
            events: count(conn, "SELECT COUNT(*) FROM prepared WHERE kind = 0")?,
            bodies: count(conn, "SELECT COUNT(*) FROM prepared WHERE kind = 1")?,
        };
        seen.parked = RowCounts {
            events: count(conn, "SELECT COUNT(*) FROM parked WHERE kind = 0")?,
            bodies: count(conn, "SELECT COUNT(*) FROM parked WHERE kind = 1")?,
        };
        bound = read_bound(conn, consent, &mut waiting)?;
        seen.waiting = next_attempt(conn, consent)?;
        seen.unindexed = unindexed::observe(conn, consent)?;
    }
    let unbound = RowCounts {
        events: seen.events.saturating_sub(bound.events),
        bodies: seen.bodies.saturating_sub(bound.bodies),
    };
    if unbound.total() > 0 {
        foreign_rows::look(conn, version > 0, &mut |row| {
            let decision = consent.consent(&row.place);
            waiting.add(row.kind, &row.place, row.hold.reason(decision, row.at), 1, row.at);
        })?;
    }
    seen.oldest_pending_at = waiting.oldest.map(|at| at as i64);
    seen.held = waiting.held();
    Ok(seen)
}

/// The bound bodies that may leave and are not due yet.
fn next_attempt(conn: &Connection, consent: &dyn ConsentView) -> Result<Option<NextAttempt>, Abort> {
    let places = origin::read_all(conn)?;
    // `next_attempt_at` and the rowid are read from their index: the column lies behind the content.
    let mut select = conn.prepare(
        "SELECT b.place, b.hold, b.at, q.next_attempt_at FROM body_upload_queue AS q
         JOIN bindings AS b ON b.kind = 1 AND b.row = q.id WHERE q.next_attempt_at > ?1",
    )?;
    let mut rows = select.query([now()])?;
    let mut found: Option<NextAttempt> = None;
    while let Some(row) = rows.next()? {
        let place = places.get(&row.get(0)?).cloned().unwrap_or_default();
        let from = Hold::from_stored(row.get(1)?).leaves_from(consent.consent(&place));
        let (captured_at, due): (f64, f64) = (row.get(2)?, row.get(3)?);
        if !from.is_ok_and(|from| captured_at >= from) {
            continue;
        }
        let known = found.get_or_insert(NextAttempt { bodies: 0, next_attempt_at: due });
        known.bodies += 1;
        known.next_attempt_at = known.next_attempt_at.min(due);
    }
    Ok(found)
}

/// The key of the meta table that holds the time of the newest delivery.
pub(crate) const LAST_DELIVERY: &str = "last_delivery";

/// The key of the meta table that holds the drain deadline.
pub(crate) const NOT_BEFORE: &str = "drain_not_before";
/// The key of the meta table that holds the reason of the drain deadline.
pub(crate) const PAUSE_REASON: &str = "drain_pause_reason";

fn pause_of(meta: &FileMeta) -> Option<Pause> {
    let until = meta.get(NOT_BEFORE)?.parse().ok()?;
    Some(Pause { until, reason: meta.get(PAUSE_REASON).cloned().unwrap_or_default() })
}

/// Adds the bound rows to `waiting` and returns how many there are.
fn read_bound(
    conn: &Connection,
    consent: &dyn ConsentView,
    waiting: &mut HeldTotals,
) -> Result<RowCounts, Abort> {
    let mut bound = RowCounts::default();
    let places = origin::read_all(conn)?;
    let mut tallies = conn.prepare("SELECT kind, place, hold, waiting FROM tallies WHERE waiting > 0")?;
    let mut older = conn
        .prepare("SELECT COUNT(*) FROM bindings WHERE kind = ?1 AND place = ?2 AND hold = ?3 AND at < ?4")?;
    let mut oldest = conn
        .prepare("SELECT MIN(at) FROM bindings WHERE kind = ?1 AND place = ?2 AND hold = ?3 AND at >= ?4")?;
    let mut rows = tallies.query([])?;
    while let Some(row) = rows.next()? {
        let (code, place_id, hold): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let Some(kind) = Kind::from_stored(code) else { continue };
        let count = row.get::<_, i64>(3)?.unsigned_abs();
        *bound.of_mut(kind) += count;
        let nowhere = RowOrigin::default();
        let place = places.get(&place_id).unwrap_or(&nowhere);
        match Hold::from_stored(hold).leaves_from(consent.consent(place)) {
            Err(reason) => waiting.add(kind, place, Some(reason), count, None),
            Ok(from) => {
                let stream = params![code, place_id, hold, from];
                let sealed = match from {
                    f64::NEG_INFINITY => 0,
                    _ => older.query_row(stream, |row| row.get::<_, i64>(0))?.unsigned_abs(),
                };
                let since = oldest.query_row(stream, |row| row.get(0))?;
                waiting.add(kind, place, Some(HoldReason::Sealed), sealed, None);
                waiting.add(kind, place, None, count.saturating_sub(sealed), since);
            }
        }
    }
    Ok(bound)
}

/// `COUNT(*)`; zero when there is no such table.
fn count(conn: &Connection, sql: &str) -> Result<u64, Abort> {
    match conn.query_row(sql, [], |row| row.get::<_, i64>(0)) {
        Ok(count) => Ok(count.unsigned_abs()),
        Err(error) if error.to_string().contains("no such table") => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Rows by what they wait for.
#[derive(Default)]
struct HeldTotals {
    held: BTreeMap<(Option<String>, HoldReason), RowCounts>,
    slugs: BTreeMap<Option<String>, String>,
    oldest: Option<f64>,
}

impl HeldTotals {
    fn add(
        &mut self,
        kind: Kind,
        place: &RowOrigin,
        reason: Option<HoldReason>,
        rows: u64,
        since: Option<f64>,
    ) {
        match reason {
            Some(_) if rows == 0 => {}
            Some(reason) => {
                let held = self.held.entry((place.project_uuid.clone(), reason)).or_default();
                *held.of_mut(kind) += rows;
                if let Some(slug) = &place.repo_slug {
                    self.slugs.entry(place.project_uuid.clone()).or_insert_with(|| slug.clone());
                }
            }
            None => {
                self.oldest = match (self.oldest, since) {
                    (Some(known), Some(at)) => Some(known.min(at)),
                    (known, at) => known.or(at),
                };
            }
        }
    }

    fn held(self) -> Vec<HeldRows> {
        self.held
            .into_iter()
            .map(|((project_uuid, reason), RowCounts { events, bodies })| HeldRows {
                repo_slug: self.slugs.get(&project_uuid).cloned(),
                project_uuid,
                events,
                bodies,
                reason,
            })
            .collect()
    }
}
