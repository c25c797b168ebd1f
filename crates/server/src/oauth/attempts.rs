//! Wrong approval secrets, counted per account and address, so that guessing is slow and one
//! attacker does not lock out the account's owner elsewhere.

use crate::moment::Moment;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Pairs remembered at once. Above it the oldest go: an attacker with that many addresses is slowed
/// by the cost of the hash alone.
const REMEMBERED: usize = 4096;

/// An account's address and where it is tried from.
type Who = (String, Option<IpAddr>);
/// Wrong secrets so far, and the last of them.
type Tally = (u32, Moment);

#[derive(Debug)]
pub(crate) struct Attempts {
    allowed: u32,
    pause: Duration,
    wrong: Mutex<HashMap<Who, Tally>>,
}

impl Attempts {
    pub(crate) fn new(allowed: u32, pause: Duration) -> Self {
        Self { allowed: allowed.max(1), pause, wrong: Mutex::default() }
    }

    /// How long this account must wait at this address; nothing when it may try.
    pub(crate) fn pause(&self, email: &str, peer: Option<IpAddr>, now: Moment) -> Option<Duration> {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, last) = *wrong.get(&key(email, peer))?;
        let waited = now.since(last);
        (count >= self.allowed && waited < self.pause).then(|| self.pause.saturating_sub(waited))
    }

    /// Counts a wrong secret.
    pub(crate) fn wrong(&self, email: &str, peer: Option<IpAddr>, now: Moment) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.len() >= REMEMBERED {
            let pause = self.pause;
            wrong.retain(|_, (_, last)| now.since(*last) < pause);
            if wrong.len() >= REMEMBERED {
                let oldest = wrong.iter().min_by_key(|(_, (_, last))| *last).map(|(key, _)| key.clone());
                oldest.map(|key| wrong.remove(&key));
            }
        }
        let entry = wrong.entry(key(email, peer)).or_insert((0, now));
        // A pause that was waited out gives one new try, not a whole new round.
        *entry = (entry.0.saturating_add(1), now);
    }

    /// Forgets the wrong secrets of an account that gave the right one.
    pub(crate) fn right(&self, email: &str, peer: Option<IpAddr>) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(email, peer));
    }
}

fn key(email: &str, peer: Option<IpAddr>) -> Who {
    (contract::scope::trim(email).to_lowercase().chars().take(254).collect(), peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_is_slowed_for_one_account_at_one_address() {
        let attempts = Attempts::new(3, Duration::from_secs(60));
        let peer = Some(IpAddr::from([127, 0, 0, 1]));
        for _ in 0..3 {
            assert_eq!(attempts.pause("a@b", peer, Moment(0)), None);
            attempts.wrong("A@b ", peer, Moment(0));
        }
        assert_eq!(attempts.pause("a@b", peer, Moment(20_000)), Some(Duration::from_secs(40)));
        assert_eq!(attempts.pause("other@b", peer, Moment(0)), None);
        assert_eq!(attempts.pause("a@b", None, Moment(0)), None);
        assert_eq!(attempts.pause("a@b", peer, Moment(60_000)), None);
        attempts.wrong("a@b", peer, Moment(60_000));
        assert!(attempts.pause("a@b", peer, Moment(61_000)).is_some());
        attempts.right("a@b", peer);
        assert_eq!(attempts.pause("a@b", peer, Moment(61_000)), None);
    }

    #[test]
    fn memory_is_bounded() {
        let attempts = Attempts::new(3, Duration::from_secs(60));
        for at in 0..2 * REMEMBERED {
            attempts.wrong(&format!("{at}@b"), None, Moment(i64::try_from(at).unwrap()));
        }
        assert!(attempts.wrong.lock().unwrap().len() <= REMEMBERED);
    }
}
