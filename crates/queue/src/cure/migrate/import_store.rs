//! Import of a project store of releases 3.2.x, once: its rows become rows of the scoped queue DB in one
//! transaction, in the order of capture. The store is only read.

use super::CopyOutcome;
use super::migration_preview::MigrationPreview;
use super::transfer::{Belonging, Transfer};
use crate::consent::{Hold, RowOrigin};
use crate::error::{Busy, QueueError};
use crate::fault_point::{FaultPoint, reached};
use crate::file::Role;
use crate::legacy::{LegacyKey, LegacyTable};
use crate::observe::{RowCounts, read_only, scoped_queues};
use crate::outbox::record_receipt;
use crate::project_store::{
    IMPORTED_UP_TO, Imports, StoreDecision, StoreFacts, StoreRow, StoreRowClass, each_row, read_store,
    running_migration, store_files,
};
use crate::row::{Kind, RowDigest};
use crate::store::{Abort, ScopedDb, set_meta};
use crate::waiting;
use contract::Scope;
use contract::server_url;
use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, OptionalExtension as _, params, params_from_iter};
use serde::Serialize;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Selection of project stores to import.
#[derive(Clone, Debug, Default)]
pub struct StoreSelection {
    /// Only this project.
    pub project_uuid: Option<String>,
    /// Also a store whose rows were admitted for this server, which is not the one of the login.
    pub from_server: Option<String>,
    /// With `from_server`: also the rows that the old server has, because the present one never got them.
    pub include_delivered: bool,
}

/// Import of one project store.
#[derive(Clone, Debug, Serialize)]
pub struct StoreImport {
    /// The file.
    #[serde(serialize_with = "contract::foreground::raw_path")]
    pub path: PathBuf,
    /// The project.
    pub project_uuid: String,
    /// Result of the import.
    pub result: StoreResult,
    /// Its rows.
    #[serde(flatten)]
    pub rows: ImportedRows,
    /// The user's decision about the project, as the store records it.
    pub decision: StoreDecision,
}

/// Rows of a project store by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportedRows {
    /// Rows that wait and may leave.
    pub ready: RowCounts,
    /// Rows that wait until they are released.
    pub held: RowCounts,
    /// Rows that were refused there: parked with the category.
    pub parked: RowCounts,
    /// Rows that the server has: only a receipt was written.
    pub delivered: RowCounts,
    /// Rows that were here already.
    pub duplicates: RowCounts,
    /// Rows whose key was here with other content: both are kept, the imported one parked.
    pub conflicts: RowCounts,
    /// Rows that cannot enter their table: parked with their raw text.
    pub unreadable: RowCounts,
    /// Rows that a queue DB of another account has, and those that it may have because it cannot be read.
    pub others: RowCounts,
}

impl ImportedRows {
    /// Rows that were not known here before.
    pub fn new_rows(&self) -> u64 {
        let Self { ready, held, parked, delivered, conflicts, unreadable, .. } = self;
        [ready, held, parked, delivered, conflicts, unreadable].into_iter().map(RowCounts::total).sum()
    }

    fn count(&mut self, kind: Kind, slot: impl FnOnce(&mut Self) -> &mut RowCounts) {
        *slot(self).of_mut(kind) += 1;
    }
}

/// Result of importing a project store, or the reason why nothing was imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreResult {
    /// Its rows were looked at, one by one.
    Imported,
    /// It was admitted for another account.
    OtherAccount {
        /// That account.
        account: String,
        /// The account of this login.
        login: String,
    },
    /// It was admitted for another team of the same account.
    OtherTeam {
        /// That team.
        team: String,
    },
    /// It was admitted for another server.
    OtherServer {
        /// That server.
        server: String,
    },
    /// The other program is at work on it.
    Busy {
        /// Its activity.
        detail: String,
    },
    /// It cannot be read, or must not be.
    Unreadable {
        /// The problem.
        detail: String,
    },
}

/// Imports the stores below `projects` into `store`.
pub(in crate::cure) fn import(
    store: &mut ScopedDb,
    scope: &Scope,
    projects: &Path,
    selection: &StoreSelection,
) -> Result<Vec<StoreImport>, QueueError> {
    let queue = store.path().to_owned();
    each_store(scope, projects, &queue, selection, |facts, conn, elsewhere| {
        // A fault of the queue DB is the caller's, not a defect of the store.
        Ok(write_rows(store, scope, facts, conn, elsewhere, selection))
    })
}

