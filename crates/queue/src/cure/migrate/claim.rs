//! Claims: the owner of each legacy row, written into the legacy file before anything is copied.

use crate::error::QueueError;
use crate::fault_point::{FaultPoint, reached};
use crate::legacy::{FileShape, LegacyDb, LegacyTable, data_version, scan};
use crate::observe::slot;
use crate::store::Abort;
use contract::{LegacyRowCounts, Scope};
use rusqlite::{Transaction, params};

/// Result of claiming.
pub(super) struct Claimed {
    pub(super) shape: FileShape,
    /// Rows of the scope.
    pub(super) in_scope: LegacyRowCounts,
    /// Rows of others.
    pub(super) other_scope: LegacyRowCounts,
    /// Tells whether another program has changed the file since.
    pub(super) version: i64,
}

impl Claimed {
    /// Whether every row of the table belongs to the scope.
    pub(super) fn all_of(&self, table: LegacyTable) -> bool {
        let mut others = self.other_scope;
        *slot(&mut others, table) == 0
    }
}

/// The claims table. Its only readers are programs that migrate.
pub(super) const CLAIMS: &str = "CREATE TABLE IF NOT EXISTS claims (
    \"table\" TEXT NOT NULL, key TEXT NOT NULL, scope TEXT NOT NULL, PRIMARY KEY (\"table\", key)
) WITHOUT ROWID";

/// Claims every unclaimed row of `scope`. Nothing when there is no row of the scope.
pub(super) fn claim(legacy: &mut LegacyDb, scope: &Scope) -> Result<Option<Claimed>, QueueError> {
    let path = legacy.path().to_owned();
    let claimed = legacy.write("claim rows of", |tx| {
        let mut shape = FileShape::read(tx, "main", &path)?;
        let mut claimed = Claimed {
            shape: FileShape::default(),
            in_scope: LegacyRowCounts::default(),
            other_scope: LegacyRowCounts::default(),
            version: 0,
        };
        if any_row(tx, &shape)? {
            tx.execute_batch(CLAIMS)?;
            shape.claims = true;
            claim_rows(tx, &shape, scope, &mut claimed)?;
        }
        claimed.shape = shape;
        claimed.version = data_version(tx)?;
        reached(FaultPoint::ClaimWritten);
        Ok((claimed.in_scope != LegacyRowCounts::default()).then_some(claimed))
    })?;
    Ok(claimed)
}

fn any_row(tx: &Transaction<'_>, shape: &FileShape) -> Result<bool, Abort> {
    for table in shape.tables() {
        if tx.prepare(&format!("SELECT 1 FROM {}", table.name()))?.exists([])? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn claim_rows(
    tx: &Transaction<'_>,
    shape: &FileShape,
    scope: &Scope,
    claimed: &mut Claimed,
) -> Result<(), Abort> {
    let hash = scope.hash();
    let mut insert = tx.prepare("INSERT OR IGNORE INTO claims(\"table\", key, scope) VALUES (?1, ?2, ?3)")?;
    scan(tx, shape, scope, &mut |row| {
        let owner = if row.in_scope { &mut claimed.in_scope } else { &mut claimed.other_scope };
        *slot(owner, row.table) += 1;
        if row.in_scope && !row.claimed {
            insert.execute(params![row.key.source, row.key.key, hash])?;
        }
        Ok(())
    })
}
