//! Copies claimed rows into the scoped file, in one transaction, one row in memory at a time.

use super::claim::Claimed;
use super::owners::Owners;
use super::{CopyOutcome, MigrationReport, changed_since};
use crate::busy_timeout;
use crate::consent::{Hold, RowOrigin};
use crate::cure::MigrationProgress;
use crate::error::QueueError;
use crate::fault_point::{FaultPoint, reached};
use crate::file::Role;
use crate::foreign_rows::{content_digest, examine, number_of};
use crate::legacy::{FileShape, LegacyDb, LegacyKey, LegacyTable, text_of};
use crate::origin::{self, OriginId};
use crate::parked::{Parking, park, reason};
use crate::row::{RowDigest, body_of_row};
use crate::store::{Abort, ScopedDb, sql_error};
use crate::waiting::{self, Binding, BodyProgress, Queueing, WaitingEvent};
use contract::Scope;
use rusqlite::types::ToSqlOutput;
use rusqlite::{CachedStatement, Connection, Row, Transaction, params, params_from_iter};
use std::collections::HashMap;
use std::path::Path;

/// Rows between two reports of progress.
const PROGRESS_ROWS: u64 = 1_000;

/// Copies every row that the scope has claimed.
pub(super) fn copy(
    store: &mut ScopedDb,
    legacy: &mut LegacyDb,
    scope: &Scope,
    (claimed, owners): (&Claimed, &Owners),
    report: &mut MigrationReport,
    progress: &mut dyn MigrationProgress,
) -> Result<(), QueueError> {
    let total = claimed.in_scope.total_rows() + claimed.in_scope.failure_log_rows;
    let hash = scope.hash();
    // Taken inside out: the legacy snapshot is short-lived, and only the scoped file is written.
    legacy.read("copy rows of", |from| {
        let changed = changed_since(from, claimed.version)?;
        let copied = store.write("copy rows into", |tx| {
            let mut copied = report.clone();
            let mut transfer = Transfer::into(tx, None, owners.unread.as_deref())?;
            let mut done = 0;
            for table in claimed.shape.tables() {
                let all = claimed.all_of(table) && !changed;
                each_row(from, &claimed.shape, table, &mut |key, row| {
                    if !all && !is_claimed(from, &key, &hash)? {
                        return Ok(());
                    }
                    let outcome = transfer.row(table, &key, row, 1)?;
                    copied.count(table, &key, outcome);
                    done += 1;
                    if done % PROGRESS_ROWS == 0 || done == total {
                        progress.migrated(done, total);
                    }
                    if done * 2 >= total {
                        reached(FaultPoint::CopyHalfWritten);
                    }
                    Ok(())
                })?;
            }
            transfer.finish()?;
            reached(FaultPoint::CopyWritten);
            Ok(copied)
        })?;
        *report = copied;
        Ok(())
    })
}

/// Shows every row of a table: its key, and the carried columns from 1 on.
pub(super) fn each_row(
    conn: &Connection,
    shape: &FileShape,
    table: LegacyTable,
    visit: &mut dyn FnMut(LegacyKey, &Row<'_>) -> Result<(), Abort>,
) -> Result<(), Abort> {
    // An error here is the source's, whatever transaction surrounds it.
    let failed = |error| {
        let path = conn.path().unwrap_or_default();
        Abort::Queue(sql_error(Path::new(path), Role::Legacy, "read rows of", busy_timeout::MIGRATE, error))
    };
    let sql = format!("SELECT rowid, {} FROM {} ORDER BY rowid", shape.row_expressions(table), table.name());
    let mut select = conn.prepare(&sql).map_err(failed)?;
    let mut rows = select.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        visit(LegacyKey::of(table, row.get(0)?, row, 1)?, row)?;
    }
    Ok(())
}

pub(super) fn is_claimed(conn: &Connection, key: &LegacyKey, scope: &str) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM claims WHERE \"table\" = ?1 AND key = ?2 AND scope = ?3")?
        .exists([key.source, &key.key, scope])
}

/// Which tables of the scoped file have rows. When all are empty, a migration skips the per-row lookups.
#[derive(Clone, Copy, Debug)]
pub(super) struct TargetContents {
    /// Whether anything was ever moved in.
    pub(super) imported: bool,
    settled: bool,
    /// Rows of the three tables.
    present: [bool; 3],
}

