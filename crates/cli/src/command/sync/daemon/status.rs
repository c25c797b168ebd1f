use crate::verb::{Args, Class, CliError, CommandContext, ExitCode, Render, Report, Verb};
use contract::Remedy;
use contract::text::printable;
use daemon::lifecycle::{DaemonStatus, observe_status};
use serde::Serialize;
use std::fmt::Write as _;

/// Show the daemon of this home; change nothing
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty sync daemon status")]
pub(crate) struct DaemonStatusArgs;

impl Verb for DaemonStatusArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let status = observe_status(context.home()?);
        // A state with a remedy is a failure.
        let exit = if status.remedy.is_none() { ExitCode::Ok } else { ExitCode::Failed };
        Ok(Report::exiting(exit, &DaemonView(status)))
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct DaemonView(DaemonStatus);

impl Render for DaemonView {
    fn text(&self) -> String {
        let status = &self.0;
        let mut out = String::new();
        let mut line = |label: &str, value: &str| {
            let _ = writeln!(out, "{label:<14}: {}", printable(value));
        };
        let state = serde_json::to_value(status.state).unwrap_or_default();
        line("Daemon", state.as_str().unwrap_or_default());
        for (label, value) in [
            ("PID", status.pid.map(|pid| pid.to_string())),
            ("Port", status.port.map(|port| port.to_string())),
            ("Version", status.package_version.clone()),
            ("Started", status.started_at.clone()),
            ("Detail", status.detail.clone()),
            ("Remedy", status.remedy.as_ref().map(Remedy::hint)),
        ] {
            if let Some(value) = value {
                line(label, &value);
            }
        }
        if let Some(report) = &status.report {
            line("Drains", &report.drains.to_string());
            if let Some(last) = &report.last_drain {
                line("Last drain", &format!("{}: {}", last.finished_at, last.outcome));
            }
        }
        for stop in status.stops.iter().rev().take(STOPS_SHOWN) {
            line("Ended", &format!("{} because {}", stop.stopped_at, stop.why.because()));
        }
        line("Log", &status.log.to_string_lossy());
        out
    }
}

const STOPS_SHOWN: usize = 3;
