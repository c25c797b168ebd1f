//! Rows of other scopes, as text: five queue DBs with what helps, and the number of the rest.

use crate::context::CommandContext;
use contract::text::printable;
use preflight::OtherQueueStatus;
use std::fmt::Write as _;

/// How many are shown as text; JSON has all of them.
const SHOWN: usize = 5;

/// The other queue DBs of this home that have rows. Nothing when the machine cannot be looked at now: they
/// never keep a command from its work.
pub(crate) fn observe(context: &CommandContext) -> Vec<OtherQueueStatus> {
    context.boundary().ok().and_then(|boundary| boundary.other_queues().ok()).unwrap_or_default()
}

/// Two lines each, or nothing without any.
pub(crate) fn describe(others: &[OtherQueueStatus]) -> String {
    let mut out = String::new();
    for other in others.iter().take(SHOWN) {
        let _ = writeln!(out, "Other queue   : {}", printable(&other.line()));
        let _ = writeln!(out, "                {}", printable(&other.remedy.hint()));
    }
    if let Some(more @ 1..) = others.len().checked_sub(SHOWN) {
        let _ = writeln!(out, "Other queue   : and {more} more; `spec-kitty sync status --json` lists them");
    }
    out
}
