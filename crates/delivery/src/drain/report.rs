//! Drain report: one value, rendered by the caller as text, as JSON and as a file.

use crate::classify::{Category, ServerStop, ServerStopReason};
use crate::context::DeliveryContext;
use crate::token_source::TokenError;
use contract::wire::ArtifactBody;
use contract::{ExitCode, Remedy, Scope};
use jiff::Timestamp;
use queue::{
    DaemonDelivery, DrainedBy, HeldRows, Kind, LastAttempt, QueueCounts, QueueError, Rewound, RowCounts,
    Unindexed,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Failures listed by name; further ones are only counted.
const LISTED: usize = 10_000;

/// Outcomes of the rows of one kind in this drain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RowTally {
    /// The server has them now.
    pub delivered: u64,
    /// The server had them before.
    pub duplicate: u64,
    /// Refused by name: kept in the parked table.
    pub parked: u64,
    /// Tried and not accepted this time: they wait on.
    pub kept: u64,
}

impl RowTally {
    /// Rows that left: delivered and duplicate.
    pub const fn left(&self) -> u64 {
        self.delivered + self.duplicate
    }
}

/// One row that did not get through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The event's id, or the document's path in its mission.
    pub event_id: String,
    /// The mission of a document: every mission has a `spec.md`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mission_slug: Option<String>,
    /// The server's text, or ours.
    pub error: String,
    /// Its category.
    pub category: &'static str,
}

impl Failure {
    pub(super) fn new(id: &str, error: &str, category: Category) -> Self {
        let (event_id, error) = (id.to_owned(), error.to_owned());
        Self { event_id, mission_slug: None, error, category: category.name() }
    }

    pub(super) fn of_body(body: &ArtifactBody, error: &str, category: Category) -> Self {
        let mission_slug = Some(body.mission_slug.clone());
        Self { mission_slug, ..Self::new(&body.artifact_path, error, category) }
    }
}

/// A project that was left alone after a 403.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoppedProject {
    /// The project; none for rows without one.
    pub project_uuid: Option<String>,
    /// Its `owner/repo`, where known.
    pub repo_slug: Option<String>,
    /// The stable name of the reason.
    pub reason: &'static str,
    /// The server's text.
    pub detail: String,
    /// The remedy, when there is one.
    #[serde(skip)]
    pub remedy: Option<Remedy>,
}

/// Cause of an early end of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoppedBy {
    /// An answer, or the lack of one.
    Server(ServerStopReason),
    /// An earlier answer asked for a pause that is not over.
    Pausing,
    /// Another account is logged in, or none.
    IdentityChanged,
    /// The login ended and could not be refreshed.
    LoginEnded,
    /// The login could not be refreshed now.
    RefreshFailed,
    /// The configuration or the session cannot be read any more.
    Unreadable,
    /// The observer cancelled it.
    Interrupted,
    /// The queue DB stayed locked.
    QueueBusy,
    /// The queue DB refused.
    QueueFailed,
    /// The queue DB is damaged, or not the one that was checked.
    QueueUnusable,
}

impl StoppedBy {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Server(reason) => reason.name(),
            Self::Pausing => "pausing",
            Self::IdentityChanged => "identity_changed",
            Self::LoginEnded => "login_ended",
            Self::RefreshFailed => "refresh_failed",
            Self::Unreadable => "unreadable",
            Self::Interrupted => "interrupted",
            Self::QueueBusy => "queue_busy",
            Self::QueueFailed => "queue_failed",
            Self::QueueUnusable => "queue_unusable",
        }
    }

    /// Whether the rows wait because of the server or of the way to it.
    const fn is_server_side(self) -> bool {
        matches!(self.exit(), ExitCode::Failed) && !matches!(self, Self::QueueFailed)
    }

    /// The stable code, where the login is what is missing.
    pub const fn code(self) -> Option<&'static str> {
        match self {
            Self::LoginEnded | Self::Server(ServerStopReason::Unauthorized) => {
                Some(contract::exit::SAAS_SYNC_UNAUTHENTICATED)
            }
            _ => None,
        }
    }

    /// Exit code of a command that it stopped.
    pub const fn exit(self) -> ExitCode {
        match self {
            Self::IdentityChanged | Self::LoginEnded | Self::Unreadable | Self::QueueUnusable => {
                ExitCode::Refused
            }
            Self::Server(ServerStopReason::Unauthorized) => ExitCode::Refused,
            Self::Interrupted => ExitCode::Interrupted,
            Self::QueueBusy => ExitCode::Busy,
            Self::Server(_) | Self::Pausing | Self::RefreshFailed | Self::QueueFailed => ExitCode::Failed,
        }
    }
}

