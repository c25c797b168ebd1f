//! Queue DBs of the other scopes of this home: owner and row counts.
//!
//! Each file is opened without waiting. A locked file and one that cannot be read are entries, too. Rows that another
//! queue DB has imported or delivered do not wait, whatever became of the record that they were copied.

use super::active::{check_version, fingerprint_at_rest, read_meta};
use super::counts::{QueueCounts, RowCounts, counts};
use super::reader::read_only_within;
use crate::consent::ConsentView;
use crate::cure::rows_of_its_own;
use crate::error::ObserveError;
use crate::file::Role;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The queue DB of another scope.
#[derive(Clone, Debug, PartialEq)]
pub struct OtherQueue {
    /// The file.
    pub path: PathBuf,
    /// The first 16 hex digits of its scope, from its name.
    pub hash: String,
    /// Its owner and counts, or why they cannot be read.
    pub reading: OtherReading,
}

/// Whether the queue DB of another scope could be read.
#[derive(Clone, Debug, PartialEq)]
pub enum OtherReading {
    /// Its account and its rows.
    Read(Box<OtherRows>),
    /// Another process holds it.
    Busy,
    /// It cannot be read, and why.
    Unreadable(String),
}

/// Owner and counts of a queue DB of another scope.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OtherRows {
    /// The server; none where an earlier release wrote the file.
    pub server: Option<String>,
    /// The user.
    pub principal: Option<String>,
    /// The team.
    pub team: Option<String>,
    /// Its rows.
    pub counts: QueueCounts,
}

/// The scoped queue DBs in `directory`, other than `active`, that have waiting, held, prepared or parked rows,
/// or cannot be read. Sorted by path.
pub fn observe_other_queues(directory: &Path, active: &Path, consent: &dyn ConsentView) -> Vec<OtherQueue> {
    let mut found: Vec<OtherQueue> = scoped_queues(directory)
        .filter(|(path, _)| path != active)
        .filter_map(|(path, hash)| {
            let reading = read(&path, active, consent)?;
            Some(OtherQueue { path, hash, reading })
        })
        .collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The scoped queue DBs in a directory, with the hash in their names.
pub(crate) fn scoped_queues(directory: &Path) -> impl Iterator<Item = (PathBuf, String)> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let path = entry.path();
        let name = path.file_name().and_then(OsStr::to_str)?;
        let hash = name.strip_prefix("queue-")?.strip_suffix(".db")?.to_owned();
        Some((path, hash))
    })
}

/// Nothing for a queue DB without a row.
fn read(path: &Path, active: &Path, consent: &dyn ConsentView) -> Option<OtherReading> {
    let seen = read_only_within(path, Role::Active, Duration::ZERO, |conn| {
        let meta = read_meta(conn)?;
        let version = check_version(path, &meta)?;
        let stored = |key| meta.get(key).cloned();
        let (server, principal, team) = (stored("server"), stored("principal"), stored("team"));
        let mut counts = counts(conn, &meta, version, consent)?;
        if counts.events + counts.bodies > 0 {
            let own = match is_imported_scope(path, active) {
                true => RowCounts::default(),
                false => rows_of_its_own(conn, path)?,
            };
            (counts.events, counts.bodies) = (own.events, own.bodies);
        }
        Ok(OtherRows { server, principal, team, counts })
    });
    match seen {
        Ok(None) => None,
        Ok(Some(rows)) => {
            let QueueCounts { events, bodies, prepared, parked, .. } = &rows.counts;
            let any = events + bodies + prepared.total() + parked.total() > 0;
            any.then(|| OtherReading::Read(Box::new(rows)))
        }
        Err(ObserveError::Busy(_)) => Some(OtherReading::Busy),
        Err(ObserveError::Fault(fault)) => Some(OtherReading::Unreadable(fault.detail)),
    }
}

/// The key of the meta table that holds the fingerprint of a queue DB whose rows were copied
/// (`--from-scope`).
pub(crate) fn imported_scope_key(old_queue: &Path) -> Option<String> {
    Some(format!("adopted:{}", old_queue.file_stem()?.to_str()?))
}

/// Whether `active` has a copy of the waiting rows of the queue DB at `path`, as it is now.
fn is_imported_scope(path: &Path, active: &Path) -> bool {
    let Some((key, now)) = imported_scope_key(path).zip(fingerprint_at_rest(path)) else { return false };
    let seen = read_only_within(active, Role::Active, Duration::ZERO, |conn| {
        Ok(read_meta(conn)?.get(&key).is_some_and(|copied| *copied == now.render()))
    });
    matches!(seen, Ok(Some(true)))
}
