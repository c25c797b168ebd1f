//! Drain: the only code that sends events or artifact bodies.
//!
//! Owns the order (events first, then the bodies that depend on them), the one-drain-per-scope lock and the
//! report. Never deletes a row: the queue records outcomes and writes a receipt as a row leaves. No
//! transaction is open across a request: a batch is read into memory, sent, and its answer recorded. While
//! batches of events are on their way, answers to those before are recorded and the next one is read.
//!
//! Invariants:
//! * without an [`EgressPermit`] nothing can be called here, and no byte leaves unless the permit's account
//!   is still logged in at the permit's server, checked before every request;
//! * progress: every round records an outcome or leaves a row or a project alone for the rest of the
//!   drain, so a drain ends whatever a server answers;
//! * rows of one project leave first in, first out;
//! * a kill at any point loses nothing: what was sent and not recorded is sent again, and the server
//!   calls it a duplicate.

mod batch;
mod bodies;
mod events;
mod exchange;
mod report;
mod sent;
mod streak;

pub(crate) use batch::AT_ONCE;
pub use report::{
    BodiesWaiting, DrainReport, DrainStopped, Failure, RowTally, StoppedBy, StoppedProject, failure_report,
};

use streak::{RefusalStep, Refused, Streak, StreakEnd, everything_refused};

use crate::backoff::{plan_asked, plan_delay, plan_rest};
use crate::classify::{RequestedPause, ServerStop, ServerStopReason};
use crate::context::DeliveryContext;
use crate::plan::{BatchSizing, RequestLimits};
use crate::token_source::{TokenError, TokenSource};
use contract::{ExitCode, Remedy};
use gate::EgressPermit;
use identity::Config;
use preflight::consent_of;
use queue::{
    DrainedBy, Keep, Kind, Outbox, Outcome, QueueError, RecordedRequest, RecordedRows, SkipSet,
    observe_counts,
};
use std::path::Path;
use std::time::Duration;
use system::{FileLock, LockError};

/// Options of a drain.
#[derive(Clone, Copy, Debug, Default)]
pub struct DrainOptions {
    /// Longest wait for another drain of this scope.
    pub patience: Duration,
    /// Drains of this process that failed in a row before this one; decides how long the pause after
    /// another failure is.
    pub failures_before: u32,
    /// Send although a server asked for a pause that is not over.
    pub ignore_pause: bool,
    /// Ask the server also when nothing waits: whether it is there, accepts the login and still has the
    /// newest rows that it acknowledged.
    pub ask_always: bool,
    /// Its trigger, stored with the outcome.
    pub by: DrainedBy,
}

/// Observes a drain.
pub trait DrainProgress {
    /// Called after every answer, with the report so far.
    fn advance(&mut self, _report: &DrainReport) {}

    /// Asked before every request; true ends the drain before it.
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// No observer.
impl DrainProgress for () {}

/// Reason why a drain could not start. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// Another drain of this scope is under way.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// No token of the permit's account may be sent to its server.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The queue cannot be opened.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl DrainError {
    /// Its exit code.
    pub fn exit(&self) -> ExitCode {
        match self {
            Self::Lock(LockError::Busy { .. }) => ExitCode::Busy,
            Self::Lock(LockError::Io { .. }) => ExitCode::Failed,
            Self::Token(error) => error.exit(),
            Self::Queue(error) => error.exit(),
        }
    }

    /// The stable code of a refusal, where there is one.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Token(error) => error.code(),
            Self::Lock(_) | Self::Queue(_) => None,
        }
    }

    /// The remedy, where there is one.
    pub fn remedy(&self, context: &DeliveryContext) -> Option<Remedy> {
        match self {
            Self::Token(error) => error.remedy(context),
            Self::Queue(error) => error.remedy(),
            Self::Lock(error) => error.remedy(),
        }
    }
}

