//! Waiting for a lock: steps of about a millisecond with jitter, up to a deadline; then an error that names
//! the file and its holder. Longer steps would starve behind shorter ones; equal steps would collide.

use crate::error::Busy;
use rusqlite::Connection;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest wait of a read-only observation (contract section 4).
pub(crate) const READ: Duration = Duration::from_millis(250);
/// Longest wait of a capture (contract section 5).
pub const CAPTURE: Duration = Duration::from_secs(5);
/// Longest wait of a migration (contract section 5).
pub const MIGRATE: Duration = Duration::from_secs(10);

/// Lets `conn` wait for locks for up to `deadline` per lock.
pub(crate) fn wait_for_locks(conn: &mut Connection, deadline: Duration) -> rusqlite::Result<()> {
    let mut since = Instant::now();
    let mut noise = u64::from(std::process::id());
    conn.busy_handler(Some(move |tries: i32| {
        if tries == 0 {
            since = Instant::now();
        }
        if since.elapsed() >= deadline {
            return false;
        }
        // A xorshift step, which only has to differ between processes.
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        std::thread::sleep(Duration::from_micros(500 + noise % 1_000));
        true
    }))
}

/// The error for a lock that was not released in time.
pub(crate) fn busy(path: &Path, waited: Duration) -> Busy {
    Busy { path: path.to_owned(), holder: system::lock::observe_posix_holder(path), waited }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_has_these_waits() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/queue.md"));
        let waits = format!(
            "exit 69 after {} ms (looking), {} s (capture) or {} s (migration)",
            READ.as_millis(),
            CAPTURE.as_secs(),
            MIGRATE.as_secs()
        );
        assert!(page.expect("the page").contains(&waits), "docs/queue.md lacks: {waits}");
    }
}
