//! The limits a server advertises: `GET /api/v1/sync/health/`.

use super::receipts::NewestStates;
use serde::{Deserialize, Serialize};

/// The version of the limits document.
pub const LIMITS_VERSION: &str = "sync-ingress-limits.v1";

/// Events per batch when a server advertises nothing.
pub const DEFAULT_MAX_EVENTS: u64 = 1000;
/// Decompressed bytes per batch when a server advertises nothing.
pub const DEFAULT_MAX_BYTES: u64 = 262_144;

/// The document.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct SyncHealth {
    /// `ok`.
    #[serde(default)]
    pub status: String,
    /// Limits of ingest.
    #[serde(default)]
    pub sync_ingress: SyncIngress,
    /// Whether the server still has the receipts that the request named; absent when it named none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipts: Option<NewestStates>,
}

/// Limits of ingest.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct SyncIngress {
    /// [`LIMITS_VERSION`].
    #[serde(default)]
    pub contract_version: String,
    /// The limits.
    #[serde(default)]
    pub limits: IngressLimits,
}

/// Limits, each optional. Also part of a 413 answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IngressLimits {
    /// Events in one batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_events_per_batch: Option<u64>,
    /// Bytes of one batch after decompression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_decompressed_bytes_per_batch: Option<u64>,
    /// Seconds to wait at least after a refusal for load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_min_seconds: Option<u64>,
    /// Seconds to wait at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_max_seconds: Option<u64>,
}
