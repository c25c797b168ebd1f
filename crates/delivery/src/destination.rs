//! Where requests go: a server's base URL, checked once, and the host that a token belongs to.
//!
//! Owns the rules about hosts: plain `http://` only to this machine unless the user allowed it, no
//! user name or password inside a URL, and no redirect to another origin. Whether a token may go to a
//! host is `identity`'s judgement. Never resolves a name and never opens a connection.

use std::fmt;
use url::{Host, Url};

/// A server that requests may be sent to.
///
/// Invariants: it is not the server that earlier releases had built in; the scheme is `http` or `https`; `http` only for a loopback host, unless cleartext was
/// allowed; the base has no trailing slash, no query and no credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Destination {
    base: String,
    host: HostPort,
    loopback: bool,
}

/// Whether `http://` may leave this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cleartext {
    /// Only to `localhost`, `127.0.0.0/8` and `::1`.
    #[default]
    LoopbackOnly,
    /// The user's configuration says that it may.
    Allowed,
}

/// Why a URL is no destination. The text never repeats the URL: it could hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// Not an absolute URL.
    #[error("the server URL is not a URL: {0}; write it as https://host")]
    NotAUrl(String),
    /// A scheme other than http and https.
    #[error("the server URL has the scheme `{0}`; only https:// (and http:// for this machine) can be used")]
    Scheme(String),
    /// `http://` to another machine.
    #[error("the server {0} would be reached over unencrypted http://; use https://")]
    Cleartext(String),
    /// `user:password@` inside the URL.
    #[error(
        "the server URL for {0} holds a user name or a password; remove them, `auth login` asks for a login"
    )]
    Credentials(String),
    /// The server that earlier releases had built in (contract section 1, "No default destination").
    #[error(
        "no server is configured: {0} was built into earlier releases and only names old queues; nothing is sent to it"
    )]
    Packaged(String),
    /// `?` or `#` inside the URL.
    #[error("the server URL for {0} has a query or a fragment; write only https://host/path")]
    Extra(String),
}

impl Destination {
    /// Checks `url` and takes it as a base for requests.
    ///
    /// # Errors
    /// See [`DestinationError`].
    pub fn parse(url: &str, cleartext: Cleartext) -> Result<Self, DestinationError> {
        let parsed = Url::parse(contract::scope::trim(url))
            .map_err(|error| DestinationError::NotAUrl(error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(DestinationError::Scheme(parsed.scheme().to_owned()));
        }
        let host =
            HostPort::of(&parsed).ok_or_else(|| DestinationError::NotAUrl("it names no host".to_owned()))?;
        if contract::server_url::is_packaged_default(parsed.as_str()) {
            return Err(DestinationError::Packaged(host.to_string()));
        }
        let loopback = is_loopback(&parsed);
        if parsed.scheme() == "http" && !loopback && cleartext == Cleartext::LoopbackOnly {
            return Err(DestinationError::Cleartext(host.to_string()));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(DestinationError::Credentials(host.to_string()));
        }
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(DestinationError::Extra(host.to_string()));
        }
        let base = parsed.as_str().trim_end_matches('/').to_owned();
        Ok(Self { base, host, loopback })
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
    pub fn host(&self) -> &HostPort {
        &self.host
    }

    /// Whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Where a `Location` header of an answer to `from` leads, when that is the same origin and below
    /// the same scheme, host and port; `Err` holds the host it leads to instead.
    pub(crate) fn same_origin(&self, from: &str, location: &str) -> Result<String, String> {
        let target = Url::parse(from).and_then(|from| from.join(location));
        let target = target.map_err(|_| "an address that is not a URL".to_owned())?;
        let base = Url::parse(&self.base).map_err(|_| "an address that is not a URL".to_owned())?;
        if target.origin() == base.origin() && target.username().is_empty() && target.password().is_none() {
            Ok(target.into())
        } else {
            Err(HostPort::of(&target).map_or_else(|| target.scheme().to_owned(), |host| host.to_string()))
        }
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Destination({})", self.base)
    }
}

/// A host, lower-cased, with its effective port. Shown without the port when it is the scheme's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    name: String,
    port: u16,
    default_port: bool,
}

impl HostPort {
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

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.default_port { f.write_str(&self.name) } else { write!(f, "{}:{}", self.name, self.port) }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => {
            address.is_loopback() || address.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Destination, DestinationError> {
        Destination::parse(url, Cleartext::LoopbackOnly)
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
            assert!(matches!(parse(url), Err(DestinationError::Cleartext(_))), "{url}");
        }
        assert!(Destination::parse("http://intranet", Cleartext::Allowed).is_ok());
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_repeated() {
        let error = parse("https://me:hunter2@example.com").unwrap_err();
        assert!(matches!(error, DestinationError::Credentials(_)));
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn the_packaged_server_is_no_destination_in_any_disguise() {
        for url in [
            "https://spec-kitty-dev.fly.dev",
            "https://SPEC-KITTY-DEV.fly.dev:443/x",
            "http://spec-kitty-dev.fly.dev.",
        ] {
            assert!(matches!(parse(url), Err(DestinationError::Packaged(_))), "{url}");
        }
    }

    #[test]
    fn other_schemes_queries_and_nonsense_are_refused() {
        assert!(matches!(parse("ftp://h"), Err(DestinationError::Scheme(_))));
        assert!(matches!(parse("file:///etc/passwd"), Err(DestinationError::Scheme(_))));
        assert!(matches!(parse("https://h?x=1"), Err(DestinationError::Extra(_))));
        assert!(matches!(parse("example.com"), Err(DestinationError::NotAUrl(_))));
        assert!(matches!(parse(""), Err(DestinationError::NotAUrl(_))));
        assert!(matches!(parse("https://"), Err(DestinationError::NotAUrl(_))));
    }

    #[test]
    fn the_base_keeps_its_path_and_loses_its_slashes() {
        let destination = parse(" https://Example.com/kitty// ").unwrap();
        assert_eq!(destination.url("/api/v1/me"), "https://example.com/kitty/api/v1/me");
        assert_eq!(destination.host().to_string(), "example.com");
    }

    #[test]
    fn a_redirect_stays_at_its_origin() {
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