impl TargetContents {
    pub(super) fn read(conn: &Connection) -> rusqlite::Result<Self> {
        let any = |table: &str| -> rusqlite::Result<bool> {
            // A file not yet opened by this program lacks some of these tables.
            Ok(conn.table_exists(None, table)?
                && conn.prepare(&format!("SELECT 1 FROM {table}"))?.exists([])?)
        };
        let [events, bodies, failures] = LegacyTable::ALL.map(|table| {
            // A file of an old release lacks columns, so none of its rows can equal a current one.
            let mut columns = table.columns().iter();
            let today =
                columns.all(|(column, _)| conn.column_exists(None, table.name(), column).unwrap_or(false));
            Ok::<_, rusqlite::Error>(today && any(table.name())?)
        });
        Ok(Self {
            imported: any("imported")?,
            settled: any("receipts")? || any("parked")?,
            present: [events?, bodies?, failures?],
        })
    }

    /// The outcome of a readable row of this key and content in the scoped file.
    pub(super) fn outcome(
        self,
        conn: &Connection,
        table: LegacyTable,
        key: &LegacyKey,
        digest: RowDigest,
    ) -> Result<CopyOutcome, Abort> {
        if self.imported && is_imported(conn, key, digest)? {
            return Ok(CopyOutcome::Duplicate);
        }
        let [events, bodies, failures] = self.present;
        let present = match table {
            LegacyTable::Events => events,
            LegacyTable::Bodies => bodies,
            LegacyTable::FailureLog => failures,
        };
        if present && let Some(known) = find(conn, table, &key.key)? {
            return Ok(if known == digest { CopyOutcome::Duplicate } else { CopyOutcome::Conflict });
        }
        if self.settled && waiting::is_settled(conn, table.kind(), &key.key)? {
            let same = waiting::is_settled_with(conn, table.kind(), &key.key, digest)?;
            return Ok(if same { CopyOutcome::Duplicate } else { CopyOutcome::Conflict });
        }
        Ok(CopyOutcome::Moved)
    }
}

/// Whether this very row was moved in or parked before.
pub(super) fn is_imported(conn: &Connection, key: &LegacyKey, digest: RowDigest) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM imported WHERE source = ?1 AND key = ?2 AND digest = ?3")?
        .exists(params![key.source, key.key, digest.0])
}

/// Whether the scoped file still has this very row, or a record of its outcome.
pub(crate) fn is_accounted_for(
    conn: &Connection,
    table: LegacyTable,
    key: &str,
    digest: RowDigest,
) -> Result<bool, Abort> {
    Ok(find(conn, table, key)? == Some(digest) || waiting::is_settled_with(conn, table.kind(), key, digest)?)
}

/// The digest of the row of this key that the scoped file has.
pub(super) fn find(conn: &Connection, table: LegacyTable, key: &str) -> Result<Option<RowDigest>, Abort> {
    Ok(match table {
        LegacyTable::Events => waiting::find_event(conn, key)?,
        LegacyTable::Bodies => match serde_json::from_str::<[String; 7]>(key) {
            Ok(columns) => waiting::find_body(conn, columns.each_ref().map(String::as_str))?,
            Err(_) => None,
        },
        LegacyTable::FailureLog => match serde_json::from_str::<Vec<String>>(key) {
            Ok(columns) => find_failure(conn, &columns)?,
            Err(_) => None,
        },
    })
}

fn find_failure(conn: &Connection, key: &[String]) -> Result<Option<RowDigest>, Abort> {
    let table = LegacyTable::FailureLog;
    let matches = table.key_columns().iter().map(|column| format!("{column} = ?")).collect::<Vec<_>>();
    let sql = format!("SELECT {} FROM {} WHERE {}", table.column_list(), table.name(), matches.join(" AND "));
    let mut select = conn.prepare_cached(&sql)?;
    let mut rows = select.query(params_from_iter(key))?;
    rows.next()?.map(|row| content_digest(table, row, 0)).transpose()
}

