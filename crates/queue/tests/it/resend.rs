//! Sent bytes: kept with the receipts, dropped oldest first, and sent again.

use crate::support::*;
use contract::event::ValidatedEvent;
use contract::wire::receipts::ReceiptState;
use flate2::Compression;
use flate2::write::GzEncoder;
use queue::{
    Capture, Keep, Kind, NewRow, Outbox, Outcome, ReceiptPages, RecordedRequest, Resend, ResendSelection,
    RowId, RowOutcome, SentBytes, SkipSet, Witness, observe_counts, observe_known_events, observe_sent,
};
use std::io::Write as _;
use std::ops::Range;
use testkit::gzip;

const SINCE_EVER: ResendSelection = ResendSelection::Since(0);

fn record(outbox: &mut Outbox, outcomes: &[Outcome], sent: SentBytes<'_>) {
    outbox.record_requests(&[RecordedRequest { outcomes, sent: Some(sent) }]).expect("recorded");
}

fn all(which: ResendSelection) -> Resend {
    Resend { which, project: None, mission: Vec::new() }
}

/// Delivers every waiting event in one request each of `size`; the bytes are the stored ones.
fn deliver_events(home: &Home, keep: Keep, size: usize) -> usize {
    let mut outbox = home.outbox(&scope());
    outbox.keep_sent(keep).expect("kept");
    let mut delivered = 0;
    let limits = queue::BatchLimits { rows: size, ..PLENTY };
    while let Some(batch) = outbox.read_events(limits, &all_opted_in, &SkipSet::default()).expect("read") {
        let text: String = batch.rows.iter().map(|row| row.data.as_str()).collect();
        let mut spans: Vec<(RowId, Range<usize>)> = Vec::new();
        for row in &batch.rows {
            let from = spans.last().map_or(0, |(_, span)| span.end);
            spans.push((row.row, from..from + row.data.len()));
        }
        let outcomes: Vec<_> =
            batch.rows.iter().map(|row| (row.row, row.digest, RowOutcome::Delivered)).collect();
        record(&mut outbox, &outcomes, SentBytes { packed: &gzip(text.as_bytes()), spans: &spans });
        delivered += outcomes.len();
    }
    delivered
}

fn deliver_bodies(home: &Home) {
    let mut outbox = home.outbox(&scope());
    let batch = outbox.read_bodies(PLENTY, &all_opted_in, &SkipSet::default(), f64::MAX).expect("read");
    for row in batch.expect("bodies").rows {
        let json = serde_json::to_string(&row.body).expect("json");
        let spans = [(row.row, 0..json.len())];
        let sent = SentBytes { packed: &gzip(json.as_bytes()), spans: &spans };
        record(&mut outbox, &[(row.row, row.digest, RowOutcome::Delivered)], sent);
    }
}

fn capture_body(home: &Home, path: &str, text: &str) {
    let witness = Witness::LogRow { log: "/x".into(), event_id: "y".into() };
    let rows = vec![NewRow::body(body(path, text), witness)];
    let mut writer = home.writer(&scope());
    let capture = Capture { place: place(), mission_slug: "kitty-widgets".into(), rows };
    let prepared = writer.prepare(&capture).expect("prepared");
    writer.confirm(prepared).expect("confirmed");
}

/// Waiting events: ids and texts, in the order in which they leave.
fn waiting(home: &Home) -> Vec<(String, String)> {
    let batch = home.outbox(&scope()).read_events(PLENTY, &all_opted_in, &SkipSet::default()).expect("read");
    let rows = batch.map(|batch| batch.rows).unwrap_or_default();
    rows.into_iter().map(|row| (row.event_id, row.data)).collect()
}

fn ids(range: Range<usize>) -> Vec<String> {
    range.map(|number| format!("01A{number:03}")).collect()
}

fn capture_ids(home: &Home, ids: &[String]) {
    capture(home, &scope(), ids.iter().map(|id| event(id)));
}

