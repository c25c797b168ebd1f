//! Observes the daemon owner record, its lock and its process. The gate judges them.

use contract::OwnerRecord;
use gate::{LockFileFacts, LockState, OwnerFacts, OwnerReading, RecordedProcess, ResolvedPaths, StrayDaemon};
use identity::Home;
use identity::paths::canonical_or_clean;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use system::bounded_read::read_bounded;
use system::lock::{LockProbe, observe_lock};
use system::{FileLock, process};

/// Time for a daemon that holds the lock to write its record (contract section 2).
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
    let path = home.owner_lock();
    // The lock first: a daemon that ends between the two reads is then an orphan, never healthy.
    match observe_lock(&path) {
        Ok(file) => {
            let lock = match file.map(|file| file.state) {
                Some(LockProbe::Held) => LockState::Held,
                Some(LockProbe::Free) | None => LockState::Free,
            };
            let file = file.map(|file| LockFileFacts { path, numbers: file.numbers, links: file.links });
            observe_record(home, lock, file)
        }
        Err(error) => {
            let why =
                format!("its lock {} cannot be probed: {error}", contract::text::path(&home.owner_lock()));
            let path = home.owner_record();
            let repair = identity::file_remedy::repair(&path);
            OwnerFacts { reading: OwnerReading::Unreadable(why), repair, ..OwnerFacts::absent(path) }
        }
    }
}

/// The record of an earlier daemon, for the holder of the lock: its own lock counts as free.
///
/// # Errors
/// The lock file cannot be inspected.
pub fn observe_predecessor(home: &Home, lock: &FileLock) -> io::Result<OwnerFacts> {
    let (numbers, links) = lock.numbers()?;
    let file = LockFileFacts { path: home.owner_lock(), numbers, links };
    Ok(observe_record(home, LockState::Free, Some(file)))
}

fn observe_record(home: &Home, lock: LockState, lock_file: Option<LockFileFacts>) -> OwnerFacts {
    let record_path = home.owner_record();
    let reading = read_record(&record_path);
    let facts = OwnerFacts { lock, lock_file, ..OwnerFacts::absent(record_path) };
    match &reading {
        OwnerReading::Absent => OwnerFacts { reading, ..facts },
        OwnerReading::Unreadable(_) => {
            let repair = identity::file_remedy::repair(&facts.record_path);
            OwnerFacts { reading, repair, ..facts }
        }
        OwnerReading::Readable(record) => {
            let process = observe_recorded_process(record.pid);
            let resolved = resolve(record);
            let executable = &record.executable_path;
            OwnerFacts {
                process,
                // An empty path is unset.
                executable_missing: !executable.as_os_str().is_empty() && !executable.exists(),
                outside: record.instance.is_none()
                    && (is_outside(home, &resolved.queue_db)
                        || (process == RecordedProcess::SyncDaemon && serves_other_home(record.pid, home))),
                resolved: Some(resolved),
                reading,
                ..facts
            }
        }
    }
}

/// The kind of the process `pid`, by its argv.
fn observe_recorded_process(pid: i64) -> RecordedProcess {
    if !process::observe_process(pid).is_alive() {
        return RecordedProcess::Gone;
    }
    match process::process_argv(pid).filter(|argv| !argv.is_empty()) {
        Some(argv) if names_sync_daemon(&argv) => RecordedProcess::SyncDaemon,
        Some(_) => RecordedProcess::OtherProgram,
        None => RecordedProcess::Unknown,
    }
}

/// Whether `path`, canonical or clean, is set and does not lie in the state directory of `home`.
pub fn is_outside(home: &Home, path: &Path) -> bool {
    !path.as_os_str().is_empty() && !path.starts_with(canonical_or_clean(home.root()))
}

/// The option with which later releases of the reference name the state directory of their daemon.
const ROOT_OPTION: &str = "--spec-kitty-daemon-root=";

/// Whether the daemon of the reference with this pid provably serves another home. The root in its argv decides, else
/// the home directory in the environment of its start, from which it derives its root.
pub fn serves_other_home(pid: i64, home: &Home) -> bool {
    let argv = process::process_argv(pid).unwrap_or_default();
    let named = argv.iter().find_map(|word| word.to_str()?.strip_prefix(ROOT_OPTION)).map(PathBuf::from);
    let derived = || process::start_environment(pid, "HOME").map(|dir| Path::new(&dir).join(".spec-kitty"));
    named.or_else(derived).is_some_and(|root| canonical_or_clean(&root) != canonical_or_clean(home.root()))
}

