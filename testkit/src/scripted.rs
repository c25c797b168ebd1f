//! A loopback server with scripted answers, for answers that no real server gives.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct ScriptedRequest {
    /// The method.
    pub method: String,
    /// The path, query included.
    pub path: String,
    /// The headers, in their order.
    pub headers: Vec<(String, String)>,
    /// The body as sent, compressed or not.
    pub body: Vec<u8>,
}

#[allow(clippy::expect_used, reason = "a test that cannot read its requests has to stop")]
impl ScriptedRequest {
    /// The first value of a header, by any spelling.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body after `Content-Encoding`.
    ///
    /// # Panics
    /// When it is packed and damaged.
    pub fn plain(&self) -> Vec<u8> {
        if self.header("content-encoding") != Some("gzip") {
            return self.body.clone();
        }
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(self.body.as_slice()).read_to_end(&mut plain).expect("valid gzip");
        plain
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.plain()).expect("a JSON body")
    }

    /// One field of a form.
    pub fn field(&self, name: &str) -> Option<String> {
        let mut form = url::form_urlencoded::parse(&self.body);
        form.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// The event ids of a batch.
    ///
    /// # Panics
    /// When it is not a batch.
    pub fn event_ids(&self) -> Vec<String> {
        let json = self.json();
        let events = json["events"].as_array().expect("a batch").iter();
        events.map(|event| event["event_id"].as_str().expect("an id").to_owned()).collect()
    }
}

/// Behaviour of the server for one request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answers.
    Answer {
        /// The status.
        status: u16,
        /// Headers beside the length.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// Writes these bytes and closes.
    Raw(Vec<u8>),
    /// Closes without an answer.
    Drop,
    /// Does not answer until the client has disconnected.
    Hang,
}

impl Reply {
    /// A JSON text.
    pub fn json(status: u16, body: Value) -> Self {
        Self::text(status, &body.to_string())
    }

    /// A text.
    pub fn text(status: u16, body: &str) -> Self {
        Self::Answer { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    /// An answer with one header more.
    #[must_use]
    pub fn with(self, name: &str, value: &str) -> Self {
        match self {
            Self::Answer { status, mut headers, body } => {
                headers.push((name.to_owned(), value.to_owned()));
                Self::Answer { status, headers, body }
            }
            other => other,
        }
    }
}

type Script = dyn Fn(&ScriptedRequest, usize) -> Reply + Send + Sync;

/// The server. Ends when dropped.
pub struct ScriptedServer {
    address: SocketAddr,
    log: Arc<Mutex<Vec<ScriptedRequest>>>,
    ended: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
    // Hanging replies wait on this; dropping it releases them.
    _release: mpsc::Sender<()>,
}

impl ScriptedServer {
    /// Starts a server that answers the n-th request (from 0, over all connections) by `script`.
    ///
    /// # Panics
    /// When there is no loopback port: a test cannot continue.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn start(script: impl Fn(&ScriptedRequest, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("its address");
        let log = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let (release, hang) = mpsc::channel();
        let script: Arc<Script> = Arc::new(script);
        let hang = Arc::new(Mutex::new(hang));
        let acceptor = std::thread::spawn({
            let (log, ended) = (log.clone(), ended.clone());
            move || {
                for stream in listener.incoming().flatten() {
                    if ended.load(Ordering::SeqCst) {
                        break;
                    }
                    let (log, script, hang) = (log.clone(), script.clone(), hang.clone());
                    std::thread::spawn(move || serve(stream, &log, script.as_ref(), &hang));
                }
            }
        });
        Self { address, log, ended, acceptor: Some(acceptor), _release: release }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// All requests so far, in order of arrival.
    ///
    /// # Panics
    /// Never: no script holds the log.
    #[allow(clippy::expect_used, reason = "a poisoned log means that the test has failed already")]
    pub fn seen(&self) -> Vec<ScriptedRequest> {
        self.log.lock().expect("the log").clone()
    }

    /// Requests to one path.
    pub fn seen_at(&self, path: &str) -> Vec<ScriptedRequest> {
        self.seen().into_iter().filter(|seen| seen.path == path).collect()
    }
}

impl std::fmt::Debug for ScriptedServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScriptedServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// Serves a connection. Every read has a timeout, and the requests of a connection are bounded.
#[allow(clippy::expect_used, reason = "a poisoned lock means that the test has failed already")]
fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<ScriptedRequest>>,
    script: &Script,
    hang: &Mutex<mpsc::Receiver<()>>,
) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let _ = stream.set_nodelay(true);
    let mut pending = Vec::new();
    for _ in 0..100_000 {
        let Some(seen) = read_request(&mut stream, &mut pending) else { return };
        let n = {
            let mut log = log.lock().expect("the log");
            log.push(seen.clone());
            log.len() - 1
        };
        let written = match script(&seen, n) {
            Reply::Answer { status, headers, body } => {
                let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                head.push_str("\r\n");
                stream.write_all(&[head.as_bytes(), &body].concat())
            }
            Reply::Raw(bytes) => {
                let _ = stream.write_all(&bytes);
                return;
            }
            Reply::Drop => return,
            Reply::Hang => {
                let _ = hang.lock().expect("the hang").recv_timeout(Duration::from_secs(20));
                return;
            }
        };
        if written.is_err() {
            return;
        }
    }
}

fn read_request(stream: &mut TcpStream, pending: &mut Vec<u8>) -> Option<ScriptedRequest> {
    let mut chunk = [0u8; 65536];
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        if let httparse::Status::Complete(head) = request.parse(pending).ok()? {
            let mut seen = ScriptedRequest {
                method: request.method?.to_owned(),
                path: request.path?.to_owned(),
                headers: request
                    .headers
                    .iter()
                    .map(|h| (h.name.to_owned(), String::from_utf8_lossy(h.value).into_owned()))
                    .collect(),
                body: Vec::new(),
            };
            let length: usize = seen.header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
            while pending.len() < head + length {
                let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
                pending.extend_from_slice(&chunk[..read]);
            }
            seen.body = pending[head..head + length].to_vec();
            pending.drain(..head + length);
            return Some(seen);
        }
        let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
        pending.extend_from_slice(&chunk[..read]);
    }
}
