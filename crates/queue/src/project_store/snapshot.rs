//! Opening a project store: one snapshot, its owner, its epochs and the attempts of its events.

use super::StoreDecision;
use crate::error::ObserveError;
use crate::file::{self, Role};
use crate::observe::read_only_within;
use crate::store::Abort;
use contract::{Fault, FaultCode, Remedy, Scope};
use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _};
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// Facts of a store beside its rows.
#[derive(Debug)]
pub(crate) struct StoreFacts {
    /// The project.
    pub(crate) project_uuid: String,
    /// The account that its rows were admitted for.
    pub(crate) target: Option<Scope>,
    /// The user's decision.
    pub(crate) decision: StoreDecision,
    /// The open epoch of the present opt-in.
    pub(crate) live_epochs: Vec<i64>,
    /// The attempts of its events, by event id.
    pub(crate) attempts: HashMap<String, Attempt>,
    /// The newest capture number.
    pub(crate) newest: i64,
    /// Whether the other program is sending a row of it at this moment.
    pub(crate) is_sending: bool,
}

/// Result of sending an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The server has it.
    Delivered,
    /// The server refused it, in this category.
    Refused(String),
    /// Its outcome is not known and it will never be sent again.
    Stranded,
    /// It may be sent again.
    Retried,
}

/// Runs `look` on one snapshot of the store at `path`. Nothing for an absent file. A write-ahead log without its
/// index is read in a private copy.
///
/// # Errors
/// Busy, damaged, of a newer release, or of another project.
pub(crate) fn read_store<T>(
    path: &Path,
    project_uuid: &str,
    look: &mut dyn FnMut(&StoreFacts, &Connection) -> Result<T, Abort>,
) -> Result<Option<T>, ObserveError> {
    let mut read = |conn: &Connection| {
        let facts = StoreFacts::read(conn, path, project_uuid)?;
        look(&facts, conn)
    };
    match read_only_within(path, Role::Active, Duration::ZERO, &mut read) {
        Err(ObserveError::Fault(fault)) if fault.code == FaultCode::QueueRecoveryNeeded => {
            let copy =
                copy_aside(path).map_err(|error| unusable(path, format!("cannot be copied: {error}")))?;
            let opened = Connection::open(copy.path().join("sync.db")).map_err(Abort::from);
            let seen = opened.and_then(|conn| read(&conn));
            seen.map(Some).map_err(|abort| match abort {
                Abort::Queue(crate::QueueError::Fault(fault)) => ObserveError::Fault(fault),
                Abort::Queue(other) => unusable(path, other.to_string()),
                Abort::Sql(error) => unusable(path, format!("is damaged: {error}")),
            })
        }
        other => other,
    }
}

/// A private directory with a copy of the database and of its write-ahead log. The log is copied last: what a
/// checkpoint moves meanwhile is in both.
fn copy_aside(path: &Path) -> std::io::Result<tempfile::TempDir> {
    let directory = tempfile::Builder::new().prefix("spec-kitty-store-").tempdir()?;
    for (from, name) in [(path.to_owned(), "sync.db"), (file::side_file(path, "-wal"), "sync.db-wal")] {
        let to = directory.path().join(name);
        system::private_file::create_private_file(&to)?;
        let mut copy = system::regular::open_with(std::fs::OpenOptions::new().write(true), &to)?;
        std::io::copy(&mut system::regular::open(&from)?, &mut copy)?;
    }
    Ok(directory)
}

/// A store that must be left alone. What its rows recorded is also in the logs of the missions.
pub(super) fn unusable(path: &Path, detail: impl Into<String>) -> ObserveError {
    ObserveError::Fault(Box::new(Fault::new(FaultCode::ActiveQueueUnreadable, path, detail, Remedy::Repair)))
}

