//! An annotation: what is known about a work package without a move (`InnerStateChanged`).
//!
//! Releases since 3.2.6 keep subtasks, notes, who has a work package and its tracker references in such rows.
//! Each changes some slots of the work package's state; a slot without a key in the delta stays.

use super::actor::Actor;
use crate::lane::Lane;
use crate::slug::is_ulid;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Slots that a later text replaces; a blank text leaves them.
const TEXT_SLOTS: [&str; 8] = [
    "agent",
    "assignee",
    "role",
    "agent_profile",
    "agent_profile_version",
    "model",
    "provider",
    "shell_pid_created_at",
];

/// The keys of a review claim.
const REVIEW: [&str; 4] = ["at", "actor", "wp_id", "reason"];

/// Slots that releasing a claim empties.
const CLAIM: [&str; 3] = ["agent", "shell_pid", "shell_pid_created_at"];

/// One annotation.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    /// ULID.
    pub event_id: String,
    /// `WPnn`.
    pub wp_id: String,
    /// Time: ISO 8601.
    pub at: String,
    /// Actor.
    pub actor: String,
    /// New values, by slot. Keys that this release does not know change nothing.
    pub delta: Map<String, Value>,
}

impl Annotation {
    /// Reads an annotation; what is wrong with it otherwise.
    pub(super) fn from_map(map: &Map<String, Value>) -> Result<Self, String> {
        let text = |key: &str| {
            map.get(key).and_then(Value::as_str).map(str::to_owned).ok_or(format!("`{key}` is not a text"))
        };
        let event_id = text("event_id")?;
        if !is_ulid(&event_id) {
            return Err("`event_id` is not a ULID".to_owned());
        }
        let actor = map.get("actor").ok_or("has no `actor`")?;
        let actor = Actor::deserialize(actor).map_err(|_| "`actor` cannot be read")?;
        let delta = map.get("delta").and_then(Value::as_object).ok_or("`delta` is not an object")?;
        check(delta)?;
        Ok(Self {
            event_id,
            wp_id: text("wp_id")?,
            at: text("at")?,
            actor: actor.0.into_owned(),
            delta: delta.clone(),
        })
    }

    /// The note that it adds.
    pub fn note(&self) -> Option<&str> {
        self.delta.get("note").and_then(Value::as_str).filter(|note| !note.trim().is_empty())
    }

    /// The row as JSON.
    pub fn to_value(&self) -> Value {
        json!({
            "actor": self.actor,
            "at": self.at,
            "delta": self.delta,
            "event_id": self.event_id,
            "kind": "annotation",
            "wp_id": self.wp_id,
        })
    }

    /// Changes the slots of a work package.
    pub(crate) fn fold_into(&self, slots: &mut Map<String, Value>) {
        let delta = |key: &str| self.delta.get(key).filter(|value| !value.is_null());
        if delta("release_runtime_claim") == Some(&Value::Bool(true)) {
            slots.extend(CLAIM.map(|key| (key.to_owned(), Value::Null)));
        }
        if let Some(Value::Object(changes)) = delta("subtasks") {
            let subtasks = slots.entry("subtasks").or_insert_with(|| json!({}));
            if let Some(subtasks) = subtasks.as_object_mut() {
                subtasks.extend(changes.clone());
            }
        }
        if let Some(note) = delta("note") {
            push(slots, "notes", note);
        }
        let texts = TEXT_SLOTS.iter().filter_map(|key| Some((*key, delta(key)?)));
        let texts = texts.filter(|(_, value)| value.as_str() != Some(""));
        slots.extend(texts.map(|(key, value)| (key.to_owned(), value.clone())));
        if let Some(pid) = delta("shell_pid") {
            slots.insert("shell_pid".into(), pid.clone());
        }
        self.fold_tracker_refs(slots);
        if let Some(review) = delta("review") {
            let released = REVIEW.iter().all(|key| review[*key].as_str() == Some(""));
            slots.insert("review".into(), if released { Value::Null } else { review.clone() });
        }
    }

    fn fold_tracker_refs(&self, slots: &mut Map<String, Value>) {
        let list = |key: &str| self.delta.get(key).and_then(Value::as_array);
        let replaced = list("tracker_refs_replace");
        let Some(added) = replaced.or_else(|| list("tracker_refs")) else { return };
        if replaced.is_some() {
            slots.insert("tracker_refs".into(), json!([]));
        }
        for reference in added {
            let known = slots.get("tracker_refs").and_then(Value::as_array);
            if known.is_none_or(|known| !known.contains(reference)) {
                push(slots, "tracker_refs", reference);
            }
        }
    }
}

