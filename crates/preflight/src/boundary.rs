//! Entry point of the crate: verdicts, permits and the status document.

use crate::consent::consent_of;
use crate::observer::{Observation, QueueRead, observe, or_fault};
use crate::others::{Elsewhere, OtherQueueStatus, OwnLogin};
use crate::project_stores::ProjectStoreStatus;
use crate::status::{
    ActiveQueue, AttemptStatus, DaemonRecord, HeldProject, LOGIN_REFUSED, LegacyQueue, LoginSummary, Root,
    RowPair, SCHEMA_VERSION, STALE_AFTER_SECONDS, StatusDocument, Warning, missing_queue_warning,
    rewound_warning, unindexed_warnings,
};
use contract::{FaultCode, ForegroundIdentity, PreflightResult, Remedy, server_url};
use gate::{CapturePermit, CurePermit, EgressPermit, LockState, OwnerReading, Policy, Verdict};
use identity::{BuildInfo, Environment, Home, LoginSource};
use jiff::Timestamp;
use queue::{Busy, Cure, HoldReason, QueueCounts, QueueError, observe_legacy};
use std::time::{Duration, Instant};

/// Reason why the boundary gave no permit.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// The boundary is not coherent; the result has every failure.
    #[error("{}", .0.headline())]
    Refused(Box<PreflightResult>),
    /// A queue stayed locked past the deadline.
    #[error("{0}")]
    Busy(Busy),
    /// Rolling an interrupted transaction back failed.
    #[error(transparent)]
    Recovery(#[from] QueueError),
}

impl From<Busy> for PreflightError {
    fn from(busy: Busy) -> Self {
        Self::Busy(busy)
    }
}

/// The boundary of one home, as observed by one process.
#[derive(Clone, Debug)]
pub struct Boundary<'a> {
    /// The environment.
    pub environment: &'a Environment,
    /// The home.
    pub home: &'a Home,
    /// The build of this process.
    pub build: BuildInfo,
    /// The foreground identity to use instead of observing one: a daemon takes its own once, at start.
    pub foreground: Option<ForegroundIdentity>,
    /// Time for which a read retries while a queue is locked, beyond the deadline of one attempt.
    patience: Duration,
}

impl<'a> Boundary<'a> {
    /// The boundary of `home` for this process.
    pub fn new(environment: &'a Environment, home: &'a Home, build: BuildInfo) -> Self {
        Self { environment, home, build, foreground: None, patience: Duration::ZERO }
    }

    /// The same boundary with a fixed foreground identity.
    #[must_use]
    pub fn with_foreground(self, foreground: ForegroundIdentity) -> Self {
        Self { foreground: Some(foreground), ..self }
    }

    /// The same boundary for a command that may write: it waits for a locked queue as long as a write does, not
    /// only as long as a read (contract section 5).
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Observes the machine.
    pub fn observe(&self) -> Result<Observation, Busy> {
        self.observe_queue(QueueRead::Facts)
    }

    /// Observes the machine and counts the rows of the active queue DB, for [`Observation::status_document`].
    pub fn observe_counted(&self) -> Result<Observation, Busy> {
        self.observe_queue(QueueRead::Counts)
    }

    fn observe_queue(&self, read: QueueRead) -> Result<Observation, Busy> {
        let since = Instant::now();
        loop {
            match observe(self.environment, self.home, &self.build, self.foreground.as_ref(), read) {
                // Each try has already waited for the deadline of a read.
                Err(_) if since.elapsed() < self.patience => {}
                Err(busy) => return Err(Busy { waited: busy.waited.max(since.elapsed()), ..busy }),
                Ok(observation) => return Ok(observation),
            }
        }
    }

    /// The preflight gate: observes and judges. Read-only.
    pub fn verdict(&self, require_auth: bool) -> Result<Verdict, Busy> {
        Ok(self.observe()?.judge(Policy { require_auth }))
    }

    /// The preflight gate's result alone.
    pub fn run_preflight(&self, require_auth: bool) -> Result<PreflightResult, Busy> {
        Ok(self.verdict(require_auth)?.result().clone())
    }

