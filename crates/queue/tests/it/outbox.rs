//! Rows that may leave, their order, and the record of each outcome.

use crate::support::*;
use contract::Consent;
use queue::{
    BatchLimits, Capture, Export, HoldReason, NewRow, RowOrigin, RowOutcome, SkipSet, Witness,
    observe_counts, observe_outgoing, observe_parked, observe_parked_row, observe_receipts,
};
use std::cell::Cell;
use std::collections::BTreeSet;

fn ids(batch: Option<queue::RowBatch<queue::OutgoingEvent>>) -> Vec<String> {
    batch.map(|batch| batch.rows.into_iter().map(|row| row.event_id).collect()).unwrap_or_default()
}

fn capture_bodies(home: &Home, paths: &[&str]) {
    let rows = paths
        .iter()
        .map(|path| {
            NewRow::body(
                body(path, &format!("text of {path}")),
                Witness::LogRow { log: "/x".into(), event_id: "y".into() },
            )
        })
        .collect();
    let mut writer = home.writer(&scope());
    let prepared =
        writer.prepare(&Capture { place: place(), mission_slug: "m".into(), rows }).expect("prepared");
    writer.confirm(prepared).expect("confirmed");
}

/// Found by the simulation, with a disk that ignores syncs: the read did not end.
#[test]
fn binding_without_its_row_is_removed_by_the_next_read() {
    let home = Home::new();
    capture(&home, &scope(), [event("01A"), event("01B")]);
    let conn = home.sql(&home.scoped(&scope()));
    conn.execute(
        "INSERT INTO bindings(kind, row, place, hold, at, digest)
         SELECT kind, 999, place, hold, at, digest FROM bindings LIMIT 1",
        [],
    )
    .expect("a binding");
    let mut outbox = home.outbox(&scope());
    let mut skip = SkipSet::default();
    while let Some(batch) = outbox.read_events(PLENTY, &no_opt_in, &skip).expect("read") {
        batch.rows.iter().for_each(|row| skip.skip_row(row.row));
    }
    let left: i64 = conn
        .query_row("SELECT count(*) FROM bindings WHERE row = 999", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(left, 0);
}

/// Another program rewrites the same row each time before it is read: that is no damage.
#[test]
fn row_that_another_program_keeps_rewriting_is_read_in_the_end() {
    let home = Home::new();
    capture(&home, &scope(), [event("01A")]);
    let conn = home.sql(&home.scoped(&scope()));
    let rest = Cell::new(4);
    let rewriting = |place: &RowOrigin| {
        if rest.get() > 0 {
            rest.set(rest.get() - 1);
            conn.execute("UPDATE queue SET data = data || ' '", []).expect("rewritten");
        }
        all_opted_in(place)
    };
    let mut outbox = home.outbox(&scope());
    let read = outbox.read_events(PLENTY, &rewriting, &SkipSet::default()).expect("read");
    assert_eq!((ids(read), rest.get()), (vec!["01A".to_owned()], 0));
}

#[test]
fn delivered_row_leaves_with_its_receipt_and_does_not_come_back() {
    let home = Home::new();
    capture(&home, &scope(), [event("01A"), event("01B"), event("01C")]);
    let mut outbox = home.outbox(&scope());
    let batch = outbox.read_events(PLENTY, &no_opt_in, &SkipSet::default()).expect("read").expect("a batch");
    assert_eq!(batch.project_uuid.as_deref(), Some(PROJECT));
    let outcomes = [
        (batch.rows[0].row, batch.rows[0].digest, RowOutcome::Delivered),
        (batch.rows[1].row, batch.rows[1].digest, RowOutcome::Duplicate),
        (
            batch.rows[2].row,
            batch.rows[2].digest,
            RowOutcome::Park { reason: "rejected".into(), detail: "no such mission".into() },
        ),
    ];
    let recorded = outbox.record(&outcomes).expect("recorded");
    assert_eq!((recorded.settled, recorded.parked, recorded.vanished), (2, 1, 0));
    assert_eq!(outbox.record(&outcomes).expect("again").vanished, 3, "a repeat finds nothing");
    let path = home.scoped(&scope());
    let receipts = observe_receipts(&path, None, "", 10).expect("receipts");
    let seen: Vec<_> =
        receipts.iter().map(|receipt| (receipt.key.as_str(), receipt.outcome.as_str())).collect();
    assert_eq!(seen, [("01A", "delivered"), ("01B", "duplicate")]);
    assert_eq!(receipts[0].server, "https://example.invalid");
    let counts = observe_counts(&path, &no_opt_in).expect("counts");
    assert_eq!((counts.events, counts.parked.events), (0, 1));
    assert!(counts.last_delivery.is_some());
    // Captured again, found again, copied back by another program: it does not leave a second time.
    assert_eq!(capture(&home, &scope(), [event("01A")]).already, 1);
    let row = event("01A");
    home.sql(&path)
        .execute(
            "INSERT INTO queue(event_id, event_type, data, timestamp) VALUES ('01A', ?1, ?2, 1)",
            [row.event_type(), row.text()],
        )
        .expect("a row of another program");
    let mut outbox = home.outbox(&scope());
    assert!(outbox.read_events(PLENTY, &all_opted_in, &SkipSet::default()).expect("read").is_none());
    assert_eq!(outbox.settled_without_sending(), 1);
}

#[test]
fn parked_row_keeps_its_payload_and_can_be_retried_or_dropped() {
    let home = Home::new();
    capture(&home, &scope(), [event("01A"), event("01B")]);
    let mut outbox = home.outbox(&scope());
    let batch = outbox.read_events(PLENTY, &no_opt_in, &SkipSet::default()).expect("read").expect("a batch");
    let park = |detail: &str| RowOutcome::Park { reason: "rejected".into(), detail: detail.into() };
    let outcomes: Vec<_> = batch.rows.iter().map(|row| (row.row, row.digest, park("no"))).collect();
    outbox.record(&outcomes).expect("recorded");
    let path = home.scoped(&scope());
    let parked = observe_parked(&path, 0, 10).expect("parked");
    assert_eq!(parked.len(), 2);
    assert_eq!((parked[0].reason.as_str(), parked[0].detail.as_str()), ("rejected", "no"));
    let content = observe_parked_row(&path, parked[0].id).expect("read").expect("a row");
    assert_eq!(content.payload, event("01A").text());
    assert_eq!(content.columns["event_type"], "WPStatusChanged");

    let mut cure = home.cure(&scope());
    let unknown = cure.retry_parked(&[parked[0].id, 777], |_| Vec::new()).expect_err("an unknown id");
    assert!(unknown.to_string().ends_with("no parked row `777`"), "{unknown}");
    assert_eq!(observe_parked(&path, 0, 10).expect("parked").len(), 2, "nothing moved");
    assert_eq!(cure.retry_parked(&[parked[0].id], |_| Vec::new()).expect("retried").restored, [parked[0].id]);
    assert!(cure.drop_parked(&[parked[1].id], " ").is_err(), "a drop needs a reason");
    assert!(cure.drop_parked(&[parked[1].id, 999], "obsolete").is_err(), "all or none");
    assert_eq!(observe_parked(&path, 0, 10).expect("parked").len(), 1);
    assert_eq!(cure.drop_parked(&[parked[1].id], "obsolete").expect("dropped"), 1);
    let receipt = observe_receipts(&path, Some("01B"), "", 10).expect("receipts").remove(0);
    assert_eq!((receipt.outcome.as_str(), receipt.reason.as_str()), ("dropped", "obsolete"));
    let batch = home.outbox(&scope()).read_events(PLENTY, &no_opt_in, &SkipSet::default()).expect("read");
    assert_eq!(ids(batch), ["01A"]);
}

#[test]
fn batch_is_bounded_by_count_and_bytes_but_never_empty() {
    let home = Home::new();
    capture(&home, &scope(), (0..10).map(|row| event(&format!("01{row}"))));
    let mut outbox = home.outbox(&scope());
    let one = event("010").text().len();
    let mut read = |rows, bytes| {
        ids(outbox.read_events(BatchLimits { rows, bytes }, &no_opt_in, &SkipSet::default()).expect("read"))
            .len()
    };
    assert_eq!(read(4, usize::MAX), 4);
    assert_eq!(read(100, one * 3), 3);
    assert_eq!(read(100, one * 3 - 1), 2);
    assert_eq!(read(100, 1), 1);
    assert_eq!(read(0, 0), 1);
}

#[test]
fn batch_holds_one_project_and_its_rows_leave_in_order() {
    let home = Home::new();
    let legacy = legacy_db(&home);
    for (at, (id, project)) in
        [("01A", "p"), ("01B", "q"), ("01C", "p"), ("01D", "q")].into_iter().enumerate()
    {
        legacy_event(&legacy, id, None, project);
        legacy
            .execute(
                "UPDATE queue SET timestamp = ?1 WHERE event_id = ?2",
                rusqlite::params![100 - at as i64, id],
            )
            .expect("older ones later");
    }
    home.cure(&scope()).migrate(&mut ()).expect("migrated");
    let mut outbox = home.outbox(&scope());
    let first =
        outbox.read_events(PLENTY, &all_opted_in, &SkipSet::default()).expect("read").expect("a batch");
    assert_eq!(first.project_uuid.as_deref(), Some("q"));
    assert_eq!(ids(Some(first)), ["01D", "01B"]);
    let mut skip = SkipSet::default();
    skip.skip_project(Some("q".into()));
    let second = outbox.read_events(PLENTY, &all_opted_in, &skip).expect("read").expect("a batch");
    skip.skip_row(second.rows[0].row);
    assert_eq!(ids(Some(second)), ["01C", "01A"]);
    assert_eq!(ids(outbox.read_events(PLENTY, &all_opted_in, &skip).expect("read")), ["01A"]);
    assert_eq!(skip.len(), 2);
}

/// Decisions that all let go, with or without a number.
struct Numbered(Option<u64>);

impl queue::ConsentView for Numbered {
    fn consent(&self, place: &RowOrigin) -> Consent {
        all_opted_in(place)
    }

    fn version(&self) -> Option<u64> {
        self.0
    }
}

/// Drains rows of three projects in small batches, while another process captures.
fn drained(version: Option<u64>) -> Vec<Vec<String>> {
    let home = Home::new();
    let legacy = legacy_db(&home);
    for row in 0..60_usize {
        let id = format!("01{row:03}");
        legacy_event(&legacy, &id, None, ["p", "q", "r"][row * 7 % 11 % 3]);
        legacy
            .execute("UPDATE queue SET timestamp = ?1 WHERE event_id = ?2", (row as i64 * 37 % 60, id))
            .expect("ages that mix the projects");
    }
    home.cure(&scope()).migrate(&mut ()).expect("migrated");
    let mut outbox = home.outbox(&scope());
    let mut seen = Vec::new();
    let limits = BatchLimits { rows: 4, bytes: usize::MAX };
    while let Some(batch) = outbox.read_events(limits, &Numbered(version), &SkipSet::default()).expect("read")
    {
        let outcomes: Vec<_> =
            batch.rows.iter().map(|row| (row.row, row.digest, RowOutcome::Delivered)).collect();
        assert_eq!(outbox.record(&outcomes).expect("recorded").settled, outcomes.len() as u64);
        seen.push(ids(Some(batch)));
        if seen.len() == 5 {
            capture(&home, &scope(), [event("01NEW")]);
        }
    }
    seen
}

#[test]
fn remembered_order_equals_the_one_read_for_each_batch() {
    let anew = drained(None);
    assert_eq!(anew.iter().flatten().count(), 61);
    assert_eq!(drained(Some(1)), anew);
}

#[test]
fn rows_under_way_are_passed_over_until_they_are_back() {
    let home = Home::new();
    capture(&home, &scope(), ["01A", "01B", "01C"].map(event));
    let (mut outbox, mut skip) = (home.outbox(&scope()), SkipSet::default());
    let two = BatchLimits { rows: 2, bytes: usize::MAX };
    let first = outbox.read_events(two, &no_opt_in, &skip).expect("read").expect("a batch");
    skip.set_under_way(first.rows.iter().map(|row| row.row));
    assert_eq!(ids(outbox.read_events(two, &no_opt_in, &skip).expect("read")), ["01C"]);
    skip.set_under_way(std::iter::empty());
    assert_eq!(ids(outbox.read_events(two, &no_opt_in, &skip).expect("read")), ["01A", "01B"]);
}

#[test]
fn tallies_equal_the_bindings_after_every_outcome() {
    let home = Home::new();
    let legacy = legacy_db(&home);
    for id in ["01L", "01M"] {
        legacy_event(&legacy, id, None, "elsewhere");
    }
    home.cure(&scope()).migrate(&mut ()).expect("migrated");
    capture(&home, &scope(), ["01A", "01B", "01C", "01D", "01E"].map(event));
    capture_bodies(&home, &["spec.md", "plan.md"]);
    let mut outbox = home.outbox(&scope());
    let conn = home.sql(&home.scoped(&scope()));
    let check = || {
        let rows = |sql: &str| -> Vec<(i64, i64, i64, i64)> {
            let mut select = conn.prepare(sql).expect("a statement");
            let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
            rows.expect("rows").collect::<Result<_, _>>().expect("rows")
        };
        let tallies = rows("SELECT kind, place, hold, waiting FROM tallies ORDER BY 1, 2, 3");
        let bound =
            rows("SELECT kind, place, hold, COUNT(*) FROM bindings GROUP BY 1, 2, 3 ORDER BY 1, 2, 3");
        assert_eq!(tallies, bound);
        tallies.iter().map(|(.., waiting)| waiting).sum::<i64>()
    };
    assert_eq!(check(), 9);
    let park = || RowOutcome::Park { reason: "rejected".into(), detail: "no".into() };
    let retry = || RowOutcome::Retry { error: "later".into(), not_before: 0.0 };
    let mut record = |outcomes: &[RowOutcome], bodies: bool| {
        let (all, skip) = (BatchLimits { rows: outcomes.len(), bytes: usize::MAX }, SkipSet::default());
        let rows: Vec<_> = if bodies {
            let batch = outbox.read_bodies(all, &no_opt_in, &skip, 1e12).expect("read").expect("a batch");
            batch.rows.iter().map(|row| (row.row, row.digest)).collect()
        } else {
            let batch = outbox.read_events(all, &no_opt_in, &skip).expect("read").expect("a batch");
            batch.rows.iter().map(|row| (row.row, row.digest)).collect()
        };
        let outcomes: Vec<_> = rows
            .iter()
            .zip(outcomes)
            .map(|((row, digest), outcome)| (*row, *digest, outcome.clone()))
            .collect();
        outbox.record(&outcomes).expect("recorded");
    };
    record(&[RowOutcome::Delivered, RowOutcome::Duplicate, park(), retry()], false);
    assert_eq!(check(), 6);
    record(&[park(), retry()], true);
    assert_eq!(check(), 5);
    record(&[RowOutcome::Delivered, RowOutcome::Delivered], false);
    record(&[RowOutcome::Delivered], true);
    assert_eq!(check(), 2, "the held rows, and no tally of what has drained");
    drop(outbox);
    // The triggers count for every other connection.
    capture(&home, &scope(), [event("01F")]);
    assert_eq!(check(), 3);
}

#[test]
fn captured_rows_send_by_default_and_foreign_rows_wait() {
    let home = Home::new();
    let legacy = legacy_db(&home);
    legacy_event(&legacy, "01L", None, PROJECT);
    capture(&home, &scope(), [event("01C")]);
    home.cure(&scope()).migrate(&mut ()).expect("migrated");
    let mut outbox = home.outbox(&scope());
    let mut leaving = |consent: fn(&RowOrigin) -> Consent| {
        ids(outbox.read_events(PLENTY, &consent, &SkipSet::default()).expect("read"))
            .into_iter()
            .collect::<BTreeSet<_>>()
    };
    let set = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(leaving(no_opt_in), set(&["01C"]));
    assert_eq!(leaving(all_opted_in), set(&["01C", "01L"]));
    assert_eq!(leaving(all_opted_out), set(&[]));
    let path = home.scoped(&scope());
    let held = |consent: fn(&RowOrigin) -> Consent| observe_counts(&path, &consent).expect("counts").held;
    assert_eq!(held(all_opted_in), []);
    assert_eq!((held(no_opt_in)[0].events, held(no_opt_in)[0].reason), (1, HoldReason::NeverOptedIn));
    assert_eq!((held(all_opted_out)[0].events, held(all_opted_out)[0].reason), (2, HoldReason::OptedOut));
    let preview = observe_outgoing(&path, &no_opt_in, 10, true).expect("a preview");
    // Without the documents their sizes are listed, and they are not read.
    let sizes = observe_outgoing(&path, &no_opt_in, 10, false).expect("a preview");
    assert_eq!(preview.len(), sizes.len());
    for (full, bare) in preview.iter().zip(&sizes) {
        assert_eq!((&full.key, full.bytes, bare.payload.as_ref()), (&bare.key, bare.bytes, None));
        assert_eq!(full.payload.as_ref().map(|payload| payload.len() as u64), Some(bare.bytes));
    }
    assert_eq!(preview.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), ["01C"]);
}

