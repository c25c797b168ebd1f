//! A home with two queues, and permits for it.

use contract::event::ValidatedEvent;
use contract::wire::ArtifactBody;
use contract::{Consent, Scope};
use gate::{CapturePermit, CurePermit, EgressPermit, Facts, Policy};
use queue::{BatchLimits, Capacity, Capture, NewRow, RowOrigin, Witness, Writer};
use rusqlite::Connection;
use serde_json::json;
use std::path::{Path, PathBuf};
pub use testkit::reference_queue::REFERENCE_TABLES;
use testkit::reference_queue::add_failure;

pub const PROJECT: &str = "164b830e-0aa9-486a-80e9-73e0ff9bd516";
pub const OTHER_PROJECT: &str = "8a4a7da6-a97c-4bb4-893a-b31664abfee4";
pub const PLENTY: BatchLimits = BatchLimits { rows: 1_000, bytes: 64 * 1024 * 1024 };

/// The state root of a home of one machine, shared by several processes.
#[derive(Clone, Debug)]
pub struct Stage {
    root: PathBuf,
}

impl Stage {
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn legacy(&self) -> PathBuf {
        self.root.join("queue.db")
    }

    pub fn scoped(&self, scope: &Scope) -> PathBuf {
        self.root.join("queues").join(scope.queue_file_name())
    }

    /// Facts of a coherent machine, with the active queue as it is.
    pub fn facts(&self, scope: &Scope) -> Facts {
        let path = self.scoped(scope);
        // Busy is a result of its own (exit 69): the caller tries again.
        let id = loop {
            match queue::observe_active(&path) {
                Err(queue::ObserveError::Busy(_)) => {}
                active => break active.ok().and_then(|active| active.queue_id),
            }
        };
        facts(scope, &path, &self.legacy(), id)
    }

    pub fn capture_permit(&self, scope: &Scope) -> CapturePermit {
        capture_permit(self.facts(scope))
    }

    pub fn egress_permit(&self, scope: &Scope) -> EgressPermit {
        egress_permit(self.facts(scope))
    }

    pub fn cure_permit(&self, scope: &Scope) -> CurePermit {
        cure_permit(self.facts(scope))
    }

    pub fn writer(&self, scope: &Scope) -> Writer {
        Writer::open(&self.capture_permit(scope), Capacity(100_000)).expect("a writer")
    }

    pub fn cure(&self, scope: &Scope) -> queue::Cure {
        queue::Cure::open(&self.cure_permit(scope)).expect("a cure")
    }

    pub fn outbox(&self, scope: &Scope) -> queue::Outbox {
        queue::Outbox::open(&self.egress_permit(scope)).expect("an outbox")
    }
}

/// A temporary home.
pub struct Home {
    pub dir: tempfile::TempDir,
    stage: Stage,
}

impl std::ops::Deref for Home {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

impl Home {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self { stage: Stage::at(&dir.path().join(".spec-kitty")), dir }
    }

    /// Copies a directory of the recorded fixtures over the home.
    pub fn copy_from(&self, fixture: &Path) {
        testkit::tree::copy(fixture, self.root()).expect("a copy");
    }

    /// A raw look at a database.
    pub fn sql(&self, path: &Path) -> Connection {
        Connection::open(path).expect("a database")
    }
}

pub fn facts(scope: &Scope, queue_path: &Path, legacy_path: &Path, queue_id: Option<String>) -> Facts {
    let mut facts = testkit::facts::coherent(scope, queue_path, queue_id);
    facts.legacy.path = legacy_path.into();
    facts
}

#[allow(clippy::disallowed_methods)]
pub fn capture_permit(facts: Facts) -> CapturePermit {
    gate::judge(facts, Policy { require_auth: true }).into_capture_permit().expect("coherent")
}

#[allow(clippy::disallowed_methods)]
pub fn egress_permit(facts: Facts) -> EgressPermit {
    gate::judge(facts, Policy { require_auth: true }).into_egress_permit().expect("coherent")
}

#[allow(clippy::disallowed_methods)]
pub fn cure_permit(facts: Facts) -> CurePermit {
    gate::judge(facts, Policy { require_auth: false }).cure_permit().expect("a scope")
}

