//! Senders of batches: recorded once in a while, so that most batches cost nothing for it.

use crate::store::Sighting;
use crate::time::UnixMillis;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A machine that delivers all the time is recorded this often.
const EVERY: Duration = Duration::from_secs(10);

/// Machines remembered. A full memory is emptied, and each of them is recorded once more.
const MACHINES: usize = 4096;

/// Team, account and machine.
type Key = (i64, String, String);

/// When each machine was recorded last, and its name and program then.
#[derive(Default)]
pub(crate) struct Senders(Mutex<HashMap<Key, (UnixMillis, String)>>);

impl Senders {
    /// Whether the sender should be recorded now; then it is remembered as recorded.
    pub(super) fn is_due(&self, sighting: &Sighting) -> bool {
        let label = sighting.label();
        let key = (sighting.team.0, sighting.user_id.clone(), sighting.node_id.clone());
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recorded = known
            .get(&key)
            .is_some_and(|(at, as_known)| sighting.now.since(*at) < EVERY && *as_known == label);
        if is_recorded {
            return false;
        }
        if known.len() >= MACHINES {
            known.clear();
        }
        known.insert(key, (sighting.now, label));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::TeamKey;

    #[test]
    fn sender_is_due_after_a_while_or_a_change() {
        let senders = Senders::default();
        let due = |node: &str, program: &str, now: i64| {
            senders.is_due(&Sighting {
                team: TeamKey(1),
                user_id: "u".into(),
                node_id: node.into(),
                name: String::new(),
                program: program.into(),
                now: UnixMillis(now),
            })
        };
        assert!(due("a", "1", 0) && due("b", "1", 0));
        assert!(!due("a", "1", 9_999) && due("a", "2", 9_999));
        assert!(!due("a", "2", 19_998) && due("a", "2", 19_999));
        for number in 0..MACHINES {
            due(&number.to_string(), "1", 19_999);
        }
        assert!(senders.0.lock().unwrap().len() <= MACHINES);
    }
}
