//! Observation changes nothing: in every state the whole home is the same afterwards, in bytes, modes and
//! modification times of every file and directory.

use crate::support::*;
use contract::{FaultCode, Remedy};
use queue::{ObserveError, observe_active, observe_counts, observe_legacy};
use rusqlite::Connection;
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::time::SystemTime;

type Entry = (String, bool, Option<SystemTime>, String, String);

fn tree(root: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs_err::symlink_metadata(&path).expect("metadata");
        let content = if metadata.is_dir() {
            pending.extend(
                fs_err::read_dir(&path).expect("a listing").map(|entry| entry.expect("an entry").path()),
            );
            String::new()
        } else {
            fs_err::read(&path).map_or_else(
                |error| error.to_string(),
                |bytes| data_encoding::HEXLOWER.encode(&Sha256::digest(bytes)),
            )
        };
        let mode = format!("{:?}", metadata.permissions());
        entries.push((
            path.display().to_string(),
            metadata.is_dir(),
            metadata.modified().ok(),
            mode,
            content,
        ));
    }
    entries.sort();
    entries
}

/// Observes everything there is to observe, and returns the faults.
fn look(home: &Home) -> Vec<FaultCode> {
    let scoped = home.scoped(&scope());
    let before = tree(home.dir.path());
    let active = observe_active(&scoped);
    let cached = active.as_ref().ok().and_then(|active| active.legacy_counts.clone());
    let results = [
        active.map(|_| ()),
        observe_legacy(&home.legacy(), Some(&scope()), cached.as_ref()).map(|_| ()),
        observe_legacy(&home.legacy(), None, None).map(|_| ()),
        observe_counts(&scoped, &no_opt_in).map(|_| ()),
        observe_counts(&home.legacy(), &no_opt_in).map(|_| ()),
        queue::Cure::plan_migration(&cure_permit(facts(&scope(), &scoped, &home.legacy(), None))).map(|_| ()),
    ];
    assert_eq!(tree(home.dir.path()), before, "looking changed the home");
    let mut faults: Vec<FaultCode> = results
        .into_iter()
        .filter_map(|result| match result {
            Err(ObserveError::Fault(fault)) => Some(fault.code),
            Err(ObserveError::Busy(busy)) => panic!("{busy}"),
            Ok(()) => None,
        })
        .collect();
    faults.sort();
    faults.dedup();
    faults
}

#[test]
fn empty_home_stays_empty() {
    let home = Home::new();
    assert_eq!(look(&home), []);
    assert!(!home.root().exists());
}

#[test]
fn two_queues_at_rest() {
    let home = Home::new();
    let legacy = legacy_db(&home);
    legacy_event(&legacy, "01A", None, PROJECT);
    capture(&home, &scope(), [event("01B")]);
    home.cure(&scope()).write_legacy_counts().expect("cached counts");
    assert_eq!(look(&home), []);
}

#[test]
fn files_that_are_no_databases_are_faults_with_a_remedy() {
    let home = Home::new();
    fs_err::create_dir_all(home.scoped(&scope())).expect("a directory where the queue should be");
    fs_err::write(home.legacy(), b"this is not a database, whatever its length is").expect("a file");
    assert_eq!(look(&home), [FaultCode::LegacyQueueUnreadable, FaultCode::ActiveQueueUnreadable]);
    let Err(ObserveError::Fault(fault)) = observe_active(&home.scoped(&scope())) else { panic!("no fault") };
    assert_eq!(fault.remedy, Remedy::Repair);
    assert!(fault.detail.contains("directory"), "{}", fault.detail);
}

#[test]
fn damaged_pages_are_a_fault() {
    let home = Home::new();
    capture(&home, &scope(), (0..200).map(|row| event(&row.to_string())));
    let path = home.scoped(&scope());
    let mut bytes = fs_err::read(&path).expect("bytes");
    bytes[100..4096].fill(0xaa);
    fs_err::write(&path, bytes).expect("damaged");
    assert_eq!(look(&home), [FaultCode::ActiveQueueUnreadable]);
    let error =
        queue::Cure::open(&cure_permit(facts(&scope(), &path, &home.legacy(), None))).expect_err("damaged");
    assert_eq!(error.remedy(), Some(Remedy::Repair), "{error}");
}

