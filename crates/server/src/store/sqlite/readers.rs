//! Pool of read-only connections, opened on demand.

use crate::store::{ConnectionUse, StoreError};
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Parallel queries. More connections would only add caches.
const AT_ONCE: usize = 4;

pub(super) struct Readers {
    pool: Arc<ReaderPool>,
    slots: Arc<Semaphore>,
}

struct ReaderPool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl ReaderPool {
    fn run<T>(&self, query: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match kept {
            Some(connection) => connection,
            None => open(&self.path)?,
        };
        let result = query(&connection);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        result
    }
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        let pool = Arc::new(ReaderPool { path, idle: Mutex::default() });
        Self { pool, slots: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Runs a query that reads a few pages, on the calling thread: there are few of those, and a switch to another
    /// one costs more than the query. It takes no slot, so [`Self::connection_use`] does not count it.
    pub(super) fn lookup<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.pool.run(query)
    }

    pub(super) fn connection_use(&self) -> ConnectionUse {
        let in_use = AT_ONCE - self.slots.available_permits();
        ConnectionUse { most: AT_ONCE, in_use, waiting: 0 }
    }

    /// Runs a query on a blocking thread.
    pub(super) fn run<T, F>(&self, query: F) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (pool, slots) = (Arc::clone(&self.pool), Arc::clone(&self.slots));
        async move {
            let slot = slots.acquire_owned().await.map_err(|_| StoreError::Closed)?;
            let work = move || {
                let _slot = slot;
                pool.run(query)
            };
            tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Closed)?
        }
    }
}

fn open(path: &std::path::Path) -> Result<Connection, StoreError> {
    let connection = super::connect(path).map_err(|error| StoreError::Database(error.to_string()))?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -4096")?;
    Ok(connection)
}
