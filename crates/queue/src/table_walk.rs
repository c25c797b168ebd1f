//! Walks through a table that may be damaged, to every row that can be read.

use crate::store::Abort;
use rusqlite::{Connection, ErrorCode, Row};
use std::fmt;
use std::ops::ControlFlow;

/// Takes a row: its rowid, then the columns that were asked for. A break pauses the walk behind this row.
pub(crate) type Visit<'v> = dyn FnMut(&Row<'_>) -> Result<ControlFlow<()>, Abort> + 'v;

/// Place of a walk through a table by rowid, from page to page as SQLite does. Behind an unreadable page it continues
/// at the next readable rowid.
#[derive(Clone, Debug)]
pub(crate) struct RowidWalk {
    purpose: Purpose,
    /// The rowid at which the walk continues; none at the end of the table.
    next: Option<i64>,
    /// The largest rowid shown. Damaged rowids may be in any order; the walk never goes back.
    largest: Option<i64>,
    /// Rowids that may still be tried one by one, in the whole table; none before the first damage.
    steps: Option<u64>,
    /// Where the search behind damage stops to go one by one, while it goes on at `next`.
    search: Option<i64>,
    damage: Option<TableDamage>,
}

/// What a walk is for.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Look,
    Salvage,
}

impl Purpose {
    /// Searched rowids between two pauses. Each is one descent of the tree.
    const fn most_probes(self) -> u64 {
        match self {
            Self::Look => 1_000,
            Self::Salvage => u64::MAX,
        }
    }

    /// The error as text, and whether readable rows are searched behind it.
    fn search_behind(self, error: rusqlite::Error) -> Result<(String, bool), Abort> {
        let by_query = matches!(error, rusqlite::Error::SqlInputError { .. });
        let search = match (self, error.sqlite_error_code()) {
            _ if is_damage(&error) => true,
            // A sector that cannot be read, and a damaged length of a row.
            (Self::Salvage, Some(ErrorCode::SystemIoFailure | ErrorCode::TooBig)) => true,
            // The query itself fails: each search would, too. The other tables are saved.
            (Self::Salvage, Some(ErrorCode::Unknown)) => false,
            (Self::Salvage, None) if by_query => false,
            _ => return Err(error.into()),
        };
        Ok((error.to_string(), search))
    }
}

/// Parts of a table that cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct TableDamage {
    gaps: u64,
    /// The rowid before the first gap; none at the beginning of the table.
    behind: Option<i64>,
    /// What is wrong at the first gap.
    error: String,
}

/// Completes "is damaged in `table` ".
impl fmt::Display for TableDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gaps, behind, error } = self;
        match behind {
            Some(row) => write!(f, "behind row {row}")?,
            None => f.write_str("at its beginning")?,
        }
        match gaps {
            0 | 1 => {}
            2 => f.write_str(" and in 1 more place")?,
            more => write!(f, " and in {} more places", more - 1)?,
        }
        write!(f, ": {error}")
    }
}

impl RowidWalk {
    pub(crate) const fn start() -> Self {
        Self::of(Purpose::Look)
    }

    pub(crate) const fn of_salvage() -> Self {
        Self::of(Purpose::Salvage)
    }

    const fn of(purpose: Purpose) -> Self {
        Self { purpose, next: Some(i64::MIN), largest: None, steps: None, search: None, damage: None }
    }

    pub(crate) const fn has_ended(&self) -> bool {
        self.next.is_none()
    }

    pub(crate) fn damage(&self) -> Option<&TableDamage> {
        self.damage.as_ref()
    }

