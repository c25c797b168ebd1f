//! Loopback server of a browser login: waits for one redirect.
//!
//! Any local program and any web page can connect, so only a request with our `state` counts; every other
//! gets an error page, and the login continues. Time, connections and bytes are bounded; one thread serves
//! all connections without blocking.

use super::{Flow, Prompt, Span};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use url::form_urlencoded;
use zeroize::Zeroizing;

/// Connections looked at together; a further one is closed at once.
const MOST_CONNECTIONS: usize = 32;
/// Longest request head that is read.
const MOST_BYTES: usize = 16 << 10;
/// Bytes read at once.
const CHUNK_BYTES: usize = 2048;
/// Time for a connection to send its request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// Outcome of the redirect.
pub(super) enum Redirected {
    /// The user agreed.
    Code(Zeroizing<String>),
    /// The server or the user refused.
    Refused { code: String, description: Option<String> },
    /// The user gave up at the terminal.
    Cancelled,
    /// No redirect in time.
    TimedOut,
}

/// The waiting end.
pub(super) struct Callback {
    listener: TcpListener,
    redirect_uri: String,
}

impl Callback {
    /// Listens on a loopback port that the system chooses.
    pub(super) fn listen() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let path = contract::wire::oauth::CALLBACK_PATH;
        Ok(Self { listener, redirect_uri: format!("http://127.0.0.1:{port}{path}") })
    }

    /// Address to which the server sends the browser.
    pub(super) fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Waits for the redirect that carries `state`.
    pub(super) fn wait(self, state: &str, patience: Duration, prompt: &mut dyn Prompt) -> Redirected {
        let mut span = Span::new(patience);
        let mut visitors: Vec<Visitor> = Vec::new();
        loop {
            self.admit(&mut visitors);
            let mut outcome = None;
            visitors.retain_mut(|visitor| match visitor.look(state) {
                VisitorState::Waiting => true,
                VisitorState::Gone => false,
                VisitorState::Came(redirected) => {
                    outcome.get_or_insert(redirected);
                    false
                }
            });
            if let Some(redirected) = outcome {
                return redirected;
            }
            if span.is_over() {
                return Redirected::TimedOut;
            }
            if span.pause(prompt, PAUSE) == Flow::Cancel {
                return Redirected::Cancelled;
            }
        }
    }

    fn admit(&self, visitors: &mut Vec<Visitor>) {
        for _ in 0..MOST_CONNECTIONS {
            let Ok((stream, _)) = self.listener.accept() else { return };
            if visitors.len() < MOST_CONNECTIONS && stream.set_nonblocking(true).is_ok() {
                let read = Zeroizing::new(Vec::with_capacity(MOST_BYTES + CHUNK_BYTES));
                visitors.push(Visitor { stream, read, since: Instant::now() });
            }
        }
    }
}

enum VisitorState {
    Waiting,
    Gone,
    Came(Redirected),
}

struct Visitor {
    stream: TcpStream,
    /// It may hold the code: as long as it ever gets, so that growing leaves no copy behind.
    read: Zeroizing<Vec<u8>>,
    since: Instant,
}

impl Visitor {
    fn look(&mut self, state: &str) -> VisitorState {
        let mut chunk = Zeroizing::new([0; CHUNK_BYTES]);
        loop {
            if let Some(line) = request_line(&self.read) {
                return self.answer(judge_request(line, state));
            }
            if self.read.len() > MOST_BYTES || self.since.elapsed() > PATIENCE {
                return VisitorState::Gone;
            }
            match self.stream.read(&mut *chunk) {
                Ok(0) => return VisitorState::Gone,
                Ok(read) => self.read.extend(chunk.iter().take(read)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return VisitorState::Waiting,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return VisitorState::Gone,
            }
        }
    }

    /// Answers and closes. The answer is small, so it fits into the socket's buffer; whether the browser
    /// reads it changes nothing.
    fn answer(&mut self, judged: CallbackRequest) -> VisitorState {
        let (status, text, look) = match judged {
            CallbackRequest::Ours(redirected) => {
                let text = match &redirected {
                    Redirected::Code(_) => {
                        "Login received. You can close this page and return to the terminal."
                    }
                    _ => "The login was refused. The reason is in the terminal.",
                };
                ("200 OK", text, VisitorState::Came(redirected))
            }
            CallbackRequest::Stranger => {
                ("400 Bad Request", "This is not the login that was started here.", VisitorState::Gone)
            }
            CallbackRequest::Elsewhere => ("404 Not Found", "Not found.", VisitorState::Gone),
        };
        let body = format!("<!doctype html><meta charset=utf-8><title>Spec Kitty</title><p>{text}</p>\n");
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let _ = self.stream.write_all(format!("{head}{body}").as_bytes());
        look
    }
}

/// The request line, once the whole head is there.
fn request_line(read: &[u8]) -> Option<&str> {
    let head_ends = read.windows(4).any(|window| window == b"\r\n\r\n");
    let line = read.split(|byte| *byte == b'\r').next()?;
    // A line that is not UTF-8 is no redirect.
    head_ends.then(|| std::str::from_utf8(line).unwrap_or(""))
}

enum CallbackRequest {
    Ours(Redirected),
    Stranger,
    Elsewhere,
}

fn judge_request(line: &str, state: &str) -> CallbackRequest {
    let mut words = line.split(' ');
    let (Some("GET"), Some(target)) = (words.next(), words.next()) else { return CallbackRequest::Elsewhere };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if path != contract::wire::oauth::CALLBACK_PATH {
        return CallbackRequest::Elsewhere;
    }
    let fields: Vec<(String, Zeroizing<String>)> = form_urlencoded::parse(query.as_bytes())
        .map(|(key, value)| (key.into_owned(), Zeroizing::new(value.into_owned())))
        .collect();
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    if field("state").as_deref().map(String::as_str) != Some(state) {
        return CallbackRequest::Stranger;
    }
    match (field("error"), field("code").filter(|code| !code.is_empty())) {
        (Some(code), _) => CallbackRequest::Ours(Redirected::Refused {
            code: crate::classify::bounded(&code),
            description: field("error_description").map(|text| crate::classify::bounded(&text)),
        }),
        (None, Some(code)) => CallbackRequest::Ours(Redirected::Code(code)),
        (None, None) => CallbackRequest::Stranger,
    }
}