#[test]
fn consent_is_asked_for_the_rows_own_place() {
    let home = Home::new();
    capture(&home, &scope(), [event("01A")]);
    let elsewhere = RowOrigin { checkout: Some("/srv/other".into()), ..place() };
    let mut writer = home.writer(&scope());
    let prepared =
        writer.prepare(&Capture { place: elsewhere.clone(), ..unproven([event("01B")]) }).expect("prepared");
    writer.confirm(prepared).expect("confirmed");
    let this_checkout_is_off = move |place: &RowOrigin| match place == &elsewhere {
        true => Consent::OptedOut,
        false => Consent::Unset,
    };
    let batch =
        home.outbox(&scope()).read_events(PLENTY, &this_checkout_is_off, &SkipSet::default()).expect("read");
    assert_eq!(ids(batch), ["01A"]);
}

#[test]
fn opting_in_starts_from_now_and_a_release_lets_the_rest_go() {
    let home = Home::new();
    let legacy = legacy_db(&home);
    legacy_event(&legacy, "01L", None, PROJECT);
    legacy_event(&legacy, "01N", None, "");
    legacy_body(&legacy, PROJECT, "spec.md");
    home.cure(&scope()).migrate(&mut ()).expect("migrated");
    let change = home.cure(&scope()).seal_held(Some(PROJECT), &no_opt_in).expect("sealed");
    assert_eq!((change.events, change.bodies), (1, 1));
    let mut outbox = home.outbox(&scope());
    let only_project = |place: &RowOrigin| match place.project_uuid.as_deref() {
        Some(PROJECT) => Consent::ALWAYS,
        _ => Consent::Unset,
    };
    assert!(outbox.read_events(PLENTY, &only_project, &SkipSet::default()).expect("read").is_none());
    capture(&home, &scope(), [event("01C")]);
    assert_eq!(ids(outbox.read_events(PLENTY, &only_project, &SkipSet::default()).expect("read")), ["01C"]);
    let change = home.cure(&scope()).release_held(Some(&PROJECT.to_uppercase())).expect("released");
    assert_eq!((change.events, change.bodies), (1, 1));
    assert_eq!(
        ids(outbox.read_events(PLENTY, &only_project, &SkipSet::default()).expect("read")),
        ["01L", "01C"]
    );
    assert_eq!(home.cure(&scope()).release_held(None).expect("released").events, 1);
    let counts = observe_counts(&home.scoped(&scope()), &only_project).expect("counts");
    assert_eq!(counts.held, []);
    // Rows that wait while a project is off stay held when it is switched on.
    let change = home.cure(&scope()).seal_held(Some(PROJECT), &all_opted_out).expect("sealed");
    assert_eq!((change.events, change.bodies), (2, 1));
}

