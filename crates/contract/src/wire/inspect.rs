//! The rows that a server stores. Routes of this server only, to compare its rows with the sent ones.

use serde::{Deserialize, Serialize};

/// Rows per answer at most.
pub const PAGE: u64 = 1000;

/// One event that the server stores, without its content unless asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InspectedEvent {
    /// Position in the server's order of arrival.
    pub seq: u64,
    /// As it was sent.
    pub event_id: String,
    /// Its type.
    pub event_type: String,
    /// Id of its subject.
    pub aggregate_id: String,
    /// The team it belongs to.
    pub team: String,
    /// The project, when it names one.
    pub project_uuid: Option<String>,
    /// Time at which the server committed it, ISO 8601 UTC.
    pub received_at: String,
    /// SHA-256 of the bytes as they arrived.
    pub digest: String,
    /// Names of tolerated deviations.
    #[serde(default)]
    pub legacy_shape: Vec<String>,
    /// With `content=1`: the event's bytes as they arrived, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// One body that the server stores, without its content unless asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InspectedBody {
    /// Position in the server's order of arrival.
    pub seq: u64,
    /// The team it belongs to.
    pub team: String,
    /// The project.
    pub project_uuid: String,
    /// The mission.
    pub mission_slug: String,
    /// The branch.
    pub target_branch: String,
    /// Relative to the mission.
    pub artifact_path: String,
    /// SHA-256 of the content.
    pub content_hash: String,
    /// Bytes of the content.
    pub size_bytes: u64,
    /// Time at which the server committed it, ISO 8601 UTC.
    pub received_at: String,
    /// With `content=1`: the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// Rows per answer at most when they carry their content.
pub const PAGE_WITH_CONTENT: u64 = 20;

/// A page of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// Rows that match in all, over all pages.
    pub total: u64,
    /// The rows of this page, oldest first.
    pub rows: Vec<T>,
    /// Pass as `after` for the next page; nothing on the last one.
    pub next: Option<u64>,
}