impl StoreFacts {
    fn read(conn: &Connection, path: &Path, project_uuid: &str) -> Result<Self, Abort> {
        let refuse = |detail: String| match unusable(path, detail) {
            ObserveError::Fault(fault) => Abort::Queue(crate::QueueError::Fault(fault)),
            ObserveError::Busy(busy) => Abort::Queue(crate::QueueError::Busy(busy)),
        };
        for table in TABLES {
            if !conn.table_exists(None, table)? {
                return Err(refuse(format!("is damaged: the table `{table}` is missing")));
            }
        }
        let owner: Option<(String, i64, i64)> = conn
            .query_row(
                "SELECT project_uuid, schema_version, layout_version FROM project_store_metadata",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?;
        let Some((owner, schema, layout)) = owner else {
            return Err(refuse("is damaged: it does not name its project".to_owned()));
        };
        for (what, version) in [("schema", schema), ("layout", layout)] {
            if version != 1 {
                return Err(refuse(format!(
                    "was written by a newer spec-kitty ({what} {version}): update this program"
                )));
            }
        }
        if owner != project_uuid {
            return Err(refuse(format!("belongs to project {owner}")));
        }
        let decision = conn
            .query_row(
                "SELECT state, generation, decided_at FROM project_consent_decisions WHERE project_uuid = ?1",
                [project_uuid],
                |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?)),
            )
            .optional()?;
        let grant = decision.as_ref().filter(|(state, ..)| state == "granted").map(|(_, grant, _)| *grant);
        let decision = match decision {
            None => StoreDecision::Unset,
            Some((state, _, at)) if state == "granted" => StoreDecision::OptedIn(seconds_of(&at)),
            Some(_) => StoreDecision::OptedOut,
        };
        let live_epochs = conn
            .prepare(
                "SELECT epoch_id FROM consent_epochs WHERE state = 'eligible' AND consent_generation = ?1",
            )?
            .query_map([grant], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let target = conn
            .query_row(
                "SELECT target_identity, account_identity, private_teamspace_id FROM project_target_admissions",
                [],
                |row| {
                    let column = |index| row.get::<_, String>(index);
                    Ok(Scope::new(&column(0)?, &column(1)?, &column(2)?))
                },
            )
            .optional()?;
        let newest = conn.query_row(
            "SELECT MAX(COALESCE((SELECT MAX(capture_sequence) FROM journal_entries), 0),
                        COALESCE((SELECT MAX(capture_sequence) FROM body_upload_tasks), 0))",
            [],
            |row| row.get(0),
        )?;
        let (attempts, is_sending) = read_attempts(conn)?;
        Ok(Self {
            project_uuid: owner,
            target,
            decision,
            live_epochs,
            attempts,
            newest,
            is_sending: is_sending || is_locked(path),
        })
    }
}

/// The tables that are read.
const TABLES: [&str; 8] = [
    "project_store_metadata",
    "project_consent_decisions",
    "consent_epochs",
    "project_target_admissions",
    "journal_entries",
    "body_upload_tasks",
    "delivery_attempts",
    "delivery_results",
];

/// Whether the other program holds the lock under which it sends.
fn is_locked(store: &Path) -> bool {
    let lock = store.with_file_name("egress.lock");
    matches!(system::lock::probe(&lock), Ok(system::lock::LockProbe::Held))
}

/// The attempts of events by event id, and whether one is under way.
fn read_attempts(conn: &Connection) -> Result<(HashMap<String, Attempt>, bool), Abort> {
    #[derive(serde::Deserialize)]
    struct ProjectReference {
        write_kind: Option<String>,
        native_identity: Option<String>,
    }
    let now = system::clock::now().as_second();
    let mut attempts: HashMap<String, Attempt> = HashMap::new();
    let mut is_sending = false;
    let mut select = conn.prepare(
        "SELECT a.payload_reference, a.state, a.deadline_at,
                EXISTS (SELECT 1 FROM delivery_results AS r
                        WHERE r.attempt_id = a.attempt_id AND r.outcome IN ('delivered', 'duplicate')),
                (SELECT COALESCE(r.terminal_refusal_category, 'refused') FROM delivery_results AS r
                 WHERE r.attempt_id = a.attempt_id AND r.outcome = 'refused')
         FROM delivery_attempts AS a",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let state: String = row.get(1)?;
        let deadline = match row.get_ref(2)? {
            ValueRef::Text(text) => std::str::from_utf8(text).map_or(0, seconds_of),
            _ => 0,
        };
        is_sending |= state == "in_flight" && now < deadline;
        let reference = match row.get_ref(0)? {
            ValueRef::Text(text) => serde_json::from_slice::<ProjectReference>(text).ok(),
            _ => None,
        };
        let Some(id) = reference
            .filter(|reference| reference.write_kind.as_deref() == Some("event"))
            .and_then(|reference| reference.native_identity)
        else {
            continue;
        };
        let refusal: Option<String> = row.get(4)?;
        let found = match state.as_str() {
            _ if row.get::<_, bool>(3)? => Attempt::Delivered,
            "refused" => Attempt::Refused(refusal.unwrap_or_else(|| "refused".to_owned())),
            _ if refusal.is_some() => Attempt::Refused(refusal.unwrap_or_default()),
            "unknown" | "terminal_unknown" | "pending_remote" => Attempt::Stranded,
            _ if now >= deadline => Attempt::Stranded,
            _ => Attempt::Retried,
        };
        let slot = attempts.entry(id).or_insert(Attempt::Retried);
        if rank(&found) > rank(slot) {
            *slot = found;
        }
    }
    Ok((attempts, is_sending))
}

/// Of two attempts for one event the one that settles more is what came of it.
const fn rank(attempt: &Attempt) -> u8 {
    match attempt {
        Attempt::Retried => 0,
        Attempt::Stranded => 1,
        Attempt::Refused(_) => 2,
        Attempt::Delivered => 3,
    }
}

/// Unix seconds of a time as text; zero for any other text.
pub(super) fn seconds_of(text: &str) -> i64 {
    text.parse::<Timestamp>().map_or(0, |at| at.as_second())
}
