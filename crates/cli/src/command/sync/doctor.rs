//! `sync doctor`: everything that delivery needs, line by line, with what was read and where.
//!
//! Read-only. One check uses the network; `--offline` skips it.

use crate::diagnostics::{DiagnosticCheck, DiagnosticVerdict, Diagnostics, Reach, describe, headline};
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use preflight::status::StatusDocument;
use serde::Serialize;

/// Check everything that delivery needs, with evidence; change nothing
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty sync doctor --offline")]
pub(crate) struct SyncDoctorArgs {
    /// Skip the request to the server, the only part that uses the network
    #[arg(long)]
    offline: bool,
}

impl Verb for SyncDoctorArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    /// Exit 1 with findings.
    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let observed_at = jiff::Timestamp::now().to_string();
        let look = Diagnostics::take(context)?;
        let checks = look.examine(if self.offline { Reach::Offline } else { Reach::Server })?;
        let result = DiagnosticVerdict::of(&checks);
        Ok(Report::exiting(
            result.exit(),
            &SyncExamination { result, observed_at, checks, status: &look.status },
        ))
    }
}

#[derive(Serialize)]
struct SyncExamination<'a> {
    result: DiagnosticVerdict,
    observed_at: String,
    checks: Vec<DiagnosticCheck>,
    status: &'a StatusDocument,
}

impl Render for SyncExamination<'_> {
    fn text(&self) -> String {
        format!("{}\n\n{}", headline(self.result, &self.checks), describe(&self.checks))
    }
}
