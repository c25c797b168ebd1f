//! Which events may replace an older one of their kind: dossier events, whose newest value is the only
//! one that matters. The key is shared with earlier releases, so its spelling is fixed, down to how
//! Python turns a value into text.

use crate::event_json;
use serde_json::{Map, Value};

/// One part of a key: a dotted path, then its fallbacks.
type Part = &'static [&'static str];

const PROJECT: Part = &["namespace.project_uuid", "project_uuid"];
const MISSION: Part = &["namespace.mission_slug", "mission_slug"];
const ARTIFACT: Part = &["artifact_id.path", "relative_path", "artifact_key"];

/// Event types that are disposable, with the parts of their key. Every other event is a fact of its own.
const DISPOSABLE: [(&str, &[Part]); 2] = [
    ("MissionDossierArtifactIndexed", &[PROJECT, MISSION, ARTIFACT]),
    ("MissionDossierSnapshotComputed", &[PROJECT, MISSION]),
];

/// The coalesce key of an envelope; none for events that are not disposable.
pub(crate) fn key(envelope: &Map<String, Value>) -> Option<String> {
    let event_type = envelope.get("event_type")?.as_str()?;
    let (_, parts) = DISPOSABLE.iter().find(|(name, _)| *name == event_type)?;
    let mut key = event_type.to_owned();
    for part in *parts {
        key.push('|');
        key.push_str(&part.iter().find_map(|path| lookup(envelope, path)).map_or_else(String::new, text));
    }
    Some(key)
}

/// A dotted path, looked up in the envelope, then in its payload. Null is unset.
fn lookup<'a>(envelope: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let payload = envelope.get("payload").and_then(Value::as_object);
    [Some(envelope), payload].into_iter().flatten().find_map(|root| {
        let mut keys = path.split('.');
        let first = root.get(keys.next()?)?;
        keys.try_fold(first, |value, key| value.get(key)).filter(|value| !value.is_null())
    })
}

/// `str(value)`.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        other => event_json::render(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dossier_events_are_disposable() {
        let key =
            |json: &str| key(serde_json::from_str::<Value>(json).expect("json").as_object().expect("map"));
        assert_eq!(key(r#"{"event_type":"WPStatusChanged","payload":{}}"#), None);
        assert_eq!(
            key(r#"{"event_type":"MissionDossierArtifactIndexed","payload":{"namespace":{"project_uuid":7,"mission_slug":true},"artifact_id":{"path":""}}}"#)
                .as_deref(),
            Some("MissionDossierArtifactIndexed|7|True|")
        );
        assert_eq!(
            key(r#"{"event_type":"MissionDossierSnapshotComputed","project_uuid":"p","payload":{"mission_slug":"m"}}"#)
                .as_deref(),
            Some("MissionDossierSnapshotComputed|p|m")
        );
    }

    #[test]
    fn the_recorded_vectors_hold() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../shared/fixtures/disk/vectors/coalesce-vectors.json"
        );
        let Ok(text) = fs_err::read_to_string(path) else { return };
        let vectors: Vec<Value> = serde_json::from_str(&text).expect("vectors");
        assert!(!vectors.is_empty());
        for vector in vectors {
            let event = vector["event"].as_object().expect("an event");
            assert_eq!(key(event).as_deref(), vector["coalesce_key"].as_str(), "{vector}");
        }
    }
}
