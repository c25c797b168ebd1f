//! Rejection of an event: a code of a closed list, a message and the path of the value.

use serde::{Serialize, Serializer};

/// The closed list of rejection codes of the published contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum RejectionCode {
    /// A key from before the cut-over, at any depth.
    ForbiddenKey,
    /// A lane outside the vocabulary, or a move the lane rules forbid.
    UnknownLane,
    /// The payload is not of its type's shape, or breaks a rule between its fields.
    PayloadSchemaFail,
    /// The envelope is not of the published shape.
    EnvelopeShapeInvalid,
    /// A row of a local log, not an event.
    RawHistoricalRow,
}

impl RejectionCode {
    /// The wire form.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// One step of the path from the envelope to the rejected value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathStep {
    /// Into an object.
    Key(String),
    /// Into an array.
    Index(usize),
}

impl Serialize for PathStep {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Key(key) => serializer.serialize_str(key),
            Self::Index(index) => serializer.serialize_u64(*index as u64),
        }
    }
}

/// A refused event. JSON: `{code, message, path: [key or index, ...]}`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code} at {}: {message}", self.path_text())]
pub struct Rejection {
    /// The broken rule.
    pub code: RejectionCode,
    /// The fault in one sentence, which names keys and never quotes a value.
    pub message: String,
    /// The rejected value; empty for the event as a whole.
    pub path: Vec<PathStep>,
}

impl Rejection {
    /// A rejection of the event as a whole; [`Rejection::under`] adds the path to the value.
    pub fn new(code: RejectionCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), path: Vec::new() }
    }

    /// The same rejection, seen from the object one level up.
    #[must_use]
    pub fn under(mut self, key: &str) -> Self {
        self.path.insert(0, PathStep::Key(key.to_owned()));
        self
    }

    /// The same rejection, seen from the array one level up.
    #[must_use]
    pub fn at(mut self, index: usize) -> Self {
        self.path.insert(0, PathStep::Index(index));
        self
    }

    /// The path as text: `payload.evidence.repos[0].branch`, or `event`.
    pub fn path_text(&self) -> String {
        let mut out = String::new();
        for step in &self.path {
            match step {
                PathStep::Key(key) if out.is_empty() => out.push_str(key),
                PathStep::Key(key) => {
                    out.push('.');
                    out.push_str(key);
                }
                PathStep::Index(index) => out.push_str(&format!("[{index}]")),
            }
        }
        if out.is_empty() { "event".to_owned() } else { out }
    }
}

impl Serialize for Rejection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut out = serializer.serialize_struct("Rejection", 3)?;
        out.serialize_field("code", self.code.name())?;
        out.serialize_field("message", &self.message)?;
        out.serialize_field("path", &self.path)?;
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_dotted_text_and_serialises_as_steps() {
        let rejection = Rejection::new(RejectionCode::PayloadSchemaFail, "field is missing")
            .under("branch")
            .at(0)
            .under("repos")
            .under("payload");
        assert_eq!(rejection.path_text(), "payload.repos[0].branch");
        assert_eq!(
            serde_json::to_value(&rejection).unwrap(),
            serde_json::json!({"code": "PAYLOAD_SCHEMA_FAIL", "message": "field is missing",
                "path": ["payload", "repos", 0, "branch"]})
        );
    }
}
