//! The error envelope of every refused request, and its codes.
//!
//! Earlier clients classify errors by words in their text: a content error must contain "field", "missing"
//! or "schema"; an authentication error must not.

use super::health::IngressLimits;
use serde::{Deserialize, Serialize};

/// The body of a refusal. Every key may be absent in another server's answer.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct ErrorEnvelope {
    /// One sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// One of [`code`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The kind of error, for machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// More for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// More for people; some servers use only this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The sentence that releases up to 3.2.7 print for a 403 or 412.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_description: Option<String>,
    /// With 413 and 429.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<IngressLimits>,
    /// With 412.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_protocol: Option<SyncProtocolNote>,
}

/// Text that releases up to 3.2.7 print for a 412, the only answer after which they send a batch again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncProtocolNote {
    /// The cause, and what to do.
    pub upgrade_guidance: String,
}

impl ErrorEnvelope {
    /// An envelope of a sentence, a code and a category.
    pub fn new(error: impl Into<String>, error_code: &str, category: &str) -> Self {
        Self {
            error: Some(error.into()),
            error_code: Some(error_code.to_owned()),
            category: Some(category.to_owned()),
            ..Self::default()
        }
    }

    /// Its most specific text.
    pub fn text(&self) -> Option<&str> {
        [&self.error, &self.message, &self.detail, &self.error_description]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .find(|text| !text.is_empty())
    }

    /// Parses an answer; none when it is not an error envelope.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let value: serde_json::Value = serde_json::from_slice(body).ok()?;
        let text = |key: &str| value.get(key).and_then(|field| field.as_str()).map(str::to_owned);
        value.is_object().then(|| Self {
            error: text("error"),
            error_code: text("error_code"),
            category: text("category"),
            message: text("message"),
            detail: text("detail"),
            error_description: text("error_description"),
            sync_protocol: None,
            limits: value.get("limits").and_then(|limits| serde_json::from_value(limits.clone()).ok()),
        })
    }
}

/// Codes and categories.
pub mod code {
    /// 413: the batch is over a limit.
    pub const BATCH_TOO_LARGE: &str = "sync_batch_too_large";
    /// Category of [`BATCH_TOO_LARGE`].
    pub const REQUEST_TOO_LARGE: &str = "request_too_large";
    /// 403: the team is not a private teamspace of the account.
    pub const MISSING_PRIVATE_TEAM: &str = "direct_ingress_missing_private_team";
    /// 403: the account may not do this.
    pub const UNAUTHORIZED: &str = "unauthorized";
    /// 401: no valid bearer token.
    pub const AUTH_EXPIRED: &str = "auth_expired";
    /// 408: the body did not arrive in time.
    pub const REQUEST_TIMEOUT: &str = "request_timeout";
    /// 429.
    pub const THROTTLED: &str = "throttled";
    /// 400: the request is not of the shape the route takes.
    pub const SCHEMA_MISMATCH: &str = "schema_mismatch";
    /// 426: the client implements another contract version.
    pub const CONTRACT_SKEW: &str = "contract_version_unsupported";
    /// 503: the store does not answer.
    pub const UNAVAILABLE: &str = "server_error";
    /// 404.
    pub const NOT_FOUND: &str = "not_found";
    /// 403: no team of the account has this id.
    pub const UNKNOWN_TEAM: &str = "unknown_team";
    /// 404: no private teamspace of the account has the project.
    pub const UNKNOWN_PROJECT: &str = "unknown_project";
    /// 409: the project is shared with a team.
    pub const PROJECT_SHARED: &str = "project_shared";
    /// 403: the server has no WebSocket.
    pub const NO_LIVE_CHANNEL: &str = "no_live_channel";
    /// 405.
    pub const METHOD_NOT_ALLOWED: &str = "method_not_allowed";
}

/// `error` of a 400 to a batch without events. Earlier clients look for exactly these words.
pub const NO_EVENTS: &str = "No events provided";
/// `error` of a 413. Earlier clients look for these words and send a smaller batch.
pub const BATCH_OVER_LIMIT: &str = "Batch payload exceeds decompressed byte limit";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_envelope_skips_odd_fields_and_rejects_other_shapes() {
        assert_eq!(ErrorEnvelope::parse(b"<html>"), None);
        assert_eq!(ErrorEnvelope::parse(b"[]"), None);
        let odd = ErrorEnvelope::parse(br#"{"error":{"a":1},"detail":"no","limits":7}"#).unwrap();
        assert_eq!(odd.text(), Some("no"));
        let limits = br#"{"error":"x","limits":{"max_events_per_batch":5}}"#;
        assert_eq!(ErrorEnvelope::parse(limits).unwrap().limits.unwrap().max_events_per_batch, Some(5));
    }
}
