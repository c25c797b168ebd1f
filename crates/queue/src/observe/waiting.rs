//! Waiting rows one by one, and the facts that a queue has already.

use super::active::{check_version, read_meta};
use super::paged::{Paged, RowPage};
use super::reader::read_only;
use crate::error::ObserveError;
use crate::file::Role;
use crate::foreign_rows::examine;
use crate::legacy::{FileShape, LegacyKey, LegacyTable, text_of};
use crate::origin;
use crate::row::{Kind, body_of_row};
use crate::store::Abort;
use crate::table_walk::RowidWalk;
use rusqlite::{Connection, Row, params};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// A row that waits, held or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingRow {
    /// Its kind.
    pub kind: Kind,
    /// The event id, or the seven key columns of a body as a JSON array; the rowid of a row without.
    pub key: String,
    /// The type of an event, if it is text.
    pub event_type: Option<String>,
    /// The envelope of an event, as stored; empty when it is not text.
    pub data: String,
    /// Defect that keeps the row from ever being sent, as far as storage shows. It is a missing key, an envelope that
    /// is no JSON object, or a body with the hash of another content.
    pub problem: Option<String>,
}

/// Every row that waits in a queue DB of ours or of the reference, events first, page by page.
#[derive(Debug)]
pub struct WaitingRows(Paged<WaitingRow>);

impl WaitingRows {
    /// Starts with the first row of `path`.
    pub fn of(path: &Path) -> Self {
        Self(Paged::of(path, Role::Active, &["queue", "body_upload_queue"], read_page))
    }
}

impl Iterator for WaitingRows {
    type Item = Result<WaitingRow, ObserveError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

fn read_page(
    conn: &Connection,
    path: &Path,
    name: &str,
    walk: &mut RowidWalk,
    page: &mut RowPage<WaitingRow>,
) -> Result<(), Abort> {
    let kind = if name == Kind::Event.table() { Kind::Event } else { Kind::Body };
    let table = kind.legacy_table();
    let shape = FileShape::read(conn, "main", path)?;
    walk.advance(conn, name, &shape.row_expressions(table), &mut |row| {
        let waiting = waiting_row(kind, table, row)?;
        let bytes = waiting.data.len();
        Ok(page.push(waiting, bytes))
    })
}

/// `row` holds the rowid, then the columns of `table`.
fn waiting_row(kind: Kind, table: LegacyTable, row: &Row<'_>) -> Result<WaitingRow, Abort> {
    let key = LegacyKey::of(table, row.get(0)?, row, 1)?;
    let unfit = examine(table, &key, row, 1)?.err();
    let text = |column: usize| Ok::<_, rusqlite::Error>(text_of(row.get_ref(column)?).map(str::to_owned));
    let (event_type, data, problem) = match kind {
        Kind::Event => (text(2)?, text(3)?.unwrap_or_default(), unfit),
        Kind::Body => {
            let problem = match unfit {
                Some(why) => Some(why),
                None => body_of_row(row, 1)?.and_then(|body| body.stored_fault()),
            };
            (None, String::new(), problem)
        }
    };
    Ok(WaitingRow { kind, key: key.key, event_type, data, problem })
}

/// A mission whose last command in a checkout did not finish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsettled {
    /// The mission's directory name.
    pub mission_slug: String,
    /// The checkout, when the rows name one.
    pub checkout: Option<PathBuf>,
}

/// The missions that have prepared rows: of a command that is at work, or of one that was interrupted.
pub fn observe_unsettled(path: &Path) -> Result<Vec<Unsettled>, ObserveError> {
    let seen = read_only(path, Role::Active, |conn| {
        if check_version(path, &read_meta(conn)?)? == 0 {
            return Ok(Vec::new());
        }
        let mut select = conn.prepare(
            "SELECT DISTINCT p.project_uuid, p.repo_slug, p.checkout, r.mission_slug
             FROM prepared AS r JOIN projects AS p ON p.id = r.place ORDER BY r.mission_slug",
        )?;
        let rows = select.query_map([], |row| {
            Ok(Unsettled { mission_slug: row.get(3)?, checkout: origin::of_row(row, 0)?.checkout })
        })?;
        let mut missions: Vec<Unsettled> = rows.collect::<Result<_, _>>()?;
        missions.dedup();
        Ok(missions)
    })?;
    Ok(seen.unwrap_or_default())
}

/// Event ids among these that the queue DB has already: waiting, prepared, delivered, dropped, or parked with an
/// answer. Capturing one of them again is a no-op. One that is parked as `not_in_log` is not among them: a capture
/// puts it back.
pub fn observe_known_events(path: &Path, ids: &[String]) -> Result<HashSet<String>, ObserveError> {
    let seen = read_only(path, Role::Active, |conn| {
        let ours = check_version(path, &read_meta(conn)?)? > 0;
        let mut known = HashSet::new();
        let mut look = |sql: &str| -> Result<(), Abort> {
            let mut select = conn.prepare(sql)?;
            for id in ids {
                if select.exists(params![id])? {
                    known.insert(id.clone());
                }
            }
            Ok(())
        };
        if conn.table_exists(None, Kind::Event.table())? {
            look("SELECT 1 FROM queue WHERE event_id = ?1")?;
        }
        if ours {
            look("SELECT 1 FROM prepared WHERE kind = 0 AND key = ?1")?;
            // In a file of schema 1, whose receipts have no column `again`, the name means the outer zero.
            look(
                "SELECT 1 FROM (SELECT 0 AS again)
                 WHERE EXISTS (SELECT 1 FROM receipts WHERE kind = 0 AND key = ?1 AND again = 0)",
            )?;
            look("SELECT 1 FROM parked WHERE kind = 0 AND key = ?1 AND reason <> 'not_in_log'")?;
        }
        Ok(known)
    })?;
    Ok(seen.unwrap_or_default())
}
