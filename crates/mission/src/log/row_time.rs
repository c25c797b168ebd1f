//! Times of new rows: each is later than every row of its work package.
//!
//! Earlier releases order rows by the text of `at`, this one by the instant. A new row is later by both, so
//! that every reader shows the lane it names, whatever the clocks and the offsets of the rows before it.

use super::{Log, Row};
use crate::error::{MissionError, Result};
use crate::instant::Instant;
use crate::remedies::ErrorCode;
use serde_json::json;
use std::collections::HashMap;
use std::time::Duration;

/// Steps to a later text, in microseconds: the next microsecond, second, minute, hour and day.
const STEPS: [i128; 5] = [1, 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000];

/// The row that a new one has to be later than, by one of the two orders.
#[derive(Clone, Debug)]
struct Bound {
    event_id: String,
    at: String,
    /// A row of the log, not one of the rows that are about to be appended.
    recorded: bool,
}

/// The latest row of one subject by instant, and by text.
#[derive(Clone, Debug, Default)]
struct Latest {
    instant: Option<(Instant, Bound)>,
    text: Option<Bound>,
    /// A row whose `at` is not a time: nothing can be proven later than it.
    unordered: Option<Bound>,
}

/// Gives each row of `rows` a time after every row of its work package in the log, in `earlier` and before it
/// in `rows`. Returns one note for each work package whose rows are ahead of the clock.
pub(crate) fn place_after(log: &Log, earlier: &[Row], rows: &mut [Row]) -> Result<Vec<String>> {
    let mut latest: HashMap<String, Latest> =
        rows.iter().filter_map(|row| Some((row.subject()?.to_owned(), Latest::default()))).collect();
    for (subject, latest) in &mut latest {
        log.times_of(subject).for_each(|(event_id, at)| latest.add(event_id, &at, true));
    }
    for row in earlier {
        if let Some(latest) = row.subject().and_then(|subject| latest.get_mut(subject)) {
            latest.add_row(row);
        }
    }
    let mut notes = Vec::new();
    for row in rows {
        let Some(subject) = row.subject().map(str::to_owned) else { continue };
        let Some(latest) = latest.get_mut(&subject) else { continue };
        let (at, note) = latest.after(log, &subject, row.at())?;
        row.set_at(at);
        notes.extend(note);
        latest.add_row(row);
    }
    Ok(notes)
}

impl Latest {
    fn add_row(&mut self, row: &Row) {
        self.add(row.event_id().unwrap_or_default(), row.at(), false);
    }

    fn add(&mut self, event_id: &str, at: &str, recorded: bool) {
        let bound = || Bound { event_id: event_id.to_owned(), at: at.to_owned(), recorded };
        if at.is_empty() {
            return;
        }
        let instant = Instant::parse(at);
        if instant.is_none() {
            self.unordered = Some(bound());
        }
        if let Some(instant) = instant
            && self.instant.as_ref().is_none_or(|(known, _)| *known < instant)
        {
            self.instant = Some((instant, bound()));
        }
        if self.text.as_ref().is_none_or(|known| known.at.as_str() < at) {
            self.text = Some(bound());
        }
    }

    /// The time of a row that the clock would give the time `wanted`, and a warning about it.
    fn after(&self, log: &Log, subject: &str, wanted: &str) -> Result<(String, Option<String>)> {
        let exhausted = |bound: Option<&Bound>| MissionError::no_later_time(log.path(), subject, bound);
        let by_instant = self.instant.as_ref();
        let by_text = self.text.as_ref();
        if self.unordered.is_some() {
            return Err(exhausted(self.unordered.as_ref()));
        }
        let clock = Instant::parse(wanted).ok_or_else(|| exhausted(None))?.to_micros();
        let mut at = clock;
        if let Some((newest, bound)) = by_instant.filter(|(newest, _)| *newest >= at) {
            at = newest.next(1).filter(|at| at.iso().is_some()).ok_or_else(|| exhausted(Some(bound)))?;
        }
        let mut text = at.iso().ok_or_else(|| exhausted(None))?;
        if let Some(bound) = by_text.filter(|bound| bound.at >= text) {
            let face = Instant::parse_face(&bound.at).unwrap_or(at).max(at);
            let later = STEPS.iter().filter_map(|step| face.next(*step)?.iso());
            text = later.into_iter().find(|later| *later > bound.at).ok_or_else(|| exhausted(Some(bound)))?;
        }
        let note = self.note(subject, clock, &text);
        Ok((text, note))
    }

