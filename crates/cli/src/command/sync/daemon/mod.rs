//! `sync daemon ...`: the background delivery daemon.

mod run;
mod start;
mod status;
mod stop;

use crate::verb::{CliError, CommandContext, ExitCode, Verb, chain};
use clap::Subcommand;
use contract::Remedy;
use contract::exit::SAAS_SYNC_UNAUTHENTICATED;
use daemon::lifecycle::StopFailure;
use daemon::spawn::Launcher;
use daemon::start_failure::StartFailure;

// `sync daemon ...`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum DaemonCommand {
    Start(start::DaemonStartArgs),
    Stop(stop::DaemonStopArgs),
    Status(status::DaemonStatusArgs),
    Run(run::DaemonRunArgs),
}

impl DaemonCommand {
    pub(super) fn verb(self) -> Box<dyn Verb> {
        match self {
            Self::Start(args) => Box::new(args),
            Self::Stop(args) => Box::new(args),
            Self::Status(args) => Box::new(args),
            Self::Run(args) => Box::new(args),
        }
    }
}

/// Starter of a daemon for this command.
pub(crate) fn launcher(context: &CommandContext) -> Result<Launcher, CliError> {
    let executable =
        std::env::current_exe().map_err(|error| CliError::failed("EXECUTABLE_UNKNOWN", chain(&error)))?;
    Ok(Launcher::new(executable, context.home()?, &context.environment))
}

/// A daemon that did not start.
fn not_started(failure: &StartFailure) -> CliError {
    failed_start(failure, failure.remedy())
}

fn failed_start(failure: &StartFailure, remedy: Option<Remedy>) -> CliError {
    let unauthenticated = failure.is_unauthenticated();
    let refused = unauthenticated || matches!(failure, StartFailure::IdentityUnreadable { .. });
    let exit = if refused { ExitCode::Refused } else { ExitCode::Failed };
    let code = if unauthenticated { SAAS_SYNC_UNAUTHENTICATED } else { "DAEMON_NOT_STARTED" };
    CliError::new(code, exit, failure.to_string())
        .fact("failure", serde_json::to_value(failure).unwrap_or_default())
        .remedy_if(remedy)
}

/// A daemon that did not stop.
fn not_stopped(failure: &StopFailure) -> CliError {
    CliError::failed("DAEMON_NOT_STOPPED", failure.to_string())
        .remedy(failure.remedy())
        .fact("failure", serde_json::to_value(failure).unwrap_or_default())
}
