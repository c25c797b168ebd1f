//! Device requests: limits for new ones, and the lookup by user code.

use super::login_throttle;
use crate::store::{DeviceLookup, DeviceRequest, DeviceRoom, DeviceStart, Guess, NewDevice, StoreError};
use crate::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension, Params, params};

/// Ended requests are kept for late polls, up to this multiple of the total limit.
const KEPT: u64 = 4;

/// Records a request. At a limit, another one is ended for it.
pub(super) fn start(
    connection: &Connection,
    device: &NewDevice,
    room: DeviceRoom,
) -> Result<DeviceStart, StoreError> {
    let (origin, now) = (device.origin.to_string(), device.now);
    let of_origin =
        "SELECT count(*) FROM devices WHERE decided_at IS NULL AND origin = ?1 AND expires_at > ?2";
    if count(connection, of_origin, params![origin, now])? >= room.per_origin.max(1)
        && !end_oldest_of(connection, &origin, true, now)?
    {
        return Ok(DeviceStart::Full);
    }
    let of_all = "SELECT count(*) FROM devices WHERE decided_at IS NULL AND expires_at > ?1";
    if count(connection, of_all, [now])? >= room.total.max(1) && !make_room(connection, now)? {
        return Ok(DeviceStart::Full);
    }
    let inserted = connection.execute(
        "INSERT INTO devices (hash, user_code, interval_ms, requested_at, expires_at, origin)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        params![
            device.code,
            device.user_code,
            i64::try_from(device.interval.as_millis()).unwrap_or(i64::MAX),
            now,
            device.expires_at,
            origin
        ],
    )?;
    forget_surplus(connection, now, room.total.max(1).saturating_mul(KEPT))?;
    Ok(if inserted == 1 { DeviceStart::Recorded } else { DeviceStart::CodeTaken })
}

