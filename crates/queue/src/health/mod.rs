//! Health: page checks of a queue file, and the salvage of a damaged one.
//!
//! SQLite detects damage only on the pages it visits, so a damaged queue can still be counted.
//! [`observe_health`] visits every page. [`salvage`] copies every readable row into a new file beside the
//! damaged one, which is only read; the caller replaces it. Unreadable rows stay in the file that is moved
//! aside: nothing is deleted.

mod reconcile;
mod salvage;

pub use salvage::{Salvaged, salvage};

use crate::error::ObserveError;
use crate::file::Role;
use crate::observe::{read_meta, read_only};
use crate::schema;
use crate::store::{Abort, set_meta};
use contract::{Fault, Remedy};
use rusqlite::Connection;
use std::path::Path;

/// The key of the meta table that records damage found after an unclean end. The journal that shows such an end is
/// gone once it was rolled back.
pub(crate) const DAMAGED: &str = "damaged";

/// Kind of a queue file, for callers with only a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueFile {
    /// A scoped queue DB, or `queue.db` without a login.
    Active,
    /// The legacy queue DB.
    Legacy,
}

impl QueueFile {
    pub(crate) const fn role(self) -> Role {
        match self {
            Self::Active => Role::Active,
            Self::Legacy => Role::Legacy,
        }
    }
}

/// Visits every page of a queue DB (`quick_check`) and checks the definition of every table. Returns the first
/// damage, or nothing. Costs about a second for a gigabyte; an absent file is whole.
pub fn observe_health(path: &Path, which: QueueFile) -> Result<Option<String>, ObserveError> {
    let found = read_only(path, which.role(), |conn| {
        if which == QueueFile::Active {
            let meta = read_meta(conn)?;
            if let Some(lost) = meta.lost(path) {
                return Ok(Some(lost.detail));
            }
            let version = meta.get("schema_version").and_then(|text| text.parse().ok());
            let finding = meta.damage().map_or_else(
                || version.map_or(Ok(None), |version| schema::misshapen(conn, version)),
                |finding| Ok(Some(finding)),
            )?;
            if finding.is_some() {
                return Ok(finding);
            }
        }
        quick_check(conn)
    })?;
    Ok(found.flatten())
}

/// The fault of a queue DB that is damaged.
pub(crate) fn damaged(path: &Path, finding: &str) -> Fault {
    Fault::new(Role::Active.unreadable(), path, format!("is damaged: {finding}"), Remedy::Repair)
}

/// Records damage in the file, if it can still be written.
pub(crate) fn remember(conn: &Connection, finding: &str) {
    if let Err(error) = set_meta(conn, DAMAGED, finding) {
        tracing::debug!(%error, "the damage could not be noted in the file itself");
    }
}

/// The first damage that `quick_check` finds.
pub(crate) fn quick_check(conn: &Connection) -> Result<Option<String>, Abort> {
    let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    // SQLite puts a heading above the finding.
    let finding = verdict.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().to_owned();
    Ok((verdict != "ok").then_some(finding))
}
