//! `agent evidence verify`: whether the evidence is there, untouched and up to date.

use crate::args::EvidenceVerifyArgs;
use crate::command::agent::evidence::capture::request;
use crate::context::Context;
use crate::error::CliError;
use crate::mission_document::MissionDocument;
use crate::report::Report;
use contract::ExitCode;
use contract::text::printable;
use mission::command::evidence::{VerifiedEvidence, verify};
use std::fmt::Write as _;

/// Runs the verb. Evidence that does not hold ends it with 1.
pub(crate) fn run(context: &Context, args: EvidenceVerifyArgs) -> Result<Report, CliError> {
    let verified = verify(&context.project()?, &request(args.evidence, args.integrity_only))?;
    let exit = if verified.findings.is_empty() { ExitCode::Ok } else { ExitCode::Failed };
    let text = describe(&verified);
    Ok(Report::exiting(exit, &MissionDocument { value: verified, text }))
}

fn describe(verified: &VerifiedEvidence) -> String {
    let checks = if verified.checks == 1 { "check" } else { "checks" };
    let mut out = format!("{}: {}, {} {checks}\n", verified.mission_slug, verified.status, verified.checks);
    for finding in &verified.findings {
        let _ = writeln!(out, "  {}: {}", printable(&finding.check), printable(&finding.detail));
    }
    out
}
