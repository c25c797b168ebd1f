//! Resend: delivered rows wait again (`sync resend`).
//!
//! A receipt that is marked `again` settles no row. The bytes it points to wait in the queue, with the place and the
//! hold that the row had, so that consent is judged as before. Where the bytes are gone the receipt is marked all the
//! same: then `sync capture --history` captures the fact again.

use crate::consent::{ConsentView, Hold};
use crate::error::{ObserveError, QueueError};
use crate::observe::{RowCounts, of_ours};
use crate::origin;
use crate::rewound::Rewound;
use crate::row::{Kind, RowDigest};
use crate::sent;
use crate::store::{Abort, ScopedDb, meta, now_seconds, set_meta};
use crate::waiting::{Binding, BodyProgress, Queueing, WaitingEvent};
use contract::Consent;
use contract::wire::ArtifactBody;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// Selection of delivered rows, by time or key.
#[derive(Clone, Debug)]
pub enum ResendSelection {
    /// Those delivered at or after this instant, Unix seconds.
    Since(i64),
    /// Those with these keys, which the server reported as missing.
    Missing(Vec<(Kind, String)>),
}

/// A selection of delivered rows.
#[derive(Clone, Debug)]
pub struct Resend {
    /// By time or key.
    pub which: ResendSelection,
    /// Only of this project; the inner none is the rows without a project.
    pub project: Option<Option<String>>,
    /// Only of the mission with one of these names: its id, the first eight characters of it, or its
    /// directory name. Empty means every mission.
    pub mission: Vec<String>,
}

/// The result of a resend, or of its preview.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ResendReport {
    /// Events whose bytes wait again.
    pub events: u64,
    /// Bodies that wait again.
    pub bodies: u64,
    /// Of these, rows that are held by the decision about their project.
    pub held: RowCounts,
    /// Rows of the selection that waited already.
    pub waiting: RowCounts,
    /// Rows of the selection whose bytes are gone.
    pub gone: RowCounts,
}

/// Meta key of the capture epoch: a number that grows whenever rows were lost (receipts without bytes, or a partial
/// salvage). The caches of captured documents are bound to it, so a new epoch empties them.
pub(crate) const CAPTURE_EPOCH: &str = "capture_epoch";

/// Key of the caches of captured documents for the queue DB `queue_id`.
pub(crate) fn capture_key(queue_id: &str, epoch: Option<&str>) -> String {
    epoch.map_or_else(|| queue_id.to_owned(), |epoch| format!("{queue_id}-{epoch}"))
}

/// Starts a new epoch. It is at least the current time in seconds, so a number lost with a damaged page is not
/// reused.
pub(crate) fn begin_capture_epoch(tx: &Transaction<'_>) -> Result<(), Abort> {
    let epoch: i64 = meta(tx, CAPTURE_EPOCH)?.and_then(|text| text.parse().ok()).unwrap_or_default();
    set_meta(tx, CAPTURE_EPOCH, &epoch.saturating_add(1).max(now_seconds()).to_string())?;
    Ok(())
}

/// Preview of [`resend`]. The file is only read.
pub(super) fn plan(
    path: &Path,
    resend: &Resend,
    consent: &dyn ConsentView,
) -> Result<ResendReport, ObserveError> {
    let places = of_ours(path, |conn| Ok(origin::read_all(conn)?))?;
    let consents = decide(&places, consent);
    of_ours(path, |conn| {
        if !conn.table_exists(None, "sent")? {
            return Ok(ResendReport::default());
        }
        let mut walk = Walk::new(conn, None, resend, &places, &consents);
        walk.run()?;
        Ok(walk.report)
    })
}

