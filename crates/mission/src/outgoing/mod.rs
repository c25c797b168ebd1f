//! From local facts to rows of the queue.
//!
//! | module | owns |
//! |---|---|
//! | [`table`] | which local row becomes which event, and which rows are not sent |
//! | [`payload`] | which keys of a local row are sent: an allow-list per event type |
//! | `envelope` | the envelope around it, judged by the published contract |
//! | `dossier` | events and bodies of the documents |
//! | `captured_cache` | cache of the documents that this checkout captured last |
//!
//! Invariants. Nothing here can open a queue without a [`CapturePermit`]. An event derived from a log row has that
//! row's id, and an event about documents an id that is derived from its content; so a second capture is a duplicate
//! for queue and server. A payload has only keys of its allow-list. Every event is valid under the published contract before
//! anything is written.

mod captured_cache;
mod dossier;
mod envelope;
pub mod payload;
pub mod table;

pub(crate) use captured_cache::CapturedCache;
pub use captured_cache::read_incomplete_captures;
pub(crate) use dossier::{Documents, plan_dossier_rows};
pub(crate) use envelope::{Origin, Stamp, draft_to_row};

use gate::CapturePermit;
use identity::{Config, Environment, Home};
use queue::{Captured, Settled};
use serde::Serialize;

/// Inputs of capturing, for a producing command; without them it works on the repository alone.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The right to add facts.
    pub permit: &'a CapturePermit,
    /// The state directory, for the clock.
    pub home: &'a Home,
    /// Consent and capacity.
    pub config: &'a Config,
    /// For the project's identity.
    pub environment: &'a Environment,
}

/// Result of capturing the facts of a command. JSON: `capture{state, events, bodies, already, coalesced,
/// waiting, settled{}}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CaptureReport {
    /// Whether they were captured, and why not.
    pub state: CaptureState,
    /// Number of rows captured; none when nothing was to be captured.
    #[serde(flatten)]
    pub captured: Option<Captured>,
    /// Rows of earlier, interrupted commands that were settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
}

/// Whether facts were captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureState {
    /// Hosted sync is off, or `--local-only` was given.
    #[default]
    Local,
    /// This project is opted out.
    OptedOut,
    /// They wait in the queue.
    Captured,
}

impl CaptureReport {
    /// The closing line of a producing command; none when it worked locally by choice.
    pub fn line(&self) -> Option<String> {
        let plural =
            |count: u64, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
        match (self.state, &self.captured) {
            (CaptureState::Captured, Some(captured)) => Some(format!(
                "captured {}, {}; {} waiting",
                plural(captured.events, "event", "events"),
                plural(captured.bodies, "body", "bodies"),
                captured.waiting
            )),
            (CaptureState::OptedOut, _) => Some("captured nothing: this project is opted out".into()),
            _ => None,
        }
    }
}
