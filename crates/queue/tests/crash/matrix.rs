//! The crash matrix: a process is killed at every fault point. Afterwards every acknowledged row is there, none is
//! there twice after the next run, and none is under another account.

use crate::stage::{PREPARED_TOGETHER, assert_migrated, legacy_of_two, lines, once, unnamed};
use crate::support::*;
use crate::victim::{Act, perform};
use queue::fault_point::FaultPoint;
use std::collections::BTreeMap;

const OURS: [&str; 3] = ["01A", "01B", "01C"];

/// Act during which a process reaches a point. Exhaustive: a new point does not compile until the
/// matrix knows it.
fn act_at(point: FaultPoint) -> Act {
    match point {
        FaultPoint::IdentityWritten
        | FaultPoint::PrepareWritten
        | FaultPoint::Prepared
        | FaultPoint::ConfirmWritten
        | FaultPoint::Confirmed => {
            Act::Capture { ids: OURS.map(str::to_owned).into(), bodies: vec!["spec.md".to_owned()] }
        }
        FaultPoint::SettleWritten => Act::Settle,
        FaultPoint::ClaimWritten
        | FaultPoint::Claimed
        | FaultPoint::CopyHalfWritten
        | FaultPoint::CopyWritten
        | FaultPoint::Copied
        | FaultPoint::ClearWritten
        | FaultPoint::Cleared => Act::Migrate,
        FaultPoint::RecordWritten | FaultPoint::Recorded => Act::Deliver,
    }
}

fn points_of(act: fn(&Act) -> bool) -> impl Iterator<Item = FaultPoint> {
    FaultPoint::ALL.iter().copied().filter(move |point| act(&act_at(*point)))
}

fn stage() -> (tempfile::TempDir, Stage) {
    let dir = tempfile::tempdir().expect("a directory");
    let stage = Stage::at(&dir.path().join(".spec-kitty"));
    fs_err::create_dir_all(stage.root()).expect("a home");
    (dir, stage)
}

#[test]
fn killed_capture_loses_no_acknowledged_or_logged_row() {
    for point in points_of(|act| matches!(act, Act::Capture { .. })) {
        let (_dir, stage) = stage();
        // The identity of a file is written once, so that point is met by the first capture alone.
        let earlier: &[&str] = if point == FaultPoint::IdentityWritten { &[] } else { &["01Z"] };
        if !earlier.is_empty() {
            assert!(!perform(&stage, &scope(), &Act::capture(earlier.iter().copied()), None));
        }
        assert!(perform(&stage, &scope(), &act_at(point), Some(point)), "{point:?} was reached");
        let acknowledged = lines(&stage.acks());
        assert_eq!(acknowledged, earlier, "{point:?}: a killed process has acknowledged nothing");
        let logged = lines(&stage.log()).len() == earlier.len() + OURS.len();
        assert_eq!(logged, matches!(point, FaultPoint::ConfirmWritten | FaultPoint::Confirmed), "{point:?}");

        stage.settle(&scope());
        let expected = once(earlier.iter().copied().chain(OURS.into_iter().filter(|_| logged)), 'c');
        assert_eq!(stage.waiting(&scope()), expected, "{point:?}: what the log holds waits, once");
        assert_eq!(stage.count(&scope(), "body_upload_queue"), i64::from(logged), "{point:?}");
        assert_eq!(stage.count(&scope(), "prepared"), 0, "{point:?}");
        let parked = if point == FaultPoint::Prepared { once(OURS, 'c') } else { BTreeMap::new() };
        assert_eq!(stage.parked(&scope()), parked, "{point:?}: what it does not hold is kept apart");

        // The command again, then a look at what was parked: everything waits once.
        assert!(!perform(&stage, &scope(), &act_at(point), None));
        stage.retry(&scope());
        assert_eq!(stage.waiting(&scope()), once(earlier.iter().copied().chain(OURS), 'c'), "{point:?}");
        assert_eq!(stage.count(&scope(), "body_upload_queue"), 1, "{point:?}");
        assert!(!stage.scoped(&other_scope()).exists() && !stage.legacy().exists(), "{point:?}");
    }
}

