//! A loopback server with scripted answers, for answers that no real server gives.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longest head of a request that is read.
const MAX_HEAD: usize = 64 << 10;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct ScriptedRequest {
    /// The method.
    pub method: String,
    /// The path, query included.
    pub path: String,
    /// The body as sent, compressed or not.
    pub body: Vec<u8>,
}

/// A scripted answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Headers beside the length.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The announced length; the connection ends after the body.
    pub promised: Option<usize>,
}

impl Reply {
    /// A JSON text.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        let headers = vec![("Content-Type", "application/json".to_owned())];
        Self { status, headers, body: body.to_string().into_bytes(), promised: None }
    }

    /// A page of HTML.
    pub fn html(status: u16, body: &str) -> Self {
        let headers = vec![("Content-Type", "text/html; charset=utf-8".to_owned())];
        Self { status, headers, body: body.as_bytes().to_vec(), promised: None }
    }
}

type Script = dyn Fn(&ScriptedRequest) -> Reply + Send + Sync;

/// The server. Ends when dropped.
pub struct ScriptedServer {
    address: SocketAddr,
    log: Arc<Mutex<Vec<ScriptedRequest>>>,
    ended: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl ScriptedServer {
    /// Starts a server that answers every request with `script`.
    ///
    /// # Panics
    /// When there is no loopback port: a test cannot continue.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn start(script: impl Fn(&ScriptedRequest) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("its address");
        let log = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let script: Arc<Script> = Arc::new(script);
        let acceptor = std::thread::spawn({
            let (log, ended) = (log.clone(), ended.clone());
            move || {
                for stream in listener.incoming().flatten() {
                    if ended.load(Ordering::SeqCst) {
                        break;
                    }
                    let (log, script) = (log.clone(), script.clone());
                    std::thread::spawn(move || serve(stream, &log, script.as_ref()));
                }
            }
        });
        Self { address, log, ended, acceptor: Some(acceptor) }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far, in order of arrival.
    ///
    /// # Panics
    /// Never: no script holds the log.
    #[allow(clippy::expect_used, reason = "a poisoned log means that the test has failed already")]
    pub fn asked(&self) -> Vec<ScriptedRequest> {
        self.log.lock().expect("the log").clone()
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

/// One request for each connection: the answer carries `Connection: close`.
fn serve(mut stream: TcpStream, log: &Mutex<Vec<ScriptedRequest>>, script: &Script) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let Some(asked) = read_request(&mut stream) else { return };
    if let Ok(mut log) = log.lock() {
        log.push(asked.clone());
    }
    let reply = script(&asked);
    let length = reply.promised.unwrap_or(reply.body.len());
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
    if reply.status != 204 {
        head.push_str(&format!("Content-Length: {length}\r\n"));
    }
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let _ = stream.write_all(&[head.as_bytes(), &reply.body].concat());
}

fn read_request(stream: &mut TcpStream) -> Option<ScriptedRequest> {
    let mut bytes = Vec::new();
    let mut chunk = [0u8; 65536];
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        let read = stream.read(&mut chunk).ok().filter(|read| *read > 0 && bytes.len() < MAX_HEAD)?;
        bytes.extend_from_slice(&chunk[..read]);
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let mut body = bytes.split_off(head_end + 4);
    while body.len() < length.unwrap_or(0) {
        let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
        body.extend_from_slice(&chunk[..read]);
    }
    Some(ScriptedRequest { method, path, body })
}
