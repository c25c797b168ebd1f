//! Event loop of a daemon: requests, timer, delivery, shutdown, on one thread.
//!
//! Invariants:
//! * one drain at a time, on a thread of its own, so that checks, answers and the shutdown never wait for
//!   the network;
//! * nothing is polled: a turn happens because of events or because the check is due;
//! * every end has a [`StopReason`].

use crate::control_state::{ControlState, LoopEvents, Returned};
use crate::daemon_log::DaemonLog;
use crate::drain::{Drain, DrainOutcome, PendingRows, ScopeOnDisk, StopFlag};
use crate::executable::ExecutableWatch;
use crate::ownership::{DaemonOwnership, OwnershipCheck, PublishError};
use crate::schedule::{Due, Schedule, Timing};
use crate::stop::{Stop, StopReason};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// A daemon that serves.
pub(crate) struct EventLoop {
    ownership: DaemonOwnership,
    control: Arc<ControlState>,
    log: Arc<DaemonLog>,
    executable: ExecutableWatch,
    timing: Timing,
    schedule: Schedule,
    /// The draining step; away while a drain runs.
    drain: Option<Box<dyn Drain>>,
    /// A request arrived while a drain was running.
    again: bool,
    stop_drain: StopFlag,
    last_line: Option<String>,
}

impl EventLoop {
    pub(crate) fn new(
        ownership: DaemonOwnership,
        control: Arc<ControlState>,
        log: Arc<DaemonLog>,
        executable: ExecutableWatch,
        timing: Timing,
        drain: Box<dyn Drain>,
    ) -> Self {
        Self {
            ownership,
            control,
            log,
            executable,
            timing,
            schedule: Schedule::new(timing, Instant::now()),
            drain: Some(drain),
            again: false,
            stop_drain: StopFlag::new(),
            last_line: None,
        }
    }

    /// Runs until there is a reason to stop, then finishes the current batch and releases the home.
    pub(crate) fn run(mut self) -> Stop {
        // The first turn at once: rows may have waited for a daemon.
        let mut events = LoopEvents::default();
        let why = loop {
            if let Some(why) = self.turn(events, Instant::now()) {
                break why;
            }
            let now = Instant::now();
            if self.drain.is_some() && self.schedule.quiet(now) >= self.timing.check {
                system::detached::release_code();
            }
            events = self.control.collect(self.schedule.sleep(now));
        };
        self.shut_down(why)
    }

    /// One turn at `now`: handles events and due timers. A reason ends the loop.
    pub(crate) fn turn(&mut self, events: LoopEvents, now: Instant) -> Option<StopReason> {
        if let Some(returned) = events.returned
            && let Some(why) = self.take_back(returned, now)
        {
            return Some(why);
        }
        if let Some(why) = events.stop {
            return Some(why);
        }
        if events.nudged {
            self.mark_active(now);
            self.again = true;
        }
        let Due { check, sweep } = self.schedule.take_due(now);
        if sweep && self.rows_wait() {
            self.again = true;
        }
        let drain_now = self.again && self.drain.is_some();
        if (check || drain_now)
            && let Some(why) = self.check()
        {
            return Some(why);
        }
        if drain_now {
            self.again = false;
            self.start_drain();
        } else if self.schedule.is_idle(now) && self.nothing_waits() {
            return Some(StopReason::Idle);
        }
        None
    }

    /// The self check, every minute and before every drain (contract section 10): home, lock, executable,
    /// login, and the files that show us.
    fn check(&mut self) -> Option<StopReason> {
        match self.ownership.observe_standing() {
            OwnershipCheck::Owner => {}
            OwnershipCheck::Superseded => return Some(StopReason::Superseded),
            OwnershipCheck::HomeVanished => return Some(StopReason::HomeVanished),
        }
        if self.executable.observe_replaced() {
            return Some(StopReason::ExecutableReplaced);
        }
        if let Some(drain) = &mut self.drain
            && let ScopeOnDisk::Other(now) = drain.observe_scope()
        {
            return Some(StopReason::ScopeChanged { now });
        }
        if let Err(error) = self.ownership.restore_missing().and_then(|()| self.learn_queue_id()) {
            self.log_once(format!("the owner record could not be written: {error}"));
        }
        None
    }

    /// A daemon may be older than its queue DB. It takes the id of the first one; a later file in its place is
    /// another queue (`queue_identity_changed`).
    fn learn_queue_id(&mut self) -> Result<(), PublishError> {
        if self.ownership.facts().queue_id.is_some() {
            return Ok(());
        }
        match self.drain.as_mut().and_then(|drain| drain.observe_queue_id()) {
            Some(queue_id) => self.ownership.learn_queue_id(queue_id),
            None => Ok(()),
        }
    }

