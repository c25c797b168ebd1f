//! Project stores as releases 3.2.0 to 3.2.7 write them: `projects/<uuid>/sync/sync.db`, with rows of the test.

use rusqlite::{Connection, params};
use serde_json::json;
use std::path::{Path, PathBuf};

/// A store under construction. Its project is opted in when it is created so; the first epoch is the one before
/// any decision, the second the one of the opt-in.
#[derive(Debug)]
pub struct ProjectStoreFile {
    path: PathBuf,
    project: String,
    db: Connection,
}

/// The epoch before a decision.
pub const BEFORE: i64 = 1;
/// The epoch of the opt-in.
pub const OPTED_IN: i64 = 2;

#[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
impl ProjectStoreFile {
    /// Creates the store of `project` in the state directory `root`.
    ///
    /// # Panics
    /// When the file cannot be made.
    pub fn create(root: &Path, project: &str) -> Self {
        let path = root.join("projects").join(project).join("sync").join("sync.db");
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("the directory of the store");
        let db = Connection::open(&path).expect("a store");
        db.execute_batch(SCHEMA).expect("the tables of the store");
        db.execute(
            "INSERT INTO project_store_metadata VALUES (1, ?1, 1, 1, '2026-06-01T08:00:00+00:00')",
            [project],
        )
        .expect("the owner");
        db.execute(
            "INSERT INTO consent_epochs VALUES (1, ?1, 0, 'capture_only', NULL, NULL, NULL, 'initial_capture')",
            [project],
        )
        .expect("an epoch");
        Self { path, project: project.to_owned(), db }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records an opt-in: the first epoch is sealed, the second is open.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn opt_in(&self) -> &Self {
        let project = &self.project;
        self.db
            .execute(
                "INSERT INTO project_consent_decisions
                 VALUES (?1, 'granted', 1, 'explicit_opt_in', 'local-operator', '2026-06-01T09:00:00+00:00', 1)",
                [project],
            )
            .expect("a decision");
        self.db
            .execute_batch("UPDATE consent_epochs SET state = 'sealed' WHERE epoch_id = 1")
            .expect("sealed");
        self.db
            .execute(
                "INSERT INTO consent_epochs VALUES (2, ?1, 0, 'eligible', 1, NULL, NULL, 'opt_in')",
                [project],
            )
            .expect("an epoch");
        self
    }

    /// Records an opt-out before anything was sent.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn opt_out(&self) -> &Self {
        self.db
            .execute(
                "INSERT INTO project_consent_decisions
                 VALUES (?1, 'refused', 1, 'explicit_opt_out', 'local-operator', '2026-06-01T09:00:00+00:00', 1)",
                [&self.project],
            )
            .expect("a decision");
        self
    }

    /// Binds the project to an account at a server.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn admit(&self, server: &str, account: &str, team: &str) -> &Self {
        self.db
            .execute(
                "INSERT INTO project_target_admissions VALUES (?1, ?2, ?3, ?4, 1, 'admitted', '1', NULL, NULL)",
                params![self.project, server, account, team],
            )
            .expect("an admission");
        self
    }

    fn next(&self) -> i64 {
        self.db
            .query_row(
                "SELECT 1 + MAX(COALESCE((SELECT MAX(capture_sequence) FROM journal_entries), 0),
                                COALESCE((SELECT MAX(capture_sequence) FROM body_upload_tasks), 0))",
                [],
                |row| row.get(0),
            )
            .expect("a number")
    }

    /// The envelope of an event of the project, with sorted keys.
    pub fn envelope(&self, id: &str) -> String {
        json!({
            "aggregate_id": "WP01", "aggregate_type": "WorkPackage", "event_id": id, "event_type": "ErrorLogged",
            "payload": {"error_message": "x"}, "project_uuid": self.project, "schema_version": "3.0.0",
            "timestamp": "2026-06-01T10:00:00+00:00",
        })
        .to_string()
    }

    /// Adds an event in the form of these releases.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn event(&self, epoch: i64, id: &str) -> &Self {
        self.event_with(epoch, id, &self.envelope(id))
    }

    /// The same with this envelope.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn event_with(&self, epoch: i64, id: &str, envelope: &str) -> &Self {
        let document = json!({
            "coalesce_key": null, "event_id": id, "event_type": "ErrorLogged", "payload_encoding": "base64",
            "payload": data_encoding::BASE64.encode(envelope.as_bytes()),
            "project_uuid": self.project, "repo_slug": "acme/widgets",
        });
        self.entry(epoch, id, &document.to_string())
    }

    /// Adds a journal entry with this text.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn entry(&self, epoch: i64, id: &str, payload_json: &str) -> &Self {
        self.db
            .execute(
                "INSERT INTO journal_entries VALUES (?1, ?2, ?3, ?4, ?5, '2026-06-01T10:00:00.5+00:00')",
                params![id, self.project, epoch, self.next(), payload_json],
            )
            .expect("an entry");
        self
    }

    /// Adds an attempt to send an event, with a result where there is one.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn attempt(&self, id: &str, state: &str, result: Option<(&str, Option<&str>)>) -> &Self {
        let attempt = format!("event:{id}");
        let reference = json!({"write_kind": "event", "native_identity": id}).to_string();
        self.db
            .execute(
                "INSERT INTO delivery_attempts(attempt_id, project_uuid, epoch_id, payload_reference, state,
                     deadline_at) VALUES (?1, ?2, 2, ?3, ?4, '2026-06-01T10:05:00+00:00')",
                params![attempt, self.project, reference, state],
            )
            .expect("an attempt");
        if let Some((outcome, category)) = result {
            self.db
                .execute(
                    "INSERT INTO delivery_results(result_id, project_uuid, epoch_id, attempt_id, outcome,
                         terminal_refusal_category, recorded_at)
                     VALUES (?1, ?2, 2, ?3, ?4, ?5, '2026-06-01T10:01:00+00:00')",
                    params![format!("{attempt}:result"), self.project, attempt, outcome, category],
                )
                .expect("a result");
        }
        self
    }

    /// Adds the body of a document.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn body(
        &self,
        epoch: i64,
        path: &str,
        content: &str,
        state: &str,
        last_error: Option<&str>,
    ) -> &Self {
        let hash = contract::wire::body::hash(content.as_bytes());
        let reference = json!({
            "artifact_path": path, "content_body": content, "created_at": 1_780_308_000.25,
            "hash_algorithm": "sha256", "last_error": last_error, "manifest_version": "1",
            "mission_slug": "widgets-01KRX11M", "mission_type": "software-dev", "target_branch": "main",
        });
        self.db
            .execute(
                "INSERT INTO body_upload_tasks
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, '2026-06-01T10:00:00+00:00')",
                params![
                    format!("body-{path}-{}", self.next()),
                    self.project,
                    epoch,
                    self.next(),
                    hash,
                    reference.to_string(),
                    state
                ],
            )
            .expect("a body");
        self
    }

    /// Runs a statement as another program would.
    ///
    /// # Panics
    /// When it fails.
    pub fn execute(&self, sql: &str) -> &Self {
        self.db.execute_batch(sql).expect("a statement");
        self
    }
}

