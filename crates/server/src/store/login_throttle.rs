//! Login throttle: wrong guesses, counted before they are checked, in one count for every process.

use super::sql::{Sql, values};
use super::{Guess, GuessCounter, StoreError};
use crate::time::UnixMillis;
use std::time::Duration;

/// Retention of a counter after its last guess.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Counters kept; the oldest are deleted first. An attacker with more addresses is slowed by the cost of
/// the hash alone.
const ROWS: u64 = 20_000;

/// The time this guess must wait; `None` if it may be made.
pub(super) fn pause(sql: &dyn Sql, guess: &Guess) -> Result<Option<Duration>, StoreError> {
    let mut longest = None;
    for counter in &guess.counters {
        longest = longest.max(pause_of(sql, counter, guess)?);
    }
    Ok(longest)
}

fn pause_of(sql: &dyn Sql, counter: &GuessCounter, guess: &Guess) -> Result<Option<Duration>, StoreError> {
    let query = "SELECT count, last_at FROM guesses WHERE subject = ?1";
    let Some(row) = sql.row(query, values![counter.subject])? else { return Ok(None) };
    if row.get::<u64>(0)? < u64::from(counter.allowed.max(1)) {
        return Ok(None);
    }
    // A clock that was set back must not lengthen the pause.
    let ends = row.get::<UnixMillis>(1)?.after(guess.pause);
    let left = ends.since(guess.now).min(guess.pause);
    Ok((!left.is_zero()).then_some(left))
}

/// Counts a guess in all counters, or in none if it must wait. After the pause one guess is allowed, not
/// a whole new series.
pub(super) fn begin(sql: &dyn Sql, guess: &Guess) -> Result<Option<Duration>, StoreError> {
    lock(sql, guess)?;
    if let Some(pause) = pause(sql, guess)? {
        return Ok(Some(pause));
    }
    forget(sql, guess.now)?;
    for counter in &guess.counters {
        sql.execute(
            "INSERT INTO guesses (subject, count, last_at) VALUES (?1, 1, ?2)
             ON CONFLICT (subject) DO UPDATE SET last_at = ?2,
                count = CASE WHEN guesses.count < 1000000 THEN guesses.count + 1 ELSE guesses.count END",
            values![counter.subject, guess.now],
        )?;
    }
    Ok(None)
}

/// Uncounts a guess that was right.
pub(super) fn take_back(sql: &dyn Sql, guess: &Guess) -> Result<(), StoreError> {
    lock(sql, guess)?;
    for counter in &guess.counters {
        let statement = match counter.resets {
            true => "DELETE FROM guesses WHERE subject = ?1",
            false => "UPDATE guesses SET count = count - 1 WHERE subject = ?1 AND count > 0",
        };
        sql.execute(statement, values![counter.subject])?;
    }
    Ok(())
}

/// Parallel guesses of one subject are counted one after another.
fn lock(sql: &dyn Sql, guess: &Guess) -> Result<(), StoreError> {
    let mut subjects: Vec<&str> = guess.counters.iter().map(|counter| counter.subject.as_str()).collect();
    subjects.sort_unstable();
    subjects.into_iter().try_for_each(|subject| sql.lock(subject))
}

fn forget(sql: &dyn Sql, now: UnixMillis) -> Result<(), StoreError> {
    sql.execute("DELETE FROM guesses WHERE last_at < ?1", values![now.before(KEPT)])?;
    let surplus = sql.count("SELECT count(*) FROM guesses", &[])?.saturating_sub(ROWS);
    if surplus > 0 {
        sql.execute(
            "DELETE FROM guesses WHERE subject IN (SELECT subject FROM guesses ORDER BY last_at LIMIT ?1)",
            values![surplus],
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::ClientOrigin;
    use crate::store::Store;
    use std::net::IpAddr;

    fn guess(email: &str, last: u8, now: i64) -> Guess {
        let origin = ClientOrigin::of(IpAddr::from([192, 0, 2, last]));
        let counters = vec![GuessCounter::account_at(email, origin, 3), GuessCounter::accounts_of(origin, 5)];
        Guess { counters, pause: Duration::from_secs(60), now: UnixMillis(now) }
    }

    fn connection() -> (rusqlite::Connection, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        drop(Store::open_blocking(directory.path()));
        let path = directory.path().join(crate::store::sqlite::FILE_NAME);
        (rusqlite::Connection::open(path).unwrap(), directory)
    }

    #[test]
    fn guesses_slow_one_account_at_one_address() {
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
        let stores = [Store::open_blocking(directory.path()), Store::open_blocking(directory.path())];
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