/// Puts rows of other files into this one.
pub(super) struct Transfer<'t> {
    tx: &'t Transaction<'t>,
    queueing: Queueing<'t>,
    imported: CachedStatement<'t>,
    known: TargetContents,
    /// Hold given to every row; by default that of the row itself.
    hold: Option<Hold>,
    /// A queue DB that may own what would be moved in, because it cannot be read.
    unread: Option<&'t Path>,
    places: HashMap<RowOrigin, OriginId>,
}

/// Places kept at hand. A file with more projects only pays a lookup a row.
const PLACES_AT_HAND: usize = 4_096;

impl<'t> Transfer<'t> {
    pub(super) fn into(
        tx: &'t Transaction<'t>,
        hold: Option<Hold>,
        unread: Option<&'t Path>,
    ) -> Result<Self, Abort> {
        let queueing = Queueing::bulk(tx)?;
        let imported =
            tx.prepare_cached("INSERT OR IGNORE INTO imported(source, key, digest) VALUES (?1, ?2, ?3)")?;
        let known = TargetContents::read(tx)?;
        Ok(Self { tx, queueing, imported, known, hold, unread, places: HashMap::new() })
    }

    /// Ends the copy. Must be called before its transaction is committed.
    pub(super) fn finish(self) -> Result<(), Abort> {
        Ok(self.queueing.finish()?)
    }

    /// Copies one row, whose columns are those of `table` from `first` on.
    pub(super) fn row(
        &mut self,
        table: LegacyTable,
        key: &LegacyKey,
        row: &Row<'_>,
        first: usize,
    ) -> Result<CopyOutcome, Abort> {
        let digest = content_digest(table, row, first)?;
        let examined = examine(table, key, row, first)?;
        let (place, hold, unfit) = match examined {
            Ok((place, hold)) => (place, self.hold.unwrap_or(hold), None),
            Err(why) => (RowOrigin::default(), Hold::Foreign, Some(why)),
        };
        self.placed(table, key, row, first, Belonging { place, hold, digest, unfit })
    }

    /// Copies one row whose place is known from elsewhere.
    pub(super) fn placed(
        &mut self,
        table: LegacyTable,
        key: &LegacyKey,
        row: &Row<'_>,
        first: usize,
        belonging: Belonging,
    ) -> Result<CopyOutcome, Abort> {
        let Belonging { place, hold, digest, unfit } = belonging;
        let mut outcome = match &unfit {
            Some(_) => CopyOutcome::Unreadable,
            None => self.known.outcome(self.tx, table, key, digest)?,
        };
        let binding = Binding { place: self.place_id(place)?, hold, digest, captured_at: None };
        if outcome == CopyOutcome::Moved && self.unread.is_some() {
            outcome = CopyOutcome::OwnerUnknown;
        }
        if outcome == CopyOutcome::Moved && !self.insert(table, row, first, binding)? {
            outcome = match find(self.tx, table, &key.key)? {
                Some(twin) if twin == digest => CopyOutcome::Duplicate,
                Some(_) => CopyOutcome::Conflict,
                None => CopyOutcome::Unreadable,
            };
        }
        // A parked row is not parked again by a resumed run, nor for a twin in the same file.
        let parks =
            matches!(outcome, CopyOutcome::Conflict | CopyOutcome::Unreadable | CopyOutcome::OwnerUnknown);
        if parks && is_imported(self.tx, key, digest)? {
            outcome = CopyOutcome::Duplicate;
        }
        let unread = self.unread.map(contract::text::path).unwrap_or_default();
        let open = format!("owner unknown: {unread} cannot be read and may own this row");
        let parked = match outcome {
            CopyOutcome::OwnerUnknown => Some((reason::OWNER_UNKNOWN, open.as_str())),
            CopyOutcome::Unreadable => {
                Some((reason::UNREADABLE_ROW, unfit.as_deref().unwrap_or("the table does not take it")))
            }
            CopyOutcome::Conflict => Some((reason::CONFLICT, "a row of this key has other content")),
            CopyOutcome::Moved | CopyOutcome::Duplicate => None,
        };
        if let Some((reason, detail)) = parked {
            let parking = Parking { key: &key.key, digest, place: binding.place, hold, reason, detail };
            park(self.tx, table, row, first, &parking)?;
        }
        self.remember(key, digest)?;
        Ok(outcome)
    }