fn push(slots: &mut Map<String, Value>, key: &str, value: &Value) {
    if let Some(list) = slots.entry(key).or_insert_with(|| json!([])).as_array_mut() {
        list.push(value.clone());
    }
}

/// Whether every known key of a delta has a value that can be folded.
fn check(delta: &Map<String, Value>) -> Result<(), String> {
    for (key, value) in delta.iter().filter(|(_, value)| !value.is_null()) {
        let right = match key.as_str() {
            "subtasks" => value.as_object().is_some_and(|subtasks| {
                subtasks.values().all(|state| state.as_str().and_then(Lane::from_log).is_some())
            }),
            "note" => value.is_string(),
            "shell_pid" => value.is_i64() || value.is_u64(),
            "tracker_refs" | "tracker_refs_replace" => {
                value.as_array().is_some_and(|list| list.iter().all(Value::is_string))
            }
            "review" => REVIEW.iter().all(|part| value.get(part).is_some_and(Value::is_string)),
            "release_runtime_claim" => value.is_boolean(),
            key => !TEXT_SLOTS.contains(&key) || value.is_string(),
        };
        if !right {
            return Err(format!("`delta.{key}` has a value that this release does not know"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotation(delta: Value) -> Result<Annotation, String> {
        let row = json!({
            "actor": {"tool": "claude", "role": null}, "at": "2026-08-01T10:00:00+00:00", "delta": delta,
            "event_id": "01KZ0000000000000000000001", "kind": "annotation", "wp_id": "WP01",
        });
        Annotation::from_map(row.as_object().unwrap())
    }

    fn folded(deltas: &[Value]) -> Value {
        let mut slots = Map::new();
        for delta in deltas {
            annotation(delta.clone()).unwrap().fold_into(&mut slots);
        }
        slots.into()
    }

    #[test]
    fn later_delta_changes_its_slots_and_keeps_the_others() {
        let slots = folded(&[
            json!({"subtasks": {"T001": "done", "T002": "planned"}, "agent": "one", "shell_pid": 3, "note": "a"}),
            json!({"subtasks": {"T002": "done"}, "agent": "", "note": "b", "mood": "good", "model": null}),
            json!({"tracker_refs": ["#1", "#2"], "role": "reviewer"}),
            json!({"tracker_refs": ["#2", "#3"]}),
        ]);
        assert_eq!(
            slots,
            json!({
                "subtasks": {"T001": "done", "T002": "done"}, "agent": "one", "shell_pid": 3,
                "notes": ["a", "b"], "tracker_refs": ["#1", "#2", "#3"], "role": "reviewer",
            })
        );
    }

    #[test]
    fn release_and_replacement_come_before_what_the_same_row_sets() {
        let slots = folded(&[
            json!({"agent": "one", "shell_pid": 3, "tracker_refs": ["#1"]}),
            json!({"agent": "two", "release_runtime_claim": true, "tracker_refs": ["#9"], "tracker_refs_replace": ["#2", "#2"]}),
            json!({"review": {"at": "t", "actor": "a", "wp_id": "WP01", "reason": ""}}),
        ]);
        assert_eq!(
            slots,
            json!({
                "agent": "two", "shell_pid": null, "shell_pid_created_at": null, "tracker_refs": ["#2"],
                "review": {"at": "t", "actor": "a", "wp_id": "WP01", "reason": ""},
            })
        );
        let released = json!({"review": {"at": "", "actor": "", "wp_id": "", "reason": ""}});
        assert_eq!(folded(&[released]), json!({ "review": null }));
    }

    #[test]
    fn delta_that_cannot_be_folded_is_named() {
        for (delta, expected) in [
            (json!({"subtasks": {"T001": "finished"}}), "`delta.subtasks`"),
            (json!({"review": {"at": "t"}}), "`delta.review`"),
            (json!({"note": 1}), "`delta.note`"),
            (json!({"shell_pid": "7"}), "`delta.shell_pid`"),
            (json!([]), "`delta` is not an object"),
        ] {
            assert!(annotation(delta.clone()).unwrap_err().contains(expected), "{delta}");
        }
    }
}
