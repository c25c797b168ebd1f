//! `sync doctor`: everything that delivery needs, line by line, with what was read and where.
//!
//! Changes nothing. One line uses the network, says so, and is left out with `--offline`.

use crate::args::SyncDoctorArgs;
use crate::context::Context;
use crate::diagnostics::{Check, Look, Reach, State, Verdict, describe};
use crate::error::CliError;
use crate::report::{Document, Report};
use preflight::status::StatusDocument;
use serde::Serialize;

/// Runs the verb. Exit 1 with findings.
pub(crate) fn run(context: &Context, args: &SyncDoctorArgs) -> Result<Report, CliError> {
    let observed_at = jiff::Timestamp::now().to_string();
    let look = Look::take(context)?;
    let checks = look.examine(if args.offline { Reach::Offline } else { Reach::Server })?;
    let result = Verdict::of(&checks);
    Ok(Report::exiting(result.exit(), &Examination { result, observed_at, checks, status: &look.status }))
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

/// The verdict in one line.
pub(crate) fn headline<N: Serialize>(verdict: Verdict, checks: &[Check<N>]) -> String {
    let names = |state: State| -> String {
        let names: Vec<String> = checks
            .iter()
            .filter(|check| check.state == state)
            .map(|check| crate::diagnostics::word(&check.name))
            .collect();
        names.join(", ")
    };
    match verdict {
        Verdict::Healthy => "healthy: every check was made and is right".to_owned(),
        Verdict::Findings => {
            let count: usize = checks.iter().map(|check| check.findings.len()).sum();
            let plural = if count == 1 { "finding" } else { "findings" };
            format!("{count} {plural}: {}", names(State::Finding))
        }
        Verdict::Incomplete => {
            let mut parts = Vec::new();
            for (label, state) in [("switched off", State::Off), ("not checked", State::NotChecked)] {
                let names = names(state);
                if !names.is_empty() {
                    parts.push(format!("{label}: {names}"));
                }
            }
            format!("no findings, and not called healthy; {}", parts.join("; "))
        }
    }
}
