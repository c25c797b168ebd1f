//! State that the reference left on disk, and what becomes of it. Differences from what the reference
//! made of it are rows of docs/compatibility.md.

use crate::support::*;
use contract::LegacyRowCounts;
use queue::{observe_counts, observe_legacy};

fn rows(events: u64, bodies: u64, failures: u64) -> LegacyRowCounts {
    LegacyRowCounts { event_rows: events, body_upload_rows: bodies, failure_log_rows: failures }
}

fn home_of(fixture: &str) -> Home {
    let home = Home::new();
    home.copy_from(&fixtures().join(fixture).join(".spec-kitty"));
    home
}

#[test]
#[ignore = "needs the recorded data"]
fn legacy_only() {
    let home = home_of("legacy-only/home");
    let seen = observe_legacy(&home.legacy(), None, None).expect("seen");
    assert_eq!((seen.in_scope, seen.totals), (rows(0, 0, 0), rows(9, 3, 2)));
    let counts = observe_counts(&home.legacy(), &no_opt_in).expect("counts");
    assert_eq!((counts.events, counts.bodies), (9, 3));
}

#[test]
#[ignore = "needs the recorded data"]
fn legacy_to_scoped() {
    let home = home_of("legacy-to-scoped/before");
    assert_eq!(observe_legacy(&home.legacy(), Some(&scope()), None).expect("seen").in_scope, rows(9, 3, 2));
    let report = home.cure(&scope()).migrate(&mut ()).expect("migrated");
    assert_eq!((report.moved, report.remaining), (rows(9, 3, 2), rows(0, 0, 0)));
    let ours = home.sql(&home.scoped(&scope()));
    let theirs = home_of("legacy-to-scoped/after");
    let theirs = theirs.sql(&theirs.scoped(&scope()));
    for (table, columns) in [
        ("queue", "id, event_id, event_type, data, timestamp, retry_count, coalesce_key"),
        ("body_upload_queue", "*"),
        ("body_upload_failure_log", "*"),
    ] {
        let dump = |conn: &rusqlite::Connection| {
            let mut select =
                conn.prepare(&format!("SELECT {columns} FROM {table} ORDER BY id")).expect("a table");
            let width = select.column_count();
            let dumped: Vec<Vec<rusqlite::types::Value>> = select
                .query_map([], |row| (1..width).map(|column| row.get(column)).collect())
                .expect("rows")
                .collect::<Result<_, _>>()
                .expect("rows");
            dumped
        };
        assert_eq!(dump(&ours), dump(&theirs), "{table}: values as the reference leaves them");
    }
}

#[test]
#[ignore = "needs the recorded data"]
fn legacy_overlap_scoped() {
    let home = home_of("legacy-overlap-scoped/before");
    let report = home.cure(&scope()).migrate(&mut ()).expect("migrated");
    // The reference drops the three overlapping rows; here the two whose content differs are kept.
    assert_eq!((report.moved, report.duplicates), (rows(8, 2, 1), rows(0, 1, 0)));
    assert_eq!((report.conflicts, report.remaining), (rows(1, 0, 1), rows(0, 0, 0)));
    let conn = home.sql(&home.scoped(&scope()));
    assert_eq!((count(&conn, "queue"), count(&conn, "body_upload_queue")), (12, 4));
    assert_eq!(count(&conn, "body_upload_failure_log"), 2);
    let expected =
        fs_err::read_to_string(fixtures().join("legacy-overlap-scoped/expected.json")).expect("expected");
    let expected: serde_json::Value = serde_json::from_str(&expected).expect("json");
    let order: Vec<_> = expected["drain_order_after"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|id| id.as_str())
        .collect();
    let mut left = Vec::new();
    let mut outbox = home.outbox(&scope());
    while let Some(batch) = outbox.read_events(PLENTY, &all_opted_in, &Default::default()).expect("read") {
        let outcomes: Vec<_> =
            batch.rows.iter().map(|row| (row.row, row.digest, queue::RowOutcome::Delivered)).collect();
        outbox.record(&outcomes).expect("recorded");
        left.extend(batch.rows.into_iter().map(|row| (batch.project_uuid.clone(), row.event_id)));
    }
    assert_eq!(left.len(), order.len());
    // First in first out within each project, which is what a batch may hold.
    for project in [PROJECT, OTHER_PROJECT] {
        let ours: Vec<_> =
            left.iter().filter(|(of, _)| of.as_deref() == Some(project)).map(|(_, id)| id.as_str()).collect();
        let theirs: Vec<_> = order.iter().copied().filter(|id| ours.contains(id)).collect();
        assert_eq!(ours, theirs, "{project}");
    }
}