#[test]
fn rows_written_with_sync_disabled_stay_sealed() {
    let home = Home::new();
    let legacy = legacy_db(&home);
    legacy
        .execute(
            "INSERT INTO queue(event_id, event_type, data, timestamp) VALUES ('01A', 'T',
                '{\"event_id\": \"01A\", \"project_uuid\": \"p\", \"drain_blocked_reason\": \"sync_disabled\"}', 1)",
            [],
        )
        .expect("a row");
    home.cure(&scope()).migrate(&mut ()).expect("migrated");
    assert!(
        home.outbox(&scope())
            .read_events(PLENTY, &all_opted_in, &SkipSet::default())
            .expect("read")
            .is_none()
    );
    let held = observe_counts(&home.scoped(&scope()), &all_opted_in).expect("counts").held;
    assert_eq!((held[0].reason, held[0].events), (HoldReason::Sealed, 1));
}

#[test]
fn row_rewritten_by_another_program_is_foreign() {
    let home = Home::new();
    capture(&home, &scope(), [event("01A")]);
    let mut outbox = home.outbox(&scope());
    let batch = outbox.read_events(PLENTY, &no_opt_in, &SkipSet::default()).expect("read").expect("a batch");
    let path = home.scoped(&scope());
    home.sql(&path)
        .execute("UPDATE queue SET data = '{\"event_id\": \"01A\", \"project_uuid\": \"x\"}'", [])
        .expect("rewritten");
    // The old content was on its way: its receipt is kept, the new content is not taken for delivered.
    let recorded =
        outbox.record(&[(batch.rows[0].row, batch.rows[0].digest, RowOutcome::Delivered)]).expect("recorded");
    assert_eq!((recorded.settled, recorded.vanished), (0, 1));
    assert_eq!(observe_receipts(&path, Some("01A"), "", 10).expect("receipts").len(), 1);
    assert!(outbox.read_events(PLENTY, &no_opt_in, &SkipSet::default()).expect("read").is_none());
    let held = observe_counts(&path, &no_opt_in).expect("counts").held;
    assert_eq!((held[0].project_uuid.as_deref(), held[0].reason), (Some("x"), HoldReason::NeverOptedIn));
    let batch =
        outbox.read_events(PLENTY, &all_opted_in, &SkipSet::default()).expect("read").expect("a batch");
    assert_eq!(batch.project_uuid.as_deref(), Some("x"));
}

