//! Hand-overs: commands that another program runs for this one, and whose rows are captured when it ends.
//!
//! The row is written before the program starts and removed after the capture. After a crash between the two, the
//! row still lists the events that existed before the run. The next producing command in the checkout captures the
//! events that are not on the list.

use crate::capture::Writer;
use crate::error::QueueError;
use crate::store::Abort;
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Made by the first hand-over of a queue DB, without a step of the schema: most files never need it, and programs
/// that do not know it lose nothing.
pub(crate) const TABLE: &str = "hand_overs";
const CREATE: &str = "CREATE TABLE IF NOT EXISTS hand_overs (
    id TEXT PRIMARY KEY NOT NULL,
    checkout BLOB NOT NULL,
    started_at TEXT NOT NULL,
    known BLOB NOT NULL
)";

/// One hand-over that was not captured yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOver {
    /// ULID.
    pub id: String,
    /// The project root in which the program was started.
    pub checkout: PathBuf,
    /// Start: ISO 8601, UTC.
    pub started_at: String,
    /// The rows that were there.
    pub known: KnownIds,
}

/// A set of event ids: the first eight bytes of the SHA-256 of each, sorted. A new id is mistaken for a known one with
/// a probability of 2^-44 among a million, and then stays for `sync capture --history`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownIds {
    digests: Vec<u64>,
}

impl KnownIds {
    /// Number of ids.
    pub fn len(&self) -> usize {
        self.digests.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// Whether the id is one of them.
    pub fn contains(&self, event_id: &str) -> bool {
        self.digests.binary_search(&digest(event_id)).is_ok()
    }

    fn to_bytes(&self) -> Vec<u8> {
        self.digests.iter().flat_map(|digest| digest.to_be_bytes()).collect()
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let digests = bytes.chunks_exact(8).filter_map(|chunk| chunk.try_into().ok().map(u64::from_be_bytes));
        Self::from_digests(digests.collect())
    }

    fn from_digests(mut digests: Vec<u64>) -> Self {
        digests.sort_unstable();
        digests.dedup();
        Self { digests }
    }
}

impl<T: AsRef<str>> FromIterator<T> for KnownIds {
    fn from_iter<I: IntoIterator<Item = T>>(ids: I) -> Self {
        Self::from_digests(ids.into_iter().map(|id| digest(id.as_ref())).collect())
    }
}

impl<T: AsRef<str>> Extend<T> for KnownIds {
    fn extend<I: IntoIterator<Item = T>>(&mut self, ids: I) {
        let mut digests = std::mem::take(&mut self.digests);
        digests.extend(ids.into_iter().map(|id| digest(id.as_ref())));
        *self = Self::from_digests(digests);
    }
}

fn digest(event_id: &str) -> u64 {
    Sha256::digest(event_id).iter().take(8).fold(0, |digest, byte| digest << 8 | u64::from(*byte))
}

impl Writer {
    /// Records a hand-over, before its program starts.
    pub fn record_hand_over(&mut self, hand_over: &HandOver) -> Result<(), QueueError> {
        self.store.write("record a hand-over in", |tx| {
            tx.execute_batch(CREATE)?;
            let HandOver { id, checkout, started_at, known } = hand_over;
            tx.prepare_cached(
                "INSERT INTO hand_overs(id, checkout, started_at, known) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                id,
                system::file::path_bytes(checkout),
                started_at,
                known.to_bytes()
            ])?;
            Ok(())
        })
    }

    /// Removes a hand-over, after its rows were captured.
    pub fn remove_hand_over(&mut self, id: &str) -> Result<(), QueueError> {
        self.store.write("remove a hand-over from", |tx| {
            tx.prepare_cached("DELETE FROM hand_overs WHERE id = ?1")?.execute([id])?;
            Ok(())
        })
    }

    /// The hand-overs of a checkout: those at work, and those that were interrupted.
    pub fn hand_overs(&mut self, checkout: &Path) -> Result<Vec<HandOver>, QueueError> {
        self.store.read("read the hand-overs of", |tx| {
            if !tx.table_exists(None, TABLE)? {
                return Ok(Vec::new());
            }
            let mut select = tx.prepare_cached(
                "SELECT id, started_at, known FROM hand_overs WHERE checkout = ?1 ORDER BY id",
            )?;
            let rows = select.query_map([system::file::path_bytes(checkout)], |row| {
                Ok(HandOver {
                    id: row.get(0)?,
                    checkout: checkout.to_owned(),
                    started_at: row.get(1)?,
                    known: KnownIds::from_bytes(row.get_ref(2)?.as_blob()?),
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

/// Whether a file has any hand-over.
pub(crate) fn any(conn: &Connection) -> Result<bool, Abort> {
    Ok(conn.table_exists(None, TABLE)? && conn.prepare("SELECT 1 FROM hand_overs")?.exists([])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_ids_survive_their_bytes() {
        let mut known: KnownIds = ["B", "A", "A"].into_iter().collect();
        assert_eq!(known.len(), 2);
        known.extend(["C"]);
        let read = KnownIds::from_bytes(&known.to_bytes());
        assert_eq!(read, known);
        assert!(["A", "B", "C"].into_iter().all(|id| read.contains(id)) && !read.contains("D"));
    }
}
