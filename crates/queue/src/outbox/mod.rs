//! Outbox: batches of rows that may leave, and the record of their outcomes (contract section 9).
//!
//! A row is deleted only in the transaction that writes its receipt; a row that is refused for good is parked
//! with its payload. No lock and no cursor survives a call, so other processes capture while a batch is sent.

mod read;
mod record;
mod refusals;
mod rewind_check;
mod streams;

#[cfg(test)]
pub(crate) use rewind_check::MOST_THERE_BEFORE;
pub use rewind_check::ProjectReceipts;

pub use refusals::RefusalMemory;
use streams::SendingOrder;
pub(crate) use streams::{open_streams, streams};

pub(crate) use record::record_receipt;

use crate::birth::record_of_lost_queue;
use crate::busy_timeout;
use crate::capture::check_age;
use crate::consent::ConsentView;
use crate::error::QueueError;
use crate::foreign_rows;
use crate::observe::{DaemonDelivery, LastAttempt, NOT_BEFORE, PAUSE_REASON};
use crate::origin::OriginId;
use crate::row::{Kind, RowDigest};
use crate::sent::{self, Keep};
use crate::store::{ScopedDb, data_version, meta, now_seconds, set_meta};
use contract::wire::ArtifactBody;
use gate::{EgressPermit, ObservedQueueId};
use rusqlite::Row;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Reads rows that may leave and records their outcomes; needs an [`EgressPermit`].
#[derive(Debug)]
pub struct Outbox {
    store: ScopedDb,
    server_url: String,
    keep: Keep,
    /// The rows that were handed out and not recorded yet.
    out: HashMap<RowId, HandedOut>,
    /// The order of the last batch.
    order: Option<(Kind, SendingOrder)>,
    settled: u64,
}

/// Facts about a row that was handed out.
#[derive(Debug)]
struct HandedOut {
    key: String,
    /// The state of the file that it was read from: while that is the same, so is the row.
    file: i64,
    /// Whether its key had receipts.
    known: bool,
    binding: RowBinding,
}

/// Origin and hold of a waiting row, and since when it waits.
#[derive(Clone, Copy, Debug)]
struct RowBinding {
    place: OriginId,
    hold: i64,
    since: f64,
}

impl RowBinding {
    /// From three columns of a binding, the first of which is `first`.
    fn of_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self { place: row.get(first)?, hold: row.get(first + 1)?, since: row.get(first + 2)? })
    }
}

/// Bounds of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// At most this many rows.
    pub rows: usize,
    /// At most this many bytes of payload; a single larger row is still read, alone.
    pub bytes: usize,
}

/// Identifies one waiting row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId {
    pub(crate) kind: Kind,
    pub(crate) id: i64,
}

/// Rows and projects that this drain skips; grows with every round that records no outcome.
#[derive(Clone, Debug, Default)]
pub struct SkipSet {
    rows: HashSet<RowId>,
    under_way: HashSet<RowId>,
    projects: HashSet<Option<String>>,
}

impl SkipSet {
    /// Skips one row for the rest of the drain.
    pub fn skip_row(&mut self, row: RowId) {
        self.rows.insert(row);
    }

    /// Offers a skipped row again.
    pub fn allow_row(&mut self, row: RowId) {
        self.rows.remove(&row);
    }

    /// Skips these rows until the next call: they are on the way, and not recorded yet.
    pub fn set_under_way(&mut self, rows: impl Iterator<Item = RowId>) {
        self.under_way.clear();
        self.under_way.extend(rows);
    }

    /// Skips a whole project for the rest of the drain.
    pub fn skip_project(&mut self, project_uuid: Option<String>) {
        self.projects.insert(project_uuid);
    }

    /// Number of skipped rows and projects.
    pub fn len(&self) -> usize {
        self.rows.len() + self.projects.len()
    }

    /// Whether nothing is skipped.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.projects.is_empty()
    }

    pub(crate) fn has_row(&self, row: RowId) -> bool {
        self.rows.contains(&row) || self.under_way.contains(&row)
    }

    pub(crate) fn has_project(&self, project_uuid: &Option<String>) -> bool {
        self.projects.contains(project_uuid)
    }
}

