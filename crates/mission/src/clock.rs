//! Instants and identifiers: the only place of this crate that asks the clock or draws randomness.
//!
//! Never writes a file. Invariant: identifiers of one [`Clock`] ascend, so rows that a command
//! writes in one instant keep their order when a reader sorts by time and id.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;
use ulid::Generator;

/// Source of a command's instants and identifiers.
#[derive(Debug)]
pub struct Clock {
    fixed: Option<Timestamp>,
    ids: Mutex<Generator>,
}

impl Clock {
    /// The machine's clock.
    pub const fn system() -> Self {
        Self { fixed: None, ids: Mutex::new(Generator::new()) }
    }

    /// A clock with a fixed time, for tests and for golden files.
    pub const fn fixed_at(instant: Timestamp) -> Self {
        Self { fixed: Some(instant), ids: Mutex::new(Generator::new()) }
    }

    /// Now.
    pub fn now(&self) -> Moment {
        Moment(self.fixed.unwrap_or_else(Timestamp::now))
    }

    /// A new identifier (26 characters), greater than every earlier one of this clock.
    pub fn ulid(&self) -> String {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        match ids.generate_from_datetime(SystemTime::from(self.now().0)) {
            Ok(id) => id.to_string(),
            Err(overflow) => overflow.commit_overflow_increment().to_string(),
        }
    }
}

/// An instant as mission files write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Timestamp);

impl Moment {
    /// UTC with microseconds and `+00:00`; the fraction is left out when it is zero.
    pub fn iso(&self) -> String {
        self.with_fraction("+00:00")
    }

    /// The same with `Z`, as the decision ledger writes it.
    pub(crate) fn iso_z(&self) -> String {
        self.with_fraction("Z")
    }

    /// Whole seconds and `Z`, as the activity log and review artifacts write it.
    pub(crate) fn seconds_z(&self) -> String {
        format!("{}Z", self.seconds())
    }

    /// `YYYY-MM-DD`.
    pub fn date(&self) -> String {
        self.seconds().chars().take(10).collect()
    }

    /// The instant `micros` microseconds later.
    pub fn plus_micros(&self, micros: i64) -> Self {
        Self(self.0.checked_add(jiff::SignedDuration::from_micros(micros)).unwrap_or(self.0))
    }

    fn seconds(&self) -> String {
        let civil = self.0.to_zoned(TimeZone::UTC).datetime();
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            civil.year(),
            civil.month(),
            civil.day(),
            civil.hour(),
            civil.minute(),
            civil.second()
        )
    }

    fn with_fraction(&self, zone: &str) -> String {
        let micros = self.0.subsec_nanosecond().unsigned_abs() / 1000;
        if micros == 0 {
            format!("{}{zone}", self.seconds())
        } else {
            format!("{}.{micros:06}{zone}", self.seconds())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Moment {
        Moment(text.parse().unwrap())
    }

    #[test]
    fn whole_second_has_no_fraction_and_others_have_six_digits() {
        assert_eq!(moment("2026-01-02T03:04:05Z").iso(), "2026-01-02T03:04:05+00:00");
        assert_eq!(moment("2026-01-02T03:04:05.0000019Z").iso(), "2026-01-02T03:04:05.000001+00:00");
        assert_eq!(moment("2026-01-02T03:04:05.25Z").iso_z(), "2026-01-02T03:04:05.250000Z");
        assert_eq!(moment("2026-01-02T03:04:05.25Z").seconds_z(), "2026-01-02T03:04:05Z");
    }

    #[test]
    fn identifiers_of_one_instant_ascend() {
        let clock = Clock::fixed_at("2026-01-02T03:04:05Z".parse().unwrap());
        let ids: Vec<_> = (0..50).map(|_| clock.ulid()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
        assert!(ids.iter().all(|id| id.len() == 26));
    }
}
