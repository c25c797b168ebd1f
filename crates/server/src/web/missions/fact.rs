//! Facts of events, as pages show them: times, people, what happened.

use crate::store::MissionEvent;
use crate::time::UnixMillis;
use contract::Lane;
use contract::event::{Node, kind};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Longest text of an entry that a page shows.
const LONGEST: usize = 4000;

/// Time at a producer, in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FactInstant(pub(super) i64);

impl FactInstant {
    /// Reads an ISO 8601 time; without an offset it is UTC.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let instant = text.parse::<Timestamp>().ok().or_else(|| {
            let local = text.parse::<DateTime>().ok()?;
            Some(local.to_zoned(TimeZone::UTC).ok()?.timestamp())
        });
        instant.map(|instant| Self(instant.as_microsecond()))
    }

    /// `2026-11-22 09:00:00 UTC`
    pub(super) fn readable(self) -> String {
        UnixMillis(self.0.div_euclid(1000)).readable()
    }

    /// For the attribute `datetime`.
    pub(super) fn iso(self) -> String {
        UnixMillis(self.0.div_euclid(1000)).iso()
    }

    /// `2026-11-22`
    pub(super) fn day(self) -> String {
        self.readable().split(' ').next().unwrap_or_default().to_owned()
    }
}

/// The start of a text, with an ellipsis when it was cut.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.len() > most {
        true => format!("{}\u{2026}", text.get(..text.floor_char_boundary(most)).unwrap_or_default()),
        false => text.to_owned(),
    }
}

/// An actor: a text, or an object with a name, a tool or a role.
pub(super) fn actor(node: Option<&Node<'_>>) -> String {
    match node {
        Some(Node::Text(text)) => text.to_string(),
        Some(object) => {
            let known = ["name", "id", "tool", "role"].iter().filter_map(|key| object.text(key));
            known.collect::<Vec<_>>().join(", ")
        }
        None => String::new(),
    }
}

/// The name of a lane on pages: `In progress`.
pub(super) fn lane_label(lane: Lane) -> String {
    sentence(lane.name())
}