/// One event, as it leaves.
#[derive(Clone, Debug)]
pub struct OutgoingEvent {
    /// The row.
    pub row: RowId,
    /// Its event id.
    pub event_id: String,
    /// The stored envelope, byte for byte.
    pub data: String,
    /// Its digest.
    pub digest: RowDigest,
    /// Number of earlier refusals.
    pub retry_count: i64,
}

/// One body, as it leaves.
#[derive(Clone, Debug)]
pub struct OutgoingBody {
    /// The row.
    pub row: RowId,
    /// The body.
    pub body: ArtifactBody,
    /// Its digest.
    pub digest: RowDigest,
    /// Number of earlier attempts.
    pub retry_count: i64,
}

/// Rows of one project, first in first out.
#[derive(Clone, Debug)]
pub struct RowBatch<T> {
    /// The project; none for rows without one.
    pub project_uuid: Option<String>,
    /// The rows; never empty.
    pub rows: Vec<T>,
}

/// Outcome of sending one row.
#[derive(Clone, Debug, PartialEq)]
pub enum RowOutcome {
    /// The server took it.
    Delivered,
    /// The server had it.
    Duplicate,
    /// The server refused it for good: it is parked with its payload.
    Park {
        /// The canonical reason, e.g. `rejected`.
        reason: String,
        /// The server's text, verbatim.
        detail: String,
    },
    /// It was not taken this time. A body is not offered again before `not_before`; an event is only
    /// counted, because it must not let later events overtake it.
    Retry {
        /// Reason.
        error: String,
        /// Unix seconds.
        not_before: f64,
    },
}

/// A row, the digest it was sent with, and what became of it.
pub type Outcome = (RowId, RowDigest, RowOutcome);

/// The outcomes of one request.
#[derive(Clone, Copy, Debug)]
pub struct RecordedRequest<'a> {
    /// Of each row.
    pub outcomes: &'a [Outcome],
    /// Its bytes, where they are kept.
    pub sent: Option<SentBytes<'a>>,
}

/// The bytes of one request, as sent.
#[derive(Clone, Copy, Debug)]
pub struct SentBytes<'a> {
    /// gzip of the text that the spans point into.
    pub packed: &'a [u8],
    /// Range of each row in the unpacked text.
    pub spans: &'a [(RowId, Range<usize>)],
}

/// Counts of recorded rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordedRows {
    /// Rows that left with a receipt.
    pub settled: u64,
    /// Rows that were parked.
    pub parked: u64,
    /// Rows kept for later.
    pub retried: u64,
    /// Rows that were not there any more, or changed meanwhile. A delivery still has its receipt; what
    /// waits now is another content.
    pub vanished: u64,
}

impl Outbox {
    /// Opens the queue that the permit names, checks that it is still the one the gate saw, and binds
    /// rows that another program added. Waits at most 5 s for a lock. In the place of a queue DB that is gone no
    /// new one is made, which would hide the loss: an empty queue in memory stands in for it.
    pub fn open(permit: &EgressPermit) -> Result<Self, QueueError> {
        check_age(permit.observed_at().elapsed())?;
        let (path, scope) = (permit.queue_path(), permit.scope());
        let mut store = if *permit.queue() == ObservedQueueId::Absent && record_of_lost_queue(path).is_some()
        {
            ScopedDb::in_memory(path, scope)?
        } else {
            ScopedDb::open(path, scope, Some(permit.queue()), busy_timeout::CAPTURE)?
        };
        foreign_rows::bind_all(&mut store)?;
        // A batch is recorded with one change of each tally, and not with one for each row.
        store.set_triggers(false)?;
        Ok(Self {
            store,
            server_url: permit.server_url().to_owned(),
            keep: Keep::default(),
            out: HashMap::new(),
            order: None,
            settled: 0,
        })
    }

    /// Runs `work`, which leaves bindings and tallies to the triggers. The order may be another one then.
    fn with_triggers<T>(
        &mut self,
        work: impl FnOnce(&mut ScopedDb) -> Result<T, QueueError>,
    ) -> Result<T, QueueError> {
        self.order = None;
        self.store.set_triggers(true)?;
        let done = work(&mut self.store);
        self.store.set_triggers(false)?;
        done
    }

