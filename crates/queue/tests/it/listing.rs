//! Rows as listed, exported and looked up by id.

use crate::support::*;
use contract::Scope;
use queue::{
    Capacity, Cure, Export, Kind, NewRow, QueueError, QueueOwner, WaitingRow, WaitingRows, Witness, Writer,
    observe_collectable, observe_known_events, observe_owner,
};
use serde_json::Value;

/// One event that waits, one that is prepared, a body, and rows of another program that are no such thing.
fn some_rows(home: &Home) -> Writer {
    capture(home, &scope(), [event("01A")]);
    let mut writer = home.writer(&scope());
    let witness = Witness::LogRow { log: "/nowhere".into(), event_id: "01A".into() };
    let mut rows = unproven([]);
    rows.rows.push(NewRow::body(body("spec.md", "text"), witness));
    let prepared = writer.prepare(&rows).expect("prepared");
    writer.confirm(prepared).expect("confirmed");
    let _left = writer.prepare(&unproven([event("01P")])).expect("prepared");
    let conn = home.sql(&home.scoped(&scope()));
    conn.execute_batch(
        "INSERT INTO queue(event_id, event_type, data, timestamp) VALUES ('01T', 'T', 'no json', 1);
         INSERT INTO queue(event_id, event_type, data, timestamp) VALUES ('01B', x'00', x'00', 1);
         INSERT INTO body_upload_queue(project_uuid, mission_slug, target_branch, mission_type, manifest_version,
             artifact_path, content_hash, content_body, size_bytes, created_at)
             VALUES ('p', 'm', 'main', 't', '1', 'plan.md', 'no hash', 'text', 4, 1.0),
                    ('p', 'm', 'main', 't', '1', 'blob.md', 'no hash', x'00', 4, 1.0)",
    )
    .expect("rows of another program");
    writer
}

#[test]
fn every_waiting_row_is_shown_with_what_keeps_it_from_leaving() {
    let home = Home::new();
    some_rows(&home);
    let rows: Vec<WaitingRow> =
        WaitingRows::of(&home.scoped(&scope())).map(|row| row.expect("a row")).collect();
    let problem = |key: &str| {
        let found = rows.iter().find(|row| row.key.contains(key)).unwrap_or_else(|| panic!("{key}"));
        found.problem.clone().unwrap_or_default()
    };
    assert_eq!(rows.iter().filter(|row| row.kind == Kind::Event).count(), 3, "prepared rows do not wait");
    assert_eq!((problem("01A"), problem("spec.md")), (String::new(), String::new()));
    assert!(problem("01T").contains("not a valid event"), "{}", problem("01T"));
    assert_eq!(problem("01B"), "`event_type` is not text");
    assert!(problem("plan.md").contains("content_hash is not the SHA-256"), "{}", problem("plan.md"));
    assert!(problem("blob.md").contains("is not text"), "{}", problem("blob.md"));
    let first = &rows[0];
    assert_eq!((first.key.as_str(), first.event_type.as_deref()), ("01A", Some("WPStatusChanged")));
    assert!(first.data.starts_with("{\"event_id\": \"01A\""), "{}", first.data);
    assert_eq!(WaitingRows::of(&home.legacy()).count(), 0, "an absent file has none");
}

#[test]
fn page_ends_and_the_next_begins_behind_it() {
    let home = Home::new();
    capture(&home, &scope(), (0..1_201).map(|number| event(&format!("01N{number:05}"))));
    let keys: Vec<String> =
        WaitingRows::of(&home.scoped(&scope())).map(|row| row.expect("a row").key).collect();
    assert_eq!(keys.len(), 1_201);
    assert!(keys.is_sorted(), "each once, in the order of their ids");
}

#[test]
fn unreadable_file_ends_the_rows_with_one_error() {
    let home = Home::new();
    fs_err::create_dir_all(home.root()).expect("a directory");
    fs_err::write(home.legacy(), "no database at all, and not empty").expect("written");
    assert_eq!(WaitingRows::of(&home.legacy()).map(|row| row.is_err()).collect::<Vec<_>>(), [true]);
    let errors: Vec<_> = Export::of_legacy(&home.legacy()).map(|line| line.expect_err("no line")).collect();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].to_string().starts_with("legacy_queue_unreadable"), "{}", errors[0]);
}