/// Marks the selection and lets its bytes wait, in one transaction.
pub(super) fn resend(
    store: &mut ScopedDb,
    resend: &Resend,
    consent: &dyn ConsentView,
) -> Result<ResendReport, QueueError> {
    // The decisions are looked up before the lock is taken: they are the caller's code.
    let places = store.read("read the projects of", |tx| Ok(origin::read_all(tx)?))?;
    let consents = decide(&places, consent);
    store.write("queue sent rows again in", |tx| {
        let mut walk = Walk::new(tx, Some(tx), resend, &places, &consents);
        walk.run()?;
        let report = walk.report;
        if report.gone.total() > 0 {
            begin_capture_epoch(tx)?;
        }
        if matches!(resend.which, ResendSelection::Missing(_)) && resend.mission.is_empty() {
            let mut rewound = Rewound::read(tx)?;
            rewound.projects.retain(|warned| {
                resend.project.as_ref().is_some_and(|project| *project != warned.project_uuid)
            });
            rewound.write(tx)?;
        }
        Ok(report)
    })
}

type Places = HashMap<i64, crate::consent::RowOrigin>;

fn decide(places: &Places, consent: &dyn ConsentView) -> HashMap<i64, Consent> {
    places.iter().map(|(id, place)| (*id, consent.consent(place))).collect()
}

/// One receipt of the selection.
struct Candidate {
    kind: Kind,
    key: String,
    seq: i64,
    place: i64,
    hold: Hold,
    since: f64,
    block: Option<i64>,
    offset: i64,
    length: i64,
}

/// The columns that [`Candidate::read`] expects after the kind.
const COLUMNS: &str = "key, seq, place, hold, since, block, offset, length";

impl Candidate {
    fn read(kind: Kind, row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            kind,
            key: row.get(0)?,
            seq: row.get(1)?,
            place: row.get(2)?,
            hold: Hold::from_stored(row.get(3)?),
            since: row.get(4)?,
            block: row.get(5)?,
            offset: row.get(6)?,
            length: row.get(7)?,
        })
    }
}

/// One pass over the selection.
struct Walk<'a> {
    conn: &'a Connection,
    /// Transaction that writes the rows; nothing in a preview.
    tx: Option<&'a Transaction<'a>>,
    resend: &'a Resend,
    places: &'a Places,
    consents: &'a HashMap<i64, Consent>,
    /// The block that was unpacked last.
    block: Option<(i64, Option<Vec<u8>>)>,
    report: ResendReport,
}

/// Receipts read together.
const PAGE: i64 = 1_000;

impl<'a> Walk<'a> {
    fn new(
        conn: &'a Connection,
        tx: Option<&'a Transaction<'a>>,
        resend: &'a Resend,
        places: &'a Places,
        consents: &'a HashMap<i64, Consent>,
    ) -> Self {
        Self { conn, tx, resend, places, consents, block: None, report: ResendReport::default() }
    }

    fn run(&mut self) -> Result<(), Abort> {
        match &self.resend.which {
            ResendSelection::Since(since) => self.since(*since),
            ResendSelection::Missing(keys) => self.missing(keys),
        }
    }

