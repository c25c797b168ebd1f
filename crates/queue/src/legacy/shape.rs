//! The shapes that a legacy queue DB has had: tables may be missing, `coalesce_key` may be missing,
//! and body tables may spell two columns the old way. All of them are read alike.

use crate::error::QueueError;
use crate::store::{Abort, fault};
use contract::wire::body::BODY_KEY_COLUMNS;
use contract::{Fault, FaultCode, Remedy};
use rusqlite::{Connection, OptionalExtension as _};
use std::path::Path;

/// The three tables whose rows have an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LegacyTable {
    Events,
    Bodies,
    FailureLog,
}

impl LegacyTable {
    /// In the order in which they are scanned and moved. Events first: they determine the owner of the other rows.
    pub(crate) const ALL: [Self; 3] = [Self::Events, Self::Bodies, Self::FailureLog];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Events => "queue",
            Self::Bodies => "body_upload_queue",
            Self::FailureLog => "body_upload_failure_log",
        }
    }

    /// The number under which parked rows and receipts keep it.
    pub(crate) const fn kind(self) -> i64 {
        match self {
            Self::Events => 0,
            Self::Bodies => 1,
            Self::FailureLog => 2,
        }
    }

    /// The column that holds the document itself.
    pub(crate) const fn payload_column(self) -> Option<&'static str> {
        match self {
            Self::Events => Some("data"),
            Self::Bodies => Some("content_body"),
            Self::FailureLog => None,
        }
    }

    /// Every carried column, as today's tables spell them.
    pub(crate) fn column_list(self) -> String {
        self.columns().iter().map(|(column, _)| *column).collect::<Vec<_>>().join(", ")
    }

    /// The columns that identify a row.
    pub(crate) const fn key_columns(self) -> &'static [&'static str] {
        match self {
            Self::Events => &["event_id"],
            Self::Bodies => &BODY_KEY_COLUMNS,
            Self::FailureLog => &FAILURE_KEY,
        }
    }

    /// Every column that is carried over, key first, with what a row of an older shape gets instead.
    pub(crate) const fn columns(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Events => &[
                ("event_id", "NULL"),
                ("event_type", "NULL"),
                ("data", "NULL"),
                ("timestamp", "NULL"),
                ("retry_count", "0"),
                ("coalesce_key", "NULL"),
            ],
            Self::Bodies => &[
                ("project_uuid", "NULL"),
                ("mission_slug", "NULL"),
                ("target_branch", "NULL"),
                ("mission_type", "NULL"),
                ("manifest_version", "NULL"),
                ("artifact_path", "NULL"),
                ("content_hash", "NULL"),
                ("hash_algorithm", "'sha256'"),
                ("content_body", "NULL"),
                ("size_bytes", "NULL"),
                ("retry_count", "0"),
                ("next_attempt_at", "0.0"),
                ("created_at", "0.0"),
                ("last_error", "NULL"),
            ],
            Self::FailureLog => &[
                ("project_uuid", "NULL"),
                ("mission_slug", "NULL"),
                ("target_branch", "NULL"),
                ("mission_type", "NULL"),
                ("manifest_version", "NULL"),
                ("artifact_path", "NULL"),
                ("content_hash", "NULL"),
                ("failure_reason", "NULL"),
                ("hash_algorithm", "'sha256'"),
                ("size_bytes", "NULL"),
                ("failure_count", "1"),
                ("first_failed_at", "0.0"),
                ("last_failed_at", "0.0"),
            ],
        }
    }
}

/// Whether a table of these columns is our table of claims. One with more columns need not take ours.
pub(crate) fn are_claims(columns: &[String]) -> bool {
    const OURS: [&str; 3] = ["table", "key", "scope"];
    columns.len() == OURS.len()
        && OURS.iter().all(|ours| columns.iter().any(|column| column.eq_ignore_ascii_case(ours)))
}