#[test]
fn resend_queues_the_delivered_bytes_in_their_order() {
    let home = Home::new();
    capture_ids(&home, &ids(0..7));
    let before = waiting(&home);
    assert_eq!(deliver_events(&home, Keep::default(), 3), 7);
    capture_body(&home, "spec.md", "text \u{1f431}");
    deliver_bodies(&home);

    let permit = home.cure_permit(&scope());
    let plan = queue::Cure::plan_resend(&permit, &all(SINCE_EVER), &no_opt_in).expect("a plan");
    assert_eq!((plan.events, plan.bodies, plan.held.total(), plan.gone.total()), (7, 1, 0, 0));
    assert!(waiting(&home).is_empty(), "a preview changes nothing");
    let done = home.cure(&scope()).resend(&all(SINCE_EVER), &no_opt_in).expect("queued");
    assert_eq!(done, plan);
    assert_eq!(waiting(&home), before);
    let again = home.cure(&scope()).resend(&all(SINCE_EVER), &no_opt_in).expect("queued");
    assert_eq!(again, queue::ResendReport::default(), "a repeat finds nothing");

    assert_eq!(deliver_events(&home, Keep::default(), 100), 7);
    let bodies = home.outbox(&scope()).read_bodies(PLENTY, &no_opt_in, &SkipSet::default(), 1e12);
    assert_eq!(bodies.expect("read").expect("a body").rows[0].body, body("spec.md", "text \u{1f431}"));
    deliver_bodies(&home);
    // Delivered again, the receipts settle their rows again.
    assert_eq!(capture(&home, &scope(), [event("01A000")]).already, 1);
    let again = home.cure(&scope()).resend(&all(SINCE_EVER), &no_opt_in).expect("queued");
    assert_eq!((again.events, again.bodies), (7, 1), "and can be sent once more");
}

#[test]
fn differing_sent_bytes_keep_both_receipts_true() {
    let home = Home::new();
    capture(&home, &scope(), [event("01A000")]);
    let mut outbox = home.outbox(&scope());
    let batch = outbox.read_events(PLENTY, &no_opt_in, &SkipSet::default()).expect("read").expect("rows");
    let row = &batch.rows[0];
    let sent = row.data.replace("\"team_slug\": null", "\"team_slug\": \"team-PRIV-01\"");
    assert_ne!(sent, row.data);
    let spans = [(row.row, 0..sent.len())];
    let bytes = SentBytes { packed: &gzip(sent.as_bytes()), spans: &spans };
    record(&mut outbox, &[(row.row, row.digest, RowOutcome::Delivered)], bytes);
    drop(outbox);
    home.cure(&scope()).resend(&all(SINCE_EVER), &no_opt_in).expect("queued");
    assert_eq!(waiting(&home), [("01A000".to_owned(), sent.clone())]);
    assert_eq!(deliver_events(&home, Keep::default(), 1), 1);
    assert_eq!(capture(&home, &scope(), [event("01A000")]).already, 1, "as it was stored first");
    home.cure(&scope()).resend(&all(SINCE_EVER), &no_opt_in).expect("queued");
    assert_eq!(waiting(&home), [("01A000".to_owned(), sent)], "once, whatever receipts there are");
}

#[test]
fn oldest_sent_bytes_go_by_size_and_by_age() {
    let home = Home::new();
    let path = home.scoped(&scope());
    capture_ids(&home, &ids(0..4));
    deliver_events(&home, Keep::default(), 1);
    let kept = observe_sent(&path, None).expect("kept");
    assert_eq!(kept.blocks, 4);
    // Every block counts for half a MiB, so that two fit.
    let sql = home.sql(&path);
    sql.execute_batch(
        "UPDATE sent SET bytes = 524288; UPDATE meta SET value = '2097152' WHERE key = 'sent_bytes'",
    )
    .expect("larger");
    home.outbox(&scope()).keep_sent(Keep { days: 30, mib: 1 }).expect("kept");
    assert_eq!(observe_sent(&path, None).expect("kept").blocks, 2);
    sql.execute_batch("UPDATE sent SET at = at - 31 * 86400 WHERE id = 3").expect("older");
    home.outbox(&scope()).keep_sent(Keep::default()).expect("kept");
    assert_eq!(observe_sent(&path, None).expect("kept").blocks, 1);
    let plan = queue::Cure::plan_resend(&home.cure_permit(&scope()), &all(SINCE_EVER), &no_opt_in);
    let plan = plan.expect("a plan");
    assert_eq!((plan.events, plan.gone.events), (1, 3), "receipts stay and are counted");
    home.outbox(&scope()).keep_sent(Keep { days: 0, mib: 256 }).expect("kept");
    assert_eq!(observe_sent(&path, None).expect("kept").blocks, 0);
    capture_ids(&home, &ids(4..5));
    deliver_events(&home, Keep { days: 0, mib: 256 }, 1);
    assert_eq!(observe_sent(&path, None).expect("kept").blocks, 0, "nothing is kept");
}

