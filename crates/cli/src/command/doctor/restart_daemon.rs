//! `doctor restart-daemon`: replaces the daemon by one with the identity of this command, up or down.
//! Logged out, it only stops the old one.

use crate::command::sync::daemon::launcher;
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use daemon::lifecycle::{Idle, RestartOutcome, StopOutcome, restart};
use serde::Serialize;

/// Replace the daemon by one with the identity of this command
///
/// Logged out, or with hosted sync off, it only stops the old one. It exits 1 with `reason` when there was nothing to
/// restart, or when the stop or the start failed.
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty doctor restart-daemon")]
pub(crate) struct RestartDaemonArgs {
    /// Also end a daemon that neither answers nor ends, if it is proven to belong to this home
    #[arg(long)]
    force: bool,
}

impl Verb for RestartDaemonArgs {
    fn class(&self) -> Class {
        Class::Curing
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let outcome = restart(context.home()?, &context.environment, &launcher(context)?, self.force)
            .map_err(|failure| {
                CliError::failed("RESTART_FAILED", failure.detail.clone())
                    .fact("reason", serde_json::to_value(failure.reason).unwrap_or_default())
                    .remedy_if(failure.remedy)
            })?;
        Ok(Report::of(&Restarted {
            result: if outcome.started.is_some() { "restarted" } else { "stopped" },
            outcome,
        }))
    }
}

#[derive(Serialize)]
struct Restarted {
    result: &'static str,
    #[serde(flatten)]
    outcome: RestartOutcome,
}

impl Render for Restarted {
    fn text(&self) -> String {
        let old = match &self.outcome.stopped {
            StopOutcome::Stopped { pid: Some(pid), .. } => format!("stopped the daemon, pid {pid}"),
            StopOutcome::Stopped { pid: None, .. } => "stopped the daemon".to_owned(),
            StopOutcome::NotRunning => "no daemon ran".to_owned(),
        };
        match &self.outcome.started {
            Some(ready) => {
                format!("{old}\nstarted a daemon, pid {}, version {}\n", ready.pid, ready.package_version)
            }
            None => {
                let why = match self.outcome.idle {
                    Some(Idle::SwitchedOff) => "hosted sync is off".to_owned(),
                    idle => idle.unwrap_or(Idle::LoggedOut).detail(),
                };
                format!("{old}; {why}, so none was started\n")
            }
        }
    }
}
