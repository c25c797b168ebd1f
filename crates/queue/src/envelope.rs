//! What a stored event says about itself: team, project, repository.
//!
//! The `data` column is opaque text. It may have been written by Python, whose `json` module emits
//! escapes of lone surrogates that a strict reader refuses, so only the few keys that decide
//! something are decoded, leniently; everything else is checked for syntax and skipped. Skipping does
//! not recurse, so depth costs no stack. Duplicate keys: the last one counts, as in every JSON reader
//! involved.

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Larger envelopes are not decoded: no server takes them, so they are parked with their payload.
pub(crate) const MAX_BYTES: usize = 16 * 1024 * 1024;

/// An event's text, checked to be one JSON object; its keys are decoded when they are asked for.
#[derive(Default)]
pub(crate) struct Envelope<'a>(Top<'a>);

impl<'a> Envelope<'a> {
    /// Reads an envelope. The error says why it is not one.
    pub(crate) fn read(data: &'a [u8]) -> Result<Self, String> {
        if data.len() > MAX_BYTES {
            return Err(format!("{} bytes is more than the {MAX_BYTES} that are read", data.len()));
        }
        let text = std::str::from_utf8(data).map_err(|error| format!("not UTF-8: {error}"))?;
        serde_json::from_str(text).map(Self).map_err(|error| error.to_string())
    }

    pub(crate) fn event_id(&self) -> Option<String> {
        self.0.event_id.and_then(scalar)
    }

    pub(crate) fn team_slug(&self) -> Option<String> {
        self.0.team_slug.filter(|raw| !names_no_team(raw.get())).and_then(scalar)
    }

    pub(crate) fn repo_slug(&self) -> Option<String> {
        self.0.repo_slug.and_then(scalar)
    }

    pub(crate) fn drain_blocked_reason(&self) -> Option<String> {
        self.0.drain_blocked_reason.and_then(scalar)
    }

    /// The project by the rule of the earlier releases: the namespace's, else the envelope's, else the
    /// payload's; lower-cased.
    pub(crate) fn project_uuid(&self) -> Option<String> {
        let Self(top) = self;
        let payload = top.payload.map(nested).unwrap_or_default();
        let namespaced =
            |raw: Option<&RawValue>| raw.and_then(|raw| nested(raw).project_uuid.and_then(scalar));
        namespaced(top.namespace)
            .or_else(|| namespaced(payload.namespace))
            .or_else(|| top.project_uuid.and_then(scalar))
            .or_else(|| payload.project_uuid.and_then(scalar))
            .map(|uuid| contract::scope::trim(&uuid).to_lowercase())
            .filter(|uuid| !uuid.is_empty())
    }
}

/// The `event_id` of one line of a canonical log, if it is a JSON object with one.
pub(crate) fn read_event_id(line: &[u8]) -> Option<String> {
    Envelope::read(line).ok()?.event_id()
}

/// An object inside the envelope; anything else has no keys.
fn nested(raw: &RawValue) -> Top<'_> {
    serde_json::from_str(raw.get()).unwrap_or_default()
}

/// Values of `team_slug` that the earlier releases, Python that they are, take for left out.
pub(crate) fn names_no_team(raw: &str) -> bool {
    matches!(raw, "null" | "false" | "[]" | "{}") || raw.parse::<f64>().is_ok_and(|number| number == 0.0)
}

/// A value as text: a decoded string, nothing for null and the empty string, the JSON text otherwise.
fn scalar(raw: &RawValue) -> Option<String> {
    let text = raw.get();
    if text == "null" || text == "\"\"" {
        return None;
    }
    if let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        if !inner.contains('\\') {
            return Some(inner.to_owned());
        }
        return Some(match serde_json::from_str::<String>(text) {
            Ok(decoded) => decoded,
            Err(_) => serde_json::from_str::<Wtf>(text)
                .map_or_else(|_| text.to_owned(), |Wtf(bytes)| String::from_utf8_lossy(&bytes).into_owned()),
        });
    }
    Some(text.to_owned())
}

