use super::failed;
use crate::verb::{Args, Class, CliError, CommandContext, ExitCode, Render, Report, Verb};
use contract::text::printable;
use serde::Serialize;
use server::{ServerFinding, examine};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Examine a data directory: permissions, disk, database, clock, server, backup
#[derive(Debug, Args)]
#[command(after_help = "Changes nothing; exit 1 with findings.\n\nExample: spec-kitty server doctor --data \
    /var/lib/spec-kitty")]
pub(crate) struct ServerDoctorArgs {
    /// Directory of the server's database
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

impl Verb for ServerDoctorArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let checks = examine(&self.data).map_err(failed)?;
        let is_healthy = checks.iter().all(|check| check.ok);
        let (exit, result) = match is_healthy {
            true => (ExitCode::Ok, "healthy"),
            false => (ExitCode::Failed, "findings"),
        };
        Ok(Report::exiting(exit, &Examination { result, checks }))
    }
}

/// The results of all checks.
#[derive(Debug, Serialize)]
struct Examination {
    /// `healthy` or `findings`.
    result: &'static str,
    checks: Vec<ServerFinding>,
}

impl Render for Examination {
    fn text(&self) -> String {
        let mut out = String::new();
        for finding in &self.checks {
            let name: &str = finding.check.into();
            let state = if finding.ok { "ok" } else { "!!" };
            let _ = writeln!(out, "{state}  {name:<12} {}", printable(&finding.detail));
            if let Some(remedy) = &finding.remedy {
                let _ = writeln!(out, "    {}", printable(remedy));
            }
        }
        let wrong = self.checks.iter().filter(|finding| !finding.ok).count();
        match wrong {
            0 => out.push_str(&format!("healthy: all {} checks passed\n", self.checks.len())),
            1 => out.push_str("1 check failed\n"),
            many => out.push_str(&format!("{many} checks failed\n")),
        }
        out
    }
}
