//! Keyed semaphores: the same number of permits for each account or address.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// From this many keys on, keys without a permit in use are removed.
const MAX_IDLE_KEYS: usize = 256;

#[derive(Debug)]
pub(crate) struct KeyedSemaphores<K> {
    permits: usize,
    by_key: Mutex<HashMap<K, Arc<Semaphore>>>,
}

impl<K: Eq + Hash> KeyedSemaphores<K> {
    /// `permits` for each key, at least one.
    pub(crate) fn new(permits: usize) -> Self {
        Self { permits: permits.max(1), by_key: Mutex::default() }
    }

    /// A permit of this key. Waits in order of arrival.
    pub(crate) async fn acquire(&self, key: K) -> Option<OwnedSemaphorePermit> {
        self.of(key).acquire_owned().await.ok()
    }

    /// A permit of this key, if one is free now.
    pub(crate) fn try_acquire(&self, key: K) -> Option<OwnedSemaphorePermit> {
        self.of(key).try_acquire_owned().ok()
    }

    fn of(&self, key: K) -> Arc<Semaphore> {
        let mut by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        if by_key.len() >= MAX_IDLE_KEYS {
            // Permits in use and waiting callers own a reference.
            by_key.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        Arc::clone(by_key.entry(key).or_insert_with(|| Arc::new(Semaphore::new(self.permits))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_key_cannot_take_permits_of_another() {
        let semaphores = KeyedSemaphores::new(2);
        let held = [semaphores.acquire("a").await, semaphores.acquire("a").await];
        assert!(held.iter().all(Option::is_some));
        assert!(semaphores.try_acquire("a").is_none());
        assert!(semaphores.try_acquire("b").is_some());
        drop(held);
        assert!(semaphores.try_acquire("a").is_some());
    }

    #[test]
    fn idle_keys_are_removed() {
        let semaphores = KeyedSemaphores::new(1);
        let held = semaphores.try_acquire(0_usize);
        for key in 1..10 * MAX_IDLE_KEYS {
            semaphores.try_acquire(key);
        }
        assert!(semaphores.by_key.lock().unwrap().len() <= MAX_IDLE_KEYS);
        assert!(held.is_some() && semaphores.try_acquire(0).is_none());
    }
}
