//! Why there is no answer. Every text names the host and nothing secret.

use crate::destination::Destination;
use std::io;
use std::time::Duration;

/// A request without a complete answer. What was sent may have arrived: every request of ours can be
/// repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No connection: name, route, refused.
    #[error("cannot reach {host}: {detail}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// Why.
        detail: String,
    },
    /// No complete answer in time.
    #[error("{host} did not answer within {seconds} s")]
    TimedOut {
        /// Host and port.
        host: String,
        /// The time given.
        seconds: u64,
    },
    /// The connection broke, or what came was not HTTP.
    #[error("the connection to {host} broke off: {detail}")]
    Interrupted {
        /// Host and port.
        host: String,
        /// Why.
        detail: String,
    },
    /// TLS could not be agreed.
    #[error("no secure connection to {host}: {detail}")]
    Tls {
        /// Host and port.
        host: String,
        /// Why.
        detail: String,
    },
    /// More bytes than the bound.
    #[error("the answer of {host} is larger than {limit} bytes")]
    TooLarge {
        /// Host and port.
        host: String,
        /// The bound, in bytes.
        limit: u64,
    },
    /// A redirect that is not followed.
    #[error("{host} redirects to {target}; redirects to another address are not followed")]
    Redirected {
        /// Host and port.
        host: String,
        /// Where it leads: a host, never a whole URL.
        target: String,
    },
    /// The request itself cannot be written, for example a team id that no header can carry.
    #[error("a request to {host} cannot be written: {detail}")]
    Unsendable {
        /// Host and port.
        host: String,
        /// Why.
        detail: String,
    },
}

impl SendError {
    pub(super) fn of(to: &Destination, timeout: Duration, error: ureq::Error) -> Self {
        let host = to.host().to_string();
        match error {
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                Self::Unreachable { host, detail: "no connection in time".to_owned() }
            }
            ureq::Error::Timeout(_) => Self::TimedOut { host, seconds: timeout.as_secs() },
            ureq::Error::HostNotFound => {
                Self::Unreachable { host, detail: "the name is not known".to_owned() }
            }
            ureq::Error::ConnectionFailed => {
                Self::Unreachable { host, detail: "connection failed".to_owned() }
            }
            ureq::Error::ConnectProxyFailed(_) | ureq::Error::InvalidProxyUrl => {
                Self::Unreachable { host, detail: "the proxy of the environment refused".to_owned() }
            }
            ureq::Error::Io(error) => Self::of_io(host, &error),
            ureq::Error::Rustls(error) => Self::Tls { host, detail: error.to_string() },
            ureq::Error::Tls(detail) => Self::Tls { host, detail: detail.to_owned() },
            ureq::Error::Protocol(error) => Self::Interrupted { host, detail: error.to_string() },
            ureq::Error::LargeResponseHeader(_, limit) => Self::TooLarge { host, limit: limit as u64 },
            ureq::Error::Http(_) | ureq::Error::BadUri(_) => Self::Unsendable {
                host,
                detail: "a value does not fit into a header or an address".to_owned(),
            },
            ureq::Error::Decompress(kind, _) => {
                Self::Interrupted { host, detail: format!("the answer is not valid {kind}") }
            }
            _ => Self::Interrupted { host, detail: "the exchange failed".to_owned() },
        }
    }

    /// An error while the body was read; ureq wraps its own errors into these.
    pub(super) fn while_reading(to: &Destination, error: io::Error) -> Self {
        let host = to.host().to_string();
        match error.downcast::<ureq::Error>() {
            Ok(ureq::Error::Timeout(_)) => {
                Self::Interrupted { host, detail: "the answer did not end in time".to_owned() }
            }
            Ok(error) => Self::of(to, Duration::ZERO, error),
            Err(error) => Self::Interrupted { host, detail: error.kind().to_string() },
        }
    }

    fn of_io(host: String, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable => Self::Unreachable { host, detail: error.kind().to_string() },
            kind => Self::Interrupted { host, detail: kind.to_string() },
        }
    }

    /// Whether nothing can have arrived: there was no connection.
    pub fn nothing_was_sent(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Tls { .. } | Self::Unsendable { .. })
    }
}
