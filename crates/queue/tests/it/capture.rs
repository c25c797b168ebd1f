//! Prepare, append, confirm; settle; capacity; coalescing; identity.

use crate::support::*;
use contract::{Consent, ExitCode, FaultCode, Remedy, Start};
use queue::{Capacity, Capture, Kind, NewRow, QueueError, RowOrigin, Witness, Writer, observe_counts};
use serde_json::json;
use sha2::{Digest as _, Sha256};

#[test]
fn captured_event_waits_as_the_reference_would_have_written_it() {
    let home = Home::new();
    let captured = capture(&home, &scope(), [event("01A"), event("01B")]);
    assert_eq!((captured.events, captured.bodies, captured.already, captured.waiting), (2, 0, 0, 2));
    let conn = home.sql(&home.scoped(&scope()));
    let (id, data, kind, retries): (String, String, String, i64) = conn
        .query_row(
            "SELECT event_id, data, typeof(timestamp), retry_count FROM queue ORDER BY id",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .expect("a row");
    assert_eq!((id.as_str(), kind.as_str(), retries), ("01A", "integer", 0));
    assert!(
        data.starts_with(r#"{"event_id": "01A", "event_type": "WPStatusChanged", "payload": {"#),
        "{data}"
    );
}

#[test]
fn repeat_is_a_no_op() {
    let home = Home::new();
    capture(&home, &scope(), [event("01A")]);
    let again = capture(&home, &scope(), [event("01A"), event("01B")]);
    assert_eq!((again.events, again.already, again.waiting), (1, 1, 2));
}

#[test]
fn prepared_rows_are_counted_apart_and_do_not_leave() {
    let home = Home::new();
    let mut writer = home.writer(&scope());
    let prepared = writer.prepare(&unproven([event("01A")])).expect("prepared");
    let counts = observe_counts(&home.scoped(&scope()), &no_opt_in).expect("counts");
    assert_eq!((counts.events, counts.prepared.events), (0, 1));
    assert!(
        home.outbox(&scope())
            .read_events(PLENTY, &all_opted_in, &Default::default())
            .expect("read")
            .is_none()
    );
    writer.confirm(prepared).expect("confirmed");
    let counts = observe_counts(&home.scoped(&scope()), &no_opt_in).expect("counts");
    assert_eq!((counts.events, counts.prepared.events, counts.held.len()), (1, 0, 0));
    assert!(counts.oldest_pending_at.is_some());
}

/// A capture died before an opt-out; its rows are settled after the opt-in that followed (seed 454 of the simulation).
#[test]
fn settled_row_is_as_old_as_its_capture() {
    let home = Home::new();
    let log = home.dir.path().join("status.events.jsonl");
    fs_err::write(&log, "{\"event_id\": \"01IN\"}\n").expect("a log");
    let rows = vec![NewRow::event(event("01IN"), Witness::LogRow { log, event_id: "01IN".into() })];
    let capture = Capture { place: place(), mission_slug: "kitty-widgets".into(), rows };
    let _left_behind = home.writer(&scope()).prepare(&capture).expect("prepared");
    let conn = home.sql(&home.scoped(&scope()));
    conn.execute("UPDATE prepared SET prepared_at = prepared_at - 10", []).expect("made older");
    let opted_in = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(5);

    home.writer(&scope()).settle("kitty-widgets", place().checkout(), |_| Vec::new()).expect("settled");
    let consent = |_: &RowOrigin| Consent::OptedIn(Start { captured: opted_in, foreign: opted_in });
    let counts = observe_counts(&home.scoped(&scope()), &consent).expect("counts");
    assert_eq!((counts.events, counts.held.len()), (1, 1));
    let counts = observe_counts(&home.scoped(&scope()), &no_opt_in).expect("counts");
    assert_eq!((counts.events, counts.held.len()), (1, 0));
}

#[test]
fn leftovers_are_settled_by_their_witnesses() {
    let home = Home::new();
    let dir = home.dir.path();
    let log = dir.join("status.events.jsonl");
    fs_err::write(&log, "{\"event_id\": \"01IN\"}\n").expect("a log");
    let document = dir.join("spec.md");
    fs_err::write(&document, "text").expect("a document");
    let sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest("text"));
    let in_log = |id: &str| Witness::LogRow { log: log.clone(), event_id: id.into() };
    let rows = vec![
        NewRow::event(event("01IN"), in_log("01IN")),
        NewRow::event(event("01OUT"), in_log("01OUT")),
        NewRow::event(event("01FOLLOWS"), Witness::Row { kind: Kind::Event, key: "01IN".into() }),
        NewRow::event(event("01ASTRAY"), Witness::Row { kind: Kind::Event, key: "01OUT".into() }),
        NewRow::event(event("01LOOP"), Witness::Row { kind: Kind::Event, key: "01LOOP".into() }),
        NewRow::body(
            body("spec.md", "text"),
            Witness::File { path: document.clone(), sha256: sha256.clone() },
        ),
        NewRow::body(body("plan.md", "text"), Witness::File { path: dir.join("gone.md"), sha256 }),
    ];
    let capture = Capture { place: place(), mission_slug: "kitty-widgets".into(), rows };
    let mut writer = home.writer(&scope());
    let _left_behind = writer.prepare(&capture).expect("prepared");
    drop(writer);

    let mut writer = home.writer(&scope());
    assert_eq!(
        writer.settle("another-mission", place().checkout(), |_| Vec::new()).expect("settled").confirmed,
        0
    );
    let settled = writer.settle("kitty-widgets", place().checkout(), |_| Vec::new()).expect("settled");
    assert_eq!((settled.confirmed, settled.parked), (3, 4));
    let counts = observe_counts(&home.scoped(&scope()), &no_opt_in).expect("counts");
    assert_eq!((counts.events, counts.bodies, counts.prepared.total()), (2, 1, 0));
    assert_eq!((counts.parked.events, counts.parked.bodies), (3, 1));
    assert_eq!(
        writer.settle("kitty-widgets", place().checkout(), |_| Vec::new()).expect("settled"),
        Default::default()
    );

    // The log row turns up after all.
    fs_err::write(&log, "{\"event_id\": \"01OUT\"}\n").expect("a log");
    let conn = home.sql(&home.scoped(&scope()));
    let id: i64 =
        conn.query_row("SELECT id FROM parked WHERE key = '01OUT'", [], |row| row.get(0)).expect("parked");
    let loop_id: i64 =
        conn.query_row("SELECT id FROM parked WHERE key = '01LOOP'", [], |row| row.get(0)).expect("parked");
    let done = home.cure(&scope()).retry_parked(&[id, loop_id], |_| Vec::new()).expect("retried");
    assert_eq!((done.restored, done.kept.len()), (vec![id], 1));
}

#[test]
fn row_without_local_write_is_captured_again_once() {
    let home = Home::new();
    let absent = || Witness::File { path: home.dir.path().join("spec.md"), sha256: "0".repeat(64) };
    let rows =
        || vec![NewRow::event(event("01A"), absent()), NewRow::body(body("spec.md", "text"), absent())];
    let capture = || Capture { place: place(), mission_slug: "kitty-widgets".into(), rows: rows() };
    let mut writer = home.writer(&scope());
    let _left_behind = writer.prepare(&capture()).expect("prepared");
    let settled = writer.settle("kitty-widgets", place().checkout(), |_| Vec::new()).expect("settled");
    assert_eq!((settled.confirmed, settled.parked), (0, 2));
    let ids = ["01A".to_owned()];
    assert!(queue::observe_known_events(&home.scoped(&scope()), &ids).expect("looked").is_empty());

    let prepared = writer.prepare(&capture()).expect("prepared");
    let captured = writer.confirm(prepared).expect("confirmed");
    assert_eq!((captured.events, captured.bodies, captured.already), (1, 1, 0));
    let conn = home.sql(&home.scoped(&scope()));
    assert_eq!((count(&conn, "parked"), count(&conn, "queue"), count(&conn, "body_upload_queue")), (0, 1, 1));
}

#[test]
fn body_that_was_dropped_can_come_back_and_a_dropped_event_cannot() {
    let home = Home::new();
    let witness = || Witness::File { path: home.dir.path().join("spec.md"), sha256: "0".repeat(64) };
    let rows =
        || vec![NewRow::event(event("01A"), witness()), NewRow::body(body("spec.md", "text"), witness())];
    let capture = || Capture { place: place(), mission_slug: "kitty-widgets".into(), rows: rows() };
    let mut writer = home.writer(&scope());
    let _left_behind = writer.prepare(&capture()).expect("prepared");
    writer.settle("kitty-widgets", place().checkout(), |_| Vec::new()).expect("settled");
    assert_eq!(home.cure(&scope()).drop_parked(&[1, 2], "noise").expect("dropped"), 2);
    let prepared = writer.prepare(&capture()).expect("prepared");
    let captured = writer.confirm(prepared).expect("confirmed");
    assert_eq!((captured.events, captured.bodies, captured.already), (0, 1, 1));

    let mut outbox = home.outbox(&scope());
    let batch = outbox.read_bodies(PLENTY, &all_opted_in, &Default::default(), 1e10).expect("read");
    let sent: Vec<_> = batch
        .expect("it leaves")
        .rows
        .iter()
        .map(|row| (row.row, row.digest, queue::RowOutcome::Delivered))
        .collect();
    assert_eq!(outbox.record(&sent).expect("recorded").settled, 1);
    let conn = home.sql(&home.scoped(&scope()));
    let outcomes: Vec<(i64, String)> = conn
        .prepare("SELECT kind, outcome FROM receipts ORDER BY kind")
        .and_then(|mut select| select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
        .expect("receipts");
    assert_eq!(outcomes, [(0, "dropped".to_owned()), (1, "delivered".to_owned())]);
}

#[test]
fn full_queue_refuses_before_local_write_and_evicts_nothing() {
    let home = Home::new();
    let mut writer = Writer::open(&home.capture_permit(&scope()), Capacity(2)).expect("a writer");
    let prepared = writer.prepare(&unproven([event("01A"), event("01B")])).expect("prepared");
    writer.confirm(prepared).expect("confirmed");
    let error = writer.prepare(&unproven([event("01C")])).expect_err("full");
    assert!(matches!(error, QueueError::Full { capacity: 2, would_hold: 3, .. }), "{error}");
    assert!(error.to_string().contains("would hold 3 event rows"), "{error}");
    assert_eq!(error.exit(), ExitCode::Failed);
    assert_eq!(error.remedy(), Some(contract::Remedy::SyncNow));
    // A repeat adds nothing and is not refused.
    let again = writer.prepare(&unproven([event("01A")])).expect("nothing to store");
    assert_eq!((again.rows(), again.already()), (0, 1));
    let conn = home.sql(&home.scoped(&scope()));
    assert_eq!((count(&conn, "queue"), count(&conn, "prepared")), (2, 0));
}

#[test]
fn only_a_never_attempted_dossier_event_is_replaced() {
    let home = Home::new();
    let indexed = |id: &str| {
        event_of(
            id,
            "MissionDossierArtifactIndexed",
            json!({"namespace": {"project_uuid": PROJECT, "mission_slug": "m"}, "artifact_id": {"path": "spec.md"}}),
        )
    };
    capture(&home, &scope(), [indexed("01A")]);
    let second = capture(&home, &scope(), [indexed("01B")]);
    assert_eq!((second.events, second.coalesced, second.waiting), (1, 1, 1));
    let conn = home.sql(&home.scoped(&scope()));
    conn.execute("UPDATE queue SET retry_count = 1", []).expect("attempted");
    let third = capture(&home, &scope(), [indexed("01C")]);
    assert_eq!((third.events, third.coalesced, third.waiting), (1, 0, 2));
    let batch = home.outbox(&scope()).read_events(PLENTY, &no_opt_in, &Default::default()).expect("read");
    let ids: Vec<_> = batch.expect("a batch").rows.into_iter().map(|row| row.event_id).collect();
    assert_eq!(ids, ["01B", "01C"]);
}

#[test]
fn foreign_project_rows_and_wrong_hashes_are_refused() {
    let home = Home::new();
    let mut writer = home.writer(&scope());
    let mut elsewhere = unproven([event("01A")]);
    elsewhere.place.project_uuid = Some(OTHER_PROJECT.into());
    assert!(matches!(writer.prepare(&elsewhere), Err(QueueError::BadRow { .. })));
    let mut lying = body("spec.md", "text");
    lying.content_hash = "0".repeat(64);
    let rows = vec![NewRow::body(lying, Witness::Row { kind: Kind::Event, key: "x".into() })];
    let capture = Capture { place: place(), mission_slug: "m".into(), rows };
    assert!(matches!(writer.prepare(&capture), Err(QueueError::BadRow { .. })));
    assert_eq!(count(&home.sql(&home.scoped(&scope())), "prepared"), 0);
}

#[test]
fn permit_for_another_queue_does_not_open_this_one() {
    let home = Home::new();
    capture(&home, &scope(), [event("01A")]);
    let old = home.capture_permit(&scope());
    // The file is replaced after the gate has seen it.
    fs_err::remove_file(home.scoped(&scope())).expect("removed");
    let gone = Writer::open(&old, Capacity(10)).expect_err("the queue is gone");
    assert!(
        matches!(&gone, QueueError::Fault(fault) if fault.code == FaultCode::QueueIdentityChanged),
        "{gone}"
    );
    assert!(!home.scoped(&scope()).exists(), "nothing may be created in its place");
    capture(&home, &scope(), [event("01B")]);
    let changed = Writer::open(&old, Capacity(10)).expect_err("another queue");
    assert!(matches!(&changed, QueueError::Fault(fault) if fault.code == FaultCode::QueueIdentityChanged));
    assert_eq!(changed.exit(), ExitCode::Refused);
}

#[test]
fn two_permits_of_an_absent_queue_get_one_id() {
    let home = Home::new();
    let (first, second) = (home.capture_permit(&scope()), home.capture_permit(&scope()));
    let first = Writer::open(&first, Capacity(10)).expect("born").queue_id().to_owned();
    let second = Writer::open(&second, Capacity(10)).expect("the same").queue_id().to_owned();
    assert_eq!(first, second);
    assert_eq!(first.len(), 32);
}

#[test]
fn old_permit_is_refused() {
    let home = Home::new();
    let mut facts = home.facts(&scope());
    let Some(long_ago) = facts.observed_at.checked_sub(gate::LIFETIME * 2) else { return };
    facts.observed_at = long_ago;
    let error = Writer::open(&capture_permit(facts), Capacity(10)).expect_err("expired");
    assert!(matches!(error, QueueError::PermitExpired { .. }), "{error}");
    assert!(!home.scoped(&scope()).exists());
    // The remedy: the same command again has a new permit.
    let remedy = error.remedy();
    assert!(matches!(&remedy, Some(Remedy::Advice(text)) if text.contains("command again")), "{remedy:?}");
    Writer::open(&home.capture_permit(&scope()), Capacity(10)).expect("a new permit opens the queue");
}

#[test]
fn eight_writers_at_once_lose_nothing() {
    let home = Home::new();
    std::thread::scope(|threads| {
        for writer in 0..8 {
            let home = &home;
            threads.spawn(move || {
                for row in 0..10 {
                    capture(home, &scope(), [event(&format!("{writer}-{row}"))]);
                }
            });
        }
    });
    let conn = home.sql(&home.scoped(&scope()));
    assert_eq!((count(&conn, "queue"), count(&conn, "bindings"), count(&conn, "prepared")), (80, 80, 0));
}

#[cfg(unix)]
#[test]
fn files_are_private_also_when_they_were_not() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    capture(&home, &scope(), [event("01A")]);
    let path = home.scoped(&scope());
    let dir = path.parent().expect("a directory").to_owned();
    let mode =
        |path: &std::path::Path| fs_err::metadata(path).expect("metadata").permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&dir)), (0o600, 0o700));
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("widened");
    fs_err::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).expect("widened");
    capture(&home, &scope(), [event("01B")]);
    assert_eq!((mode(&path), mode(&dir)), (0o600, 0o700));
}