/// Preview of [`import`]. Changes nothing and creates nothing.
pub(in crate::cure) fn plan_import(
    scope: &Scope,
    projects: &Path,
    queue: &Path,
    selection: &StoreSelection,
) -> Result<Vec<StoreImport>, QueueError> {
    each_store(scope, projects, queue, selection, |facts, conn, elsewhere| {
        let planned = read_only(queue, Role::Active, |scoped| {
            plan_rows(Some(scoped), queue, facts, conn, elsewhere, selection)
        });
        Ok(match planned {
            Ok(Some(rows)) => Ok(rows),
            Ok(None) => {
                plan_rows(None, queue, facts, conn, elsewhere, selection).map_err(|abort| match abort {
                    Abort::Queue(error) => error,
                    Abort::Sql(source) => {
                        QueueError::Sqlite { path: queue.to_owned(), action: "compare rows with", source }
                    }
                })
            }
            Err(error) => Err(QueueError::from(error)),
        })
    })
}

type Outcome = Result<ImportedRows, QueueError>;

fn each_store(
    scope: &Scope,
    projects: &Path,
    queue: &Path,
    selection: &StoreSelection,
    mut rows: impl FnMut(&StoreFacts, &Connection, &OtherStores) -> Result<Outcome, Abort>,
) -> Result<Vec<StoreImport>, QueueError> {
    let mut stores = store_files(projects);
    stores.retain(|(project, _)| selection.project_uuid.as_ref().is_none_or(|wanted| wanted == project));
    if stores.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(path) = running_migration(projects) {
        return Err(QueueError::Busy(Busy { path, holder: None, waited: Duration::ZERO }));
    }
    let directory = queue.parent().unwrap_or(Path::new("."));
    let (all, imports) = (Imports::read(directory, None), Imports::read(directory, Some(queue)));
    let mut done = Vec::new();
    for (project_uuid, path) in stores {
        let mut decision = StoreDecision::Unset;
        let seen = read_store(&path, &project_uuid, &mut |facts, conn| {
            decision = facts.decision;
            if facts.newest <= all.newest(&project_uuid) && selection.from_server.is_none() {
                return Ok(Ok(None));
            }
            if let Some(result) = obstacle(facts, scope, selection) {
                return Ok(Ok(Some((result, ImportedRows::default()))));
            }
            if let Some(finding) = crate::health::quick_check(conn)? {
                let detail = format!("is damaged: {finding}");
                return Ok(Ok(Some((StoreResult::Unreadable { detail }, ImportedRows::default()))));
            }
            let elsewhere = OtherStores::look_up(facts, conn, queue, &imports)?;
            Ok(rows(facts, conn, &elsewhere)?.map(|rows| Some((StoreResult::Imported, rows))))
        });
        let (result, rows) = match seen {
            Ok(None) => continue,
            Ok(Some(found)) => match found? {
                Some(found) => found,
                // All of it was imported before.
                None => continue,
            },
            Err(crate::ObserveError::Busy(busy)) => {
                (StoreResult::Busy { detail: busy.to_string() }, ImportedRows::default())
            }
            Err(crate::ObserveError::Fault(fault)) => {
                (StoreResult::Unreadable { detail: fault.detail }, ImportedRows::default())
            }
        };
        done.push(StoreImport { path, project_uuid, result, rows, decision });
    }
    Ok(done)
}

/// Reason why the rows of a store must not become rows of `scope` now.
fn obstacle(facts: &StoreFacts, scope: &Scope, selection: &StoreSelection) -> Option<StoreResult> {
    if facts.is_sending {
        let detail = "the release that wrote it is sending its rows".to_owned();
        return Some(StoreResult::Busy { detail });
    }
    let target = facts.target.as_ref()?;
    if target.principal() != scope.principal() {
        return Some(StoreResult::OtherAccount {
            account: target.principal().to_owned(),
            login: scope.principal().to_owned(),
        });
    }
    if target.server() != scope.server() {
        let named = selection.from_server.as_deref().map(|server| Scope::new(server, "", ""));
        return match named.is_some_and(|named| named.server() == target.server()) {
            true => None,
            false => {
                Some(StoreResult::OtherServer { server: server_url::shown(target.server()).into_owned() })
            }
        };
    }
    (target.team() != scope.team()).then(|| StoreResult::OtherTeam { team: target.team().to_owned() })
}

/// Whether the server of the login has what the store calls delivered.
fn same_server(facts: &StoreFacts, scope: &Scope) -> bool {
    facts.target.as_ref().is_none_or(|target| target.server() == scope.server())
}

/// Rows of a store that other accounts of this home have.
struct OtherStores {
    /// Up to this capture number another account has imported the store.
    imported: i64,
    keys: HashSet<LegacyKey>,
    /// A queue DB that may have any of them, because it cannot be read.
    unread: Option<PathBuf>,
}