#[test]
fn fact_is_known_wherever_it_lies() {
    let home = Home::new();
    let ids = ["01A", "01P", "01D", "01K", "01X"].map(str::to_owned);
    let path = home.scoped(&scope());
    assert_eq!(observe_known_events(&path, &ids).expect("looked").len(), 0, "an absent file knows nothing");
    some_rows(&home);
    home.sql(&path)
        .execute_batch(
            "INSERT INTO receipts(kind, key, digest, server, at, outcome) VALUES (0, '01D', x'00', '', 5, 'delivered');
             INSERT INTO parked(kind, key, digest, place, reason, detail, parked_at, head)
                 VALUES (0, '01K', x'00', 1, 'r', '', 1, '{}')",
        )
        .expect("rows");
    let mut known: Vec<String> = observe_known_events(&path, &ids).expect("looked").into_iter().collect();
    known.sort();
    assert_eq!(known, ["01A", "01D", "01K", "01P"]);
    assert_eq!([5, 6].map(|before| observe_collectable(&path, before).expect("counted")), [0, 1]);
    let lines: Vec<Value> = Export::of_parked(&path)
        .map(|line| serde_json::from_str(&line.expect("a line")).expect("json"))
        .collect();
    assert_eq!((lines.len(), lines[0]["key"].as_str()), (1, Some("01K")));
}

#[test]
fn old_scope_preview_equals_the_copy_and_names_its_account() {
    let home = Home::new();
    let old = Scope::new("https://gone.invalid", "dev@example.com", "team-PRIV-01");
    capture(&home, &old, [event("01A"), event("01B")]);
    let path = home.scoped(&old);
    let plan = || Cure::plan_scope_import(&home.cure_permit(&scope()), &path);
    assert_eq!(plan().expect("a plan").moved.event_rows, 2);
    assert!(!home.scoped(&scope()).exists(), "a preview creates nothing");
    capture(&home, &scope(), [event("01A")]);
    let foreseen = plan().expect("a plan");
    assert_eq!((foreseen.moved.event_rows, foreseen.duplicates.event_rows), (1, 1));
    let done = home.cure(&scope()).import_scope(&path, &mut ()).expect("copied");
    assert_eq!((done.moved, done.duplicates), (foreseen.moved, foreseen.duplicates));
    let owner = QueueOwner { principal: Some("dev@example.com".into()), scope_hash: Some(old.hash()) };
    assert_eq!(observe_owner(&path).expect("looked"), owner);
    assert_eq!(observe_owner(&home.legacy()).expect("looked"), QueueOwner::default());

    let refused = |of: &Scope, from: &Scope| {
        let error = Cure::plan_scope_import(&home.cure_permit(of), &home.scoped(from)).expect_err("refused");
        assert!(matches!(error, QueueError::NotImportable { .. }), "{error}");
        error.to_string()
    };
    assert!(refused(&scope(), &scope()).contains("the current scope"));
    assert!(refused(&other_scope(), &old).contains("belongs to dev@example.com"));
}

#[test]
fn partial_copy_of_old_queue_is_previewed_exactly() {
    let home = Home::new();
    let old = Scope::new("https://gone.invalid", "dev@example.com", "team-PRIV-01");
    fs_err::create_dir_all(home.scoped(&old).parent().expect("a directory")).expect("created");
    let conn = home.sql(&home.scoped(&old));
    conn.execute_batch(REFERENCE_TABLES).expect("tables");
    legacy_event(&conn, "01A", None, PROJECT);
    conn.execute_batch("UPDATE queue SET data = 'no json'").expect("broken");
    legacy_body(&conn, PROJECT, "spec.md");
    let permit = home.cure_permit(&scope());
    let plan = Cure::plan_scope_import(&permit, &home.scoped(&old)).expect("a plan");
    let done = home.cure(&scope()).import_scope(&home.scoped(&old), &mut ()).expect("copied");
    assert_eq!((plan.unreadable, plan.moved), (done.unreadable, done.moved));
    assert_eq!((done.unreadable.event_rows, done.moved.body_upload_rows), (1, 1));
}

#[test]
fn full_queue_names_the_limit_and_the_remedy() {
    let home = Home::new();
    capture(&home, &scope(), [event("01A")]);
    let mut writer = Writer::open(&home.capture_permit(&scope()), Capacity(1)).expect("a writer");
    let error = writer.prepare(&unproven([event("01B")])).expect_err("full");
    assert!(error.to_string().contains("would hold 2 event rows and `sync.max_queue_size` is 1"), "{error}");
    assert_eq!(error.remedy(), Some(contract::Remedy::SyncNow));
    assert_eq!(error.exit(), contract::ExitCode::Failed);
    assert_eq!(count(&home.sql(&home.scoped(&scope())), "queue"), 1, "nothing is evicted");
}
