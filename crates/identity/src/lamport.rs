//! The Lamport clock of this home: `clock.json`, shared with the reference.
//!
//! Values only rise: a draw is above the value in `clock.json`, above every earlier draw of this home and above
//! the caller's floor (contract section 7). The reference rewrites `clock.json` without a lock and may lower it,
//! so the highest value drawn is also stored in the lock file, which no other program writes. The lock
//! serialises draws; `clock.json` is replaced by a rename, so readers see a whole file.
//!
//! A power failure may undo what was written and not yet flushed. So the lock file has an upper bound of the
//! values drawn, which is flushed before a value above the old bound is used. After another boot the clock
//! continues at the bound; until then a draw within it flushes nothing.

use crate::config::whole_part;
use crate::home::Home;
use crate::session::isoformat;
use contract::{ExitCode, Remedy};
use jiff::Timestamp;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;
use system::bounded_read::{BoundedReadError, read_bounded};
use system::lock::{FileLock, LockError};
use system::private_file::{self, Durability, WriteError};

/// The largest clock file that is read.
const MAX_BYTES: u64 = 64 * 1024;

/// The largest value that fits the wire: signed 64 bits.
const MAX_VALUE: u64 = i64::MAX.unsigned_abs();

/// Distance by which the bound is raised above the last value: one flush for so many values.
const RESERVED: u64 = 256;

/// Longest wait for another draw.
const PATIENCE: Duration = Duration::from_secs(5);

/// The value of the clock, or of a draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// The last value used; for a draw, the first of the values it gave.
    pub value: u64,
    /// The node id. Once stored it is kept, even when the host name changes.
    pub node_id: String,
}

/// Reason why no value can be drawn.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    /// `clock.json` cannot be read at all.
    #[error("{} {error}", contract::text::path(.path))]
    File {
        /// The file.
        path: PathBuf,
        /// Error of the read.
        #[source]
        error: BoundedReadError,
    },
    /// The lock stayed busy.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The new value cannot be stored.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The clock is at the end of its range, which only a damaged file causes.
    #[error("{} contains {value}, the end of its range; correct its value by hand", contract::text::path(.path))]
    Exhausted {
        /// The file.
        path: PathBuf,
        /// Its value.
        value: u64,
    },
}

impl ClockError {
    /// Its exit code.
    pub fn exit(&self) -> ExitCode {
        match self {
            Self::Lock(LockError::Busy { .. }) => ExitCode::Busy,
            _ => ExitCode::Failed,
        }
    }

    /// Its remedy, where there is one.
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::Write(error) => Some(error.remedy()),
            Self::Lock(error) => error.remedy(),
            Self::File { .. } | Self::Exhausted { .. } => None,
        }
    }
}

/// Draws `count` consecutive values and returns the first: above `clock.json`, above every earlier draw of this
/// home, above `floor`. `node_id` is used when the file has none. A `count` of 0 draws nothing new.
///
/// # Errors
/// [`ClockError`]; no value is used up then.
pub fn draw(home: &Home, count: u64, floor: u64, node_id: &str) -> Result<ClockReading, ClockError> {
    let mut lock = FileLock::acquire(&home.clock_lock(), PATIENCE, "the clock")?;
    let (stored, stored_node) = read_stored(home)?;
    let mark = HighWater::read(&mut lock);
    let boot = system::process::boot_id();
    let highest = stored.max(floor).max(mark.highest(boot.as_deref()));
    let last = highest.checked_add(count).filter(|last| *last <= MAX_VALUE);
    let last = last.ok_or_else(|| ClockError::Exhausted { path: home.clock_file(), value: highest })?;
    let node_id = stored_node.unwrap_or_else(|| node_id.to_owned());
    // Before `clock.json`: whatever happens next, these values are used.
    let path = lock.path().to_path_buf();
    let next = mark.raised(last, boot);
    lock.write_content(next.render().as_bytes())
        .and_then(|()| if next.bound > mark.bound { lock.sync_content() } else { Ok(()) })
        .map_err(WriteError::new("write", &path))?;
    let text = render(last, &node_id, system::clock::now());
    private_file::write_atomic(&home.clock_file(), text.as_bytes(), Durability::Eventual)?;
    Ok(ClockReading { value: highest + u64::from(count > 0), node_id })
}

