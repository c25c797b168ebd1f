//! State shared by the threads of a daemon: control plane and signals add events, the event loop collects them,
//! and status requests read the state.
//!
//! One mutex, held for moments; two condition variables, so that an idle daemon sleeps in the kernel.

use crate::control::routes::ControlHandler;
use crate::control::wire::{
    DrainAnswer, DrainRecord, NudgeAnswer, Phase, ShutdownAnswer, ShutdownCause, StatusReport,
};
use crate::drain::{Drain, DrainOutcome};
use crate::record::{self, RunFacts};
use crate::stop::StopReason;
use jiff::Timestamp;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A drain that ended, with the step that did it.
pub(crate) struct Returned {
    /// The draining step; none when its thread panicked.
    pub(crate) drain: Option<Box<dyn Drain>>,
    /// Outcome of the drain.
    pub(crate) outcome: DrainOutcome,
}

/// Events for the event loop.
#[derive(Default)]
pub(crate) struct LoopEvents {
    /// A capture happened, or a drain was requested.
    pub(crate) nudged: bool,
    /// A stop was requested.
    pub(crate) stop: Option<StopReason>,
    /// A drain ended.
    pub(crate) returned: Option<Returned>,
}

impl LoopEvents {
    fn is_empty(&self) -> bool {
        !self.nudged && self.stop.is_none() && self.returned.is_none()
    }
}

/// The shared state of one daemon run.
pub(crate) struct ControlState {
    facts: RunFacts,
    started: Instant,
    state: Mutex<State>,
    /// Wakes the event loop.
    events: Condvar,
    /// Wakes those who wait for a drain.
    drained: Condvar,
}

#[derive(Default)]
struct State {
    events: LoopEvents,
    phase: Option<Phase>,
    drains_started: u64,
    drains_finished: u64,
    last_drain: Option<DrainRecord>,
    quiet_since: Option<Instant>,
    /// A second request to stop: do not wait for the batch in hand.
    hurry: bool,
}

impl ControlState {
    pub(crate) fn new(facts: RunFacts) -> Self {
        Self {
            facts,
            started: Instant::now(),
            state: Mutex::default(),
            events: Condvar::new(),
            drained: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every critical section leaves the state whole, so a poisoned lock still guards a good one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits at most `patience` for events, and takes them.
    pub(crate) fn collect(&self, patience: Duration) -> LoopEvents {
        let state = self.state();
        let (mut state, _) = self
            .events
            .wait_timeout_while(state, patience, |state| state.events.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.events)
    }

    /// Waits at most `patience` for the current drain to end; less after a second stop request.
    pub(crate) fn await_drain(&self, patience: Duration) -> Option<Returned> {
        let state = self.state();
        let (mut state, _) = self
            .events
            .wait_timeout_while(state, patience, |state| state.events.returned.is_none() && !state.hurry)
            .unwrap_or_else(PoisonError::into_inner);
        state.events.returned.take()
    }

    /// Asks the daemon to end. The first reason counts; a second request means: at once.
    pub(crate) fn request_stop(&self, why: StopReason) {
        let mut state = self.state();
        if state.phase == Some(Phase::Stopping) || state.events.stop.is_some() {
            state.hurry = true;
        } else {
            state.events.stop = Some(why);
        }
        drop(state);
        self.events.notify_all();
    }

    pub(crate) fn begin_drain(&self) {
        let mut state = self.state();
        state.phase = Some(Phase::Draining);
        state.drains_started += 1;
    }

    /// Called by the draining thread when it is done.
    pub(crate) fn hand_back(&self, returned: Returned) {
        self.state().events.returned = Some(returned);
        self.events.notify_all();
    }

    pub(crate) fn end_drain(&self, outcome: DrainOutcome) {
        let mut state = self.state();
        if state.phase != Some(Phase::Stopping) {
            state.phase = Some(Phase::Idle);
        }
        state.drains_finished = state.drains_started;
        state.last_drain = Some(DrainRecord { finished_at: record::timestamp(Timestamp::now()), outcome });
        drop(state);
        self.drained.notify_all();
    }

    pub(crate) fn begin_stop(&self) {
        self.state().phase = Some(Phase::Stopping);
        self.drained.notify_all();
    }

    /// Something happened just now.
    pub(crate) fn mark_active(&self) {
        self.state().quiet_since = Some(Instant::now());
    }

    fn stopping(state: &State) -> bool {
        state.phase == Some(Phase::Stopping) || state.events.stop.is_some()
    }
}

impl ControlHandler for ControlState {
    fn status(&self) -> StatusReport {
        let state = self.state();
        let phase = if Self::stopping(&state) { Phase::Stopping } else { state.phase.unwrap_or(Phase::Idle) };
        StatusReport {
            instance_id: self.facts.instance_id.clone(),
            pid: self.facts.foreground.pid,
            package_version: self.facts.foreground.package_version.clone(),
            started_at: self.facts.started_at.clone(),
            uptime_seconds: self.started.elapsed().as_secs(),
            phase,
            drains: state.drains_finished,
            last_drain: state.last_drain.clone(),
            quiet_seconds: state.quiet_since.unwrap_or(self.started).elapsed().as_secs(),
            lock: self.facts.lock,
        }
    }

    fn nudge(&self) -> NudgeAnswer {
        let mut state = self.state();
        let accepted = !Self::stopping(&state);
        state.events.nudged |= accepted;
        drop(state);
        self.events.notify_all();
        NudgeAnswer {
            accepted,
            instance_id: self.facts.instance_id.clone(),
            package_version: self.facts.foreground.package_version.clone(),
        }
    }

    fn drain(&self, wait: Duration) -> DrainAnswer {
        let mut state = self.state();
        // A drain that is under way may have read the queue already: wait for one that begins after now.
        let wanted = state.drains_started + 1;
        state.events.nudged |= !Self::stopping(&state);
        self.events.notify_all();
        let (state, _) = self
            .drained
            .wait_timeout_while(state, wait, |state| state.drains_finished < wanted && !Self::stopping(state))
            .unwrap_or_else(PoisonError::into_inner);
        let finished = state.drains_finished >= wanted;
        let outcome = state.last_drain.as_ref().filter(|_| finished).map(|drain| drain.outcome.clone());
        DrainAnswer { finished, outcome }
    }

    fn shut_down(&self, cause: ShutdownCause) -> ShutdownAnswer {
        self.request_stop(match cause {
            ShutdownCause::Stop => StopReason::Stopped,
            ShutdownCause::Restart => StopReason::Restarted,
            ShutdownCause::NewerVersion { version } => StopReason::NewerVersion { version },
            ShutdownCause::Superseded => StopReason::Superseded,
        });
        ShutdownAnswer {
            instance_id: self.facts.instance_id.clone(),
            pid: self.facts.foreground.pid,
            lock: self.facts.lock,
        }
    }
}
