//! Owners of the legacy rows (contract section 3).
//!
//! An event belongs to the team that it names, also in text that is not JSON; without a team it belongs to every
//! scope. A body or failure-log row belongs to another team if an event of its project names a team and none
//! names ours. A claim of another scope outranks the content of a row.

use super::shape::{FileShape, LegacyTable};
use crate::row::joined_key;
use crate::store::Abort;
use crate::stored_event::StoredEvent;
use contract::Scope;
use contract::scope::trim;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row};
use std::collections::HashMap;

/// Identity of a legacy row, here and in claims.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LegacyKey {
    /// The table, or `<table>#rowid` for a row whose key columns are not text.
    pub(crate) source: &'static str,
    /// The event id, or several columns as a JSON array, or the rowid.
    pub(crate) key: String,
}

impl LegacyKey {
    /// The key of a row whose first columns, from `first` on, are the table's key columns.
    pub(crate) fn of(table: LegacyTable, rowid: i64, row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        let mut columns = Vec::with_capacity(table.key_columns().len());
        for offset in 0..table.key_columns().len() {
            match text_of(row.get_ref(first + offset)?) {
                Some(text) => columns.push(text),
                None => return Ok(Self::of_rowid(table, rowid)),
            }
        }
        let key = match (table, columns.first()) {
            (LegacyTable::Events, Some(id)) => (*id).to_owned(),
            _ => joined_key(&columns),
        };
        Ok(Self { source: table.name(), key })
    }

    fn of_rowid(table: LegacyTable, rowid: i64) -> Self {
        let source = match table {
            LegacyTable::Events => "queue#rowid",
            LegacyTable::Bodies => "body_upload_queue#rowid",
            LegacyTable::FailureLog => "body_upload_failure_log#rowid",
        };
        Self { source, key: rowid.to_string() }
    }

    /// Whether the row has a key of its own.
    pub(crate) fn is_natural(&self, table: LegacyTable) -> bool {
        self.source == table.name()
    }
}

/// A column as text; nothing for any other type and for bytes that are not UTF-8.
pub(crate) fn text_of(value: ValueRef<'_>) -> Option<&str> {
    match value {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// One legacy row, as the scan shows it.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) table: LegacyTable,
    pub(crate) key: LegacyKey,
    pub(crate) in_scope: bool,
    /// Whether the scope has claimed it already.
    pub(crate) claimed: bool,
}

/// Shows every row of the three tables, with whether it belongs to `scope`.
pub(crate) fn scan(
    conn: &Connection,
    shape: &FileShape,
    scope: &Scope,
    visit: &mut dyn FnMut(Scanned) -> Result<(), Abort>,
) -> Result<(), Abort> {
    let mut finder = OwnerFinder::read(conn, shape, scope)?;
    for table in shape.tables() {
        // The owner of an event follows from its content, that of other rows from their project, the first key column.
        let columns = match table {
            LegacyTable::Events => {
                let data = shape.expression(table, "data", "NULL");
                format!("{}, {data}", shape.key_expressions(table))
            }
            _ => shape.key_expressions(table),
        };
        let mut select = conn.prepare(&format!("SELECT rowid, {columns} FROM {}", table.name()))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let key = LegacyKey::of(table, row.get(0)?, row, 1)?;
            let evidence = if table == LegacyTable::Events { row.get_ref(2)? } else { row.get_ref(1)? };
            visit(finder.read_owner(table, key, evidence)?)?;
        }
    }
    Ok(())
}

/// Finds the account of a row. Events must be scanned before the other tables.
pub(crate) struct OwnerFinder<'a> {
    conn: &'a Connection,
    /// Whether there is any claim: usually there is none between two migrations.
    any_claim: bool,
    scope: String,
    projects: Projects,
}

impl<'a> OwnerFinder<'a> {
    pub(crate) fn read(conn: &'a Connection, shape: &FileShape, scope: &Scope) -> Result<Self, Abort> {
        let any_claim = shape.claims && conn.prepare("SELECT 1 FROM claims")?.exists([])?;
        let projects = Projects::read(conn, shape, scope)?;
        Ok(Self { conn, any_claim, scope: scope.hash(), projects })
    }

    /// `evidence` is an event's data, or the project of another row.
    pub(crate) fn read_owner(
        &mut self,
        table: LegacyTable,
        key: LegacyKey,
        evidence: ValueRef<'_>,
    ) -> Result<Scanned, Abort> {
        let names_us = match table {
            LegacyTable::Events => self.projects.names_us(evidence),
            _ => text_of(evidence).is_none_or(|project| self.projects.is_ours(project)),
        };
        let claimant: Option<String> = if self.any_claim {
            self.conn
                .prepare_cached("SELECT scope FROM claims WHERE \"table\" = ?1 AND key = ?2")?
                .query_row([key.source, &key.key], |row| row.get(0))
                .optional()?
        } else {
            None
        };
        let claimed = claimant.as_deref() == Some(self.scope.as_str());
        let in_scope = claimant.map_or(names_us, |_| claimed);
        Ok(Scanned { table, key, in_scope, claimed })
    }
}

/// Teams that the events of a project name. Only projects with body or failure-log rows are kept, so that memory
/// follows those tables and not the events.
struct Projects {
    team: String,
    /// Project -> (names ours, names another).
    named: HashMap<String, (bool, bool)>,
}

impl Projects {
    fn read(conn: &Connection, shape: &FileShape, scope: &Scope) -> Result<Self, Abort> {
        let mut named = HashMap::new();
        for table in [LegacyTable::Bodies, LegacyTable::FailureLog] {
            let project = shape.expression(table, "project_uuid", "NULL");
            if !shape.has(table) || project == "NULL" {
                continue;
            }
            let mut select = conn.prepare(&format!("SELECT DISTINCT {project} FROM {}", table.name()))?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                if let Some(project) = text_of(row.get_ref(0)?) {
                    named.insert(normal(project), (false, false));
                }
            }
        }
        Ok(Self { team: scope.team().to_owned(), named })
    }

    /// Whether an event may be ours: it names our team, or none. Records the teams that its project names.
    fn names_us(&mut self, data: ValueRef<'_>) -> bool {
        let bytes = match data {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
            _ => return true,
        };
        // Also text that is not JSON, and text that is too large to be decoded, may name its account.
        let event = StoredEvent::scan(bytes);
        let team = event.team_slug().map(|team| normal(&team)).filter(|team| !team.is_empty());
        let Some(team) = team else { return true };
        let ours = team == self.team;
        if !self.named.is_empty()
            && let Some(named) = event.project_uuid().and_then(|project| self.named.get_mut(&project))
        {
            named.0 |= ours;
            named.1 |= !ours;
        }
        ours
    }

    fn is_ours(&self, project: &str) -> bool {
        self.named.get(&normal(project)).is_none_or(|(ours, others)| *ours || !others)
    }
}

/// As scopes and projects are compared.
fn normal(text: &str) -> String {
    trim(text).to_lowercase()
}
