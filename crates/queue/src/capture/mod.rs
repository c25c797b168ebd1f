//! Capture: prepare, append, confirm.

use crate::consent::Place;
use crate::error::QueueError;
use crate::row::NewRow;
use gate::CapturePermit;
use serde::Serialize;

/// `sync.max_queue_size`: how many events, and how many bodies, may wait. Past it capture refuses;
/// nothing is ever evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity(pub u64);

/// The rows of one command, and where they belong.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The project, repository and checkout that the rows belong to, for ever.
    pub place: Place,
    /// The mission whose lock the caller holds from prepare to confirm.
    pub mission_slug: String,
    /// The rows, in the order in which they happened.
    pub rows: Vec<NewRow>,
}

/// A capture that is stored but not yet waiting. Must be confirmed after the local write, or left for
/// the next settle.
#[derive(Debug)]
#[must_use = "prepared rows wait only after `Writer::confirm`"]
pub struct Prepared {
    pub(crate) command: String,
    pub(crate) already: u64,
}

/// What a command captured: its closing line and the JSON `capture{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Captured {
    /// Events that now wait.
    pub events: u64,
    /// Bodies that now wait.
    pub bodies: u64,
    /// Rows that were known already: waiting, delivered or parked.
    pub already: u64,
    /// Rows that replaced the content of an older, never attempted, disposable one.
    pub coalesced: u64,
    /// Rows waiting in the queue now, of all commands.
    pub waiting: u64,
}

/// What settling the leftovers of interrupted captures did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Settled {
    /// Rows whose witness was found: they wait now.
    pub confirmed: u64,
    /// Rows whose witness was not found: parked as `not_in_log`.
    pub parked: u64,
}

/// The right hand of a [`CapturePermit`]: the only way to add a fact.
#[derive(Debug)]
pub struct Writer {
    _private: (),
}

impl Writer {
    /// Opens (or creates) the queue that the permit names, checks that it is still the one the gate
    /// saw, and waits at most 5 s for a lock.
    pub fn open(permit: &CapturePermit, capacity: Capacity) -> Result<Self, QueueError> {
        let _ = (permit, capacity);
        todo!()
    }

    /// The id of the queue DB.
    pub fn queue_id(&self) -> &str {
        todo!()
    }

    /// Stores the rows as prepared, in one transaction: disk full, a read-only home and capacity show
    /// here, before the local write. Nothing leaves until [`Writer::confirm`].
    pub fn prepare(&mut self, capture: &Capture) -> Result<Prepared, QueueError> {
        let _ = capture;
        todo!()
    }

    /// Makes prepared rows wait, in one transaction. To be called after the local write was verified.
    pub fn confirm(&mut self, prepared: Prepared) -> Result<Captured, QueueError> {
        let _ = prepared;
        todo!()
    }

    /// Settles the leftovers of interrupted captures of one mission by their witnesses. The caller
    /// holds that mission's lock.
    pub fn settle(&mut self, mission_slug: &str) -> Result<Settled, QueueError> {
        let _ = mission_slug;
        todo!()
    }
}