impl OtherStores {
    fn look_up(
        facts: &StoreFacts,
        conn: &Connection,
        queue: &Path,
        imports: &Imports,
    ) -> Result<Self, Abort> {
        let mut keys = HashSet::new();
        let mut unread = imports.unread.clone();
        let directory = queue.parent().unwrap_or(Path::new("."));
        for (path, _) in scoped_queues(directory).filter(|(path, _)| path != queue) {
            let seen = read_only(&path, Role::Active, |other| {
                let mut known = Vec::new();
                each_row(facts, conn, 0, &mut |row| {
                    if is_known(other, row.table(), &row.key)? {
                        known.push(row.key);
                    }
                    Ok(())
                })?;
                Ok(known)
            });
            match seen {
                Ok(known) => keys.extend(known.into_iter().flatten()),
                Err(_) => unread = Some(path),
            }
        }
        Ok(Self { imported: imports.newest(&facts.project_uuid), keys, unread })
    }

    fn has(&self, row: &StoreRow) -> bool {
        row.sequence <= self.imported || self.keys.contains(&row.key)
    }
}

/// Whether a queue DB has a row of this key or a record of one, with any content.
fn is_known(conn: &Connection, table: LegacyTable, key: &LegacyKey) -> Result<bool, Abort> {
    let has = |name: &str| conn.table_exists(None, name);
    if has("imported")?
        && conn
            .prepare_cached("SELECT 1 FROM imported WHERE source = ?1 AND key = ?2")?
            .exists([key.source, &key.key])?
    {
        return Ok(true);
    }
    if has("receipts")? && has("parked")? && waiting::is_settled(conn, table.kind(), &key.key)? {
        return Ok(true);
    }
    Ok(has(table.name())? && super::transfer::find(conn, table, &key.key)?.is_some())
}

fn write_rows(
    store: &mut ScopedDb,
    scope: &Scope,
    facts: &StoreFacts,
    conn: &Connection,
    elsewhere: &OtherStores,
    selection: &StoreSelection,
) -> Outcome {
    store.write("import rows into", |tx| {
        let mut done = ImportedRows::default();
        let mut transfer = Transfer::into(tx, None, elsewhere.unread.as_deref())?;
        each_row(facts, conn, 0, &mut |row| {
            let kind = row.kind;
            if elsewhere.has(&row) {
                done.count(kind, |done| &mut done.others);
                return Ok(());
            }
            let digest = digest_of(&row);
            let place = place_of(facts, &row);
            if row.class == StoreRowClass::Delivered && !selection.include_delivered {
                let fresh = same_server(facts, scope)
                    && !is_known(tx, row.table(), &row.key)?
                    && record_receipt(
                        tx,
                        kind,
                        &row.key.key,
                        digest,
                        scope.server(),
                        transfer.place_id(place)?,
                    )?;
                done.count(kind, |done| if fresh { &mut done.delivered } else { &mut done.duplicates });
                return Ok(());
            }
            let outcome = if row.unfit.is_none() && has_same_event(tx, &row)? {
                transfer.remember(&row.key, digest)?;
                CopyOutcome::Duplicate
            } else {
                // The columns as a row, so that what parks and queues legacy rows serves these as well.
                let mut values = tx.prepare_cached(select_values(row.table()))?;
                let mut values = values.query(params_from_iter(&row.columns))?;
                let Some(columns) = values.next()? else { return Ok(()) };
                let hold = if row.class == StoreRowClass::Held { Hold::Sealed } else { Hold::Free };
                let refused = match &row.class {
                    StoreRowClass::Refused(category) => Some(category.as_str()),
                    _ => None,
                };
                let belonging = Belonging { place, hold, digest, unfit: row.unfit.clone() };
                transfer.refused_or_placed(row.table(), &row.key, columns, belonging, refused)?
            };
            count(&mut done, &row, outcome);
            Ok(())
        })?;
        transfer.finish()?;
        set_meta(tx, &format!("{IMPORTED_UP_TO}{}", facts.project_uuid), &facts.newest.to_string())?;
        reached(FaultPoint::CopyWritten);
        Ok(done)
    })
}

fn plan_rows(
    scoped: Option<&Connection>,
    queue: &Path,
    facts: &StoreFacts,
    conn: &Connection,
    elsewhere: &OtherStores,
    selection: &StoreSelection,
) -> Result<ImportedRows, Abort> {
    let mut done = ImportedRows::default();
    let mut preview = MigrationPreview::read(scoped, queue)?;
    each_row(facts, conn, 0, &mut |row| {
        let kind = row.kind;
        if elsewhere.has(&row) {
            done.count(kind, |done| &mut done.others);
            return Ok(());
        }
        if row.class == StoreRowClass::Delivered && !selection.include_delivered {
            let known = match scoped {
                Some(scoped) => is_known(scoped, row.table(), &row.key)?,
                None => false,
            };
            done.count(kind, |done| if known { &mut done.duplicates } else { &mut done.delivered });
            return Ok(());
        }
        let same = match scoped.filter(|_| row.unfit.is_none()) {
            Some(scoped) => has_same_event(scoped, &row)?,
            None => false,
        };
        let outcome = match same {
            true => CopyOutcome::Duplicate,
            false => preview.outcome(row.table(), &row.key, digest_of(&row), row.unfit.is_none())?,
        };
        count(&mut done, &row, outcome);
        Ok(())
    })?;
    Ok(done)
}