const FAILURE_KEY: [&str; 8] = [
    "project_uuid",
    "mission_slug",
    "target_branch",
    "mission_type",
    "manifest_version",
    "artifact_path",
    "content_hash",
    "failure_reason",
];

/// Tables and columns of one file.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileShape {
    tables: [Vec<String>; 3],
    /// Whether our claims table exists.
    pub(crate) claims: bool,
}

impl FileShape {
    /// Reads the shape of the database `schema` (`main`, or an attached one) of `conn`.
    pub(crate) fn read(conn: &Connection, schema: &str, path: &Path) -> Result<Self, Abort> {
        let mut shape = Self::default();
        let mut list =
            // As SQLite compares names, whatever program made the table.
            conn.prepare("SELECT type, wr FROM pragma_table_list WHERE schema = ?1 AND name = ?2 COLLATE NOCASE")?;
        let mut columns = conn.prepare("SELECT name FROM pragma_table_info(?2, ?1)")?;
        for (table, slot) in LegacyTable::ALL.into_iter().zip(&mut shape.tables) {
            let mut rows = list.query([schema, table.name()])?;
            let Some(row) = rows.next()? else { continue };
            if (row.get::<_, String>(0)?.as_str(), row.get::<_, i64>(1)?) != ("table", 0) {
                let what = format!("`{}` is not an ordinary table", table.name());
                return Err(strange(path, what).into());
            }
            *slot = columns.query_map([schema, table.name()], |row| row.get(0))?.collect::<Result<_, _>>()?;
        }
        let claims: Option<String> = list.query_row([schema, "claims"], |row| row.get(0)).optional()?;
        if let Some(kind) = claims {
            let columns = columns.query_map([schema, "claims"], |row| row.get(0))?;
            if kind != "table" || !are_claims(&columns.collect::<Result<Vec<String>, _>>()?) {
                return Err(strange(path, "`claims` is not the table of claims".to_owned()).into());
            }
            shape.claims = true;
        }
        Ok(shape)
    }

    /// Whether the file has the table.
    pub(crate) fn has(&self, table: LegacyTable) -> bool {
        !self.columns_of(table).is_empty()
    }

    /// The tables the file has.
    pub(crate) fn tables(&self) -> impl Iterator<Item = LegacyTable> + '_ {
        LegacyTable::ALL.into_iter().filter(|table| self.has(*table))
    }

    /// The expression that reads `column` of today's shape out of this file's table.
    pub(crate) fn expression(&self, table: LegacyTable, column: &str, missing: &str) -> String {
        let old = match column {
            "mission_slug" => "feature_slug",
            "mission_type" => "mission_key",
            other => other,
        };
        [column, old]
            .into_iter()
            .find(|name| self.columns_of(table).iter().any(|present| present.eq_ignore_ascii_case(name)))
            .map_or_else(|| missing.to_owned(), |name| format!("\"{name}\""))
    }

    /// The key columns, as a list of expressions.
    pub(crate) fn key_expressions(&self, table: LegacyTable) -> String {
        let columns = table.key_columns().iter().map(|column| self.expression(table, column, "NULL"));
        columns.collect::<Vec<_>>().join(", ")
    }

    /// Every carried column, as a list of expressions.
    pub(crate) fn row_expressions(&self, table: LegacyTable) -> String {
        let columns = table.columns().iter().map(|(column, missing)| self.expression(table, column, missing));
        columns.collect::<Vec<_>>().join(", ")
    }

    fn columns_of(&self, table: LegacyTable) -> &[String] {
        match table {
            LegacyTable::Events => &self.tables[0],
            LegacyTable::Bodies => &self.tables[1],
            LegacyTable::FailureLog => &self.tables[2],
        }
    }
}

fn strange(path: &Path, what: String) -> QueueError {
    fault(Fault::new(FaultCode::LegacyQueueUnreadable, path, what, Remedy::Repair))
}
