//! Client of the control plane. On each connection the daemon first proves that it has the secret of the control
//! file; only then the client sends it.

use super::file::ControlFile;
use super::http::{self, ControlResponse, NONCE_HEADER, Parsed};
use super::proof::Nonce;
use super::wire::{
    self, DrainAnswer, DrainRequest, HealthAnswer, NudgeAnswer, ShutdownAnswer, ShutdownCause,
    ShutdownRequest, StatusReport,
};
use contract::json::read_object;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Failure of a request to a daemon.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nothing listens at the port of the control file.
    #[error("no process listens on 127.0.0.1:{port}")]
    Refused {
        /// The port.
        port: u16,
    },
    /// The port is open and does not answer in time.
    #[error("127.0.0.1:{port} does not answer")]
    Unresponsive {
        /// The port.
        port: u16,
    },
    /// Another process answers than the daemon of the control file. Nothing secret was sent.
    #[error("another process than the daemon of this home listens on 127.0.0.1:{port}")]
    Impostor {
        /// The port.
        port: u16,
    },
    /// The daemon answers with an error.
    #[error("the daemon answered {status} to {path}")]
    Status {
        /// The status code.
        status: u16,
        /// The route.
        path: &'static str,
    },
    /// The answer is malformed.
    #[error("the daemon's answer to {path} is malformed")]
    Malformed {
        /// The route.
        path: &'static str,
    },
    /// The system refused.
    #[error("the connection to 127.0.0.1:{port} failed: {source}")]
    Io {
        /// The port.
        port: u16,
        /// Error of the system.
        source: io::Error,
    },
    /// The system's random source failed.
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
}

/// A connection to the daemon of a control file, which has proved itself.
#[derive(Debug)]
pub struct ControlClient<'a> {
    control: &'a ControlFile,
    stream: TcpStream,
    deadline: Instant,
}

impl<'a> ControlClient<'a> {
    /// Connects and verifies the daemon's proof; all requests on this connection end within `patience`.
    ///
    /// # Errors
    /// Nothing listens, no answer, or not the daemon.
    pub fn connect(control: &'a ControlFile, patience: Duration) -> Result<Self, ControlError> {
        let port = control.port;
        let deadline = Instant::now() + patience;
        let stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), patience)
            .map_err(|error| classify(error, port))?;
        let mut client = Self { control, stream, deadline };
        client.stream.set_nodelay(true).map_err(|error| classify(error, port))?;
        let nonce = Nonce::generate().map_err(ControlError::Random)?;
        let answer = client.exchange("GET", wire::HEALTH, &[(NONCE_HEADER, &nonce.hex())], b"")?;
        let health: Option<HealthAnswer> = read_object(&answer.body).ok();
        let proof = health.and_then(|health| health.proof).unwrap_or_default();
        if answer.status == 200 && control.token.is_proof(port, &nonce, &proof) {
            Ok(client)
        } else {
            Err(ControlError::Impostor { port })
        }
    }

    /// Requests the status report.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn status(&mut self) -> Result<StatusReport, ControlError> {
        self.ask("GET", wire::STATUS, None::<&()>)
    }

    /// Reports that rows were captured.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn nudge(&mut self) -> Result<NudgeAnswer, ControlError> {
        self.ask("POST", wire::NUDGE, None::<&()>)
    }

    /// Requests a drain, and waits at most `wait` for its end (and at most until the connection's deadline).
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn drain(&mut self, wait: Duration) -> Result<DrainAnswer, ControlError> {
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.ask("POST", wire::DRAIN, Some(&DrainRequest { wait_ms }))
    }

    /// Requests the end of the daemon after its batch.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub(crate) fn shut_down(&mut self, cause: ShutdownCause) -> Result<ShutdownAnswer, ControlError> {
        self.ask("POST", wire::SHUTDOWN, Some(&ShutdownRequest { cause }))
    }

    fn ask<Out: DeserializeOwned>(
        &mut self,
        method: &str,
        path: &'static str,
        document: Option<&impl Serialize>,
    ) -> Result<Out, ControlError> {
        // Our documents always serialise.
        let body =
            document.map(|document| serde_json::to_vec(document).unwrap_or_default()).unwrap_or_default();
        let bearer = Zeroizing::new(format!("Bearer {}", *self.control.token.hex()));
        let answer = self.exchange(method, path, &[("Authorization", &bearer)], &body)?;
        if !(200..300).contains(&answer.status) {
            return Err(ControlError::Status { status: answer.status, path });
        }
        read_object(&answer.body).map_err(|_| ControlError::Malformed { path })
    }

    fn exchange(
        &mut self,
        method: &str,
        path: &'static str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<ControlResponse, ControlError> {
        let port = self.control.port;
        let request = http::render_request(method, path, port, headers, body);
        let answer =
            converse(&mut self.stream, &request, self.deadline).map_err(|error| classify(error, port))?;
        answer.ok_or(ControlError::Malformed { path })
    }
}

/// Sends `request` and reads one answer until `deadline`; none when the answer is no HTTP, or too
/// much of it. Reads no byte beyond the answer's bound.
pub(crate) fn converse(
    stream: &mut TcpStream,
    request: &[u8],
    deadline: Instant,
) -> io::Result<Option<ControlResponse>> {
    stream.set_write_timeout(Some(left(deadline)?))?;
    stream.write_all(request)?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        let length = match stream.read(&mut chunk) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        bytes.extend_from_slice(&chunk[..length]);
        match http::parse_response(&bytes, length == 0) {
            Parsed::Complete(response, _) => return Ok(Some(response)),
            Parsed::Invalid(_) => return Ok(None),
            Parsed::Incomplete if length == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            Parsed::Incomplete if bytes.len() > http::MAX_HEAD + http::MAX_RESPONSE_BODY => return Ok(None),
            Parsed::Incomplete => {}
        }
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn classify(source: io::Error, port: u16) -> ControlError {
    match source.kind() {
        io::ErrorKind::ConnectionRefused => ControlError::Refused { port },
        io::ErrorKind::TimedOut
        | io::ErrorKind::WouldBlock
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => ControlError::Unresponsive { port },
        _ => ControlError::Io { port, source },
    }
}
