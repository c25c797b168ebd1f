//! A queue DB in the format of the reference: its three tables, with rows of the test.

use crate::events;
use contract::wire::body::hash;
use rusqlite::{Connection, params};
use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Project of the rows, unless a test overrides it.
pub const PROJECT: &str = "164b830e-0aa9-486a-80e9-73e0ff9bd516";

/// Mission of the rows.
pub const MISSION: &str = "widgets-01KRX11M";

/// A queue DB under construction.
#[derive(Debug)]
pub struct ReferenceQueue {
    path: PathBuf,
    db: Connection,
}

impl ReferenceQueue {
    /// Creates the file and its tables.
    ///
    /// # Panics
    /// When the file cannot be made: a test cannot continue.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn create(path: &Path) -> Self {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("the directory of the queue");
        }
        let db = Connection::open(path).expect("a queue");
        db.execute_batch(REFERENCE_TABLES).expect("the tables of the reference");
        Self { path: path.to_owned(), db }
    }

    /// Opens an existing queue DB, to add rows as another program does.
    ///
    /// # Panics
    /// When it cannot be opened.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn open(path: &Path) -> Self {
        Self { path: path.to_owned(), db: Connection::open(path).expect("a queue") }
    }

    /// Switches disk syncs off, to add many rows quickly.
    ///
    /// # Panics
    /// When the settings cannot be changed.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    #[must_use]
    pub fn quick(self) -> Self {
        self.db.execute_batch("PRAGMA synchronous = OFF").expect("settings");
        self
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds an event, with or without a team.
    pub fn event(&self, event_id: &str, team_slug: Option<&str>) -> &Self {
        self.add(events::claimed(event_id, PROJECT, MISSION), team_slug)
    }

    /// Adds the index event of an artifact, without which a server accepts no body.
    pub fn indexed(&self, event_id: &str, artifact_path: &str, content: &str) -> &Self {
        self.add(events::indexed(event_id, PROJECT, MISSION, artifact_path, content), None)
    }

    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    fn add(&self, mut event: Value, team_slug: Option<&str>) -> &Self {
        event["team_slug"] = team_slug.into();
        event["drain_blocked_reason"] = Value::Null;
        let row = "INSERT INTO queue (event_id, event_type, data, timestamp) VALUES (?1, ?2, ?3, 1779105600)";
        self.db
            .execute(row, params![event["event_id"].as_str(), event["event_type"].as_str(), spaced(&event)])
            .expect("an event row");
        self
    }

    /// Adds a body upload of [`PROJECT`].
    ///
    /// # Panics
    /// When the row does not fit.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn body(&self, artifact_path: &str, content: &str) -> &Self {
        let hash = hash(content.as_bytes());
        let size = i64::try_from(content.len()).expect("a size");
        self.db
            .execute(
                "INSERT INTO body_upload_queue (project_uuid, mission_slug, target_branch, mission_type, \
                 manifest_version, artifact_path, content_hash, content_body, size_bytes, created_at) VALUES \
                 (?1, 'widgets-01KRX11M', 'main', 'software-dev', '1', ?2, ?3, ?4, ?5, 1779105600.5)",
                params![PROJECT, artifact_path, hash, content, size],
            )
            .expect("a body row");
        self
    }

    /// Adds a row of the failure log about `spec.md` of [`PROJECT`].
    pub fn failure(&self) -> &Self {
        add_failure(&self.db, PROJECT, "spec.md");
        self
    }
}

/// Adds a row of the failure log to a queue DB.
///
/// # Panics
/// When the row does not fit.
#[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
pub fn add_failure(queue: &Connection, project: &str, path: &str) {
    let row = "INSERT INTO body_upload_failure_log(project_uuid, mission_slug, target_branch, mission_type,
            manifest_version, artifact_path, content_hash, size_bytes, failure_reason, first_failed_at, last_failed_at)
         VALUES (?1, 'm', 'main', 'software-dev', '1', ?2, 'h', 4, 'bad_request', 1.5, 2.5)";
    queue.execute(row, [project, path]).expect("a row of the failure log");
}

/// Tables that the reference creates.
pub const REFERENCE_TABLES: &str = include_str!("reference_tables.sql");

impl ReferenceQueue {
    /// Adds `count` small events of [`PROJECT`] at once, for benchmarks and load tests.
    ///
    /// # Panics
    /// When the rows do not fit.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn many_events(&self, count: u32) -> &Self {
        self.db
            .execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                 INSERT INTO queue (event_id, event_type, data, timestamp)
                 SELECT printf('01KRX%021d', i), 'HistoryAdded',
                   printf('{\"event_id\": \"01KRX%021d\", \"event_type\": \"HistoryAdded\", \"project_uuid\": \"' || ?2 || '\", '
                     || '\"team_slug\": null, \"payload\": {\"wp_id\": \"WP01\", \"entry_type\": \"note\", \"entry_content\": '
                     || '\"entry %d\", \"author\": \"dev\"}}', i, i),
                   1779105600 + i / 1000
                 FROM n",
                params![count, PROJECT],
            )
            .expect("event rows");
        self
    }
}

/// Creates a queue DB at `path` in the state after a crash inside a transaction: half changed, with a hot
/// journal. One event is committed.
///
/// # Panics
/// When it cannot be made.
#[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
pub fn leave_hot_journal(path: &Path) {
    let scratch = path.with_extension("scratch");
    let queue = ReferenceQueue::create(&scratch);
    queue.event("01KRX0000000000000000000A1", None);
    let db = Connection::open(&scratch).expect("a queue");
    db.execute_batch("PRAGMA cache_size = 2; BEGIN IMMEDIATE").expect("a transaction");
    for number in 0..200 {
        let row = "INSERT INTO queue (event_id, event_type, data, timestamp) VALUES (?1, 'T', ?2, 1)";
        db.execute(row, params![format!("x{number}"), "x".repeat(2000)]).expect("a row");
    }
    let journal = |path: &Path| {
        let mut name = path.as_os_str().to_owned();
        name.push("-journal");
        PathBuf::from(name)
    };
    std::fs::copy(journal(&scratch), journal(path)).expect("a journal");
    std::fs::copy(&scratch, path).expect("a queue");
    db.execute_batch("ROLLBACK").expect("the end of it");
    drop((db, queue));
    std::fs::remove_file(&scratch).expect("removed");
}

/// JSON with a space after every comma and colon, as the reference writes it.
#[allow(clippy::expect_used, reason = "a value always serialises, and JSON is UTF-8")]
fn spaced(value: &Value) -> String {
    struct SpacedFormatter;

    impl Formatter for SpacedFormatter {
        fn begin_object_key<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
            if first { Ok(()) } else { out.write_all(b", ") }
        }

        fn begin_object_value<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
            out.write_all(b": ")
        }

        fn begin_array_value<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
            if first { Ok(()) } else { out.write_all(b", ") }
        }
    }

    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, SpacedFormatter)).expect("serialised");
    String::from_utf8(bytes).expect("UTF-8")
}
