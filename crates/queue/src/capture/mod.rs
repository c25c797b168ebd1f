//! Capture: prepare, append, confirm (contract section 7).
//!
//! ```text
//! prepare   one transaction: finished rows -> `prepared`     fails on a full disk, a read-only home, a full queue
//!   ...     the caller appends to the mission's log and verifies it
//! confirm   one transaction: `prepared` -> the reference's tables, bound to their origin
//! ```
//!
//! A crash between the steps leaves prepared rows. Settling, under the mission's lock, looks for the witness
//! of each: a proven row waits, any other is parked as `not_in_log`. No fact in the log is lost, no fact
//! outside it is sent, and nothing is discarded. A command that undoes its local write withdraws its rows.

mod prepared;
mod settle;
mod witness;

pub(crate) use prepared::{Belongs, WaitingOutcome, make_waiting};
pub(crate) use settle::{is_proven_row, parked_witness, settle};
pub use witness::FilesElsewhere;
pub(crate) use witness::WriteEvidence;

use crate::busy_timeout;
use crate::consent::RowOrigin;
use crate::cure::{CAPTURE_EPOCH, capture_key};
use crate::error::QueueError;
use crate::fault_point::{FaultPoint, reached};
use crate::row::{Kind, NewRow};
use crate::store::{Abort, ScopedDb, meta};
use crate::unindexed;
use gate::CapturePermit;
use rusqlite::{Connection, Transaction};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// `sync.max_queue_size`: how many events, and how many bodies, may wait. Past it capture refuses;
/// nothing is ever evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity(pub u64);

/// The rows of one command and their origin.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The project, repository and checkout of the rows.
    pub place: RowOrigin,
    /// The mission whose lock the caller holds from prepare to confirm.
    pub mission_slug: String,
    /// The rows, in the order of their events.
    pub rows: Vec<NewRow>,
}

/// A capture that is stored and not yet waiting. It is confirmed after the local write, or settled later.
#[derive(Debug)]
#[must_use = "prepared rows wait only after `Writer::confirm`"]
pub struct Prepared {
    pub(crate) command: String,
    pub(crate) rows: u64,
    pub(crate) already: u64,
}

impl Prepared {
    /// Rows that were stored.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows that were known already: waiting, delivered or parked. They are not stored again.
    pub fn already(&self) -> u64 {
        self.already
    }
}

/// The captured rows of a command: its closing line and the JSON `capture{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Captured {
    /// Events that now wait.
    pub events: u64,
    /// Bodies that now wait.
    pub bodies: u64,
    /// Rows that were known already: waiting, delivered or parked.
    pub already: u64,
    /// Of the events, those that replaced an older, never attempted, disposable one.
    pub coalesced: u64,
    /// Rows waiting in the queue now, of all commands.
    pub waiting: u64,
}

/// The result of settling the rows of interrupted captures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Settled {
    /// Rows whose witness was found: they wait now.
    pub confirmed: u64,
    /// Rows whose witness was not found: parked as `not_in_log`.
    pub parked: u64,
}

/// Most rows that one transaction makes wait: another command waits for its end.
const CONFIRMED_TOGETHER: i64 = 1000;

/// Adds facts to a queue; needs a [`CapturePermit`].
#[derive(Debug)]
pub struct Writer {
    pub(crate) store: ScopedDb,
    capacity: Capacity,
}

impl Writer {
    /// Opens (or creates) the queue that the permit names, checks that it is still the one the gate
    /// saw, and waits at most 5 s for a lock.
    pub fn open(permit: &CapturePermit, capacity: Capacity) -> Result<Self, QueueError> {
        check_age(permit.observed_at().elapsed())?;
        let store =
            ScopedDb::open(permit.queue_path(), permit.scope(), Some(permit.queue()), busy_timeout::CAPTURE)?;
        Ok(Self { store, capacity })
    }

    /// The id of the queue DB.
    pub fn queue_id(&self) -> &str {
        self.store.queue_id()
    }

    /// Key of the cache of captured documents. It changes when rows were lost (receipts without bytes, a file
    /// that was salvaged in part), because the documents must then be captured again.
    pub fn capture_key(&mut self) -> Result<String, QueueError> {
        let epoch = self.store.read("read", |tx| Ok(meta(tx, CAPTURE_EPOCH)?))?;
        Ok(capture_key(self.store.queue_id(), epoch.as_deref()))
    }

    /// The documents of a mission whose bodies the server refuses without an index event that is not in this
    /// queue. Their events must be captured again.
    pub fn unindexed(&mut self, project_uuid: &str, mission_slug: &str) -> Result<Vec<String>, QueueError> {
        self.store.read("read", |tx| unindexed::paths(tx, project_uuid, mission_slug))
    }

