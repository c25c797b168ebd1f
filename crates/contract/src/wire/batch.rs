//! Event ingest: `POST /api/v1/events/batch/`.
//!
//! The request is `{"events":[envelope, ...]}`; the 200 answer has one result per submitted event,
//! its id exactly as it was sent. Rejections are per event; a whole batch fails only when it cannot
//! be read, is empty, too large, or not allowed.

use serde::{Deserialize, Deserializer, Serialize};

/// Bytes of `{"events":[` and `]}`: what a batch weighs beside its events and the commas between.
pub const FRAME_BYTES: usize = 13;

/// The result of one event in a 200 answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventStatus {
    /// Stored: `success`, `accepted` or `warning`.
    Accepted,
    /// Was stored before: `duplicate`.
    Duplicate,
    /// Anything else.
    Rejected,
}

impl EventStatus {
    /// The status that this server sends.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "success",
            Self::Duplicate => "duplicate",
            Self::Rejected => "rejected",
        }
    }

    /// Parses a server's status; an unknown one means rejected.
    pub fn parse(status: &str) -> Self {
        match status {
            "success" | "accepted" | "warning" => Self::Accepted,
            "duplicate" => Self::Duplicate,
            _ => Self::Rejected,
        }
    }
}

/// One event's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventResult {
    /// As it was sent; none when the answer is not text.
    #[serde(default, deserialize_with = "text_or_nothing")]
    pub event_id: Option<String>,
    /// The status as sent; [`EventResult::outcome`] parses it.
    #[serde(default)]
    pub status: String,
    /// A short error text.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text_or_nothing")]
    pub error: Option<String>,
    /// A message for people.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text_or_nothing")]
    pub error_message: Option<String>,
    /// A code of [`crate::event::RejectionCode`], or another server's.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text_or_nothing")]
    pub code: Option<String>,
    /// Path of the fault, as [`crate::event::Rejection::path_text`] writes it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text_or_nothing")]
    pub path: Option<String>,
    /// Names of the tolerated deviations ([`crate::event::Deviation`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub legacy_shape: Vec<String>,
    /// With `duplicate`: the server holds other bytes under this id, and keeps them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub content_differs: bool,
}

impl EventResult {
    /// The parsed status.
    pub fn outcome(&self) -> EventStatus {
        EventStatus::parse(&self.status)
    }

    /// The rejection text of the answer.
    pub fn reason(&self) -> &str {
        self.error_message.as_deref().or(self.error.as_deref()).unwrap_or("Unknown error")
    }
}

/// The 200 answer.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct BatchResponse {
    /// One per submitted event.
    #[serde(default)]
    pub results: Vec<EventResult>,
}

fn text_or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value.as_str().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_of_another_server_is_read_leniently() {
        let text = r#"{"results":[{"event_id":"a","status":"warning","extra":1},
            {"event_id":7,"status":"rejected","error":{"x":1},"error_message":"field missing"},{}],"took":3}"#;
        let answer: BatchResponse = serde_json::from_str(text).unwrap();
        assert_eq!(answer.results[0].outcome(), EventStatus::Accepted);
        assert_eq!(answer.results[1].event_id, None);
        assert_eq!(answer.results[1].reason(), "field missing");
        assert_eq!(answer.results[2].outcome(), EventStatus::Rejected);
    }

    #[test]
    fn frame_size_equals_its_declared_size() {
        assert_eq!(r#"{"events":[]}"#.len(), FRAME_BYTES);
    }
}
