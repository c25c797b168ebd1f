//! The life of a daemon between ready and gone: one thread that waits for mail or the timer, and acts.
//!
//! Invariants:
//! * one drain at a time, on a thread of its own, so that checks, answers and the farewell never wait for
//!   the network;
//! * nothing is polled: a turn happens because of mail or because the check is due;
//! * every way out is a [`StopReason`].

use crate::drain::{Drain, DrainOutcome, Pending, ScopeOnDisk, StopFlag};
use crate::executable::ExecutableWatch;
use crate::front_desk::{FrontDesk, Mail, Returned};
use crate::journal::Journal;
use crate::ownership::{Ownership, Standing};
use crate::schedule::{Due, Schedule, Timing};
use crate::stop::{Stop, StopReason};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// A daemon that serves.
pub(crate) struct Life {
    ownership: Ownership,
    desk: Arc<FrontDesk>,
    journal: Arc<Journal>,
    executable: ExecutableWatch,
    timing: Timing,
    schedule: Schedule,
    /// The draining step; away while a drain runs.
    drain: Option<Box<dyn Drain>>,
    /// Somebody asked while a drain was running.
    again: bool,
    stop_drain: StopFlag,
    last_line: Option<String>,
}

impl Life {
    pub(crate) fn new(
        ownership: Ownership,
        desk: Arc<FrontDesk>,
        journal: Arc<Journal>,
        executable: ExecutableWatch,
        timing: Timing,
        drain: Box<dyn Drain>,
    ) -> Self {
        Self {
            ownership,
            desk,
            journal,
            executable,
            timing,
            schedule: Schedule::new(timing, Instant::now()),
            drain: Some(drain),
            again: false,
            stop_drain: StopFlag::new(),
            last_line: None,
        }
    }

    /// Lives until there is a reason to stop, then finishes the batch in hand and gives the home back.
    pub(crate) fn live(mut self) -> Stop {
        let why = loop {
            let mail = self.desk.collect(self.schedule.sleep(Instant::now()));
            if let Some(why) = self.turn(mail, Instant::now()) {
                break why;
            }
        };
        self.leave(why)
    }

    /// One turn at `now`: what was left, what is due. A reason ends the life.
    pub(crate) fn turn(&mut self, mail: Mail, now: Instant) -> Option<StopReason> {
        if let Some(returned) = mail.returned
            && let Some(why) = self.take_back(returned, now)
        {
            return Some(why);
        }
        if let Some(why) = mail.stop {
            return Some(why);
        }
        if mail.nudged {
            self.stir(now);
            self.again = true;
        }
        let Due { check, sweep } = self.schedule.take_due(now);
        if check && let Some(why) = self.check() {
            return Some(why);
        }
        if sweep && self.rows_wait() {
            self.again = true;
        }
        if self.schedule.is_idle(now) && !self.again && self.nothing_waits() {
            return Some(StopReason::Idle);
        }
        if self.again && self.drain.is_some() {
            self.again = false;
            self.start_drain();
        }
        None
    }

    /// The self check (contract section 10): home, lock, executable, login, and the files that show us.
    fn check(&mut self) -> Option<StopReason> {
        match self.ownership.observe_standing() {
            Standing::Owner => {}
            Standing::Superseded => return Some(StopReason::Superseded),
            Standing::HomeVanished => return Some(StopReason::HomeVanished),
        }
        if self.executable.observe_replaced() {
            return Some(StopReason::ExecutableReplaced);
        }
        if let Some(drain) = &mut self.drain
            && let ScopeOnDisk::Other(now) = drain.observe_scope()
        {
            return Some(StopReason::ScopeChanged { now });
        }
        if let Err(error) = self.ownership.restore_missing() {
            self.say(format!("the owner record could not be restored: {error}"));
        }
        None
    }

    fn rows_wait(&mut self) -> bool {
        let pending = self.drain.as_mut().map(|drain| drain.observe_pending());
        if let Some(Pending::Unknown(why)) = &pending {
            self.say(format!("the queue cannot be looked at: {why}"));
        }
        pending == Some(Pending::Rows)
    }

