//! Acts on a queue, as commands and drains perform them: used by processes that may die and by the test that
//! looks afterwards.

use crate::support::*;
use contract::Scope;
use queue::{
    Capacity, Capture, Captured, Cure, MigrationReport, NewRow, QueueError, RowOutcome, Settled, Unparked,
    Unsettled, Witness, Writer,
};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The mission of every capture.
const MISSION: &str = "kitty-widgets";

/// Most rows of a long capture that are prepared in one transaction.
pub const PREPARED_TOGETHER: usize = 1000;

/// A row as the tests distinguish it: its key, and whether its content is that of a capture or of a legacy
/// row.
pub type Fact = (String, char);

impl Stage {
    /// The mission's canonical log.
    pub fn log(&self) -> PathBuf {
        self.root().join("status.events.jsonl")
    }

    /// One line for each row that a process has acknowledged.
    pub fn acks(&self) -> PathBuf {
        self.root().join("acks")
    }

    /// One line for each row that was sent.
    pub fn wire(&self) -> PathBuf {
        self.root().join("wire")
    }

    /// Captures events and bodies as a command does: prepare, append to the log, confirm, acknowledge.
    pub fn capture(&self, scope: &Scope, ids: &[String], bodies: &[String]) -> Captured {
        self.try_capture(scope, ids, bodies).expect("captured")
    }

    /// The same where the disk may fail.
    pub fn try_capture(
        &self,
        scope: &Scope,
        ids: &[String],
        bodies: &[String],
    ) -> Result<Captured, QueueError> {
        let mut writer = Writer::open(&capture_permit(self.facts(scope)), Capacity(100_000))?;

        let events = ids.iter().map(|id| {
            let witness = Witness::LogRow { log: self.log(), event_id: id.clone() };
            NewRow::event(event(id), witness)
        });
        let anchor = ids.first().cloned().unwrap_or_default();
        let bodies = bodies.iter().map(|path| {
            let witness = Witness::Row { kind: queue::Kind::Event, key: anchor.clone() };
            NewRow::body(body(path, "text"), witness)
        });
        let rows: Vec<NewRow> = events.chain(bodies).collect();
        let mut captures = rows.chunks(PREPARED_TOGETHER).map(|rows| Capture {
            place: place(),
            mission_slug: MISSION.to_owned(),
            rows: rows.to_vec(),
        });
        let mut prepared = writer.prepare(&captures.next().expect("rows"))?;
        captures.try_for_each(|capture| writer.prepare_more(&mut prepared, &capture))?;
        append(&self.log(), ids.iter().map(|id| format!("{{\"event_id\": \"{id}\"}}")));
        let captured = writer.confirm(prepared)?;
        append(&self.acks(), ids.iter().cloned());
        Ok(captured)
    }

    pub fn settle(&self, scope: &Scope) -> Settled {
        let unsettled = Unsettled { mission_slug: MISSION.to_owned(), checkout: place().checkout };
        self.cure(scope).settle(&unsettled, |_| Vec::new()).expect("settled")
    }

    pub fn migrate(&self, scope: &Scope) -> MigrationReport {
        self.try_migrate(scope).expect("migrated")
    }

    /// The same where the disk may fail.
    pub fn try_migrate(&self, scope: &Scope) -> Result<MigrationReport, QueueError> {
        Cure::open(&cure_permit(self.facts(scope)))?.migrate(&mut ())
    }

    /// Sends everything that may leave.
    pub fn deliver(&self, scope: &Scope) {
        self.drain(scope, &|| RowOutcome::Delivered);
    }

    /// Has everything that may leave refused.
    pub fn park(&self, scope: &Scope) {
        self.drain(scope, &|| RowOutcome::Park { reason: "rejected".into(), detail: "no".into() });
    }

    fn drain(&self, scope: &Scope, outcome: &dyn Fn() -> RowOutcome) {
        let mut outbox = self.outbox(scope);
        while let Some(batch) = outbox.read_events(PLENTY, &all_opted_in, &Default::default()).expect("read")
        {
            append(
                &self.wire(),
                batch.rows.iter().map(|row| format!("{}|{}", row.event_id, content(&row.data))),
            );
            let outcomes: Vec<_> = batch.rows.iter().map(|row| (row.row, row.digest, outcome())).collect();
            outbox.record(&outcomes).expect("recorded");
        }
        while let Some(batch) =
            outbox.read_bodies(PLENTY, &all_opted_in, &Default::default(), f64::MAX).expect("read")
        {
            append(&self.wire(), batch.rows.iter().map(|row| format!("{}|b", row.body.artifact_path)));
            let outcomes: Vec<_> = batch.rows.iter().map(|row| (row.row, row.digest, outcome())).collect();
            outbox.record(&outcomes).expect("recorded");
        }
    }

    /// Puts every parked row back that can be.
    pub fn retry(&self, scope: &Scope) -> Unparked {
        let rows = queue::observe_parked(&self.scoped(scope), i64::MIN, usize::MAX).expect("parked");
        let ids: Vec<i64> = rows.into_iter().map(|row| row.id).collect();
        self.cure(scope).retry_parked(&ids, |_| Vec::new()).expect("retried")
    }

