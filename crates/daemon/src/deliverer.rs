//! The draining step that delivers: the gate, then the drain, as in every command.
//!
//! The identity is the one that the daemon took at its start. Before each drain the boundary is judged again with it,
//! against the daemon's own record. The permit names its scope, and a permit for another scope than the daemon's is
//! never used. So a login that changed on disk stops the daemon before a byte leaves, under any current login.

use crate::drain::{Drain, DrainOutcome, PendingRows, ScopeOnDisk, StopFlag, TakenIdentity};
use delivery::drain::StoppedBy;
use delivery::{DeliveryContext, DrainError, DrainOptions, DrainProgress, DrainReport};
use gate::EgressPermit;
use identity::{
    BuildInfo, Config, Environment, Home, Login, SessionCacheUse, read_login, read_switch,
    refresh_session_cache,
};
use preflight::{Boundary, PreflightError};
use queue::{Cure, DrainedBy, RowOrigin, observe_counts};
use system::file::{self, FileIdentity};
use system::lock::LockError;

/// Delivers the rows of one scope.
#[derive(Debug)]
pub struct Deliverer {
    environment: Environment,
    home: Home,
    build: BuildInfo,
    identity: TakenIdentity,
    /// Drains that failed in a row: decides how long the next pause is.
    failures: u32,
    /// Identity of the legacy queue DB whose counts were cached last.
    cached_legacy: Option<FileIdentity>,
}

impl Deliverer {
    /// The deliverer of a daemon that took `identity` in `environment` and `home`.
    pub fn new(environment: &Environment, home: &Home, build: &BuildInfo, identity: TakenIdentity) -> Self {
        Self {
            environment: environment.clone(),
            home: home.clone(),
            build: build.clone(),
            identity,
            failures: 0,
            cached_legacy: None,
        }
    }

