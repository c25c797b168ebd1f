use super::not_stopped;
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use daemon::control::wire::ShutdownCause;
use daemon::lifecycle::StopOutcome;
use serde::Serialize;

/// Stop the daemon of this home
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty sync daemon stop")]
pub(crate) struct DaemonStopArgs;

impl Verb for DaemonStopArgs {
    fn class(&self) -> Class {
        Class::Curing
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let outcome = daemon::lifecycle::stop(context.home()?, &ShutdownCause::Stop, false)
            .map_err(|failure| not_stopped(&failure))?;
        Ok(Report::of(&DaemonStopped(outcome)))
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct DaemonStopped(StopOutcome);

impl Render for DaemonStopped {
    fn text(&self) -> String {
        match &self.0 {
            StopOutcome::NotRunning => "no daemon runs\n".to_owned(),
            StopOutcome::Stopped { pid: Some(pid), .. } => format!("daemon stopped, pid {pid}\n"),
            StopOutcome::Stopped { pid: None, .. } => "daemon stopped\n".to_owned(),
        }
    }
}