fn read_stored(home: &Home) -> Result<(u64, Option<String>), ClockError> {
    let path = home.clock_file();
    match read_bounded(&path, MAX_BYTES) {
        Ok(file) => Ok(file.map(|file| parse(&file.bytes)).unwrap_or_default()),
        Err(error) => Err(ClockError::File { path, error }),
    }
}

/// The content of the lock file: `<bound> <last> <boot>`, the numbers with twenty digits, overwritten in place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct HighWater {
    /// At least every value drawn; flushed to the disk.
    bound: u64,
    /// The highest value drawn in this boot.
    last: u64,
    boot: Option<String>,
}

impl HighWater {
    /// Content of another form counts as 0. A bound alone was written by an earlier release.
    fn read(lock: &mut FileLock) -> Self {
        let content = lock.read_content(128).unwrap_or_default();
        let mut fields = std::str::from_utf8(&content).unwrap_or_default().split_ascii_whitespace();
        let mut number = || fields.next().and_then(|field| field.parse().ok()).unwrap_or(0);
        let (bound, last) = (number(), number());
        Self { bound, last, boot: fields.next().map(str::to_owned) }
    }

    /// The highest value that may have been drawn, as far as it is known in `boot`.
    fn highest(&self, boot: Option<&str>) -> u64 {
        if self.boot.is_some() && self.boot.as_deref() == boot { self.last } else { self.bound }
    }

    /// With `last` drawn. Where the system does not name its boot, each draw raises the bound.
    fn raised(&self, last: u64, boot: Option<String>) -> Self {
        let reserved = if boot.is_some() { RESERVED } else { 0 };
        let bound =
            if last <= self.bound { self.bound } else { last.saturating_add(reserved).min(MAX_VALUE) };
        Self { bound, last, boot }
    }

    fn render(&self) -> String {
        let Self { bound, last, boot } = self;
        format!("{bound:020} {last:020} {}\n", boot.as_deref().unwrap_or_default())
    }
}