fn count(done: &mut ImportedRows, row: &StoreRow, outcome: CopyOutcome) {
    done.count(row.kind, |done| match (outcome, &row.class) {
        (CopyOutcome::Duplicate, _) => &mut done.duplicates,
        (CopyOutcome::Conflict, _) => &mut done.conflicts,
        (CopyOutcome::Unreadable, _) => &mut done.unreadable,
        (CopyOutcome::OwnerUnknown, _) => &mut done.others,
        (CopyOutcome::Moved, StoreRowClass::Refused(_)) => &mut done.parked,
        (CopyOutcome::Moved, StoreRowClass::Held) => &mut done.held,
        (CopyOutcome::Moved, StoreRowClass::Ready | StoreRowClass::Delivered) => &mut done.ready,
    });
}

fn digest_of(row: &StoreRow) -> RowDigest {
    let bytes = |index: usize| match row.columns.get(index) {
        Some(SqlValue::Text(text)) => text.as_bytes(),
        _ => &[],
    };
    match row.kind {
        Kind::Event => RowDigest::of([bytes(1), bytes(2)]),
        Kind::Body => RowDigest::of([bytes(7), bytes(8)]),
    }
}

fn place_of(facts: &StoreFacts, row: &StoreRow) -> RowOrigin {
    RowOrigin {
        project_uuid: Some(facts.project_uuid.clone()),
        repo_slug: row.repo_slug.clone(),
        checkout: None,
    }
}

const fn select_values(table: LegacyTable) -> &'static str {
    // One column in front, where a stored row has its number.
    match table {
        LegacyTable::Events => "SELECT 0, ?1, ?2, ?3, ?4, ?5, ?6",
        _ => "SELECT 0, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14",
    }
}

/// Whether the queue DB has the same event in another spelling: releases 3.2.x write the envelopes that they
/// copied with sorted keys and their own `drain_blocked_reason`. What has left with a receipt has only a digest
/// here, and an id is given to one event only.
fn has_same_event(conn: &Connection, row: &StoreRow) -> Result<bool, Abort> {
    let (Kind::Event, Some(SqlValue::Text(text))) = (row.kind, row.columns.get(2)) else { return Ok(false) };
    let key = &row.key.key;
    let has = |name: &str| conn.table_exists(None, name);
    let mut known: Vec<String> = Vec::new();
    if has("queue")? {
        let waiting: Option<String> = conn
            .prepare_cached("SELECT CAST(data AS TEXT) FROM queue WHERE event_id = ?1")?
            .query_row([key], |row| row.get(0))
            .optional()?;
        known.extend(waiting);
    }
    if has("parked")? {
        let mut parked =
            conn.prepare_cached("SELECT CAST(payload AS TEXT) FROM parked WHERE kind = ?1 AND key = ?2")?;
        let rows =
            parked.query_map(params![Kind::Event.stored(), key], |row| row.get::<_, Option<String>>(0))?;
        for payload in rows {
            known.extend(payload?);
        }
    }
    if known.iter().any(|known| is_same_event(known, text)) {
        return Ok(true);
    }
    Ok(known.is_empty()
        && has("receipts")?
        && conn
            .prepare_cached("SELECT 1 FROM receipts WHERE kind = ?1 AND key = ?2 AND outcome <> 'dropped'")?
            .exists(params![Kind::Event.stored(), key])?)
}

fn is_same_event(one: &str, other: &str) -> bool {
    let read = |text: &str| {
        let mut event = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).ok()?;
        event.remove("drain_blocked_reason");
        Some(event)
    };
    one == other || read(one).is_some_and(|one| Some(one) == read(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_and_block_reason_make_no_other_event() {
        let stored = r#"{"event_id": "E", "payload": {"b": 1, "a": 2}}"#;
        let copied = r#"{"drain_blocked_reason":"no_auth","event_id":"E","payload":{"a":2,"b":1}}"#;
        assert!(is_same_event(stored, copied));
        assert!(!is_same_event(stored, &copied.replace("\"a\":2", "\"a\":3")));
        assert!(!is_same_event(stored, "no event"));
    }
}
