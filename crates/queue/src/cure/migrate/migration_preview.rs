//! Outcome of copying a row, computed without copying it.

use super::CopyOutcome;
use super::transfer::{TargetContents, is_imported};
use crate::legacy::{LegacyKey, LegacyTable};
use crate::observe::{check_version, read_meta};
use crate::row::RowDigest;
use crate::store::Abort;
use rusqlite::Connection;
use std::collections::HashSet;
use std::path::Path;

/// A scoped file as it is, and the rows that would be in it by now.
///
/// Of those only eight bytes each are kept: a preview of half a million rows must not weigh more than
/// their copy.
pub(super) struct MigrationPreview<'c> {
    scoped: Option<(&'c Connection, TargetContents)>,
    /// Keys that would wait.
    waiting: HashSet<u64>,
    /// Keys with their content that would have been copied or parked.
    copied: HashSet<u64>,
}

impl<'c> MigrationPreview<'c> {
    /// With the scoped file, if there is one: of ours, or of the reference, which has no more than its
    /// three tables.
    pub(super) fn read(scoped: Option<&'c Connection>, queue_path: &Path) -> Result<Self, Abort> {
        let scoped = match scoped {
            Some(conn) => {
                check_version(queue_path, &read_meta(conn)?)?;
                Some((conn, TargetContents::read(conn)?))
            }
            None => None,
        };
        Ok(Self { scoped, waiting: HashSet::new(), copied: HashSet::new() })
    }

    /// The outcome of the next row; `fits`: whether it can enter its table.
    pub(super) fn outcome(
        &mut self,
        table: LegacyTable,
        key: &LegacyKey,
        digest: RowDigest,
        fits: bool,
    ) -> Result<CopyOutcome, Abort> {
        let name = short([key.source.as_bytes(), key.key.as_bytes()]);
        let row = short([key.source.as_bytes(), key.key.as_bytes(), &digest.0]);
        if self.copied.contains(&row) {
            return Ok(CopyOutcome::Duplicate);
        }
        let mut outcome = match (fits, self.scoped) {
            (false, _) => CopyOutcome::Unreadable,
            (true, Some((conn, known))) => known.outcome(conn, table, key, digest)?,
            (true, None) => CopyOutcome::Moved,
        };
        if outcome == CopyOutcome::Moved && !self.waiting.insert(name) {
            outcome = CopyOutcome::Conflict;
        }
        if matches!(outcome, CopyOutcome::Conflict | CopyOutcome::Unreadable)
            && let Some((conn, known)) = self.scoped
            && known.imported
            && is_imported(conn, key, digest)?
        {
            outcome = CopyOutcome::Duplicate;
        }
        if outcome != CopyOutcome::Duplicate {
            self.copied.insert(row);
        }
        Ok(outcome)
    }
}

/// The first eight bytes of a digest over `parts`.
fn short<const N: usize>(parts: [&[u8]; N]) -> u64 {
    let RowDigest([a, b, c, d, e, f, g, h, ..]) = RowDigest::of(parts);
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
