//! Errors of requests without an answer. Every text names the host and nothing secret.

use crate::server_address::ServerAddress;
use contract::text::printable;
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
        /// Cause.
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
        /// Cause.
        detail: String,
    },
    /// TLS could not be agreed.
    #[error("no secure connection to {host}: {detail}")]
    Tls {
        /// Host and port.
        host: String,
        /// Cause.
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
    #[error("{host} redirects to {target}: the redirect was not followed")]
    Redirected {
        /// Host and port.
        host: String,
        /// Target of the redirect: a host, never a whole URL.
        target: String,
    },
    /// The request itself cannot be written, for example a team id that no header can carry.
    #[error("a request to {host} cannot be written: {detail}")]
    Unsendable {
        /// Host and port.
        host: String,
        /// Cause.
        detail: String,
    },
}

const UNKNOWN_HOST: &str = "the host name is not known; check the server URL and the network";

/// Whether the system could not look a name up. It has no error kind of its own.
fn is_lookup_failure(text: &str) -> bool {
    ["lookup address", "No such host is known", "Name or service not known", "nodename nor servname"]
        .iter()
        .any(|part| text.contains(part))
}

/// Explanation and remedy for a refused certificate or TLS greeting; nothing for other texts.
fn explain_tls(text: &str) -> Option<String> {
    let has = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    let explained = if has(&["CaUsedAsEndEntity"]) {
        "its certificate is a CA certificate; give the server a certificate \
         that an authority signed, and name the PEM file of that authority in SSL_CERT_FILE"
    } else if has(&["UnknownIssuer", "unknown issuer"]) {
        "its certificate is signed by an authority that is not trusted here; \
         name the PEM file of that authority in SSL_CERT_FILE"
    } else if has(&["certificate expired", "Expired"]) {
        "its certificate has expired; check the clock of this machine, then ask the server's administrator"
    } else if has(&["NotValidYet", "not valid yet"]) {
        "its certificate is not valid yet; check the clock of this machine"
    } else if has(&["NotValidForName", "not valid for name"]) {
        "its certificate is for another host name; check the server URL"
    } else if has(&["InvalidContentType", "corrupt message"]) {
        "the port does not accept TLS; check the server URL"
    } else if has(&["invalid peer certificate", "received fatal alert", "peer is incompatible"]) {
        return Some(format!("{}; ask the server's administrator", printable(text)));
    } else {
        return None;
    };
    Some(explained.to_owned())
}

impl SendError {
    pub(super) fn of(to: &ServerAddress, timeout: Duration, error: ureq::Error) -> Self {
        let host = to.host().to_string();
        match error {
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => Self::Unreachable {
                host,
                detail: "no connection in time; check the server URL and the network".to_owned(),
            },
            ureq::Error::Timeout(_) => Self::TimedOut { host, seconds: timeout.as_secs() },
            ureq::Error::HostNotFound => Self::Unreachable { host, detail: UNKNOWN_HOST.to_owned() },
            ureq::Error::ConnectionFailed => {
                Self::Unreachable { host, detail: "connection failed".to_owned() }
            }
            ureq::Error::ConnectProxyFailed(_) | ureq::Error::InvalidProxyUrl => Self::Unreachable {
                host,
                detail: "the proxy of HTTPS_PROXY refused; name the server in NO_PROXY to go without it"
                    .to_owned(),
            },
            ureq::Error::Io(error) => Self::of_io(host, &error),
            ureq::Error::Rustls(error) => {
                let text = error.to_string();
                Self::Tls { host, detail: explain_tls(&text).unwrap_or(text) }
            }
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
    pub(super) fn while_reading(to: &ServerAddress, error: io::Error) -> Self {
        let host = to.host().to_string();
        match error.downcast::<ureq::Error>() {
            Ok(ureq::Error::Timeout(_)) => {
                Self::Interrupted { host, detail: "the answer did not end in time".to_owned() }
            }
            Ok(error) => Self::of(to, Duration::ZERO, error),
            Err(error) => Self::Interrupted { host, detail: error.kind().to_string() },
        }
    }

    /// Explains an error of the system. The TLS library's errors arrive wrapped into these.
    fn of_io(host: String, error: &io::Error) -> Self {
        let text = error.to_string();
        if let Some(detail) = explain_tls(&text) {
            return Self::Tls { host, detail };
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Unreachable {
                host,
                detail: "the connection was refused; check that the server runs, and its port".to_owned(),
            },
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable => {
                Self::Unreachable { host, detail: format!("{}; check the network", error.kind()) }
            }
            _ if is_lookup_failure(&text) => Self::Unreachable { host, detail: UNKNOWN_HOST.to_owned() },
            // These hold no detail; the system's own text does.
            io::ErrorKind::Other | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Self::Interrupted { host, detail: printable(&text).into_owned() }
            }
            kind if kind.to_string() == "uncategorized error" => {
                Self::Interrupted { host, detail: printable(&text).into_owned() }
            }
            kind => Self::Interrupted { host, detail: kind.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_become_sentences_with_a_way_out() {
        for (kind, text, expected) in [
            (io::ErrorKind::InvalidData, "invalid peer certificate: UnknownIssuer", "SSL_CERT_FILE"),
            (io::ErrorKind::InvalidData, "invalid peer certificate: certificate expired: ...", "clock"),
            (io::ErrorKind::InvalidData, "invalid peer certificate: NotValidForName", "check the server URL"),
            (io::ErrorKind::InvalidData, "received corrupt message of type InvalidContentType", "TLS"),
            (io::ErrorKind::InvalidData, "received fatal alert: HandshakeFailure", "administrator"),
            (
                io::ErrorKind::Other,
                "failed to lookup address information: Name or service not known",
                "check the server URL",
            ),
            (io::ErrorKind::ConnectionRefused, "Connection refused (os error 111)", "check that the server"),
            (io::ErrorKind::NetworkUnreachable, "Network is unreachable", "check the network"),
        ] {
            let error = SendError::of_io("h".to_owned(), &io::Error::new(kind, text)).to_string();
            assert!(error.contains(expected), "{text}: {error}");
            for nothing in ["invalid data", "uncategorized", "other error"] {
                assert!(!error.contains(nothing), "{error}");
            }
        }
    }
}
