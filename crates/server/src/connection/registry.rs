//! The open connections: a share for each address, and which one gives way when none is left.
//!
//! A connection without a request head (new, slow in sending one, or kept open between two requests)
//! gives way to a new one, the oldest first. One that serves a request never does.

use crate::origin::ClientOrigin;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, OwnedSemaphorePermit};

/// Bounds of the registry.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimits {
    pub(super) total: usize,
    pub(super) per_origin: usize,
}

/// All open connections.
#[derive(Debug)]
pub(super) struct Registry {
    caps: ConnectionLimits,
    state: Mutex<RegistryState>,
}

#[derive(Debug, Default)]
struct RegistryState {
    open: HashMap<u64, OpenConnection>,
    /// Grows with every accepted connection and every finished request: the order in which
    /// connections began to wait for a head.
    clock: u64,
}

#[derive(Debug)]
struct OpenConnection {
    origin: ClientOrigin,
    /// Connections of a trusted proxy carry the requests of many clients: no share applies.
    is_shared: bool,
    /// Since when it waits for a head; nothing while it serves.
    waits_since: Option<u64>,
    gives_way: Arc<Notify>,
}

/// Why a connection is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Registry {
    pub(super) fn new(caps: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self { caps, state: Mutex::default() })
    }

    /// Takes a new connection, in place of the oldest one without a head where a bound is reached.
    pub(super) fn admit(self: &Arc<Self>, origin: ClientOrigin, is_shared: bool) -> Result<Admitted, Full> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut is_shedding = false;
        if !is_shared {
            let of_origin = |open: &OpenConnection| open.origin == origin && !open.is_shared;
            if state.open.values().filter(|open| of_origin(open)).count() >= self.caps.per_origin {
                state.shed(of_origin)?;
                is_shedding = true;
            }
        }
        if state.open.len() >= self.caps.total {
            state.shed(|_| true)?;
            is_shedding = true;
        }
        state.clock += 1;
        let (id, gives_way) = (state.clock, Arc::new(Notify::new()));
        let waits_since = Some(id);
        state
            .open
            .insert(id, OpenConnection { origin, is_shared, waits_since, gives_way: Arc::clone(&gives_way) });
        let entry = ConnectionSlot { id, registry: Arc::clone(self) };
        Ok(Admitted { entry: Arc::new(entry), gives_way, is_shedding })
    }
}

impl RegistryState {
    /// Ends the connection that has waited longest for a head, among those that match.
    fn shed(&mut self, matches: impl Fn(&OpenConnection) -> bool) -> Result<(), Full> {
        let waiting = self.open.iter().filter(|(_, open)| matches(open));
        let oldest = waiting.filter_map(|(id, open)| Some((open.waits_since?, *id))).min();
        let (_, id) = oldest.ok_or(Full)?;
        if let Some(open) = self.open.remove(&id) {
            open.gives_way.notify_one();
        }
        Ok(())
    }
}

/// A connection that was taken.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) entry: Arc<ConnectionSlot>,
    /// Told when the connection has to give way.
    pub(super) gives_way: Arc<Notify>,
    /// Whether another one gave way to it.
    pub(super) is_shedding: bool,
}

/// A connection's place in the registry, until it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    id: u64,
    registry: Arc<Registry>,
}

impl ConnectionSlot {
    /// The connection serves a request until the guard is dropped.
    pub(super) fn serve(self: &Arc<Self>) -> Arc<Serving> {
        let mut state = self.registry.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = state.open.get_mut(&self.id) {
            open.waits_since = None;
        }
        Arc::new(Serving { entry: Arc::clone(self), held: Mutex::default() })
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut state = self.registry.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.open.remove(&self.id);
    }
}

/// A request that is served: until its answer was sent.
#[derive(Debug)]
pub(crate) struct Serving {
    entry: Arc<ConnectionSlot>,
    held: Mutex<Vec<OwnedSemaphorePermit>>,
}

impl Serving {
    /// Keeps a place of a share until the answer was sent.
    pub(crate) fn hold(&self, place: OwnedSemaphorePermit) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(place);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let mut state = self.entry.registry.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let now = state.clock;
        if let Some(open) = state.open.get_mut(&self.entry.id) {
            open.waits_since = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn origin(last: u8) -> ClientOrigin {
        ClientOrigin::of(IpAddr::from([127, 0, 0, last]))
    }

    fn is_told(admitted: &Admitted) -> bool {
        use std::future::Future;
        let mut told = std::pin::pin!(admitted.gives_way.notified());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        told.as_mut().poll(&mut context).is_ready()
    }

    #[test]
    fn oldest_connection_without_a_head_gives_way() {
        let registry = Registry::new(ConnectionLimits { total: 3, per_origin: 3 });
        let open: Vec<Admitted> = (1..=3).map(|last| registry.admit(origin(last), false).unwrap()).collect();
        let serving = open[0].entry.serve();
        let fourth = registry.admit(origin(4), false).unwrap();
        assert!(fourth.is_shedding);
        assert_eq!(open.iter().map(is_told).collect::<Vec<_>>(), [false, true, false]);
        drop(serving);
        // The first has waited since its request ended: it is younger than the third now.
        registry.admit(origin(5), false).unwrap();
        assert_eq!(open.iter().map(is_told).collect::<Vec<_>>(), [false, false, true]);
    }

    #[test]
    fn address_over_its_share_gives_way_to_itself_only() {
        let registry = Registry::new(ConnectionLimits { total: 10, per_origin: 2 });
        let other = registry.admit(origin(9), false).unwrap();
        let open: Vec<Admitted> = (0..4).map(|_| registry.admit(origin(1), false).unwrap()).collect();
        assert_eq!(open.iter().map(is_told).collect::<Vec<_>>(), [true, true, false, false]);
        assert!(!is_told(&other));
        let _serving: Vec<_> = open[2..].iter().map(|admitted| admitted.entry.serve()).collect();
        assert_eq!(registry.admit(origin(1), false).unwrap_err(), Full);
        assert!(!registry.admit(origin(2), false).unwrap().is_shedding);
        assert!(registry.admit(origin(1), true).is_ok(), "a proxy's connections have no share");
    }

    #[test]
    fn connection_that_ended_leaves_its_place() {
        let registry = Registry::new(ConnectionLimits { total: 1, per_origin: 1 });
        let first = registry.admit(origin(1), false).unwrap();
        let serving = first.entry.serve();
        assert_eq!(registry.admit(origin(2), false).unwrap_err(), Full);
        drop((first, serving));
        assert!(!registry.admit(origin(2), false).unwrap().is_shedding);
    }
}
