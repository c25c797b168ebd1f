//! A loopback listener that counts connections, for tests that allow none.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

/// Counts connections and answers none of them.
#[derive(Debug)]
pub struct CountingListener {
    address: SocketAddr,
    /// Peers, in the order of acceptance.
    accepted: Mutex<Receiver<SocketAddr>>,
    others: Mutex<u64>,
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
        let (tell, accepted) = channel();
        std::thread::spawn(move || {
            while let Ok((connection, peer)) = listener.accept() {
                drop(connection);
                if tell.send(peer).is_err() {
                    return;
                }
            }
        });
        Self { address, accepted: Mutex::new(accepted), others: Mutex::new(0) }
    }

    /// The base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Number of connections so far. A connection of its own marks the end of the accept queue.
    ///
    /// # Panics
    /// When loopback cannot be connected to.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn connections(&self) -> u64 {
        let mut others = self.others.lock().expect("one test");
        let own = TcpStream::connect(self.address).expect("loopback").local_addr().expect("an address");
        let accepted = self.accepted.lock().expect("one test");
        *others += accepted.iter().take_while(|peer| *peer != own).count() as u64;
        *others
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
