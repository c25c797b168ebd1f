//! The page of one decision. Deterministic: equal entries give equal bytes.

use super::ledger::{Decision, DecisionStatus};
use std::fmt::Write as _;

const NONE: &str = "_(none)_";

/// The bytes of `decisions/DM-<id>.md`.
pub fn render_page(decision: &Decision) -> String {
    let mut out = String::new();
    let mut facts = vec![
        ("Mission", decision.mission_slug.clone()),
        ("Origin flow", decision.origin_flow.name().to_owned()),
    ];
    facts.extend(decision.step_id.clone().map(|step| ("Step id", step)));
    facts.extend(decision.slot_key.clone().map(|slot| ("Slot key", slot)));
    facts.push(("Input key", decision.input_key.clone()));
    facts.push(("Status", decision.status.name().to_owned()));
    facts.push(("Created", offset(&decision.created_at)));
    facts.extend(decision.resolved_at.as_deref().map(|at| ("Resolved", offset(at))));
    facts.extend(decision.resolved_by.clone().map(|who| ("Resolved by", who)));
    facts.extend(decision.opened_by.clone().map(|who| ("Opened by", who)));
    facts.push(("Other answer", decision.other_answer.to_string()));
    // Writing to a String does not fail.
    let _ = write!(out, "# Decision Moment `{}`\n\n", decision.decision_id);
    for (label, value) in facts {
        let _ = writeln!(out, "- **{label}:** `{value}`");
    }
    let options = decision.options.iter().map(|option| format!("- {option}")).collect::<Vec<_>>().join("\n");
    section(&mut out, "Question", Some(&decision.question));
    section(&mut out, "Options", Some(options.as_str()).filter(|options| !options.is_empty()));
    section(&mut out, "Final answer", decision.final_answer.as_deref());
    section(&mut out, "Rationale", decision.rationale.as_deref());
    section(&mut out, "Change log", Some(&history(decision)));
    out
}

fn section(out: &mut String, title: &str, text: Option<&str>) {
    let _ = write!(out, "\n## {title}\n\n{}\n", text.unwrap_or(NONE));
}

fn history(decision: &Decision) -> String {
    let opened = format!("- `{}` — opened", offset(&decision.created_at));
    let Some(at) = decision.resolved_at.as_deref().map(offset) else { return opened };
    let outcome = match (decision.status, &decision.final_answer) {
        (DecisionStatus::Resolved, Some(answer)) => format!("resolved (final_answer=\"{answer}\")"),
        (status, _) => status.name().to_owned(),
    };
    format!("{opened}\n- `{at}` — {outcome}")
}

/// An instant with `+00:00` in place of `Z`.
fn offset(at: &str) -> String {
    at.strip_suffix('Z').map_or_else(|| at.to_owned(), |instant| format!("{instant}+00:00"))
}