    fn boundary(&self) -> Boundary<'_> {
        Boundary::new(&self.environment, &self.home, self.build.clone())
            .with_foreground(self.identity.foreground.clone())
    }

    /// The login on disk, when everything it is made of can be read.
    fn read_login(&self) -> Option<Login> {
        let config = Config::read(&self.home).ok()?;
        let login = read_login(&self.home, &config, &self.environment);
        if login.session_cache == SessionCacheUse::Derived {
            // Without a session cache every later look derives the key again; a failure costs only that.
            let _ = refresh_session_cache(&self.home, &login);
        }
        login.faults.is_empty().then_some(login)
    }

    fn deliver(&mut self, permit: EgressPermit, stop: &StopFlag) -> DrainOutcome {
        // Made for each drain and dropped after it: an idle daemon keeps no connection and no certificates.
        let context = match DeliveryContext::new(&self.home, &self.environment, &self.build.version) {
            Ok(context) => context,
            Err(error) => return DrainOutcome::Failed { detail: error.to_string() },
        };
        let options =
            DrainOptions { failures_before: self.failures, by: DrainedBy::Daemon, ..DrainOptions::default() };
        let mut watch = Watch { stop };
        match delivery::drain(permit, &context, &options, &mut watch) {
            Ok(report) => self.outcome(&report),
            Err(error @ DrainError::Lock(LockError::Busy { .. })) => {
                DrainOutcome::Busy { detail: error.to_string() }
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.scope_changed().unwrap_or_else(|| DrainOutcome::Failed { detail: error.to_string() })
            }
        }
    }

    fn outcome(&mut self, report: &DrainReport) -> DrainOutcome {
        if let Some(stopped) = &report.stopped
            && stopped.reason == StoppedBy::IdentityChanged
            && let Some(changed) = self.scope_changed()
        {
            return changed;
        }
        self.failures = if report.stopped.is_some() { self.failures.saturating_add(1) } else { 0 };
        let held = report.held_rows();
        DrainOutcome::Drained {
            delivered: report.events.delivered + report.bodies.delivered,
            duplicate: report.events.duplicate + report.bodies.duplicate,
            parked: report.events.parked + report.bodies.parked,
            held,
            remaining: (report.remaining.events + report.remaining.bodies).saturating_sub(held),
            stopped: report
                .stopped
                .as_ref()
                .map(|stopped| format!("{}: {}", stopped.reason.name(), stopped.detail)),
            retry_after_ms: report
                .stopped
                .as_ref()
                .and_then(|stopped| stopped.pause())
                .map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    fn scope_changed(&mut self) -> Option<DrainOutcome> {
        match self.observe_scope() {
            ScopeOnDisk::Other(now) => Some(DrainOutcome::ScopeChanged { now }),
            ScopeOnDisk::Own | ScopeOnDisk::Unknown => None,
        }
    }

    /// Stores the counts of the legacy queue DB in the scoped one, so that no gate has to scan it
    /// (contract section 3). After a failure the next gate scans.
    fn cache_legacy_counts(&mut self) {
        let Ok(metadata) = std::fs::metadata(self.home.legacy_queue()) else { return };
        let found = file::file_identity(&metadata);
        if self.cached_legacy == Some(found) {
            return;
        }
        let cached = match self.boundary().cure_permit() {
            // A new queue DB would hide that one is gone.
            Ok(Some(permit))
                if *permit.scope() == self.identity.scope
                    && queue::record_of_lost_queue(permit.queue_path()).is_none() =>
            {
                Cure::open(&permit).and_then(|mut cure| cure.write_legacy_counts()).is_ok()
            }
            Ok(_) | Err(_) => false,
        };
        if cached {
            self.cached_legacy = Some(found);
        }
    }
}

impl Drain for Deliverer {
    fn observe_pending(&mut self) -> PendingRows {
        let config = match Config::read(&self.home) {
            Ok(config) => config,
            Err(fault) => return PendingRows::Unknown(format!("config.toml {}", fault.detail)),
        };
        if !read_switch(&self.environment, Some(&self.home)).on {
            return PendingRows::Nothing;
        }
        let consent = |place: &RowOrigin| {
            config.consent(place.project_uuid.as_deref(), place.repo_slug.as_deref(), place.checkout())
        };
        match observe_counts(&self.identity.foreground.queue_db_path, &consent) {
            Ok(counts) if counts.oldest_pending_at.is_some() => PendingRows::Rows,
            Ok(_) => PendingRows::Nothing,
            Err(error) => PendingRows::Unknown(error.to_string()),
        }
    }

    fn observe_scope(&mut self) -> ScopeOnDisk {
        match self.read_login().map(|login| login.scope) {
            None => ScopeOnDisk::Unknown,
            Some(Some(scope)) if scope == self.identity.scope => ScopeOnDisk::Own,
            Some(other) => ScopeOnDisk::Other(other.map(|scope| scope.shown())),
        }
    }

    fn observe_queue_id(&mut self) -> Option<String> {
        queue::observe_active(&self.identity.foreground.queue_db_path).ok()?.queue_id
    }

    fn drain(&mut self, stop: &StopFlag) -> DrainOutcome {
        if !read_switch(&self.environment, Some(&self.home)).on {
            return DrainOutcome::Failed { detail: "hosted sync is off: nothing sent".to_owned() };
        }
        if let Some(changed) = self.scope_changed() {
            return changed;
        }
        match self.boundary().egress_permit() {
            // The login may have changed since the check above: the permit itself names its account.
            Ok(permit) if *permit.scope() != self.identity.scope => {
                DrainOutcome::ScopeChanged { now: Some(permit.scope().shown()) }
            }
            Ok(permit) => {
                self.cache_legacy_counts();
                self.deliver(permit, stop)
            }
            Err(PreflightError::Refused(result)) => DrainOutcome::Refused {
                names: result.failures().into_iter().map(|name| name.name().to_owned()).collect(),
            },
            Err(error @ (PreflightError::Busy(_) | PreflightError::Recovery(_))) => {
                DrainOutcome::Failed { detail: error.to_string() }
            }
        }
    }
}

/// Asks the flag before every request.
struct Watch<'a> {
    stop: &'a StopFlag,
}

impl DrainProgress for Watch<'_> {
    fn is_cancelled(&self) -> bool {
        self.stop.is_raised()
    }
}
