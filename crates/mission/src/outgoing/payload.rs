//! Parts of a local fact that are sent: an allow-list per event type.
//!
//! Pure. A key that is not named here never leaves the machine, whatever a row or a front matter holds. So no
//! absolute path and no host is sent, and a person's name only where the contract requires an actor.

use crate::log::{FactKind, FactRow, LaneRow, Row};
use crate::meta::Meta;
use crate::outgoing::table::{EventMapping, event_of_row};
use contract::event::kind;
use serde_json::{Map, Value, json};

/// An event without its envelope.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Draft {
    /// The local row's id, or a new one.
    pub(crate) event_id: String,
    /// See [`contract::event::kind`].
    pub(crate) event_type: &'static str,
    /// `Mission`, `WorkPackage` or `MissionDossier`.
    pub(crate) aggregate_type: &'static str,
    /// Id of its subject.
    pub(crate) aggregate_id: String,
    /// Time of the fact.
    pub(crate) timestamp: String,
    /// Its payload.
    pub(crate) payload: Value,
}

/// The mission that rows belong to, and the repository that evidence names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Background<'a> {
    /// Mission id, else slug.
    pub(crate) aggregate_id: &'a str,
    /// The mission's meta.
    pub(crate) meta: Option<&'a Meta>,
    /// `owner/repo`.
    pub(crate) repo_slug: Option<&'a str>,
}

/// The event of a row that will be in the log; none when the row stays.
pub(crate) fn draft_of_row(row: &Row, background: &Background<'_>) -> Option<Draft> {
    let EventMapping::SentAs(event_type) = event_of_row(row) else { return None };
    match row {
        Row::Lane(row) => Some(draft_of_lane_row(row, event_type, background)),
        Row::Fact(row) => Some(draft_of_fact(row, event_type, background)),
        Row::Annotation(row) => {
            let entry = HistoryEntry {
                wp_id: row.wp_id.clone(),
                entry_type: "note",
                entry_content: row.note()?.to_owned(),
                author: row.actor.clone(),
            };
            Some(draft_of_history(&entry, row.event_id.clone(), row.at.clone()))
        }
        Row::Other(_) => None,
    }
}

fn draft_of_lane_row(row: &LaneRow, event_type: &'static str, background: &Background<'_>) -> Draft {
    Draft {
        event_id: row.event_id.clone(),
        event_type,
        aggregate_type: "WorkPackage",
        aggregate_id: row.wp_id.clone(),
        timestamp: row.at.clone(),
        payload: json!({
            "mission_slug": row.mission_slug,
            "wp_id": row.wp_id,
            // The published contract begins at `planned`.
            "from_lane": row.from_lane.is_on_board().then_some(row.from_lane),
            "to_lane": row.to_lane,
            "actor": row.actor,
            "force": row.force,
            "reason": row.reason,
            "execution_mode": row.execution_mode,
            "review_ref": row.review_ref,
            "evidence": row.evidence.as_ref().map(|evidence| evidence_of(evidence, background)),
        }),
    }
}

/// Evidence as the contract requires it: at least one repository, and the review. A row without repositories names the
/// branch that the mission lands on and no commit: what is checked out is not known once the row is captured again.
fn evidence_of(evidence: &Value, background: &Background<'_>) -> Value {
    let strings = |value: &Value, keys: &[&str]| -> Value {
        let pairs = keys.iter().filter_map(|key| Some(((*key).to_owned(), value.get(key)?.clone())));
        Value::Object(pairs.collect())
    };
    let list = |key: &str, keys: &[&str]| -> Vec<Value> {
        let items = evidence.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        items.iter().map(|item| strings(item, keys)).collect()
    };
    let mut repos = list("repos", &["repo", "branch", "commit", "files_touched"]);
    if repos.is_empty() {
        repos.push(json!({
            "repo": background.repo_slug.unwrap_or("local"),
            "branch": background.meta.and_then(Meta::target_branch).unwrap_or("unknown"),
            "commit": "unknown",
        }));
    }
    let review = evidence.get("review").map(|review| strings(review, &["reviewer", "verdict", "reference"]));
    json!({ "repos": repos, "verification": list("verification", &["command", "result", "summary"]), "review": review })
}

