//! The draining step as a trait, which the event loop calls; [`crate::deliverer`] implements it.

use contract::{ForegroundIdentity, Scope};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The identity that a daemon took at its start, for its draining step.
#[derive(Clone, Debug)]
pub struct TakenIdentity {
    /// The six facts.
    pub foreground: ForegroundIdentity,
    /// The scope it serves, and no other.
    pub scope: Scope,
}

/// Cancels a drain after its current batch. Cheap to clone and to read.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// A flag that is not raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag, for good.
    pub fn raise(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it is raised.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Outcome of a drain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum DrainOutcome {
    /// Rows were sent, or there were none.
    Drained {
        /// Rows that the server took.
        delivered: u64,
        /// Rows that it had already.
        duplicate: u64,
        /// Rows that were parked.
        parked: u64,
        /// Rows that wait for consent.
        held: u64,
        /// Rows that still wait to leave.
        remaining: u64,
        /// Reason of an early end, if there was one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        stopped: Option<String>,
        /// Time after which trying again makes sense, if that is known: milliseconds from the end.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        retry_after_ms: Option<u64>,
    },
    /// The boundary refused; nothing was sent.
    Refused {
        /// Canonical names of what failed.
        names: Vec<String>,
    },
    /// The login on disk names another scope; nothing was sent, and the daemon retires.
    ScopeChanged {
        /// The scope on disk now; none when logged out.
        now: Option<String>,
    },
    /// Another delivery of the account is under way; nothing was sent.
    Busy {
        /// The lock and its holder.
        detail: String,
    },
    /// The drain could not run.
    Failed {
        /// The problem.
        detail: String,
    },
}

impl fmt::Display for DrainOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drained { delivered, duplicate, parked, held, remaining, stopped, .. } => {
                write!(
                    f,
                    "{delivered} delivered, {duplicate} duplicate, {parked} parked, {held} held, \
                     {remaining} remaining"
                )?;
                stopped.as_ref().map_or(Ok(()), |why| write!(f, "; stopped: {why}"))
            }
            Self::Refused { names } => write!(f, "the boundary refused: {}", names.join(", ")),
            Self::ScopeChanged { now: Some(scope) } => {
                write!(f, "the login on disk is {scope}: nothing was sent")
            }
            Self::ScopeChanged { now: None } => f.write_str("the login on disk is gone: nothing was sent"),
            Self::Busy { detail } => write!(f, "nothing was sent: {detail}"),
            Self::Failed { detail } => write!(f, "the drain failed: {detail}"),
        }
    }
}

impl DrainOutcome {
    /// Whether anything left the machine or was parked.
    pub(crate) fn made_progress(&self) -> bool {
        matches!(self, Self::Drained { delivered, duplicate, parked, .. } if delivered + duplicate + parked > 0)
    }

    /// Time to wait before the next attempt, if that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Drained { retry_after_ms, .. } => retry_after_ms.map(Duration::from_millis),
            Self::Refused { .. } | Self::ScopeChanged { .. } | Self::Busy { .. } | Self::Failed { .. } => {
                None
            }
        }
    }
}

/// Whether rows wait that may leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PendingRows {
    /// None.
    Nothing,
    /// Some.
    Rows,
    /// The queue could not be read.
    Unknown(String),
}

/// The draining step. Called from one thread at a time, never from two.
pub trait Drain: Send {
    /// Looks, and changes nothing.
    fn observe_pending(&mut self) -> PendingRows;

    /// The scope that the login on disk names now, when that can be read.
    fn observe_scope(&mut self) -> ScopeOnDisk;

    /// The id of the queue DB that is drained, once the file has one.
    fn observe_queue_id(&mut self) -> Option<String>;

    /// Judges the boundary again and, if it is coherent, delivers until nothing is left to do or `stop`
    /// is raised.
    fn drain(&mut self, stop: &StopFlag) -> DrainOutcome;
}

/// The scope of the login on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeOnDisk {
    /// The daemon's own.
    Own,
    /// Another one, or none.
    Other(Option<String>),
    /// Something is unreadable: unknown. The daemon keeps waiting; its gate refuses to send.
    Unknown,
}