#[test]
fn rows_of_another_clone_are_left_to_its_command() {
    let home = Home::new();
    let mut writer = home.writer(&scope());
    let prepared = writer.prepare(&unproven([event("01A")])).expect("prepared");
    // The same mission in a clone: another checkout, and a lock of its own.
    let clone = std::path::Path::new("/srv/clone");
    assert_eq!(
        home.writer(&scope()).settle("kitty-widgets", Some(clone), |_| Vec::new()).expect("looked"),
        Default::default()
    );
    let unsettled = queue::observe_unsettled(&home.scoped(&scope())).expect("looked");
    let expected = queue::Unsettled { mission_slug: "kitty-widgets".into(), checkout: place().checkout };
    assert_eq!(unsettled, [expected]);
    assert_eq!(writer.confirm(prepared).expect("confirmed").events, 1);
    assert_eq!(queue::observe_unsettled(&home.scoped(&scope())).expect("looked"), []);
}

#[test]
fn rows_of_an_undone_write_are_withdrawn_and_recaptured() {
    let home = Home::new();
    let mut writer = home.writer(&scope());
    let other = writer.prepare(&unproven([event("01OTHER")])).expect("prepared");
    let undone = writer.prepare(&unproven([event("01A")])).expect("prepared");
    writer.withdraw(undone).expect("withdrawn");
    let counts = observe_counts(&home.scoped(&scope()), &no_opt_in).expect("counts");
    assert_eq!((counts.events, counts.prepared.total(), counts.parked.events), (0, 1, 0));
    writer.confirm(other).expect("confirmed");
    let again = writer.prepare(&unproven([event("01A")])).expect("prepared");
    assert_eq!(writer.confirm(again).expect("confirmed").waiting, 2);
}

