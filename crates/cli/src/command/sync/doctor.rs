//! `sync doctor`: everything that delivery needs, line by line, with what was read and where.
//!
//! Changes nothing. One line uses the network, says so, and is left out with `--offline`.

use crate::context::Context;
use crate::diagnostics::{Check, Look, Reach, Verdict, describe, headline};
use crate::error::CliError;
use crate::report::{Document, Report};
use crate::verb::{Class, Verb};
use clap::Args;
use preflight::status::StatusDocument;
use serde::Serialize;

/// Check everything that delivery needs, with evidence; change nothing
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty sync doctor --offline")]
pub(crate) struct SyncDoctorArgs {
    /// Do not ask the server whether it answers: the only part that uses the network
    #[arg(long)]
    offline: bool,
}

impl Verb for SyncDoctorArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    /// Exit 1 with findings.
    fn run(self: Box<Self>, context: &Context) -> Result<Report, CliError> {
        let observed_at = jiff::Timestamp::now().to_string();
        let look = Look::take(context)?;
        let checks = look.examine(if self.offline { Reach::Offline } else { Reach::Server })?;
        let result = Verdict::of(&checks);
        Ok(Report::exiting(result.exit(), &Examination { result, observed_at, checks, status: &look.status }))
    }
}

#[derive(Serialize)]
struct Examination<'a> {
    result: Verdict,
    observed_at: String,
    checks: Vec<Check>,
    status: &'a StatusDocument,
}

impl Document for Examination<'_> {
    fn text(&self) -> String {
        format!("{}\n\n{}", headline(self.result, &self.checks), describe(&self.checks))
    }
}
