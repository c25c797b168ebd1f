//! Error text of a refusal, bounded, and its category in reports.
//!
//! The categories and their order are the reference's (wire rule 2.5), because people grep reports for
//! them. A code takes precedence over the text.

use crate::http::HttpAnswer;
use crate::plan::read_limits;
use contract::wire::IngressLimits;
use contract::wire::error::{ErrorEnvelope, code};
use serde_json::Value;

/// Longest text of a server that is kept, in characters.
const LONGEST: usize = 500;

/// Category of a failure in reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the documentation; the keywords are in `of_text`")]
pub enum Category {
    OversizedBatch,
    OversizedEvent,
    Throttled,
    SchemaMismatch,
    AuthExpired,
    Unauthenticated,
    #[strum(serialize = "direct_ingress_missing_private_team")]
    MissingPrivateTeam,
    RetryableTransport,
    ServerError,
    Unauthorized,
    HistoricalMissionState,
    Unknown,
}

impl Category {
    /// The stable name.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether the same row may be accepted later.
    pub(crate) const fn is_transient(self) -> bool {
        matches!(self, Self::Throttled | Self::RetryableTransport | Self::ServerError)
    }

    /// The category of a sentence, by the first keyword that occurs in it.
    pub fn of_text(text: &str) -> Self {
        let text = text.to_lowercase();
        let found = KEYWORDS.iter().find(|(_, words)| words.iter().any(|word| text.contains(word)));
        found.map_or(Self::Unknown, |(category, _)| *category)
    }
}

const KEYWORDS: &[(Category, &[&str])] = &[
    (
        Category::OversizedBatch,
        &[
            "batch payload exceeds decompressed byte limit",
            "sync_batch_too_large",
            "request_too_large",
            "payload too large",
        ],
    ),
    (Category::OversizedEvent, &["event exceeds decompressed byte limit", "oversized event"]),
    (Category::Throttled, &["rate limit", "rate_limited", "too many requests", "throttle"]),
    (Category::SchemaMismatch, &["invalid", "schema", "field", "missing", "type"]),
    (Category::AuthExpired, &["token", "expired", "unauthorized", "401"]),
    (Category::Unauthenticated, &["not authenticated", "no valid access token"]),
    (
        Category::MissingPrivateTeam,
        &["private teamspace", "private team", "direct ingress", "direct_ingress_missing_private_team"],
    ),
    (Category::RetryableTransport, &["timeout", "connection", "network", "unreachable", "unavailable"]),
    (Category::ServerError, &["internal", "500", "502", "503", "504", "server error"]),
];

/// The error text of a refusal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ErrorText {
    envelope: ErrorEnvelope,
    /// The whole body, when it is JSON.
    body: Option<Value>,
    /// `error` as a code: bodies answer `{"error": "index_entry_not_found"}`.
    pub error: Option<String>,
}

impl ErrorText {
    /// Reads the error text of an answer; none when it is not JSON.
    pub fn of(answer: &HttpAnswer) -> Self {
        let envelope = ErrorEnvelope::parse(answer.body()).unwrap_or_default();
        let body = answer.object().map(Value::from);
        Self { error: envelope.error.clone(), envelope, body }
    }

    /// The JSON body.
    pub fn body(&self) -> Option<&Value> {
        self.body.as_ref()
    }

    /// Limits named in the refusal.
    pub fn limits(&self) -> IngressLimits {
        self.body.as_ref().and_then(|body| body.get("limits")).map(read_limits).unwrap_or_default()
    }

    /// Whether the refusal means that the batch was too large, whatever its status.
    pub(crate) fn is_too_large(&self) -> bool {
        self.envelope.error_code.as_deref() == Some(code::BATCH_TOO_LARGE)
            || self.envelope.category.as_deref() == Some(code::REQUEST_TOO_LARGE)
            || self.category() == Category::OversizedBatch
    }

    /// Codes first, then the sentence.
    pub fn category(&self) -> Category {
        if self.is_about_the_team() {
            return Category::MissingPrivateTeam;
        }
        Category::of_text(&self.texts().collect::<Vec<_>>().join(" "))
    }

