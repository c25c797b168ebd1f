//! Legacy rows into the scoped queue DB (T009 and contract section 8).

use crate::support::*;
use contract::{ExitCode, LegacyRowCounts, Scope};
use queue::{Cure, MigrationReport, QueueError, observe_active, observe_counts, observe_legacy};
use rusqlite::Connection;

fn rows(events: u64, bodies: u64, failures: u64) -> LegacyRowCounts {
    LegacyRowCounts { event_rows: events, body_upload_rows: bodies, failure_log_rows: failures }
}

fn migrate(home: &Home, scope: &Scope) -> MigrationReport {
    home.cure(scope).migrate(&mut ()).expect("migrated")
}

fn in_scope(home: &Home, scope: &Scope) -> LegacyRowCounts {
    observe_legacy(&home.legacy(), Some(scope), None).expect("an observation").in_scope
}

/// Two events, one body, one failure of ours.
fn some_rows(home: &Home) -> Connection {
    let conn = legacy_db(home);
    legacy_event(&conn, "01A", None, PROJECT);
    legacy_event(&conn, "01B", Some("TEAM-priv-01"), PROJECT);
    legacy_body(&conn, PROJECT, "spec.md");
    legacy_failure(&conn, PROJECT, "plan.md");
    conn
}

#[test]
fn legacy_rows_merge_into_a_scoped_queue_that_is_not_empty() {
    let home = Home::new();
    capture(&home, &scope(), [event("01Z")]);
    let legacy = some_rows(&home);
    let report = migrate(&home, &scope());
    assert_eq!(report.moved, rows(2, 1, 1));
    assert_eq!((report.duplicates, report.conflicts, report.remaining), Default::default());
    let conn = home.sql(&home.scoped(&scope()));
    assert_eq!((count(&conn, "queue"), count(&conn, "body_upload_queue")), (3, 1));
    assert_eq!(count(&conn, "body_upload_failure_log"), 1);
    for table in ["queue", "body_upload_queue", "body_upload_failure_log", "claims"] {
        assert_eq!(count(&legacy, table), 0, "{table}");
    }
    let (at, last): (f64, Option<String>) = conn
        .query_row("SELECT created_at, last_error FROM body_upload_queue", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("the body");
    assert_eq!((at, last), (1000.5, None));
}

#[test]
fn row_of_another_scope_stays() {
    let home = Home::new();
    let legacy = some_rows(&home);
    legacy_event(&legacy, "01X", Some("team-OTHER-02"), OTHER_PROJECT);
    legacy_body(&legacy, OTHER_PROJECT, "theirs.md");
    legacy_failure(&legacy, OTHER_PROJECT, "theirs.md");
    let report = migrate(&home, &scope());
    assert_eq!((report.moved, report.rows_other_scope), (rows(2, 1, 1), rows(1, 1, 1)));
    let left: String = legacy.query_row("SELECT event_id FROM queue", [], |row| row.get(0)).expect("one row");
    assert_eq!(left, "01X");
    assert_eq!((count(&legacy, "body_upload_queue"), count(&legacy, "body_upload_failure_log")), (1, 1));
    // They are theirs.
    assert_eq!(migrate(&home, &other_scope()).moved, rows(1, 1, 1));
    assert_eq!(count(&legacy, "queue"), 0);
}

#[test]
fn row_of_another_team_stays_though_no_strict_reader_takes_it() {
    let home = Home::new();
    let legacy = legacy_db(&home);
    let put = |id: &str, data: &str| {
        legacy
            .execute(
                "INSERT INTO queue(event_id, event_type, data, timestamp) VALUES (?1, 'T', ?2, 1)",
                [id, data],
            )
            .expect("a row");
    };
    let large = "x".repeat(17 * 1024 * 1024);
    put(
        "nan",
        &format!(
            r#"{{"event_id":"nan","team_slug":"team-other-02","project_uuid":"{OTHER_PROJECT}","payload":{{"x":NaN}}}}"#
        ),
    );
    put("infinity", r#"{"payload":{"x":-Infinity},"team_slug":"TEAM-other-02"}"#);
    put("large", &format!(r#"{{"payload":"{large}","team_slug":"team-other-02"}}"#));
    put("cut", r#"{"team_slug":"team-other-02","payload":{"x":"#);
    put("ours", r#"{"team_slug":"team-priv-01","payload":{"x":NaN}}"#);
    put("teamless", r#"{"team_slug":0,"payload":{"x":NaN}}"#);
    put("nonsense", "no event at all");
    legacy_body(&legacy, OTHER_PROJECT, "theirs.md");
    assert_eq!(in_scope(&home, &scope()), rows(3, 0, 0));
    let report = migrate(&home, &scope());
    assert_eq!((report.unreadable, report.rows_other_scope), (rows(3, 0, 0), rows(4, 1, 0)));
    assert_eq!((count(&legacy, "queue"), count(&legacy, "body_upload_queue")), (4, 1));
    // The account that they name receives them.
    let theirs = migrate(&home, &other_scope());
    assert_eq!((theirs.unreadable, theirs.moved), (rows(4, 0, 0), rows(0, 1, 0)));
}

#[test]
fn foreign_tables_keep_their_rows_and_not_ours() {
    for reaction in ["CASCADE", "RESTRICT", "SET NULL"] {
        let home = Home::new();
        let legacy = some_rows(&home);
        let notes = format!(
            "CREATE TABLE notes (e TEXT REFERENCES queue(event_id) ON DELETE {reaction});
             INSERT INTO notes VALUES ('01A'), ('01B')"
        );
        legacy.execute_batch(&notes).expect("notes");
        // A scoped queue DB has their tables, too.
        capture(&home, &scope(), [event("01Z")]);
        let scoped = home.sql(&home.scoped(&scope()));
        scoped.execute_batch(&notes.replace("'01A'), ('01B'", "'01Z'")).expect("notes");
        assert_eq!(migrate(&home, &scope()).moved, rows(2, 1, 1), "{reaction}");
        assert_eq!(count(&legacy, "queue"), 0, "{reaction}");
        assert_eq!(count(&legacy, "notes WHERE e IS NOT NULL"), 2, "{reaction}");

        let mut outbox = home.outbox(&scope());
        while let Some(batch) = outbox.read_events(PLENTY, &all_opted_in, &Default::default()).expect("read")
        {
            let outcomes: Vec<_> =
                batch.rows.iter().map(|row| (row.row, row.digest, queue::RowOutcome::Delivered)).collect();
            outbox.record(&outcomes).expect("recorded");
        }
        assert_eq!(
            (count(&scoped, "queue"), count(&scoped, "notes WHERE e IS NOT NULL")),
            (0, 1),
            "{reaction}"
        );
    }
}

#[test]
fn table_is_found_however_its_name_is_spelled() {
    let home = Home::new();
    let legacy = some_rows(&home);
    legacy
        .execute_batch(
            "ALTER TABLE queue RENAME TO q; ALTER TABLE q RENAME TO QUEUE;
             ALTER TABLE QUEUE RENAME COLUMN event_id TO EVENT_ID;
             ALTER TABLE body_upload_queue RENAME TO b; ALTER TABLE b RENAME TO Body_Upload_Queue;",
        )
        .expect("renamed");
    assert_eq!(in_scope(&home, &scope()), rows(2, 1, 1));
    let report = migrate(&home, &scope());
    assert_eq!((report.moved, report.unreadable), (rows(2, 1, 1), rows(0, 0, 0)));
    assert_eq!(count(&legacy, "queue"), 0);
}

#[test]
fn repeat_changes_nothing() {
    let home = Home::new();
    some_rows(&home);
    migrate(&home, &scope());
    let dump = |home: &Home| {
        let conn = home.sql(&home.scoped(&scope()));
        (
            count(&conn, "queue"),
            count(&conn, "body_upload_queue"),
            count(&conn, "imported"),
            count(&conn, "parked"),
        )
    };
    let before = dump(&home);
    let again = migrate(&home, &scope());
    assert_eq!((again.moved, again.duplicates, again.rows_other_scope), Default::default());
    assert_eq!(dump(&home), before);
}

#[test]
fn row_delivered_meanwhile_is_not_migrated_again() {
    let home = Home::new();
    some_rows(&home);
    migrate(&home, &scope());
    let mut outbox = home.outbox(&scope());
    let batch =
        outbox.read_events(PLENTY, &all_opted_in, &Default::default()).expect("read").expect("a batch");
    let outcomes: Vec<_> =
        batch.rows.iter().map(|row| (row.row, row.digest, queue::RowOutcome::Delivered)).collect();
    assert_eq!(outbox.record(&outcomes).expect("recorded").settled, 2);
    // A killed clear, or an old program, leaves the rows where they were.
    let legacy = home.sql(&home.legacy());
    legacy_event(&legacy, "01A", None, PROJECT);
    let report = migrate(&home, &scope());
    assert_eq!((report.moved, report.duplicates), (rows(0, 0, 0), rows(1, 0, 0)));
    assert_eq!((count(&legacy, "queue"), count(&home.sql(&home.scoped(&scope())), "queue")), (0, 0));
}

#[test]
fn copy_that_fails_leaves_both_files_whole() {
    let home = Home::new();
    let legacy = some_rows(&home);
    capture(&home, &scope(), [event("01Z")]);
    // The scoped file takes the rows and then fails: the whole copy is one transaction.
    let scoped = home.sql(&home.scoped(&scope()));
    let mut cure = home.cure(&scope());
    scoped.execute_batch("ALTER TABLE tallies RENAME TO elsewhere").expect("hidden");
    let error = cure.migrate(&mut ()).expect_err("refused");
    drop(cure);
    assert_eq!(error.exit(), ExitCode::Failed);
    assert_eq!((count(&scoped, "queue"), count(&scoped, "imported")), (1, 0));
    assert_eq!((count(&legacy, "queue"), count(&legacy, "body_upload_queue")), (2, 1));
    assert_eq!(in_scope(&home, &scope()), rows(2, 1, 1));
    assert_eq!(in_scope(&home, &other_scope()), rows(0, 0, 0), "the claims hold");
    scoped.execute_batch("ALTER TABLE elsewhere RENAME TO tallies").expect("back again");
    assert_eq!(migrate(&home, &scope()).moved, rows(2, 1, 1));
}

#[test]
fn failed_clear_is_finished_without_a_second_copy() {
    let home = Home::new();
    let legacy = some_rows(&home);
    // A reader that is not done keeps the deletion from being committed.
    legacy
        .execute_batch("CREATE TABLE claims (\"table\" TEXT, key TEXT, scope TEXT)")
        .expect("a foreign table");
    let error = home.cure(&scope()).migrate(&mut ());
    // A claims table of another shape takes claims but knows no duplicates; nothing may be lost by it.
    let report = error.expect("migrated");
    assert_eq!((report.moved, report.remaining), (rows(2, 1, 1), rows(0, 0, 0)));
    assert_eq!(count(&legacy, "queue"), 0);
}

#[test]
fn unfit_rows_are_parked_with_their_values() {
    let home = Home::new();
    fs_err::create_dir_all(home.root()).expect("a directory");
    let legacy = home.sql(&home.legacy());
    legacy
        .execute_batch(
            "CREATE TABLE queue (id INTEGER PRIMARY KEY, event_id TEXT, event_type TEXT, data TEXT, timestamp INTEGER,
                retry_count INTEGER);
             INSERT INTO queue(event_id, event_type, data, timestamp) VALUES
                ('01GOOD', 'T', '{\"event_id\": \"01GOOD\"}', 7),
                ('01TEXT', 'T', 'not json', 7),
                (NULL, 'T', '{}', 7),
                ('01NULL', 'T', NULL, 7),
                ('01WHEN', 'T', '{}', 'noon'),
                ('01BLOB', 'T', x'00ff', 7),
                (CAST(x'ff' AS TEXT), 'T', '{}', 7),
                ('01TWICE', 'T', '{\"a\": 1}', 7),
                ('01TWICE', 'T', '{\"a\": 2}', 7),
                ('01TWICE', 'T', '{\"a\": 2}', 7);",
        )
        .expect("a legacy file of another shape");
    let report = migrate(&home, &scope());
    assert_eq!((report.moved, report.unreadable), (rows(2, 0, 0), rows(6, 0, 0)));
    assert_eq!((report.conflicts, report.duplicates), (rows(1, 0, 0), rows(1, 0, 0)));
    assert_eq!((report.remaining, in_scope(&home, &scope())), Default::default());
    assert_eq!(count(&legacy, "queue"), 0);
    let scoped = home.sql(&home.scoped(&scope()));
    let (payload, head): (Vec<u8>, String) = scoped
        .query_row("SELECT payload, head FROM parked WHERE key = '01BLOB'", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("parked");
    assert_eq!(payload, [0x00, 0xff]);
    assert!(head.contains("\"timestamp\":7"), "{head}");
    let counts = observe_counts(&home.scoped(&scope()), &no_opt_in).expect("counts");
    assert_eq!((counts.events, counts.parked.events), (2, 7));
}

#[test]
fn same_key_with_other_content_is_kept_twice_and_blocks_nothing() {
    let home = Home::new();
    let legacy = some_rows(&home);
    capture(&home, &scope(), [event("01A")]);
    let report = migrate(&home, &scope());
    assert_eq!((report.moved, report.conflicts), (rows(1, 1, 1), rows(1, 0, 0)));
    let scoped = home.sql(&home.scoped(&scope()));
    let (reason, payload): (String, String) = scoped
        .query_row("SELECT reason, payload FROM parked", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("parked");
    assert_eq!(reason, "conflict");
    assert!(payload.contains("WPCreated"));
    assert_eq!(count(&legacy, "queue"), 0);
    // Seen again, it is the same conflict and not a new one.
    legacy_event(&legacy, "01A", None, PROJECT);
    assert_eq!(migrate(&home, &scope()).duplicates, rows(1, 0, 0));
    assert_eq!(count(&scoped, "parked"), 1);
}

#[test]
fn row_that_changes_between_copy_and_clear_is_not_lost() {
    struct Meddler(Option<Connection>);
    impl queue::MigrationProgress for Meddler {
        fn migrated(&mut self, _: u64, _: u64) {
            // Another program rewrites a row and adds one while the copy runs: it has to wait for the
            // reader, so it asks in another thread and gets through before the clear.
            if let Some(conn) = self.0.take() {
                std::thread::spawn(move || {
                    conn.busy_timeout(std::time::Duration::from_secs(5)).expect("timeout");
                    conn.execute("UPDATE queue SET data = '{\"changed\": true}' WHERE event_id = '01A'", [])
                        .ok();
                });
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        }
    }
    let home = Home::new();
    some_rows(&home);
    let meddler = home.sql(&home.legacy());
    let report = home.cure(&scope()).migrate(&mut Meddler(Some(meddler))).expect("migrated");
    let scoped = home.sql(&home.scoped(&scope()));
    let kept: i64 = scoped
        .query_row("SELECT COUNT(*) FROM parked WHERE payload = '{\"changed\": true}'", [], |row| row.get(0))
        .expect("a count");
    // In either order: the old content waits, and the new one is either kept here or still there.
    let legacy = home.sql(&home.legacy());
    let there: i64 = legacy
        .query_row("SELECT COUNT(*) FROM queue WHERE data = '{\"changed\": true}'", [], |row| row.get(0))
        .expect("a count");
    let never: i64 = 1 - kept - there;
    assert!((0..=1).contains(&never), "{report:?}");
    assert_eq!(count(&scoped, "queue"), 2);
}

#[test]
fn claimed_row_belongs_to_its_claimant_whatever_happens_next() {
    let home = Home::new();
    let legacy = some_rows(&home);
    legacy
        .execute_batch(
            "CREATE TABLE claims (\"table\" TEXT NOT NULL, key TEXT NOT NULL, scope TEXT NOT NULL,
                PRIMARY KEY (\"table\", key)) WITHOUT ROWID",
        )
        .expect("claims");
    legacy
        .execute("INSERT INTO claims VALUES ('queue', '01A', ?1)", [other_scope().hash()])
        .expect("a claim that was committed before a kill");
    assert_eq!(in_scope(&home, &scope()), rows(1, 1, 1));
    assert_eq!(migrate(&home, &scope()).moved, rows(1, 1, 1));
    assert_eq!(migrate(&home, &other_scope()).moved, rows(1, 0, 0));
    assert_eq!(count(&legacy, "claims"), 0);
}

#[test]
fn preview_tells_what_would_happen_and_changes_nothing() {
    let home = Home::new();
    let legacy = some_rows(&home);
    legacy_event(&legacy, "01X", Some("team-OTHER-02"), OTHER_PROJECT);
    let plan = Cure::plan_migration(&home.cure_permit(&scope())).expect("a plan");
    assert!(plan.dry_run);
    assert_eq!((plan.moved, plan.rows_other_scope), (rows(2, 1, 1), rows(1, 0, 0)));
    assert!(!home.scoped(&scope()).exists(), "a preview creates nothing");
    capture(&home, &scope(), [event("01A")]);
    let plan = Cure::plan_migration(&home.cure_permit(&scope())).expect("a plan");
    assert_eq!((plan.moved, plan.conflicts), (rows(1, 1, 1), rows(1, 0, 0)));
    let report = migrate(&home, &scope());
    assert_eq!((report.moved, report.conflicts), (plan.moved, plan.conflicts));
}

#[test]
fn pin_is_trusted_until_the_file_changes() {
    let home = Home::new();
    let legacy = some_rows(&home);
    legacy_event(&legacy, "01X", Some("team-OTHER-02"), OTHER_PROJECT);
    migrate(&home, &scope());
    let cached =
        observe_active(&home.scoped(&scope())).expect("active").legacy_counts.expect("cached counts");
    let seen = observe_legacy(&home.legacy(), Some(&scope()), Some(&cached)).expect("cached counts");
    assert_eq!((seen.in_scope, seen.other_scope), (rows(0, 0, 0), rows(1, 0, 0)));
    legacy_event(&legacy, "01C", None, PROJECT);
    let seen = observe_legacy(&home.legacy(), Some(&scope()), Some(&cached)).expect("scanned");
    assert_eq!(seen.in_scope, rows(1, 0, 0));
    home.cure(&scope()).write_legacy_counts().expect("cached counts");
    let cached =
        observe_active(&home.scoped(&scope())).expect("active").legacy_counts.expect("cached counts");
    assert_eq!(
        observe_legacy(&home.legacy(), Some(&scope()), Some(&cached)).expect("cached counts").in_scope,
        rows(1, 0, 0)
    );
}

#[test]
fn bodies_follow_the_events_of_their_project() {
    let home = Home::new();
    let legacy = legacy_db(&home);
    legacy_event(&legacy, "01X", Some("team-other-02"), OTHER_PROJECT);
    legacy_event(&legacy, "01S", Some("team-other-02"), "shared");
    legacy_event(&legacy, "01T", Some("team-priv-01"), "SHARED");
    for project in [PROJECT, OTHER_PROJECT, "Shared", "unowned"] {
        legacy_body(&legacy, project, "spec.md");
    }
    let seen = observe_legacy(&home.legacy(), Some(&scope()), None).expect("seen");
    assert_eq!((seen.in_scope, seen.other_scope), (rows(1, 3, 0), rows(2, 1, 0)));
    assert_eq!(seen.totals, rows(3, 4, 0));
    // Without a scope queue.db is the active queue, and nothing in it is legacy.
    let seen = observe_legacy(&home.legacy(), None, None).expect("seen");
    assert_eq!((seen.in_scope, seen.totals), (rows(0, 0, 0), rows(3, 4, 0)));
}

#[test]
fn two_scopes_at_once_share_no_row() {
    for round in 0..20 {
        let home = Home::new();
        let legacy = legacy_db(&home);
        for row in 0..40 {
            legacy_event(&legacy, &format!("{round}-{row}"), None, PROJECT);
        }
        legacy_body(&legacy, PROJECT, "spec.md");
        let scopes = [scope(), other_scope()];
        std::thread::scope(|threads| {
            for scope in &scopes {
                let home = &home;
                threads.spawn(move || migrate(home, scope));
            }
        });
        let held: Vec<i64> =
            scopes.iter().map(|scope| count(&home.sql(&home.scoped(scope)), "queue")).collect();
        assert_eq!(held.iter().sum::<i64>(), 40, "{held:?}");
        assert_eq!(count(&legacy, "queue") + count(&legacy, "claims"), 0);
    }
}

#[test]
fn old_scopes_rows_arrive_sealed_and_stay_where_they_were() {
    let home = Home::new();
    let old = Scope::new("https://gone.invalid", "dev@example.com", "team-PRIV-01");
    capture(&home, &old, [event("01A"), event("01B")]);
    let report = home.cure(&scope()).import_scope(&home.scoped(&old), &mut ()).expect("copied");
    assert_eq!(report.moved, rows(2, 0, 0));
    assert_eq!(count(&home.sql(&home.scoped(&old)), "queue"), 2);
    let mut outbox = home.outbox(&scope());
    assert!(outbox.read_events(PLENTY, &all_opted_in, &Default::default()).expect("read").is_none());
    let counts = observe_counts(&home.scoped(&scope()), &all_opted_in).expect("counts");
    assert_eq!((counts.held.len(), counts.held[0].reason), (1, queue::HoldReason::Sealed));
    assert_eq!(home.cure(&scope()).release_held(Some(PROJECT)).expect("released").events, 2);
    assert!(outbox.read_events(PLENTY, &no_opt_in, &Default::default()).expect("read").is_some());
    // Again: nothing new.
    let again = home.cure(&scope()).import_scope(&home.scoped(&old), &mut ()).expect("copied");
    assert_eq!((again.moved, again.duplicates), (rows(0, 0, 0), rows(2, 0, 0)));
    // Another account's queue is not copied.
    capture(&home, &other_scope(), [event("01C")]);
    let refused = home.cure(&scope()).import_scope(&home.scoped(&other_scope()), &mut ());
    assert!(matches!(refused, Err(QueueError::NotImportable { .. })));
}

#[test]
fn locked_legacy_file_is_busy_and_names_its_holder() {
    let home = Home::new();
    let legacy = some_rows(&home);
    legacy.execute_batch("BEGIN EXCLUSIVE").expect("locked");
    let error = observe_legacy(&home.legacy(), Some(&scope()), None).expect_err("busy");
    let queue::ObserveError::Busy(busy) = error else { panic!("{error}") };
    assert_eq!(busy.path, home.legacy());
    #[cfg(target_os = "linux")]
    assert_eq!(busy.holder.map(|holder| holder.pid), Some(std::process::id()));
}

#[test]
fn preview_counts_duplicates_and_reference_rows() {
    let home = Home::new();
    fs_err::create_dir_all(home.root().join("queues")).expect("a directory");
    // An old release knew no unique ids.
    let legacy = home.sql(&home.legacy());
    legacy.execute_batch(&REFERENCE_TABLES.replace("TEXT UNIQUE NOT NULL", "TEXT NOT NULL")).expect("tables");
    for id in ["01TWIN", "01TWIN", "01OTHER", "01OTHER", "01THERE", "01CHANGED", "01NEW", "01BAD", "01BAD"] {
        legacy_event(&legacy, id, None, PROJECT);
    }
    legacy
        .execute_batch(
            "UPDATE queue SET data = json_set(data, '$.payload', 1) WHERE id = 4;
             UPDATE queue SET data = 'no event' WHERE event_id = '01BAD'",
        )
        .expect("changed");
    // A scoped queue DB that has none of our tables.
    let theirs = home.sql(&home.scoped(&scope()));
    theirs.execute_batch(REFERENCE_TABLES).expect("tables");
    legacy_event(&theirs, "01THERE", None, PROJECT);
    legacy_event(&theirs, "01CHANGED", Some("another"), PROJECT);
    drop((legacy, theirs));

    let plan = queue::Cure::plan_migration(&home.cure_permit(&scope())).expect("a plan");
    let done = home.cure(&scope()).migrate(&mut ()).expect("migrated");
    let events = |report: &queue::MigrationReport| {
        [report.moved, report.duplicates, report.conflicts, report.unreadable].map(|group| group.event_rows)
    };
    assert_eq!(events(&done), [3, 3, 2, 1]);
    assert_eq!(events(&plan), events(&done));
}