#[test]
fn bodies_wait_for_deadline_and_events_keep_order() {
    let home = Home::new();
    capture_bodies(&home, &["spec.md", "plan.md"]);
    capture(&home, &scope(), [event("01A"), event("01B")]);
    let mut outbox = home.outbox(&scope());
    let paths = |batch: Option<queue::RowBatch<queue::OutgoingBody>>| -> Vec<String> {
        batch
            .map(|batch| batch.rows.into_iter().map(|row| row.body.artifact_path).collect())
            .unwrap_or_default()
    };
    let batch =
        outbox.read_bodies(PLENTY, &no_opt_in, &SkipSet::default(), 1e9).expect("read").expect("a batch");
    let later = RowOutcome::Retry { error: "rate_limited".into(), not_before: 2e9 };
    outbox.record(&[(batch.rows[0].row, batch.rows[0].digest, later.clone())]).expect("recorded");
    let due = |outbox: &mut queue::Outbox, now| {
        paths(outbox.read_bodies(PLENTY, &no_opt_in, &SkipSet::default(), now).expect("read"))
    };
    assert_eq!(due(&mut outbox, 1e9), ["plan.md"]);
    assert_eq!(due(&mut outbox, 2e9), ["spec.md", "plan.md"]);
    let batch = outbox.read_events(PLENTY, &no_opt_in, &SkipSet::default()).expect("read").expect("a batch");
    outbox.record(&[(batch.rows[0].row, batch.rows[0].digest, later)]).expect("recorded");
    let batch = outbox.read_events(PLENTY, &no_opt_in, &SkipSet::default()).expect("read").expect("a batch");
    assert_eq!((batch.rows[0].event_id.as_str(), batch.rows[0].retry_count), ("01A", 1));
    // A body that was delivered leaves like an event.
    let batch =
        outbox.read_bodies(PLENTY, &no_opt_in, &SkipSet::default(), 2e9).expect("read").expect("a batch");
    let outcomes: Vec<_> =
        batch.rows.iter().map(|row| (row.row, row.digest, RowOutcome::Delivered)).collect();
    assert_eq!(outbox.record(&outcomes).expect("recorded").settled, 2);
    assert_eq!(observe_counts(&home.scoped(&scope()), &no_opt_in).expect("counts").bodies, 0);
}