/// Sends the waiting rows of the permit's queue, and reports their outcomes.
///
/// A drain that stops early is no error: the report holds what was done and why it stopped.
///
/// # Errors
/// When it could not start; see [`DrainError`]. No request was made then.
pub fn drain(
    permit: EgressPermit,
    context: &DeliveryContext,
    options: &DrainOptions,
    progress: &mut dyn DrainProgress,
) -> Result<DrainReport, DrainError> {
    let mut tokens = match TokenSource::for_permit(context, &permit) {
        Ok(tokens) => tokens,
        Err(error) => {
            record_refusal(&permit, &DrainStopped::by_token(&error, context), options);
            return Err(error.into());
        }
    };
    let lock_path = context.home.drain_lock(permit.scope());
    let mut lock = FileLock::acquire(&lock_path, options.patience, "the delivery of this scope")?;
    // The record only serves the message of a waiting process.
    let _ = lock.record_holder(&context.version);
    let mut outbox = Outbox::open(&permit)?;
    let config = tokens.config().last();
    outbox.keep_sent(Keep { days: config.keep_sent_days, mib: config.keep_sent_mib })?;
    let mut report = DrainReport::new(permit.scope(), tokens.destination().base());
    let deadline = outbox.deadline()?;
    match deadline.and_then(|until| plan_rest(until, unix_now())) {
        Some(rest) if !options.ignore_pause => report.stopped = Some(DrainStopped::pausing(rest)),
        _ => {
            let event_refusals = outbox.refusals(Kind::Event)?;
            let body_refusals = outbox.refusals(Kind::Body)?;
            let mut drain = DrainRun {
                context,
                tokens,
                outbox,
                team_id: permit.team_id().to_owned(),
                sizing: BatchSizing::new(RequestLimits::UNADVERTISED),
                limits_known: false,
                had_deadline: deadline.is_some(),
                skip: SkipSet::default(),
                event_streak: Streak::remember(event_refusals),
                body_streak: Streak::remember(body_refusals),
                protocol_seen: false,
                report,
                progress,
            };
            drain.report.server_rewound = drain.outbox.rewound()?;
            let ended = drain.run(options.ask_always);
            drain.settle(ended, options);
            DrainRun { report, outbox, tokens, .. } = drain;
        }
    }
    count(tokens.config().last(), permit.queue_path(), &mut report);
    if report.requests > 0 || report.stopped.as_ref().is_some_and(DrainStopped::is_attempt) {
        // The record serves people; what was delivered is settled without it.
        let _ = outbox.record_attempt(&report.attempt(options.by), report.daemon_delivery(options.by));
    }
    Ok(report)
}

/// Records that a drain could not start.
fn record_refusal(permit: &EgressPermit, stopped: &DrainStopped, options: &DrainOptions) {
    if let Ok(mut outbox) = Outbox::open(permit) {
        let _ = outbox.record_attempt(&stopped.attempt(options.by), None);
    }
}

/// One drain under way.
struct DrainRun<'a> {
    context: &'a DeliveryContext,
    tokens: TokenSource<'a>,
    outbox: Outbox,
    team_id: String,
    sizing: BatchSizing,
    limits_known: bool,
    had_deadline: bool,
    skip: SkipSet,
    event_streak: Streak,
    body_streak: Streak,
    /// Whether the server has shown its health document in this drain.
    protocol_seen: bool,
    report: DrainReport,
    progress: &'a mut dyn DrainProgress,
}

/// Reason why the rounds end before everything is sent.
enum DrainEnd {
    /// By an answer, or the lack of one.
    Server(ServerStop),
    /// The account changed, or its login ended.
    Token(TokenError),
    /// The observer cancelled it.
    Cancelled,
    /// The queue refused.
    Queue(QueueError),
}

impl From<QueueError> for DrainEnd {
    fn from(error: QueueError) -> Self {
        Self::Queue(error)
    }
}

impl From<TokenError> for DrainEnd {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

impl DrainRun<'_> {
    fn run(&mut self, ask_always: bool) -> Result<(), DrainEnd> {
        if ask_always {
            self.ask_first()?;
        }
        self.send_events()?;
        self.send_bodies()
    }

    /// Records what became of rows; rows that changed or left meanwhile are left alone from now on.
    fn record(&mut self, outcomes: &[Outcome]) -> Result<RecordedRows, DrainEnd> {
        self.record_requests(&[RecordedRequest { outcomes, sent: None }])
    }

