//! The SQL that both databases run: values, rows and statements.
//!
//! An operation of the store is written once, as a function over [`Sql`]. Statements use what SQLite and
//! PostgreSQL have in common; parameters are `?1`, `?2`, ... Columns are integers, text or bytes;
//! a flag is an integer.

use super::StoreError;
use super::TeamKey;
use crate::secret::TokenHash;
use crate::time::UnixMillis;
use std::borrow::Cow;

/// A connection inside a transaction, or one that only reads.
pub(crate) trait Sql {
    /// Runs a statement. Returns the number of changed rows.
    fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, StoreError>;
    /// All rows of a query.
    fn rows(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<SqlRow>, StoreError>;
    /// A join with the rows of `table` for which `filter` holds, looked for once for each row before them. PostgreSQL
    /// otherwise reads the whole table where it cannot know how few rows `filter` leaves.
    fn join_for_each_row(&self, table: &str, filter: &str) -> String;
    /// Until the transaction ends, other changes that lock the same key wait. A change that reads before
    /// it writes needs this on a database with several writers. Keys are locked in one order: `accounts`
    /// or `devices`, then subjects of guesses by name, then a session. Senders of a team, and the removal of rows, lock
    /// nothing else.
    fn lock(&self, key: &str) -> Result<(), StoreError>;
}

impl dyn Sql + '_ {
    /// The first row of a query.
    pub(super) fn row(&self, sql: &str, values: &[Value<'_>]) -> Result<Option<SqlRow>, StoreError> {
        Ok(self.rows(sql, values)?.into_iter().next())
    }

    pub(super) fn exists(&self, sql: &str, values: &[Value<'_>]) -> Result<bool, StoreError> {
        Ok(!self.rows(sql, values)?.is_empty())
    }

    /// The only column of a query that has one row.
    pub(super) fn count(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        self.row(sql, values)?.map_or(Ok(0), |row| row.get(0))
    }
}

/// A value of a column or a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value<'v> {
    Null,
    Int(i64),
    Text(Cow<'v, str>),
    Bytes(Cow<'v, [u8]>),
}

/// Parameters of a statement.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::store::sql::Value::from(&$value)),*] };
}
pub(super) use values;

impl From<&i64> for Value<'_> {
    fn from(number: &i64) -> Self {
        Self::Int(*number)
    }
}

impl From<&u64> for Value<'_> {
    fn from(number: &u64) -> Self {
        Self::Int(i64::try_from(*number).unwrap_or(i64::MAX))
    }
}

impl From<&UnixMillis> for Value<'_> {
    fn from(time: &UnixMillis) -> Self {
        Self::Int(time.0)
    }
}

impl From<&TeamKey> for Value<'_> {
    fn from(team: &TeamKey) -> Self {
        Self::Int(team.0)
    }
}

impl<'v> From<&'v TokenHash> for Value<'v> {
    fn from(hash: &'v TokenHash) -> Self {
        Self::Bytes(Cow::Borrowed(&hash.0))
    }
}

impl<'v> From<&'v String> for Value<'v> {
    fn from(text: &'v String) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'v> From<&'_ &'v str> for Value<'v> {
    fn from(text: &'_ &'v str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'v> From<&'_ &'v String> for Value<'v> {
    fn from(text: &'_ &'v String) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'v> From<&'_ Option<&'v String>> for Value<'v> {
    fn from(text: &'_ Option<&'v String>) -> Self {
        text.map_or(Self::Null, Self::from)
    }
}

/// A row of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SqlRow(pub(super) Vec<Value<'static>>);

impl SqlRow {
    /// The value of a column, counted from 0.
    pub(super) fn get<T: FromValue>(&self, column: usize) -> Result<T, StoreError> {
        let unexpected = || StoreError::Database(format!("column {column} of a row is not of its type"));
        self.0.get(column).and_then(T::from_value).ok_or_else(unexpected)
    }
}

/// Types that a column is read as.
pub(crate) trait FromValue: Sized {
    /// `None` for a value of another type.
    fn from_value(value: &Value<'_>) -> Option<Self>;
}

impl FromValue for i64 {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        if let Value::Int(number) = value { Some(*number) } else { None }
    }
}

impl FromValue for u64 {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        i64::from_value(value).map(|number| Self::try_from(number).unwrap_or(0))
    }
}

impl FromValue for bool {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        i64::from_value(value).map(|number| number != 0)
    }
}

impl FromValue for UnixMillis {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        i64::from_value(value).map(Self)
    }
}

impl FromValue for TeamKey {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        i64::from_value(value).map(Self)
    }
}

impl FromValue for String {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone().into_owned()),
            Value::Bytes(bytes) => Self::from_utf8(bytes.to_vec()).ok(),
            _ => None,
        }
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        if let Value::Bytes(bytes) = value { Some(bytes.to_vec()) } else { None }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        if *value == Value::Null { Some(None) } else { T::from_value(value).map(Some) }
    }
}