    /// A capture permit, from a new observation.
    pub fn capture_permit(&self) -> Result<CapturePermit, PreflightError> {
        self.recovered(self.observe()?)?.capture_permit()
    }

    /// An egress permit, from a new observation.
    pub fn egress_permit(&self) -> Result<EgressPermit, PreflightError> {
        self.recovered(self.observe()?)?.egress_permit()
    }

    /// A cure permit; none without a readable scope.
    pub fn cure_permit(&self) -> Result<Option<CurePermit>, Busy> {
        Ok(self.observe()?.cure_permit())
    }

    /// `observation` for a command that may write: if an interrupted transaction is the only failure, it is
    /// rolled back and the machine is observed again.
    pub fn recovered(&self, observation: Observation) -> Result<Observation, PreflightError> {
        let verdict = observation.judge(Policy { require_auth: true });
        if verdict.result().fails_only_by_fault(FaultCode::QueueRecoveryNeeded)
            && let Some(permit) = verdict.cure_permit()
        {
            Cure::recover(&permit)?;
            return Ok(self.observe()?);
        }
        Ok(observation)
    }

    /// The status document, under the policy of `auth_required`.
    pub fn status_document(&self, auth_required: bool) -> Result<StatusDocument, Busy> {
        self.observe_counted()?.status_document(self, auth_required)
    }
}

impl Observation {
    /// The status document of this observation, under the policy of `auth_required`.
    pub fn status_document(
        &self,
        boundary: &Boundary<'_>,
        auth_required: bool,
    ) -> Result<StatusDocument, Busy> {
        let verdict = self.judge(Policy { require_auth: auth_required });
        StatusBuilder { boundary, observation: self, verdict: &verdict }.collect()
    }

    /// Rows outside the active and the legacy queue DB; each file is opened without waiting.
    pub fn elsewhere(&self, home: &Home) -> Elsewhere {
        let (queues, login) = (home.queues_dir(), &self.login);
        let way_back = identity::judge_destination(login, &self.config).way_back();
        // Without a scope there is an active queue DB all the same, but for a fault.
        let unknown = self.facts().faults.first().filter(|_| login.active_queue(home).is_none());
        let own = OwnLogin { login, way_back: way_back.as_ref(), unknown };
        let consent = consent_of(&self.config);
        let others = queue::observe_other_queues(&queues, &self.facts().active.path, &consent);
        let stores = queue::observe_project_stores(&home.projects_dir(), &queues);
        Elsewhere {
            other_queues: others.into_iter().map(|other| OtherQueueStatus::of(other, own)).collect(),
            project_stores: stores.into_iter().map(|store| ProjectStoreStatus::of(store, login)).collect(),
        }
    }

    /// The warning that delivery would be refused although the boundary is coherent.
    pub fn destination_warning(&self) -> Option<Warning> {
        let login = &self.login;
        // The server of a configuration that cannot be read is unknown, and an invalid one is a fault.
        if !login.authenticated || !login.faults.is_empty() || !self.config.is_readable() {
            return None;
        }
        let destination = identity::judge_destination(login, &self.config);
        let code = match &destination {
            identity::Destination::Ready { .. } => return None,
            identity::Destination::ServerUnset => contract::exit::SYNC_SERVER_UNSET,
            identity::Destination::TokenHost { .. } => contract::exit::SYNC_TOKEN_HOST,
        };
        let mut text = destination.problem()?;
        if let Some(way_back) = destination.way_back() {
            text.push_str(&format!("; if the address is wrong: `{way_back}`"));
        }
        Some(Warning { code, text, remedy: login.server_remedy() })
    }

    /// A capture permit.
    pub fn capture_permit(&self) -> Result<CapturePermit, PreflightError> {
        self.judge(Policy { require_auth: true }).into_capture_permit().map_err(|refusal| refused(*refusal))
    }

    /// An egress permit.
    pub fn egress_permit(&self) -> Result<EgressPermit, PreflightError> {
        self.judge(Policy { require_auth: true }).into_egress_permit().map_err(|refusal| refused(*refusal))
    }

