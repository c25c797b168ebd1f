//! Copies a SQLite store into an empty PostgreSQL database, in one transaction.
//!
//! The tables, their columns and keys are read from the database, so that a new table is copied without a
//! change here. Every table is read back and compared by number of rows and digest before the commit.

use super::postgres::{DatabaseUrl, Postgres, text_of, without_nul};
use super::sql::Value;
use super::sqlite::Sqlite;
use super::{StoreError, StoreMetrics};
use crate::error::ServerError;
use data_encoding::HEXLOWER;
use deadpool_postgres::Transaction;
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;
use std::pin::pin;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

/// A copied table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedTable {
    /// Its name.
    pub name: String,
    /// Number of its rows.
    pub rows: u64,
    /// SHA-256 over its rows in the order of its key, equal in both databases.
    pub digest: String,
}

/// Rows read back at once; a row has a megabyte at most.
const ROWS_AT_ONCE: usize = 64;

/// The tables without foreign keys to later tables, with columns, types and key.
const TABLES: &str = "SELECT c.relname,
        array_agg(a.attname ORDER BY a.attnum),
        array_agg(a.atttypid ORDER BY a.attnum),
        array_agg(a.attidentity <> '' ORDER BY a.attnum),
        (SELECT array_agg(k.attname ORDER BY array_position(i.indkey::int2[], k.attnum))
         FROM pg_index i JOIN pg_attribute k ON k.attrelid = i.indrelid AND k.attnum = ANY(i.indkey)
         WHERE i.indrelid = c.oid AND i.indisprimary),
        (SELECT coalesce(array_agg(f.confrelid::regclass::text), '{}') FROM pg_constraint f
         WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.confrelid <> c.oid)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace
      AND c.relname <> 'migrations'
    GROUP BY c.oid, c.relname ORDER BY c.relname";

struct Table {
    name: String,
    columns: Vec<String>,
    types: Vec<Type>,
    is_identity: Vec<bool>,
    key: Vec<String>,
    /// Tables that its foreign keys name.
    after: Vec<String>,
}

impl Table {
    fn select(&self) -> String {
        let quoted =
            |names: &[String]| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let (columns, key) = (quoted(&self.columns), quoted(&self.key));
        format!("SELECT {columns} FROM \"{}\" ORDER BY {key}", self.name)
    }
}

/// Copies the store in `from`, which no server may use meanwhile.
pub(crate) async fn copy(from: &Path, to: &DatabaseUrl) -> Result<Vec<CopiedTable>, ServerError> {
    let source = Sqlite::snapshot(from)?;
    let target = Postgres::open(to, StoreMetrics::new()?).await?;
    let fault = |error: StoreError| match error {
        StoreError::Database(text) => ServerError::Postgres(to.to_string(), text),
        other => ServerError::Store(other),
    };
    let mut client = target.client().await.map_err(fault)?;
    let transaction = client.transaction().await.map_err(|error| fault(text_of(&error)))?;
    let mut copied = Vec::new();
    for table in tables(&transaction).await.map_err(fault)? {
        let has_rows = format!("SELECT EXISTS (SELECT 1 FROM \"{}\")", table.name);
        let row = transaction.query_one(&has_rows, &[]).await.map_err(|error| fault(text_of(&error)))?;
        if row.get(0) {
            return Err(ServerError::NotEmpty(to.to_string(), table.name));
        }
        let sent = send(&source, &transaction, &table).await.map_err(fault)?;
        let read = read_back(&transaction, &table).await.map_err(fault)?;
        if sent != read {
            let text = format!("the copy of table {} differs from its source", table.name);
            return Err(ServerError::Postgres(to.to_string(), text));
        }
        copied.push(CopiedTable { name: table.name, rows: sent.rows, digest: sent.digest() });
    }
    target.commit(transaction).await.map_err(fault)?;
    Ok(copied)
}

/// All tables of the schema, each after those that its foreign keys name.
async fn tables(transaction: &Transaction<'_>) -> Result<Vec<Table>, StoreError> {
    let rows = transaction.query(TABLES, &[]).await.map_err(|error| text_of(&error))?;
    let read = |row: &tokio_postgres::Row| {
        let oids: Vec<u32> = row.try_get(2)?;
        Ok(Table {
            name: row.try_get(0)?,
            columns: row.try_get(1)?,
            types: oids.into_iter().map(|oid| Type::from_oid(oid).unwrap_or(Type::UNKNOWN)).collect(),
            is_identity: row.try_get(3)?,
            key: row.try_get(4)?,
            after: row.try_get(5)?,
        })
    };
    let mut waiting: Vec<Table> =
        rows.iter().map(read).collect::<Result<_, _>>().map_err(|error| text_of(&error))?;
    let (mut ordered, mut done) = (Vec::new(), HashSet::new());
    while !waiting.is_empty() {
        let (ready, later): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|table| table.after.iter().all(|name| done.contains(name)));
        if ready.is_empty() {
            return Err(StoreError::Database("its tables refer to each other in a circle".to_owned()));
        }
        done.extend(ready.iter().map(|table| table.name.clone()));
        ordered.extend(ready);
        waiting = later;
    }
    Ok(ordered)
}