/// The tables that hold rows, decisions and attempts, as far as their columns matter.
const SCHEMA: &str = "
CREATE TABLE project_store_metadata (singleton INTEGER PRIMARY KEY, project_uuid TEXT NOT NULL UNIQUE,
    schema_version INTEGER NOT NULL, layout_version INTEGER NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE project_consent_decisions (project_uuid TEXT PRIMARY KEY, state TEXT NOT NULL,
    generation INTEGER NOT NULL, action TEXT NOT NULL, actor TEXT NOT NULL, decided_at TEXT NOT NULL,
    decision_schema_version INTEGER NOT NULL);
CREATE TABLE consent_epochs (epoch_id INTEGER PRIMARY KEY, project_uuid TEXT NOT NULL,
    opened_at_tail INTEGER NOT NULL, state TEXT NOT NULL, consent_generation INTEGER, sealed_at_tail INTEGER,
    sealed_at TEXT, reason TEXT NOT NULL);
CREATE TABLE journal_entries (entry_id TEXT PRIMARY KEY, project_uuid TEXT NOT NULL, epoch_id INTEGER NOT NULL,
    capture_sequence INTEGER NOT NULL, payload_json TEXT NOT NULL, created_at TEXT);
CREATE TABLE body_upload_tasks (body_task_id TEXT PRIMARY KEY, project_uuid TEXT NOT NULL,
    epoch_id INTEGER NOT NULL, capture_sequence INTEGER NOT NULL, content_hash TEXT NOT NULL,
    body_reference TEXT NOT NULL, state TEXT NOT NULL, created_at TEXT);
CREATE TABLE project_target_admissions (project_uuid TEXT PRIMARY KEY, target_identity TEXT NOT NULL,
    account_identity TEXT NOT NULL, private_teamspace_id TEXT NOT NULL, configuration_generation INTEGER NOT NULL,
    admission_state TEXT NOT NULL, admission_generation TEXT, binding_audience TEXT, last_error_category TEXT);
CREATE TABLE delivery_attempts (attempt_id TEXT PRIMARY KEY, project_uuid TEXT NOT NULL,
    epoch_id INTEGER NOT NULL, outbox_task_id TEXT, consent_generation INTEGER, target_generation INTEGER,
    admission_generation TEXT, binding_audience TEXT, payload_hash TEXT, payload_reference TEXT,
    state TEXT NOT NULL, deadline_at TEXT, reconciliation_policy TEXT, created_at TEXT);
CREATE TABLE delivery_results (result_id TEXT PRIMARY KEY, project_uuid TEXT NOT NULL, epoch_id INTEGER NOT NULL,
    attempt_id TEXT NOT NULL, target_generation INTEGER, admission_generation TEXT, outcome TEXT NOT NULL,
    terminal_refusal_category TEXT, recorded_at TEXT NOT NULL);
";
