//! The event envelope that this program writes.
//!
//! Its key order is the reference client's, so that recordings of both compare line by line.

use serde::Serialize;
use serde_json::Value;

/// One event. Serialises to the text that is validated, stored and sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Envelope {
    /// A ULID; the id of the local row when the event derives from one.
    pub event_id: String,
    /// See [`crate::event::kind`].
    pub event_type: String,
    /// Its subject: a work package id, a mission id or a build id.
    pub aggregate_id: String,
    /// `Build`, `WorkPackage`, `Mission` or `MissionDossier`.
    pub aggregate_type: String,
    /// [`crate::event::SCHEMA_VERSION`].
    pub schema_version: String,
    /// The checkout that produced it.
    pub build_id: String,
    /// Its shape depends on the type.
    pub payload: Value,
    /// The emitter, for ordering.
    pub node_id: String,
    /// Per home; never below a value this home has used.
    pub lamport_clock: u64,
    /// The event that caused it.
    pub causation_id: Option<String>,
    /// The chain it belongs to; its own id at the start of one.
    pub correlation_id: String,
    /// Time at the producer, ISO 8601 with offset. Never replaced.
    pub timestamp: String,
    /// The private teamspace's id, in its original case.
    pub team_slug: Option<String>,
    /// The project.
    pub project_uuid: Option<String>,
    /// The project's name.
    pub project_slug: Option<String>,
    /// The branch that was checked out.
    pub git_branch: Option<String>,
    /// Its head.
    pub head_commit_sha: Option<String>,
    /// `owner/repo`.
    pub repo_slug: Option<String>,
}
