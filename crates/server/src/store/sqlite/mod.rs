//! The SQLite store: one file, one writer thread, a few readers.
//!
//! Invariants:
//! * Every change runs on the writer thread, which commits waiting changes as one transaction and
//!   answers after the commit. `synchronous=FULL`: an acknowledged change survives a power cut.
//! * WAL, so that readers never block the writer. (The client's queues use a rollback journal; no other
//!   program reads this file.)
//! * The file and its directory are private. A newer schema is refused, not touched.

mod ingest;
mod readers;
mod writer;

use super::sql::{Sql, SqlRow, Value};
use super::{ConnectionUse, StoreError, StoreMetrics, TeamKey, schema};
use crate::error::ServerError;
use crate::time::UnixMillis;
use readers::Readers;
use rusqlite::config::DbConfig;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, TransactionBehavior, params_from_iter};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;
use system::private_file::{create_private_dir, load_private_file};
use writer::WriterThread;

/// The database's name in the data directory.
pub(crate) const FILE_NAME: &str = "server.db";

/// Busy timeout: admin commands run beside a server on the same file.
const BUSY: Duration = Duration::from_secs(10);

/// The SQLite store.
pub(super) struct Sqlite {
    writer: WriterThread,
    readers: Readers,
}

impl Sqlite {
    /// Opens the store in `data_dir`, creating both if needed.
    pub(super) fn open(data_dir: &Path, metrics: StoreMetrics) -> Result<Self, ServerError> {
        let (path, connection) = open_migrated(data_dir)?;
        // The database and its log are there now. A log stays until the last connection closes, so its entry needs
        // no flush in a transaction, and SQLite makes none (`.cargo/config.toml`).
        system::file::sync_directory(data_dir)
            .map_err(|source| ServerError::DataDir(data_dir.to_owned(), source))?;
        let writer = WriterThread::start(connection, metrics).map_err(ServerError::Thread)?;
        Ok(Self { writer, readers: Readers::new(path) })
    }

    /// A connection to the store in `data_dir` that reads its present state, whatever is written meanwhile.
    /// The store must exist; it is migrated first.
    pub(super) fn snapshot(data_dir: &Path) -> Result<Connection, ServerError> {
        let (path, connection) = open_migrated(data_dir)?;
        let fault = |error: rusqlite::Error| ServerError::Database(path.clone(), error.to_string());
        connection.execute_batch("PRAGMA query_only = ON; BEGIN").map_err(fault)?;
        Ok(connection)
    }

    /// Runs a change in a transaction of the writer thread; resolves after the commit.
    pub(super) fn change<T, F>(
        &self,
        change: F,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.writer.run(change)
    }

    pub(super) fn connection_use(&self) -> ConnectionUse {
        ConnectionUse { waiting: self.writer.waiting(), ..self.readers.connection_use() }
    }

    /// Finds rows by their key, on the calling thread.
    pub(super) fn lookup(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<SqlRow>, StoreError> {
        self.readers.lookup(|connection| connection.rows(sql, values))
    }

    /// Runs a query on a read-only connection.
    pub(super) fn query<T, F>(
        &self,
        query: F,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.readers.run(query)
    }
}

/// Creates the file if needed, and migrates it.
fn open_migrated(data_dir: &Path) -> Result<(PathBuf, Connection), ServerError> {
    let directory = |source| ServerError::DataDir(data_dir.to_owned(), source);
    create_private_dir(data_dir).map_err(|error| directory(error.source))?;
    let path = data_dir.join(FILE_NAME);
    load_private_file(&path).map_err(directory)?;
    let mut connection = connect(&path)?;
    migrate(&mut connection, &path)?;
    Ok((path, connection))
}

fn connect(path: &Path) -> Result<Connection, ServerError> {
    let fault = |error: rusqlite::Error| ServerError::Database(path.to_owned(), error.to_string());
    let connection = Connection::open(path).map_err(fault)?;
    connection.busy_timeout(BUSY).map_err(fault)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Otherwise SQLite compiles a cached statement again for each value that its plan could depend on.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(fault)?;
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
             PRAGMA temp_store = MEMORY; PRAGMA cache_size = -32768; PRAGMA trusted_schema = OFF;
             PRAGMA secure_delete = ON; PRAGMA wal_autocheckpoint = 4000;",
        )
        .map_err(fault)?;
    Ok(connection)
}

