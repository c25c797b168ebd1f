//! Rows that were refused while the server accepted none, kept from drain to drain.

use super::{Outbox, RowId};
use crate::error::QueueError;
use crate::row::Kind;
use crate::store::{meta, set_meta};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Of the rows of one kind, what a later drain has to know about refusals of whole requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusalMemory {
    /// The last drain ended because everything was refused.
    pub braked: bool,
    /// Waiting rows that were refused since a row was taken.
    pub rows: HashSet<RowId>,
    /// Rows that were parked since then although no other row was taken.
    pub parked_alone: u64,
}

#[derive(Default, Serialize, Deserialize)]
struct StoredRefusals {
    braked: bool,
    rows: Vec<i64>,
    parked_alone: u64,
}

impl Outbox {
    /// Refusals of rows of `kind` that earlier drains recorded.
    pub fn refusals(&mut self, kind: Kind) -> Result<RefusalMemory, QueueError> {
        let text = self.store.read("read the refusals of", |tx| Ok(meta(tx, key(kind))?))?;
        let stored: StoredRefusals =
            text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let StoredRefusals { braked, rows, parked_alone } = stored;
        let rows = rows.into_iter().map(|id| RowId { kind, id }).collect();
        Ok(RefusalMemory { braked, rows, parked_alone })
    }

    /// Keeps `memory` for the next drain.
    pub fn remember_refusals(&mut self, kind: Kind, memory: &RefusalMemory) -> Result<(), QueueError> {
        let mut rows: Vec<i64> = memory.rows.iter().map(|row| row.id).collect();
        rows.sort_unstable();
        let stored = StoredRefusals { braked: memory.braked, rows, parked_alone: memory.parked_alone };
        self.store.write("record refusals in", |tx| {
            if *memory == RefusalMemory::default() {
                tx.execute("DELETE FROM meta WHERE key = ?1", [key(kind)])?;
            } else {
                // Numbers always serialise.
                set_meta(tx, key(kind), &serde_json::to_string(&stored).unwrap_or_default())?;
            }
            Ok(())
        })
    }
}

/// The key of the meta table.
const fn key(kind: Kind) -> &'static str {
    match kind {
        Kind::Event => "refused_events",
        Kind::Body => "refused_bodies",
    }
}