#[test]
fn resend_of_rows_without_bytes_lets_history_capture_them_again() {
    let home = Home::new();
    capture_ids(&home, &ids(0..2));
    deliver_events(&home, Keep { days: 0, mib: 0 }, 10);
    let path = home.scoped(&scope());
    assert_eq!(observe_known_events(&path, &ids(0..2)).expect("known").len(), 2);
    let key = home.writer(&scope()).capture_key().expect("a key");
    let missing = ResendSelection::Missing(vec![(Kind::Event, "01A001".into())]);
    let done = home.cure(&scope()).resend(&all(missing), &no_opt_in).expect("marked");
    assert_eq!((done.events, done.gone.events), (0, 1));
    assert_eq!(observe_known_events(&path, &ids(0..2)).expect("known").len(), 1);
    assert_ne!(home.writer(&scope()).capture_key().expect("a key"), key, "documents are captured again, too");
    assert_eq!(capture(&home, &scope(), [event("01A000"), event("01A001")]).already, 1);
    assert_eq!(waiting(&home).len(), 1);
}

#[test]
fn resend_of_an_opted_out_project_is_held() {
    let home = Home::new();
    capture_ids(&home, &ids(0..2));
    deliver_events(&home, Keep::default(), 10);
    let done = home.cure(&scope()).resend(&all(SINCE_EVER), &all_opted_out).expect("queued");
    assert_eq!((done.events, done.held.events), (2, 2));
    let counts = observe_counts(&home.scoped(&scope()), &all_opted_out).expect("counts");
    assert_eq!((counts.held.len(), counts.held[0].events), (1, 2));
}

#[test]
fn resend_takes_only_the_named_project_and_mission() {
    let home = Home::new();
    let slug = serde_json::json!({"mission_slug": "other-01KRX11M", "wp_id": "WP01"});
    let other = event_of("01B", "WPStatusChanged", slug);
    capture(&home, &scope(), [event("01A000"), other]);
    deliver_events(&home, Keep::default(), 10);
    let mut resend = Resend { which: SINCE_EVER, project: Some(None), mission: Vec::new() };
    let plan = |resend: &Resend| {
        queue::Cure::plan_resend(&home.cure_permit(&scope()), resend, &no_opt_in).expect("a plan").events
    };
    assert_eq!(plan(&resend), 0, "no row is without a project");
    resend.project = Some(Some(PROJECT.to_owned()));
    assert_eq!(plan(&resend), 2);
    for (name, rows) in [("other-01KRX11M", 1), ("01KRX11M", 1), ("01KRX11", 0), ("kitty-widgets", 0)] {
        resend.mission = vec![name.to_owned()];
        assert_eq!(plan(&resend), rows, "{name}");
    }
}

#[test]
fn dropping_a_resent_row_settles_it_for_good() {
    let home = Home::new();
    capture_ids(&home, &ids(0..1));
    deliver_events(&home, Keep::default(), 1);
    home.cure(&scope()).resend(&all(SINCE_EVER), &no_opt_in).expect("queued");
    let mut outbox = home.outbox(&scope());
    let batch = outbox.read_events(PLENTY, &no_opt_in, &SkipSet::default()).expect("read").expect("rows");
    let park = RowOutcome::Park { reason: "rejected".into(), detail: "no".into() };
    outbox.record(&[(batch.rows[0].row, batch.rows[0].digest, park)]).expect("parked");
    drop(outbox);
    home.cure(&scope()).drop_parked(&[1], "not wanted there").expect("dropped");
    assert_eq!(capture(&home, &scope(), [event("01A000")]).already, 1);
    let again = home.cure(&scope()).resend(&all(SINCE_EVER), &no_opt_in).expect("nothing");
    assert_eq!(again.events, 0);
}

