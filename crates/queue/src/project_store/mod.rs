//! Project stores: what releases 3.2.0 to 3.2.7 keep for each project, `projects/<uuid>/sync/sync.db`.
//!
//! They are another program's files: only read, on one snapshot, and never changed, locked for longer than a
//! look, or created. The class of a row:
//!
//! | row | class |
//! |---|---|
//! | an attempt has the result `delivered` or `duplicate`; a body is `uploaded` | delivered |
//! | an attempt was refused; a body was refused as `project_not_admitted` or `namespace_not_found` | refused |
//! | captured in the open epoch of the present opt-in, whatever its attempts | ready |
//! | every other row | held |
//!
//! `stranded` counts the ready and held rows that the other program never sends again. The outcome of their attempt
//! is unknown to it, the attempt is older than its deadline, or it gave the body up.
//!
//! The queue DB that imported rows of a store keeps the last capture number that was seen. So another account never
//! gets them a second time.

mod rows;
mod snapshot;

pub(crate) use rows::{StoreRow, StoreRowClass, each_row};
pub(crate) use snapshot::{StoreFacts, read_store};

use crate::error::ObserveError;
use crate::file::Role;
use crate::observe::{RowCounts, read_meta, read_only_within, scoped_queues};
use contract::Scope;
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One project store.
#[derive(Clone, Debug, PartialEq)]
pub struct ProjectStore {
    /// The file.
    pub path: PathBuf,
    /// The project, from the name of its directory.
    pub project_uuid: String,
    /// Its rows that no queue DB has imported, or why they are not known.
    pub reading: StoreReading,
}

/// Whether a project store could be read.
#[derive(Clone, Debug, PartialEq)]
pub enum StoreReading {
    /// Its owner and its rows.
    Read(Box<StoreRows>),
    /// Another process holds it.
    Busy,
    /// It cannot be read, or must not be, and why.
    Unreadable(String),
}

/// Owner and rows of a project store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreRows {
    /// The account that its rows were admitted for; none before the first delivery.
    pub target: Option<Scope>,
    /// The user's decision about the project, as the store records it.
    pub decision: StoreDecision,
    /// Rows of the present opt-in that wait.
    pub ready: RowCounts,
    /// Rows that wait for a decision.
    pub held: RowCounts,
    /// Rows that were refused.
    pub refused: RowCounts,
    /// Ready and held rows that the other program never sends again.
    pub stranded: RowCounts,
}

impl StoreRows {
    /// Rows that were not delivered.
    pub fn undelivered(&self) -> u64 {
        self.ready.total() + self.held.total() + self.refused.total()
    }
}

/// The user's decision about a project, as its store records it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreDecision {
    /// Never asked.
    #[default]
    Unset,
    /// Opted in, at this instant in Unix seconds.
    OptedIn(i64),
    /// Opted out.
    OptedOut,
}

/// The project stores below `projects` that have undelivered rows which no queue DB in `queues` has imported,
/// and those that cannot be read. Each is opened without waiting. Sorted by path.
pub fn observe_project_stores(projects: &Path, queues: &Path) -> Vec<ProjectStore> {
    let stores = store_files(projects);
    if stores.is_empty() {
        return Vec::new();
    }
    let imported = Imports::read(queues, None);
    let observed = stores.into_iter().filter_map(|(project_uuid, path)| {
        let after = imported.newest(&project_uuid);
        let reading = match read_store(&path, &project_uuid, &mut |facts, conn| {
            let mut seen =
                StoreRows { target: facts.target.clone(), decision: facts.decision, ..StoreRows::default() };
            each_row(facts, conn, after, &mut |row| {
                let counts = match &row.class {
                    StoreRowClass::Delivered => return Ok(()),
                    StoreRowClass::Ready => &mut seen.ready,
                    StoreRowClass::Held => &mut seen.held,
                    StoreRowClass::Refused(_) => &mut seen.refused,
                };
                *counts.of_mut(row.kind) += 1;
                if row.is_stranded {
                    *seen.stranded.of_mut(row.kind) += 1;
                }
                Ok(())
            })?;
            Ok(seen)
        }) {
            Ok(None) => return None,
            Ok(Some(rows)) if rows.undelivered() == 0 => return None,
            Ok(Some(rows)) => StoreReading::Read(Box::new(rows)),
            Err(ObserveError::Busy(_)) => StoreReading::Busy,
            Err(ObserveError::Fault(fault)) => StoreReading::Unreadable(fault.detail),
        };
        Some(ProjectStore { path, project_uuid, reading })
    });
    observed.collect()
}