/// Migrates the file to the schema of this release, in one transaction.
fn migrate(connection: &mut Connection, path: &Path) -> Result<(), ServerError> {
    let fault = |error: rusqlite::Error| ServerError::Database(path.to_owned(), error.to_string());
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fault)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(fault)?;
    if found > schema::VERSION {
        return Err(ServerError::NewerSchema {
            database: path.display().to_string(),
            found,
            known: schema::VERSION,
        });
    }
    for migration in schema::after(found) {
        transaction.execute_batch(migration.both).map_err(fault)?;
        transaction.execute_batch(migration.sqlite).map_err(fault)?;
    }
    transaction.execute_batch(&format!("PRAGMA user_version = {}", schema::VERSION)).map_err(fault)?;
    transaction.commit().map_err(fault)
}

impl Sql for Connection {
    fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        Ok(self.prepare_cached(sql)?.execute(params_from_iter(values))? as u64)
    }

    fn rows(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<SqlRow>, StoreError> {
        let mut statement = self.prepare_cached(sql)?;
        let columns = statement.column_count();
        let read = |row: &rusqlite::Row<'_>| {
            (0..columns).map(|column| row.get_ref(column).map(value)).collect::<Result<_, _>>().map(SqlRow)
        };
        Ok(statement.query_map(params_from_iter(values), read)?.collect::<Result<_, _>>()?)
    }

    fn join_for_each_row(&self, table: &str, filter: &str) -> String {
        format!("JOIN {table} ON {filter}")
    }

    fn lock(&self, _: &str) -> Result<(), StoreError> {
        // A database has one writer at a time.
        Ok(())
    }
}

