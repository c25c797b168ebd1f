//! `sync daemon run`: the daemon in the foreground.

use super::{failed_start, not_started};
use crate::build;
use crate::render;
use crate::verb::{Args, Class, CliError, CommandContext, ExitCode, Report, Verb, no_document};
use contract::Remedy;
use daemon::deliverer::Deliverer;
use daemon::drain::Drain;
use daemon::readiness::Ready;
use daemon::run::{RunOptions, Startup};
use daemon::start_failure::StartFailure;
use daemon::stop::StopReason;

/// Run the daemon in the foreground
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty sync daemon run")]
pub(crate) struct DaemonRunArgs {
    /// Report readiness to the process that started this one
    #[arg(long, hide = true)]
    spawned: bool,
}

impl Verb for DaemonRunArgs {
    fn class(&self) -> Class {
        // Each drain asks for an egress permit of its own.
        Class::Curing
    }

    fn json(&self, asked: bool) -> Result<bool, &'static str> {
        no_document(asked)
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let switch = context.switch();
        if !switch.on && !self.spawned {
            return Ok(Report::disabled(switch));
        }
        let startup = if self.spawned { Startup::spawned() } else { Startup::foreground() };
        let options = RunOptions {
            environment: context.environment.clone(),
            home: context.home()?.clone(),
            build: build::info(),
            timing: startup.timing(),
        };
        let (spawned, deliverer) = (self.spawned, options.clone());
        let make_drain = |identity| -> Box<dyn Drain> {
            Box::new(Deliverer::new(&deliverer.environment, &deliverer.home, &deliverer.build, identity))
        };
        let on_ready = |ready: &Ready| {
            if !spawned {
                render::note(&format!("the daemon serves, pid {}, port {}", ready.pid, ready.port));
            }
        };
        match daemon::run::run(&options, startup, make_drain, on_ready) {
            Ok(stop) if !spawned => Ok(ended(&stop.why)),
            Ok(_) => Ok(Report::silent()),
            // Replaced, the other daemon would be in the way again.
            Err(failure @ StartFailure::AlreadyRunning) if !spawned => {
                Err(failed_start(&failure, Some(Remedy::StopDaemon)))
            }
            Err(failure) if !spawned => Err(not_started(&failure)),
            // The starter and the log have the reason already.
            Err(_) => Ok(Report { exit: ExitCode::Failed, ..Report::silent() }),
        }
    }
}

/// The end of a daemon in the foreground. Its exit code tells a service manager whether to run it again.
fn ended(why: &StopReason) -> Report {
    let exit = if why.should_restart() { ExitCode::Failed } else { ExitCode::Ok };
    let report = Report { exit, ..Report::silent() };
    report.note(format!("the daemon ended because {}", why.because()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_manager_restarts_unless_stop_was_requested() {
        let again = [
            StopReason::ExecutableReplaced,
            StopReason::ScopeChanged { now: None },
            StopReason::NewerVersion { version: "4.0.0".into() },
            StopReason::Superseded,
            StopReason::Restarted,
            StopReason::Broken { detail: "no thread".into() },
        ];
        for why in again {
            let report = ended(&why);
            assert_eq!((report.exit, report.notes.len()), (ExitCode::Failed, 1), "{why:?}");
        }
        let wanted = [
            StopReason::Stopped,
            StopReason::Signal { signal: "SIGTERM".into() },
            StopReason::HomeVanished,
            StopReason::Idle,
        ];
        for why in wanted {
            assert_eq!(ended(&why).exit, ExitCode::Ok, "{why:?}");
        }
    }
}