/// Number and digest of the rows of a table.
#[derive(Clone, Default)]
struct Tally {
    rows: u64,
    hasher: Sha256,
}

impl Tally {
    fn add(&mut self, row: &[Value<'_>]) {
        self.rows += 1;
        for value in row {
            let (tag, bytes): (u8, Cow<'_, [u8]>) = match value {
                Value::Null => (b'n', Cow::Borrowed(&[])),
                Value::Int(number) => (b'i', Cow::Owned(number.to_le_bytes().to_vec())),
                Value::Text(text) => (b't', Cow::Borrowed(text.as_bytes())),
                Value::Bytes(bytes) => (b'b', Cow::Borrowed(bytes)),
            };
            self.hasher.update([tag]);
            self.hasher.update((bytes.len() as u64).to_le_bytes());
            self.hasher.update(bytes);
        }
    }

    fn digest(&self) -> String {
        HEXLOWER.encode(&self.hasher.clone().finalize())
    }
}

impl PartialEq for Tally {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows && self.digest() == other.digest()
    }
}

async fn send(
    source: &Connection,
    transaction: &Transaction<'_>,
    table: &Table,
) -> Result<Tally, StoreError> {
    let columns: Vec<String> = table.columns.iter().map(|name| format!("\"{name}\"")).collect();
    let copy = format!("COPY \"{}\" ({}) FROM STDIN BINARY", table.name, columns.join(", "));
    let sink = transaction.copy_in(&copy).await.map_err(|error| text_of(&error))?;
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &table.types));
    let mut tally = Tally::default();
    let mut statement = source.prepare(&table.select())?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let mut values = Vec::with_capacity(table.types.len());
        for (at, of) in table.types.iter().enumerate() {
            values.push(as_stored(super::sqlite::value(row.get_ref(at)?), of));
        }
        tally.add(&values);
        let parameters: Vec<&(dyn ToSql + Sync)> =
            values.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
        writer.as_mut().write(&parameters).await.map_err(|error| text_of(&error))?;
    }
    writer.finish().await.map_err(|error| text_of(&error))?;
    for (column, _) in table.columns.iter().zip(&table.is_identity).filter(|(_, is_identity)| **is_identity) {
        let name = &table.name;
        let next = format!(
            "SELECT setval(pg_get_serial_sequence('{name}', '{column}'), max(\"{column}\")) FROM \"{name}\"
             HAVING max(\"{column}\") IS NOT NULL"
        );
        transaction.batch_execute(&next).await.map_err(|error| text_of(&error))?;
    }
    Ok(tally)
}

/// The value that a column of PostgreSQL has for one of SQLite.
fn as_stored(value: Value<'static>, of: &Type) -> Value<'static> {
    match value {
        Value::Text(text) if *of == Type::BYTEA => Value::Bytes(Cow::Owned(text.into_owned().into_bytes())),
        Value::Text(text) => Value::Text(Cow::Owned(without_nul(&text).into_owned())),
        other => other,
    }
}

async fn read_back(transaction: &Transaction<'_>, table: &Table) -> Result<Tally, StoreError> {
    let fault = |error: tokio_postgres::Error| text_of(&error);
    let cursor = format!("DECLARE copied NO SCROLL CURSOR FOR {}", table.select());
    transaction.batch_execute(&cursor).await.map_err(fault)?;
    let fetch = transaction.prepare(&format!("FETCH {ROWS_AT_ONCE} FROM copied")).await.map_err(fault)?;
    let mut tally = Tally::default();
    loop {
        let rows = transaction.query(&fetch, &[]).await.map_err(fault)?;
        for row in &rows {
            tally.add(&super::postgres::row(row)?.0);
        }
        if rows.len() < ROWS_AT_ONCE {
            break;
        }
    }
    transaction.batch_execute("CLOSE copied").await.map_err(fault)?;
    Ok(tally)
}