    /// Every receipt from `since` on, in the order of recording within each place.
    fn since(&mut self, since: i64) -> Result<(), Abort> {
        let mut places: Vec<i64> = self.places.keys().copied().chain([0]).collect();
        places.retain(|place| self.is_of_project(*place));
        places.sort_unstable();
        for place in places {
            for kind in Kind::ALL {
                let mut after = (-1, String::new());
                loop {
                    let page = self.page(kind, place, since, &after)?;
                    let Some(last) = page.last() else { break };
                    after = (last.seq, last.key.clone());
                    for candidate in &page {
                        self.take(candidate)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn page(
        &self,
        kind: Kind,
        place: i64,
        since: i64,
        (seq, key): &(i64, String),
    ) -> Result<Vec<Candidate>, Abort> {
        let mut select = self.conn.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM receipts
             WHERE kind = ?1 AND place = ?2 AND (seq > ?3 OR (seq = ?3 AND key > ?4)) AND at >= ?5
               AND again = 0 AND outcome <> 'dropped'
             ORDER BY seq, key LIMIT {PAGE}"
        ))?;
        let rows = select
            .query_map(params![kind.stored(), place, seq, key, since], |row| Candidate::read(kind, row))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The receipts of these keys, in the order of recording.
    fn missing(&mut self, keys: &[(Kind, String)]) -> Result<(), Abort> {
        let mut order: Vec<(i64, usize)> = Vec::with_capacity(keys.len());
        for (at, (kind, key)) in keys.iter().enumerate() {
            if let Some(candidate) = self.newest(*kind, key)? {
                order.push((candidate.seq, at));
            }
        }
        order.sort_unstable();
        for (_, at) in order {
            let Some((kind, key)) = keys.get(at) else { continue };
            if let Some(candidate) = self.newest(*kind, key)?
                && self.is_of_project(candidate.place)
            {
                self.take(&candidate)?;
            }
        }
        Ok(())
    }

    /// The newest receipt of a key that claims a delivery.
    fn newest(&self, kind: Kind, key: &str) -> Result<Option<Candidate>, Abort> {
        Ok(self
            .conn
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM receipts
                 WHERE kind = ?1 AND key = ?2 AND again = 0 AND outcome <> 'dropped' ORDER BY seq DESC LIMIT 1"
            ))?
            .query_row(params![kind.stored(), key], |row| Candidate::read(kind, row))
            .optional()?)
    }

    fn is_of_project(&self, place: i64) -> bool {
        let project = self.places.get(&place).and_then(|place| place.project_uuid.clone());
        self.resend.project.as_ref().is_none_or(|wanted| *wanted == project)
    }

    /// Marks one receipt and lets its bytes wait.
    fn take(&mut self, candidate: &Candidate) -> Result<(), Abort> {
        // The same fact may have two receipts; the first of them has marked both.
        if self.tx.is_some() && self.newest(candidate.kind, &candidate.key)?.is_none() {
            return Ok(());
        }
        let text = self.text(candidate)?;
        if !self.is_of_mission(candidate, text.as_deref()) {
            return Ok(());
        }
        let sent = text.and_then(|text| SentRow::parse(candidate, text));
        let Some(sent) = sent else {
            *self.report.gone.of_mut(candidate.kind) += 1;
            return self.mark(candidate);
        };
        if self.queue(candidate, &sent)? {
            match candidate.kind {
                Kind::Event => self.report.events += 1,
                Kind::Body => self.report.bodies += 1,
            }
            let consent = self.consents.get(&candidate.place).copied().unwrap_or(Consent::Unset);
            if candidate.hold.reason(consent, Some(candidate.since)).is_some() {
                *self.report.held.of_mut(candidate.kind) += 1;
            }
        } else {
            *self.report.waiting.of_mut(candidate.kind) += 1;
        }
        self.mark(candidate)
    }

    /// The bytes of a row as they were sent; nothing when they are gone.
    fn text(&mut self, candidate: &Candidate) -> Result<Option<String>, Abort> {
        let Some(block) = candidate.block else { return Ok(None) };
        if self.block.as_ref().is_none_or(|(known, _)| *known != block) {
            self.block = Some((block, sent::read(self.conn, block)?));
        }
        let Some((_, Some(text))) = &self.block else { return Ok(None) };
        let place = |number: i64| usize::try_from(number).ok();
        let (Some(from), Some(length)) = (place(candidate.offset), place(candidate.length)) else {
            return Ok(None);
        };
        let bytes = from.checked_add(length).and_then(|to| text.get(from..to));
        Ok(bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).map(str::to_owned))
    }

    fn is_of_mission(&self, candidate: &Candidate, text: Option<&str>) -> bool {
        let wanted = &self.resend.mission;
        if wanted.is_empty() {
            return true;
        }
        match candidate.kind {
            Kind::Body => {
                let key: Option<[String; 7]> = serde_json::from_str(&candidate.key).ok();
                key.is_some_and(|[_, slug, ..]| names_mission(&slug, wanted))
            }
            Kind::Event => text.is_some_and(|text| is_event_of(text, wanted)),
        }
    }

    /// Lets a row wait; false when a row of its key waits already.
    fn queue(&self, candidate: &Candidate, sent: &SentRow) -> Result<bool, Abort> {
        let Some(tx) = self.tx else { return Ok(!sent.waits(self.conn)?) };
        let mut queueing = Queueing::new(tx)?;
        let (place, hold) = (candidate.place, candidate.hold);
        let binding = Binding { place, hold, digest: sent.digest(), captured_at: Some(candidate.since) };
        Ok(match sent {
            SentRow::Event { event_id, event_type, data } => {
                let event = WaitingEvent {
                    event_id,
                    event_type,
                    data,
                    timestamp: candidate.since as i64,
                    retry_count: 0,
                    // A later capture must not take the place of a fact that was delivered.
                    coalesce_key: None,
                };
                queueing.event(&event, binding)?
            }
            SentRow::Body(body) => {
                let progress = BodyProgress { created_at: candidate.since, ..BodyProgress::default() };
                queueing.body(body, progress, binding)?
            }
        })
    }

    fn mark(&self, candidate: &Candidate) -> Result<(), Abort> {
        let Some(tx) = self.tx else { return Ok(()) };
        tx.prepare_cached(
            "UPDATE receipts SET again = 1 WHERE kind = ?1 AND key = ?2 AND outcome <> 'dropped'",
        )?
        .execute(params![candidate.kind.stored(), candidate.key])?;
        Ok(())
    }
}

/// A row as it was sent.
enum SentRow {
    Event { event_id: String, event_type: String, data: String },
    Body(ArtifactBody),
}

#[derive(Deserialize)]
struct EventType {
    event_type: String,
}

impl SentRow {
    /// Reads a row's bytes; nothing when they are not the row that the receipt names.
    fn parse(candidate: &Candidate, text: String) -> Option<Self> {
        match candidate.kind {
            Kind::Event => {
                let EventType { event_type } = serde_json::from_str(&text).ok()?;
                Some(Self::Event { event_id: candidate.key.clone(), event_type, data: text })
            }
            Kind::Body => {
                let body: ArtifactBody = serde_json::from_str(&text).ok()?;
                Some(body).filter(|body| body.key() == candidate.key).map(Self::Body)
            }
        }
    }

