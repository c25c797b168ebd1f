//! Instants as log rows write them, with any offset from UTC.
//!
//! Covers every year a row can have (1 to 9999), so that a row of a wrong clock is ordered like any other.

use crate::clock::Moment;
use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time, date};

/// An instant of a log row: the time since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(SignedDuration);

const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);

impl Instant {
    /// Reads an ISO 8601 time: `Z`, `+02:00`, `-0800` or no offset, which counts as UTC.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(instant) = Self::parse_iso(text) {
            return Some(instant);
        }
        let (civil, offset) = split_offset(text.trim())?;
        let local = civil.parse::<DateTime>().ok()?.duration_since(EPOCH);
        local.checked_sub(SignedDuration::from_secs(offset)).map(Self)
    }

    /// Reads a time in the form of [`Instant::iso`], which nearly every row has; nothing for any other form.
    fn parse_iso(text: &str) -> Option<Self> {
        let bytes: &[u8; 32] = text.as_bytes().try_into().ok()?;
        let signs = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.')];
        if !signs.iter().all(|(at, sign)| bytes[*at] == *sign) || !text.ends_with("+00:00") {
            return None;
        }
        let number = |digits: std::ops::Range<usize>| {
            bytes[digits].iter().try_fold(0_i32, |number, digit| {
                digit.is_ascii_digit().then(|| number * 10 + i32::from(digit - b'0'))
            })
        };
        let small = |at: usize| number(at..at + 2)?.try_into().ok();
        let date = Date::new(number(0..4)?.try_into().ok()?, small(5)?, small(8)?).ok()?;
        let time = Time::new(small(11)?, small(14)?, small(17)?, number(20..26)? * 1000).ok()?;
        Some(Self(date.to_datetime(time).duration_since(EPOCH)))
    }

    /// The time that `text` shows on its face, read as UTC: its offset is ignored.
    pub(crate) fn parse_face(text: &str) -> Option<Self> {
        let (civil, _) = split_offset(text.trim())?;
        Some(Self(civil.parse::<DateTime>().ok()?.duration_since(EPOCH)))
    }

    /// The earliest whole multiple of `unit` microseconds after this instant.
    pub(crate) fn next(self, unit: i128) -> Option<Self> {
        let micros = self.0.as_nanos().div_euclid(1000);
        let micros = i64::try_from((micros.div_euclid(unit) + 1) * unit).ok()?;
        Some(Self(SignedDuration::from_micros(micros)))
    }

    /// The instant without its fraction of a microsecond.
    pub(crate) fn to_micros(self) -> Self {
        let micros = i64::try_from(self.0.as_nanos().div_euclid(1000)).unwrap_or_default();
        Self(SignedDuration::from_micros(micros))
    }

    /// Time from `other` to this; zero when this is not later.
    pub(crate) fn ahead_of(self, other: Self) -> std::time::Duration {
        self.0.checked_sub(other.0).and_then(|ahead| ahead.try_into().ok()).unwrap_or_default()
    }

    /// UTC with six digits of microseconds and `+00:00`; nothing past the end of the year 9999.
    pub fn iso(self) -> Option<String> {
        let civil = EPOCH.checked_add(self.0).ok()?;
        (civil.year() >= 0).then(|| {
            format!(
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}+00:00",
                civil.year(),
                civil.month(),
                civil.day(),
                civil.hour(),
                civil.minute(),
                civil.second(),
                civil.subsec_nanosecond() / 1000
            )
        })
    }
}

impl From<Moment> for Instant {
    fn from(moment: Moment) -> Self {
        Self(moment.0.as_duration())
    }
}

/// The time without its offset, and the offset in seconds.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(civil) = text.strip_suffix(['Z', 'z']) {
        return Some((civil, 0));
    }
    // The date itself has hyphens: ten characters.
    let at = match text.get(10..)?.find(['+', '-']) {
        Some(at) => at + 10,
        None => return Some((text, 0)),
    };
    let (civil, offset) = text.split_at(at);
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    let digits: String = offset[1..].chars().filter(|c| *c != ':').collect();
    if !matches!(digits.len(), 2 | 4 | 6) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |n: usize| digits.get(n * 2..n * 2 + 2).map_or(Some(0), |two| two.parse::<i64>().ok());
    let (hours, minutes, seconds) = (part(0)?, part(1)?, part(2)?);
    (hours < 24 && minutes < 60 && seconds < 60)
        .then_some((civil, sign * (hours * 3600 + minutes * 60 + seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_instants_of_other_offsets_are_equal() {
        let utc = Instant::parse("2026-06-01T10:01:00+00:00").unwrap();
        for same in [
            "2026-06-01T10:01:00Z",
            "2026-06-01T12:01:00+02:00",
            "2026-06-01T02:01:00.000000-08:00",
            "2026-06-01T15:46:00+0545",
            "2026-06-01 10:01:00",
            "2026-06-02T00:01+14",
        ] {
            assert_eq!(Instant::parse(same), Some(utc), "{same}");
        }
        assert!(Instant::parse("2026-06-01T10:01:00.0000001Z").unwrap() > utc);
        for wrong in [
            "",
            "yesterday",
            "2026-06-01T10:01:00+2",
            "2026-13-01T00:00:00Z",
            "é2026-06-01",
            "2026-06-01T10:01:00+25:00",
        ] {
            assert_eq!(Instant::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn last_instant_reads_and_has_none_after_it() {
        let last = Instant::parse("9999-12-31T23:59:59.999999+00:00").unwrap();
        assert_eq!(last.iso().as_deref(), Some("9999-12-31T23:59:59.999999+00:00"));
        assert_eq!(last.next(1).and_then(Instant::iso), None);
        let first = Instant::parse("0001-01-01T00:00:00Z").unwrap();
        assert_eq!(first.iso().as_deref(), Some("0001-01-01T00:00:00.000000+00:00"));
    }
}
