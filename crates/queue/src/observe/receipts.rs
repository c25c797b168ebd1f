//! Receipts of deliveries, newest first, to ask the server whether it still has their rows; and the sent
//! bytes that are kept.

use super::listing::of_ours;
use crate::error::ObserveError;
use crate::origin;
use crate::row::Kind;
use crate::sent::{self, SentBlocks};
use crate::store::Abort;
use rusqlite::{Connection, params};
use std::path::{Path, PathBuf};

/// The sent bytes that a queue DB keeps from before `before` (Unix seconds), or all of them.
pub fn observe_sent(path: &Path, before: Option<i64>) -> Result<SentBlocks, ObserveError> {
    of_ours(path, |conn| match conn.table_exists(None, "sent")? {
        true => sent::count(conn, before),
        false => Ok(SentBlocks::default()),
    })
}

/// The keys of all delivered rows, project by project and newest first, a page at a time. Rows that are
/// marked to be sent again are left out.
#[derive(Debug)]
pub struct ReceiptPages {
    path: PathBuf,
    /// Streams that are not read to their end: kind and place. The last is the one in hand.
    streams: Vec<(Kind, i64)>,
    /// Number and key of the last receipt of the page before.
    after: (i64, String),
}

impl ReceiptPages {
    /// Starts with the newest receipt. `project` limits it to one project; the inner none is the rows
    /// without a project.
    pub fn of(path: &Path, project: Option<&Option<String>>) -> Result<Self, ObserveError> {
        let streams = of_ours(path, |conn| {
            if !conn.table_exists(None, "sent")? {
                return Ok(Vec::new());
            }
            let mut places: Vec<(Option<String>, i64)> = vec![(None, 0)];
            places.extend(origin::read_all(conn)?.into_iter().map(|(id, place)| (place.project_uuid, id)));
            places.retain(|(uuid, _)| project.is_none_or(|project| uuid == project));
            places.sort();
            Ok(places.into_iter().flat_map(|(_, id)| Kind::ALL.map(|kind| (kind, id))).collect())
        })?;
        Ok(Self { path: path.to_owned(), streams, after: START })
    }

    /// The next page: at most `limit` keys of one kind; nothing at the end.
    pub fn next_page(&mut self, limit: usize) -> Result<Option<(Kind, Vec<String>)>, ObserveError> {
        while let Some((kind, place)) = self.streams.last().copied() {
            let (seq, key) = &self.after;
            let page = of_ours(&self.path, |conn| page(conn, kind, place, (*seq, key), limit))?;
            match page.last() {
                Some(last) => {
                    self.after = last.clone();
                    return Ok(Some((kind, page.into_iter().map(|(_, key)| key).collect())));
                }
                None => {
                    self.streams.pop();
                    self.after = START;
                }
            }
        }
        Ok(None)
    }
}

/// Before the newest receipt.
const START: (i64, String) = (i64::MAX, String::new());

fn page(
    conn: &Connection,
    kind: Kind,
    place: i64,
    (seq, key): (i64, &str),
    limit: usize,
) -> Result<Vec<(i64, String)>, Abort> {
    let mut select = conn.prepare_cached(
        "SELECT seq, key FROM receipts
         WHERE kind = ?1 AND place = ?2 AND (seq < ?3 OR (seq = ?3 AND key > ?4)) AND again = 0
           AND outcome <> 'dropped'
         ORDER BY seq DESC, key LIMIT ?5",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = select
        .query_map(params![kind.stored(), place, seq, key, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
