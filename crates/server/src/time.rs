//! Instants as the server keeps them: milliseconds since 1970 in UTC.

use jiff::Timestamp;
use std::time::Duration;

/// An instant, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// The wall clock.
    pub fn now() -> Self {
        Self(Timestamp::now().as_millisecond())
    }

    /// Later by `duration`.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long from `earlier` to this; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// ISO 8601 in UTC with milliseconds: `2026-11-22T09:00:00.123Z`.
    pub fn iso(self) -> String {
        Timestamp::from_millisecond(self.0).map_or_else(|_| "unknown".to_owned(), |at| format!("{at:.3}"))
    }

    /// For people: `2026-11-22 09:00:00 UTC`.
    pub fn spoken(self) -> String {
        let text = self.iso();
        match text.split_once('T') {
            Some((day, time)) => format!("{day} {} UTC", time.split('.').next().unwrap_or(time)),
            None => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_with_milliseconds() {
        assert_eq!(UnixMillis(1_795_338_000_007).iso(), "2026-11-22T09:00:00.007Z");
        assert_eq!(UnixMillis(1_795_338_000_007).spoken(), "2026-11-22 09:00:00 UTC");
        assert_eq!(
            (UnixMillis(i64::MAX).iso(), UnixMillis(i64::MAX).spoken()),
            ("unknown".into(), "unknown".into())
        );
    }

    #[test]
    fn a_clock_that_went_back_gives_no_duration() {
        assert_eq!(UnixMillis(5).since(UnixMillis(9)), Duration::ZERO);
        assert_eq!(UnixMillis(i64::MAX).after(Duration::from_secs(1)), UnixMillis(i64::MAX));
    }
}
