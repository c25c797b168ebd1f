//! `agent decision verify`: whether the questions and the markers in the documents agree.

use crate::args::DecisionVerifyArgs;
use crate::command::agent::decision::error::with_details;
use crate::context::Context;
use crate::error::CliError;
use crate::mission_document::MissionDocument;
use crate::report::Report;
use contract::ExitCode;
use contract::text::printable;
use mission::command::decision::verify;
use mission::decision::Verification;
use std::fmt::Write as _;

/// Runs the verb. What does not agree ends it with 1, unless that was not wanted.
pub(crate) fn run(context: &Context, args: &DecisionVerifyArgs) -> Result<Report, CliError> {
    let found = verify(&context.project()?, args.decision.mission.as_deref()).map_err(with_details)?;
    let exit =
        if found.findings.is_empty() || args.no_fail_on_stale { ExitCode::Ok } else { ExitCode::Failed };
    let text = describe(&found);
    Ok(Report::exiting(exit, &MissionDocument { value: found, text }))
}

fn describe(found: &Verification) -> String {
    let mut out =
        format!("{}: {} deferred, {} markers\n", found.status, found.deferred_count, found.marker_count);
    for finding in &found.findings {
        let place = finding.location.as_deref().unwrap_or("no document");
        let _ = writeln!(
            out,
            "  {}  {}: {}",
            printable(&finding.decision_id_or_ref),
            printable(place),
            printable(&finding.detail)
        );
    }
    out
}