    /// Records what became of the rows of requests, in one transaction.
    fn record_requests(&mut self, requests: &[RecordedRequest<'_>]) -> Result<RecordedRows, DrainEnd> {
        let outcomes = || requests.iter().flat_map(|request| request.outcomes);
        if outcomes().next().is_none() {
            return Ok(RecordedRows::default());
        }
        let recorded = self.outbox.record_requests(requests)?;
        if recorded.vanished > 0 {
            for (row, ..) in outcomes() {
                self.skip.skip_row(*row);
            }
        }
        self.report.vanished += recorded.vanished;
        Ok(recorded)
    }

    fn check_cancelled(&self) -> Result<(), DrainEnd> {
        if self.progress.is_cancelled() { Err(DrainEnd::Cancelled) } else { Ok(()) }
    }

    fn streak(&mut self, kind: Kind) -> &mut Streak {
        match kind {
            Kind::Event => &mut self.event_streak,
            Kind::Body => &mut self.body_streak,
        }
    }

    /// A single row was refused by a refusal of its whole request: see [`streak`].
    fn refuse(&mut self, kind: Kind, refused: Refused) -> Result<(), DrainEnd> {
        // Left alone for the rest of the drain, or parked.
        self.skip.skip_row(refused.row);
        match self.streak(kind).refuse(refused.clone()) {
            RefusalStep::Park => self.park_refused(kind, vec![refused]),
            RefusalStep::GoOn => Ok(()),
            RefusalStep::ProbeAnother => {
                for row in self.streak(kind).passed().to_vec() {
                    self.skip.skip_row(row);
                }
                Ok(())
            }
            RefusalStep::Stop => Err(DrainEnd::Server(self.streak(kind).stop(&refused.rejection.detail))),
        }
    }

    /// Something was refused that is not one row; enough of that ends the drain, too.
    fn refuse_other(&mut self, kind: Kind, detail: &str) -> Result<(), DrainEnd> {
        match self.streak(kind).refuse_other() {
            true => Err(DrainEnd::Server(self.streak(kind).stop(detail))),
            false => Ok(()),
        }
    }

    /// A row of the kind was accepted: those refused before it are parked.
    fn accept(&mut self, kind: Kind) -> Result<(), DrainEnd> {
        let (refused, passed) = self.streak(kind).accept();
        for row in passed {
            self.skip.allow_row(row);
        }
        self.park_refused(kind, refused)
    }

    fn park_refused(&mut self, kind: Kind, refused: Vec<Refused>) -> Result<(), DrainEnd> {
        let parked = refused.len() as u64;
        let outcomes: Vec<_> = refused.iter().map(Refused::outcome).collect();
        self.record(&outcomes)?;
        self.report.of_mut(kind).parked += parked;
        self.report.fail(refused.into_iter().map(Refused::into_failure));
        Ok(())
    }

    /// Decides about the rows of the streaks that are left, and keeps what the next drain has to know. Returns
    /// why the drain counts as stopped, when nothing else has stopped it.
    fn end_streaks(&mut self) -> Result<Option<ServerStop>, DrainEnd> {
        let mut stop = None;
        for kind in Kind::ALL {
            let before = self.streak(kind).memory().clone();
            let protocol_seen = self.protocol_seen;
            match self.streak(kind).end(protocol_seen) {
                StreakEnd::Park(refused) => self.park_refused(kind, refused)?,
                StreakEnd::Wait(refused) => {
                    if let Some(last) = refused.last() {
                        stop.get_or_insert_with(|| everything_refused(refused.len(), &last.rejection.detail));
                    }
                    self.report.of_mut(kind).kept += refused.len() as u64;
                    self.report.fail(refused.into_iter().map(Refused::into_failure));
                }
            }
            let after = self.streak(kind).memory().clone();
            if after != before {
                self.outbox.remember_refusals(kind, &after)?;
            }
        }
        Ok(stop)
    }

    /// Records why the drain ended, and the pause that the server requested.
    fn settle(&mut self, ended: Result<(), DrainEnd>, options: &DrainOptions) {
        let ended = match (ended, self.end_streaks()) {
            (Ok(()), Ok(Some(stop))) => Err(DrainEnd::Server(stop)),
            (Ok(()), Err(halt)) => Err(halt),
            (ended, _) => ended,
        };
        self.report.settled_before = self.outbox.settled_without_sending();
        let random = system::clock::random_fraction();
        let mut not_before = None;
        self.report.stopped = match ended {
            Ok(()) => None,
            Err(DrainEnd::Server(stop)) => {
                let asked = self.asked_pause(&stop).map(|asked| plan_asked(asked, random));
                not_before = asked.map(|pause| (unix_now() + pause.as_secs_f64(), stop.reason.name()));
                let own = || plan_delay(options.failures_before.saturating_add(1), random);
                let pause = asked.or_else(|| stop.reason.is_transient().then(own));
                Some(DrainStopped::by_server(&stop, pause, self.context))
            }
            Err(DrainEnd::Token(error)) => Some(DrainStopped::by_token(&error, self.context)),
            Err(DrainEnd::Cancelled) => Some(DrainStopped::cancelled()),
            Err(DrainEnd::Queue(error)) => Some(DrainStopped::by_queue(&error)),
        };
        let kept = match not_before {
            Some((until, reason)) => self.outbox.set_deadline(Some(until), reason),
            None if self.had_deadline && self.report.stopped.is_none() => self.outbox.set_deadline(None, ""),
            None => Ok(()),
        };
        if let Err(error) = kept {
            self.report.stopped.get_or_insert_with(|| DrainStopped::by_queue(&error));
        }
    }

    /// The pause the server asked for; a 429 without one gets the advertised minimum.
    fn asked_pause(&self, stop: &ServerStop) -> Option<Duration> {
        match stop.asked {
            Some(RequestedPause::Header(header)) => Some(header.from_now(system::clock::now())),
            Some(RequestedPause::Body(pause)) => Some(pause),
            None if stop.reason == ServerStopReason::Throttled => Some(self.sizing.limits().retry_after_min),
            None => None,
        }
    }
}

/// Counts the rows that still wait after the drain. An error is reported and changes nothing.
fn count(config: &Config, queue_path: &Path, report: &mut DrainReport) {
    match observe_counts(queue_path, &consent_of(config)) {
        Ok(counts) => report.count(&counts),
        Err(error) => {
            report.stopped.get_or_insert_with(|| DrainStopped::by_queue(&error.into()));
        }
    }
    if !report.stopped_projects.is_empty()
        && let Ok(places) = queue::observe_projects(queue_path)
    {
        report.name_stopped_projects(&places);
    }
}

fn unix_now() -> f64 {
    system::clock::now().as_duration().as_secs_f64()
}