    fn digest(&self) -> RowDigest {
        match self {
            Self::Event { event_type, data, .. } => {
                RowDigest::of_event(event_type.as_bytes(), data.as_bytes())
            }
            Self::Body(body) => RowDigest::of_body(body),
        }
    }

    fn waits(&self, conn: &Connection) -> Result<bool, Abort> {
        Ok(match self {
            Self::Event { event_id, .. } => crate::waiting::find_event(conn, event_id)?.is_some(),
            Self::Body(body) => crate::waiting::find_body(conn, body.key_columns())?.is_some(),
        })
    }
}

/// Whether an event is about the mission: by its own keys or those of its payload.
fn is_event_of(text: &str, wanted: &[String]) -> bool {
    let Ok(event) = serde_json::from_str::<Value>(text) else { return false };
    const NAMES: [&str; 5] =
        ["/mission_slug", "/mission_id", "/aggregate_id", "/feature_slug", "/namespace/mission_slug"];
    let inside = event.get("payload").unwrap_or(&Value::Null);
    NAMES.iter().any(|name| {
        [&event, inside]
            .into_iter()
            .filter_map(|object| object.pointer(name)?.as_str())
            .any(|value| names_mission(value, wanted))
    })
}

/// Whether `value` is the id or the directory name of a mission that `wanted` names. It may name it in full, or by
/// the first eight characters of the id, which end a directory name.
fn names_mission(value: &str, wanted: &[String]) -> bool {
    wanted.iter().any(|wanted| {
        let by_start = wanted.len() == 8
            && (value.len() == 26 && value.starts_with(wanted.as_str())
                || value.strip_suffix(wanted.as_str()).is_some_and(|head| head.ends_with('-')));
        value == wanted || by_start
    })
}
