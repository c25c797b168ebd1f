//! The drain: the only code that sends events or artifact bodies.
//!
//! Owns the order (events first, then the bodies that depend on them), the one-drain-per-scope lock, the
//! rounds, and the report. It never deletes a row: outcomes are recorded with the queue, which writes a
//! receipt as a row leaves. It holds no transaction across a request: a batch is read into memory, sent,
//! and what the server said is recorded afterwards.
//!
//! Invariants:
//! * without an [`EgressPermit`] nothing can be called here, and no byte leaves unless the machine still
//!   says that the permit's account is logged in at the permit's server, asked before every request;
//! * progress: every round records an outcome or leaves a row or a project alone for the rest of the
//!   drain, so a drain ends whatever a server answers;
//! * rows of one project leave first in, first out;
//! * a kill at any point loses nothing: what was sent and not recorded is sent again, and the server
//!   calls it a duplicate.

mod bodies;
mod events;
mod exchange;
mod report;
mod sent;

pub use report::{DrainReport, Failure, RowTally, Stopped, StoppedBy, StoppedProject, failure_report};

use crate::backoff::{plan_asked, plan_delay, plan_rest, random_fraction};
use crate::context::Context;
use crate::judge::{Asked, Stop, StopReason};
use crate::plan::{Limits, Pace};
use crate::token::{TokenError, TokenSource};
use contract::{ExitCode, Remedy};
use gate::EgressPermit;
use identity::{Config, FileLock, LockError};
use jiff::Timestamp;
use preflight::consent_of;
use queue::{Keep, Outbox, QueueError, Recorded, RowDigest, RowId, SentBytes, SkipSet, observe_counts};
use std::path::Path;
use std::time::Duration;

/// How long `--wait` waits for another drain of the scope.
pub const WAIT: Duration = Duration::from_secs(30);

/// How a drain is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct DrainOptions {
    /// How long to wait for another drain of this scope: zero, or [`WAIT`] with `--wait`.
    pub patience: Duration,
    /// Drains of this process that failed in a row before this one; decides how long the pause after
    /// another failure is.
    pub failures_before: u32,
    /// Send although a server asked for a pause that is not over.
    pub ignore_pause: bool,
    /// Ask the server also when nothing waits: whether it is there, accepts the login and still has the
    /// newest rows that it acknowledged.
    pub ask_always: bool,
}

/// Who watches a drain.
pub trait Progress {
    /// Called after every answer, with the report so far.
    fn advance(&mut self, _report: &DrainReport) {}

    /// Asked before every request; true ends the drain before it.
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Nobody watches.
impl Progress for () {}

/// Why a drain could not start. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// Another drain of this scope is under way.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// No token of the permit's account may go to its server.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The queue cannot be opened.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl DrainError {
    /// How the command ends.
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

    /// What cures it, where a command or an advice can.
    pub fn remedy(&self, context: &Context) -> Option<Remedy> {
        match self {
            Self::Token(error) => error.remedy(context),
            Self::Queue(error) => error.remedy(),
            Self::Lock(_) => None,
        }
    }
}

/// Sends what waits in the permit's queue, and reports what became of it.
///
/// A drain that stops on the way is no error: the report says what was done and why it stopped.
///
/// # Errors
/// When it could not start; see [`DrainError`]. No request was made then.
pub fn drain(
    permit: EgressPermit,
    context: &Context,
    options: &DrainOptions,
    progress: &mut dyn Progress,
) -> Result<DrainReport, DrainError> {
    let tokens = TokenSource::for_permit(context, &permit)?;
    let lock_path = context.home.drain_lock(permit.scope());
    let mut lock = FileLock::acquire(&lock_path, options.patience, "the delivery of this scope")?;
    // The record only serves the message of whoever waits.
    let _ = lock.record_holder(&context.version);
    let mut outbox = Outbox::open(&permit)?;
    // A config that cannot be read ends the drain before its first batch.
    if let Ok(config) = Config::read(&context.home) {
        outbox.keep_sent(Keep { days: config.keep_sent_days, mib: config.keep_sent_mib })?;
    }
    let mut report = DrainReport::new(permit.scope(), tokens.destination().base());
    let deadline = outbox.deadline()?;
    match deadline.and_then(|until| plan_rest(until, unix_now())) {
        Some(rest) if !options.ignore_pause => report.stopped = Some(Stopped::pausing(rest)),
        _ => {
            let mut drain = Drain {
                context,
                tokens,
                outbox,
                team_id: permit.team_id().to_owned(),
                pace: Pace::new(Limits::UNADVERTISED),
                limits_known: false,
                had_deadline: deadline.is_some(),
                skip: SkipSet::default(),
                blanket_refusals: 0,
                anything_taken: false,
                report,
                progress,
            };
            drain.report.server_rewound = drain.outbox.rewound()?;
            let ended = drain.run(options.ask_always);
            drain.settle(ended, options);
            report = drain.report;
        }
    }
    count(context, permit.queue_path(), &mut report);
    Ok(report)
}

/// One drain under way.
struct Drain<'a> {
    context: &'a Context,
    tokens: TokenSource<'a>,
    outbox: Outbox,
    team_id: String,
    pace: Pace,
    limits_known: bool,
    had_deadline: bool,
    skip: SkipSet,
    /// Single rows parked in a row because their whole request was refused.
    blanket_refusals: u32,
    /// Whether the server took, or judged by name, any row of this drain.
    anything_taken: bool,
    report: DrainReport,
    progress: &'a mut dyn Progress,
}