    /// Shows the rows from its place on, until `visit` breaks or the table ends. A look also pauses in a long search,
    /// perhaps without a row: a writer waits for its snapshot.
    pub(crate) fn advance(
        &mut self,
        conn: &Connection,
        table: &str,
        columns: &str,
        visit: &mut Visit<'_>,
    ) -> Result<(), Abort> {
        let name = quoted(table);
        let all = format!("SELECT rowid, {columns} FROM {name} NOT INDEXED WHERE rowid >= ?1 ORDER BY rowid");
        let mut probes = self.purpose.most_probes();
        while let Some(from) = self.next {
            let mut search_end = self.search.take();
            let mut last = None;
            let end = show(conn, &all, from, &mut |row| {
                last = Some(row.get(0)?);
                self.largest = self.largest.max(last);
                visit(row)
            })?;
            let behind = self.largest.max(from.checked_sub(1));
            match end {
                End::Reached => self.next = None,
                End::Paused { next } => {
                    // Without the next rowid, the last one shows whether the walk can go on from here.
                    if next.map_or(last < behind, |next| Some(next) <= behind) {
                        self.note_gap(behind, "rowids are out of order".to_owned());
                    }
                    self.next = behind.and_then(|row| row.checked_add(1));
                    return Ok(());
                }
                End::Unreadable(error) => {
                    let (error, search) = self.purpose.search_behind(error)?;
                    if search_end.is_none() || last.is_some() {
                        search_end = None;
                        self.note_gap(behind, error);
                    }
                    if !search {
                        self.next = None;
                        continue;
                    }
                    let steps = self.steps.get_or_insert_with(|| most_steps(conn));
                    let shown = self.largest.map_or(from, |largest| largest.max(from));
                    let end = search_end.or_else(|| last_rowid(conn, table)).unwrap_or_else(|| {
                        let begin = if shown == i64::MIN { 0 } else { shown };
                        begin.saturating_add(GUESS)
                    });
                    let next = format!("{all} LIMIT 1");
                    let mut beyond =
                        Beyond { conn, purpose: self.purpose, next, end, steps, probes: &mut probes };
                    match beyond.resume(shown)? {
                        Found::Readable(rowid) => self.next = Some(rowid),
                        Found::Nothing => self.next = None,
                        Found::NotYet(rowid) => (self.next, self.search) = (Some(rowid), Some(end)),
                    }
                    if probes == 0 {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn note_gap(&mut self, behind: Option<i64>, error: String) {
        let damage = self.damage.get_or_insert(TableDamage { gaps: 0, behind, error });
        damage.gaps += 1;
    }
}

/// The way past pages that cannot be read: an inner page may still lead to leaves that are whole.
struct Beyond<'w> {
    conn: &'w Connection,
    purpose: Purpose,
    /// Reads the first row from a rowid on.
    next: String,
    /// The largest rowid, or a guess. It may be wrong.
    end: i64,
    steps: &'w mut u64,
    /// Probes until the next pause.
    probes: &'w mut u64,
}

enum Found {
    Readable(i64),
    Nothing,
    /// The search goes on from this rowid.
    NotYet(i64),
}

impl Beyond<'_> {
    /// The first rowid behind `shown` from which the table can be read on; nothing when there is none.
    ///
    /// One by one first, which finds every whole leaf. Then in strides: rowids may lie far apart, and a
    /// counter may have any value.
    fn resume(&mut self, shown: i64) -> Result<Found, Abort> {
        // Without the first page the first rowid is unknown; usually it is one.
        let mut failing = shown;
        if shown == i64::MIN {
            if self.reads(0)? {
                return self.between(i64::MIN, 0).map(Found::Readable);
            }
            failing = 0;
        }
        while failing < self.end && *self.steps > 0 {
            *self.steps -= 1;
            failing += 1;
            if *self.probes == 0 {
                return Ok(Found::NotYet(failing));
            }
            if self.reads(failing)? {
                return Ok(Found::Readable(failing));
            }
        }
        let mut stride = 1_i64;
        while failing < i64::MAX {
            let candidate = failing.saturating_add(stride);
            if self.reads(candidate)? {
                return self.between(failing, candidate).map(Found::Readable);
            }
            failing = candidate;
            stride = stride.saturating_mul(2);
        }
        Ok(Found::Nothing)
    }

    /// The first rowid after `failing`, up to `reading`, from which the table can be read.
    fn between(&mut self, mut failing: i64, mut reading: i64) -> Result<i64, Abort> {
        while reading.abs_diff(failing) > 1 {
            let middle = ((i128::from(failing) + i128::from(reading)).div_euclid(2)) as i64;
            if self.reads(middle)? {
                reading = middle;
            } else {
                failing = middle;
            }
        }
        Ok(reading)
    }

    fn reads(&mut self, from: i64) -> Result<bool, Abort> {
        *self.probes = self.probes.saturating_sub(1);
        match show(self.conn, &self.next, from, &mut |_| Ok(ControlFlow::Continue(())))? {
            End::Unreadable(error) => {
                self.purpose.search_behind(error)?;
                Ok(false)
            }
            End::Reached | End::Paused { .. } => Ok(true),
        }
    }
}

/// Rowids that are tried behind the damage when the end of the table is unknown.
const GUESS: i64 = 100_000;

/// More rows than the file has room for are not looked for.
fn most_steps(conn: &Connection) -> u64 {
    const ROWS_PER_PAGE: u64 = 512;
    const MOST: u64 = 4_000_000;
    let pages = conn.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0)).unwrap_or_default();
    pages.unsigned_abs().saturating_mul(ROWS_PER_PAGE).min(MOST)
}

/// The largest rowid, from the table's own end or from SQLite's counter.
fn last_rowid(conn: &Connection, table: &str) -> Option<i64> {
    let name = quoted(table);
    let end = format!("SELECT rowid FROM {name} NOT INDEXED ORDER BY rowid DESC LIMIT 1");
    let by_end = conn.query_row(&end, [], |row| row.get::<_, i64>(0)).ok();
    let counter = "SELECT seq FROM sqlite_sequence WHERE name = ?1";
    let by_counter = conn.query_row(counter, [table], |row| row.get::<_, i64>(0)).ok();
    by_end.max(by_counter)
}

enum End {
    /// The last row was shown.
    Reached,
    Paused {
        /// First column of the next row, if that row can be read.
        next: Option<i64>,
    },
    Unreadable(rusqlite::Error),
}

/// Shows the rows of a query.
fn show(conn: &Connection, sql: &str, parameter: i64, visit: &mut Visit<'_>) -> Result<End, Abort> {
    let mut select = match conn.prepare_cached(sql) {
        Ok(select) => select,
        Err(error) => return Ok(End::Unreadable(error)),
    };
    let mut rows = match select.query([parameter]) {
        Ok(rows) => rows,
        Err(error) => return Ok(End::Unreadable(error)),
    };
    loop {
        match rows.next() {
            Ok(Some(row)) => {
                if visit(row)?.is_break() {
                    return Ok(match rows.next() {
                        Ok(Some(next)) => End::Paused { next: Some(next.get(0)?) },
                        Ok(None) => End::Reached,
                        Err(_) => End::Paused { next: None },
                    });
                }
            }
            Ok(None) => return Ok(End::Reached),
            Err(error) => return Ok(End::Unreadable(error)),
        }
    }
}

/// Whether a page was read that is none of a database.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Walks a table without rowids: from its first row on, and from its last row back. The walks do not meet: between
/// them lies what cannot be read. False when some row could not be read.
pub(crate) fn walk_both_ends(conn: &Connection, table: &str, visit: &mut Visit<'_>) -> Result<bool, Abort> {
    let keys: Vec<String> = conn
        .prepare("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk")
        .and_then(|mut select| select.query_map([table], |row| row.get(0))?.collect())
        .unwrap_or_default();
    let sql = |way: &str| {
        let order: Vec<_> = keys.iter().map(|key| format!("{} {way}", quoted(key))).collect();
        format!("SELECT ?1, * FROM {} ORDER BY {}", quoted(table), order.join(", "))
    };
    for way in ["ASC", "DESC"] {
        match show(conn, &sql(way), 0, visit)? {
            End::Unreadable(error) => drop(Purpose::Salvage.search_behind(error)?),
            _ => return Ok(way == "ASC"),
        }
    }
    Ok(false)
}

/// The name as SQL spells any name.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer waits for the snapshot of a look: at most about a thousand probes.
    #[test]
    fn long_search_of_a_look_pauses_and_finds_what_a_salvage_finds() {
        const PAGE: usize = 4096;
        let file = tempfile::NamedTempFile::new().expect("a file");
        let conn = Connection::open(file.path()).expect("a database");
        conn.execute_batch(
            "CREATE TABLE t(text);
             WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 300)
             INSERT INTO t(rowid, text) SELECT 5000 * n, printf('<%d>%200d', n, 0) FROM n",
        )
        .expect("rows");
        drop(conn);
        let mut bytes = std::fs::read(file.path()).expect("bytes");
        let at = bytes.windows(5).position(|window| window == b"<150>").expect("a row");
        bytes[at / PAGE * PAGE..][..PAGE].fill(0xa5);
        std::fs::write(file.path(), bytes).expect("damaged");

        let conn = Connection::open(file.path()).expect("a database");
        let walked = |mut walk: RowidWalk| {
            let (mut rows, mut pauses) = (Vec::new(), 0);
            while !walk.has_ended() {
                let mut visit = |row: &Row<'_>| {
                    rows.push(row.get::<_, i64>(0)?);
                    Ok(ControlFlow::Continue(()))
                };
                assert!(walk.advance(&conn, "t", "*", &mut visit).is_ok());
                pauses += u64::from(!walk.has_ended());
            }
            (rows, pauses, walk.damage().expect("damage").to_string())
        };
        let (rows, pauses, damage) = walked(RowidWalk::start());
        let steps = most_steps(&conn);
        assert!(pauses >= steps / Purpose::Look.most_probes() && steps > 5_000, "{pauses} of {steps}");
        assert!((270..300).contains(&rows.len()), "{}", rows.len());
        assert!(!damage.contains("more place"), "{damage}");
        assert_eq!((rows, 0, damage), walked(RowidWalk::of_salvage()));
    }
}