/// The stores below `projects`, by project. A directory that is not named by a UUID in lower case is skipped.
pub(crate) fn store_files(projects: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(projects).into_iter().flatten().flatten();
    let mut found: Vec<(String, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let path = entry.path().join("sync").join("sync.db");
            (is_project(&name) && path.symlink_metadata().is_ok()).then_some((name, path))
        })
        .collect();
    found.sort();
    found
}

fn is_project(name: &str) -> bool {
    contract::event::id::is_uuid(name)
        && !name.bytes().any(|byte| byte.is_ascii_uppercase())
        && name.bytes().any(|byte| !matches!(byte, b'0' | b'-'))
}

/// Manifest of the move that the other program is making in this home, if any: rows must not be imported meanwhile.
pub(crate) fn running_migration(projects: &Path) -> Option<PathBuf> {
    #[derive(serde::Deserialize)]
    struct StoreManifest {
        phase: Option<String>,
        completed_at: Option<serde_json::Value>,
    }
    const MANIFEST_LIMIT: u64 = 64 * 1024 * 1024;
    let layout = system::regular::read(&projects.join(".layout-generation.json"), 64 * 1024).ok()?;
    let layout: serde_json::Value = serde_json::from_slice(&layout).ok()?;
    if layout.get("mode").and_then(|mode| mode.as_str()) != Some("cutover_pending") {
        return None;
    }
    let entries = std::fs::read_dir(projects.join(".migration")).ok()?;
    entries.flatten().map(|entry| entry.path().join("manifest.json")).find(|path| {
        let manifest = system::regular::read(path, MANIFEST_LIMIT).ok();
        let manifest = manifest.and_then(|bytes| serde_json::from_slice::<StoreManifest>(&bytes).ok());
        manifest.is_some_and(|manifest| {
            manifest.phase.as_deref() != Some("complete")
                && manifest.completed_at.is_none_or(|at| at.is_null())
        })
    })
}

/// The machine layout that releases 3.2.x record beside their stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreLayout {
    /// Rows are kept for each project: old queue files are not looked at any more.
    ProjectOnly,
    /// A move of old rows met a conflict: that program captures nothing any more.
    CutoverPending,
    /// No record yet, or another one: the next write of that program moves rows of old queue files.
    Open,
}

/// The layout of the home whose stores lie below `projects`.
pub fn observe_layout(projects: &Path) -> StoreLayout {
    let record = system::regular::read(&projects.join(".layout-generation.json"), 64 * 1024).ok();
    let record = record.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    match record.as_ref().and_then(|record| record.get("mode")).and_then(|mode| mode.as_str()) {
        Some("project_only") => StoreLayout::ProjectOnly,
        Some("cutover_pending") => StoreLayout::CutoverPending,
        _ => StoreLayout::Open,
    }
}

/// Rows of the project stores that the queue DBs of a home have imported.
#[derive(Debug, Default)]
pub(crate) struct Imports {
    /// The newest capture number by project.
    newest: HashMap<String, i64>,
    /// A queue DB that may have imported rows, because it cannot be read.
    pub(crate) unread: Option<PathBuf>,
}

impl Imports {
    /// Reads what the queue DBs in `queues` remember, but for `own`.
    pub(crate) fn read(queues: &Path, own: Option<&Path>) -> Self {
        let mut imports = Self::default();
        for (path, _) in scoped_queues(queues).filter(|(path, _)| Some(path.as_path()) != own) {
            let seen = read_only_within(&path, Role::Active, Duration::ZERO, |conn| {
                let meta = read_meta(conn)?;
                let known = meta.iter().filter_map(|(key, value)| {
                    Some((key.strip_prefix(IMPORTED_UP_TO)?.to_owned(), value.parse().ok()?))
                });
                Ok(known.collect::<Vec<(String, i64)>>())
            });
            match seen {
                Ok(known) => {
                    for (project, newest) in known.into_iter().flatten() {
                        let slot = imports.newest.entry(project).or_default();
                        *slot = newest.max(*slot);
                    }
                }
                Err(_) => imports.unread = Some(path),
            }
        }
        imports
    }

    /// The newest capture number of the project that was imported; zero for none.
    pub(crate) fn newest(&self, project_uuid: &str) -> i64 {
        self.newest.get(project_uuid).copied().unwrap_or_default()
    }
}

/// The key of the meta table under which a queue DB remembers the newest capture number that it has imported;
/// the project follows.
pub(crate) const IMPORTED_UP_TO: &str = "project_store:";