/// A capture of so many rows takes several transactions of each kind; the first of them is met.
#[test]
fn killed_long_capture_waits_whole_or_not_at_all() {
    for point in [FaultPoint::Prepared, FaultPoint::ConfirmWritten, FaultPoint::Confirmed] {
        let (_dir, stage) = stage();
        let ids: Vec<String> =
            (0..2 * PREPARED_TOGETHER + 500).map(|number| format!("01L{number:05}")).collect();
        let all = once(ids.iter().map(String::as_str), 'c');
        let capture = Act::Capture { ids: ids.clone(), bodies: Vec::new() };
        assert!(perform(&stage, &scope(), &capture, Some(point)), "{point:?} was reached");
        let confirmed = if point == FaultPoint::Confirmed { 1000 } else { 0 };
        assert_eq!(stage.waiting(&scope()).len(), confirmed, "{point:?}");

        let settled = stage.settle(&scope());
        let logged = point != FaultPoint::Prepared;
        assert_eq!(settled.parked, if logged { 0 } else { PREPARED_TOGETHER as u64 }, "{point:?}");
        assert_eq!(stage.waiting(&scope()), if logged { all.clone() } else { BTreeMap::new() }, "{point:?}");
        assert!(!perform(&stage, &scope(), &capture, None));
        let (prepared, parked) = (stage.count(&scope(), "prepared"), stage.parked(&scope()).len());
        assert_eq!((stage.waiting(&scope()), prepared, parked), (all, 0, 0), "{point:?}");
    }
}

#[test]
fn settling_killed_anywhere_settles_the_next_time() {
    for point in points_of(|act| *act == Act::Settle) {
        let (_dir, stage) = stage();
        assert!(perform(
            &stage,
            &scope(),
            &act_at(FaultPoint::ConfirmWritten),
            Some(FaultPoint::ConfirmWritten)
        ));
        assert!(perform(&stage, &scope(), &act_at(point), Some(point)), "{point:?} was reached");
        assert!(!perform(&stage, &scope(), &Act::Settle, None));
        assert_eq!((stage.waiting(&scope()), stage.count(&scope(), "prepared")), (once(OURS, 'c'), 0));
    }
}

#[test]
fn killed_migration_resumes_without_loss_or_duplicates() {
    for point in points_of(|act| *act == Act::Migrate) {
        let (_dir, stage) = stage();
        legacy_of_two(&stage);
        assert!(perform(&stage, &scope(), &Act::Migrate, Some(point)), "{point:?} was reached");
        assert!(!perform(&stage, &scope(), &Act::Migrate, None));
        assert_migrated(&stage, &format!("{point:?}"));
    }
}

#[test]
fn killed_migration_leaves_unclaimed_rows_to_the_next_login() {
    for point in points_of(|act| *act == Act::Migrate) {
        let (_dir, stage) = stage();
        legacy_of_two(&stage);
        assert!(perform(&stage, &scope(), &Act::Migrate, Some(point)), "{point:?} was reached");
        stage.migrate(&other_scope());
        stage.migrate(&scope());
        let (ours, theirs) = (stage.waiting(&scope()), stage.waiting(&other_scope()));
        let unnamed = unnamed();
        for id in unnamed.iter().map(String::as_str).chain(["01O", "01X"]) {
            let fact = (id.to_owned(), 'l');
            let accounts = (ours.get(&fact).copied(), theirs.get(&fact).copied());
            assert!(matches!(accounts, (Some(1), None) | (None, Some(1))), "{point:?}: {id}: {accounts:?}");
            // A claim is committed before anything is copied: from then on the rows have an owner.
            let claimed = point != FaultPoint::ClaimWritten;
            let is_ours = id == "01O" || (claimed && id != "01X");
            assert_eq!(accounts.0.is_some(), is_ours, "{point:?}: {id}");
        }
        assert_eq!(stage.in_legacy(), BTreeMap::new(), "{point:?}");
        let bodies = [scope(), other_scope()].map(|scope| stage.count(&scope, "body_upload_queue"));
        assert_eq!(bodies.iter().sum::<i64>(), 2, "{point:?}: {bodies:?}");
    }
}

#[test]
fn killed_drain_resends_only_rows_without_receipt() {
    for point in points_of(|act| *act == Act::Deliver) {
        let (_dir, stage) = stage();
        stage.capture(&scope(), &OURS.map(str::to_owned), &[]);
        assert!(perform(&stage, &scope(), &Act::Deliver, Some(point)), "{point:?} was reached");
        assert_eq!(lines(&stage.wire()).len(), 3, "{point:?}: they were sent");
        let recorded = point == FaultPoint::Recorded;
        assert_eq!(stage.delivered(&scope()).len(), if recorded { 3 } else { 0 }, "{point:?}");
        assert!(!perform(&stage, &scope(), &Act::Deliver, None));
        assert_eq!(lines(&stage.wire()).len(), if recorded { 3 } else { 6 }, "{point:?}");
        assert_eq!(stage.delivered(&scope()), OURS.map(str::to_owned).into(), "{point:?}");
        assert_eq!(stage.count(&scope(), "receipts"), 3, "{point:?}");
        assert_eq!(stage.waiting(&scope()), BTreeMap::new(), "{point:?}");
    }
}
