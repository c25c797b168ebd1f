//! Inspection queries: stored events and bodies, page by page.

use super::events::names;
use crate::store::{EventQuery, StoreError, Totals};
use crate::time::UnixMillis;
use contract::wire::inspect::{HeldBody, HeldEvent, Page};
use data_encoding::HEXLOWER;
use flate2::read::MultiGzDecoder;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};
use std::io::Read;

/// Conditions of a query, as SQL and parameters.
struct Filter {
    sql: String,
    values: Vec<Value>,
}

impl Filter {
    /// Rows of the query's teams; none when it has no team.
    fn of(query: &EventQuery, team: &str, project: &str) -> Self {
        let marks = vec!["?"; query.teams.len()].join(", ");
        let mut filter = Self {
            sql: format!("{team} IN ({marks})"),
            values: query.teams.iter().map(|team| Value::Integer(team.0)).collect(),
        };
        if let Some(project_uuid) = &query.project_uuid {
            filter.and(&format!("{project} = ?"), Value::Text(project_uuid.clone()));
        }
        filter
    }

    fn and(&mut self, condition: &str, value: Value) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.push(value);
    }
}

pub(super) fn events(connection: &Connection, query: &EventQuery) -> Result<Page<HeldEvent>, StoreError> {
    let mut filter = Filter::of(query, "events.team", "project_uuid");
    if let Some(event_id) = &query.event_id {
        let canonical = contract::event::id::canonical(event_id).unwrap_or_else(|| event_id.clone());
        filter.and("event_id = ?", Value::Text(canonical));
    }
    let tables = "events JOIN projects ON projects.key = events.project JOIN blocks ON blocks.key = block";
    let columns = "seq, coalesce(sent_id, event_id), event_type, aggregate_id,
        (SELECT team_id FROM teams WHERE teams.key = events.team), nullif(project_uuid, ''), received_at, digest,
        deviations, block, offset, length";
    let mut unpacked = Unpacked { connection, current: None };
    let found = page(connection, tables, columns, filter, query, |row| {
        let digest: Vec<u8> = row.get(7)?;
        let event = HeldEvent {
            seq: number(row, 0)?,
            event_id: row.get(1)?,
            event_type: row.get(2)?,
            aggregate_id: row.get(3)?,
            team: row.get(4)?,
            project_uuid: row.get(5)?,
            received_at: row.get::<_, UnixMillis>(6)?.iso(),
            digest: HEXLOWER.encode(&digest),
            legacy_shape: names(row.get(8)?),
            content: None,
        };
        Ok((event, row.get::<_, i64>(9)?, number(row, 10)?, number(row, 11)?))
    })?;
    let with_content = |(mut event, block, offset, length): (HeldEvent, i64, u64, u64)| {
        if query.with_content {
            event.content = Some(unpacked.content(block, offset, length, &event.digest)?);
        }
        Ok(event)
    };
    let rows = found.rows.into_iter().map(with_content).collect::<Result<_, StoreError>>()?;
    Ok(Page { total: found.total, rows, next: found.next })
}

/// Bound for damaged blocks; a stored block is smaller.
const LARGEST_BLOCK: u64 = 256 * 1024 * 1024;

/// Cache of the last unpacked block: neighbouring events usually share one.
struct Unpacked<'c> {
    connection: &'c Connection,
    current: Option<(i64, Vec<u8>)>,
}

impl Unpacked<'_> {
    /// The bytes of an event, checked against its digest.
    fn content(&mut self, block: i64, offset: u64, length: u64, digest: &str) -> Result<String, StoreError> {
        let damaged = |what: &str| StoreError::Database(format!("block {block} {what}"));
        if self.current.as_ref().is_none_or(|(key, _)| *key != block) {
            let packed: Vec<u8> = self
                .connection
                .prepare_cached("SELECT packed FROM blocks WHERE key = ?1")?
                .query_row([block], |row| row.get(0))?;
            let mut plain = Vec::new();
            MultiGzDecoder::new(&packed[..])
                .take(LARGEST_BLOCK)
                .read_to_end(&mut plain)
                .map_err(|_| damaged("does not unpack"))?;
            self.current = Some((block, plain));
        }
        let plain = self.current.as_ref().map_or(&[][..], |(_, plain)| plain);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        let bytes = plain.get(start..end).ok_or_else(|| damaged("is shorter than its events"))?;
        if contract::wire::body::hash(bytes) != digest {
            return Err(damaged("does not hold what was received"));
        }
        String::from_utf8(bytes.to_vec()).map_err(|_| damaged("is not UTF-8"))
    }
}

pub(super) fn bodies(connection: &Connection, query: &EventQuery) -> Result<Page<HeldBody>, StoreError> {
    let filter = Filter::of(query, "artifacts.team", "artifacts.project_uuid");
    let content = if query.with_content { "content" } else { "NULL" };
    let columns = format!(
        "seq, (SELECT team_id FROM teams WHERE teams.key = team), project_uuid, mission_slug, target_branch, path,
         content_hash, size_bytes, received_at, {content}"
    );
    page(connection, "bodies JOIN artifacts ON artifacts.key = artifact", &columns, filter, query, |row| {
        Ok(HeldBody {
            seq: number(row, 0)?,
            team: row.get(1)?,
            project_uuid: row.get(2)?,
            mission_slug: row.get(3)?,
            target_branch: row.get(4)?,
            artifact_path: row.get(5)?,
            content_hash: row.get(6)?,
            size_bytes: number(row, 7)?,
            received_at: UnixMillis(row.get(8)?).iso(),
            content: row.get(9)?,
        })
    })
}

pub(super) fn totals(connection: &Connection) -> Result<Totals, StoreError> {
    let count = |sql: &str| connection.prepare_cached(sql)?.query_row([], |row| number(row, 0));
    Ok(Totals {
        accounts: count("SELECT count(*) FROM accounts WHERE disabled_at IS NULL")?,
        teams: count("SELECT count(*) FROM teams")?,
        sessions: count("SELECT count(*) FROM sessions WHERE ended_at IS NULL")?,
        projects: count("SELECT count(*) FROM projects")?,
        events: count("SELECT count(*) FROM events")?,
        bodies: count("SELECT count(*) FROM bodies")?,
    })
}

/// Reads one page. The first column must be `seq`.
fn page<T>(
    connection: &Connection,
    tables: &str,
    columns: &str,
    mut filter: Filter,
    query: &EventQuery,
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Page<T>, StoreError> {
    let total = connection.query_row(
        &format!("SELECT count(*) FROM {tables} WHERE {}", filter.sql),
        params_from_iter(&filter.values),
        |row| number(row, 0),
    )?;
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX - 1).clamp(1, 10_000);
    filter.and("seq > ?", Value::Integer(i64::try_from(query.after).unwrap_or(i64::MAX)));
    filter.values.push(Value::Integer(limit + 1));
    let sql = format!("SELECT {columns} FROM {tables} WHERE {} ORDER BY seq LIMIT ?", filter.sql);
    let mut statement = connection.prepare(&sql)?;
    let read = |row: &Row<'_>| Ok((number(row, 0)?, read(row)?));
    let rows = statement.query_map(params_from_iter(&filter.values), read)?;
    let mut rows: Vec<(u64, T)> = rows.collect::<Result<_, _>>()?;
    // One row beyond the page shows that there are more.
    let limit = usize::try_from(limit).unwrap_or(1);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| has_more).map(|(seq, _)| *seq);
    Ok(Page { total, rows: rows.into_iter().map(|(_, row)| row).collect(), next })
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}
