//! Server of the control plane: one accepting thread, one short-lived thread per connection, a bounded table.
//!
//! Invariants:
//! * never more than [`Limits::connections`] connections. When the table is full, the oldest one that has not shown
//!   the token is cut off, so idle or slow connections can neither delay an answer nor grow the daemon;
//! * a connection has [`Limits::patience`] for each request and [`Limits::requests`] requests;
//! * an idle daemon spends nothing here: the accepting thread sleeps in the kernel.

use super::http::{self, Parsed};
use super::routes::{Authenticator, ControlAnswer, ControlHandler};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Ports of the reference's daemons. Ours stay outside, so that neither takes the other for its own.
pub const RESERVED_PORTS: RangeInclusive<u16> = 9400..=9449;

/// Resource limits of a control plane.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Time for a request to arrive whole, and for an answer to leave.
    pub patience: Duration,
    /// Requests on one connection.
    pub requests: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 32, patience: Duration::from_secs(2), requests: 8 }
    }
}

/// Binds 127.0.0.1 at a port that the system chooses, outside [`RESERVED_PORTS`].
///
/// # Errors
/// No port could be bound.
pub fn bind() -> io::Result<TcpListener> {
    // Listeners inside the range are kept until one outside is found: the system cannot offer them twice.
    let mut reserved = Vec::new();
    for _ in 0..=RESERVED_PORTS.len() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        if !RESERVED_PORTS.contains(&listener.local_addr()?.port()) {
            return Ok(listener);
        }
        reserved.push(listener);
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "the system offers only ports 9400 to 9449"))
}

/// A running control plane. Dropping it stops accepting; connections in hand end by themselves.
#[derive(Debug)]
pub struct ControlServer {
    port: u16,
    closing: Arc<AtomicBool>,
}

impl ControlServer {
    /// Starts to serve `listener`.
    ///
    /// # Errors
    /// The accepting thread could not be started.
    pub fn start(
        listener: TcpListener,
        authenticator: Authenticator,
        handler: Arc<dyn ControlHandler>,
        limits: Limits,
    ) -> io::Result<Self> {
        let port = listener.local_addr()?.port();
        let closing = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(Shared { authenticator, handler, limits, table: Mutex::default() });
        let seen_closing = Arc::clone(&closing);
        thread::Builder::new()
            .name("control".to_owned())
            .stack_size(STACK)
            .spawn(move || accept(&listener, &shared, &seen_closing))?;
        Ok(Self { port, closing })
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, if it still accepts.
        let _ =
            TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, self.port).into(), Duration::from_millis(200));
    }
}

/// Enough for a parser and a JSON document, little enough for a table full of threads.
const STACK: usize = 256 * 1024;

struct Shared {
    authenticator: Authenticator,
    handler: Arc<dyn ControlHandler>,
    limits: Limits,
    table: Mutex<ConnectionTable>,
}

#[derive(Default)]
struct ConnectionTable {
    next_id: u64,
    /// In order of arrival.
    slots: Vec<Slot>,
}

struct Slot {
    id: u64,
    stream: TcpStream,
    authorised: bool,
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, ConnectionTable> {
        // Every critical section leaves the table whole, so a poisoned lock still guards a good one.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, stream: TcpStream) -> u64 {
        let mut table = self.table();
        if table.slots.len() >= self.limits.connections {
            let oldest = table.slots.iter().position(|slot| !slot.authorised).unwrap_or(0);
            let slot = table.slots.remove(oldest);
            // Its thread wakes with an error and ends.
            let _ = slot.stream.shutdown(Shutdown::Both);
        }
        let id = table.next_id;
        table.next_id += 1;
        table.slots.push(Slot { id, stream, authorised: false });
        id
    }

    fn trust(&self, id: u64) {
        if let Some(slot) = self.table().slots.iter_mut().find(|slot| slot.id == id) {
            slot.authorised = true;
        }
    }

