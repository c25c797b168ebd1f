//! Back-off: delays between attempts.
//!
//! Pure: the caller passes the clock and the random number. Full jitter: a delay is drawn from the whole
//! interval up to an exponentially growing bound, so that machines that failed together retry at different
//! times. `Retry-After` is a lower bound, itself bounded.

use std::time::Duration;

/// First bound of our own delays.
const BASE: Duration = Duration::from_secs(2);
/// Largest delay of our own.
pub(crate) const CAP: Duration = Duration::from_secs(300);
/// Longest pause a server can ask for: a mistaken value must not silence a machine for days.
pub(crate) const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// The delay after `failures` failures in a row (at least one), with `random` in `0.0..1.0`.
pub(crate) fn plan_delay(failures: u32, random: f64) -> Duration {
    plan_delay_from(BASE, failures, random)
}

/// Like [`plan_delay`], starting from another bound.
pub(crate) fn plan_delay_from(base: Duration, failures: u32, random: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(20);
    let bound = base.saturating_mul(1u32 << doublings).min(CAP);
    bound.mul_f64(random.clamp(0.0, 1.0))
}

/// The pause that a server requested, bounded, with up to a tenth more so that clients retry at different
/// times.
pub(crate) fn plan_asked(asked: Duration, random: f64) -> Duration {
    let asked = asked.min(LONGEST_ASKED);
    asked + (asked / 10).mul_f64(random.clamp(0.0, 1.0))
}

/// The rest, at `now`, of a recorded pause until `until` (both in Unix seconds). None when it is over, or when it is
/// longer than any recorded pause because the clock was set back.
pub fn plan_rest(until: f64, now: f64) -> Option<Duration> {
    let longest = LONGEST_ASKED.as_secs_f64() * 1.1;
    let left = until - now;
    (left > 0.0 && left <= longest).then(|| Duration::from_secs_f64(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_are_drawn_from_the_whole_interval_and_are_bounded() {
        assert_eq!(plan_delay(1, 0.0), Duration::ZERO);
        assert_eq!(plan_delay(1, 1.0), Duration::from_secs(2));
        assert_eq!(plan_delay(3, 0.5), Duration::from_secs(4));
        assert_eq!(plan_delay(u32::MAX, 1.0), Duration::from_secs(300));
        assert_eq!(plan_delay(0, 7.0), Duration::from_secs(2));
    }

    #[test]
    fn pause_ends_in_time_after_clock_is_set_back() {
        assert_eq!(plan_rest(160.0, 100.0), Some(Duration::from_secs(60)));
        assert_eq!(plan_rest(100.0, 100.0), None);
        assert_eq!(plan_rest(100.0 + 31_536_000.0, 100.0), None, "a year");
        let longest = plan_asked(Duration::MAX, 1.0);
        assert_eq!(plan_rest(longest.as_secs_f64(), 0.0), Some(longest));
        assert_eq!(plan_rest(f64::INFINITY, 0.0), None);
        assert_eq!(plan_rest(f64::NAN, 0.0), None);
    }

    #[test]
    fn requested_pause_is_kept_and_bounded() {
        assert_eq!(plan_asked(Duration::from_secs(60), 0.0), Duration::from_secs(60));
        assert!(plan_asked(Duration::from_secs(60), 1.0) <= Duration::from_secs(66));
        assert_eq!(plan_asked(Duration::MAX, 0.0), Duration::from_secs(3600));
        assert_eq!(plan_asked(Duration::MAX, 1.0), Duration::from_secs(3960));
    }
}