    /// A cure permit; none without a readable scope.
    pub fn cure_permit(&self) -> Option<CurePermit> {
        self.judge(Policy { require_auth: false }).cure_permit()
    }

    /// A permit to cache the counts of the legacy queue DB; none without rows: there is nothing to scan.
    pub fn legacy_count_permit(&self) -> Option<CurePermit> {
        let totals = self.legacy?.totals;
        if totals.total_rows() + totals.failure_log_rows > 0 { self.cure_permit() } else { None }
    }
}

fn refused(refusal: gate::PermitRefused) -> PreflightError {
    PreflightError::Refused(Box::new(refusal.0))
}

/// Builds the status document.
struct StatusBuilder<'a> {
    boundary: &'a Boundary<'a>,
    observation: &'a Observation,
    verdict: &'a Verdict,
}

impl StatusBuilder<'_> {
    fn collect(&self) -> Result<StatusDocument, Busy> {
        let facts = self.observation.facts();
        let mut preflight = self.verdict.result().clone();
        let mut faults = preflight.faults.clone();
        let counts = self.observation.counts.as_ref();
        let legacy = match &facts.login.scope {
            Some(_) => self.observation.legacy,
            None => or_fault(observe_legacy(&facts.legacy.path, None, None), &mut faults)?,
        };
        // Without a scope the gate reads no legacy queue DB; an error there is a failure like any other.
        preflight.ok &= faults.len() == preflight.faults.len();
        preflight.faults.clone_from(&faults);
        let record = match &facts.owner.reading {
            OwnerReading::Readable(record) => Some(&**record),
            OwnerReading::Absent | OwnerReading::Unreadable(_) => None,
        };
        let scoped = facts.login.scope.is_some();
        let held = counts.map(held_projects).unwrap_or_default();
        let oldest = counts.and_then(|counts| counts.oldest_pending_at);
        Ok(StatusDocument {
            schema_version: SCHEMA_VERSION,
            ok: preflight.ok,
            exit_code: if preflight.ok { 0 } else { contract::ExitCode::Refused.code() },
            auth_required: preflight.auth_required,
            auth_present: preflight.auth_present,
            auth_absent_reason: preflight.auth_absent_reason(),
            live_orphan_daemon_count: u64::from(facts.stray.is_some()),
            root: Root {
                path: self.boundary.home.root().to_owned(),
                source: self.boundary.home.source().variable().to_owned(),
            },
            login: self.login(),
            foreground: shown(&facts.foreground),
            daemon_owner_record: DaemonRecord::of(self.verdict.owner(), record),
            active_queue: ActiveQueue {
                path: facts.foreground.queue_db_path.clone(),
                event_count: counts.map(|counts| counts.events),
                body_upload_count: counts.map(|counts| counts.bodies),
            },
            legacy_queue: LegacyQueue {
                path: facts.legacy.path.clone(),
                event_count: legacy.map(|legacy| legacy.totals.event_rows),
                body_upload_count: legacy.map(|legacy| legacy.totals.body_upload_rows),
                rows_in_scope: legacy.map(|legacy| if scoped { legacy.in_scope.total_rows() } else { 0 }),
                rows_other_scope: legacy.map(|legacy| legacy.other_scope.total_rows()),
            },
            prepared: counts.map(|counts| pair(counts.prepared)).unwrap_or_default(),
            parked: counts.map(|counts| pair(counts.parked)).unwrap_or_default(),
            held,
            oldest_pending_at: oldest.and_then(timestamp),
            last_delivery: counts.and_then(|counts| counts.last_delivery).and_then(timestamp),
            last_attempt: counts.and_then(|counts| counts.last_attempt.as_ref()).and_then(AttemptStatus::of),
            elsewhere: self.observation.elsewhere(self.boundary.home),
            mismatches: preflight.mismatches.clone(),
            orphan_records: preflight.orphan_records.clone(),
            faults,
            warnings: self.warnings(counts),
            preflight,
        })
    }

    fn login(&self) -> LoginSummary {
        let login = &self.observation.login;
        LoginSummary {
            source: match login.source {
                LoginSource::Token => "token",
                LoginSource::Session => "session",
                LoginSource::Credentials => "credentials",
                LoginSource::None => "none",
            },
            scope: login.scope.as_ref().map(contract::Scope::shown),
            refresh_expires_at: login.refresh_expires_at.map(|at| at.to_string()),
        }
    }

    fn warnings(&self, counts: Option<&QueueCounts>) -> Vec<Warning> {
        let mut warnings = Vec::new();
        warnings.extend(counts.and_then(|counts| counts.rewound.as_ref()).map(rewound_warning));
        let attempt = counts.and_then(|counts| counts.last_attempt.as_ref());
        warnings.extend(attempt.and_then(|attempt| self.refused_login(attempt)));
        let oldest = counts.and_then(|counts| counts.oldest_pending_at);
        warnings.extend(counts.into_iter().flat_map(|counts| unindexed_warnings(&counts.unindexed)));
        let facts = self.observation.facts();
        warnings.extend(missing_queue_warning(&facts.active.path));
        let waited = oldest.map(|oldest| system::clock::now().as_second().saturating_sub(oldest));
        if facts.owner.lock == LockState::Free && waited.is_some_and(|waited| waited > STALE_AFTER_SECONDS) {
            let minutes = waited.unwrap_or_default() / 60;
            warnings.push(Warning {
                code: "backlog_without_daemon",
                text: format!("rows have waited for {minutes} minutes and no daemon runs"),
                remedy: Remedy::SyncNow,
            });
        }
        warnings.extend(self.observation.destination_warning());
        warnings
    }

    /// The warning that the server refused the login at the newest attempt; none after a new login.
    fn refused_login(&self, attempt: &queue::LastAttempt) -> Option<Warning> {
        let login = &self.observation.login;
        if !attempt.token_refused || !login.authenticated {
            return None;
        }
        if login.source == LoginSource::Session {
            let stored =
                std::fs::symlink_metadata(self.boundary.home.session_file()).ok()?.modified().ok()?;
            if Timestamp::try_from(stored).is_ok_and(|stored| stored.as_second() > attempt.at) {
                return None;
            }
        }
        let at = timestamp(attempt.at)?;
        let what = if login.source == LoginSource::Token { "the CI token" } else { "the login" };
        let text = format!("the server refused {what} at {at}");
        Some(Warning { code: LOGIN_REFUSED, text, remedy: login.remedy() })
    }
}

