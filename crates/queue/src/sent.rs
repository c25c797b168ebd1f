//! Sent blocks: the bytes of delivered rows, as they were sent and packed (contract section 9).
//!
//! One block holds one request: a batch of events of one project, or one body. Receipts point into it by
//! offset and length of the unpacked text. Blocks are written in the transaction that writes the
//! receipts, so they cost no further sync. The oldest blocks are deleted when they are older or larger
//! than [`Keep`] allows; a receipt whose block is gone keeps only its number.

use crate::store::{Abort, meta, set_meta};
use flate2::read::GzDecoder;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params, params_from_iter};
use serde::Serialize;
use std::io::Read as _;

/// The size of all packed blocks together, in the meta table.
const TOTAL: &str = "sent_bytes";

/// The largest text that a block unpacks to: more than any request of this program holds.
const MAX_UNPACKED: u64 = 64 << 20;

/// Bounds on the age and size of the sent bytes; what exceeds either is deleted, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Days.
    pub days: u64,
    /// MiB of packed bytes.
    pub mib: u64,
}

impl Default for Keep {
    /// The defaults of `sync.keep_sent_days` and `sync.keep_sent_mib`.
    fn default() -> Self {
        Self { days: 30, mib: 256 }
    }
}

impl Keep {
    /// Whether nothing is kept at all.
    pub(crate) const fn is_nothing(self) -> bool {
        self.days == 0 || self.mib == 0
    }
}

/// Sent blocks that were deleted, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SentBlocks {
    /// Requests.
    pub blocks: u64,
    /// Packed bytes.
    pub bytes: u64,
}

/// Stores a packed request; the number of its block.
pub(crate) fn store(tx: &Transaction<'_>, at: i64, packed: &[u8]) -> Result<i64, Abort> {
    let bytes = i64::try_from(packed.len()).unwrap_or(i64::MAX);
    let id = tx
        .prepare_cached("INSERT INTO sent(at, bytes, packed) VALUES (?1, ?2, ?3)")?
        .insert(params![at, bytes, packed])?;
    add_to_total(tx, bytes)?;
    Ok(id)
}

/// Whether [`retain`] would delete anything.
pub(crate) fn is_overdue(conn: &Connection, keep: Keep, now: i64) -> Result<bool, Abort> {
    let total = total(conn)?;
    let oldest = oldest(conn)?;
    Ok(oldest.is_some_and(|oldest| oldest.is_beyond(keep, now, total)))
}

/// Deletes the oldest blocks until age and size are within `keep`.
pub(crate) fn retain(tx: &Transaction<'_>, keep: Keep, now: i64) -> Result<(), Abort> {
    let before = total(tx)?;
    let mut left = before;
    while let Some(oldest) = oldest(tx)?.filter(|oldest| oldest.is_beyond(keep, now, left)) {
        tx.prepare_cached("DELETE FROM sent WHERE id = ?1")?.execute([oldest.id])?;
        left -= oldest.bytes;
    }
    if left != before {
        add_to_total(tx, left - before)?;
    }
    Ok(())
}

/// Counts the blocks from before `before` (Unix seconds), or all of them.
pub(crate) fn count(conn: &Connection, before: Option<i64>) -> Result<SentBlocks, Abort> {
    let before = before.unwrap_or(i64::MAX);
    Ok(conn.query_row(
        "SELECT COUNT(*), COALESCE(SUM(bytes), 0) FROM sent WHERE at < ?1",
        [before],
        |row| {
            let (blocks, bytes): (i64, i64) = (row.get(0)?, row.get(1)?);
            Ok(SentBlocks { blocks: blocks.unsigned_abs(), bytes: bytes.unsigned_abs() })
        },
    )?)
}

/// Deletes the blocks from before `before` (Unix seconds), or all of them.
pub(crate) fn discard(tx: &Transaction<'_>, before: Option<i64>) -> Result<SentBlocks, Abort> {
    let gone = count(tx, before)?;
    tx.execute("DELETE FROM sent WHERE at < ?1", [before.unwrap_or(i64::MAX)])?;
    recount(tx)?;
    Ok(gone)
}