#[test]
fn foreign_row_that_is_no_event_is_parked_without_blocking() {
    let home = Home::new();
    capture(&home, &scope(), [event("01A")]);
    home.sql(&home.scoped(&scope()))
        .execute_batch(
            "INSERT INTO queue(event_id, event_type, data, timestamp) VALUES ('bad', 'T', 'not json', 1);
             INSERT INTO queue(event_id, event_type, data, timestamp) VALUES ('blob', 'T', x'ff', 1);",
        )
        .expect("rows of another program");
    let batch = home.outbox(&scope()).read_events(PLENTY, &all_opted_in, &SkipSet::default()).expect("read");
    assert_eq!(ids(batch), ["01A"]);
    let parked = observe_parked(&home.scoped(&scope()), 0, 10).expect("parked");
    assert_eq!(parked.iter().map(|row| row.reason.as_str()).collect::<Vec<_>>(), ["unreadable_row"; 2]);
    let kept = home
        .cure(&scope())
        .retry_parked(&[parked[0].id, parked[1].id], |_| Vec::new())
        .expect("retried")
        .kept;
    assert_eq!(kept.len(), 2);
}

#[test]
fn drain_deadline_is_kept_with_its_reason_and_shown() {
    let home = Home::new();
    let mut outbox = home.outbox(&scope());
    assert_eq!(outbox.deadline().expect("read"), None);
    outbox.set_deadline(Some(12.5), "rate_limited").expect("set");
    assert_eq!(outbox.deadline().expect("read"), Some(12.5));
    let pause = observe_counts(&home.scoped(&scope()), &no_opt_in).expect("counts").pause.expect("a pause");
    assert_eq!((pause.until, pause.reason.as_str()), (12.5, "rate_limited"));
    outbox.set_deadline(None, "").expect("cleared");
    assert_eq!(observe_counts(&home.scoped(&scope()), &no_opt_in).expect("counts").pause, None);
}

