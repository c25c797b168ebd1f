//! Keyed semaphores: how many places each account or address may hold at once of what all use together.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Above this many keys, those that hold nothing are forgotten.
const REMEMBERED: usize = 256;

/// The same number of places for each key.
#[derive(Debug)]
pub(crate) struct KeyedSemaphores<K> {
    most: usize,
    places: Mutex<HashMap<K, Arc<Semaphore>>>,
}

impl<K: Eq + Hash> KeyedSemaphores<K> {
    /// `most` places for each key, one at least.
    pub(crate) fn new(most: usize) -> Self {
        Self { most: most.max(1), places: Mutex::default() }
    }

    /// A place of this key, when one is free. Waits in order of arrival.
    pub(crate) async fn acquire(&self, key: K) -> Option<OwnedSemaphorePermit> {
        self.of(key).acquire_owned().await.ok()
    }

    /// A place of this key, if one is free now.
    pub(crate) fn try_acquire(&self, key: K) -> Option<OwnedSemaphorePermit> {
        self.of(key).try_acquire_owned().ok()
    }

    fn of(&self, key: K) -> Arc<Semaphore> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= REMEMBERED {
            // Holders of a place and those that wait for one share ownership.
            places.retain(|_, place| Arc::strong_count(place) > 1);
        }
        Arc::clone(places.entry(key).or_insert_with(|| Arc::new(Semaphore::new(self.most))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_key_cannot_take_the_places_of_another() {
        let shares = KeyedSemaphores::new(2);
        let held = [shares.acquire("a").await, shares.acquire("a").await];
        assert!(held.iter().all(Option::is_some));
        assert!(shares.try_acquire("a").is_none());
        assert!(shares.try_acquire("b").is_some());
        drop(held);
        assert!(shares.try_acquire("a").is_some());
    }

    #[test]
    fn keys_that_hold_nothing_are_forgotten() {
        let shares = KeyedSemaphores::new(1);
        let held = shares.try_acquire(0_usize);
        for key in 1..10 * REMEMBERED {
            shares.try_acquire(key);
        }
        assert!(shares.places.lock().unwrap().len() <= REMEMBERED);
        assert!(held.is_some() && shares.try_acquire(0).is_none());
    }
}