    /// Number of times that each fact waits in the scope's queue DB.
    pub fn waiting(&self, scope: &Scope) -> BTreeMap<Fact, u32> {
        self.facts_in(&self.scoped(scope), "SELECT event_id, data FROM queue")
    }

    /// Number of times that each fact is parked there.
    pub fn parked(&self, scope: &Scope) -> BTreeMap<Fact, u32> {
        self.facts_in(&self.scoped(scope), "SELECT key, payload FROM parked WHERE kind = 0")
    }

    /// Number of times that each fact lies in the legacy queue DB.
    pub fn in_legacy(&self) -> BTreeMap<Fact, u32> {
        self.facts_in(&self.legacy(), "SELECT event_id, data FROM queue")
    }

    fn facts_in(&self, path: &Path, sql: &str) -> BTreeMap<Fact, u32> {
        let mut found = BTreeMap::new();
        if !path.exists() {
            return found;
        }
        let conn = Connection::open(path).expect("a database");
        let Ok(mut select) = conn.prepare(sql) else { return found };
        let rows = select
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
            .expect("rows");
        for (key, data) in rows.map(|row| row.expect("a row")) {
            *found.entry((key, content(&data))).or_default() += 1;
        }
        found
    }

    /// Keys with a receipt.
    pub fn delivered(&self, scope: &Scope) -> BTreeSet<String> {
        self.texts(&self.scoped(scope), "SELECT key FROM receipts WHERE kind = 0 AND outcome <> 'dropped'")
    }

    /// One column of a file.
    pub fn texts(&self, path: &Path, sql: &str) -> BTreeSet<String> {
        let conn = Connection::open(path).expect("a database");
        let mut select = conn.prepare(sql).expect("a statement");
        select.query_map([], |row| row.get(0)).expect("rows").map(|row| row.expect("text")).collect()
    }

    /// Rows of a table of the scope's queue DB; none when there is no file.
    pub fn count(&self, scope: &Scope, table: &str) -> i64 {
        let path = self.scoped(scope);
        if path.exists() { count(&Connection::open(path).expect("a database"), table) } else { 0 }
    }
}

/// Content of a stored event, one of two.
fn content(data: &str) -> char {
    if data.contains("WPStatusChanged") { 'c' } else { 'l' }
}

/// Appends lines with one write each, as a process does that may die between any two.
fn append(path: &Path, lines: impl Iterator<Item = String>) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("a file");
    for line in lines {
        file.write_all(format!("{line}\n").as_bytes()).expect("appended");
    }
}

/// The lines of a file; none when it is absent.
pub fn lines(path: &Path) -> Vec<String> {
    fs_err::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// A map of facts that are there once.
pub fn once<'a>(ids: impl IntoIterator<Item = &'a str>, content: char) -> BTreeMap<Fact, u32> {
    ids.into_iter().map(|id| ((id.to_owned(), content), 1)).collect()
}

/// A legacy file with rows of no account, of ours and of others; and a scoped queue with one of them.
pub fn legacy_of_two(stage: &Stage) {
    stage.capture(&scope(), &["01Z".to_owned()], &[]);
    let legacy = Connection::open(stage.legacy()).expect("a database");
    legacy.execute_batch("PRAGMA synchronous = OFF").expect("a fast test");
    legacy.execute_batch(REFERENCE_TABLES).expect("tables");
    for id in unnamed() {
        legacy_event(&legacy, &id, None, PROJECT);
    }
    legacy_event(&legacy, "01O", Some("team-PRIV-01"), PROJECT);
    legacy_event(&legacy, "01Z", None, PROJECT);
    legacy_event(&legacy, "01X", Some("team-OTHER-02"), OTHER_PROJECT);
    legacy_body(&legacy, PROJECT, "spec.md");
    legacy_body(&legacy, OTHER_PROJECT, "theirs.md");
    legacy_failure(&legacy, PROJECT, "spec.md");
}

/// Rows of [`legacy_of_two`] that name no account.
pub fn unnamed() -> Vec<String> {
    (0..20).map(|number| format!("01N{number:02}")).collect()
}

/// The end of a migration of [`legacy_of_two`], whatever happened on the way.
#[track_caller]
pub fn assert_migrated(stage: &Stage, after: &str) {
    let mut expected = once(unnamed().iter().map(String::as_str).chain(["01O"]), 'l');
    expected.extend(once(["01Z"], 'c'));
    assert_eq!(stage.waiting(&scope()), expected, "{after}");
    assert_eq!(stage.parked(&scope()), once(["01Z"], 'l'), "{after}: other content is kept beside");
    assert_eq!(stage.count(&scope(), "body_upload_queue"), 1, "{after}");
    assert_eq!(stage.count(&scope(), "body_upload_failure_log"), 1, "{after}");
    assert_eq!(stage.in_legacy(), once(["01X"], 'l'), "{after}: what is others' stays");
    let legacy = Connection::open(stage.legacy()).expect("a database");
    assert_eq!((count(&legacy, "body_upload_queue"), count(&legacy, "claims")), (1, 0), "{after}");
    assert!(!stage.scoped(&other_scope()).exists(), "{after}");
}
