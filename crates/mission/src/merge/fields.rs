//! Three-way merges of JSON objects, key by key. A key that one side changed takes that change; a key that both
//! changed to different values is a conflict, except where a rule decides.

use super::{Conflict, Sides, render};
use crate::instant::Instant;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

type Object = Map<String, Value>;

/// Keys of `meta.json` about acceptance, version control and the merge: the branch that is merged into decides.
const OURS: [&str; 14] = [
    "accept_commit",
    "acceptance_mode",
    "accepted_at",
    "accepted_by",
    "accepted_from_commit",
    "baseline_merge_commit",
    "merged_at",
    "merged_by",
    "merged_commit",
    "merged_into",
    "merged_push",
    "merged_strategy",
    "vcs",
    "vcs_locked_at",
];
/// Keys of `meta.json` that are lists to which both sides append.
const HISTORIES: [&str; 2] = ["acceptance_history", "merge_history"];

/// Merges `meta.json`.
pub(super) fn merge_meta(sides: &Sides<Object>) -> Result<String, Conflict> {
    let merged = merge_keys(sides, |key, values| match values.ours {
        _ if HISTORIES.contains(&key) => unite(values),
        Some(ours) if OURS.contains(&key) => Some(ours.clone()),
        _ => None,
    });
    merged.map(render).map_err(|names| in_conflict("keys", names))
}

