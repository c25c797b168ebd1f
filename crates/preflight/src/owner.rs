//! The daemon owner record as it lies on the disk, the lock beside it, and the process it names.
//!
//! Reads and observes only. What it all means is judged by the gate.

use contract::OwnerRecord;
use gate::{LockState, OwnerFacts, OwnerReading, ResolvedPaths, StrayDaemon};
use identity::lock::{LockProbe, probe};
use identity::paths::canonical_or_clean;
use identity::small_file::read_small_file;
use identity::{Home, process};
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a daemon that holds the lock may take to write its record (contract section 2).
const STARTING: Duration = Duration::from_millis(50);
const REREAD: Duration = Duration::from_millis(5);

/// Reads record, lock and process. While the lock is held and the record is not its holder's, the
/// daemon is starting: the record is read again for 50 ms.
pub fn observe_owner(home: &Home) -> OwnerFacts {
    let deadline = Instant::now() + STARTING;
    loop {
        let facts = observe_owner_once(home);
        let holders_own =
            matches!(&facts.reading, OwnerReading::Readable(record) if record.instance.is_some());
        if facts.lock == LockState::Free || holders_own || Instant::now() >= deadline {
            return facts;
        }
        std::thread::sleep(REREAD);
    }
}

fn observe_owner_once(home: &Home) -> OwnerFacts {
    let record_path = home.owner_record();
    // The lock first: a daemon that ends between the two looks like an orphan for a moment, never
    // like a healthy one.
    let (lock, lock_error) = match probe(&home.owner_lock()) {
        Ok(LockProbe::Free) => (LockState::Free, None),
        Ok(LockProbe::Held) => (LockState::Held, None),
        Err(error) => (LockState::Free, Some(error)),
    };
    let reading = match lock_error {
        Some(error) => OwnerReading::Unreadable(format!(
            "its lock {} cannot be probed: {error}",
            contract::text::path(&home.owner_lock())
        )),
        None => read_record(&record_path),
    };
    let record = match &reading {
        OwnerReading::Readable(record) => Some(record),
        OwnerReading::Absent | OwnerReading::Unreadable(_) => None,
    };
    let process_alive = record.is_some_and(|record| process::observe_process(record.pid).is_alive());
    let executable_exists = record.is_some_and(|record| record.executable_path.exists());
    let resolved = record.map(|record| resolve(record));
    OwnerFacts { record_path, reading, lock, process_alive, executable_exists, resolved }
}

/// Reads `owner.json`: absent, a record, or a file that is none, with the reason.
pub fn read_record(path: &Path) -> OwnerReading {
    match read_small_file(path, contract::owner::MAX_BYTES) {
        Ok(None) => OwnerReading::Absent,
        Ok(Some(file)) => match OwnerRecord::parse(&file.bytes) {
            Ok(record) => OwnerReading::Readable(Box::new(record)),
            Err(error) => OwnerReading::Unreadable(format!("is no owner record: {error}")),
        },
        Err(error) => OwnerReading::Unreadable(error.to_string()),
    }
}

fn resolve(record: &OwnerRecord) -> ResolvedPaths {
    ResolvedPaths {
        executable: canonical_or_clean(&record.executable_path),
        source: canonical_or_clean(&record.source_checkout_path),
        queue_db: canonical_or_clean(&record.queue_db_path),
    }
}

/// The largest state file that is read; a real one has four short lines.
const STATE_FILE_BYTES: u64 = 4096;

/// What the state file of a reference daemon says. Blank lines are dropped and a missing token
/// shifts the pid up, as its own reader has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateFile {
    /// `http://127.0.0.1:<port>`.
    pub url: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// The control token. A secret: never shown.
    pub token: Option<String>,
    /// The pid.
    pub pid: Option<u32>,
}

/// Reads the state file of a reference daemon; nothing readable is nothing set.
pub fn read_state_file(path: &Path) -> StateFile {
    let Ok(Some(file)) = read_small_file(path, STATE_FILE_BYTES) else { return StateFile::default() };
    parse_state_file(&String::from_utf8_lossy(&file.bytes))
}

fn parse_state_file(text: &str) -> StateFile {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    StateFile {
        url: lines.next().map(str::to_owned),
        port: lines.next().and_then(|port| port.parse().ok()),
        token: lines.next().map(str::to_owned),
        pid: lines.next().and_then(|pid| pid.parse().ok()),
    }
}

/// A live reference daemon of this home that the owner record does not name (contract section 2).
pub fn observe_stray(home: &Home, owner: &OwnerFacts) -> Option<StrayDaemon> {
    let state_file = home.state_file();
    let state = read_state_file(&state_file);
    // Without a token line the pid stands in its place.
    let pid = state.pid.or_else(|| state.token.as_deref()?.parse().ok())?;
    let named = matches!(&owner.reading, OwnerReading::Readable(record) if record.pid == i64::from(pid));
    (!named && is_sync_daemon(i64::from(pid))).then_some(StrayDaemon { state_file, pid })
}

/// Whether `pid` lives and was started as the reference starts its daemon.
pub fn is_sync_daemon(pid: i64) -> bool {
    process::observe_process(pid).is_alive()
        && process::process_argv(pid).is_some_and(|argv| names_sync_daemon(&argv))
}

/// Whether `pid` provably is another program than the daemon of the reference: it lives, and its command
/// line can be read and says so. A number that a daemon once had may be anybody's by now.
pub fn is_other_program(pid: i64) -> bool {
    process::observe_process(pid).is_alive()
        && process::process_argv(pid).is_some_and(|argv| !argv.is_empty() && !names_sync_daemon(&argv))
}

fn names_sync_daemon(argv: &[OsString]) -> bool {
    argv.iter().any(|word| word.to_string_lossy().contains("run_sync_daemon"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_file_is_read_as_its_own_reader_has_it() {
        let full = parse_state_file("http://127.0.0.1:9400\n9400\nsecret\n77\n");
        assert_eq!((full.port, full.pid), (Some(9400), Some(77)));
        let without_token = parse_state_file("http://127.0.0.1:9400\n\n 9400 \n77\n");
        assert_eq!((without_token.token.as_deref(), without_token.pid), (Some("77"), None));
        assert_eq!(parse_state_file("\n\n"), StateFile::default());
        assert_eq!(parse_state_file("u\nnine\nt\n-1").pid, None);
    }

    #[test]
    fn this_process_is_no_sync_daemon() {
        let own = i64::from(std::process::id());
        assert!(!is_sync_daemon(own) && is_other_program(own));
        assert!(!is_other_program(-1));
        assert!(!is_sync_daemon(-1));
    }
}