    /// Whether an event of this id waits, was delivered, or is parked with the server's answer: [`Writer::prepare`]
    /// stores no second one.
    pub fn knows_event(&mut self, event_id: &str) -> Result<bool, QueueError> {
        self.store.read("read", |tx| Ok(prepared::is_known_event(tx, event_id)?))
    }

    /// Stores the rows as prepared, in one transaction: disk full, a read-only home and capacity show
    /// here, before the local write. Nothing leaves until [`Writer::confirm`].
    ///
    /// Rows that are known already are counted and left as they are, so a repeat is a no-op. The prepared row
    /// replaces one that was parked as `not_in_log`.
    pub fn prepare(&mut self, capture: &Capture) -> Result<Prepared, QueueError> {
        let mut prepared = Prepared { command: ulid::Ulid::generate().to_string(), rows: 0, already: 0 };
        self.prepare_more(&mut prepared, capture)?;
        Ok(prepared)
    }

    /// Stores further rows of the same command as prepared, in a transaction of their own: very many rows are not
    /// in memory together. On failure, the rows that were prepared before are to be withdrawn.
    pub fn prepare_more(&mut self, prepared: &mut Prepared, capture: &Capture) -> Result<(), QueueError> {
        prepared::check(capture)?;
        let Capacity(capacity) = self.capacity;
        let path = self.store.path().to_owned();
        let (rows, already) = self.store.write("prepare rows in", |tx| {
            let (rows, already) = prepared::insert(tx, &prepared.command, capture)?;
            if rows > 0 {
                check_capacity(tx, capture, capacity, &path)?;
            }
            reached(FaultPoint::PrepareWritten);
            Ok((rows, already))
        })?;
        prepared.rows += rows;
        prepared.already += already;
        reached(FaultPoint::Prepared);
        Ok(())
    }

    /// Makes prepared rows wait, a thousand in a transaction. To be called after the local write was verified.
    ///
    /// On failure rows stay prepared, and the next settle of the mission finds their witness.
    pub fn confirm(&mut self, prepared: Prepared) -> Result<Captured, QueueError> {
        let mut captured = Captured { already: prepared.already, ..Captured::default() };
        loop {
            let is_last = self.store.write("confirm rows in", |tx| {
                let is_last = prepared::confirm(tx, &prepared.command, CONFIRMED_TOGETHER, &mut captured)?;
                if is_last {
                    if captured.events > 0 {
                        unindexed::make_due(tx)?;
                    }
                    captured.waiting = waiting(tx, Kind::Event)? + waiting(tx, Kind::Body)?;
                }
                reached(FaultPoint::ConfirmWritten);
                Ok(is_last)
            })?;
            reached(FaultPoint::Confirmed);
            if is_last {
                return Ok(captured);
            }
        }
    }

    /// Deletes prepared rows, in one transaction, because their local write was undone. A repeated command
    /// prepares its own.
    ///
    /// On failure the rows stay prepared, and the next settle of the mission finds their witness or parks them.
    pub fn withdraw(&mut self, prepared: Prepared) -> Result<(), QueueError> {
        self.store.write("withdraw prepared rows from", |tx| {
            tx.prepare_cached("DELETE FROM prepared WHERE command = ?1")?.execute([&prepared.command])?;
            Ok(())
        })
    }

    /// Settles the leftovers of interrupted captures of one mission in one checkout by their witnesses.
    /// The caller holds that mission's lock there; `elsewhere` reads the rows of its log that are not in the
    /// checkout.
    pub fn settle(
        &mut self,
        mission_slug: &str,
        checkout: Option<&Path>,
        elsewhere: FilesElsewhere,
    ) -> Result<Settled, QueueError> {
        settle(&mut self.store, mission_slug, checkout, elsewhere)
    }
}

/// A permit describes the machine when it was minted, so it expires.
pub(crate) fn check_age(age: Duration) -> Result<(), QueueError> {
    if age > gate::LIFETIME { Err(QueueError::PermitExpired { age }) } else { Ok(()) }
}

/// Rows of one kind that wait, over the narrowest index.
pub(crate) fn waiting(conn: &Connection, kind: Kind) -> rusqlite::Result<u64> {
    conn.prepare_cached(&format!("SELECT COUNT(*) FROM {}", kind.table()))?
        .query_row([], |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)
}

fn check_capacity(tx: &Transaction<'_>, capture: &Capture, capacity: u64, path: &Path) -> Result<(), Abort> {
    for kind in Kind::ALL {
        if !capture.rows.iter().any(|row| row.kind() == kind) {
            continue;
        }
        let prepared: i64 = tx
            .prepare_cached("SELECT COUNT(*) FROM prepared WHERE kind = ?1")?
            .query_row([kind.stored()], |row| row.get(0))?;
        let would_hold = waiting(tx, kind)? + prepared.unsigned_abs();
        if would_hold > capacity {
            return Err(QueueError::Full { path: path.to_owned(), kind, would_hold, capacity }.into());
        }
    }
    Ok(())
}