#[test]
fn warning_ends_when_the_older_receipts_are_held() {
    let home = Home::new();
    capture_ids(&home, &ids(0..2));
    deliver_events(&home, Keep::default(), 10);
    let mut outbox = home.outbox(&scope());
    let asked = outbox.newest_receipts().expect("receipts");
    assert_eq!((asked.len(), asked[0].event.as_deref(), &asked[0].body), (1, Some("01A001"), &None));
    let missing = [(Some(ReceiptState::Missing), None)];
    let warned = outbox.record_answers(&asked, &missing).expect("recorded").expect("a warning");
    assert_eq!(warned.projects[0].project_uuid.as_deref(), Some(PROJECT));
    drop(outbox);
    let path = home.scoped(&scope());
    assert!(observe_counts(&path, &no_opt_in).expect("counts").rewound.is_some());

    // A newer delivery does not hide what is missing: the receipt of the warning is asked about again.
    capture_ids(&home, &ids(2..3));
    deliver_events(&home, Keep::default(), 10);
    let mut outbox = home.outbox(&scope());
    let asked = outbox.newest_receipts().expect("receipts");
    assert_eq!(asked[0].event.as_deref(), Some("01A001"));
    assert!(outbox.record_answers(&asked, &[(None, None)]).expect("recorded").is_some(), "no answer");
    let unknown = [(Some(ReceiptState::Unknown), None)];
    assert!(
        outbox.record_answers(&asked, &unknown).expect("recorded").is_some(),
        "a value of a later release"
    );
    drop(outbox);

    // One of the two is sent again: the older one is asked about, which the server lacks as well.
    let one = ResendSelection::Missing(vec![(Kind::Event, "01A001".into())]);
    let one = Resend { mission: vec!["WP01".into()], ..all(one) };
    assert_eq!(home.cure(&scope()).resend(&one, &no_opt_in).expect("nothing").events, 0);
    let sql = home.sql(&path);
    sql.execute_batch("UPDATE receipts SET again = 1 WHERE key = '01A001'").expect("marked");
    let mut outbox = home.outbox(&scope());
    let asked = outbox.newest_receipts().expect("receipts");
    assert_eq!(asked[0].event.as_deref(), Some("01A000"));
    assert!(outbox.record_answers(&asked, &missing).expect("recorded").is_some());
    let held = [(Some(ReceiptState::Forgotten), None)];
    assert_eq!(outbox.record_answers(&asked, &held).expect("recorded"), None, "forgotten is not missing");
    assert!(observe_counts(&path, &no_opt_in).expect("counts").rewound.is_none());
}

#[test]
fn duplicate_does_not_hide_a_loss_behind_it() {
    let home = Home::new();
    capture_ids(&home, &ids(0..2));
    let mut outbox = home.outbox(&scope());
    let batch = outbox.read_events(PLENTY, &no_opt_in, &SkipSet::default()).expect("read").expect("rows");
    let outcomes = [RowOutcome::Delivered, RowOutcome::Duplicate];
    for (row, outcome) in batch.rows.iter().zip(outcomes) {
        outbox.record(&[(row.row, row.digest, outcome)]).expect("recorded");
    }
    let names = |asked: &[queue::ProjectReceipts]| {
        asked.iter().map(|receipts| receipts.event.clone().expect("an event")).collect::<Vec<_>>()
    };
    let asked = outbox.newest_receipts().expect("receipts");
    assert_eq!(names(&asked), ["01A001", "01A000"], "the duplicate, and the newest row that was new");
    use ReceiptState::{Held, Missing};
    for (answers, is_lost) in [
        ([Some(Held), Some(Missing)], true),
        ([Some(Held), None], true),
        ([Some(Held), Some(Held)], false),
        ([Some(Held), None], false),
        ([Some(Missing), Some(Held)], true),
    ] {
        let answers = answers.map(|event| (event, None));
        let warning = outbox.record_answers(&asked, &answers).expect("recorded");
        assert_eq!(warning.is_some(), is_lost, "{answers:?}");
    }
    drop(outbox);
    capture_ids(&home, &ids(2..3));
    deliver_events(&home, Keep::default(), 10);
    let asked = home.outbox(&scope()).newest_receipts().expect("receipts");
    assert_eq!(names(&asked), ["01A001", "01A000"], "those of the warning");

    // At most three duplicates, and then a row that was new.
    let home = Home::new();
    capture_ids(&home, &ids(0..6));
    let mut outbox = home.outbox(&scope());
    let batch = outbox.read_events(PLENTY, &no_opt_in, &SkipSet::default()).expect("read").expect("rows");
    for (at, row) in batch.rows.iter().enumerate() {
        let outcome = if at < 2 { RowOutcome::Delivered } else { RowOutcome::Duplicate };
        outbox.record(&[(row.row, row.digest, outcome)]).expect("recorded");
    }
    let asked = outbox.newest_receipts().expect("receipts");
    assert_eq!(names(&asked), ["01A005", "01A004", "01A003", "01A001"]);
}