/// Value and node of a clock file. Malformed content counts as a clock at 0.
fn parse(bytes: &[u8]) -> (u64, Option<String>) {
    let Ok(Value::Object(map)) = serde_json::from_slice(bytes) else { return (0, None) };
    let value = match map.get("value") {
        Some(Value::Number(number)) => number.as_u64().or_else(|| whole_part(number.as_f64()?)),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    let node_id = map.get("node_id").and_then(Value::as_str).filter(|node_id| !node_id.is_empty());
    (value.unwrap_or(0), node_id.map(str::to_owned))
}

/// The file in the reference's form: three keys, indent 2, no final newline.
fn render(value: u64, node_id: &str, now: Timestamp) -> String {
    let node_id = Value::from(node_id);
    format!(
        "{{\n  \"value\": {value},\n  \"node_id\": {node_id},\n  \"updated_at\": \"{}\"\n}}",
        isoformat(now)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use std::fs;

    fn home() -> (tempfile::TempDir, Home) {
        let directory = tempfile::tempdir().expect("a directory");
        let home = Home::resolve(&Environment::from_pairs([("SPEC_KITTY_HOME", directory.path())]));
        (directory, home.expect("a home"))
    }

    fn value(home: &Home, count: u64, floor: u64) -> u64 {
        draw(home, count, floor, "node").expect("a value").value
    }

    #[test]
    fn values_rise_by_the_number_drawn_and_above_the_floor() {
        let (_directory, home) = home();
        assert_eq!(value(&home, 1, 0), 1);
        assert_eq!(value(&home, 3, 0), 2);
        assert_eq!(value(&home, 1, 0), 5);
        assert_eq!(value(&home, 2, 100), 101);
        assert_eq!(value(&home, 0, 0), 102);
    }

    #[test]
    fn clock_that_was_turned_back_does_not_repeat_a_value() {
        let (_directory, home) = home();
        assert_eq!(value(&home, 50, 0), 1);
        for turned_back in [r#"{"value": 3, "node_id": "a"}"#, "", "{oops", "[]"] {
            let before = value(&home, 0, 0);
            fs::write(home.clock_file(), turned_back).expect("turned back");
            assert_eq!(value(&home, 1, 0), before + 1, "{turned_back}");
        }
    }

    /// A file that was not flushed has its old or its new content after a power failure.
    #[test]
    fn values_rise_after_a_power_failure() {
        let (_directory, home) = home();
        assert_eq!(value(&home, 1, 0), 1);
        let flushed = fs::read_to_string(home.clock_lock()).expect("the mark");
        let highest = value(&home, 9, 0) + 8;
        for mark in [flushed, fs::read_to_string(home.clock_lock()).expect("the mark")] {
            let boot = system::process::boot_id().expect("the id of this boot");
            fs::write(home.clock_lock(), mark.replace(&boot, "another-boot")).expect("a mark");
            fs::write(home.clock_file(), "").expect("an empty clock");
            assert!(value(&home, 1, 0) > highest, "{mark}");
        }
    }

    #[test]
    fn mark_of_an_earlier_release_counts() {
        let (_directory, home) = home();
        fs::write(home.clock_lock(), format!("{:020}\n", 70)).expect("a mark");
        assert_eq!(value(&home, 1, 0), 71);
        assert_eq!(value(&home, 1, 0), 72);
    }

    #[test]
    fn stored_node_stays() {
        let (_directory, home) = home();
        fs::write(home.clock_file(), r#"{"value": 3, "node_id": "first"}"#).expect("a clock");
        assert_eq!(draw(&home, 1, 0, "second").expect("a value").node_id, "first");
        assert_eq!(draw(&home, 0, 0, "second").expect("a value").node_id, "first");
    }

    #[test]
    fn file_has_the_references_form() {
        let time = "2026-11-22T09:00:14.395679Z".parse().expect("a time");
        assert_eq!(
            render(11, "a68cb90bc34b", time),
            "{\n  \"value\": 11,\n  \"node_id\": \"a68cb90bc34b\",\n  \"updated_at\": \"2026-11-22T09:00:14.395679+00:00\"\n}"
        );
    }

    #[test]
    fn end_of_the_range_is_an_error_and_not_a_wrap() {
        let (_directory, home) = home();
        for value in [i64::MAX.unsigned_abs(), u64::MAX] {
            fs::write(home.clock_file(), format!("{{\"value\": {value}}}")).expect("a clock");
            let error = draw(&home, 1, 0, "node").expect_err("exhausted");
            assert!(matches!(error, ClockError::Exhausted { .. }), "{error}");
        }
    }

    #[test]
    fn directory_in_place_of_the_clock_is_an_error_that_names_it() {
        let (_directory, home) = home();
        fs::create_dir_all(home.clock_file()).expect("an obstacle");
        let message = draw(&home, 1, 0, "node").expect_err("an error").to_string();
        assert!(message.contains("clock.json is a directory"), "{message}");
    }

    #[test]
    fn draws_at_the_same_time_never_share_a_value() {
        let (_directory, home) = home();
        let mut values: Vec<u64> = std::thread::scope(|scope| {
            let draws: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..10).map(|_| value(&home, 1, 0)).collect::<Vec<_>>()))
                .collect();
            draws.into_iter().flat_map(|draws| draws.join().expect("a thread")).collect()
        });
        values.sort_unstable();
        assert_eq!(values, (1..=40).collect::<Vec<_>>());
    }
}
