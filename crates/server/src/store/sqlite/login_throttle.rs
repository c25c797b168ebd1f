//! Login throttle: wrong guesses, counted before they are checked, in one count for every process.

use crate::store::{Guess, GuessCounter, StoreError};
use crate::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension, params};
use std::time::Duration;

/// Retention of a counter after its last guess.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Counters kept; the oldest are deleted first. An attacker with more addresses is slowed by the cost of
/// the hash alone.
const ROWS: i64 = 20_000;

/// The time this guess must wait; `None` if it may be made.
pub(super) fn pause(connection: &Connection, guess: &Guess) -> Result<Option<Duration>, StoreError> {
    let mut longest = None;
    for counter in &guess.counters {
        longest = longest.max(pause_of(connection, counter, guess)?);
    }
    Ok(longest)
}

fn pause_of(
    connection: &Connection,
    counter: &GuessCounter,
    guess: &Guess,
) -> Result<Option<Duration>, StoreError> {
    let row: Option<(u32, i64)> = connection
        .prepare_cached("SELECT count, last_at FROM guesses WHERE subject = ?1")?
        .query_row([&counter.subject], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((count, last)) = row else { return Ok(None) };
    if count < counter.allowed.max(1) {
        return Ok(None);
    }
    // A clock that was set back must not lengthen the pause.
    let ends = UnixMillis(last).after(guess.pause);
    let left = ends.since(guess.now).min(guess.pause);
    Ok((!left.is_zero()).then_some(left))
}

/// Counts a guess in all counters, or in none if it must wait. After the pause one guess is allowed, not
/// a whole new series.
pub(super) fn begin(connection: &Connection, guess: &Guess) -> Result<Option<Duration>, StoreError> {
    if let Some(pause) = pause(connection, guess)? {
        return Ok(Some(pause));
    }
    forget(connection, guess.now)?;
    for counter in &guess.counters {
        connection
            .prepare_cached(
                "INSERT INTO guesses (subject, count, last_at) VALUES (?1, 1, ?2)
                 ON CONFLICT (subject) DO UPDATE SET count = min(count + 1, 1000000), last_at = ?2",
            )?
            .execute(params![counter.subject, guess.now])?;
    }
    Ok(None)
}

/// Uncounts a guess that was right.
pub(super) fn take_back(connection: &Connection, guess: &Guess) -> Result<(), StoreError> {
    for counter in &guess.counters {
        let sql = match counter.resets {
            true => "DELETE FROM guesses WHERE subject = ?1",
            false => "UPDATE guesses SET count = max(count - 1, 0) WHERE subject = ?1",
        };
        connection.prepare_cached(sql)?.execute([&counter.subject])?;
    }
    Ok(())
}

fn forget(connection: &Connection, now: UnixMillis) -> Result<(), StoreError> {
    let before = now.before(KEPT);
    connection.prepare_cached("DELETE FROM guesses WHERE last_at < ?1")?.execute([before])?;
    let rows: i64 =
        connection.prepare_cached("SELECT count(*) FROM guesses")?.query_row([], |row| row.get(0))?;
    if rows > ROWS {
        connection
            .prepare_cached(
                "DELETE FROM guesses WHERE subject IN (SELECT subject FROM guesses ORDER BY last_at LIMIT ?1)",
            )?
            .execute([rows - ROWS])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::SqliteStore;
    use super::*;
    use crate::origin::ClientOrigin;
    use crate::store::LoginStore;
    use std::net::IpAddr;

    fn guess(email: &str, last: u8, now: i64) -> Guess {
        let origin = ClientOrigin::of(IpAddr::from([192, 0, 2, last]));
        let counters = vec![GuessCounter::account_at(email, origin, 3), GuessCounter::accounts_of(origin, 5)];
        Guess { counters, pause: Duration::from_secs(60), now: UnixMillis(now) }
    }

    fn connection() -> (rusqlite::Connection, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        drop(SqliteStore::open(directory.path()).unwrap());
        let path = directory.path().join(super::super::FILE_NAME);
        (rusqlite::Connection::open(path).unwrap(), directory)
    }

    #[test]
    fn guessing_is_slowed_for_one_account_at_one_address() {
        let (connection, _directory) = connection();
        let begin = |email: &str, last: u8, now: i64| begin(&connection, &guess(email, last, now)).unwrap();
        for _ in 0..3 {
            assert_eq!(begin("A@b ", 1, 0), None);
        }
        assert_eq!(begin("a@b", 1, 20_000), Some(Duration::from_secs(40)));
        assert_eq!(begin("a@b", 2, 20_000), None, "its owner elsewhere is not kept out");
        assert_eq!(begin("a@b", 1, 60_000), None, "one new guess after the pause");
        assert!(begin("a@b", 1, 61_000).is_some());
        assert!(begin("a@b", 1, -100_000_000).unwrap() <= Duration::from_secs(60), "a clock set back");
        take_back(&connection, &guess("a@b", 1, 61_000)).unwrap();
        assert_eq!(begin("a@b", 1, 61_000), None, "a right guess ends the row");
    }

    #[test]
    fn address_that_tries_many_accounts_is_slowed() {
        let (connection, _directory) = connection();
        for number in 0..5 {
            let guess = guess(&format!("{number}@b"), 1, 0);
            assert_eq!(begin(&connection, &guess).unwrap(), None);
        }
        assert!(begin(&connection, &guess("5@b", 1, 0)).unwrap().is_some());
        take_back(&connection, &guess("4@b", 1, 0)).unwrap();
        assert_eq!(begin(&connection, &guess("5@b", 1, 0)).unwrap(), None, "one is not counted");
        assert!(begin(&connection, &guess("6@b", 1, 0)).unwrap().is_some(), "the others are");
    }

    #[test]
    fn guesses_of_several_processes_share_one_count() {
        let directory = tempfile::tempdir().unwrap();
        let stores =
            [SqliteStore::open(directory.path()).unwrap(), SqliteStore::open(directory.path()).unwrap()];
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
        let stores: Vec<_> = stores.into_iter().map(std::sync::Arc::new).collect();
        let passed = runtime.block_on(async {
            let guesses: Vec<_> = (0..100)
                .map(|number| {
                    let store = std::sync::Arc::clone(&stores[number % 2]);
                    tokio::spawn(
                        async move { store.begin_guess(guess("a@b", 1, 0)).await.unwrap().is_none() },
                    )
                })
                .collect();
            let mut passed = 0;
            for guess in guesses {
                passed += usize::from(guess.await.unwrap());
            }
            passed
        });
        assert_eq!(passed, 3, "of a hundred at the same moment");
    }
}