fn count(connection: &Connection, query: &str, params: impl Params) -> Result<u64, StoreError> {
    let count: i64 = connection.prepare_cached(query)?.query_row(params, |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Ends the oldest never-opened request of the address with most requests. If every request was opened,
/// ends the oldest of that address, so that opened requests cannot block all logins.
fn make_room(connection: &Connection, now: UnixMillis) -> Result<bool, StoreError> {
    for never_opened in [true, false] {
        let condition = if never_opened { "HAVING sum(opened_at IS NULL) > 0" } else { "" };
        let largest: Option<String> = connection
            .prepare_cached(&format!(
                "SELECT origin FROM devices WHERE decided_at IS NULL AND expires_at > ?1
                 GROUP BY origin {condition} ORDER BY count(*) DESC, min(requested_at) LIMIT 1"
            ))?
            .query_row([now], |row| row.get(0))
            .optional()?;
        if let Some(origin) = largest {
            return end_oldest_of(connection, &origin, never_opened, now);
        }
    }
    Ok(false)
}

/// Ends the oldest waiting request of an address. False if there is none.
fn end_oldest_of(
    connection: &Connection,
    origin: &str,
    never_opened: bool,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let condition = if never_opened { "AND opened_at IS NULL" } else { "" };
    let ended = connection
        .prepare_cached(&format!(
            "UPDATE devices SET expires_at = ?2 WHERE hash =
                (SELECT hash FROM devices WHERE decided_at IS NULL AND origin = ?1 AND expires_at > ?2 {condition}
                 ORDER BY requested_at LIMIT 1)"
        ))?
        .execute(params![origin, now])?;
    Ok(ended == 1)
}

/// Deletes the longest ended requests above a number of rows.
fn forget_surplus(connection: &Connection, now: UnixMillis, most: u64) -> Result<(), StoreError> {
    let surplus = count(connection, "SELECT count(*) FROM devices", [])?.saturating_sub(most);
    if surplus > 0 {
        connection
            .prepare_cached(
                "DELETE FROM devices WHERE hash IN
                    (SELECT hash FROM devices WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
            )?
            .execute(params![now, i64::try_from(surplus).unwrap_or(i64::MAX)])?;
    }
    Ok(())
}

/// Finds the request of a user code. An unknown code counts as a guess.
pub(super) fn open(
    connection: &Connection,
    user_code: &str,
    guess: &Guess,
) -> Result<DeviceLookup, StoreError> {
    if let Some(pause) = login_throttle::begin(connection, guess)? {
        return Ok(DeviceLookup::Wait(pause));
    }
    let found = connection
        .prepare_cached(
            "SELECT requested_at, decided_at IS NULL, opened_at IS NULL FROM devices
             WHERE user_code = ?1 AND expires_at > ?2",
        )?
        .query_row(params![user_code, guess.now], |row| {
            let is_open = row.get(1)?;
            let request =
                DeviceRequest { user_code: user_code.to_owned(), requested_at: row.get(0)?, is_open };
            Ok((request, row.get::<_, bool>(2)?))
        })
        .optional()?;
    let Some((request, is_unseen)) = found else { return Ok(DeviceLookup::Unknown) };
    login_throttle::take_back(connection, guess)?;
    if is_unseen {
        connection
            .prepare_cached("UPDATE devices SET opened_at = ?2 WHERE user_code = ?1")?
            .execute(params![user_code, guess.now])?;
    }
    Ok(DeviceLookup::Found(request))
}

#[cfg(test)]
mod tests {
    use super::super::SqliteStore;
    use super::*;
    use crate::origin::ClientOrigin;
    use crate::secret::TokenHash;
    use crate::store::{DevicePoll, GuessCounter, LoginStore, NewTokens, StoreFuture};
    use std::net::IpAddr;
    use std::time::Duration;

    const ROOM: DeviceRoom = DeviceRoom { total: 6, per_origin: 4 };

    fn origin(last: u8) -> ClientOrigin {
        ClientOrigin::of(IpAddr::from([192, 0, 2, last]))
    }

    fn wait<T>(pending: StoreFuture<'_, T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(pending).unwrap()
    }

    fn request(store: &SqliteStore, number: u8, from: u8) -> DeviceStart {
        let device = NewDevice {
            code: TokenHash([number; 32]),
            user_code: format!("CODE{number}"),
            interval: Duration::ZERO,
            origin: origin(from),
            now: UnixMillis(i64::from(number)),
            expires_at: UnixMillis(1_000_000),
        };
        wait(store.start_device(device, ROOM))
    }

    fn look(store: &SqliteStore, number: u8) -> DeviceLookup {
        let counters = vec![GuessCounter::user_codes_of(origin(200), 100)];
        let guess = Guess { counters, pause: Duration::from_secs(60), now: UnixMillis(500) };
        wait(store.open_device(format!("CODE{number}"), guess))
    }

    fn is_waiting(store: &SqliteStore, number: u8) -> bool {
        let tokens = NewTokens {
            session_id: "s".into(),
            access: TokenHash([0; 32]),
            refresh: TokenHash([0; 32]),
            now: UnixMillis(500),
            access_expires_at: UnixMillis(600),
            refresh_expires_at: UnixMillis(600),
            replay_grace: Duration::ZERO,
        };
        match wait(store.poll_device(TokenHash([number; 32]), tokens)) {
            DevicePoll::Pending => true,
            DevicePoll::Expired => false,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn address_over_its_share_ends_its_own_oldest_request() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path()).unwrap();
        assert_eq!(request(&store, 1, 9), DeviceStart::Recorded);
        for number in 2..=6 {
            assert_eq!(request(&store, number, 1), DeviceStart::Recorded);
        }
        let waiting: Vec<u8> = (1..=6).filter(|number| is_waiting(&store, *number)).collect();
        assert_eq!(waiting, [1, 3, 4, 5, 6], "the other address keeps its request");
    }

    #[test]
    fn opened_request_is_ended_after_all_others() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path()).unwrap();
        for number in 1..=4 {
            request(&store, number, 1);
        }
        assert!(matches!(look(&store, 1), DeviceLookup::Found(_)));
        assert_eq!(request(&store, 5, 1), DeviceStart::Recorded);
        assert!(is_waiting(&store, 1) && !is_waiting(&store, 2));
        for number in 3..=5 {
            look(&store, number);
        }
        assert_eq!(request(&store, 6, 1), DeviceStart::Full, "its own share is full of opened ones");
    }

    #[test]
    fn full_store_ends_a_request_of_the_largest_address() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path()).unwrap();
        request(&store, 1, 2);
        request(&store, 2, 2);
        for number in 3..=6 {
            request(&store, number, 1);
        }
        assert_eq!(request(&store, 7, 3), DeviceStart::Recorded);
        assert!(is_waiting(&store, 1) && is_waiting(&store, 2) && !is_waiting(&store, 3));
        // Also when every request was opened, so that no address can keep all others out.
        for number in [1, 2, 4, 5, 6, 7] {
            look(&store, number);
        }
        assert_eq!(request(&store, 8, 4), DeviceStart::Recorded);
        assert!(!is_waiting(&store, 4) && is_waiting(&store, 7));
    }

    #[test]
    fn ended_requests_do_not_pile_up() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path()).unwrap();
        for number in 1..=100 {
            request(&store, number, 1);
        }
        let rows = wait(store.query(|connection| count(connection, "SELECT count(*) FROM devices", [])));
        assert!(rows <= ROOM.total * KEPT, "{rows}");
    }
}
