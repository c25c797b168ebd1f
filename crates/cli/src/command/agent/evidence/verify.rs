//! `agent evidence verify`: whether the evidence is there, untouched and up to date.

use super::EvidenceArgs;
use crate::mission_document::MissionDocument;
use crate::verb::{Args, Class, CliError, CommandContext, ExitCode, Report, Verb};
use contract::text::printable;
use mission::command::evidence::{VerifiedEvidence, verify};
use std::fmt::Write as _;

/// Check whether the evidence exists, is untouched and is up to date; change nothing
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty agent evidence verify --mission tea-timer")]
pub(crate) struct EvidenceVerifyArgs {
    #[command(flatten)]
    evidence: EvidenceArgs,
    /// Verify integrity only; ignore changed sources
    #[arg(long)]
    integrity_only: bool,
}

impl Verb for EvidenceVerifyArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    /// Evidence that does not hold ends it with 1.
    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let verified = verify(&context.project()?, &self.evidence.request(self.integrity_only))?;
        let exit = if verified.findings.is_empty() { ExitCode::Ok } else { ExitCode::Failed };
        let text = describe(&verified);
        Ok(Report::exiting(exit, &MissionDocument { value: verified, text }))
    }
}

fn describe(verified: &VerifiedEvidence) -> String {
    let checks = if verified.checks == 1 { "check" } else { "checks" };
    let mut out = format!("{}: {}, {} {checks}\n", verified.mission_slug, verified.status, verified.checks);
    for finding in &verified.findings {
        let _ = writeln!(out, "  {}: {}", printable(&finding.check), printable(&finding.detail));
    }
    out
}
