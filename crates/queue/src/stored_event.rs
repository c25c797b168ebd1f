//! Stored events: the few members that decide account, project and hold.
//!
//! The `data` column is opaque text, perhaps written by Python, so it is read leniently. Of duplicate keys
//! the last one counts, as in every JSON reader involved.

use contract::json::{lenient_text, members};
use std::borrow::Cow;
use std::convert::Infallible;

/// Larger events are not decoded: no server takes them, so they are parked with their payload.
pub(crate) const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The members of an event's text that decide something, each as written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StoredEvent<'a> {
    event_id: Option<&'a [u8]>,
    team_slug: Option<&'a [u8]>,
    project_uuid: Option<&'a [u8]>,
    repo_slug: Option<&'a [u8]>,
    drain_blocked_reason: Option<&'a [u8]>,
    namespace: Option<&'a [u8]>,
    payload: Option<&'a [u8]>,
}

impl<'a> StoredEvent<'a> {
    /// Reads an event that is one JSON object. The error gives the reason why it is not.
    pub(crate) fn read(data: &'a [u8]) -> Result<Self, String> {
        if data.len() > MAX_BYTES {
            return Err(format!("{} bytes is more than the {MAX_BYTES} that are read", data.len()));
        }
        let text = std::str::from_utf8(data).map_err(|error| format!("not UTF-8: {error}"))?;
        // The syntax alone: escapes of lone surrogates pass, and depth costs no stack.
        serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| error.to_string())?;
        if !data.trim_ascii_start().starts_with(b"{") {
            return Err("not a JSON object".to_owned());
        }
        Ok(Self::scan(data))
    }

    /// Reads what there is, of any size and up to where the syntax ends.
    pub(crate) fn scan(data: &'a [u8]) -> Self {
        let mut event = Self::default();
        let Ok(members) = members(data, |_| Ok::<_, Infallible>(()));
        for member in members {
            let slot = match member.name.as_ref() {
                "event_id" => &mut event.event_id,
                "team_slug" => &mut event.team_slug,
                "project_uuid" => &mut event.project_uuid,
                "repo_slug" => &mut event.repo_slug,
                "drain_blocked_reason" => &mut event.drain_blocked_reason,
                "namespace" => &mut event.namespace,
                "payload" => &mut event.payload,
                _ => continue,
            };
            *slot = data.get(member.value);
        }
        event
    }

    pub(crate) fn event_id(&self) -> Option<String> {
        text(self.event_id)
    }

    pub(crate) fn team_slug(&self) -> Option<String> {
        text(self.team_slug.filter(|value| !is_left_out(value)))
    }

    pub(crate) fn repo_slug(&self) -> Option<String> {
        text(self.repo_slug)
    }

    pub(crate) fn drain_blocked_reason(&self) -> Option<String> {
        text(self.drain_blocked_reason)
    }

    /// The project by the rule of the earlier releases: the namespace's, else the envelope's, else the
    /// payload's; lower-cased.
    pub(crate) fn project_uuid(&self) -> Option<String> {
        let payload = self.payload.map(Self::scan).unwrap_or_default();
        let namespaced =
            |value: Option<&'a [u8]>| value.and_then(|value| text(Self::scan(value).project_uuid));
        namespaced(self.namespace)
            .or_else(|| namespaced(payload.namespace))
            .or_else(|| text(self.project_uuid))
            .or_else(|| text(payload.project_uuid))
            .map(|uuid| contract::scope::trim(&uuid).to_lowercase())
            .filter(|uuid| !uuid.is_empty())
    }
}

/// The `event_id` of one line of a canonical log, if it is a JSON object with one.
pub(crate) fn read_event_id(line: &[u8]) -> Option<String> {
    StoredEvent::read(line).ok()?.event_id()
}

fn text(value: Option<&[u8]>) -> Option<String> {
    value.and_then(lenient_text).map(Cow::into_owned)
}

/// Whether Python takes a `team_slug` of this value for left out.
fn is_left_out(value: &[u8]) -> bool {
    matches!(value, b"null" | b"false" | b"[]" | b"{}")
        || std::str::from_utf8(value)
            .is_ok_and(|value| value.parse::<f64>().is_ok_and(|number| number == 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &str) -> StoredEvent<'_> {
        StoredEvent::read(data.as_bytes()).expect("an event")
    }

    #[test]
    fn namespace_outranks_envelope_and_envelope_payload() {
        for (data, project) in [
            (r#"{"project_uuid":"E","payload":{"project_uuid":"P"}}"#, Some("e")),
            (r#"{"payload":{"project_uuid":"P"}}"#, Some("p")),
            (r#"{"project_uuid":"E","payload":{"namespace":{"project_uuid":" N "}}}"#, Some("n")),
            (r#"{"namespace":{"project_uuid":"A"},"payload":{"namespace":{"project_uuid":"N"}}}"#, Some("a")),
            (r#"{"project_uuid":null,"payload":null}"#, None),
            (r#"{"project_uuid":"","payload":[1]}"#, None),
        ] {
            assert_eq!(read(data).project_uuid().as_deref(), project, "{data}");
        }
        let broken = br#"{"x":NaN,"project_uuid":"E","payload":{"namespace":{"project_uuid":" N "}}}"#;
        assert_eq!(StoredEvent::scan(broken).project_uuid().as_deref(), Some("n"));
    }

    #[test]
    fn lone_surrogate_leaves_an_event_readable() {
        let event = read(
            r#"{"team_slug":"T","note \ud83d":"\udc80","payload":{"x":"\ud800"},"project_uuid":"\udfff"}"#,
        );
        assert_eq!(event.team_slug().as_deref(), Some("T"));
        assert!(event.project_uuid().is_some());
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = format!(
            r#"{{"x":{}{},"payload":{{"y":{}{}}},"team_slug":"t"}}"#,
            "[".repeat(1_000_000),
            "]".repeat(1_000_000),
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert_eq!(read(&deep).team_slug().as_deref(), Some("t"));
    }

    #[test]
    fn text_that_is_no_object_is_refused() {
        for bad in ["", "nul", "[]", "7", "{\"a\":1", "{\"a\":1}x", "{\"a\":NaN}", "{1:2}"] {
            assert!(StoredEvent::read(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(StoredEvent::read(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn falsy_team_is_left_out() {
        for raw in ["null", "false", "0", "-0", "0.0", "0e9", "[]", "{}", "\"\""] {
            let data = format!("{{\"team_slug\":{raw}}}");
            assert_eq!(read(&data).team_slug(), None, "{raw}");
        }
        assert_eq!(read(r#"{"team_slug":"0"}"#).team_slug().as_deref(), Some("0"));
    }

    #[test]
    fn value_that_is_no_string_is_its_text() {
        let event = read(r#"{"team_slug":7,"project_uuid":true}"#);
        assert_eq!(event.team_slug().as_deref(), Some("7"));
        assert_eq!(event.project_uuid().as_deref(), Some("true"));
    }
}
