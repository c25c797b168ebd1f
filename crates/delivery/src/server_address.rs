//! Server address: a base URL that requests may be sent to, checked once.
//!
//! `contract::ServerUrl` decides which text is a server URL. This module excludes the server that earlier
//! releases had built in, and redirects to another origin. Never resolves a name, never opens a connection.

use contract::{ServerUrl, server_url};
use std::fmt;
use url::Url;

/// A server that requests may be sent to.
///
/// Invariant: it is not the server that earlier releases had built in.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerAddress {
    base: String,
    host: ServerHost,
    loopback: bool,
}

/// Reason why a URL is no destination. The text never shows a password that the URL may hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerAddressError {
    /// Not a server URL.
    #[error("{0}")]
    Invalid(String),
    /// The server that earlier releases had built in (contract section 1, "No default destination").
    #[error(
        "no server is configured: {0} was built into earlier releases and only names old queues; nothing is sent to it"
    )]
    Packaged(String),
}

impl ServerAddress {
    /// Checks `url` and takes it as a base for requests.
    ///
    /// # Errors
    /// See [`ServerAddressError`].
    pub fn parse(url: &str) -> Result<Self, ServerAddressError> {
        let parsed = ServerUrl::parse(url).map_err(|error| {
            ServerAddressError::Invalid(server_url::describe_invalid("the server URL", url, error))
        })?;
        Self::of(&parsed)
    }

    /// Takes a parsed server URL as a base for requests.
    ///
    /// # Errors
    /// [`ServerAddressError::Packaged`].
    pub fn of(server: &ServerUrl) -> Result<Self, ServerAddressError> {
        let invalid = || ServerAddressError::Invalid(format!("the server URL {server} names no host"));
        let host = ServerHost::of(server.url()).ok_or_else(invalid)?;
        if server.is_packaged_default() {
            return Err(ServerAddressError::Packaged(host.to_string()));
        }
        let base = server.url().as_str().trim_end_matches('/').to_owned();
        Ok(Self { base, host, loopback: server.is_loopback() })
    }

    /// The base URL, without a trailing slash.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The absolute URL of `path`, which starts with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Host and port, as error messages show them.
    pub fn host(&self) -> &ServerHost {
        &self.host
    }

    /// Whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Target of a `Location` header in an answer to `from`, when its scheme, host and port are those of this address;
    /// `Err` holds the host of any other target.
    pub(crate) fn same_origin(&self, from: &str, location: &str) -> Result<String, String> {
        let target = Url::parse(from).and_then(|from| from.join(location));
        let target = target.map_err(|_| "an address that is not a URL".to_owned())?;
        let base = Url::parse(&self.base).map_err(|_| "an address that is not a URL".to_owned())?;
        if target.origin() == base.origin() && target.username().is_empty() && target.password().is_none() {
            Ok(target.into())
        } else {
            Err(ServerHost::of(&target).map_or_else(|| target.scheme().to_owned(), |host| host.to_string()))
        }
    }
}

impl fmt::Debug for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Destination({})", self.base)
    }
}

/// A host, lower-cased, with its effective port. Shown without the port when it is the scheme's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHost {
    name: String,
    port: u16,
    default_port: bool,
}

impl ServerHost {
    /// The host of a URL, or nothing when the text is no URL with a host.
    pub fn of_url(url: &str) -> Option<Self> {
        Self::of(&Url::parse(contract::scope::trim(url)).ok()?)
    }

    fn of(url: &Url) -> Option<Self> {
        let name = url.host_str()?.trim_end_matches('.').to_lowercase();
        let port = url.port_or_known_default()?;
        (!name.is_empty()).then_some(Self { name, port, default_port: url.port().is_none() })
    }
}

impl fmt::Display for ServerHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.default_port { f.write_str(&self.name) } else { write!(f, "{}:{}", self.name, self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<ServerAddress, ServerAddressError> {
        ServerAddress::parse(url)
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        for url in ["http://localhost:8080", "http://127.0.0.1:1", "http://[::1]:9", "http://api.localhost"] {
            assert!(parse(url).unwrap().is_loopback(), "{url}");
        }
        for url in [
            "http://example.com",
            "http://localhost.example.com",
            "http://10.0.0.1",
            "http://127.0.0.1.nip.io",
        ] {
            assert!(matches!(parse(url), Err(ServerAddressError::Invalid(_))), "{url}");
        }
    }

    #[test]
    fn password_in_the_url_is_refused_and_not_repeated() {
        let error = parse("https://me:hunter2@example.com").unwrap_err();
        assert!(matches!(error, ServerAddressError::Invalid(_)));
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn packaged_server_is_no_destination_in_any_disguise() {
        for url in [
            "https://spec-kitty-dev.fly.dev",
            "https://SPEC-KITTY-DEV.fly.dev:443/x",
            "https://spec-kitty-dev.fly.dev.",
        ] {
            assert!(matches!(parse(url), Err(ServerAddressError::Packaged(_))), "{url}");
        }
    }

    #[test]
    fn other_schemes_queries_and_nonsense_are_refused() {
        assert!(matches!(parse("ftp://h"), Err(ServerAddressError::Invalid(_))));
        assert!(matches!(parse("file:///etc/passwd"), Err(ServerAddressError::Invalid(_))));
        assert!(matches!(parse("https://h?x=1"), Err(ServerAddressError::Invalid(_))));
        assert!(matches!(parse("example.com"), Err(ServerAddressError::Invalid(_))));
        assert!(matches!(parse(""), Err(ServerAddressError::Invalid(_))));
        assert!(matches!(parse("https://"), Err(ServerAddressError::Invalid(_))));
    }

    #[test]
    fn base_keeps_its_path_and_loses_its_slashes() {
        let destination = parse(" https://Example.com/kitty// ").unwrap();
        assert_eq!(destination.url("/api/v1/me"), "https://example.com/kitty/api/v1/me");
        assert_eq!(destination.host().to_string(), "example.com");
    }

    #[test]
    fn redirect_stays_at_its_origin() {
        let destination = parse("https://h.example/base").unwrap();
        let from = destination.url("/a");
        assert_eq!(destination.same_origin(&from, "/b").unwrap(), "https://h.example/b");
        assert_eq!(destination.same_origin(&from, "https://H.example:443/c").unwrap(), "https://h.example/c");
        for location in [
            "https://evil.example/",
            "//evil.example/x",
            "http://h.example/b",
            "https://h.example:444/",
            "https://h.example@evil.example/",
        ] {
            assert!(destination.same_origin(&from, location).is_err(), "{location}");
        }
    }
}
