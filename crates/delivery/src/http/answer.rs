//! Complete answer: status, `Retry-After` and the bytes.
//!
//! [`HttpAnswer::document`] reads a success, [`HttpAnswer::object`] a refusal. Anything but a document of the
//! protocol (the login page of a portal, an empty answer, an array) is never accepted, with any status.

use super::HttpRequest;
use super::error::SendError;
use crate::server_address::ServerAddress;
use contract::json::read_object;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::io::Read;
use std::time::Duration;
use ureq::http::{Response, header};

/// An answer that was read to its end.
pub struct HttpAnswer {
    /// The HTTP status.
    pub status: u16,
    /// `Retry-After`, as written.
    pub retry_after: Option<RetryAfter>,
    body: Vec<u8>,
}

/// The two forms of a `Retry-After` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// Seconds from now.
    Seconds(u64),
    /// A date.
    At(Timestamp),
}

/// The body is not a document of the protocol. Never repeats the body: it could echo a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOfProtocol {
    /// It is not the JSON that was expected.
    #[error(
        "the answer is not one of this protocol: {size} bytes, not the expected JSON from line {line} column {column}"
    )]
    NotJson {
        /// Bytes of the body.
        size: usize,
        /// Line of the error, from 1; 0 where there is no place.
        line: usize,
        /// From 1; 0 where there is no place.
        column: usize,
    },
    /// It is, and a field holds a value outside the protocol.
    #[error("the answer is not one of this protocol: {0}")]
    Fault(&'static str),
}

/// A document that a success may hold. Implemented for each in [`super::documents`].
pub trait ProtocolDocument<'a>: Deserialize<'a> {
    /// A fault that no server of the protocol sends, without any value of the document.
    fn fault(&self) -> Option<&'static str>;
}

impl HttpAnswer {
    /// Builds an answer from its parts, as a test or a stub would receive it.
    pub fn from_parts(status: u16, retry_after: Option<RetryAfter>, body: Vec<u8>) -> Self {
        Self { status, retry_after, body }
    }

    pub(super) fn read(
        to: &ServerAddress,
        response: Response<ureq::Body>,
        request: &HttpRequest<'_>,
    ) -> Result<Self, SendError> {
        let limit = request.answer_limit;
        let (parts, body) = response.into_parts();
        let retry_after = parts
            .headers
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(RetryAfter::parse);
        let mut bytes = Vec::new();
        body.into_reader()
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| SendError::while_reading(to, error))?;
        if bytes.len() as u64 > limit {
            return Err(SendError::TooLarge { host: to.host().to_string(), limit });
        }
        if let Some(bearer) = request.bearer {
            bytes = bearer.mask(bytes);
        }
        Ok(Self { status: parts.status.as_u16(), retry_after, body: bytes })
    }

    /// The body as received.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The document of a successful answer: a JSON object of that shape, without a fault.
    ///
    /// # Errors
    /// When it is anything else: not JSON, no object, a field missing or of another type, nested deeper than
    /// serde_json follows, or a document with values outside the protocol.
    pub fn document<'a, T: ProtocolDocument<'a>>(&'a self) -> Result<T, NotOfProtocol> {
        let document: T = read_object(&self.body).map_err(|error| NotOfProtocol::NotJson {
            size: self.body.len(),
            line: error.line(),
            column: error.column(),
        })?;
        match document.fault() {
            Some(fault) => Err(NotOfProtocol::Fault(fault)),
            None => Ok(document),
        }
    }

    /// The JSON object that the body is, whatever the status.
    pub fn object(&self) -> Option<Map<String, Value>> {
        read_object(&self.body).ok()
    }

    /// Whether the body is something, and no JSON object: a page of a portal or of a proxy. A refusal that
    /// holds one is not the server's.
    pub fn is_foreign(&self) -> bool {
        !self.body.trim_ascii().is_empty() && self.object().is_none()
    }
}

impl std::fmt::Debug for HttpAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The body of a login answer is a token.
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("retry_after", &self.retry_after)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

impl Drop for HttpAnswer {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.body);
    }
}

impl RetryAfter {
    /// Reads a header value: whole seconds, or an HTTP date. Anything else is as if it were absent.
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        if let Ok(seconds) = value.parse::<u64>() {
            return Some(Self::Seconds(seconds));
        }
        let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
        Some(Self::At(date))
    }

    /// Time to wait, counted from `now`.
    pub fn from_now(self, now: Timestamp) -> Duration {
        match self {
            Self::Seconds(seconds) => Duration::from_secs(seconds),
            Self::At(date) => Duration::try_from(date.duration_since(now)).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "1994-11-06T08:49:00Z".parse().unwrap();
        let seconds = |text| RetryAfter::parse(text).map(|after| after.from_now(now).as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(37));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0), "the past means now");
        for nonsense in ["", "soon", "-1", "1.5", "99999999999999999999999"] {
            assert_eq!(seconds(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn answer_never_shows_its_body() {
        let answer = HttpAnswer::from_parts(200, None, b"{\"access_token\":\"s3cret\"".to_vec());
        let error = answer.document::<contract::wire::TokenGrant>().unwrap_err();
        assert!(!format!("{answer:?} {error} {error:?}").contains("s3cret"));
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_crash() {
        let answer = HttpAnswer::from_parts(200, None, "[".repeat(200_000).into_bytes());
        assert!(answer.object().is_none());
        let answer = HttpAnswer::from_parts(200, None, "{\"a\":".repeat(200_000).into_bytes());
        assert!(answer.object().is_none());
    }
}
