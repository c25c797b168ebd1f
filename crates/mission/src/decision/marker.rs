//! Markers in planning documents: `[NEEDS CLARIFICATION: ...] <!-- decision_id: ULID -->` marks the place where a
//! deferred decision leaves a gap.

use super::ledger::{DecisionStatus, Ledger};
use crate::slug::is_ulid;
use serde::Serialize;
use std::collections::HashSet;

/// Kind of disagreement between the ledger and the markers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FindingKind {
    /// A deferred decision leaves no marker.
    DeferredWithoutMarker,
    /// A marker names a decision that the ledger does not know.
    MarkerWithoutDecision,
    /// A marker names a decision that is neither deferred nor resolved.
    StaleMarker,
}

/// One disagreement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Kind of disagreement.
    pub kind: FindingKind,
    /// The decision.
    pub decision_id_or_ref: String,
    /// `file:Ln`, for a marker.
    pub location: Option<String>,
    /// Description, in one sentence.
    pub detail: String,
}

/// Whether markers and ledger agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// `clean` or `drift`.
    pub status: &'static str,
    /// Deferred decisions.
    pub deferred_count: usize,
    /// Markers in all documents.
    pub marker_count: usize,
    /// Disagreements; each decision once.
    pub findings: Vec<Finding>,
}

/// Compares the ledger with the markers of the documents, given as name and text.
pub fn verify_markers(ledger: &Ledger, documents: &[(&str, &str)]) -> Verification {
    let found: Vec<(String, String)> = documents
        .iter()
        .flat_map(|(name, text)| {
            let lines = text.lines().enumerate();
            lines.flat_map(move |(n, line)| {
                markers(line).into_iter().map(move |id| (id.to_owned(), format!("{name}:L{}", n + 1)))
            })
        })
        .collect();
    let marked: HashSet<&str> = found.iter().map(|(id, _)| id.as_str()).collect();
    let deferred: Vec<&str> = ledger
        .entries
        .iter()
        .filter(|entry| entry.status == DecisionStatus::Deferred)
        .map(|entry| entry.decision_id.as_str())
        .collect();
    let mut findings: Vec<Finding> = deferred
        .iter()
        .filter(|id| !marked.contains(**id))
        .map(|id| Finding {
            kind: FindingKind::DeferredWithoutMarker,
            decision_id_or_ref: (*id).to_owned(),
            location: None,
            detail: "No inline marker found in spec.md or plan.md".into(),
        })
        .collect();
    let mut seen = HashSet::new();
    for (id, location) in found.iter().filter(|(id, _)| seen.insert(id.as_str())) {
        let (kind, detail) = match ledger.find(id).map(|entry| entry.status) {
            // An answer may stay beside its marker.
            Some(DecisionStatus::Deferred | DecisionStatus::Resolved) => continue,
            None => (FindingKind::MarkerWithoutDecision, "Marker references unknown decision_id".to_owned()),
            Some(status) => (
                FindingKind::StaleMarker,
                format!(
                    "Marker references a decision that is {}, neither deferred nor resolved",
                    status.name()
                ),
            ),
        };
        findings.push(Finding {
            kind,
            decision_id_or_ref: id.clone(),
            location: Some(location.clone()),
            detail,
        });
    }
    Verification {
        status: if findings.is_empty() { "clean" } else { "drift" },
        deferred_count: deferred.len(),
        marker_count: found.len(),
        findings,
    }
}

/// The decision ids of the markers on one line.
fn markers(line: &str) -> Vec<&str> {
    let (mut found, mut close) = (Vec::new(), None);
    for (at, _) in line.match_indices("[NEEDS CLARIFICATION:") {
        // Looked for once for all the markers before it, so that many unclosed ones stay cheap.
        close = close.filter(|close| *close > at).or_else(|| line[at..].find(']').map(|close| at + close));
        let Some(end) = close else { break };
        found.extend(decision_id(&line[end + 1..]));
    }
    found
}

/// The id in the comment that follows a marker.
fn decision_id(text: &str) -> Option<&str> {
    let rest =
        text.trim_start().strip_prefix("<!--")?.trim_start().strip_prefix("decision_id:")?.trim_start();
    let id = rest.get(..26).filter(|id| is_ulid(id))?;
    rest[26..].trim_start().starts_with("-->").then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn each_disagreement_is_found_once() {
        let ids: Vec<String> = (0..5).map(|n| format!("01KRX11MABCDEFGHJKMNPQRST{n}")).collect();
        let entry = |id: &str, status: &str| {
            serde_json::json!({
                "decision_id": id, "origin_flow": "plan", "step_id": "s", "slot_key": null, "input_key": "k",
                "question": "q", "status": status, "final_answer": null, "rationale": null, "created_at": id,
                "resolved_at": null, "resolved_by": null, "mission_id": "m", "mission_slug": "x"
            })
        };
        let text = serde_json::json!({ "version": 1, "mission_id": "m", "entries": [
            entry(&ids[0], "deferred"), entry(&ids[1], "deferred"), entry(&ids[2], "canceled"), entry(&ids[4], "resolved")
        ]});
        let ledger = Ledger::parse(Path::new("i"), &text.to_string()).unwrap();
        let marker = |id: &str| format!("[NEEDS CLARIFICATION: x]  <!--decision_id: {id} -->");
        let plan = format!(
            "a\n{} {}\n{}\n{}\n{}",
            marker(&ids[1]),
            marker(&ids[2]),
            marker(&ids[3]),
            marker(&ids[3]),
            marker(&ids[4])
        );
        let verdict = verify_markers(&ledger, &[("spec.md", ""), ("plan.md", &plan)]);
        let kinds: Vec<_> =
            verdict.findings.iter().map(|finding| (finding.kind, finding.location.clone())).collect();
        assert_eq!((verdict.deferred_count, verdict.marker_count, verdict.status), (2, 5, "drift"));
        assert_eq!(
            kinds,
            [
                (FindingKind::DeferredWithoutMarker, None),
                (FindingKind::StaleMarker, Some("plan.md:L2".into())),
                (FindingKind::MarkerWithoutDecision, Some("plan.md:L3".into())),
            ]
        );
    }
}