    fn rows_wait(&mut self) -> bool {
        let pending = self.drain.as_mut().map(|drain| drain.observe_pending());
        if let Some(PendingRows::Unknown(why)) = &pending {
            self.log_once(format!("the queue cannot be read: {why}"));
        }
        pending == Some(PendingRows::Rows)
    }

    fn nothing_waits(&mut self) -> bool {
        self.drain.as_mut().is_some_and(|drain| drain.observe_pending() == PendingRows::Nothing)
    }

    fn mark_active(&mut self, now: Instant) {
        self.schedule.mark_active(now);
        self.control.mark_active();
    }

    fn start_drain(&mut self) {
        let Some(mut drain) = self.drain.take() else { return };
        self.control.begin_drain();
        let (control, stop) = (Arc::clone(&self.control), self.stop_drain.clone());
        let spawned = thread::Builder::new().name("drain".to_owned()).spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| drain.drain(&stop)));
            control.hand_back(match outcome {
                Ok(outcome) => Returned { drain: Some(drain), outcome },
                // The step may be half-done inside: it is not used again.
                Err(_) => Returned { drain: None, outcome: panicked() },
            });
        });
        if let Err(error) = spawned {
            // The step went with the closure; only a new daemon has one.
            let outcome = DrainOutcome::Failed { detail: format!("no thread to drain on: {error}") };
            self.control.hand_back(Returned { drain: None, outcome });
        }
    }

    fn take_back(&mut self, returned: Returned, now: Instant) -> Option<StopReason> {
        let Returned { drain, outcome } = returned;
        let usable = drain.is_some();
        self.drain = drain;
        self.log_once(outcome.to_string());
        if outcome.made_progress() {
            self.mark_active(now);
        }
        self.schedule.retry_at(outcome.retry_after().map(|pause| now + pause));
        let why = match &outcome {
            DrainOutcome::ScopeChanged { now } => Some(StopReason::ScopeChanged { now: now.clone() }),
            DrainOutcome::Failed { detail } if !usable => Some(StopReason::Broken { detail: detail.clone() }),
            DrainOutcome::Busy { .. }
            | DrainOutcome::Failed { .. }
            | DrainOutcome::Drained { .. }
            | DrainOutcome::Refused { .. } => None,
        };
        self.control.end_drain(outcome);
        why
    }

    /// Logs a repeated event once.
    fn log_once(&mut self, line: String) {
        if self.last_line.as_ref() != Some(&line) {
            self.log.line(&line);
            self.last_line = Some(line);
        }
    }

    /// Finishes the current batch within the shutdown timeout, then releases the home.
    fn shut_down(self, why: StopReason) -> Stop {
        self.control.begin_stop();
        self.stop_drain.raise();
        self.log.line(&format!("stopping: {}", why.because()));
        if self.drain.is_none() {
            match self.control.await_drain(self.timing.shutdown) {
                Some(Returned { outcome, .. }) => {
                    self.log.line(&outcome.to_string());
                    self.control.end_drain(outcome);
                }
                None => self
                    .log
                    .line("the current batch did not finish in time; its rows stay and are sent again"),
            }
        }
        let stop = self.ownership.release(why);
        self.log.line("stopped");
        stop
    }
}