impl Serialize for StoppedBy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Reason why a drain ended before everything was sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DrainStopped {
    /// The kind.
    pub reason: StoppedBy,
    /// One sentence.
    pub detail: String,
    /// Earliest time at which trying again makes sense, if that is known.
    pub not_before: Option<Timestamp>,
    /// The remedy, when there is one.
    #[serde(skip)]
    pub remedy: Option<Remedy>,
    #[serde(skip)]
    pause: Option<Duration>,
}

impl DrainStopped {
    fn new(reason: StoppedBy, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), not_before: None, remedy: None, pause: None }
    }

    pub(super) fn by_server(stop: &ServerStop, pause: Option<Duration>, context: &DeliveryContext) -> Self {
        let now = system::clock::now();
        let not_before = pause.and_then(|pause| now.checked_add(pause).ok());
        let remedy = stop.reason.remedy(|| context.login());
        Self { not_before, pause, remedy, ..Self::new(StoppedBy::Server(stop.reason), &*stop.detail) }
    }

    /// `pause` is left of one that an earlier drain recorded.
    pub(super) fn pausing(pause: Duration) -> Self {
        let detail = format!("the server asked for a pause of another {} s", pause.as_secs().max(1));
        let not_before = system::clock::now().checked_add(pause).ok();
        Self { not_before, pause: Some(pause), ..Self::new(StoppedBy::Pausing, detail) }
    }

    pub(super) fn by_token(error: &TokenError, context: &DeliveryContext) -> Self {
        let reason = match error {
            TokenError::Ended | TokenError::CiToken { .. } | TokenError::BadToken(_) => StoppedBy::LoginEnded,
            TokenError::Refresh(_) => StoppedBy::RefreshFailed,
            TokenError::Fault(_) => StoppedBy::Unreadable,
            TokenError::IdentityChanged(_)
            | TokenError::ServerUnset
            | TokenError::TokenHost { .. }
            | TokenError::Destination(_) => StoppedBy::IdentityChanged,
        };
        Self { remedy: error.remedy(context), ..Self::new(reason, error.to_string()) }
    }

    pub(super) fn by_queue(error: &QueueError) -> Self {
        let reason = match error {
            QueueError::Busy(_) => StoppedBy::QueueBusy,
            QueueError::Fault(_) => StoppedBy::QueueUnusable,
            _ => StoppedBy::QueueFailed,
        };
        Self { remedy: error.remedy(), ..Self::new(reason, error.to_string()) }
    }

    pub(super) fn cancelled() -> Self {
        Self::new(StoppedBy::Interrupted, "interrupted")
    }

    /// Whether the drain tried to deliver: an earlier pause, a signal and the queue DB say nothing about the
    /// server or the login.
    pub(super) fn is_attempt(&self) -> bool {
        !matches!(
            self.reason,
            StoppedBy::Pausing
                | StoppedBy::Interrupted
                | StoppedBy::QueueBusy
                | StoppedBy::QueueFailed
                | StoppedBy::QueueUnusable
        )
    }

    pub(super) fn attempt(&self, by: DrainedBy) -> LastAttempt {
        LastAttempt {
            at: system::clock::now().as_second(),
            outcome: self.reason.name().to_owned(),
            failed: true,
            detail: self.detail.clone(),
            token_refused: self.reason.code().is_some(),
            by,
        }
    }

    /// Time to wait before the next drain, if that is known.
    pub fn pause(&self) -> Option<Duration> {
        self.pause
    }
}

/// Rows that wait for their next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BodiesWaiting {
    /// Number of bodies.
    pub bodies: u64,
    /// Time of the first attempt that is due.
    pub next_attempt_at: Timestamp,
}

