//! Device requests: limits for new ones, and the lookup by user code.

use super::sql::{Sql, values};
use super::{
    DeviceLookup, DeviceRequest, DeviceRoom, DeviceStart, Guess, NewDevice, StoreError, login_throttle,
};
use crate::time::UnixMillis;

/// Ended requests are kept for late polls, up to this multiple of the total limit.
const KEPT: u64 = 4;

/// Records a request. At a limit, another one is ended for it. The caller has locked `devices`.
pub(super) fn start(sql: &dyn Sql, device: &NewDevice, room: DeviceRoom) -> Result<DeviceStart, StoreError> {
    let (origin, now) = (device.origin.to_string(), device.now);
    let of_origin =
        "SELECT count(*) FROM devices WHERE decided_at IS NULL AND origin = ?1 AND expires_at > ?2";
    if sql.count(of_origin, values![origin, now])? >= room.per_origin.max(1)
        && !end_oldest_of(sql, &origin, true, now)?
    {
        return Ok(DeviceStart::Full);
    }
    let of_all = "SELECT count(*) FROM devices WHERE decided_at IS NULL AND expires_at > ?1";
    if sql.count(of_all, values![now])? >= room.total.max(1) && !make_room(sql, now)? {
        return Ok(DeviceStart::Full);
    }
    let interval = u64::try_from(device.interval.as_millis()).unwrap_or(u64::MAX);
    let inserted = sql.execute(
        "INSERT INTO devices (hash, user_code, interval_ms, requested_at, expires_at, origin, machine)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
        values![device.code, device.user_code, interval, now, device.expires_at, origin, device.machine],
    )?;
    forget_surplus(sql, now, room.total.max(1).saturating_mul(KEPT))?;
    Ok(if inserted == 1 { DeviceStart::Recorded } else { DeviceStart::CodeTaken })
}

/// Ends the oldest never-opened request of the address with most requests. If every request was opened,
/// ends the oldest of that address, so that opened requests cannot block all logins.
fn make_room(sql: &dyn Sql, now: UnixMillis) -> Result<bool, StoreError> {
    for never_opened in [true, false] {
        let condition = if never_opened { "HAVING count(*) > count(opened_at)" } else { "" };
        let largest = sql.row(
            &format!(
                "SELECT origin FROM devices WHERE decided_at IS NULL AND expires_at > ?1
                 GROUP BY origin {condition} ORDER BY count(*) DESC, min(requested_at) LIMIT 1"
            ),
            values![now],
        )?;
        if let Some(row) = largest {
            return end_oldest_of(sql, &row.get::<String>(0)?, never_opened, now);
        }
    }
    Ok(false)
}

/// Ends the oldest waiting request of an address. False if there is none.
fn end_oldest_of(
    sql: &dyn Sql,
    origin: &str,
    never_opened: bool,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let condition = if never_opened { "AND opened_at IS NULL" } else { "" };
    let ended = sql.execute(
        &format!(
            "UPDATE devices SET expires_at = ?2 WHERE hash =
                (SELECT hash FROM devices WHERE decided_at IS NULL AND origin = ?1 AND expires_at > ?2 {condition}
                 ORDER BY requested_at LIMIT 1)"
        ),
        values![origin, now],
    )?;
    Ok(ended == 1)
}

/// Deletes the longest ended requests above a number of rows.
fn forget_surplus(sql: &dyn Sql, now: UnixMillis, most: u64) -> Result<(), StoreError> {
    let surplus = sql.count("SELECT count(*) FROM devices", &[])?.saturating_sub(most);
    if surplus > 0 {
        sql.execute(
            "DELETE FROM devices WHERE hash IN
                (SELECT hash FROM devices WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
            values![now, surplus],
        )?;
    }
    Ok(())
}

/// Finds the request of a user code. An unknown code counts as a guess.
pub(super) fn open(sql: &dyn Sql, user_code: &str, guess: &Guess) -> Result<DeviceLookup, StoreError> {
    if let Some(pause) = login_throttle::begin(sql, guess)? {
        return Ok(DeviceLookup::Wait(pause));
    }
    let found = sql.row(
        "SELECT requested_at, decided_at IS NULL, machine, origin FROM devices
         WHERE user_code = ?1 AND expires_at > ?2",
        values![user_code, guess.now],
    )?;
    let Some(row) = found else { return Ok(DeviceLookup::Unknown) };
    login_throttle::take_back(sql, guess)?;
    sql.execute(
        "UPDATE devices SET opened_at = ?2 WHERE user_code = ?1 AND opened_at IS NULL",
        values![user_code, guess.now],
    )?;
    Ok(DeviceLookup::Found(DeviceRequest {
        user_code: user_code.to_owned(),
        requested_at: row.get(0)?,
        is_open: row.get(1)?,
        machine: row.get(2)?,
        origin: row.get(3)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::ClientOrigin;
    use crate::secret::TokenHash;
    use crate::store::{DevicePoll, GuessCounter, NewTokens, Store};
    use std::net::IpAddr;
    use std::time::Duration;

    const ROOM: DeviceRoom = DeviceRoom { total: 6, per_origin: 4 };

    fn origin(last: u8) -> ClientOrigin {
        ClientOrigin::of(IpAddr::from([192, 0, 2, last]))
    }

    fn wait<T>(pending: impl Future<Output = Result<T, StoreError>>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(pending).unwrap()
    }

    fn request(store: &Store, number: u8, from: u8) -> DeviceStart {
        let device = NewDevice {
            code: TokenHash([number; 32]),
            user_code: format!("CODE{number}"),
            interval: Duration::ZERO,
            origin: origin(from),
            machine: String::new(),
            now: UnixMillis(i64::from(number)),
            expires_at: UnixMillis(1_000_000),
        };
        wait(store.start_device(device, ROOM))
    }

    fn look(store: &Store, number: u8) -> DeviceLookup {
        let counters = vec![GuessCounter::user_codes_of(origin(200), 100)];
        let guess = Guess { counters, pause: Duration::from_secs(60), now: UnixMillis(500) };
        wait(store.open_device(format!("CODE{number}"), guess))
    }

    fn is_waiting(store: &Store, number: u8) -> bool {
        let tokens = NewTokens {
            session_id: "s".into(),
            machine: String::new(),
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
    fn address_over_its_share_loses_its_oldest() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open_blocking(directory.path());
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
        let store = Store::open_blocking(directory.path());
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
    fn full_store_ends_one_of_the_largest_address() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open_blocking(directory.path());
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
        let store = Store::open_blocking(directory.path());
        for number in 1..=100 {
            request(&store, number, 1);
        }
        let rows = wait(store.query(|sql| sql.count("SELECT count(*) FROM devices", &[])));
        assert!(rows <= ROOM.total * KEPT, "{rows}");
    }
}