/// Merges `status.json`, as its log would reduce when the sides moved different work packages. The same work package
/// on both sides needs the log: the document is then written from it again.
pub(super) fn merge_status(sides: &Sides<Object>) -> Result<String, Conflict> {
    const DERIVED: [&str; 5] =
        ["work_packages", "summary", "event_count", "materialized_at", "last_event_id"];
    let mut merged = merge_keys(sides, |key, values| match key {
        key if DERIVED.contains(&key) => values.ours.cloned(),
        _ => None,
    })
    .map_err(|names| in_conflict("keys", names))?;
    let packages = merge_packages(sides).map_err(|names| in_conflict("work packages", names))?;
    if let Some(summary) = merged.get_mut("summary").and_then(Value::as_object_mut) {
        for (lane, count) in summary {
            let of_lane =
                packages.values().filter(|package| package.get("lane").is_some_and(|at| at == lane.as_str()));
            *count = of_lane.count().into();
        }
    }
    let count = |side: &Object| side.get("event_count").and_then(Value::as_u64);
    if let (Some(ours), Some(theirs)) = (count(&sides.ours), count(&sides.theirs)) {
        let base = count(&sides.base).unwrap_or_default();
        merged.insert("event_count".to_owned(), (ours + theirs).saturating_sub(base).into());
    }
    let last = |side: &Object| {
        let text = |key: &str| side.get(key).and_then(Value::as_str).map(str::to_owned);
        (text("materialized_at").and_then(|at| Instant::parse(&at)), text("last_event_id"))
    };
    let later = if last(&sides.theirs) > last(&sides.ours) { &sides.theirs } else { &sides.ours };
    for key in ["materialized_at", "last_event_id"] {
        merged.extend(later.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    merged.insert("work_packages".to_owned(), Value::Object(packages));
    Ok(render(merged))
}

/// The work packages, each as on the side that moved it.
fn merge_packages(sides: &Sides<Object>) -> Result<Object, Vec<String>> {
    let none = Object::new();
    let packages = sides.as_ref().try_map(|side| match side.get("work_packages") {
        Some(Value::Object(packages)) => Ok(packages.clone()),
        None => Ok(none.clone()),
        Some(_) => Err(vec!["work_packages".to_owned()]),
    })?;
    // Equal moves on both sides are conflicts too: only the log shows whether they are one row or two.
    let moved = |side: &Object| -> BTreeSet<String> {
        let keys = side.keys().chain(packages.base.keys());
        keys.filter(|id| side.get(*id) != packages.base.get(*id)).cloned().collect()
    };
    let both: Vec<String> = moved(&packages.ours).intersection(&moved(&packages.theirs)).cloned().collect();
    if both.is_empty() { merge_keys(&packages, |_, _| None) } else { Err(both) }
}

/// Merges objects key by key. `decide` gives the value of a key that both sides changed; without one the key is in
/// conflict.
fn merge_keys(
    sides: &Sides<Object>,
    decide: impl Fn(&str, Sides<Option<&Value>>) -> Option<Value>,
) -> Result<Object, Vec<String>> {
    let keys: BTreeSet<&String> =
        sides.base.keys().chain(sides.ours.keys()).chain(sides.theirs.keys()).collect();
    let mut merged = BTreeMap::new();
    let mut conflicts = Vec::new();
    for key in keys {
        let Ok(values) = sides.as_ref().try_map(|side| Ok::<_, std::convert::Infallible>(side.get(key)));
        let value = match values {
            Sides { base, ours, theirs } if base == ours => theirs.cloned(),
            Sides { base, ours, theirs } if base == theirs || ours == theirs => ours.cloned(),
            _ => {
                let decided = decide(key, values);
                if decided.is_none() {
                    conflicts.push(key.clone());
                }
                decided
            }
        };
        merged.extend(value.map(|value| (key.clone(), value)));
    }
    if conflicts.is_empty() { Ok(merged.into_iter().collect()) } else { Err(conflicts) }
}

/// The entries of every side, each once. None when one of them is not a list.
fn unite(values: Sides<Option<&Value>>) -> Option<Value> {
    let mut united: Vec<Value> = Vec::new();
    for (_, value) in values.named() {
        for entry in value.map_or(Some(&Vec::new()), Value::as_array)? {
            if !united.contains(entry) {
                united.push(entry.clone());
            }
        }
    }
    Some(united.into())
}

fn in_conflict(what: &str, names: Vec<String>) -> Conflict {
    let problem = format!("both sides changed the same {what}: {}", names.join(", "));
    Conflict { problem, names, marked: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sides(base: Value, ours: Value, theirs: Value) -> Sides<Object> {
        let object = |value: Value| value.as_object().unwrap().clone();
        Sides { base: object(base), ours: object(ours), theirs: object(theirs) }
    }

    fn value(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn meta_takes_the_change_of_either_side() {
        let merged = merge_meta(&sides(
            json!({"a": 1, "b": 1, "gone": 1, "kept": 1, "vcs": "git"}),
            json!({"a": 2, "b": 1, "gone": 1, "kept": 1, "vcs": "ours", "new": 1}),
            json!({"a": 1, "b": 2, "kept": 1, "vcs": "theirs", "new": 1}),
        ));
        assert_eq!(value(&merged.unwrap()), json!({"a": 2, "b": 2, "kept": 1, "new": 1, "vcs": "ours"}));
    }

    #[test]
    fn meta_unites_histories_and_reports_other_keys() {
        let united = merge_meta(&sides(
            json!({"acceptance_history": [1]}),
            json!({"acceptance_history": [1, 2]}),
            json!({"acceptance_history": [1, 3]}),
        ));
        assert_eq!(value(&united.unwrap()), json!({"acceptance_history": [1, 2, 3]}));
        let conflict =
            merge_meta(&sides(json!({}), json!({"friendly_name": "a"}), json!({"friendly_name": "b"})));
        assert_eq!(conflict.unwrap_err().names, ["friendly_name"]);
        let removed = merge_meta(&sides(json!({"vcs": "git"}), json!({}), json!({"vcs": "jj"})));
        assert_eq!(removed.unwrap_err().names, ["vcs"]);
    }

    fn status(packages: Value, count: u64, at: &str, id: &str) -> Value {
        json!({
            "event_count": count, "last_event_id": id, "materialized_at": at, "mission_slug": "m",
            "summary": {"planned": 9, "claimed": 9}, "work_packages": packages,
        })
    }

    #[test]
    fn status_of_different_work_packages_is_what_the_log_gives() {
        let package = |lane: &str| json!({"lane": lane});
        let merged = merge_status(&sides(
            status(
                json!({"WP01": package("planned"), "WP02": package("planned")}),
                2,
                "2026-01-01T00:00:00+00:00",
                "A",
            ),
            status(
                json!({"WP01": package("claimed"), "WP02": package("planned")}),
                3,
                "2026-01-01T12:00:00+00:00",
                "B",
            ),
            status(
                json!({"WP01": package("planned"), "WP02": package("claimed")}),
                4,
                "2026-01-01T12:30:00+01:00",
                "C",
            ),
        ));
        let merged = value(&merged.unwrap());
        assert_eq!(merged["summary"], json!({"planned": 0, "claimed": 2}));
        assert_eq!((&merged["event_count"], &merged["last_event_id"]), (&json!(5), &json!("B")));
    }

    #[test]
    fn status_of_one_work_package_on_both_sides_is_a_conflict() {
        let moved = json!({"WP01": {"lane": "claimed"}});
        let conflict =
            merge_status(&sides(json!({}), status(moved.clone(), 1, "", "A"), status(moved, 2, "", "B")));
        assert_eq!(conflict.unwrap_err().names, ["WP01"]);
    }
}