#[derive(Default)]
struct Top<'a> {
    event_id: Option<&'a RawValue>,
    team_slug: Option<&'a RawValue>,
    project_uuid: Option<&'a RawValue>,
    repo_slug: Option<&'a RawValue>,
    drain_blocked_reason: Option<&'a RawValue>,
    namespace: Option<&'a RawValue>,
    payload: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> de::Deserialize<'de> for Top<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Top<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut top = Top::default();
                while let Some(Key(key)) = map.next_key()? {
                    let slot = match key {
                        Known::EventId => &mut top.event_id,
                        Known::TeamSlug => &mut top.team_slug,
                        Known::ProjectUuid => &mut top.project_uuid,
                        Known::RepoSlug => &mut top.repo_slug,
                        Known::DrainBlockedReason => &mut top.drain_blocked_reason,
                        Known::Namespace => &mut top.namespace,
                        Known::Payload => &mut top.payload,
                        Known::Other => {
                            map.next_value::<de::IgnoredAny>()?;
                            continue;
                        }
                    };
                    *slot = Some(map.next_value()?);
                }
                Ok(top)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

enum Known {
    EventId,
    TeamSlug,
    ProjectUuid,
    RepoSlug,
    DrainBlockedReason,
    Namespace,
    Payload,
    Other,
}

/// A key, compared as bytes because it may hold a lone surrogate.
struct Key(Known);

impl<'de> de::Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Key, E> {
                Ok(Key(match bytes {
                    b"event_id" => Known::EventId,
                    b"team_slug" => Known::TeamSlug,
                    b"project_uuid" => Known::ProjectUuid,
                    b"repo_slug" => Known::RepoSlug,
                    b"drain_blocked_reason" => Known::DrainBlockedReason,
                    b"namespace" => Known::Namespace,
                    b"payload" => Known::Payload,
                    _ => Known::Other,
                }))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Key, E> {
                self.visit_bytes(text.as_bytes())
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// A string that may hold lone surrogates, as the bytes of their WTF-8 encoding.
struct Wtf(Vec<u8>);

impl<'de> de::Deserialize<'de> for Wtf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Wtf;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Wtf, E> {
                Ok(Wtf(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(data: &str) -> Option<String> {
        Envelope::read(data.as_bytes()).expect("an envelope").project_uuid()
    }

    #[test]
    fn project_is_taken_from_namespace_envelope_then_payload() {
        assert_eq!(project(r#"{"project_uuid":"E","payload":{"project_uuid":"P"}}"#).as_deref(), Some("e"));
        assert_eq!(project(r#"{"payload":{"project_uuid":"P"}}"#).as_deref(), Some("p"));
        assert_eq!(
            project(r#"{"project_uuid":"E","payload":{"namespace":{"project_uuid":"N"}}}"#).as_deref(),
            Some("n")
        );
        assert_eq!(
            project(r#"{"namespace":{"project_uuid":"A"},"payload":{"namespace":{"project_uuid":"N"}}}"#)
                .as_deref(),
            Some("a")
        );
        assert_eq!(project(r#"{"project_uuid":null,"payload":null}"#), None);
        assert_eq!(project(r#"{"project_uuid":"","payload":[1]}"#), None);
    }

    #[test]
    fn lone_surrogates_do_not_make_an_envelope_unreadable() {
        let data =
            r#"{"team_slug":"T","note \ud83d":"\udc80","payload":{"x":"\ud800"},"project_uuid":"\udfff"}"#;
        let facts = Envelope::read(data.as_bytes()).expect("an envelope");
        assert_eq!(facts.team_slug().as_deref(), Some("T"));
        assert!(facts.project_uuid().is_some());
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
        let facts = Envelope::read(deep.as_bytes()).expect("an envelope");
        assert_eq!(facts.team_slug().as_deref(), Some("t"));
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        for bad in ["", "nul", "[]", "7", "{\"a\":1", "{\"a\":1}x", "{\"a\":NaN}", "{1:2}"] {
            assert!(Envelope::read(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Envelope::read(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn a_team_that_python_takes_for_left_out_is_none() {
        for raw in ["null", "false", "0", "-0", "0.0", "0e9", "[]", "{}", "\"\""] {
            let data = format!("{{\"team_slug\":{raw}}}");
            assert_eq!(Envelope::read(data.as_bytes()).expect("an envelope").team_slug(), None, "{raw}");
        }
        let named = Envelope::read(br#"{"team_slug":"0"}"#).expect("an envelope").team_slug();
        assert_eq!(named.as_deref(), Some("0"));
    }

    #[test]
    fn values_that_are_no_strings_are_taken_as_their_text() {
        let facts = Envelope::read(br#"{"team_slug":7,"project_uuid":true}"#).expect("an envelope");
        assert_eq!(
            (facts.team_slug().as_deref(), facts.project_uuid().as_deref()),
            (Some("7"), Some("true"))
        );
    }
}