/// The foreground for display: the server of legacy credentials may contain a password.
fn shown(foreground: &ForegroundIdentity) -> ForegroundIdentity {
    let server_url = foreground.server_url.as_deref().map(|url| server_url::shown(url).into_owned());
    ForegroundIdentity { server_url, ..foreground.clone() }
}

fn pair(counts: queue::RowCounts) -> RowPair {
    RowPair { events: counts.events, bodies: counts.bodies }
}

fn timestamp(seconds: i64) -> Option<String> {
    Timestamp::from_second(seconds).ok().map(|at| at.to_string())
}

fn held_projects(counts: &QueueCounts) -> Vec<HeldProject> {
    counts
        .held
        .iter()
        .map(|held| {
            let project = held.project_uuid.clone().unwrap_or_else(|| "none".to_owned());
            HeldProject {
                project_uuid: held.project_uuid.clone(),
                repo_slug: held.repo_slug.clone(),
                events: held.events,
                bodies: held.bodies,
                reason: reason(held.reason).to_owned(),
                remediation_hint: Remedy::OptIn { project }.hint(),
            }
        })
        .collect()
}

fn reason(reason: HoldReason) -> &'static str {
    match reason {
        HoldReason::OptedOut => "the project is opted out",
        HoldReason::NeverOptedIn => "not captured by this program, and the project was never opted in",
        HoldReason::Sealed => {
            "captured while sync was off, copied from another queue DB, or waiting when the project was opted in"
        }
    }
}