/// The keys of a fact that are sent.
const fn allowed_keys(fact: FactKind) -> &'static [&'static str] {
    match fact {
        FactKind::MissionCreated => &[
            "mission_slug",
            "mission_id",
            "target_branch",
            "friendly_name",
            "purpose_tldr",
            "purpose_context",
            "created_at",
        ],
        FactKind::SpecifyStarted | FactKind::PlanStarted | FactKind::TasksStarted => {
            &["mission_slug", "actor", "at"]
        }
        FactKind::SpecifyCompleted | FactKind::PlanCompleted => {
            &["mission_slug", "actor", "at", "artifact_path"]
        }
        FactKind::TasksCompleted => &["mission_slug", "actor", "at", "artifact_path", "wp_count"],
        FactKind::WPCreated => {
            &["mission_slug", "wp_id", "wp_title", "wp_path", "depends_on", "actor", "created_at"]
        }
        FactKind::ReviewerSelfApproval | FactKind::DecisionPointOpened | FactKind::DecisionPointResolved => {
            &[]
        }
    }
}

fn draft_of_fact(row: &FactRow, event_type: &'static str, background: &Background<'_>) -> Draft {
    let allowed = allowed_keys(row.kind).iter();
    let mut payload: Map<String, Value> =
        allowed.filter_map(|key| Some(((*key).to_owned(), row.payload.get(*key)?.clone()))).collect();
    if row.kind == FactKind::MissionCreated {
        // Not that of `meta.json`, which a merge assigns later.
        let written = row.payload.get("mission_number").cloned().unwrap_or_default();
        let number = written.as_i64().or_else(|| written.as_str()?.trim().parse().ok());
        let number = number.filter(|number| *number >= 1);
        let mission_type = background.meta.map_or(crate::meta::DEFAULT_TYPE, Meta::mission_type);
        payload.insert("mission_number".into(), number.into());
        payload.insert("mission_type".into(), mission_type.into());
        payload.insert("wp_count".into(), 0.into());
    }
    let aggregate_type = row.kind.aggregate_type();
    let aggregate_id = if aggregate_type == "Mission" { background.aggregate_id } else { &row.aggregate_id };
    Draft {
        event_id: row.event_id.clone(),
        event_type,
        aggregate_type,
        aggregate_id: aggregate_id.to_owned(),
        timestamp: row.timestamp.clone(),
        payload: Value::Object(payload),
    }
}

/// A line that was added to a work package's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// `WPnn`.
    pub wp_id: String,
    /// `note`, `review`, `error` or `comment`.
    pub entry_type: &'static str,
    /// The text.
    pub entry_content: String,
    /// Author.
    pub author: String,
}

/// The event of a history entry.
pub(crate) fn draft_of_history(entry: &HistoryEntry, event_id: String, timestamp: String) -> Draft {
    Draft {
        event_id,
        event_type: kind::HISTORY_ADDED,
        aggregate_type: "WorkPackage",
        aggregate_id: entry.wp_id.clone(),
        timestamp,
        payload: json!({
            "wp_id": entry.wp_id,
            "entry_type": entry.entry_type,
            "entry_content": entry.entry_content,
            "author": entry.author,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use strum::VariantArray as _;

    /// The keys of an event in the table of docs/events.md. `the same` are those of the row before.
    fn keys_of_the_page(event: &str) -> BTreeSet<String> {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/events.md"));
        let page = page.unwrap();
        let (_, section) = page.split_once("\n## Payloads\n").unwrap();
        let mut keys = BTreeSet::new();
        for line in section.lines().filter(|line| line.starts_with("| `")) {
            let (events, cell) = line.trim_matches(['|', ' ']).split_once(" | ").unwrap();
            if !cell.starts_with("the same") {
                keys.clear();
            }
            keys.extend(cell.split('`').skip(1).step_by(2).map(str::to_owned));
            if events.contains(&format!("`{event}`")) {
                return keys;
            }
        }
        panic!("docs/events.md has no payload of {event}");
    }

    #[test]
    fn table_of_keys_in_the_docs_is_this_one() {
        let background = Background { aggregate_id: "demo", meta: None, repo_slug: None };
        for kind in FactKind::VARIANTS {
            let keys = allowed_keys(*kind).iter().chain(&["private", "host"]);
            let row = Row::Fact(FactRow {
                event_id: "01KRX0000000000000000000A1".into(),
                kind: *kind,
                aggregate_id: "WP01".into(),
                timestamp: "2026-05-18T12:00:00+00:00".into(),
                payload: keys.map(|key| ((*key).to_owned(), Value::Null)).collect(),
                project: None,
            });
            let Some(draft) = draft_of_row(&row, &background) else { continue };
            let sent: BTreeSet<String> = draft.payload.as_object().unwrap().keys().cloned().collect();
            assert_eq!(sent, keys_of_the_page(draft.event_type), "{}", draft.event_type);
        }
    }
}