#[test]
fn abandoned_note_does_not_return_with_a_repeat() {
    let home = Home::new();
    let document = home.dir.path().join("tasks.md");
    let sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest("done"));
    let note = event_of("01NOTE", "HistoryAdded", serde_json::json!({"wp_id": "WP01"}));
    let witness = || Witness::File { path: document.clone(), sha256: sha256.clone() };
    let rows = vec![NewRow::event(note, witness()), NewRow::body(body("tasks.md", "done"), witness())];
    let capture = Capture { place: place(), mission_slug: "kitty-widgets".into(), rows };
    let mut writer = home.writer(&scope());
    let _left_behind = writer.prepare(&capture).expect("prepared");
    assert_eq!(
        writer.settle("kitty-widgets", place().checkout(), |_| Vec::new()).expect("settled").parked,
        2
    );

    // The command is repeated: the file is what it would have been.
    fs_err::write(&document, "done").expect("a document");
    let conn = home.sql(&home.scoped(&scope()));
    let id = |kind: i64| -> i64 {
        conn.query_row("SELECT id FROM parked WHERE kind = ?1", [kind], |row| row.get(0)).expect("parked")
    };
    let (note, text) = (id(0), id(1));
    let done = home.cure(&scope()).retry_parked(&[note, text], |_| Vec::new()).expect("retried");
    assert_eq!((done.restored, done.kept.len(), done.kept[0].id), (vec![text], 1, note));
}
