//! Consent: the decisions of config.toml, applied to the holds of waiting rows.

use crate::store::unix_seconds;
use contract::Consent;
use jiff::Timestamp;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Origin of a row: the keys under which config.toml may have a decision.
///
/// A project that was used from two checkouts has two origins, and each row keeps its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RowOrigin {
    /// The project, lower-cased; none for rows without a project.
    pub project_uuid: Option<String>,
    /// `owner/repository`, when known.
    pub repo_slug: Option<String>,
    /// The canonical checkout directory, when known.
    #[serde(serialize_with = "raw_path")]
    pub checkout: Option<PathBuf>,
}

fn raw_path<S: serde::Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => serializer.serialize_some(&path.to_string_lossy()),
        None => serializer.serialize_none(),
    }
}

impl RowOrigin {
    /// The checkout as a path.
    pub fn checkout(&self) -> Option<&Path> {
        self.checkout.as_deref()
    }
}

/// The present decisions of config.toml. Read before every batch, so that an opt-out applies from the next
/// batch on.
pub trait ConsentView {
    /// The decision about the rows of `place`.
    fn consent(&self, place: &RowOrigin) -> Consent;

    /// A number that changes whenever a decision changes; none when changes are not tracked.
    fn version(&self) -> Option<u64> {
        None
    }
}

impl<F: Fn(&RowOrigin) -> Consent> ConsentView for F {
    fn consent(&self, place: &RowOrigin) -> Consent {
        self(place)
    }
}

/// Stored condition for sending a waiting row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Hold {
    /// Captured by this program, or released: sent unless its project is opted out.
    Free = 0,
    /// Written by another program: sent only if its project is opted in.
    Foreign = 1,
    /// Sent only after a release.
    Sealed = 2,
}

impl Hold {
    pub(crate) const ALL: [Self; 3] = [Self::Free, Self::Foreign, Self::Sealed];

    /// From storage; an unknown stored value means `Sealed`.
    pub(crate) fn from_stored(value: i64) -> Self {
        Self::ALL.into_iter().find(|hold| *hold as i64 == value).unwrap_or(Self::Sealed)
    }

    /// Of a row that another program wrote.
    pub(crate) fn of_foreign(drain_blocked_reason: Option<&str>) -> Self {
        if drain_blocked_reason == Some("sync_disabled") { Self::Sealed } else { Self::Foreign }
    }

    /// The first instant (Unix seconds) of rows with this hold that may be sent under `consent`, or why none may.
    pub(crate) fn leaves_from(self, consent: Consent) -> Result<f64, HoldReason> {
        match (self, consent) {
            (_, Consent::OptedOut) => Err(HoldReason::OptedOut),
            (Self::Sealed, _) => Err(HoldReason::Sealed),
            (Self::Foreign, Consent::Unset) => Err(HoldReason::NeverOptedIn),
            (Self::Foreign, Consent::OptedIn(start)) => Ok(instant(start.foreign)),
            (Self::Free, Consent::OptedIn(start)) => Ok(instant(start.captured)),
            (Self::Free, Consent::Unset) => Ok(f64::NEG_INFINITY),
        }
    }

    /// Reason why a row of this instant may not be sent under `consent`; none if it may. A row without a date counts
    /// as the oldest.
    pub(crate) fn reason(self, consent: Consent, at: Option<f64>) -> Option<HoldReason> {
        match self.leaves_from(consent) {
            Ok(from) if from == f64::NEG_INFINITY || at.is_some_and(|at| at >= from) => None,
            Ok(_) => Some(HoldReason::Sealed),
            Err(reason) => Some(reason),
        }
    }
}

/// The first instant of an opt-in.
fn instant(start: Timestamp) -> f64 {
    if start == Timestamp::MIN { f64::NEG_INFINITY } else { unix_seconds(start) }
}

/// Reason why a row is held (contract section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// Its project is opted out.
    OptedOut,
    /// It was not captured by this program and its project was never opted in.
    NeverOptedIn,
    /// It was written with sync disabled, or waited when its project was opted in: only
    /// `--include-held` releases it.
    Sealed,
}

/// The rows of one project that wait for a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldRows {
    /// The project; none for rows without one.
    pub project_uuid: Option<String>,
    /// Its `owner/repo`, as far as one of its rows or its checkout names it.
    pub repo_slug: Option<String>,
    /// Events held.
    pub events: u64,
    /// Bodies held.
    pub bodies: u64,
    /// Reason of the hold.
    pub reason: HoldReason,
}

/// Rows that a change of consent moved, or would move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HeldChange {
    /// Events.
    pub events: u64,
    /// Bodies.
    pub bodies: u64,
}