fn sentence(name: &str) -> String {
    let mut text = name.replace('_', " ");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

/// An event, as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) event_id: String,
    pub(super) event_type: String,
    /// Time at its producer, else of its arrival.
    pub(super) at: String,
    /// The same for the attribute `datetime`.
    pub(super) iso: String,
    /// Time of its arrival.
    pub(super) received_at: String,
    pub(super) actor: String,
    pub(super) work_package: Option<String>,
    pub(super) title: String,
    /// Further facts: label and text.
    pub(super) facts: Vec<(&'static str, String)>,
}

impl Entry {
    pub(super) fn of(event: &MissionEvent) -> Self {
        let node = Node::parse(&event.text).unwrap_or(Node::Null);
        let payload = node.get("payload").unwrap_or(&Node::Null);
        let at = node.text("timestamp").and_then(FactInstant::parse);
        let actor_key =
            ["actor", "author", "agent_id", "actor_id"].into_iter().find_map(|key| payload.get(key));
        let mut facts = MissionFacts(Vec::new());
        let title = title(&event.event_type, payload, &mut facts);
        Self {
            event_id: event.event_id.clone(),
            event_type: event.event_type.clone(),
            at: at.map_or_else(|| event.received_at.readable(), FactInstant::readable),
            iso: at.map_or_else(|| event.received_at.iso(), FactInstant::iso),
            received_at: event.received_at.readable(),
            actor: cut(&actor(actor_key), 200),
            work_package: payload.text("wp_id").map(|id| cut(id, super::board::LONGEST_ID)),
            title: cut(&title, 300),
            facts: facts.0,
        }
    }
}

struct MissionFacts(Vec<(&'static str, String)>);

impl MissionFacts {
    fn add(&mut self, label: &'static str, text: Option<&str>) {
        if let Some(text) = text.filter(|text| !text.trim().is_empty()) {
            self.0.push((label, cut(text, LONGEST)));
        }
    }

    /// Evidence of a move: repositories, checks and the review.
    fn add_evidence(&mut self, evidence: &Node<'_>) {
        let list = |key: &str| match evidence.get(key) {
            Some(Node::List(items)) => items.iter().take(20).collect::<Vec<_>>(),
            _ => Vec::new(),
        };
        let join = |node: &Node<'_>, keys: &[&str]| {
            keys.iter()
                .filter_map(|key| node.text(key))
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join(" ")
        };
        for repo in list("repos") {
            self.add("Commit", Some(&join(repo, &["repo", "branch", "commit"])));
        }
        for check in list("verification") {
            let result = [join(check, &["command"]), join(check, &["result"]), join(check, &["summary"])];
            self.add("Check", Some(result.join(" \u{2014} ").trim_end_matches([' ', '\u{2014}'])));
        }
        if let Some(review) = evidence.get("review") {
            self.add("Review", Some(&join(review, &["verdict", "reviewer", "reference"])));
        }
    }
}

/// Title of an event, and further facts of it.
fn title(event_type: &str, payload: &Node<'_>, facts: &mut MissionFacts) -> String {
    let text = |key: &str| payload.text(key).unwrap_or_default();
    match event_type {
        kind::WP_STATUS_CHANGED => {
            let lane = |key: &str| payload.text(key).map(sentence);
            let to = lane("to_lane").unwrap_or_default();
            let is_forced = matches!(payload.get("force"), Some(Node::Bool(true)));
            facts.add("Reason", payload.text("reason"));
            facts.add("Review", payload.text("review_ref"));
            if let Some(evidence) = payload.get("evidence") {
                facts.add_evidence(evidence);
            }
            let forced = if is_forced { " (forced)" } else { "" };
            match lane("from_lane").filter(|from| from != "Genesis") {
                Some(from) => format!("{from} \u{2192} {to}{forced}"),
                None => format!("Added to {to}{forced}"),
            }
        }
        kind::WP_CREATED => {
            if let Some(Node::List(on)) = payload.get("depends_on").or_else(|| payload.get("dependencies")) {
                let on: Vec<&str> = on.iter().take(50).filter_map(Node::as_str).collect();
                facts.add("Depends on", Some(&on.join(", ")));
            }
            format!("Created: {}", payload.text("wp_title").unwrap_or(text("title")))
        }
        kind::HISTORY_ADDED => {
            facts.add("Text", payload.text("entry_content"));
            sentence(text("entry_type"))
        }
        kind::MISSION_CREATED => {
            facts.add("Purpose", payload.text("purpose_tldr"));
            format!("Mission created: {}", text("friendly_name"))
        }
        kind::DOSSIER_ARTIFACT_INDEXED => {
            let path = payload.get("artifact_id").and_then(|artifact| artifact.text("path"));
            format!("Document: {}", path.unwrap_or_default())
        }
        kind::DOSSIER_SNAPSHOT_COMPUTED => "Snapshot of the documents".to_owned(),
        _ => {
            facts.add("Document", payload.text("artifact_path"));
            facts.add("Summary", payload.text("summary"));
            facts.add("Error", payload.text("error_message"));
            facts.add("Reason", payload.text("reason"));
            words(event_type)
        }
    }
}

/// `SpecifyStarted` as `Specify started`.
fn words(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    for (at, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && at > 0 {
            out.push(' ');
            out.push(c.to_ascii_lowercase());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(event_type: &str, payload: serde_json::Value) -> Entry {
        Entry::of(&MissionEvent {
            event_id: "1".into(),
            event_type: event_type.into(),
            aggregate_id: "WP01".into(),
            received_at: UnixMillis(0),
            text: json!({"timestamp": "2026-11-22T11:00:00+02:00", "payload": payload}).to_string(),
        })
    }

    #[test]
    fn move_shows_lanes_reason_and_evidence() {
        let moved = entry(
            "WPStatusChanged",
            json!({"wp_id": "WP01", "from_lane": "in_review", "to_lane": "done", "actor": {"tool": "claude", "role": "reviewer"},
                "force": true, "reason": "as agreed",
                "evidence": {"repos": [{"repo": "o/r", "branch": "main", "commit": "abc"}],
                    "verification": [{"command": "cargo test", "result": "pass"}],
                    "review": {"reviewer": "bea", "verdict": "approved", "reference": null}}}),
        );
        assert_eq!(moved.title, "In review \u{2192} Done (forced)");
        assert_eq!(
            (moved.at.as_str(), moved.actor.as_str()),
            ("2026-11-22 09:00:00 UTC", "claude, reviewer")
        );
        let facts: Vec<String> = moved.facts.iter().map(|(label, text)| format!("{label}: {text}")).collect();
        assert_eq!(
            facts,
            [
                "Reason: as agreed",
                "Commit: o/r main abc",
                "Check: cargo test \u{2014} pass",
                "Review: approved bea"
            ]
        );
    }

    #[test]
    fn each_entry_has_a_title_and_bounded_texts() {
        assert_eq!(entry("SpecifyStarted", json!({"actor": "dev"})).title, "Specify started");
        assert_eq!(entry("HistoryAdded", json!({"entry_type": "note", "author": "dev"})).title, "Note");
        assert_eq!(entry("WPStatusChanged", json!({"to_lane": "planned"})).title, "Added to Planned");
        let long = entry(
            "HistoryAdded",
            json!({"entry_type": "x".repeat(99999), "entry_content": "é".repeat(99999)}),
        );
        assert!(long.title.len() < 310 && long.facts[0].1.len() < 4010);
        assert_eq!(lane_label(Lane::InProgress), "In progress");
    }
}