#[test]
fn export_holds_every_row_of_every_table_once() {
    let home = Home::new();
    let legacy = some_legacy(&home);
    capture(&home, &scope(), (0..1_200).map(|row| event(&format!("{row:05}"))));
    home.cure(&scope()).migrate(&mut ()).expect("migrated");
    let mut writer = home.writer(&scope());
    let _left = writer.prepare(&unproven([event("prepared")])).expect("prepared");
    let lines: Vec<serde_json::Value> = Export::of(&home.scoped(&scope()))
        .map(|line| serde_json::from_str(&line.expect("a line")).expect("json"))
        .collect();
    let of = |table: &str| lines.iter().filter(|line| line["table"] == table).count();
    assert_eq!((of("queue"), of("body_upload_queue"), of("prepared"), of("parked")), (1_201, 1, 1, 0));
    let keys: BTreeSet<_> = lines.iter().filter_map(|line| line["event_id"].as_str()).collect();
    assert_eq!(keys.len(), 1_201);
    // Any file, of any age.
    legacy_event(&legacy, "01Z", None, PROJECT);
    assert_eq!(Export::of(&home.legacy()).count(), 1);
    assert_eq!(Export::of(&home.root().join("absent.db")).count(), 0);
}

fn some_legacy(home: &Home) -> rusqlite::Connection {
    let conn = legacy_db(home);
    legacy_event(&conn, "01L", None, PROJECT);
    legacy_body(&conn, PROJECT, "spec.md");
    conn
}

#[test]
fn receipts_are_collected_only_on_request_and_nothing_else_is() {
    let home = Home::new();
    capture(&home, &scope(), [event("01A"), event("01B")]);
    let mut outbox = home.outbox(&scope());
    let batch = outbox.read_events(PLENTY, &no_opt_in, &SkipSet::default()).expect("read").expect("a batch");
    outbox.record(&[(batch.rows[0].row, batch.rows[0].digest, RowOutcome::Delivered)]).expect("recorded");
    let mut cure = home.cure(&scope());
    assert_eq!(cure.collect_receipts(0).expect("collected"), 0);
    assert_eq!(cure.collect_receipts(i64::MAX).expect("collected"), 1);
    assert_eq!(observe_counts(&home.scoped(&scope()), &no_opt_in).expect("counts").events, 1);
}
