//! A disk that fails in the middle. Each write in turn finds no space, or only half of it, and each sync in turn
//! returns an error, once or until space is freed. No process dies; every one gets an error that names the file, and
//! then the next run finds everything where it belongs.
#![cfg(unix)]
#![allow(clippy::print_stderr, unreachable_pub, dead_code)]

mod faults;
#[path = "../crash/stage.rs"]
mod stage;
#[path = "../it/support.rs"]
mod support;

use contract::ExitCode;
use faults::{Fault, arm, disarm, install};
use queue::{QueueError, QueueFile, observe_health};
use stage::{assert_migrated, legacy_of_two, lines, once, unnamed};
use std::collections::BTreeMap;
use support::*;

const FAULTS: [Fault; 4] = [Fault::NoSpace, Fault::ShortWrite, Fault::SyncFails, Fault::TruncateFails];
const OURS: [&str; 3] = ["01A", "01B", "01C"];

/// Runs `attempt` in a new world for every operation at which the disk can fail, until it does not fail
/// any more; then `check`, on a disk that works.
fn with_each_failure(
    prepare: impl Fn(&Stage),
    attempt: impl Fn(&Stage) -> Result<(), QueueError>,
    check: impl Fn(&Stage, Result<(), QueueError>, &str),
) {
    install();
    let template = tempfile::tempdir().expect("a directory");
    prepare(&Stage::at(template.path()));
    for fault in FAULTS {
        for lasting in [false, true] {
            let mut failures = 0;
            loop {
                let dir = tempfile::tempdir().expect("a directory");
                testkit::tree::copy(template.path(), dir.path()).expect("a copy");
                let stage = Stage::at(dir.path());
                arm(fault, failures, lasting);
                let outcome = attempt(&stage);
                let was_hit = disarm();
                if !was_hit {
                    outcome.expect("nothing failed");
                    break;
                }
                check(&stage, outcome, &format!("{fault:?}, operation {failures}, lasting: {lasting}"));
                failures += 1;
            }
            assert!(failures > 0, "{fault:?} was met");
        }
    }
}

/// The error names the file, and never reports success.
fn assert_clear(outcome: &Result<(), QueueError>, at: &str) {
    let Err(error) = outcome else { return };
    assert_eq!(error.exit(), ExitCode::Failed, "{at}: {error}");
    assert!(error.to_string().contains(".db"), "{at}: {error}");
    if let QueueError::DiskFull { .. } = error {
        assert!(error.remedy().is_some(), "{at}: {error}");
    }
}

fn assert_whole(stage: &Stage, at: &str) {
    for (path, which) in [(stage.scoped(&scope()), QueueFile::Active), (stage.legacy(), QueueFile::Legacy)] {
        assert_eq!(observe_health(&path, which), Ok(None), "{at}");
    }
}

#[test]
fn capture_on_failing_disk_reports_and_loses_nothing() {
    let capture = |stage: &Stage, ids: &[&str]| {
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        stage.try_capture(&scope(), &ids, &["spec.md".to_owned()]).map(drop)
    };
    with_each_failure(
        |stage| capture(stage, &["01Z"]).expect("captured"),
        |stage| capture(stage, &OURS),
        |stage, outcome, at| {
            assert_clear(&outcome, at);
            let logged = lines(&stage.log()).len() == 1 + OURS.len();
            assert!(logged || outcome.is_err(), "{at}: success means that it is in the log");
            assert_eq!(lines(&stage.acks()).len() == 1 + OURS.len(), outcome.is_ok(), "{at}");

            stage.settle(&scope());
            let mut expected = once(["01Z"], 'c');
            expected.extend(once(OURS.into_iter().filter(|_| logged), 'c'));
            assert_eq!(stage.waiting(&scope()), expected, "{at}: what the log holds waits, once");
            assert_eq!(stage.count(&scope(), "prepared"), 0, "{at}");

            capture(stage, &OURS).unwrap_or_else(|error| panic!("{at}: {error}"));
            stage.retry(&scope());
            assert_eq!(stage.waiting(&scope()), once(["01Z"].into_iter().chain(OURS), 'c'), "{at}");
            assert_eq!(stage.parked(&scope()), BTreeMap::new(), "{at}");
            assert_eq!(stage.count(&scope(), "body_upload_queue"), 1, "{at}");
            assert_whole(stage, at);
        },
    );
}

#[test]
fn migration_on_failing_disk_reports_and_resumes() {
    with_each_failure(
        legacy_of_two,
        |stage| stage.try_migrate(&scope()).map(drop),
        |stage, outcome, at| {
            assert_clear(&outcome, at);
            stage.migrate(&scope());
            assert_migrated(stage, at);
            assert_whole(stage, at);
        },
    );
}

/// T009: whichever commit fails, a row has not left one file before it is safe in the other.
#[test]
fn migration_durability_scoped_commit_first() {
    with_each_failure(
        legacy_of_two,
        |stage| stage.try_migrate(&scope()).map(drop),
        |stage, _, at| {
            let (legacy, waiting, parked) =
                (stage.in_legacy(), stage.waiting(&scope()), stage.parked(&scope()));
            for id in unnamed().iter().map(String::as_str).chain(["01O", "01Z", "01X"]) {
                let fact = (id.to_owned(), 'l');
                let is_somewhere = [&legacy, &waiting, &parked].iter().any(|facts| facts.contains_key(&fact));
                assert!(is_somewhere, "{at}: {id}");
            }
        },
    );
}

#[test]
fn no_space_is_called_by_its_name_with_what_to_do() {
    install();
    let dir = tempfile::tempdir().expect("a directory");
    let stage = Stage::at(dir.path());
    legacy_of_two(&stage);
    arm(Fault::NoSpace, 0, true);
    let error = stage.try_capture(&scope(), &["01A".to_owned()], &[]).expect_err("no space");
    let moving = stage.try_migrate(&scope()).expect_err("no space");
    assert!(disarm());
    for error in [error, moving] {
        assert!(matches!(error, QueueError::DiskFull { .. }), "{error}");
        let remedy = error.remedy().expect("something to do").hint();
        assert!(remedy.starts_with("free space on the file system of "), "{remedy}");
    }
    assert_eq!(lines(&stage.log()).len(), 1, "it shows before the local write");
}
