//! The published event contract (`spec-kitty-events` 5.2): what one event looks like.
//!
//! Owned here: ids, the envelope, cut-over and forbidden keys, the payload shape of every event
//! type, the moves between lanes, the closed list of rejection codes. The
//! client judges a row with it when it captures, the server when it ingests, so the two can never
//! disagree. Never here: reading or writing anything.
//!
//! | module | owns |
//! |---|---|
//! | [`id`] | event ids: the three accepted spellings and their canonical form |
//! | [`kind`] | the names of the event types this program produces |
//! | [`envelope`] | the envelope as we write it |
//! | [`rejection`] | why an event is not accepted |
//! | [`shape`] | the small language the payload tables are written in |
//! | [`transition`] | which move between lanes the contract allows |
//! | [`legacy`] | the deviations of earlier clients that the server tolerates, and flags |
//! | [`validate`] | the judgement |
//! | [`ValidatedEvent`] | the form of an event from its capture to the wire |
//! | `coalesce` | which newer event replaces an older one that was never sent |
//!
//! Invariants: a judgement depends on the event alone; no input panics; the strict judgement of
//! [`judge`] accepts nothing that the contract's own models refuse.

mod coalesce;
pub mod envelope;
pub mod id;
pub mod kind;
pub mod legacy;
mod payload;
pub mod rejection;
pub mod shape;
pub mod transition;
pub mod validate;
mod validated;

pub use crate::json::Node;
pub use envelope::Envelope;
pub use legacy::Deviation;
pub use rejection::{Rejection, RejectionCode, Step};
pub use validate::{
    EventSummary, Tolerance, judge, judge_cut_over, judge_envelope, known_types, validate_payload,
};
pub use validated::ValidatedEvent;

/// The envelope version that marks an event as written after the cut-over. Matched exactly.
pub const SCHEMA_VERSION: &str = "3.0.0";

/// Keys that no object at any depth of an event may have. Values are never inspected.
pub const FORBIDDEN_KEYS: [&str; 4] =
    ["feature_slug", "feature_number", "mission_key", "legacy_aggregate_id"];

/// Event types of the time before the cut-over.
pub const FORBIDDEN_TYPES: [&str; 2] = ["FeatureCreated", "FeatureClosed"];

/// First `/`-segments of an `aggregate_id` of the time before the cut-over.
pub const FORBIDDEN_AGGREGATES: [&str; 2] = ["feature", "feature_catalog"];
