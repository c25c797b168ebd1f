//! The published event contract (`spec-kitty-events` 5.2): what one event looks like.
//!
//! Client (at capture) and server (at ingest) validate with the same code.
//!
//! | module | owns |
//! |---|---|
//! | [`id`] | event ids: the three accepted spellings and their canonical form |
//! | [`kind`] | event types that this program produces |
//! | [`envelope`] | the event envelope that this program writes |
//! | [`rejection`] | rejection of an event: code, message, path |
//! | [`shape`] | payload schemas and the check of a value against one |
//! | [`transition`] | lane transitions that the contract allows |
//! | [`legacy`] | deviations of earlier clients that the server tolerates and flags |
//! | [`validate`] | validation of an event |
//! | [`ValidatedEvent`] | the form of an event from its capture to the wire |
//! | `coalesce` | which newer event replaces an older one that was never sent |
//!
//! Invariants: the result depends on the event alone; no input panics; under [`Tolerance::Strict`]
//! nothing is accepted that the contract's own models refuse.

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
pub use rejection::{PathStep, Rejection, RejectionCode};
pub use validate::{
    EventSummary, Tolerance, known_types, validate_cut_over, validate_envelope, validate_event,
    validate_payload,
};
pub use validated::ValidatedEvent;

/// The envelope version that marks an event as written after the cut-over. Matched exactly.
pub const SCHEMA_VERSION: &str = "3.0.0";

/// Keys that no object at any depth of an event may have. Values are never inspected.
pub const FORBIDDEN_KEYS: [&str; 4] =
    ["feature_slug", "feature_number", "mission_key", "legacy_aggregate_id"];

/// Event types from before the cut-over.
pub(crate) const FORBIDDEN_TYPES: [&str; 2] = ["FeatureCreated", "FeatureClosed"];

/// First `/`-segments of an `aggregate_id` from before the cut-over.
pub(crate) const FORBIDDEN_AGGREGATES: [&str; 2] = ["feature", "feature_catalog"];
