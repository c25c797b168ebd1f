//! Refusals: one error envelope, with texts that earlier clients classify correctly.
//!
//! Earlier clients search for keywords in the text of any answer that is not 200. So a refusal for
//! credentials never contains "field", "missing", "type" or "invalid", a refusal for content always
//! contains "field" or "schema", and only a 413 has the keywords of an oversized batch. Releases up to 3.2.7
//! decide by the status instead: see [`sync_protocol`]. Browsers get a page: see [`page`].

mod page;
mod sync_protocol;

pub(crate) use sync_protocol::has_sync_protocol;

use crate::access_log::LogNote;
use crate::config::ServerLimits;
use crate::store::StoreError;
use axum::Json;
use axum::http::header::{CONNECTION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use contract::wire::error::{self, ErrorEnvelope, code};
use contract::wire::health::IngressLimits;

/// A request that is not served.
#[derive(Clone, Debug)]
pub(crate) struct HttpRefusal {
    status: StatusCode,
    code: &'static str,
    envelope: Box<ErrorEnvelope>,
    retry_after: Option<u64>,
    must_close: bool,
}

impl HttpRefusal {
    /// The category of a refusal is its code, except where the wire contract names another.
    fn new(status: StatusCode, error: impl Into<String>, error_code: &'static str) -> Self {
        Self {
            status,
            code: error_code,
            envelope: Box::new(ErrorEnvelope::new(error, error_code, error_code)),
            retry_after: None,
            must_close: false,
        }
    }

    /// 400: the request does not fit the route. The text must contain "field" or "schema".
    pub(crate) fn malformed(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text, code::SCHEMA_MISMATCH)
    }

    /// 400 with the keywords of earlier clients.
    pub(crate) fn no_events() -> Self {
        Self::new(StatusCode::BAD_REQUEST, error::NO_EVENTS, code::SCHEMA_MISMATCH)
    }

    /// 401.
    pub(crate) fn unauthenticated() -> Self {
        let text = "unauthorized: log in again";
        Self::new(StatusCode::UNAUTHORIZED, text, code::AUTH_EXPIRED)
    }

    /// 403: the team is not a private teamspace this token may use, or the token may use none.
    pub(crate) fn missing_private_team() -> Self {
        let text = "direct ingress needs a private teamspace of this account, and X-Team-Slug must be one";
        Self::new(StatusCode::FORBIDDEN, text, code::MISSING_PRIVATE_TEAM)
    }

    /// 403: this server has no WebSocket. Releases up to 3.2.7 print `error_description`.
    pub(crate) fn no_live_channel() -> Self {
        let text =
            "this server has no live channel; events and bodies are delivered by `spec-kitty sync now`";
        let mut refusal = Self::new(StatusCode::FORBIDDEN, text, code::NO_LIVE_CHANNEL);
        refusal.envelope.error_description = Some(text.to_owned());
        refusal
    }

    /// 403 with a sentence that earlier clients print.
    pub(crate) fn forbidden(error_code: &'static str, text: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, text, error_code)
    }

    /// 409 with a sentence that earlier clients print.
    pub(crate) fn conflict(error_code: &'static str, text: &str) -> Self {
        Self::new(StatusCode::CONFLICT, text, error_code)
    }

    /// 404 with an error of the wire contract.
    pub(crate) fn absent(error: &'static str, detail: &str) -> Self {
        let mut refusal = Self::new(StatusCode::NOT_FOUND, error, error);
        refusal.envelope.category = Some(code::NOT_FOUND.to_owned());
        refusal.envelope.detail = Some(detail.to_owned());
        refusal
    }

    /// 413 for a batch, with the limits that would fit.
    pub(crate) fn batch_too_large(limits: &ServerLimits) -> Self {
        Self::too_large(error::BATCH_OVER_LIMIT, limits.advertised())
    }

    /// 413 for anything else.
    pub(crate) fn request_too_large(most: usize) -> Self {
        Self::too_large(
            &format!("payload too large: this route takes {most} bytes"),
            IngressLimits::default(),
        )
    }

    fn too_large(text: &str, limits: IngressLimits) -> Self {
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        let mut refusal = Self::new(status, text, code::BATCH_TOO_LARGE);
        refusal.envelope.category = Some(code::REQUEST_TOO_LARGE.to_owned());
        refusal.envelope.limits = (limits != IngressLimits::default()).then_some(limits);
        refusal
    }

    /// 408: the body did not arrive in time.
    pub(crate) fn too_slow() -> Self {
        let text = "timeout: the request's body did not arrive in time";
        let mut refusal = Self::new(StatusCode::REQUEST_TIMEOUT, text, code::REQUEST_TIMEOUT);
        refusal.envelope.category = Some("retryable_transport".to_owned());
        refusal.closing()
    }

    /// 415.
    pub(crate) fn unknown_encoding() -> Self {
        let text = "schema: Content-Encoding must be gzip or identity";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text, code::SCHEMA_MISMATCH)
    }

    /// 426.
    pub(crate) fn contract_skew() -> Self {
        let text = "this server uses another version of the event contract; update the client or the server";
        Self::new(StatusCode::UPGRADE_REQUIRED, text, code::CONTRACT_SKEW)
    }

    /// 429.
    pub(crate) fn throttled(seconds: u64) -> Self {
        let text = "rate limit: too many requests";
        let mut refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, text, code::THROTTLED);
        refusal.retry_after = Some(seconds);
        refusal
    }

    /// 500: the server has a fault.
    pub(crate) fn internal() -> Self {
        let text = "server error: the server failed at this request";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, text, "internal_error")
    }

    /// 404 for a page: what it would show does not exist, or belongs to others.
    pub(crate) fn no_page() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not found: this server has no such page", code::NOT_FOUND)
    }

    /// 403 for a form that another site, another browser or an earlier session sent.
    pub(crate) fn foreign_form() -> Self {
        Self::new(StatusCode::FORBIDDEN, "the form was not loaded by this browser", "foreign_form")
    }

    /// 503: the store failed. Nothing of the request was stored.
    pub(crate) fn unavailable() -> Self {
        let text = "server error: the server's database is unavailable, nothing was stored";
        let mut refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, text, code::UNAVAILABLE);
        refusal.retry_after = Some(5);
        refusal
    }

    /// Its error code.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// Closes the connection after the answer, because the rest of the body was not read.
    pub(crate) fn closing(mut self) -> Self {
        self.must_close = true;
        self
    }
}