    fn leave(&self, id: u64) {
        self.table().slots.retain(|slot| slot.id != id);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, closing: &AtomicBool) {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(_) if closing.load(Ordering::SeqCst) => return,
            Err(_) => {
                // Out of descriptors, or the peer left at once: an immediate retry helps with neither.
                thread::sleep(Duration::from_millis(50));
                continue;
            }
        };
        if closing.load(Ordering::SeqCst) {
            return;
        }
        let Ok(held) = stream.try_clone() else { continue };
        let id = shared.enter(held);
        let theirs = Arc::clone(shared);
        let spawned = thread::Builder::new().name("request".to_owned()).stack_size(STACK).spawn(move || {
            // A failure on one connection concerns that connection alone.
            let _ = converse(stream, id, &theirs);
            theirs.leave(id);
        });
        if spawned.is_err() {
            shared.leave(id);
        }
    }
}

/// Bytes read at once.
const CHUNK_BYTES: usize = 4096;
/// Longest request with its body, and what may be read beyond it.
const PENDING_BYTES: usize = http::MAX_HEAD + http::MAX_REQUEST_BODY + CHUNK_BYTES;

fn converse(mut stream: TcpStream, id: u64, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(shared.limits.patience))?;
    // It holds the bearer token: room for a whole request, so that growing leaves no copy behind.
    let mut pending = Zeroizing::new(Vec::with_capacity(PENDING_BYTES));
    for turn in 1..=shared.limits.requests {
        let request = match read_request(&mut stream, &mut pending, shared.limits.patience)? {
            Some(Ok(request)) => request,
            Some(Err(why)) => {
                let answer = ControlAnswer::error(why.status(), "request_malformed");
                stream.write_all(&http::render_response(answer.status, &answer.body, false))?;
                return stream.shutdown(Shutdown::Both);
            }
            None => return Ok(()),
        };
        if shared.authenticator.is_authorised(&request) {
            shared.trust(id);
        }
        let answer = shared.authenticator.answer(&request, &*shared.handler);
        let keep_alive = request.keep_alive && turn < shared.limits.requests;
        stream.write_all(&http::render_response(answer.status, &answer.body, keep_alive))?;
        if !keep_alive {
            return stream.shutdown(Shutdown::Both);
        }
    }
    Ok(())
}

/// Reads one request within `patience`; nothing when the peer has left between two requests.
fn read_request(
    stream: &mut TcpStream,
    pending: &mut Vec<u8>,
    patience: Duration,
) -> io::Result<Option<Result<http::ControlRequest, http::Invalid>>> {
    let deadline = Instant::now() + patience;
    let mut chunk = Zeroizing::new([0; CHUNK_BYTES]);
    loop {
        match http::parse_request(pending) {
            Parsed::Complete(request, length) => {
                pending.drain(..length);
                return Ok(Some(Ok(request)));
            }
            Parsed::Invalid(why) => return Ok(Some(Err(why))),
            Parsed::Incomplete => {}
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut *chunk) {
            Ok(0) => return Ok(None),
            Ok(length) => pending.extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon_log;
    use crate::schedule::Timing;
    use crate::start_rate_limit::LIMIT;
    use crate::stop::KEPT;

    #[test]
    fn limits_are_those_of_the_page() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/daemon.md"));
        let page = page.expect("the page").split_whitespace().collect::<Vec<_>>().join(" ");
        let Limits { connections, patience, requests } = Limits::default();
        assert_eq!((patience, requests), (Duration::from_secs(2), 8));
        let sentence = format!(
            "Requests have at most {} KiB of headers and {} KiB of body, must arrive within two seconds, and eight may \
             share a connection. At {connections} connections,",
            http::MAX_HEAD / 1024,
            http::MAX_REQUEST_BODY / 1024,
        );
        let Timing { check, sweep, idle, .. } = Timing::SPAWNED;
        assert_eq!((LIMIT, KEPT), (5, 8));
        for sentence in [
            sentence,
            format!(
                "except {} to {}, the ports of the reference",
                RESERVED_PORTS.start(),
                RESERVED_PORTS.end()
            ),
            format!("Every {} s the daemon checks that it holds the lock file", check.as_secs()),
            format!("at a sweep every {} s that finds waiting rows", sweep.as_secs()),
            format!(
                "no request for {} minutes",
                idle.expect("a daemon that a command started").as_secs() / 60
            ),
            format!("it is rotated at {} MiB", daemon_log::MAX_BYTES >> 20),
            "Automatic starts are limited to five in ten minutes".to_owned(),
            "with `--json` the last eight".to_owned(),
        ] {
            assert!(page.contains(&sentence), "docs/daemon.md lacks: {sentence}");
        }
    }
}