#[test]
fn each_of_eight_projects_is_asked_about_before_older_receipts() {
    let home = Home::new();
    let projects: Vec<String> = (0..8).map(|n| format!("{n}{}", &PROJECT[1..])).collect();
    for (n, project) in projects.iter().chain(&projects).enumerate() {
        let text = event(&format!("01A{n:03}")).text().replace(PROJECT, project);
        let mut rows = unproven([ValidatedEvent::unvalidated(text)]);
        rows.place.project_uuid = Some(project.clone());
        let mut writer = home.writer(&scope());
        let prepared = writer.prepare(&rows).expect("prepared");
        writer.confirm(prepared).expect("confirmed");
    }
    let mut outbox = home.outbox(&scope());
    while let Some(batch) = outbox.read_events(PLENTY, &no_opt_in, &SkipSet::default()).expect("read") {
        for (at, row) in batch.rows.iter().enumerate() {
            let outcome = if at == 0 { RowOutcome::Delivered } else { RowOutcome::Duplicate };
            outbox.record(&[(row.row, row.digest, outcome)]).expect("recorded");
        }
    }
    let asked_of = |asked: &[queue::ProjectReceipts]| {
        let mut asked: Vec<_> = asked.iter().map(|receipts| receipts.project_uuid.clone().unwrap()).collect();
        asked.sort();
        asked
    };
    let asked = outbox.newest_receipts().expect("receipts");
    assert_eq!(asked_of(&asked), projects);
    let answers: Vec<_> =
        (0..8).map(|at| (Some([ReceiptState::Missing, ReceiptState::Held][at % 2]), None)).collect();
    let warned = outbox.record_answers(&asked, &answers).expect("recorded").expect("a warning");
    assert_eq!(warned.projects.len(), 4);
    // Their older receipts were not named, so an answer about the newest does not end the warnings.
    let asked = outbox.newest_receipts().expect("receipts");
    assert_eq!(asked_of(&asked), projects);
    let held = [(Some(ReceiptState::Held), None); 8];
    let warned = outbox.record_answers(&asked, &held).expect("recorded").expect("a warning");
    assert_eq!(warned.projects.len(), 4);
}

#[test]
fn resend_of_the_missing_rows_ends_the_warning() {
    let home = Home::new();
    capture_ids(&home, &ids(0..3));
    deliver_events(&home, Keep::default(), 10);
    let mut outbox = home.outbox(&scope());
    let asked = outbox.newest_receipts().expect("receipts");
    outbox.record_answers(&asked, &[(Some(ReceiptState::Missing), None)]).expect("a warning");
    drop(outbox);
    let path = home.scoped(&scope());
    let mut pages = ReceiptPages::of(&path, None).expect("pages");
    let mut keys = Vec::new();
    while let Some((kind, page)) = pages.next_page(2).expect("a page") {
        keys.extend(page.into_iter().map(|key| (kind, key)));
    }
    let newest_first: Vec<&str> = keys.iter().map(|(_, key)| key.as_str()).collect();
    assert_eq!(newest_first, ["01A002", "01A001", "01A000"]);
    let done = home.cure(&scope()).resend(&all(ResendSelection::Missing(keys)), &no_opt_in).expect("queued");
    assert_eq!(done.events, 3);
    assert!(observe_counts(&path, &no_opt_in).expect("counts").rewound.is_none());
    assert!(home.outbox(&scope()).newest_receipts().expect("receipts").is_empty(), "nothing is claimed");
}