/// Why the rounds end before everything is sent.
enum Halt {
    /// By an answer, or the lack of one.
    Server(Stop),
    /// The account changed, or its login ended.
    Token(TokenError),
    /// The watcher said so.
    Cancelled,
    /// The queue refused.
    Queue(QueueError),
}

impl From<QueueError> for Halt {
    fn from(error: QueueError) -> Self {
        Self::Queue(error)
    }
}

impl From<TokenError> for Halt {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

impl Drain<'_> {
    fn run(&mut self, ask_always: bool) -> Result<(), Halt> {
        if ask_always {
            self.ask_first()?;
        }
        self.send_events()?;
        self.send_bodies()
    }

    /// Records what became of rows; rows that changed or left meanwhile are left alone from now on.
    fn record(&mut self, outcomes: &[(RowId, RowDigest, queue::Outcome)]) -> Result<Recorded, Halt> {
        if outcomes.is_empty() {
            return Ok(Recorded::default());
        }
        let recorded = self.outbox.record(outcomes)?;
        Ok(self.note_recorded(outcomes, recorded))
    }

    /// Records what became of the rows of one request, whose bytes are kept.
    fn record_sent(
        &mut self,
        outcomes: &[(RowId, RowDigest, queue::Outcome)],
        sent: &SentBytes<'_>,
    ) -> Result<Recorded, Halt> {
        if outcomes.is_empty() {
            return Ok(Recorded::default());
        }
        let recorded = self.outbox.record_sent(outcomes, sent)?;
        Ok(self.note_recorded(outcomes, recorded))
    }

    fn note_recorded(
        &mut self,
        outcomes: &[(RowId, RowDigest, queue::Outcome)],
        recorded: Recorded,
    ) -> Recorded {
        if recorded.vanished > 0 {
            for (row, _, _) in outcomes {
                self.skip.skip_row(*row);
            }
        }
        self.report.vanished += recorded.vanished;
        recorded
    }

    fn check_cancelled(&self) -> Result<(), Halt> {
        if self.progress.is_cancelled() { Err(Halt::Cancelled) } else { Ok(()) }
    }

    /// Counts a single row that was refused by a refusal of its whole request. A proxy, or a server that
    /// is no sync server, refuses everything that way: a few such rows in a row, and nothing ever taken,
    /// end the drain instead of parking the whole queue.
    fn note_blanket_refusal(&mut self, detail: &str) -> Result<(), Halt> {
        const TOO_MANY: u32 = 8;
        if self.anything_taken {
            return Ok(());
        }
        self.blanket_refusals += 1;
        if self.blanket_refusals < TOO_MANY {
            return Ok(());
        }
        Err(Halt::Server(Stop {
            reason: StopReason::EverythingRefused,
            detail: format!("{TOO_MANY} requests in a row were refused as a whole, the last with: {detail}"),
            asked: None,
        }))
    }

    /// The decisions of config.toml as of now: read before every batch, so that an opt-out holds from the
    /// next batch on.
    fn read_config(&self) -> Result<Config, Halt> {
        Config::read(&self.context.home).map_err(|fault| Halt::Token(TokenError::Fault(Box::new(fault))))
    }

    /// Writes down why it ended, and until when the server wants to be left alone.
    fn settle(&mut self, ended: Result<(), Halt>, options: &DrainOptions) {
        self.report.settled_before = self.outbox.settled_without_sending();
        let random = random_fraction();
        let mut not_before = None;
        self.report.stopped = match ended {
            Ok(()) => None,
            Err(Halt::Server(stop)) => {
                let asked = self.asked_pause(&stop).map(|asked| plan_asked(asked, random));
                not_before = asked.map(|pause| (unix_now() + pause.as_secs_f64(), stop.reason.name()));
                let own = || plan_delay(options.failures_before.saturating_add(1), random);
                let pause = asked.or_else(|| stop.reason.is_transient().then(own));
                Some(Stopped::by_server(&stop, pause, self.context))
            }
            Err(Halt::Token(error)) => Some(Stopped::by_token(&error, self.context)),
            Err(Halt::Cancelled) => Some(Stopped::cancelled()),
            Err(Halt::Queue(error)) => Some(Stopped::by_queue(&error)),
        };
        let kept = match not_before {
            Some((until, reason)) => self.outbox.set_deadline(Some(until), reason),
            None if self.had_deadline && self.report.stopped.is_none() => self.outbox.set_deadline(None, ""),
            None => Ok(()),
        };
        if let Err(error) = kept {
            self.report.stopped.get_or_insert_with(|| Stopped::by_queue(&error));
        }
    }

    /// The pause the server asked for; a 429 without one gets the advertised minimum.
    fn asked_pause(&self, stop: &Stop) -> Option<Duration> {
        match stop.asked {
            Some(Asked::Header(header)) => Some(header.from_now(Timestamp::now())),
            Some(Asked::Body(pause)) => Some(pause),
            None if stop.reason == StopReason::Throttled => Some(self.pace.limits().retry_after_min),
            None => None,
        }
    }
}

/// What still waits, after the drain. What cannot be counted is said, and changes nothing that was done.
fn count(context: &Context, queue_path: &Path, report: &mut DrainReport) {
    let config = Config::read(&context.home).unwrap_or_else(|_| Config::unreadable());
    match observe_counts(queue_path, &consent_of(&config)) {
        Ok(counts) => report.count(&counts),
        Err(error) => {
            report.stopped.get_or_insert_with(|| Stopped::by_queue(&error.into()));
        }
    }
}

fn unix_now() -> f64 {
    Timestamp::now().as_duration().as_secs_f64()
}
