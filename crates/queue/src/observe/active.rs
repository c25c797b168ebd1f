//! Observation for the gate: id of the active queue DB, and the cached legacy counts.

use super::counts::{QueueCounts, counts};
use super::legacy::LegacyObservation;
use super::reader::{read_only, refused};
use crate::consent::ConsentView;
use crate::error::ObserveError;
use crate::file::{self, DbFile, Fingerprint, JournalMode, Role};
use crate::store::{Abort, fault, meta};
use crate::{birth, busy_timeout, hand_over, health, schema};
use contract::{Fault, LegacyRowCounts, Remedy};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Facts of the active queue DB for the gate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActiveObservation {
    /// Whether there is a file.
    pub exists: bool,
    /// The random id in its meta table; none when the file is absent or older than the table.
    pub queue_id: Option<String>,
    /// Counts of the legacy queue DB, cached by an earlier command that may write.
    pub legacy_counts: Option<LegacyCountCache>,
    /// Whether a hand-over is at work, or was interrupted.
    pub hand_overs: bool,
}

/// Observes the active queue DB: its id, its schema, the cached legacy counts. Flat in the number of rows.
///
/// SQLite parses the whole schema for any query, which is most of the cost. So a repeated observation of one
/// process, as a daemon makes before every drain, is returned from memory while the file's fingerprint is
/// unchanged, as for the cached legacy counts.
///
/// An absent file is an empty observation. Faults: `active_queue_unreadable`,
/// `queue_recovery_needed`, `queue_schema_newer`.
pub fn observe_active(path: &Path) -> Result<ActiveObservation, ObserveError> {
    let before = fingerprint_at_rest(path);
    if let Some(known) = before.and_then(|fingerprint| recall(path, fingerprint)) {
        return Ok(known);
    }
    let seen = read_only(path, Role::Active, |conn| {
        let meta = read_meta(conn)?;
        check_version(path, &meta)?;
        active(conn, &meta)
    })?;
    let seen = seen.unwrap_or_else(|| ActiveObservation::without_tables(path));
    if let Some(fingerprint) = before.filter(|_| fingerprint_at_rest(path) == before) {
        *REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((path.to_owned(), fingerprint, seen.clone()));
    }
    Ok(seen)
}

/// [`observe_active`] and [`super::observe_counts`] of one snapshot, by one connection. Counting reads more than
/// the gate does, so it may fail alone.
pub fn observe_active_counted(
    path: &Path,
    consent: &dyn ConsentView,
) -> Result<(ActiveObservation, Result<QueueCounts, ObserveError>), ObserveError> {
    let seen = read_only(path, Role::Active, |conn| {
        let meta = read_meta(conn)?;
        let version = check_version(path, &meta)?;
        Ok((active(conn, &meta)?, counts(conn, &meta, version, consent)))
    })?;
    let Some((active, counts)) = seen else {
        return Ok((ActiveObservation::without_tables(path), Ok(QueueCounts::default())));
    };
    Ok((active, counts.map_err(|abort| refused(path, Role::Active, busy_timeout::READ, abort))))
}

fn active(conn: &Connection, meta: &FileMeta) -> Result<ActiveObservation, Abort> {
    Ok(ActiveObservation {
        exists: true,
        queue_id: meta.get("queue_id").cloned(),
        legacy_counts: meta.get(LEGACY_COUNTS).and_then(|text| LegacyCountCache::parse(text)),
        hand_overs: hand_over::any(conn)?,
    })
}

impl ActiveObservation {
    /// Of an absent file, and of one of zero bytes.
    fn without_tables(path: &Path) -> Self {
        Self { exists: path.exists(), ..Self::default() }
    }
}

/// The last observation of this process, with its file and the file's fingerprint.
static REMEMBERED: Mutex<Option<(PathBuf, Fingerprint, ActiveObservation)>> = Mutex::new(None);

fn recall(path: &Path, fingerprint: Fingerprint) -> Option<ActiveObservation> {
    let remembered = REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
    let (of, at, seen) = remembered.as_ref()?;
    (of == path && *at == fingerprint).then(|| seen.clone())
}

/// The fingerprint of a file without a writer: in rollback mode a writer has a journal before it
/// touches the file, and every transaction changes the counter. In write-ahead mode the counter does
/// not change while the file grows, so there is no fingerprint.
pub(crate) fn fingerprint_at_rest(path: &Path) -> Option<Fingerprint> {
    match file::read_db_file(path) {
        Ok(DbFile::Database { journal: JournalMode::Rollback, fingerprint }) => {
            (file::side_file_len(path, "-journal") == 0).then_some(fingerprint)
        }
        _ => None,
    }
}

/// The meta table of a file, and which of our tables it has.
#[derive(Debug, Default)]
pub(crate) struct FileMeta {
    values: HashMap<String, String>,
    parts: schema::Parts,
}

impl FileMeta {
    /// Every key with its value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.values.iter()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&String> {
        self.values.get(key)
    }

    /// Reason not to trust the file, if there is one.
    pub(crate) fn damage(&self) -> Option<String> {
        let version = self.get("schema_version").and_then(|text| text.parse().ok()).unwrap_or_default();
        let known = self.get(health::DAMAGED).or(self.parts.missing(version)).cloned();
        known.or_else(|| match self.get("schema_version") {
            _ if !self.parts.ours => None,
            None => Some("its schema number is missing".to_owned()),
            Some(text) => (!text.parse::<i64>().is_ok_and(|version| version > 0))
                .then(|| format!("its schema number is `{}`", contract::text::printable(text))),
        })
    }
}

