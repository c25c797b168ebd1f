//! Rate limit of automatic daemon starts: at most [`LIMIT`] in [`WINDOW`].
//!
//! A daemon that ends at once, or two releases that retire each other, must not turn every capture into a process
//! start. The file `starts` beside the owner record has one Unix second a line, written before the start, so
//! that failing starts count as well. Explicit starts are not limited.

use jiff::Timestamp;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use system::bounded_read::read_bounded;
use system::private_file;

/// Automatic starts within [`WINDOW`].
pub(crate) const LIMIT: usize = 5;
/// The window of the rate limit.
const WINDOW: Duration = Duration::from_secs(600);
const MAX_BYTES: u64 = 4 * 1024;

/// Automatic starts of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AutomaticStarts {
    /// Within the window.
    pub recent: usize,
    /// As many may be within the window.
    pub limit: usize,
    /// Length of the window.
    pub window_seconds: u64,
}

impl AutomaticStarts {
    /// Whether a capture starts no daemon any more until the window has moved on.
    pub fn are_spent(&self) -> bool {
        self.recent >= self.limit
    }
}

/// Rate limit of automatic starts of one home.
#[derive(Clone, Debug)]
pub(crate) struct StartRateLimit {
    path: PathBuf,
}

impl StartRateLimit {
    /// The rate limit kept in `daemon_dir`.
    pub(crate) fn of(daemon_dir: &Path) -> Self {
        Self { path: daemon_dir.join("starts") }
    }

    /// Takes one automatic start at `now`; false when the limit is reached, or when the file cannot be written: in
    /// such a home a daemon cannot run either.
    pub(crate) fn take(&self, now: Timestamp) -> bool {
        let mut starts = self.read_recent(now);
        if starts.len() >= LIMIT {
            return false;
        }
        starts.push(now.as_second());
        let text: String = starts.iter().map(|second| format!("{second}\n")).collect();
        private_file::write_private(&self.path, text.as_bytes()).is_ok()
    }

    /// Number of recent automatic starts. Read only.
    pub(crate) fn observe(&self, now: Timestamp) -> AutomaticStarts {
        let recent = self.read_recent(now).len();
        AutomaticStarts { recent, limit: LIMIT, window_seconds: WINDOW.as_secs() }
    }

    /// The starts within the window. Lines that are no number and starts in the future (the clock was set
    /// back) do not count: otherwise one bad line could keep a daemon from starting for ever.
    fn read_recent(&self, now: Timestamp) -> Vec<i64> {
        let bytes = match read_bounded(&self.path, MAX_BYTES) {
            Ok(Some(file)) => file.bytes,
            Ok(None) | Err(_) => Vec::new(),
        };
        let window = i64::try_from(WINDOW.as_secs()).unwrap_or(i64::MAX);
        let age = |second: &i64| now.as_second().checked_sub(*second);
        String::from_utf8_lossy(&bytes)
            .lines()
            .filter_map(|line| line.trim().parse().ok())
            .filter(|second| age(second).is_some_and(|age| (0..window).contains(&age)))
            .take(LIMIT)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a second")
    }

    #[test]
    fn sixth_start_in_ten_minutes_is_refused() {
        let home = tempfile::tempdir().expect("a directory");
        let rate_limit = StartRateLimit::of(&home.path().join("daemon"));
        for second in 0..5 {
            assert!(rate_limit.take(at(1_000 + second)), "start {second}");
        }
        assert!(!rate_limit.take(at(1_010)));
        let starts = rate_limit.observe(at(1_010));
        assert!(starts.are_spent() && starts.recent == 5, "{starts:?}");
        assert!(!rate_limit.take(at(1_599)));
        assert!(rate_limit.take(at(1_600)), "the first start has left the window");
        assert!(!rate_limit.take(at(1_600)));
    }

    #[test]
    fn damage_and_a_clock_set_back_block_nothing_for_ever() {
        let home = tempfile::tempdir().expect("a directory");
        let rate_limit = StartRateLimit::of(home.path());
        for content in
            ["\u{fffd}\nnot a number\n-5\n", "9999999999\n9999999999\n9999999999\n9999999999\n9999999999\n"]
        {
            std::fs::write(home.path().join("starts"), content).expect("written");
            assert!(rate_limit.take(at(1_000)), "{content:?}");
        }
        std::fs::remove_file(home.path().join("starts")).expect("removed");
        std::fs::create_dir(home.path().join("starts")).expect("a directory");
        assert!(!rate_limit.take(at(1_000)), "what cannot be counted is not spent");
    }
}
