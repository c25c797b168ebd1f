use super::{launcher, not_started};
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use contract::text::printable;
use daemon::lifecycle::StartOutcome;
use serde::Serialize;

/// Start the daemon in the background, unless one is running
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty sync daemon start")]
pub(crate) struct DaemonStartArgs;

impl Verb for DaemonStartArgs {
    fn class(&self) -> Class {
        Class::Curing
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let switch = context.switch();
        if !switch.on {
            return Ok(Report::disabled(switch));
        }
        let outcome = daemon::lifecycle::start(context.home()?, &launcher(context)?)
            .map_err(|failure| not_started(&failure))?;
        Ok(Report::of(&Started(outcome)))
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Started(StartOutcome);

impl Render for Started {
    fn text(&self) -> String {
        match &self.0 {
            StartOutcome::Started(ready) => {
                format!("daemon started, pid {}, port {}\n", ready.pid, ready.port)
            }
            StartOutcome::AlreadyRunning { pid, package_version, .. } => {
                let pid = pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
                let version = package_version.as_deref().unwrap_or("unknown");
                format!("a daemon runs already, pid {pid}, version {}\n", printable(version))
            }
        }
    }
}