impl FileMeta {
    /// The fault of a file that had this program's tables and has none of them any more.
    pub(crate) fn lost(&self, path: &Path) -> Option<Fault> {
        if self.parts.ours { None } else { birth::lost(path, "has lost the tables of this program") }
    }
}

/// The meta table, and whether the tables beside it are there; empty for a file without any of ours.
pub(crate) fn read_meta(conn: &Connection) -> Result<FileMeta, Abort> {
    let parts = schema::parts(conn)?;
    let mut select = match conn.prepare("SELECT key, CAST(value AS TEXT) FROM meta") {
        Ok(select) => select,
        Err(error) if error.to_string().contains("no such table") => {
            return Ok(FileMeta { values: HashMap::new(), parts });
        }
        Err(error) => return Err(error.into()),
    };
    let values = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    Ok(FileMeta { values, parts })
}

/// Whether the file was born for another scope than the one it is named after: a copied file.
fn belongs_to_another_account(path: &Path, meta: &FileMeta) -> bool {
    let name = path.file_name().and_then(OsStr::to_str);
    let named = name.and_then(|name| name.strip_prefix("queue-")?.strip_suffix(".db"));
    named.zip(meta.get("scope")).is_some_and(|(named, scope)| !scope.starts_with(named))
}

/// The fault of a file with the rows of another scope.
pub(crate) fn other_account_fault(path: &Path) -> Fault {
    Fault::new(Role::Active.unreadable(), path, "holds the rows of another scope", Remedy::Repair)
}

/// The schema of a file. Refuses a file of a newer release, one that is known to be damaged, and one
/// that holds the rows of another scope.
pub(crate) fn check_version(path: &Path, meta: &FileMeta) -> Result<i64, Abort> {
    let version = meta.get("schema_version").and_then(|text| text.parse().ok()).unwrap_or_default();
    if version > schema::VERSION {
        return Err(fault(schema::newer(path, version)).into());
    }
    match meta.damage() {
        Some(finding) => Err(fault(health::damaged(path, &finding)).into()),
        None if belongs_to_another_account(path, meta) => Err(fault(other_account_fault(path)).into()),
        None => match meta.lost(path) {
            Some(lost) => Err(fault(lost).into()),
            None => Ok(version),
        },
    }
}

/// The key of the meta table that has the cached counts.
pub(crate) const LEGACY_COUNTS: &str = "legacy_pin";

/// The cached counts in a file.
pub(crate) fn read_legacy_counts(conn: &Connection) -> Result<Option<LegacyCountCache>, Abort> {
    Ok(meta(conn, LEGACY_COUNTS)?.and_then(|text| LegacyCountCache::parse(&text)))
}

/// Counts of the legacy queue DB with the fingerprint of the file they were taken from. Kept in the
/// scoped queue DB, so they are that scope's; trusted while the fingerprint holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyCountCache {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) found: LegacyObservation,
}

/// The stored form. Cached counts of another rule version are ignored.
#[derive(Serialize, Deserialize)]
struct StoredLegacyCounts {
    rule: u32,
    inode: u64,
    size: u64,
    modified_ns: i64,
    change_counter: u32,
    in_scope: [u64; 3],
    other_scope: [u64; 3],
    totals: [u64; 3],
}

/// Raised whenever the scope rule changes what it counts.
const RULE: u32 = 2;

impl LegacyCountCache {
    /// Whether the file is the one the counts were taken from, and at rest.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        fingerprint_at_rest(path) == Some(self.fingerprint)
    }

    /// As stored.
    pub(crate) fn render(&self) -> String {
        let counts = |c: LegacyRowCounts| [c.event_rows, c.body_upload_rows, c.failure_log_rows];
        let stored = StoredLegacyCounts {
            rule: RULE,
            inode: self.fingerprint.inode,
            size: self.fingerprint.size,
            modified_ns: self.fingerprint.modified_ns,
            change_counter: self.fingerprint.change_counter,
            in_scope: counts(self.found.in_scope),
            other_scope: counts(self.found.other_scope),
            totals: counts(self.found.totals),
        };
        // Integers always serialise.
        serde_json::to_string(&stored).unwrap_or_default()
    }

    fn parse(text: &str) -> Option<Self> {
        let stored: StoredLegacyCounts = serde_json::from_str(text).ok()?;
        let counts = |[event_rows, body_upload_rows, failure_log_rows]: [u64; 3]| LegacyRowCounts {
            event_rows,
            body_upload_rows,
            failure_log_rows,
        };
        (stored.rule == RULE).then(|| Self {
            fingerprint: Fingerprint {
                inode: stored.inode,
                size: stored.size,
                modified_ns: stored.modified_ns,
                change_counter: stored.change_counter,
            },
            found: LegacyObservation {
                in_scope: counts(stored.in_scope),
                other_scope: counts(stored.other_scope),
                totals: counts(stored.totals),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_counts_read_back_and_those_of_another_rule_do_not() {
        let cached = LegacyCountCache {
            fingerprint: Fingerprint { inode: u64::MAX, size: 1, modified_ns: -1, change_counter: 9 },
            found: LegacyObservation {
                in_scope: LegacyRowCounts { event_rows: 1, body_upload_rows: 2, failure_log_rows: 3 },
                ..LegacyObservation::default()
            },
        };
        assert_eq!(LegacyCountCache::parse(&cached.render()), Some(cached.clone()));
        assert_eq!(
            LegacyCountCache::parse(&cached.render().replace(&format!("\"rule\":{RULE}"), "\"rule\":0")),
            None
        );
        assert_eq!(LegacyCountCache::parse("junk"), None);
    }
}