    /// Warning about a row of the log that is not before the clock.
    fn note(&self, subject: &str, clock: Instant, text: &str) -> Option<String> {
        let ahead = self.instant.as_ref().filter(|(newest, bound)| bound.recorded && *newest > clock);
        if let Some((newest, bound)) = ahead {
            let (id, at, skew) = (&bound.event_id, &bound.at, human_duration(newest.ahead_of(clock)));
            return Some(format!(
                "the clock is {skew} behind row {id} of {subject} ({at}); the new row is dated {text}"
            ));
        }
        let bound = self
            .text
            .as_ref()
            .filter(|bound| bound.recorded && Some(bound.at.as_str()) >= clock.iso().as_deref())?;
        let (id, at) = (&bound.event_id, &bound.at);
        Some(format!(
            "row {id} of {subject} ({at}) sorts after the current time as text; the new row is dated {text}"
        ))
    }
}

impl MissionError {
    fn no_later_time(log: &std::path::Path, subject: &str, bound: Option<&Bound>) -> Self {
        let (id, at) = bound.map_or(("", ""), |bound| (bound.event_id.as_str(), bound.at.as_str()));
        let problem = match bound {
            Some(_) => format!(
                "{}: row {id} of {subject} is dated `{}`: no time that can be written is later",
                contract::text::path(log),
                contract::text::printable(at)
            ),
            None => format!("{subject}: the clock of this machine is outside the years 1 to 9999"),
        };
        Self::invalid(
            ErrorCode::RowTimeExhausted,
            problem,
            &json!({ "event_id": id, "at": at, "wp_id": subject }),
        )
    }
}

/// A time span for people, in its largest unit.
fn human_duration(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{} ms", span.as_millis().max(1)),
        1..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::lane_row;
    use std::path::Path;

    /// The time that a row of now, written after one of `at`, gets; and the note.
    fn after(at: &str, now: &str) -> Result<(String, Vec<String>)> {
        let log = Log::of(Path::new("log"), &[Row::Lane(lane_row("A", at))]);
        let mut rows = [Row::Lane(lane_row("B", now))];
        let notes = place_after(&log, &[], &mut rows)?;
        Ok((rows[0].at().to_owned(), notes))
    }

    #[test]
    fn new_row_is_later_as_instant_and_as_text() {
        let now = "2026-06-01T10:00:00+00:00";
        for at in [
            "2026-06-01T09:59:59+00:00",
            "2026-06-01T10:00:00+00:00",
            "2026-06-01T10:00:00Z",
            "2026-06-01T10:00:00.999999Z",
            "2026-06-01T12:00:00+02:00",
            "2026-06-01T12:00:00Z",
            "2026-06-01T02:30:00-08:00",
            "2026-06-01t10:00:00z",
            "2036-06-01T23:59:59.999999+00:00",
            "9999-12-31T23:59:59.999998+00:00",
            "0001-01-01T00:00:00+00:00",
        ] {
            let (new, _) = after(at, now).unwrap();
            assert!(new.as_str() > at, "{new} {at}");
            assert!(Instant::parse(&new) > Instant::parse(at), "{new} {at}");
            assert!(Instant::parse(&new) >= Instant::parse(now), "{new} {at}");
            assert!(new.ends_with("+00:00") && new.len() == 32, "{new}");
        }
    }

    #[test]
    fn row_ahead_of_the_clock_is_named_with_its_skew() {
        let (at, notes) = after("2026-06-01T10:30:00+00:00", "2026-06-01T10:00:00+00:00").unwrap();
        assert_eq!(at, "2026-06-01T10:30:00.000001+00:00");
        assert!(notes.len() == 1 && notes[0].contains("30 min behind row A of WP01"), "{notes:?}");
        let (at, notes) = after("2026-06-01T11:30:00+02:00", "2026-06-01T10:00:00+00:00").unwrap();
        assert_eq!(at, "2026-06-01T11:30:00.000001+00:00");
        assert!(notes.len() == 1 && notes[0].contains("row A of WP01"), "{notes:?}");
        assert!(after("2026-06-01T09:00:00+00:00", "2026-06-01T10:00:00+00:00").unwrap().1.is_empty());
    }

    #[test]
    fn last_instant_and_text_without_a_later_one_are_refused_by_name() {
        for at in [
            "9999-12-31T23:59:59.999999+00:00",
            "9999-12-31T23:59:59.999999-01:00",
            "10000-01-01T00:00:00Z",
            "yesterday",
        ] {
            let message = after(at, "2026-06-01T10:00:00+00:00").unwrap_err().to_string();
            assert!(message.contains("row A of WP01") && message.contains(at), "{message}");
        }
    }
}
