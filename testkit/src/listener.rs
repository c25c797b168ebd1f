//! A loopback listener that counts who knocks: for tests in which nobody may.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts connections and answers none of them.
#[derive(Debug)]
pub struct CountingListener {
    address: SocketAddr,
    connections: Arc<AtomicU64>,
}

impl CountingListener {
    /// Listens on a port that the system chooses, until the test process ends.
    ///
    /// # Panics
    /// When loopback cannot be listened on.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&connections);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                counted.fetch_add(1, Ordering::SeqCst);
                drop(connection);
            }
        });
        Self { address, connections }
    }

    /// The base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections so far. A connection of the listener's own flushes what the system still queues.
    ///
    /// # Panics
    /// When loopback cannot be connected to.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn connections(&self) -> u64 {
        let before = self.connections.load(Ordering::SeqCst);
        drop(std::net::TcpStream::connect(self.address).expect("loopback"));
        while self.connections.load(Ordering::SeqCst) == before {
            std::thread::yield_now();
        }
        // Ours came after all that were queued; take it, and all such earlier ones, off the count.
        self.connections.fetch_sub(1, Ordering::SeqCst) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_others_and_not_itself() {
        let listener = CountingListener::start();
        assert_eq!(listener.connections(), 0);
        drop(std::net::TcpStream::connect(listener.address).expect("loopback"));
        assert_eq!(listener.connections(), 1);
        assert_eq!(listener.connections(), 1);
    }
}
