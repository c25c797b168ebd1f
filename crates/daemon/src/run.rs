//! Start-up and run of the daemon.
//!
//! Order (contract section 2 and 10): switch, lock, predecessor, directory, identity (taken once), control
//! plane, control file and record, readiness, event loop.

use crate::control::client::ControlClient;
use crate::control::file::ControlFile;
use crate::control::proof::ControlToken;
use crate::control::routes::{Authenticator, ControlHandler};
use crate::control::server::{self, ControlServer, Limits};
use crate::control::wire::Phase;
use crate::control_state::ControlState;
use crate::daemon_log::DaemonLog;
use crate::deliverer::Deliverer;
use crate::drain::{Drain, TakenIdentity};
use crate::event_loop::EventLoop;
use crate::executable::ExecutableWatch;
use crate::ownership::{Claim, DaemonOwnership, PublishError, TakeError};
use crate::readiness::{Ready, Reporter, StartReport};
use crate::record::RunFacts;
use crate::schedule::Timing;
use crate::start_failure::StartFailure;
use crate::stop::{Stop, StopReason};
use identity::{
    BuildInfo, Config, Environment, Home, SessionCacheUse, observe_foreground, read_login, read_switch,
    refresh_session_cache,
};
use std::sync::Arc;
use std::time::{Duration, Instant};
use system::private_file::create_private_dir;

/// Options of a daemon.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The environment it was started in.
    pub environment: Environment,
    /// The home it serves.
    pub home: Home,
    /// Its build.
    pub build: BuildInfo,
    /// Its periods.
    pub timing: Timing,
}

/// Start-up mode of this process.
#[derive(Debug)]
pub struct Startup {
    reporter: Reporter,
    spawned: bool,
}

impl Startup {
    /// A person or a service manager runs the daemon in the foreground.
    pub fn foreground() -> Self {
        Self { reporter: Reporter::silent(), spawned: false }
    }

    /// A command spawned it: leaves the session, closes what was inherited, keeps the readiness pipe and
    /// sends its own output to the log. Call it first of all.
    pub fn spawned() -> Self {
        system::detached::close_inherited();
        system::detached::leave_session();
        let reporter = Reporter::from_output().unwrap_or_else(|_| Reporter::silent());
        Self { reporter, spawned: true }
    }

    /// Its periods.
    pub fn timing(&self) -> Timing {
        if self.spawned { Timing::SPAWNED } else { Timing::FOREGROUND }
    }
}

/// Runs the daemon until it has a reason to stop.
///
/// `make_drain` builds the draining step from the identity taken at the start; `on_ready` is called when
/// the daemon serves.
///
/// # Errors
/// The daemon did not become ready; a spawned one has reported the same over its pipe.
pub fn run(
    options: &RunOptions,
    startup: Startup,
    make_drain: impl FnOnce(TakenIdentity) -> Box<dyn Drain>,
    on_ready: impl FnOnce(&Ready),
) -> Result<Stop, StartFailure> {
    let Startup { reporter, spawned } = startup;
    match begin(options, spawned, make_drain) {
        Ok(Begun { event_loop, server, ready }) => {
            reporter.send(&StartReport::Ready(ready.clone()));
            on_ready(&ready);
            let stop = event_loop.run();
            drop(server);
            Ok(stop)
        }
        Err(failure) => {
            reporter.send(&StartReport::Failed(failure.clone()));
            Err(failure)
        }
    }
}

/// Runs the daemon that delivers: [`run`] with a [`Deliverer`].
///
/// # Errors
/// As [`run`].
pub fn deliver(
    options: &RunOptions,
    startup: Startup,
    on_ready: impl FnOnce(&Ready),
) -> Result<Stop, StartFailure> {
    let deliverer = |identity| -> Box<dyn Drain> {
        Box::new(Deliverer::new(&options.environment, &options.home, &options.build, identity))
    };
    run(options, startup, deliverer, on_ready)
}

/// A published daemon whose event loop has not started.
struct Begun {
    event_loop: EventLoop,
    server: ControlServer,
    ready: Ready,
}

fn begin(
    options: &RunOptions,
    spawned: bool,
    make_drain: impl FnOnce(TakenIdentity) -> Box<dyn Drain>,
) -> Result<Begun, StartFailure> {
    // Both are read before anything is created: a home that needs no daemon is unchanged.
    if !read_switch(&options.environment, Some(&options.home)).on {
        return Err(StartFailure::SwitchOff);
    }
    take_identity(options)?;
    create_private_dir(&options.home.daemon_dir())
        .map_err(|error| StartFailure::home_unusable(error.to_string(), &error.path, &error.source))?;
    let log = Arc::new(DaemonLog::open(&options.home.daemon_log(), spawned));
    let outcome = establish(options, make_drain, &log);
    if let Err(failure) = &outcome {
        log.line(&format!("pid {} did not become the daemon: {failure}", std::process::id()));
    }
    outcome
}

