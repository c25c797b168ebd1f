//! The form of an event from capture to the wire.

use super::coalesce;
use super::envelope::Envelope;
use super::rejection::{Rejection, RejectionCode};
use super::validate::{Tolerance, validate_event};
use crate::json::{Node, ordered_line};

/// An event that the published contract accepts. Its text is stored and sent byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatedEvent {
    id: String,
    event_type: String,
    project: Option<String>,
    coalesce_key: Option<String>,
    text: String,
}

impl ValidatedEvent {
    /// Validates the text of an event strictly, and keeps it byte for byte.
    ///
    /// # Errors
    /// When the text is not one JSON object, or the contract refuses the event.
    pub fn parse(text: String) -> Result<Self, Rejection> {
        let unreadable =
            |error| Rejection::new(RejectionCode::EnvelopeShapeInvalid, format!("not JSON: {error}"));
        let node = Node::parse(&text).map_err(unreadable)?;
        validate_event(&node, Tolerance::Strict)?;
        let facts = Self::facts(&node);
        Ok(Self { text, ..facts })
    }

    /// An event that is not validated, for tests of storage and transport.
    ///
    /// # Panics
    /// When the text is not JSON, or has no `event_id` or `event_type`.
    #[cfg(feature = "unvalidated")]
    pub fn unvalidated(text: String) -> Self {
        #[allow(clippy::expect_used)]
        let facts = Self::facts(&Node::parse(&text).expect("JSON"));
        assert!(!facts.id.is_empty() && !facts.event_type.is_empty(), "{text}");
        Self { text, ..facts }
    }

    fn facts(event: &Node<'_>) -> Self {
        let text = |key: &str| event.text(key).unwrap_or_default().to_owned();
        Self {
            id: text("event_id"),
            event_type: text("event_type"),
            project: coalesce::project(event),
            coalesce_key: coalesce::key(event),
            text: String::new(),
        }
    }

    /// The event id as written.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// See [`crate::event::kind`].
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// Its project, lower-cased.
    pub fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }

    /// The key under which a newer event may replace it; none for an event that is never replaced.
    pub fn coalesce_key(&self) -> Option<&str> {
        self.coalesce_key.as_deref()
    }

    /// The text that is stored and sent.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Envelope {
    /// Renders the envelope and validates the text.
    ///
    /// # Errors
    /// When the contract refuses the event.
    pub fn validate(&self) -> Result<ValidatedEvent, Rejection> {
        ValidatedEvent::parse(ordered_line(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn envelope(event_type: &str, payload: serde_json::Value) -> Envelope {
        let id = "01M817ZH2NDWK1Q9FRVB7P5TQ3".to_owned();
        Envelope {
            event_id: id.clone(),
            event_type: event_type.to_owned(),
            aggregate_id: "WP01".to_owned(),
            aggregate_type: "WorkPackage".to_owned(),
            schema_version: crate::event::SCHEMA_VERSION.to_owned(),
            build_id: "b".to_owned(),
            payload,
            node_id: "n".to_owned(),
            lamport_clock: 1,
            causation_id: None,
            correlation_id: id,
            timestamp: "2026-05-18T12:00:00+00:00".to_owned(),
            team_slug: Some("T".to_owned()),
            project_uuid: Some("892D6066-b402-45e3-9521-a4ac582672a6".to_owned()),
            project_slug: None,
            git_branch: None,
            head_commit_sha: None,
            repo_slug: None,
        }
    }

    #[test]
    fn accepted_event_keeps_its_text() {
        let payload =
            json!({"wp_id": "WP01", "entry_type": "note", "entry_content": "caf\u{e9}", "author": "dev"});
        let mut envelope = envelope("HistoryAdded", payload);
        envelope.project_slug = Some("demo".to_owned());
        let event = envelope.validate().unwrap();
        assert_eq!((event.id(), event.event_type()), ("01M817ZH2NDWK1Q9FRVB7P5TQ3", "HistoryAdded"));
        assert_eq!(event.project(), Some("892d6066-b402-45e3-9521-a4ac582672a6"));
        assert!(event.text().contains(r#""entry_content": "caf\u00e9""#), "{}", event.text());
        assert_eq!(ValidatedEvent::parse(event.text().to_owned()), Ok(event));
    }

    #[test]
    fn refused_event_has_no_validated_form() {
        assert!(envelope("HistoryAdded", json!({})).validate().is_err());
        for text in ["", "[]", "{}", r#"{"event_id":"a","event_id":"b"}"#] {
            assert!(ValidatedEvent::parse(text.to_owned()).is_err(), "{text}");
        }
    }
}