/// The result of a drain.
#[derive(Clone, Debug, Serialize)]
pub struct DrainReport {
    /// The scope of the queue.
    pub scope: Scope,
    /// The server.
    pub server_url: String,
    /// Events.
    pub events: RowTally,
    /// Bodies.
    pub bodies: RowTally,
    /// Rows that left without being sent: by a receipt the server has them.
    pub settled_before: u64,
    /// Rows that changed while they were under way; they wait on, as they are now.
    pub vanished: u64,
    /// Answers about rows that were not sent.
    pub unknown_ids: u64,
    /// Requests made.
    pub requests: u64,
    /// Reason why the server could not be asked, when nothing waits: then it is no failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<&'static str>,
    /// The warning that the server no longer has rows that it acknowledged.
    pub server_rewound: Option<Rewound>,
    /// Whether the next four could be counted; they are empty otherwise.
    pub counted: bool,
    /// Rows that wait for a decision, by project.
    pub held: Vec<HeldRows>,
    /// Bodies that wait for an event that does not wait here, by mission.
    #[serde(skip)]
    pub unindexed: Vec<Unindexed>,
    /// Rows in the parked table, these and earlier ones.
    pub parked: RowCounts,
    /// Rows that still wait, held ones included.
    pub remaining: RowCounts,
    /// Of these, rows that may leave and are not due: the server did not accept them the last time.
    pub waiting: Option<BodiesWaiting>,
    /// Projects left alone after a 403.
    pub stopped_projects: Vec<StoppedProject>,
    /// Reason why it ended before everything was sent.
    pub stopped: Option<DrainStopped>,
    /// Rows that did not get through, the first ten thousand.
    pub failures: Vec<Failure>,
    /// All of them, by category.
    pub failure_categories: BTreeMap<&'static str, u64>,
}

impl DrainReport {
    pub(super) fn new(scope: &Scope, server_url: &str) -> Self {
        Self {
            scope: scope.clone(),
            server_url: server_url.to_owned(),
            events: RowTally::default(),
            bodies: RowTally::default(),
            settled_before: 0,
            vanished: 0,
            unknown_ids: 0,
            requests: 0,
            server: None,
            server_rewound: None,
            counted: false,
            held: Vec::new(),
            unindexed: Vec::new(),
            parked: RowCounts::default(),
            remaining: RowCounts::default(),
            waiting: None,
            stopped_projects: Vec::new(),
            stopped: None,
            failures: Vec::new(),
            failure_categories: BTreeMap::new(),
        }
    }

    pub(super) fn of_mut(&mut self, kind: Kind) -> &mut RowTally {
        match kind {
            Kind::Event => &mut self.events,
            Kind::Body => &mut self.bodies,
        }
    }

    pub(super) fn fail(&mut self, failures: impl IntoIterator<Item = Failure>) {
        for failure in failures {
            *self.failure_categories.entry(failure.category).or_default() += 1;
            if self.failures.len() < LISTED {
                self.failures.push(failure);
            }
        }
    }

    pub(super) fn stop_project(
        &mut self,
        project_uuid: Option<String>,
        stop: &ServerStop,
        context: &DeliveryContext,
    ) {
        self.stopped_projects.push(StoppedProject {
            project_uuid,
            repo_slug: None,
            reason: stop.reason.name(),
            detail: stop.detail.clone(),
            remedy: stop.reason.remedy(|| context.login()),
        });
    }

    pub(super) fn count(&mut self, counts: &QueueCounts) {
        self.counted = true;
        self.held.clone_from(&counts.held);
        self.unindexed.clone_from(&counts.unindexed);
        self.parked = counts.parked;
        self.remaining = RowCounts { events: counts.events, bodies: counts.bodies };
        self.waiting = counts.waiting.and_then(|next| {
            // Rounded up, so that a command run at that time finds the rows due.
            let next_attempt_at = Timestamp::from_second(next.next_attempt_at.ceil() as i64).ok()?;
            Some(BodiesWaiting { bodies: next.bodies, next_attempt_at })
        });
    }

