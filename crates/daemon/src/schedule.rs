//! Timers of the daemon, as pure arithmetic over a monotonic clock.
//!
//! One timer: a self check every [`Timing::check`]; every so many checks a sweep of the queue; after a failed drain
//! one more attempt at the time that the server names. Everything else happens on a nudge.

use std::time::{Duration, Instant};

/// The periods of one daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between two self checks.
    pub check: Duration,
    /// Between two periodic checks of the queue.
    pub sweep: Duration,
    /// Retire after this long with nothing pending and no request; never when none.
    pub idle: Option<Duration>,
    /// Longest time for a running drain to finish its batch when the daemon has to end.
    pub shutdown: Duration,
}

impl Timing {
    /// A daemon that a command spawned: it ends when idle.
    pub(crate) const SPAWNED: Self = Self {
        check: Duration::from_secs(60),
        sweep: Duration::from_secs(300),
        idle: Some(Duration::from_secs(900)),
        shutdown: Duration::from_secs(10),
    };
    /// A daemon that a person or a service manager runs: it stays.
    pub(crate) const FOREGROUND: Self = Self { idle: None, ..Self::SPAWNED };
}

/// Due timers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// The self check.
    pub check: bool,
    /// The sweep.
    pub sweep: bool,
}

/// Times at which the next checks are due.
#[derive(Clone, Debug)]
pub struct Schedule {
    timing: Timing,
    next_check: Instant,
    next_sweep: Instant,
    /// Time of another attempt after a failed drain, before the next sweep.
    retry: Option<Instant>,
    quiet_since: Instant,
}

impl Schedule {
    /// Starts at `now`: the first sweep is due at once, because rows may have waited for a daemon.
    pub fn new(timing: Timing, now: Instant) -> Self {
        Self { timing, next_check: now + timing.check, next_sweep: now, retry: None, quiet_since: now }
    }

    /// Takes the checks that are due at `now`. A late wake-up (a suspended machine) makes each check due once, not once
    /// per missed period. A sweep that is nearly due runs with the self check, so that the two never need two timers.
    pub(crate) fn take_due(&mut self, now: Instant) -> Due {
        let nearly = self.timing.check / 10;
        let retry = self.retry.is_some_and(|retry| now >= retry);
        let due = Due { check: now >= self.next_check, sweep: retry || now + nearly >= self.next_sweep };
        if due.check {
            self.next_check = now + self.timing.check;
        }
        if due.sweep {
            self.next_sweep = now + self.timing.sweep;
            self.retry = None;
        }
        due
    }

    /// A drain ended: try again at that moment, or leave it to the next sweep.
    pub(crate) fn retry_at(&mut self, moment: Option<Instant>) {
        self.retry = moment;
    }

    /// Time to sleep from `now` on: until the next check, or the next attempt.
    pub fn sleep(&self, now: Instant) -> Duration {
        let next = self.retry.map_or(self.next_check, |retry| retry.min(self.next_check));
        next.saturating_duration_since(now)
    }

    /// Something was captured, asked for or delivered.
    pub(crate) fn mark_active(&mut self, now: Instant) {
        self.quiet_since = now;
    }

    /// Time since the last activity.
    pub fn quiet(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.quiet_since)
    }

    /// Whether the daemon has been idle long enough to end, if nothing is pending.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        self.timing.idle.is_some_and(|idle| self.quiet(now) >= idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn quiet_hour_wakes_once_a_minute_and_sweeps_twelve_times() {
        let start = Instant::now();
        let mut schedule = Schedule::new(Timing::SPAWNED, start);
        let (mut now, mut checks, mut sweeps, mut wakes) = (start, 0, 0, 0);
        while now < start + seconds(3600) {
            let due = schedule.take_due(now);
            checks += u32::from(due.check);
            sweeps += u32::from(due.sweep);
            wakes += 1;
            // A real wake-up is always a little late.
            now += schedule.sleep(now) + Duration::from_millis(3);
        }
        assert_eq!((checks, sweeps, wakes), (59, 12, 60));
    }

    #[test]
    fn machine_that_slept_for_a_day_is_checked_once() {
        let start = Instant::now();
        let mut schedule = Schedule::new(Timing::SPAWNED, start);
        schedule.take_due(start);
        let morning = start + seconds(86_400);
        assert_eq!(schedule.take_due(morning), Due { check: true, sweep: true });
        assert_eq!(schedule.take_due(morning + seconds(1)), Due::default());
        assert_eq!(schedule.sleep(morning), seconds(60));
    }

    #[test]
    fn failed_drain_is_tried_again_once_when_the_server_wants_it() {
        let start = Instant::now();
        let mut schedule = Schedule::new(Timing::SPAWNED, start);
        schedule.take_due(start);
        schedule.retry_at(Some(start + seconds(7)));
        assert_eq!(schedule.sleep(start), seconds(7));
        assert_eq!(schedule.take_due(start + seconds(6)), Due::default());
        assert_eq!(schedule.take_due(start + seconds(7)), Due { check: false, sweep: true });
        assert_eq!(schedule.sleep(start + seconds(7)), seconds(53));
    }

    #[test]
    fn only_an_unused_spawned_daemon_becomes_idle() {
        let start = Instant::now();
        let mut schedule = Schedule::new(Timing::SPAWNED, start);
        assert!(!schedule.is_idle(start + seconds(899)));
        assert!(schedule.is_idle(start + seconds(900)));
        schedule.mark_active(start + seconds(800));
        assert!(!schedule.is_idle(start + seconds(900)));
        let patient = Schedule::new(Timing::FOREGROUND, start);
        assert!(!patient.is_idle(start + seconds(1_000_000)));
    }
}