#[test]
#[ignore = "needs the recorded data"]
fn hazard_crash_window() {
    let home = home_of("hazards/variants/crash-window-both-have-rows");
    let report = home.cure(&scope()).migrate(&mut ()).expect("migrated");
    assert_eq!((report.moved, report.duplicates), (rows(0, 0, 0), rows(9, 3, 2)));
    let conn = home.sql(&home.scoped(&scope()));
    assert_eq!((count(&conn, "queue"), count(&conn, "body_upload_queue")), (9, 3));
}

#[test]
#[ignore = "needs the recorded data"]
fn hazard_old_body_columns() {
    let home = home_of("hazards/variants/legacy-body-columns-feature_slug");
    assert_eq!(observe_legacy(&home.legacy(), Some(&scope()), None).expect("seen").in_scope, rows(9, 3, 2));
    let report = home.cure(&scope()).migrate(&mut ()).expect("migrated");
    assert_eq!((report.moved, report.remaining), (rows(9, 3, 2), rows(0, 0, 0)));
    let conn = home.sql(&home.scoped(&scope()));
    let slugs: i64 = conn
        .query_row(
            "SELECT COUNT(*) FROM body_upload_queue WHERE mission_slug = 'kitty-widgets-01KRX11M'",
            [],
            |row| row.get(0),
        )
        .expect("a count");
    assert_eq!(slugs, 3);
}

#[test]
#[ignore = "needs the recorded data"]
fn hazard_oldest_schema() {
    let home = home_of("hazards/variants/legacy-047-era-schema");
    assert_eq!(observe_legacy(&home.legacy(), Some(&scope()), None).expect("seen").in_scope, rows(2, 1, 0));
    let report = home.cure(&scope()).migrate(&mut ()).expect("migrated");
    assert_eq!((report.moved, report.remaining), (rows(2, 1, 0), rows(0, 0, 0)));
}

#[test]
#[ignore = "needs the recorded data"]
fn hazard_oldest_schema_as_a_scoped_queue() {
    let home = home_of("hazards/variants/legacy-047-era-schema");
    fs_err::create_dir_all(home.scoped(&scope()).parent().expect("a directory")).expect("created");
    fs_err::rename(home.legacy(), home.scoped(&scope())).expect("moved");
    let before = observe_counts(&home.scoped(&scope()), &no_opt_in).expect("counts");
    assert_eq!((before.events, before.bodies), (2, 1));
    let captured = capture(&home, &scope(), [event("01A")]);
    assert_eq!(captured.waiting, 4);
}

#[test]
#[ignore = "needs the recorded data"]
fn hazard_corrupt() {
    let home = home_of("hazards/variants/legacy-corrupt");
    let error = observe_legacy(&home.legacy(), Some(&scope()), None).expect_err("a fault");
    let queue::ObserveError::Fault(fault) = error else { panic!("{error}") };
    assert_eq!(
        (fault.code, fault.remedy),
        (contract::FaultCode::LegacyQueueUnreadable, contract::Remedy::Repair)
    );
    assert!(home.cure(&scope()).migrate(&mut ()).is_err());
}

#[test]
#[ignore = "needs the recorded data"]
fn hazard_zero_bytes() {
    let home = home_of("hazards/variants/legacy-zero-byte");
    assert_eq!(observe_legacy(&home.legacy(), Some(&scope()), None).expect("seen"), Default::default());
    assert_eq!(home.cure(&scope()).migrate(&mut ()).expect("migrated").moved, rows(0, 0, 0));
    assert_eq!(fs_err::metadata(home.legacy()).expect("still there").len(), 0);
}

#[test]
#[ignore = "needs the recorded data"]
fn hazard_failure_log_only() {
    let home = home_of("hazards/variants/legacy-failure-log-only");
    let seen = observe_legacy(&home.legacy(), Some(&scope()), None).expect("seen");
    assert_eq!((seen.in_scope, seen.in_scope.total_rows()), (rows(0, 0, 2), 0));
    assert_eq!(home.cure(&scope()).migrate(&mut ()).expect("migrated").moved, rows(0, 0, 2));
}

#[test]
#[ignore = "needs the recorded data"]
fn scoped_queue_of_the_reference_is_read_bound_and_held() {
    let home = home_of("scoped-clean/home");
    let path = home.scoped(&scope());
    let before = observe_counts(&path, &no_opt_in).expect("counts");
    assert!(before.events > 0);
    let held: u64 = before.held.iter().map(|held| held.events).sum();
    assert_eq!(held, before.events, "no opt-in: {:?}", before.held);
    drop(home.cure(&scope()));
    let after = observe_counts(&path, &no_opt_in).expect("counts");
    assert_eq!((after.events, &after.held), (before.events, &before.held));
    assert!(
        home.outbox(&scope()).read_events(PLENTY, &no_opt_in, &Default::default()).expect("read").is_none()
    );
    assert!(
        home.outbox(&scope())
            .read_events(PLENTY, &all_opted_in, &Default::default())
            .expect("read")
            .is_some()
    );
}
