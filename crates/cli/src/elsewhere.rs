//! Rows that wait outside the active queue DB, as text: five queue DBs and five project stores with what helps, and
//! the number of the rest.

use crate::context::CommandContext;
use contract::Remedy;
use contract::text::printable;
use preflight::Elsewhere;
use std::fmt::Write as _;

/// Most entries of each kind in the text; JSON has all of them.
const SHOWN: usize = 5;

/// The rows of this home that wait elsewhere. Nothing when the machine cannot be looked at now: they never keep a
/// command from its work.
pub(crate) fn observe(context: &CommandContext) -> Elsewhere {
    let observe = || Some(context.boundary().ok()?.observe().ok()?.elsewhere(context.home().ok()?));
    observe().unwrap_or_default()
}

/// Two lines each, or nothing without any.
pub(crate) fn describe(elsewhere: &Elsewhere) -> String {
    let mut out = String::new();
    let others = elsewhere.other_queues.iter().map(|other| (other.line(), other.advice()));
    let is_other = elsewhere.other_queues.iter().all(|other| other.scope_unknown.is_none());
    list(&mut out, if is_other { "Other queue" } else { "Queue" }, others);
    let stores = elsewhere.project_stores.iter().map(|store| (store.line(), store.remedy.clone()));
    list(&mut out, "3.2 store", stores);
    out
}

fn list(out: &mut String, label: &str, entries: impl ExactSizeIterator<Item = (String, Remedy)>) {
    let more = entries.len().saturating_sub(SHOWN);
    for (line, remedy) in entries.take(SHOWN) {
        let _ = writeln!(out, "{label:<14}: {}", printable(&line));
        let _ = writeln!(out, "{:16}{}", "", printable(&remedy.hint()));
    }
    if more > 0 {
        let _ = writeln!(out, "{label:<14}: and {more} more; `spec-kitty sync status --json` lists them");
    }
}