/// Deletes the blocks that receipts of these places point into.
pub(crate) fn discard_of_places(tx: &Transaction<'_>, places: &[i64]) -> Result<SentBlocks, Abort> {
    if places.is_empty() {
        return Ok(SentBlocks::default());
    }
    let marks = vec!["?"; places.len()].join(", ");
    let of_places = format!("id IN (SELECT block FROM receipts WHERE place IN ({marks}))");
    let gone = tx.query_row(
        &format!("SELECT COUNT(*), COALESCE(SUM(bytes), 0) FROM sent WHERE {of_places}"),
        params_from_iter(places),
        |row| {
            let (blocks, bytes): (i64, i64) = (row.get(0)?, row.get(1)?);
            Ok(SentBlocks { blocks: blocks.unsigned_abs(), bytes: bytes.unsigned_abs() })
        },
    )?;
    tx.execute(&format!("DELETE FROM sent WHERE {of_places}"), params_from_iter(places))?;
    recount(tx)?;
    Ok(gone)
}

/// The unpacked text of a block; nothing when the block is gone or its bytes are damaged.
pub(crate) fn read(conn: &Connection, block: i64) -> Result<Option<Vec<u8>>, Abort> {
    let packed: Option<Vec<u8>> = conn
        .prepare_cached("SELECT packed FROM sent WHERE id = ?1")?
        .query_row([block], |row| row.get(0))
        .optional()?;
    let Some(packed) = packed else { return Ok(None) };
    let mut text = Vec::new();
    let unpacked = GzDecoder::new(packed.as_slice()).take(MAX_UNPACKED).read_to_end(&mut text);
    if let Err(error) = unpacked {
        tracing::warn!(%error, block, "sent bytes cannot be unpacked");
        return Ok(None);
    }
    Ok(Some(text))
}

/// Sums the sizes again, after blocks were deleted or lost in the middle.
pub(crate) fn recount(tx: &Connection) -> Result<(), Abort> {
    let total: i64 = tx.query_row("SELECT COALESCE(SUM(bytes), 0) FROM sent", [], |row| row.get(0))?;
    set_meta(tx, TOTAL, &total.to_string())?;
    Ok(())
}

/// The oldest block.
struct Oldest {
    id: i64,
    at: i64,
    bytes: i64,
}

impl Oldest {
    fn is_beyond(&self, keep: Keep, now: i64, total: i64) -> bool {
        let seconds = i64::try_from(keep.days.saturating_mul(24 * 60 * 60)).unwrap_or(i64::MAX);
        let most = i64::try_from(keep.mib.saturating_mul(1024 * 1024)).unwrap_or(i64::MAX);
        keep.is_nothing() || self.at < now.saturating_sub(seconds) || total > most
    }
}

fn oldest(conn: &Connection) -> rusqlite::Result<Option<Oldest>> {
    conn.prepare_cached("SELECT id, at, bytes FROM sent ORDER BY id LIMIT 1")?
        .query_row([], |row| Ok(Oldest { id: row.get(0)?, at: row.get(1)?, bytes: row.get(2)? }))
        .optional()
}

fn total(conn: &Connection) -> rusqlite::Result<i64> {
    Ok(noted_total(conn)?.and_then(|total| total.try_into().ok()).unwrap_or_default())
}

/// The noted size of all packed blocks together; none without a readable note.
pub(crate) fn noted_total(conn: &Connection) -> rusqlite::Result<Option<u64>> {
    Ok(meta(conn, TOTAL)?.and_then(|text| text.parse().ok()))
}

fn add_to_total(conn: &Connection, bytes: i64) -> rusqlite::Result<()> {
    set_meta(conn, TOTAL, &total(conn)?.saturating_add(bytes).to_string())
}