    /// The id of the queue DB.
    pub fn queue_id(&self) -> &str {
        self.store.queue_id()
    }

    /// The next events that may leave, read into memory: one project, first in first out, nothing held,
    /// nothing skipped. Rows that already have a receipt are settled without being returned. No lock is
    /// held when it returns.
    pub fn read_events(
        &mut self,
        limits: BatchLimits,
        consent: &dyn ConsentView,
        skip: &SkipSet,
    ) -> Result<Option<RowBatch<OutgoingEvent>>, QueueError> {
        read::batch(self, limits, consent, skip, None)
    }

    /// The next bodies that may leave and are due at `now` (Unix seconds); like [`Outbox::read_events`].
    pub fn read_bodies(
        &mut self,
        limits: BatchLimits,
        consent: &dyn ConsentView,
        skip: &SkipSet,
        now: f64,
    ) -> Result<Option<RowBatch<OutgoingBody>>, QueueError> {
        read::batch(self, limits, consent, skip, Some(now))
    }

    /// Whether no other process changed the file since a row was read that waits for its record.
    pub fn is_as_read(&mut self, row: RowId) -> Result<bool, QueueError> {
        let Some(handed) = self.out.get(&row) else { return Ok(false) };
        Ok(self.store.read("read the state of", |tx| Ok(data_version(tx)?))? == handed.file)
    }

    /// Sets how long and how much of the sent bytes is kept, and deletes what is beyond it.
    pub fn keep_sent(&mut self, keep: Keep) -> Result<(), QueueError> {
        self.keep = keep;
        let now = now_seconds();
        if self.store.read("read sent bytes of", |tx| sent::is_overdue(tx, keep, now))? {
            self.store.write("delete old sent bytes of", |tx| sent::retain(tx, keep, now))?;
        }
        Ok(())
    }

    /// Records outcomes in one transaction: receipts are written as rows leave.
    pub fn record(&mut self, outcomes: &[Outcome]) -> Result<RecordedRows, QueueError> {
        record::record(self, &[RecordedRequest { outcomes, sent: None }])
    }

    /// Records the outcomes of requests in one transaction, and keeps the bytes of each that delivered a row.
    pub fn record_requests(&mut self, requests: &[RecordedRequest<'_>]) -> Result<RecordedRows, QueueError> {
        record::record(self, requests)
    }

    /// Until when this queue must not be drained (Unix seconds), as persisted by an earlier drain.
    pub fn deadline(&mut self) -> Result<Option<f64>, QueueError> {
        self.store
            .read("read the deadline of", |tx| Ok(meta(tx, NOT_BEFORE)?.and_then(|text| text.parse().ok())))
    }

    /// Persists until when this queue must not be drained (Unix seconds) and why; `None` clears both.
    pub fn set_deadline(&mut self, not_before: Option<f64>, reason: &str) -> Result<(), QueueError> {
        self.store.write("set the deadline of", |tx| {
            match not_before {
                Some(at) => {
                    set_meta(tx, NOT_BEFORE, &at.to_string())?;
                    set_meta(tx, PAUSE_REASON, reason)?;
                }
                None => {
                    tx.execute("DELETE FROM meta WHERE key IN (?1, ?2)", [NOT_BEFORE, PAUSE_REASON])?;
                }
            }
            Ok(())
        })
    }

    /// Writes down how a drain ended, and what it delivered when a daemon ran it.
    pub fn record_attempt(
        &mut self,
        attempt: &LastAttempt,
        delivered: Option<DaemonDelivery>,
    ) -> Result<(), QueueError> {
        self.store.write("record the attempt in", |tx| {
            // Plain text and numbers always serialise.
            set_meta(tx, LastAttempt::KEY, &serde_json::to_string(attempt).unwrap_or_default())?;
            if let Some(delivered) = delivered {
                set_meta(tx, DaemonDelivery::KEY, &serde_json::to_string(&delivered).unwrap_or_default())?;
            }
            Ok(())
        })
    }

    /// Rows settled because they had a receipt, since the outbox was opened.
    pub fn settled_without_sending(&self) -> u64 {
        self.settled
    }
}