/// Reads `owner.json`: absent, a record, or an invalid file with the reason.
pub fn read_record(path: &Path) -> OwnerReading {
    match read_bounded(path, contract::owner_record::MAX_BYTES) {
        Ok(None) => OwnerReading::Absent,
        Ok(Some(file)) => match OwnerRecord::parse(&file.bytes) {
            Ok(record) => OwnerReading::Readable(Box::new(record)),
            Err(error) => OwnerReading::Unreadable(format!("is not a valid daemon owner record: {error}")),
        },
        Err(error) => OwnerReading::Unreadable(error.to_string()),
    }
}

fn resolve(record: &OwnerRecord) -> ResolvedPaths {
    // `lexically_clean` would turn an empty path into the current directory.
    let canonical = |path: &Path| {
        if path.as_os_str().is_empty() { PathBuf::new() } else { canonical_or_clean(path) }
    };
    ResolvedPaths {
        executable: canonical(&record.executable_path),
        source: canonical(&record.source_checkout_path),
        queue_db: canonical(&record.queue_db_path),
    }
}

/// The largest state file that is read; a valid one has four short lines.
const STATE_FILE_BYTES: u64 = 4096;

/// The state file of a reference daemon. As in its own reader, blank lines are dropped and a missing token
/// shifts the pid up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferenceStateFile {
    /// `http://127.0.0.1:<port>`.
    pub url: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// The control token. A secret: never shown.
    pub token: Option<String>,
    /// The pid.
    pub pid: Option<u32>,
}

/// Reads the state file of a reference daemon; an unreadable file has no value set.
pub fn read_state_file(path: &Path) -> ReferenceStateFile {
    let Ok(Some(file)) = read_bounded(path, STATE_FILE_BYTES) else {
        return ReferenceStateFile::default();
    };
    parse_state_file(&String::from_utf8_lossy(&file.bytes))
}

fn parse_state_file(text: &str) -> ReferenceStateFile {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    ReferenceStateFile {
        url: lines.next().map(str::to_owned),
        port: lines.next().and_then(|port| port.parse().ok()),
        token: lines.next().map(str::to_owned),
        pid: lines.next().and_then(|pid| pid.parse().ok()),
    }
}

/// A running reference daemon of this home that is not in the owner record (contract section 2).
pub fn observe_stray(home: &Home, owner: &OwnerFacts) -> Option<StrayDaemon> {
    let state_file = home.state_file();
    let state = read_state_file(&state_file);
    // Without a token line the pid is in its place.
    let pid = state.pid.or_else(|| state.token.as_deref()?.parse().ok())?;
    let named = matches!(&owner.reading, OwnerReading::Readable(record) if record.pid == i64::from(pid));
    let pid_read = i64::from(pid);
    (!named && is_sync_daemon(pid_read)).then(|| StrayDaemon {
        state_file,
        pid,
        copied: serves_other_home(pid_read, home),
    })
}

/// Whether `pid` runs with the arguments of a sync daemon.
pub fn is_sync_daemon(pid: i64) -> bool {
    observe_recorded_process(pid) == RecordedProcess::SyncDaemon
}

fn names_sync_daemon(argv: &[OsString]) -> bool {
    argv.iter().any(|word| {
        let word = word.to_string_lossy();
        word.contains("run_sync_daemon") || word.starts_with(ROOT_OPTION)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_file_is_parsed_as_by_the_reference() {
        let full = parse_state_file("http://127.0.0.1:9400\n9400\nsecret\n77\n");
        assert_eq!((full.port, full.pid), (Some(9400), Some(77)));
        let without_token = parse_state_file("http://127.0.0.1:9400\n\n 9400 \n77\n");
        assert_eq!((without_token.token.as_deref(), without_token.pid), (Some("77"), None));
        assert_eq!(parse_state_file("\n\n"), ReferenceStateFile::default());
        assert_eq!(parse_state_file("u\nnine\nt\n-1").pid, None);
    }

    #[test]
    fn this_process_is_no_sync_daemon() {
        let own = i64::from(std::process::id());
        assert_eq!(observe_recorded_process(own), RecordedProcess::OtherProgram);
        assert_eq!(observe_recorded_process(-1), RecordedProcess::Gone);
        assert!(!is_sync_daemon(own) && !is_sync_daemon(-1));
    }
}