#[test]
fn queue_of_the_first_schema_is_upgraded_in_place() {
    let home = Home::new();
    capture_ids(&home, &ids(0..2));
    deliver_events(&home, Keep::default(), 10);
    let path = home.scoped(&scope());
    home.sql(&path)
        .execute_batch(
            "DROP INDEX receipts_order; DROP TABLE sent;
             CREATE TABLE old (kind INTEGER NOT NULL, key TEXT NOT NULL, digest BLOB NOT NULL,
                server TEXT NOT NULL, at INTEGER NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
                PRIMARY KEY (kind, key, digest)) WITHOUT ROWID;
             INSERT INTO old SELECT kind, key, digest, server, at, outcome, reason FROM receipts;
             DROP TABLE receipts; ALTER TABLE old RENAME TO receipts;
             UPDATE meta SET value = 1 WHERE key = 'schema_version'; DELETE FROM meta WHERE key LIKE '%seq';",
        )
        .expect("schema 1");
    // Looking upgrades nothing and understands the older file.
    assert_eq!(observe_known_events(&path, &ids(0..2)).expect("known").len(), 2);
    assert_eq!(observe_sent(&path, None).expect("none").blocks, 0);
    assert_eq!(queue::observe_health(&path, queue::QueueFile::Active).expect("health"), None);
    assert_eq!(observe_counts(&path, &no_opt_in).expect("counts").events, 0);
    let plan = queue::Cure::plan_migration(&home.cure_permit(&scope()));
    plan.expect("migration reads the older receipts");
    // Opening does.
    let mut outbox = home.outbox(&scope());
    let asked = outbox.newest_receipts().expect("receipts");
    assert_eq!(asked.len(), 1, "older receipts are asked about, without a project");
    assert_eq!(asked[0].project_uuid, None);
    drop(outbox);
    assert_eq!(capture(&home, &scope(), [event("01A000")]).already, 1);
    let done = home.cure(&scope()).resend(&all(SINCE_EVER), &no_opt_in).expect("marked");
    assert_eq!(done.gone.events, 2);
}

#[test]
fn salvage_keeps_sent_bytes_and_their_receipts() {
    let home = Home::new();
    capture_ids(&home, &ids(0..3));
    let before = waiting(&home);
    deliver_events(&home, Keep::default(), 2);
    let path = home.scoped(&scope());
    let salvaged = queue::salvage(&path, queue::QueueFile::Active).expect("salvaged").expect("a file");
    fs_err::rename(&salvaged.path, &path).expect("in its place");
    drop(salvaged);
    assert_eq!(observe_sent(&path, None).expect("kept").blocks, 2);
    home.cure(&scope()).resend(&all(SINCE_EVER), &no_opt_in).expect("queued");
    assert_eq!(waiting(&home), before);
}

#[test]
fn discarded_bytes_are_erased_from_the_file() {
    let home = Home::new();
    let marker = "ZZ-marker-that-does-not-compress-4711";
    capture(&home, &scope(), [event_of("01A", "HistoryAdded", serde_json::json!({ "text": marker }))]);
    let mut outbox = home.outbox(&scope());
    let batch = outbox.read_events(PLENTY, &no_opt_in, &SkipSet::default()).expect("read").expect("rows");
    let row = &batch.rows[0];
    let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
    gzip.write_all(row.data.as_bytes()).expect("memory");
    let packed = gzip.finish().expect("memory");
    let spans = [(row.row, 0..row.data.len())];
    let sent = SentBytes { packed: &packed, spans: &spans };
    record(&mut outbox, &[(row.row, row.digest, RowOutcome::Delivered)], sent);
    drop(outbox);
    let path = home.scoped(&scope());
    let stored = |what: &str| {
        let count: i64 = home
            .sql(&path)
            .query_row("SELECT COUNT(*) FROM sent WHERE instr(packed, ?1) > 0", [what], |row| row.get(0))
            .expect("a count");
        count
    };
    assert_eq!(stored(marker), 1);
    assert_eq!(home.cure(&scope()).discard_sent_of(Some(OTHER_PROJECT)).expect("none").blocks, 0);
    assert_eq!(home.cure(&scope()).discard_sent_of(Some(PROJECT)).expect("gone").blocks, 1);
    assert_eq!(stored(marker), 0);
    capture_ids(&home, &ids(0..1));
    deliver_events(&home, Keep::default(), 1);
    assert_eq!(home.cure(&scope()).discard_sent(Some(0)).expect("none").blocks, 0);
    assert_eq!(home.cure(&scope()).discard_sent(None).expect("gone").blocks, 1);
}