    /// Adds the slugs of the projects that were left alone.
    pub(super) fn name_stopped_projects(&mut self, places: &BTreeSet<queue::RowOrigin>) {
        for stopped in &mut self.stopped_projects {
            let known = places.iter().filter(|place| place.project_uuid == stopped.project_uuid);
            stopped.repo_slug = known.filter_map(|place| place.repo_slug.clone()).next();
        }
    }

    /// Rows that left in this drain.
    pub fn moved(&self) -> u64 {
        self.events.left() + self.bodies.left() + self.settled_before
    }

    /// The stable name of the outcome.
    pub fn outcome(&self) -> &'static str {
        match (self.is_clean(), self.moved()) {
            (false, _) => "incomplete",
            (true, 0) if self.waiting.is_some() => "waiting",
            (true, 0) => "nothing_to_do",
            (true, _) => "delivered",
        }
    }

    /// Summary of the drain for the queue DB.
    pub(super) fn attempt(&self, by: DrainedBy) -> LastAttempt {
        if let Some(stopped) = &self.stopped {
            return stopped.attempt(by);
        }
        if let Some(server) = self.server {
            let (at, outcome) = (system::clock::now().as_second(), server.to_owned());
            return LastAttempt {
                at,
                outcome,
                failed: true,
                detail: String::new(),
                token_refused: false,
                by,
            };
        }
        let stopped = self.stopped_projects.first().map(|stopped| stopped.detail.clone());
        let failure = || self.failures.first().map(|failure| failure.error.clone());
        LastAttempt {
            at: system::clock::now().as_second(),
            outcome: self.outcome().to_owned(),
            failed: !self.is_clean(),
            detail: stopped.or_else(failure).unwrap_or_default(),
            token_refused: false,
            by,
        }
    }

    /// Delivery of a daemon's drain, when it delivered anything.
    pub(super) fn daemon_delivery(&self, by: DrainedBy) -> Option<DaemonDelivery> {
        let (events, bodies) = (self.events.left(), self.bodies.left());
        let delivered = by == DrainedBy::Daemon && events + bodies > 0;
        delivered.then(|| DaemonDelivery { at: system::clock::now().as_second(), events, bodies })
    }

    /// Rows that are held.
    pub fn held_rows(&self) -> u64 {
        self.held.iter().map(|held| held.events + held.bodies).sum()
    }

    /// Whether everything that was free to leave has left and nothing was refused: what `--strict` asks.
    pub(crate) fn is_clean(&self) -> bool {
        self.stopped.is_none()
            && self.stopped_projects.is_empty()
            && self.events.parked + self.bodies.parked + self.events.kept + self.bodies.kept == 0
    }

    /// Exit code of `sync now`. A stop has the code of its kind; with `strict` anything refused or not accepted is 1.
    /// Without `strict` a server that did not accept everything is no failure; a fault of this machine still is.
    pub fn exit(&self, strict: bool) -> ExitCode {
        match &self.stopped {
            Some(stopped) if !strict && stopped.reason.is_server_side() => ExitCode::Ok,
            Some(stopped) => stopped.reason.exit(),
            None if strict && !self.is_clean() => ExitCode::Failed,
            None => ExitCode::Ok,
        }
    }
}

/// The document of `sync now --report FILE`: the keys of the reference, and the ends of the drain.
pub fn failure_report(report: &DrainReport, generated_at: Timestamp) -> Value {
    let synced = report.events.delivered + report.bodies.delivered;
    let duplicates = report.events.duplicate + report.bodies.duplicate;
    let failed: u64 = report.failure_categories.values().sum();
    let categories: Map<String, Value> =
        report.failure_categories.iter().map(|(name, count)| ((*name).to_owned(), json!(count))).collect();
    json!({
        "generated_at": generated_at.to_string(),
        "summary": {
            "total_events": synced + duplicates + failed,
            "synced": synced,
            "duplicates": duplicates,
            "failed": failed,
            "categories": categories,
        },
        "failures": report.failures,
        "stopped": report.stopped,
        "stopped_projects": report.stopped_projects,
        "remaining": report.remaining,
    })
}