/// A value, as both databases give it.
pub(super) fn value(value: ValueRef<'_>) -> Value<'static> {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        // The schema has no such column.
        ValueRef::Real(number) => Value::Int(number as i64),
        ValueRef::Text(text) => Value::Text(Cow::Owned(String::from_utf8_lossy(text).into_owned())),
        ValueRef::Blob(bytes) => Value::Bytes(Cow::Owned(bytes.to_vec())),
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl ToSql for UnixMillis {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl ToSql for TeamKey {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{EventQuery, Store};

    const BEFORE_COUNTS: &str = "
        INSERT INTO teams (key, team_id, name, is_private, created_at) VALUES (1, 'a', 'A', 1, 0), (2, 'b', 'B', 1, 0);
        INSERT INTO projects (key, team, project_uuid) VALUES (1, 1, 'p'), (2, 1, 'q'), (3, 2, 'p');
        INSERT INTO blocks (key, project, received_at, packed) VALUES (1, 1, 0, x''), (2, 2, 0, x''), (3, 3, 0, x'');
        WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 90)
        INSERT INTO events (team, event_id, event_type, aggregate_id, project, deviations, digest, block, offset, length)
            SELECT iif(n % 3 = 2, 2, 1), 'e' || n, 't', 'g', n % 3 + 1, 0, x'', n % 3 + 1, 0, 0 FROM n;
        INSERT INTO artifacts VALUES (1, 1, 'p', 'm', 'main', 't', '1', 'x.md'), (2, 2, 'p', 'm', 'main', 't', '1', 'x.md');
        INSERT INTO bodies (artifact, content_hash, size_bytes, received_at, content)
            VALUES (1, 'h', 1, 0, 'x'), (1, 'i', 1, 0, 'y'), (2, 'h', 1, 0, 'x');
    ";

    fn store_of_version_2() -> (Store, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let connection = connect(&directory.path().join(FILE_NAME)).unwrap();
        for migration in schema::after(0).take(2) {
            connection.execute_batch(migration.both).unwrap();
            connection.execute_batch(migration.sqlite).unwrap();
        }
        connection.execute_batch("PRAGMA user_version = 2").unwrap();
        connection.execute_batch(BEFORE_COUNTS).unwrap();
        drop(connection);
        (Store::open_blocking(directory.path()), directory)
    }

    fn teams(keys: &[i64]) -> EventQuery {
        EventQuery {
            teams: keys.iter().map(|key| TeamKey(*key)).collect(),
            limit: 7,
            ..EventQuery::default()
        }
    }

    #[tokio::test]
    async fn migration_counts_what_is_stored() {
        let (store, _directory) = store_of_version_2();
        let totals = store.totals().await.unwrap();
        assert_eq!((totals.events, totals.bodies), (90, 3));
        let of_project =
            |keys, project: &str| EventQuery { project_uuid: Some(project.into()), ..teams(keys) };
        for (query, events, bodies) in [
            (teams(&[1]), 60, 2),
            (teams(&[2]), 30, 1),
            (teams(&[1, 2]), 90, 3),
            (of_project(&[1], "q"), 30, 0),
            (of_project(&[1, 2], "p"), 60, 3),
            (of_project(&[2], "q"), 0, 0),
            (teams(&[]), 0, 0),
        ] {
            assert_eq!(store.events(query.clone()).await.unwrap().total, events, "{query:?}");
            assert_eq!(store.bodies(query.clone()).await.unwrap().total, bodies, "{query:?}");
        }
    }

    #[tokio::test]
    async fn pages_contain_every_row_once_in_order() {
        let (store, _directory) = store_of_version_2();
        let (mut query, mut seen) = (teams(&[1, 2]), Vec::new());
        loop {
            let page = store.events(query.clone()).await.unwrap();
            seen.extend(page.rows.iter().map(|row| row.seq));
            match page.next {
                Some(next) => query.after = next,
                None => break,
            }
        }
        assert_eq!(seen, (1..=90).collect::<Vec<u64>>());
        let one = EventQuery { event_id: Some("e4".into()), ..teams(&[1, 2]) };
        let page = store.events(one).await.unwrap();
        assert_eq!((page.total, page.rows.len(), page.next), (1, 1, None));
    }

    /// A plan that reads all rows, or sorts them, is slow at ten million.
    #[tokio::test]
    async fn pages_are_read_in_the_order_of_an_index() {
        let (_store, directory) = store_of_version_2();
        let connection = connect(&directory.path().join(FILE_NAME)).unwrap();
        let events = crate::store::inspect::EVENTS;
        let bodies = "SELECT * FROM bodies WHERE team = ?1 AND seq > ?2";
        let plan = |select: &str, values: usize| {
            let values = vec![Value::Int(1); values];
            let plan = Sql::rows(&connection, &format!("EXPLAIN QUERY PLAN {select}"), &values).unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get(3).unwrap()).collect();
            plan.join("; ")
        };
        let is_read_by = |index: &str, plan: &str| {
            let is_sorted = plan.contains("SCAN") || plan.contains("TEMP B-TREE");
            assert!(plan.contains(index) && !is_sorted, "{plan}");
        };
        for select in crate::store::missions::page_queries(&connection) {
            let values = (1..=10).rev().find(|number| select.contains(&format!("?{number}"))).unwrap_or(0);
            let plan = plan(&select, values);
            // The blocks that wait are all rows of their partial index.
            let is_read_by_key = !plan.contains("SCAN") || plan.contains("blocks_without_spans");
            assert!(is_read_by_key && !plan.contains("TEMP B-TREE"), "{select}: {plan}");
        }
        for (select, filter, index) in [
            (events, "", "events_of_team"),
            (events, "AND events.project = ?4", "events_of_project"),
            (bodies, "", "bodies_of_team"),
            (bodies, "AND project_uuid = ?4", "bodies_of_project"),
        ] {
            let values = if filter.is_empty() { 3 } else { 4 };
            is_read_by(index, &plan(&format!("{select} {filter} ORDER BY seq LIMIT ?3"), values));
        }
        is_read_by("blocks_by_age", &plan(crate::store::prune::OLD_BLOCKS, 3));
        is_read_by("bodies_by_age", &plan(crate::store::prune::OLD_BODIES, 3));
    }
}