#[cfg(unix)]
#[test]
fn pipe_is_a_fault_and_not_a_wait() {
    let home = Home::new();
    fs_err::create_dir_all(home.root()).expect("a directory");
    rustix::fs::mknodat(rustix::fs::CWD, home.legacy(), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .expect("a pipe");
    assert_eq!(
        observe_legacy(&home.legacy(), None, None).map_err(|error| matches!(error, ObserveError::Fault(_))),
        Err(true)
    );
}

/// A database whose writer was killed in the middle of a transaction: the file and its journal are
/// copied while the transaction has spilled into both.
fn hot_copy(from: &Path, to: &Path) {
    let conn = Connection::open(from).expect("a database");
    conn.execute_batch("PRAGMA cache_size = 2; BEGIN IMMEDIATE").expect("begun");
    for row in 0..200 {
        legacy_event(&conn, &format!("spill-{row}"), None, PROJECT);
    }
    let journal = |path: &Path| format!("{}-journal", path.display());
    assert!(fs_err::metadata(journal(from)).expect("a journal").len() > 0);
    fs_err::write(to, fs_err::read(from).expect("bytes")).expect("copied");
    fs_err::write(journal(to), fs_err::read(journal(from)).expect("bytes")).expect("copied");
    conn.execute_batch("ROLLBACK").expect("rolled back");
}

#[test]
fn hot_journal_is_a_fault_until_a_cure_rolls_it_back() {
    let source = Home::new();
    capture(&source, &scope(), [event("01A")]);
    let legacy = legacy_db(&source);
    legacy_event(&legacy, "01B", None, PROJECT);
    let home = Home::new();
    fs_err::create_dir_all(home.scoped(&scope()).parent().expect("a directory")).expect("created");
    hot_copy(&source.legacy(), &home.legacy());
    hot_copy(&source.scoped(&scope()), &home.scoped(&scope()));

    assert_eq!(look(&home), [FaultCode::QueueRecoveryNeeded]);
    let Err(ObserveError::Fault(fault)) = observe_active(&home.scoped(&scope())) else { panic!("no fault") };
    assert_eq!(fault.remedy, Remedy::Migrate);

    let permit = cure_permit(facts(&scope(), &home.scoped(&scope()), &home.legacy(), None));
    queue::Cure::recover(&permit).expect("recovered");
    assert_eq!(look(&home), []);
    let counts = observe_counts(&home.scoped(&scope()), &no_opt_in).expect("counts");
    assert_eq!(counts.events, 1);
    assert_eq!(observe_legacy(&home.legacy(), Some(&scope()), None).expect("seen").in_scope.event_rows, 1);
}

/// Another home with some of the files of a write-ahead database, as a killed writer leaves them. (In
/// the writer's own process SQLite would share its index and not open it again.)
fn killed_writer(home: &Home, suffixes: &[&str]) -> Home {
    let left = Home::new();
    fs_err::create_dir_all(left.root()).expect("a directory");
    for suffix in suffixes {
        let name = |home: &Home| format!("{}{suffix}", home.legacy().display());
        fs_err::write(name(&left), fs_err::read(name(home)).expect("bytes")).expect("copied");
    }
    left
}

#[test]
fn write_ahead_log_is_read_without_leaving_a_trace() {
    let home = Home::new();
    let legacy = legacy_db(&home);
    legacy.execute_batch("PRAGMA journal_mode = WAL").expect("a log");
    legacy_event(&legacy, "01A", None, PROJECT);
    let events =
        |home: &Home| observe_legacy(&home.legacy(), Some(&scope()), None).expect("seen").in_scope.event_rows;

    let with_index = killed_writer(&home, &["", "-wal", "-shm"]);
    assert_eq!((look(&with_index), events(&with_index)), (vec![], 1));

    let without_index = killed_writer(&home, &["", "-wal"]);
    assert_eq!(look(&without_index), [FaultCode::QueueRecoveryNeeded]);
    let facts = facts(&scope(), &without_index.scoped(&scope()), &without_index.legacy(), None);
    queue::Cure::recover(&cure_permit(facts)).expect("recovered");
    assert_eq!(events(&without_index), 1);

    // Closed in order: no log, read as it lies.
    legacy.close().map_err(|(_, error)| error).expect("closed");
    assert_eq!((look(&home), events(&home)), (vec![], 1));
}

#[test]
fn newer_schema_refuses_readers_and_writers() {
    let home = Home::new();
    capture(&home, &scope(), [event("01A")]);
    home.sql(&home.scoped(&scope()))
        .execute("UPDATE meta SET value = 99 WHERE key = 'schema_version'", [])
        .expect("a newer release");
    assert_eq!(look(&home), [FaultCode::QueueSchemaNewer]);
    let before = tree(home.dir.path());
    let error =
        queue::Cure::open(&cure_permit(facts(&scope(), &home.scoped(&scope()), &home.legacy(), None)))
            .expect_err("newer");
    assert!(
        matches!(&error, queue::QueueError::Fault(fault) if fault.code == FaultCode::QueueSchemaNewer),
        "{error}"
    );
    let content = |tree: &[Entry]| tree.iter().map(|entry| entry.4.clone()).collect::<Vec<_>>();
    assert_eq!(content(&tree(home.dir.path())), content(&before));
}

#[test]
fn live_writer_is_waited_for_and_then_named() {
    let home = Home::new();
    capture(&home, &scope(), [event("01A")]);
    let conn = home.sql(&home.scoped(&scope()));
    // A writer before its commit does not keep readers out.
    conn.execute_batch("BEGIN IMMEDIATE; DELETE FROM queue").expect("begun");
    assert_eq!(observe_counts(&home.scoped(&scope()), &no_opt_in).expect("counts").events, 1);
    conn.execute_batch("ROLLBACK; BEGIN EXCLUSIVE").expect("locked");
    let Err(ObserveError::Busy(busy)) = observe_active(&home.scoped(&scope())) else { panic!("not busy") };
    assert!(busy.to_string().contains("stayed locked for 250 ms"), "{busy}");
}

#[test]
fn observing_drops_no_lock_of_this_process() {
    // Closing a plain handle of a database file would release every lock that the process holds on it.
    let home = Home::new();
    capture(&home, &scope(), [event("01A")]);
    let path = home.scoped(&scope());
    let holder = home.sql(&path);
    holder.execute_batch("BEGIN IMMEDIATE; DELETE FROM queue").expect("a write lock");
    observe_active(&path).expect("an observation");
    observe_counts(&path, &no_opt_in).expect("an observation");
    #[cfg(target_os = "linux")]
    {
        let found = system::lock::observe_posix_holder(&path).map(|holder| holder.pid);
        assert_eq!(found, Some(std::process::id()), "the write lock is gone");
    }
    holder.execute_batch("ROLLBACK").expect("rolled back");
}

#[test]
fn observation_is_not_remembered_past_a_change() {
    let home = Home::new();
    let path = home.scoped(&scope());
    assert_eq!(observe_active(&path).expect("absent"), Default::default());
    capture(&home, &scope(), [event("01A")]);
    let first = observe_active(&path).expect("active");
    assert_eq!(observe_active(&path).expect("active"), first);
    fs_err::remove_file(&path).expect("removed");
    assert_eq!(observe_active(&path).expect("absent"), Default::default());
    capture(&home, &scope(), [event("01A")]);
    assert_ne!(observe_active(&path).expect("active").queue_id, first.queue_id);
    home.sql(&path).execute("UPDATE meta SET value = 'x' WHERE key = 'queue_id'", []).expect("changed");
    assert_eq!(observe_active(&path).expect("active").queue_id.as_deref(), Some("x"));
}
