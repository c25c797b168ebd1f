//! `sync daemon start|stop|status|run`.

use crate::args::DaemonRunArgs;
use crate::build;
use crate::context::Context;
use crate::error::{CliError, chain};
use crate::render;
use crate::report::{Document, Report, Said};
use contract::exit::SAAS_SYNC_UNAUTHENTICATED;
use contract::switch::Switch;
use contract::text::printable;
use contract::{ExitCode, Remedy};
use daemon::control::wire::ShutdownCause;
use daemon::deliverer::Courier;
use daemon::drain::Drain;
use daemon::lifecycle::{DaemonState, DaemonStatus, StartOutcome, StopFailure, StopOutcome, observe_status};
use daemon::readiness::Ready;
use daemon::run::{RunOptions, Startup};
use daemon::spawn::Launcher;
use daemon::start_failure::StartFailure;
use daemon::stop::StopReason;
use serde::Serialize;
use std::fmt::Write as _;

/// Runs `sync daemon start`.
pub(crate) fn start(context: &Context) -> Result<Report, CliError> {
    let switch = context.switch();
    if !switch.on {
        return Ok(switched_off(switch));
    }
    let outcome = daemon::lifecycle::start(context.home()?, &launcher(context)?)
        .map_err(|failure| not_started(&failure))?;
    Ok(Report::of(&Started(outcome)))
}

/// Runs `sync daemon stop`.
pub(crate) fn stop(context: &Context) -> Result<Report, CliError> {
    let outcome = daemon::lifecycle::stop(context.home()?, &ShutdownCause::Stop, false)
        .map_err(|failure| not_stopped(&failure))?;
    Ok(Report::of(&Stopped(outcome)))
}

/// Runs `sync daemon status`.
pub(crate) fn status(context: &Context) -> Result<Report, CliError> {
    let status = observe_status(context.home()?);
    let fine = matches!(status.state, DaemonState::Running | DaemonState::Stopped | DaemonState::Starting);
    let exit = if fine { ExitCode::Ok } else { ExitCode::Failed };
    Ok(Report::exiting(exit, &Shown(status)))
}

/// Runs `sync daemon run`: is the daemon until it has a reason to stop.
pub(crate) fn run(context: &Context, args: &DaemonRunArgs) -> Result<Report, CliError> {
    let switch = context.switch();
    if !switch.on && !args.spawned {
        return Ok(switched_off(switch));
    }
    let startup = if args.spawned { Startup::spawned() } else { Startup::foreground() };
    let options = RunOptions {
        environment: context.environment.clone(),
        home: context.home()?.clone(),
        build: build::info(),
        timing: startup.timing(),
    };
    let (spawned, courier) = (args.spawned, options.clone());
    let make_drain = |identity| -> Box<dyn Drain> {
        Box::new(Courier::new(&courier.environment, &courier.home, &courier.build, identity))
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
        // Its starter has been told, and so has the log.
        Err(_) => Ok(Report { exit: ExitCode::Failed, ..Report::silent() }),
    }
}

/// The end of a daemon in the foreground. Its exit code tells a service manager whether to run it again.
fn ended(why: &StopReason) -> Report {
    let exit = if why.wants_successor() { ExitCode::Failed } else { ExitCode::Ok };
    let report = Report { exit, ..Report::silent() };
    report.note(format!("the daemon ended because {}", why.because()))
}

/// Hosted sync is off: there is nothing for a daemon to do, and that is no failure.
fn switched_off(switch: Switch) -> Report {
    let facts = serde_json::json!({ "sync_enabled": false });
    Report::of(&Said { result: "disabled", facts, line: switch.off_message() })
}

/// How this command starts a daemon.
pub(crate) fn launcher(context: &Context) -> Result<Launcher, CliError> {
    let executable =
        std::env::current_exe().map_err(|error| CliError::failed("EXECUTABLE_UNKNOWN", chain(&error)))?;
    Ok(Launcher::new(executable, context.home()?, &context.environment))
}

/// A daemon that did not start.
pub(crate) fn not_started(failure: &StartFailure) -> CliError {
    failed_start(failure, failure.remedy())
}

fn failed_start(failure: &StartFailure, remedy: Option<Remedy>) -> CliError {
    let unauthenticated = failure.is_unauthenticated();
    let refused = unauthenticated || matches!(failure, StartFailure::IdentityUnreadable { .. });
    let exit = if refused { ExitCode::Refused } else { ExitCode::Failed };
    let code = if unauthenticated { SAAS_SYNC_UNAUTHENTICATED } else { "DAEMON_NOT_STARTED" };
    CliError::new(code, exit, failure.to_string())
        .fact("failure", serde_json::to_value(failure).unwrap_or_default())
        .cured_by(remedy)
}

/// A daemon that did not stop.
pub(crate) fn not_stopped(failure: &StopFailure) -> CliError {
    CliError::failed("DAEMON_NOT_STOPPED", failure.to_string())
        .remedy(failure.remedy())
        .fact("failure", serde_json::to_value(failure).unwrap_or_default())
}

#[derive(Serialize)]
#[serde(transparent)]
struct Started(StartOutcome);

impl Document for Started {
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

#[derive(Serialize)]
#[serde(transparent)]
struct Stopped(StopOutcome);

impl Document for Stopped {
    fn text(&self) -> String {
        match &self.0 {
            StopOutcome::NotRunning => "no daemon runs\n".to_owned(),
            StopOutcome::Stopped { pid: Some(pid), .. } => format!("daemon stopped, pid {pid}\n"),
            StopOutcome::Stopped { pid: None, .. } => "daemon stopped\n".to_owned(),
        }
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Shown(DaemonStatus);

impl Document for Shown {
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
