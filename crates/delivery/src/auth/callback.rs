//! The loopback end of a browser login: a tiny server that waits for one redirect.
//!
//! Any local program and any web page can knock here, so only a request that carries our `state` counts;
//! everything else is answered and forgotten, and the login goes on. Bounded in time, in connections and
//! in bytes; one thread, no connection can hold up another.

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
/// How long a connection may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// What the redirect said.
pub(super) enum Redirected {
    /// The user agreed.
    Code(Zeroizing<String>),
    /// The server or the user refused.
    Refused { word: String, description: Option<String> },
    /// The user gave up at the terminal.
    Cancelled,
    /// Nobody came in time.
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

    /// Where the server sends the browser.
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
                Look::Waiting => true,
                Look::Gone => false,
                Look::Came(redirected) => {
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

enum Look {
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
    fn look(&mut self, state: &str) -> Look {
        let mut chunk = Zeroizing::new([0; CHUNK_BYTES]);
        loop {
            if let Some(line) = request_line(&self.read) {
                return self.answer(judge_request(line, state));
            }
            if self.read.len() > MOST_BYTES || self.since.elapsed() > PATIENCE {
                return Look::Gone;
            }
            match self.stream.read(&mut *chunk) {
                Ok(0) => return Look::Gone,
                Ok(read) => self.read.extend(chunk.iter().take(read)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Look::Waiting,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Look::Gone,
            }
        }
    }

    /// Answers and closes. The answer is small, so it fits into the socket's buffer; whether the browser
    /// reads it changes nothing.
    fn answer(&mut self, judged: Judged) -> Look {
        let (status, text, look) = match judged {
            Judged::Ours(redirected) => {
                let text = match &redirected {
                    Redirected::Code(_) => {
                        "Spec Kitty has the answer. You can close this page; the terminal goes on."
                    }
                    _ => "The login was refused. The terminal says more.",
                };
                ("200 OK", text, Look::Came(redirected))
            }
            Judged::Stranger => {
                ("400 Bad Request", "This is not the login that was started here.", Look::Gone)
            }
            Judged::Elsewhere => ("404 Not Found", "Nothing is here.", Look::Gone),
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
    // A line that is not UTF-8 is nobody's redirect.
    head_ends.then(|| std::str::from_utf8(line).unwrap_or(""))
}

enum Judged {
    Ours(Redirected),
    Stranger,
    Elsewhere,
}

fn judge_request(line: &str, state: &str) -> Judged {
    let mut words = line.split(' ');
    let (Some("GET"), Some(target)) = (words.next(), words.next()) else { return Judged::Elsewhere };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if path != contract::wire::oauth::CALLBACK_PATH {
        return Judged::Elsewhere;
    }
    let fields: Vec<(String, Zeroizing<String>)> = form_urlencoded::parse(query.as_bytes())
        .map(|(key, value)| (key.into_owned(), Zeroizing::new(value.into_owned())))
        .collect();
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    if field("state").as_deref().map(String::as_str) != Some(state) {
        return Judged::Stranger;
    }
    match (field("error"), field("code").filter(|code| !code.is_empty())) {
        (Some(word), _) => Judged::Ours(Redirected::Refused {
            word: crate::classify::bounded(&word),
            description: field("error_description").map(|text| crate::classify::bounded(&text)),
        }),
        (None, Some(code)) => Judged::Ours(Redirected::Code(code)),
        (None, None) => Judged::Stranger,
    }
}