pub fn scope() -> Scope {
    Scope::new("https://example.invalid", "dev@example.com", "team-PRIV-01")
}

pub fn other_scope() -> Scope {
    Scope::new("https://example.invalid", "mallory@example.com", "team-OTHER-02")
}

pub fn place() -> RowOrigin {
    RowOrigin {
        project_uuid: Some(PROJECT.into()),
        repo_slug: Some("acme/widgets".into()),
        checkout: Some("/srv/widgets".into()),
    }
}

pub fn event(id: &str) -> ValidatedEvent {
    event_of(id, "WPStatusChanged", json!({"wp_id": "WP01"}))
}

pub fn event_of(id: &str, event_type: &str, payload: serde_json::Value) -> ValidatedEvent {
    let envelope = json!({
        "event_id": id, "event_type": event_type, "payload": payload, "project_uuid": PROJECT, "team_slug": null,
    });
    ValidatedEvent::unvalidated(contract::json::ordered_line(&envelope))
}

pub fn body(path: &str, text: &str) -> ArtifactBody {
    testkit::events::body(PROJECT, "kitty-widgets", path, text)
}

/// Rows with a witness that is not there.
pub fn unproven(rows: impl IntoIterator<Item = ValidatedEvent>) -> Capture {
    let rows = rows.into_iter().map(|row| {
        let event_id = row.id().to_owned();
        NewRow::event(row, Witness::LogRow { log: "/nowhere/status.events.jsonl".into(), event_id })
    });
    Capture { place: place(), mission_slug: "kitty-widgets".into(), rows: rows.collect() }
}

/// Captures events, confirmed.
pub fn capture(
    home: &Home,
    scope: &Scope,
    rows: impl IntoIterator<Item = ValidatedEvent>,
) -> queue::Captured {
    let mut writer = home.writer(scope);
    let prepared = writer.prepare(&unproven(rows)).expect("prepared");
    writer.confirm(prepared).expect("confirmed")
}

pub fn all_opted_in(_: &RowOrigin) -> Consent {
    Consent::ALWAYS
}

pub fn no_opt_in(_: &RowOrigin) -> Consent {
    Consent::Unset
}

pub fn all_opted_out(_: &RowOrigin) -> Consent {
    Consent::OptedOut
}

pub fn legacy_failure(conn: &Connection, project: &str, path: &str) {
    add_failure(conn, project, path);
}

pub fn count(conn: &Connection, table: &str) -> i64 {
    conn.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0)).expect("a count")
}

/// The recorded fixtures.
pub fn fixtures() -> PathBuf {
    testkit::shared().join("fixtures/disk")
}

/// Creates a legacy queue DB with the reference's tables.
pub fn legacy_db(home: &Home) -> Connection {
    fs_err::create_dir_all(home.root()).expect("a directory");
    let conn = home.sql(&home.legacy());
    conn.execute_batch("PRAGMA synchronous = OFF").expect("a fast test");
    conn.execute_batch(REFERENCE_TABLES).expect("tables");
    conn
}

pub fn legacy_event(conn: &Connection, id: &str, team: Option<&str>, project: &str) {
    let data = json!({
        "event_id": id, "event_type": "WPCreated", "payload": {}, "team_slug": team, "project_uuid": project,
        "repo_slug": "acme/widgets",
    });
    conn.execute(
        "INSERT INTO queue(event_id, event_type, data, timestamp) VALUES (?1, 'WPCreated', ?2, 1000)",
        [id, &data.to_string()],
    )
    .expect("an event");
}

pub fn legacy_body(conn: &Connection, project: &str, path: &str) {
    let row = body(path, "text");
    conn.execute(
        "INSERT INTO body_upload_queue(project_uuid, mission_slug, target_branch, mission_type, manifest_version,
            artifact_path, content_hash, content_body, size_bytes, created_at)
         VALUES (?1, 'm', 'main', 'software-dev', '1', ?2, ?3, 'text', 4, 1000.5)",
        [project, path, &row.content_hash],
    )
    .expect("a body");
}
