//! Permits: the types that the queue and the sender demand.
//!
//! Private fields, no `Clone`, no public constructor: outside this crate only a
//! [`Verdict`](crate::Verdict) gives one. [`LIFETIME`] after the observation the queue refuses it.

use contract::Scope;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Time after the observation for which a permit is honoured.
pub const LIFETIME: Duration = Duration::from_secs(60);

/// Id of the permit's queue DB at the time of the observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObservedQueueId {
    /// It had this id; opening compares.
    Known(String),
    /// It had none (no file, or a file of the reference); opening creates one under the write lock or
    /// adopts the one created meanwhile at the same path.
    Absent,
}

impl ObservedQueueId {
    pub(crate) fn of(queue_id: Option<&String>) -> Self {
        queue_id.map_or(Self::Absent, |id| Self::Known(id.clone()))
    }
}

/// The right to add facts to one queue.
#[derive(Debug)]
pub struct CapturePermit {
    pub(crate) scope: Scope,
    pub(crate) team_id: String,
    pub(crate) queue_path: PathBuf,
    pub(crate) queue: ObservedQueueId,
    pub(crate) observed_at: Instant,
}

/// The right to send the rows of one queue to the server of its scope.
#[derive(Debug)]
pub struct EgressPermit {
    pub(crate) scope: Scope,
    pub(crate) team_id: String,
    pub(crate) server_url: String,
    pub(crate) queue_path: PathBuf,
    pub(crate) queue: ObservedQueueId,
    pub(crate) observed_at: Instant,
}

/// The right to migrate, settle, park, repair and collect in one queue. It adds no fact.
#[derive(Debug)]
pub struct CurePermit {
    pub(crate) scope: Scope,
    pub(crate) queue_path: PathBuf,
    pub(crate) legacy_path: PathBuf,
}

/// A refused permit, with the result that refuses it.
#[derive(Debug)]
pub struct PermitRefused(pub contract::PreflightResult);

impl CapturePermit {
    /// The account that will own the facts.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The team id in its original case.
    pub fn team_id(&self) -> &str {
        &self.team_id
    }

    /// The queue DB to open; the legacy one cannot be named here.
    pub fn queue_path(&self) -> &Path {
        &self.queue_path
    }

    /// Identity of the queue DB that the gate judged.
    pub fn queue(&self) -> &ObservedQueueId {
        &self.queue
    }

    /// Time of the observation behind the permit.
    pub fn observed_at(&self) -> Instant {
        self.observed_at
    }
}

impl EgressPermit {
    /// The account whose rows may be sent.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The team id in its original case, for `X-Team-Slug`.
    pub fn team_id(&self) -> &str {
        &self.team_id
    }

    /// The server that they may be sent to.
    pub fn server_url(&self) -> &str {
        &self.server_url
    }

    /// The queue DB to open.
    pub fn queue_path(&self) -> &Path {
        &self.queue_path
    }

    /// Identity of the queue DB that the gate judged.
    pub fn queue(&self) -> &ObservedQueueId {
        &self.queue
    }

    /// Time of the observation behind the permit.
    pub fn observed_at(&self) -> Instant {
        self.observed_at
    }
}

impl CurePermit {
    /// The account of the queue.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Its queue DB.
    pub fn queue_path(&self) -> &Path {
        &self.queue_path
    }

    /// The legacy queue DB, for migration.
    pub fn legacy_path(&self) -> &Path {
        &self.legacy_path
    }
}