fn panicked() -> DrainOutcome {
    DrainOutcome::Failed { detail: "the drain panicked; see the lines above".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::proof::ControlToken;
    use crate::ownership::Claim;
    use crate::record::RunFacts;
    use contract::{ForegroundIdentity, Scope};
    use std::fs;
    use std::path::Path;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    /// A scripted draining step.
    struct Scripted {
        pending: PendingRows,
        scope: ScopeOnDisk,
        queue_id: Option<String>,
        outcome: fn() -> DrainOutcome,
        drains: Arc<AtomicU64>,
    }

    impl Drain for Scripted {
        fn observe_pending(&mut self) -> PendingRows {
            self.pending.clone()
        }
        fn observe_scope(&mut self) -> ScopeOnDisk {
            self.scope.clone()
        }
        fn observe_queue_id(&mut self) -> Option<String> {
            self.queue_id.clone()
        }
        fn drain(&mut self, _: &StopFlag) -> DrainOutcome {
            self.drains.fetch_add(1, Ordering::SeqCst);
            (self.outcome)()
        }
    }

    fn nothing_sent() -> DrainOutcome {
        DrainOutcome::Drained {
            delivered: 0,
            duplicate: 0,
            parked: 0,
            held: 0,
            remaining: 0,
            stopped: None,
            retry_after_ms: None,
        }
    }

    struct Stage {
        world: testkit::World,
        drains: Arc<AtomicU64>,
        control: Arc<ControlState>,
        life: EventLoop,
    }

    fn stage(
        timing: Timing,
        pending: PendingRows,
        scope: ScopeOnDisk,
        outcome: fn() -> DrainOutcome,
    ) -> Stage {
        let world = testkit::World::of_library();
        let home = world.home();
        let own = Scope::new("https://s", "u@e", "t");
        let program = world.user_home().join("program");
        fs::write(&program, "").expect("a program");
        let foreground = ForegroundIdentity {
            executable_path: program.clone(),
            pid: std::process::id(),
            ..testkit::facts::foreground(&own, &home.scoped_queue(&own))
        };
        let facts = RunFacts::new(foreground, own, None);
        let token = ControlToken::generate().expect("random");
        let ownership =
            Claim::take(&home).expect("a claim").publish(facts.clone(), 50_000, token).expect("published");
        let drains = Arc::new(AtomicU64::new(0));
        let queue_id = Some("q-1".to_owned());
        let drain = Scripted { pending, scope, queue_id, outcome, drains: Arc::clone(&drains) };
        let control = Arc::new(ControlState::new(facts));
        let log = Arc::new(DaemonLog::open(&home.daemon_log(), false));
        let watch = ExecutableWatch::observe(&program);
        let life = EventLoop::new(ownership, Arc::clone(&control), log, watch, timing, Box::new(drain));
        Stage { world, drains, control, life }
    }

    fn nudge() -> LoopEvents {
        LoopEvents { nudged: true, ..LoopEvents::default() }
    }

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(60 * count)
    }

    fn files(root: &Path) -> Vec<(String, u64)> {
        let entries = fs::read_dir(root.join(".spec-kitty/sync/daemon")).expect("listing").flatten();
        let mut files: Vec<_> = entries
            .map(|entry| {
                let size = entry.metadata().map(|data| data.len()).unwrap_or(0);
                (entry.file_name().to_string_lossy().into_owned(), size)
            })
            .collect();
        files.sort();
        files
    }

    #[cfg(target_os = "linux")]
    fn resident_pages() -> u64 {
        let statm = fs::read_to_string("/proc/self/statm").expect("statm");
        statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).expect("pages")
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn idle_daemon_grows_no_memory_files_or_log() {
        // Memory is the process's: the other tests of this binary would be measured as well.
        const ALONE: &str = "SPEC_KITTY_TEST_ALONE";
        if std::env::var_os(ALONE).is_none() {
            let name = "event_loop::tests::idle_daemon_grows_no_memory_files_or_log";
            let mut alone = std::process::Command::new(std::env::current_exe().expect("this binary"));
            let output = alone.args([name, "--exact"]).env(ALONE, "1").output().expect("it runs");
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("1 passed"), "{text}");
            return;
        }
        let mut stage = stage(Timing::FOREGROUND, PendingRows::Nothing, ScopeOnDisk::Own, nothing_sent);
        let start = Instant::now();
        let tick = |stage: &mut Stage, minute: u64| {
            assert_eq!(stage.life.turn(LoopEvents::default(), start + minutes(minute)), None);
        };
        for minute in 0..1_000 {
            tick(&mut stage, minute);
        }
        let (before, pages) = (files(stage.world.user_home()), resident_pages());
        for minute in 1_000..100_000 {
            tick(&mut stage, minute);
        }
        assert_eq!(files(stage.world.user_home()), before);
        assert!(resident_pages() <= pages + 256, "grew from {pages} to {} pages", resident_pages());
        assert_eq!(stage.drains.load(Ordering::SeqCst), 0, "nothing was pending, so nothing was drained");
    }

    #[test]
    fn message_that_repeats_the_one_before_it_is_not_logged_again() {
        let mut stage = stage(Timing::FOREGROUND, PendingRows::Nothing, ScopeOnDisk::Own, nothing_sent);
        for why in ["locked", "locked", "damaged", "locked"] {
            let pending = PendingRows::Unknown(why.into());
            let (scope, drains) = (ScopeOnDisk::Own, Arc::clone(&stage.drains));
            let drain = Scripted { pending, scope, queue_id: None, outcome: nothing_sent, drains };
            stage.life.drain = Some(Box::new(drain));
            assert!(!stage.life.rows_wait());
        }
        let log = fs::read_to_string(stage.world.home().daemon_log());
        let log = log.expect("a log");
        let causes: Vec<&str> = log.lines().filter_map(|line| line.rsplit(' ').next()).collect();
        assert_eq!(causes, ["locked", "damaged", "locked"], "{log}");
    }

    #[test]
    fn nudge_during_a_drain_is_followed_by_another_drain() {
        let mut stage = stage(Timing::FOREGROUND, PendingRows::Nothing, ScopeOnDisk::Own, nothing_sent);
        let now = Instant::now();
        for expected in 1..=2 {
            assert_eq!(stage.life.turn(nudge(), now), None);
            // Asked again while the first is away: remembered, not lost and not run at once.
            assert_eq!(stage.life.turn(nudge(), now), None);
            let returned = stage.control.await_drain(minutes(1)).expect("it ends");
            assert_eq!(stage.drains.load(Ordering::SeqCst), 2 * expected - 1);
            let events = LoopEvents { returned: Some(returned), ..LoopEvents::default() };
            assert_eq!(stage.life.turn(events, now), None);
            let returned = stage.control.await_drain(minutes(1)).expect("the second one ends");
            assert_eq!(stage.drains.load(Ordering::SeqCst), 2 * expected);
            let events = LoopEvents { returned: Some(returned), ..LoopEvents::default() };
            assert_eq!(stage.life.turn(events, now), None);
        }
    }

    #[test]
    fn rows_that_wait_keep_a_spawned_daemon_and_nothing_else_does() {
        let start = Instant::now();
        for (pending, expected) in
            [(PendingRows::Nothing, Some(StopReason::Idle)), (PendingRows::Unknown("locked".into()), None)]
        {
            let mut stage = stage(Timing::SPAWNED, pending, ScopeOnDisk::Own, nothing_sent);
            assert_eq!(stage.life.turn(LoopEvents::default(), start + minutes(14)), None);
            assert_eq!(stage.life.turn(LoopEvents::default(), start + minutes(16)), expected);
        }
        let mut stage = stage(Timing::SPAWNED, PendingRows::Rows, ScopeOnDisk::Own, nothing_sent);
        assert_eq!(stage.life.turn(LoopEvents::default(), start), None);
        let returned = stage.control.await_drain(minutes(1));
        assert_eq!(
            stage.life.turn(LoopEvents { returned, ..LoopEvents::default() }, start + minutes(16)),
            None
        );
    }

    #[test]
    fn unreadable_login_is_waited_out_and_another_scope_is_not() {
        let later = Instant::now() + minutes(2);
        let mut unsure = stage(Timing::FOREGROUND, PendingRows::Nothing, ScopeOnDisk::Unknown, nothing_sent);
        assert_eq!(unsure.life.turn(LoopEvents::default(), later), None);
        let mut moved =
            stage(Timing::FOREGROUND, PendingRows::Nothing, ScopeOnDisk::Other(None), nothing_sent);
        assert_eq!(
            moved.life.turn(LoopEvents::default(), later),
            Some(StopReason::ScopeChanged { now: None })
        );
    }

    #[test]
    fn daemon_older_than_its_queue_keeps_the_first_queue_id() {
        let mut stage = stage(Timing::FOREGROUND, PendingRows::Nothing, ScopeOnDisk::Own, nothing_sent);
        let path = stage.world.user_home().join(".spec-kitty/sync/daemon/owner.json");
        let recorded = || {
            let record = contract::OwnerRecord::parse(&fs::read(&path).expect("a record")).expect("parses");
            record.instance.expect("our keys").queue_id
        };
        assert_eq!(recorded(), None);
        assert_eq!(stage.life.turn(nudge(), Instant::now()), None);
        assert_eq!(recorded().as_deref(), Some("q-1"));
        stage.life.ownership.learn_queue_id("q-2".to_owned()).expect("nothing to write");
        assert_eq!(recorded().as_deref(), Some("q-1"));
    }

    #[test]
    fn learning_the_queue_keeps_an_altered_record() {
        let mut stage = stage(Timing::FOREGROUND, PendingRows::Nothing, ScopeOnDisk::Own, nothing_sent);
        let path = stage.world.user_home().join(".spec-kitty/sync/daemon/owner.json");
        let altered = fs::read_to_string(&path).expect("a record").replace("3.3.0", "9.9.9");
        fs::write(&path, &altered).expect("written");
        assert_eq!(stage.life.turn(nudge(), Instant::now()), None);
        assert_eq!(fs::read_to_string(&path).expect("a record"), altered);
        assert_eq!(stage.life.ownership.facts().queue_id.as_deref(), Some("q-1"));
    }

    #[test]
    fn replaced_program_drains_no_more() {
        let mut stage = stage(Timing::FOREGROUND, PendingRows::Rows, ScopeOnDisk::Own, nothing_sent);
        fs::write(stage.world.user_home().join("program"), "an upgrade").expect("written");
        assert_eq!(stage.life.turn(nudge(), Instant::now()), Some(StopReason::ExecutableReplaced));
        assert_eq!(stage.drains.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn drain_that_panics_ends_the_daemon_with_a_reason() {
        let mut stage =
            stage(Timing::FOREGROUND, PendingRows::Nothing, ScopeOnDisk::Own, || panic!("injected"));
        assert_eq!(stage.life.turn(nudge(), Instant::now()), None);
        let returned = stage.control.await_drain(minutes(1));
        let why = stage.life.turn(LoopEvents { returned, ..LoopEvents::default() }, Instant::now());
        assert!(matches!(why, Some(StopReason::Broken { .. })), "{why:?}");
    }
}
