//! Wall clock, and the random part of delays. The feature `simulation` lets a test replace both.
//!
//! The clock of identity, queue, preflight, delivery and server, so that a simulation repeats them by a seed. Random ids
//! and secrets always come from the operating system.

use jiff::Timestamp;

/// The present time.
pub fn now() -> Timestamp {
    #[cfg(feature = "simulation")]
    if let Some(virtual_now) = simulated::now() {
        return virtual_now;
    }
    Timestamp::now()
}

/// A random number in `0.0..1.0`; the middle when the system gives none.
pub fn random_fraction() -> f64 {
    #[cfg(feature = "simulation")]
    if let Some(bits) = simulated::bits() {
        return fraction(bits);
    }
    fraction(getrandom::u64().unwrap_or(u64::MAX / 2))
}

fn fraction(bits: u64) -> f64 {
    // 53 bits fill an f64 mantissa exactly.
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(feature = "simulation")]
pub use simulated::{VirtualTime, mix};

#[cfg(feature = "simulation")]
mod simulated {
    use jiff::{SignedDuration, Timestamp};
    use std::sync::{Mutex, MutexGuard, PoisonError};

    struct Replaced {
        now: Timestamp,
        random: u64,
    }

    static REPLACED: Mutex<Option<Replaced>> = Mutex::new(None);

    fn replaced() -> MutexGuard<'static, Option<Replaced>> {
        REPLACED.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now() -> Option<Timestamp> {
        replaced().as_ref().map(|replaced| replaced.now)
    }

    /// The next number of SplitMix64.
    pub(super) fn bits() -> Option<u64> {
        let mut guard = replaced();
        let replaced = guard.as_mut()?;
        replaced.random = replaced.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        Some(mix(replaced.random))
    }

    /// The number that SplitMix64 makes of one state.
    pub fn mix(state: u64) -> u64 {
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Held by the one [`VirtualTime`] of this process.
    static ALONE: Mutex<()> = Mutex::new(());

    /// Replaces the clock and the random numbers of this process until it is dropped. There is one at a time.
    #[derive(Debug)]
    pub struct VirtualTime {
        _alone: MutexGuard<'static, ()>,
    }

    impl VirtualTime {
        /// Stops the clock at `now`; the random numbers are those of `seed`. Waits until the `VirtualTime` of another thread is
        /// dropped; a thread that holds one already must not begin a second.
        pub fn begin(now: Timestamp, seed: u64) -> Self {
            let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
            *replaced() = Some(Replaced { now, random: seed });
            Self { _alone: alone }
        }

        /// Moves the clock by `by`, which may be negative.
        pub fn advance(&self, by: SignedDuration) {
            if let Some(replaced) = replaced().as_mut() {
                replaced.now = replaced.now.saturating_add(by).unwrap_or(replaced.now);
            }
        }
    }

    impl Drop for VirtualTime {
        fn drop(&mut self) {
            *replaced() = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// The replaced random numbers belong to the whole process: one test at a time draws them.
    fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(feature = "simulation")]
    #[test]
    fn virtual_time_repeats_by_its_seed() {
        let _alone = alone();
        let run = |seed| {
            let time = VirtualTime::begin(Timestamp::UNIX_EPOCH, seed);
            time.advance(jiff::SignedDuration::from_secs(7));
            (now(), random_fraction())
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1).1, run(2).1);
        assert_eq!(run(1).0.as_second(), 7);
        assert!(now().as_second() > 7, "the clock of the system is back");
    }

    #[test]
    fn random_fraction_is_below_one() {
        let _alone = alone();
        assert_eq!(fraction(0), 0.0);
        assert!(fraction(u64::MAX) < 1.0);
        assert!((0.0..1.0).contains(&random_fraction()));
    }
}