    /// Parks one row that another program's server refused, or copies it like [`Transfer::placed`].
    pub(super) fn refused_or_placed(
        &mut self,
        table: LegacyTable,
        key: &LegacyKey,
        row: &Row<'_>,
        belonging: Belonging,
        refused: Option<&str>,
    ) -> Result<CopyOutcome, Abort> {
        let Some(reason) = refused.filter(|_| belonging.unfit.is_none()) else {
            return self.placed(table, key, row, 1, belonging);
        };
        let Belonging { place, hold, digest, .. } = belonging;
        if self.known.outcome(self.tx, table, key, digest)? != CopyOutcome::Moved {
            self.remember(key, digest)?;
            return Ok(CopyOutcome::Duplicate);
        }
        let detail = "refused before it was imported";
        let place = self.place_id(place)?;
        park(self.tx, table, row, 1, &Parking { key: &key.key, digest, place, hold, reason, detail })?;
        self.remember(key, digest)?;
        Ok(CopyOutcome::Moved)
    }

    /// Remembers that the row was seen, so that it is never copied again.
    pub(super) fn remember(&mut self, key: &LegacyKey, digest: RowDigest) -> Result<(), Abort> {
        self.imported.execute(params![key.source, key.key, digest.0])?;
        Ok(())
    }

    pub(super) fn place_id(&mut self, place: RowOrigin) -> Result<OriginId, Abort> {
        if let Some(id) = self.places.get(&place) {
            return Ok(*id);
        }
        if self.places.len() >= PLACES_AT_HAND {
            self.places.clear();
        }
        let id = origin::id_of(self.tx, &place)?;
        self.places.insert(place, id);
        Ok(id)
    }

    /// Inserts a readable row; false when its table does not take it.
    fn insert(
        &mut self,
        table: LegacyTable,
        row: &Row<'_>,
        first: usize,
        binding: Binding,
    ) -> Result<bool, Abort> {
        let text = |offset: usize| {
            Ok::<_, rusqlite::Error>(text_of(row.get_ref(first + offset)?).unwrap_or_default())
        };
        let number = |offset: usize| Ok::<_, rusqlite::Error>(number_of(row.get_ref(first + offset)?));
        let inserted = match table {
            LegacyTable::Events => {
                let event = WaitingEvent {
                    event_id: text(0)?,
                    event_type: text(1)?,
                    data: text(2)?,
                    timestamp: number(3)? as i64,
                    retry_count: number(4)? as i64,
                    coalesce_key: text_of(row.get_ref(first + 5)?),
                };
                self.queueing.event(&event, binding)?
            }
            LegacyTable::Bodies => {
                let Some(body) = body_of_row(row, first)? else { return Ok(false) };
                let progress = BodyProgress {
                    retry_count: number(10)? as i64,
                    next_attempt_at: number(11)?,
                    created_at: number(12)?,
                    last_error: text_of(row.get_ref(first + 13)?),
                };
                self.queueing.body(&body, progress, binding)?
            }
            LegacyTable::FailureLog => insert_failure(self.tx, row, first)?,
        };
        Ok(inserted)
    }
}

/// Account and project that own a copied row.
pub(super) struct Belonging {
    pub(super) place: RowOrigin,
    pub(super) hold: Hold,
    pub(super) digest: RowDigest,
    /// Reason why the row cannot enter its table, if it cannot.
    pub(super) unfit: Option<String>,
}

/// Failure-log rows never wait: they are copied value by value.
fn insert_failure(tx: &Transaction<'_>, row: &Row<'_>, first: usize) -> Result<bool, Abort> {
    let table = LegacyTable::FailureLog;
    let marks = vec!["?"; table.columns().len()].join(", ");
    let sql = format!("INSERT OR IGNORE INTO {}({}) VALUES ({marks})", table.name(), table.column_list());
    let values = (0..table.columns().len())
        .map(|offset| row.get_ref(first + offset).map(ToSqlOutput::Borrowed))
        .collect::<Result<Vec<ToSqlOutput<'_>>, _>>()?;
    let inserted = tx.prepare_cached(&sql)?.execute(params_from_iter(values))?;
    Ok(inserted > 0)
}