fn establish(
    options: &RunOptions,
    make_drain: impl FnOnce(TakenIdentity) -> Box<dyn Drain>,
    log: &Arc<DaemonLog>,
) -> Result<Begun, StartFailure> {
    let claim = take_after_shutdown(&options.home)?;
    let root = options.home.root();
    std::env::set_current_dir(root)
        .map_err(|error| StartFailure::home_unusable(format!("cannot be entered: {error}"), root, &error))?;
    let identity = take_identity(options)?;
    let executable = ExecutableWatch::observe(&identity.foreground.executable_path);
    // A queue that cannot be read now has no id to compare; the gate reports it before every drain.
    let queue_id =
        queue::observe_active(&identity.foreground.queue_db_path).ok().and_then(|active| active.queue_id);
    let facts = RunFacts::new(identity.foreground.clone(), identity.scope.clone(), queue_id);

    let control_plane =
        |error: &dyn std::fmt::Display| StartFailure::ControlPlane { detail: error.to_string() };
    let listener = server::bind().map_err(|error| control_plane(&error))?;
    let port = listener.local_addr().map_err(|error| control_plane(&error))?.port();
    let token = ControlToken::generate().map_err(|error| control_plane(&error))?;
    let ownership: DaemonOwnership =
        claim.publish(facts.clone(), port, token.clone()).map_err(|error| StartFailure::from(&error))?;

    let facts = ownership.facts().clone();
    let control = Arc::new(ControlState::new(facts.clone()));
    let behind: Arc<dyn ControlHandler> = Arc::clone(&control) as Arc<dyn ControlHandler>;
    let signalled = Arc::clone(&control);
    let opened = ControlServer::start(listener, Authenticator { token, port }, behind, Limits::default())
        .and_then(|server| {
            system::detached::watch_signals(move |signal| {
                signalled.request_stop(StopReason::Signal { signal: signal.to_owned() });
            })?;
            Ok(server)
        });
    let server = match opened {
        Ok(server) => server,
        Err(error) => {
            ownership.release(StopReason::Broken { detail: error.to_string() });
            return Err(control_plane(&error));
        }
    };
    let ready = Ready {
        pid: facts.foreground.pid,
        port,
        instance_id: facts.instance_id.clone(),
        package_version: facts.foreground.package_version.clone(),
    };
    log.line(&format!(
        "ready: pid {}, port {port}, instance {}, version {}, scope {}",
        ready.pid, ready.instance_id, ready.package_version, facts.scope
    ));
    let drain = make_drain(identity);
    let event_loop = EventLoop::new(ownership, control, Arc::clone(log), executable, options.timing, drain);
    Ok(Begun { event_loop, server, ready })
}

/// Longest wait of a starter for a daemon that is shutting down, and the interval of its checks.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(15);
const SHUTDOWN_LOOK: Duration = Duration::from_millis(25);

/// Takes the claim; where the holder of the lock is just stopping, after it.
fn take_after_shutdown(home: &Home) -> Result<Claim, TakeError> {
    let deadline = Instant::now() + SHUTDOWN_PATIENCE;
    loop {
        match Claim::take(home) {
            Err(TakeError::Held) if Instant::now() < deadline && observe_stopping(home) => {
                std::thread::sleep(SHUTDOWN_LOOK);
            }
            taken => return taken,
        }
    }
}

/// Whether the daemon of `home` reports that it is stopping; false without a control file.
fn observe_stopping(home: &Home) -> bool {
    let Ok(Some(control)) = ControlFile::of_holder(home) else { return false };
    ControlClient::connect(&control, Duration::from_secs(1))
        .and_then(|mut client| client.status())
        .is_ok_and(|report| report.phase == Phase::Stopping)
}

/// The identity of this daemon, read once.
fn take_identity(options: &RunOptions) -> Result<TakenIdentity, StartFailure> {
    let config = Config::read(&options.home).map_err(|fault| StartFailure::from(&fault))?;
    let login = read_login(&options.home, &config, &options.environment);
    if login.session_cache == SessionCacheUse::Derived {
        // A session cache spares the key derivation when the identity is read again under the lock.
        let _ = refresh_session_cache(&options.home, &login);
    }
    if let Some(fault) = login.faults.first() {
        return Err(fault.into());
    }
    // A scope alone names a queue; without authentication nothing is ever sent.
    if let Some(absence) = login.absence {
        return Err(StartFailure::unauthenticated(absence, &login.remedy()));
    }
    let no_login = || StartFailure::unauthenticated(contract::AuthAbsence::LoggedOut, &login.remedy());
    let scope = login.scope.clone().ok_or_else(no_login)?;
    let foreground = observe_foreground(&options.build, &options.home, &login);
    Ok(TakenIdentity { foreground, scope })
}

impl From<&PublishError> for StartFailure {
    fn from(error: &PublishError) -> Self {
        let remedy = match error {
            PublishError::Record(error) => error.remedy(),
            PublishError::Control(error) => error.remedy(),
        };
        Self::RecordNotWritten { detail: error.to_string(), remediation_hint: remedy.hint() }
    }
}

impl From<TakeError> for StartFailure {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::Held => Self::AlreadyRunning,
            TakeError::ReferenceAlive { pid } => Self::ReferenceAlive { pid },
            TakeError::SharedLock { path, links } => Self::SharedLock { path, links },
            TakeError::Directory(error) => Self::home_unusable(error.to_string(), &error.path, &error.source),
            TakeError::Lock { path, source } => {
                let detail = format!("cannot lock {}: {source}", contract::text::path(&path));
                Self::home_unusable(detail, &path, &source)
            }
            TakeError::Clear(ref fault) => Self::home_unusable(error.to_string(), &fault.path, &fault.source),
        }
    }
}
