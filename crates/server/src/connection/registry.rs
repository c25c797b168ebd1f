//! Registry of the open connections: the limits, and the choice of the connection to close at a limit.
//!
//! A connection without a request head (new, slow to send one, or idle between two requests) is closed
//! for a new one, the oldest first. A connection that serves a request is never closed.

use crate::origin::ClientOrigin;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, OwnedSemaphorePermit};

#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimits {
    pub(super) total: usize,
    pub(super) per_origin: usize,
}

#[derive(Debug)]
pub(super) struct Registry {
    limits: ConnectionLimits,
    connections: Mutex<OpenConnections>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    by_id: HashMap<u64, OpenConnection>,
    /// Grows with every accepted connection and every finished request: the order in which
    /// connections began to wait for a head.
    clock: u64,
}

#[derive(Debug)]
struct OpenConnection {
    origin: ClientOrigin,
    /// Connections of a trusted proxy carry the requests of many clients: no limit per origin applies.
    is_shared: bool,
    /// Clock value since it waits for a head; `None` while it serves a request.
    waits_since: Option<u64>,
    close: Arc<Notify>,
}

impl Registry {
    pub(super) fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self { limits, connections: Mutex::default() })
    }

    /// Admits a new connection. At a limit, the oldest connection without a head is closed; `None` if
    /// every one serves a request.
    pub(super) fn admit(
        self: &Arc<Self>,
        origin: ClientOrigin,
        is_shared: bool,
    ) -> Option<AdmittedConnection> {
        let mut open = self.lock();
        let mut closed_another = false;
        let of_origin = |open: &OpenConnection| open.origin == origin && !open.is_shared;
        if !is_shared && open.by_id.values().filter(|open| of_origin(open)).count() >= self.limits.per_origin
        {
            open.close_oldest(of_origin)?;
            closed_another = true;
        }
        if open.by_id.len() >= self.limits.total {
            open.close_oldest(|_| true)?;
            closed_another = true;
        }
        open.clock += 1;
        let (id, close) = (open.clock, Arc::new(Notify::new()));
        let connection =
            OpenConnection { origin, is_shared, waits_since: Some(id), close: Arc::clone(&close) };
        open.by_id.insert(id, connection);
        let slot = Arc::new(ConnectionSlot { id, registry: Arc::clone(self) });
        Some(AdmittedConnection { slot, close, closed_another })
    }

    fn lock(&self) -> MutexGuard<'_, OpenConnections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenConnections {
    /// Closes the connection that has waited longest for a head, among those that match.
    fn close_oldest(&mut self, matches: impl Fn(&OpenConnection) -> bool) -> Option<()> {
        let waiting = self.by_id.iter().filter(|(_, open)| matches(open));
        let (_, id) = waiting.filter_map(|(id, open)| Some((open.waits_since?, *id))).min()?;
        self.by_id.remove(&id)?.close.notify_one();
        Some(())
    }
}

#[derive(Debug)]
pub(super) struct AdmittedConnection {
    pub(super) slot: Arc<ConnectionSlot>,
    /// Notified when the connection has to close for another one.
    pub(super) close: Arc<Notify>,
    pub(super) closed_another: bool,
}

/// A connection's entry in the registry, removed when dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    id: u64,
    registry: Arc<Registry>,
}

impl ConnectionSlot {
    /// Marks the connection as serving a request until the guard is dropped.
    pub(super) fn serve(self: &Arc<Self>) -> Arc<Serving> {
        if let Some(open) = self.registry.lock().by_id.get_mut(&self.id) {
            open.waits_since = None;
        }
        Arc::new(Serving { slot: Arc::clone(self), permits: Mutex::default() })
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.registry.lock().by_id.remove(&self.id);
    }
}

/// Guard of a request in progress, until its answer was sent.
#[derive(Debug)]
pub(crate) struct Serving {
    slot: Arc<ConnectionSlot>,
    permits: Mutex<Vec<OwnedSemaphorePermit>>,
}

impl Serving {
    /// Keeps a permit until the answer was sent.
    pub(crate) fn hold(&self, permit: OwnedSemaphorePermit) {
        self.permits.lock().unwrap_or_else(PoisonError::into_inner).push(permit);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let mut open = self.slot.registry.lock();
        open.clock += 1;
        let now = open.clock;
        if let Some(open) = open.by_id.get_mut(&self.slot.id) {
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

    fn is_closed(admitted: &AdmittedConnection) -> bool {
        use std::future::Future;
        let mut notified = std::pin::pin!(admitted.close.notified());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        notified.as_mut().poll(&mut context).is_ready()
    }

    #[test]
    fn oldest_connection_without_a_head_is_closed() {
        let registry = Registry::new(ConnectionLimits { total: 3, per_origin: 3 });
        let open: Vec<AdmittedConnection> =
            (1..=3).map(|last| registry.admit(origin(last), false).unwrap()).collect();
        let serving = open[0].slot.serve();
        let fourth = registry.admit(origin(4), false).unwrap();
        assert!(fourth.closed_another);
        assert_eq!(open.iter().map(is_closed).collect::<Vec<_>>(), [false, true, false]);
        drop(serving);
        // The first waits since its request ended, so the third is older.
        registry.admit(origin(5), false).unwrap();
        assert_eq!(open.iter().map(is_closed).collect::<Vec<_>>(), [false, false, true]);
    }

    #[test]
    fn address_over_its_limit_closes_its_own_only() {
        let registry = Registry::new(ConnectionLimits { total: 10, per_origin: 2 });
        let other = registry.admit(origin(9), false).unwrap();
        let open: Vec<AdmittedConnection> =
            (0..4).map(|_| registry.admit(origin(1), false).unwrap()).collect();
        assert_eq!(open.iter().map(is_closed).collect::<Vec<_>>(), [true, true, false, false]);
        assert!(!is_closed(&other));
        let _serving: Vec<_> = open[2..].iter().map(|admitted| admitted.slot.serve()).collect();
        assert!(registry.admit(origin(1), false).is_none());
        assert!(!registry.admit(origin(2), false).unwrap().closed_another);
        assert!(registry.admit(origin(1), true).is_some(), "a proxy has no limit per origin");
    }

    #[test]
    fn ended_connection_frees_its_slot() {
        let registry = Registry::new(ConnectionLimits { total: 1, per_origin: 1 });
        let first = registry.admit(origin(1), false).unwrap();
        let serving = first.slot.serve();
        assert!(registry.admit(origin(2), false).is_none());
        drop((first, serving));
        assert!(!registry.admit(origin(2), false).unwrap().closed_another);
    }
}