    /// Whether the refusal is about the team, not about a project: by code, or by the reference's phrases,
    /// which are narrower than the keywords.
    pub(crate) fn is_about_the_team(&self) -> bool {
        self.texts().chain(self.envelope.category.as_deref()).any(|text| {
            let text = text.to_lowercase();
            text.contains("private teamspace")
                || text.contains(code::MISSING_PRIVATE_TEAM)
                || (text.contains("private team") && text.contains("direct ingress"))
        })
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let envelope = &self.envelope;
        [&envelope.error_code, &envelope.error, &envelope.message, &envelope.detail]
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// Whether it is a refusal of the protocol: an envelope with a sentence or a code in it.
    pub(crate) fn is_by_document(&self) -> bool {
        self.envelope.text().is_some() || self.envelope.error_code.is_some()
    }

    /// Whether a 404 is about the address, not about what was sent.
    pub(crate) fn is_about_the_route(&self) -> bool {
        self.error.is_none() || self.envelope.error_code.as_deref() == Some(code::NOT_FOUND)
    }

    /// One sentence for people, with the status.
    pub fn sentence(&self, status: u16) -> String {
        match self.text() {
            Some(text) => format!("HTTP {status}: {text}"),
            None => format!("HTTP {status}"),
        }
    }

    /// The server's sentence, bounded.
    pub fn text(&self) -> Option<String> {
        if let Some(text) = self.envelope.text() {
            return Some(bounded(text));
        }
        // Some frameworks put a structure where others put a sentence.
        let field = ["detail", "details", "error", "errors"];
        let value = field.into_iter().find_map(|key| self.body.as_ref()?.get(key))?;
        Some(bounded(&value.to_string()))
    }
}

/// At most [`LONGEST`] characters of a text from outside.
pub(crate) fn bounded(text: &str) -> String {
    let text = contract::scope::trim(text);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn error_text(status: u16, body: Value) -> ErrorText {
        ErrorText::of(&HttpAnswer::from_parts(status, None, body.to_string().into_bytes()))
    }

    #[test]
    fn first_keyword_decides() {
        for (text, category) in [
            ("Batch payload exceeds decompressed byte limit", Category::OversizedBatch),
            ("Single event exceeds decompressed byte limit", Category::OversizedEvent),
            ("rate limit exceeded", Category::Throttled),
            ("Invalid token", Category::SchemaMismatch),
            ("token expired", Category::AuthExpired),
            ("Request timeout 504", Category::RetryableTransport),
            ("internal", Category::ServerError),
            ("", Category::Unknown),
        ] {
            assert_eq!(Category::of_text(text), category, "{text}");
        }
    }

    #[test]
    fn code_is_believed_before_prose() {
        let said = error_text(
            403,
            json!({"error": "invalid field", "category": "direct_ingress_missing_private_team"}),
        );
        assert_eq!(said.category(), Category::MissingPrivateTeam);
        assert!(error_text(400, json!({"error_code": "sync_batch_too_large"})).is_too_large());
    }

    #[test]
    fn each_sign_alone_decides() {
        for (body, is_too_large, is_about_the_team, is_by_document) in [
            (json!({}), false, false, false),
            (json!({"error": "no"}), false, false, true),
            (json!({"error_code": "not_this"}), false, false, true),
            (json!({"error_code": "sync_batch_too_large"}), true, false, true),
            (json!({"category": "request_too_large"}), true, false, false),
            (json!({"message": "payload too large"}), true, false, true),
            (json!({"detail": "no private teamspace"}), false, true, true),
            (json!({"error": "private team"}), false, false, true),
            (json!({"error": "direct ingress"}), false, false, true),
            (json!({"error": "direct ingress: no private team"}), false, true, true),
        ] {
            let text = error_text(400, body.clone());
            let found = (text.is_too_large(), text.is_about_the_team(), text.is_by_document());
            assert_eq!(found, (is_too_large, is_about_the_team, is_by_document), "{body}");
        }
    }

    #[test]
    fn long_or_structured_text_is_bounded_and_kept() {
        let said = error_text(400, json!({"error": "x".repeat(10_000)}));
        assert!(said.text().unwrap().chars().count() <= LONGEST + 3);
        let structured = error_text(422, json!({"detail": [{"loc": ["body"], "msg": "no"}]}));
        assert!(structured.sentence(422).contains("\"msg\":\"no\""));
        assert_eq!(
            ErrorText::of(&HttpAnswer::from_parts(502, None, b"<html>".to_vec())).sentence(502),
            "HTTP 502"
        );
    }
}