impl From<StoreError> for HttpRefusal {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed");
        Self::unavailable()
    }
}

impl IntoResponse for HttpRefusal {
    fn into_response(self) -> Response {
        let refusal = self.envelope.error_code.clone();
        // The middleware replaces it for clients that need another answer.
        let kept = self.clone();
        let mut response = (self.status, Json(*self.envelope)).into_response();
        response.extensions_mut().insert(kept);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.must_close {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response.extensions_mut().insert(LogNote { refusal, ..LogNote::default() });
        response
    }
}

/// Any path without a route.
pub(crate) async fn not_found() -> HttpRefusal {
    HttpRefusal::new(StatusCode::NOT_FOUND, "not found: this server has no such route", code::NOT_FOUND)
}

pub(crate) async fn method_not_allowed() -> HttpRefusal {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    HttpRefusal::new(status, "this route has no such method", code::METHOD_NOT_ALLOWED)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keywords of earlier clients, in their order.
    fn category(text: &str) -> &'static str {
        let text = text.to_lowercase();
        let tables: [(&str, &[&str]); 8] = [
            (
                "oversized_batch",
                &[
                    "batch payload exceeds decompressed byte limit",
                    "sync_batch_too_large",
                    "request_too_large",
                    "payload too large",
                ],
            ),
            ("throttled", &["rate limit", "rate_limited", "too many requests", "throttle"]),
            ("schema_mismatch", &["invalid", "schema", "field", "missing", "type"]),
            ("auth_expired", &["token", "expired", "unauthorized", "401"]),
            ("direct_ingress_missing_private_team", &["private teamspace", "private team", "direct ingress"]),
            ("retryable_transport", &["timeout", "connection", "network", "unreachable", "unavailable"]),
            ("server_error", &["internal", "500", "502", "503", "504", "server error"]),
            ("unknown", &[""]),
        ];
        let found = tables.into_iter().find(|(_, words)| words.iter().any(|word| text.contains(word)));
        found.map_or("unknown", |(name, _)| name)
    }

    fn classified(refusal: &HttpRefusal) -> &'static str {
        category(refusal.envelope.error.as_deref().unwrap_or_default())
    }

    #[test]
    fn earlier_clients_classify_each_refusal() {
        let limits = ServerLimits::default();
        assert_eq!(classified(&HttpRefusal::batch_too_large(&limits)), "oversized_batch");
        assert_eq!(classified(&HttpRefusal::throttled(1)), "throttled");
        assert_eq!(classified(&HttpRefusal::malformed("field events is missing")), "schema_mismatch");
        assert_eq!(classified(&HttpRefusal::unauthenticated()), "auth_expired");
        assert_eq!(classified(&HttpRefusal::missing_private_team()), "direct_ingress_missing_private_team");
        assert_eq!(classified(&HttpRefusal::too_slow()), "retryable_transport");
        assert!(["retryable_transport", "server_error"].contains(&classified(&HttpRefusal::unavailable())));
    }

    #[test]
    fn only_oversized_requests_have_its_keywords() {
        // Earlier clients search the whole text of every answer.
        let others = [
            HttpRefusal::unauthenticated(),
            HttpRefusal::missing_private_team(),
            HttpRefusal::unavailable(),
            HttpRefusal::throttled(1),
            HttpRefusal::contract_skew(),
            HttpRefusal::too_slow(),
            HttpRefusal::no_events(),
            HttpRefusal::unknown_encoding(),
        ];
        for refusal in others {
            let text = serde_json::to_string(&refusal.envelope).unwrap();
            assert_ne!(category(&text), "oversized_batch", "{text}");
        }
    }
}
