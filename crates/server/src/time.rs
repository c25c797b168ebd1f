//! Points in time as the server stores them: milliseconds since 1970 in UTC.

use jiff::Timestamp;
use std::time::Duration;

/// A point in time, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixMillis(pub(crate) i64);

impl UnixMillis {
    pub(crate) fn now() -> Self {
        Self(system::clock::now().as_millisecond())
    }

    #[must_use]
    pub(crate) fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    #[must_use]
    pub(crate) fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Time from `earlier` to this; zero when `earlier` is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// ISO 8601 in UTC with milliseconds: `2026-11-22T09:00:00.123Z`.
    pub fn iso(self) -> String {
        Timestamp::from_millisecond(self.0).map_or_else(|_| "unknown".to_owned(), |at| format!("{at:.3}"))
    }

    /// For pages: `2026-11-22 09:00:00 UTC`.
    pub(crate) fn readable(self) -> String {
        Timestamp::from_millisecond(self.0)
            .map_or_else(|_| "unknown".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_written_with_milliseconds() {
        assert_eq!(UnixMillis(1_795_338_000_007).iso(), "2026-11-22T09:00:00.007Z");
        assert_eq!(UnixMillis(1_795_338_000_007).readable(), "2026-11-22 09:00:00 UTC");
        let end = UnixMillis(i64::MAX);
        assert_eq!((end.iso(), end.readable()), ("unknown".into(), "unknown".into()));
    }

    #[test]
    fn clock_set_back_gives_no_duration() {
        assert_eq!(UnixMillis(5).since(UnixMillis(9)), Duration::ZERO);
        assert_eq!(UnixMillis(i64::MAX).after(Duration::from_secs(1)), UnixMillis(i64::MAX));
    }
}
