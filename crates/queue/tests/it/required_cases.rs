//! The cases that the work package asks for by name (T009), under those names. The two atomicity cases
//! are the last one here, for a failure before any commit, and `migration_durability_scoped_commit_first`
//! in `faulty_disk`, for a commit that fails.

use crate::support::*;
use contract::LegacyRowCounts;
use queue::observe_legacy;

fn detect(home: &Home) -> LegacyRowCounts {
    observe_legacy(&home.legacy(), Some(&scope()), None).expect("an observation").in_scope
}

#[test]
fn body_upload_migration_with_non_empty_scoped_db() {
    let home = Home::new();
    capture(&home, &scope(), [event("01Z")]);
    let legacy = legacy_db(&home);
    legacy_event(&legacy, "01X", Some("team-OTHER-02"), OTHER_PROJECT);
    legacy_body(&legacy, PROJECT, "spec.md");
    legacy_body(&legacy, PROJECT, "plan.md");
    legacy_body(&legacy, OTHER_PROJECT, "theirs.md");
    home.cure(&scope()).migrate(&mut ()).expect("migrated");
    let scoped = home.sql(&home.scoped(&scope()));
    assert_eq!((count(&scoped, "queue"), count(&scoped, "body_upload_queue")), (1, 2));
    let left: String = legacy
        .query_row("SELECT artifact_path FROM body_upload_queue", [], |row| row.get(0))
        .expect("one row");
    assert_eq!(left, "theirs.md");
}

#[test]
fn migration_is_idempotent_on_retry() {
    let home = Home::new();
    capture(&home, &scope(), [event("01Z")]);
    let legacy = legacy_db(&home);
    legacy_event(&legacy, "01A", None, PROJECT);
    legacy_body(&legacy, PROJECT, "spec.md");
    legacy_failure(&legacy, PROJECT, "spec.md");
    let counts = |home: &Home| {
        let scoped = home.sql(&home.scoped(&scope()));
        ["queue", "body_upload_queue", "body_upload_failure_log", "parked"].map(|table| count(&scoped, table))
    };
    home.cure(&scope()).migrate(&mut ()).expect("migrated");
    let first = counts(&home);
    assert_eq!(first, [2, 1, 1, 0]);
    home.cure(&scope()).migrate(&mut ()).expect("migrated");
    assert_eq!(counts(&home), first);
}

#[test]
fn detect_legacy_rows_for_scope_returns_subtotals() {
    let home = Home::new();
    let legacy = legacy_db(&home);
    for id in ["01A", "01B", "01C"] {
        legacy_event(&legacy, id, Some("team-PRIV-01"), PROJECT);
    }
    legacy_event(&legacy, "01X", Some("team-OTHER-02"), OTHER_PROJECT);
    legacy_body(&legacy, PROJECT, "spec.md");
    legacy_body(&legacy, PROJECT, "plan.md");
    legacy_body(&legacy, OTHER_PROJECT, "theirs.md");
    let found = detect(&home);
    assert_eq!((found.event_rows, found.body_upload_rows, found.total_rows()), (3, 2, 5));
}

#[test]
fn migration_atomic_failure_rolls_back_body_uploads_too() {
    let home = Home::new();
    capture(&home, &scope(), [event("01Z")]);
    let legacy = legacy_db(&home);
    legacy_event(&legacy, "01A", None, PROJECT);
    legacy_body(&legacy, PROJECT, "spec.md");
    let before = detect(&home);
    // The events are copied, and then the bodies' table fails: not a constraint, which would park a row.
    let scoped = home.sql(&home.scoped(&scope()));
    scoped
        .execute_batch("CREATE INDEX fails ON body_upload_queue(json_extract(content_body, '$.x'))")
        .expect("an index that cannot be kept");
    home.cure(&scope()).migrate(&mut ()).expect_err("the copy fails");
    for (table, rows) in [("queue", 1), ("body_upload_queue", 0), ("imported", 0), ("parked", 0)] {
        assert_eq!(count(&scoped, table), rows, "{table}");
    }
    assert_eq!((count(&legacy, "queue"), count(&legacy, "body_upload_queue")), (1, 1));
    assert_eq!(detect(&home), before);
    scoped.execute_batch("DROP INDEX fails").expect("whole again");
    home.cure(&scope()).migrate(&mut ()).expect("migrated");
    assert_eq!((count(&scoped, "queue"), count(&scoped, "body_upload_queue")), (2, 1));
}
