//! Coalesce keys: a newer disposable event replaces an older one of the same key that was never sent.
//! Earlier releases share the key, so its spelling is fixed.

use super::kind::{DOSSIER_ARTIFACT_INDEXED, DOSSIER_SNAPSHOT_COMPUTED};
use crate::json::Node;
use std::borrow::Cow;

/// One part of a key: a dotted path, then its fallbacks.
type Part = &'static [&'static str];

const PROJECT: Part = &["namespace.project_uuid", "project_uuid"];
const MISSION: Part = &["namespace.mission_slug", "mission_slug"];
const ARTIFACT: Part = &["artifact_id.path", "relative_path", "artifact_key"];

/// The disposable event types with the parts of their key. Their content is derived and can be computed
/// again; every other event is a fact of its own.
const DISPOSABLE: [(&str, &[Part]); 2] = [
    (DOSSIER_ARTIFACT_INDEXED, &[PROJECT, MISSION, ARTIFACT]),
    (DOSSIER_SNAPSHOT_COMPUTED, &[PROJECT, MISSION]),
];

/// The coalesce key of an event; none for events that are not disposable.
pub(super) fn key(event: &Node<'_>) -> Option<String> {
    let event_type = event.text("event_type")?;
    let (_, parts) = DISPOSABLE.iter().find(|(name, _)| *name == event_type)?;
    let mut key = event_type.to_owned();
    for part in *parts {
        key.push('|');
        key.push_str(&lookup(event, part));
    }
    Some(key)
}

/// The project that an event names, lower-cased.
pub(super) fn project(event: &Node<'_>) -> Option<String> {
    let project = crate::scope::trim(&lookup(event, PROJECT)).to_lowercase();
    Some(project).filter(|project| !project.is_empty())
}

/// The first value that a path of `part` leads to, in the event or in its payload.
fn lookup<'n>(event: &'n Node<'_>, part: Part) -> Cow<'n, str> {
    let roots = [Some(event), event.get("payload")];
    let found = part.iter().find_map(|path| {
        roots.into_iter().flatten().find_map(|root| {
            let value = path.split('.').try_fold(root, |value, key| value.get(key))?;
            (!value.is_null()).then_some(value)
        })
    });
    match found {
        Some(Node::Text(text)) => Cow::Borrowed(text),
        // As Python's `str()` renders a value. The contract allows only text here.
        Some(Node::Bool(true)) => "True".into(),
        Some(Node::Bool(false)) => "False".into(),
        Some(Node::Integer(number)) => number.to_string().into(),
        _ => "".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn only_dossier_events_have_a_key() {
        let key = |json: &str| key(&Node::parse(json).unwrap());
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
    #[ignore = "needs the recorded data"]
    fn recorded_vectors_hold() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../shared/fixtures/disk/vectors/coalesce-vectors.json"
        );
        let text = std::fs::read_to_string(path).unwrap();
        let vectors: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert!(!vectors.is_empty());
        for vector in vectors {
            assert_eq!(
                key(&Node::from(&vector["event"])).as_deref(),
                vector["coalesce_key"].as_str(),
                "{vector}"
            );
        }
    }
}