    fn nothing_waits(&mut self) -> bool {
        self.drain.as_mut().is_some_and(|drain| drain.observe_pending() == Pending::Nothing)
    }

    fn stir(&mut self, now: Instant) {
        self.schedule.stir(now);
        self.desk.stir();
    }

    fn start_drain(&mut self) {
        let Some(mut drain) = self.drain.take() else { return };
        self.desk.begin_drain();
        let (desk, stop) = (Arc::clone(&self.desk), self.stop_drain.clone());
        let spawned = thread::Builder::new().name("drain".to_owned()).spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| drain.drain(&stop)));
            desk.hand_back(match outcome {
                Ok(outcome) => Returned { drain: Some(drain), outcome },
                // The step may be half-done inside: it is not used again.
                Err(_) => Returned { drain: None, outcome: panicked() },
            });
        });
        if let Err(error) = spawned {
            // The step went with the closure; only a new daemon has one.
            let outcome = DrainOutcome::Failed { detail: format!("no thread to drain on: {error}") };
            self.desk.hand_back(Returned { drain: None, outcome });
        }
    }

    fn take_back(&mut self, returned: Returned, now: Instant) -> Option<StopReason> {
        let Returned { drain, outcome } = returned;
        let usable = drain.is_some();
        self.drain = drain;
        self.say(describe(&outcome));
        if outcome.made_progress() {
            self.stir(now);
        }
        self.schedule.retry_at(outcome.retry_after().map(|pause| now + pause));
        let why = match &outcome {
            DrainOutcome::ScopeChanged { now } => Some(StopReason::ScopeChanged { now: now.clone() }),
            DrainOutcome::Failed { detail } if !usable => Some(StopReason::Broken { detail: detail.clone() }),
            DrainOutcome::Failed { .. } | DrainOutcome::Drained { .. } | DrainOutcome::Refused { .. } => None,
        };
        self.desk.end_drain(outcome);
        why
    }

    /// Says the same thing once, however often it happens.
    fn say(&mut self, line: String) {
        if self.last_line.as_ref() != Some(&line) {
            self.journal.line(&line);
            self.last_line = Some(line);
        }
    }

    /// Finishes the batch in hand within the farewell, then gives the home back.
    fn leave(self, why: StopReason) -> Stop {
        self.desk.begin_stop();
        self.stop_drain.raise();
        self.journal.line(&format!("stopping: {}", why.because()));
        if self.drain.is_none() {
            match self.desk.await_drain(self.timing.farewell) {
                Some(Returned { outcome, .. }) => {
                    self.journal.line(&describe(&outcome));
                    self.desk.end_drain(outcome);
                }
                None => self
                    .journal
                    .line("the batch in hand did not end in time; its rows stay and are sent again"),
            }
        }
        let stop = self.ownership.release(why);
        self.journal.line("gone");
        stop
    }
}

fn panicked() -> DrainOutcome {
    DrainOutcome::Failed { detail: "the drain panicked; see the lines above".to_owned() }
}

fn describe(outcome: &DrainOutcome) -> String {
    match outcome {
        DrainOutcome::Drained { delivered, duplicate, parked, held, remaining, stopped, .. } => {
            let why = stopped.as_ref().map(|why| format!("; stopped: {why}")).unwrap_or_default();
            format!(
                "drained: {delivered} delivered, {duplicate} duplicate, {parked} parked, {held} held, \
                 {remaining} remaining{why}"
            )
        }
        DrainOutcome::Refused { names } => format!("the boundary refused: {}", names.join(", ")),
        DrainOutcome::ScopeChanged { now: Some(scope) } => {
            format!("the login on disk is {scope}: nothing was sent")
        }
        DrainOutcome::ScopeChanged { now: None } => "the login on disk is gone: nothing was sent".to_owned(),
        DrainOutcome::Failed { detail } => format!("the drain failed: {detail}"),
    }
}
