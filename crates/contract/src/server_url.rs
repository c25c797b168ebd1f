//! Server URLs: validity, comparison and display.
//!
//! [`ServerUrl::parse`] is the only parser: configuration, login, CI token environment, gate and sender
//! use it (contract section 1, "Server URL"). Comparison and display also take invalid server URLs, which
//! files of other programs may contain.

use crate::remedy::Remedy;
use crate::scope::trim;
use crate::text::printable;
use std::borrow::Cow;
use std::fmt;
use url::{Host, Url};

/// The address of a sync server that requests can be sent to.
///
/// Invariants: scheme `https`, or `http` to this machine; a host; an optional port and path prefix; no
/// user name, password, query, fragment or quotes.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    normal: String,
    url: Url,
}

/// Reason why a text is not a valid server URL. The message never repeats the text, which could contain a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerUrlError {
    /// Nothing but white space.
    #[error("is empty")]
    Empty,
    /// A quotation mark or backslash.
    #[error("contains quotes or a backslash")]
    Quotes,
    /// White space or a character that does not show.
    #[error("contains white space or an invisible character")]
    Invisible,
    /// No `https://`.
    #[error("has no scheme")]
    NoScheme,
    /// A scheme followed by something else than two slashes.
    #[error("does not have exactly two slashes after its scheme")]
    Slashes,
    /// A scheme other than `https` and `http`.
    #[error("has another scheme than https")]
    Scheme,
    /// A user name or password.
    #[error("carries a user name or password")]
    Credentials,
    /// A query.
    #[error("has a query")]
    Query,
    /// A fragment.
    #[error("has a fragment")]
    Fragment,
    /// `http://` to another machine.
    #[error("is not encrypted: http is only for this machine")]
    Cleartext,
    /// No host, or one that cannot exist.
    #[error("has no valid host and port")]
    Host,
}

impl ServerUrl {
    /// Parses `text`; white space around it does not count.
    ///
    /// # Errors
    /// Describes its fault.
    pub fn parse(text: &str) -> Result<Self, ServerUrlError> {
        let text = trim(text);
        if text.is_empty() {
            return Err(ServerUrlError::Empty);
        }
        if text.contains(['"', '\'', '`', '\\', '\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}']) {
            return Err(ServerUrlError::Quotes);
        }
        if text.contains(char::is_whitespace) || matches!(printable(text), Cow::Owned(_)) {
            return Err(ServerUrlError::Invisible);
        }
        let (scheme, rest) = split_scheme(text)?;
        let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(authority_end);
        if authority.contains('@') {
            return Err(ServerUrlError::Credentials);
        }
        if path.contains('#') {
            return Err(ServerUrlError::Fragment);
        }
        if path.contains('?') {
            return Err(ServerUrlError::Query);
        }
        let url = Url::parse(&format!("{scheme}://{rest}")).map_err(|_| ServerUrlError::Host)?;
        let named = url.host_str().is_some_and(|host| !host.trim_end_matches('.').is_empty());
        if authority.is_empty() || authority.ends_with(':') || !named || url.port() == Some(0) {
            return Err(ServerUrlError::Host);
        }
        if scheme == "http" && !is_loopback(&url) {
            return Err(ServerUrlError::Cleartext);
        }
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = host_of_authority(authority).to_lowercase();
        let normal = format!("{scheme}://{host}{port}{}", path.trim_end_matches('/'));
        Ok(Self { normal, url })
    }

    /// The form that this program stores: scheme and host in lower case, no default port, no trailing
    /// slash; the path as written.
    pub fn normal(&self) -> &str {
        &self.normal
    }

    /// The parsed URL, for requests.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }

    /// Whether this is the server that earlier releases had built in.
    pub fn is_packaged_default(&self) -> bool {
        is_packaged_default(&self.normal)
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.normal)
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({})", self.normal)
    }
}

/// The scheme in lower case, and what follows `://`.
fn split_scheme(text: &str) -> Result<(String, &str), ServerUrlError> {
    let Some((scheme, rest)) = text.split_once("://") else {
        let known = text.split_once(':').is_some_and(|(scheme, _)| {
            scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")
        });
        return Err(if known { ServerUrlError::Slashes } else { ServerUrlError::NoScheme });
    };
    let scheme = scheme.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "https" | "http") {
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        return Err(if is_scheme { ServerUrlError::Scheme } else { ServerUrlError::NoScheme });
    }
    if rest.starts_with('/') {
        return Err(ServerUrlError::Slashes);
    }
    Ok((scheme, rest))
}

/// The host of `host:port`; an IPv6 address keeps its brackets.
fn host_of_authority(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
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

/// The error text of an invalid server URL: `subject` names the variable or setting; the value is escaped
/// and shown without any password.
pub fn describe_invalid(subject: &str, value: &str, error: ServerUrlError) -> String {
    format!("{subject} {:?} {error}; write it as https://host", shown_invalid(value))
}

/// Advice where `place` decides the server URL and a login does not change it.
pub fn correct_by_hand(place: &str) -> Remedy {
    Remedy::Advice(format!("set {place} to the address of your server, such as https://host"))
}

/// `text`, an invalid server URL, without the parts that could be secret.
fn shown_invalid(text: &str) -> String {
    let (scheme, rest) = match text.find("://") {
        Some(at) => text.split_at(at + 3),
        None => ("", text),
    };
    let (masked, rest) = match rest.rfind('@') {
        Some(at) => ("***", &rest[at..]),
        None => ("", rest),
    };
    let end = rest.find(['?', '#']).map_or(rest.len(), |at| at + 1);
    let hidden = if end < rest.len() { "***" } else { "" };
    format!("{scheme}{masked}{}{hidden}", &rest[..end])
}

/// The form of `url` that comparisons use. Not for display and not for requests.
pub fn canonical(url: &str) -> String {
    let url = trim(url).trim_end_matches('/');
    let authority_end = match url.find("://") {
        Some(start) => url[start + 3..].find('/').map_or(url.len(), |slash| start + 3 + slash),
        None => 0,
    };
    let (authority, path) = url.split_at(authority_end);
    // Case matters in the user-info part, which no server URL of ours has.
    format!("{}{path}", authority.to_lowercase())
}

/// The server that the reference had built in. It only names old scopes; nothing is ever sent to it
/// (contract section 1, "No default destination").
pub const PACKAGED_DEFAULT: &str = "https://spec-kitty-dev.fly.dev";

/// Whether `url` has the host of the server that the reference had built in, with any scheme, port or path.
pub fn is_packaged_default(url: &str) -> bool {
    host(&canonical(url)) == host(PACKAGED_DEFAULT)
}

/// The host name of a canonical URL, without user, port, path and the final dot of a full name.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.split(':').next().unwrap_or(host).trim_end_matches('.')
}

/// Whether two URLs name the same server.
pub fn same(left: &str, right: &str) -> bool {
    canonical(left) == canonical(right)
}

/// `text` (a URL, or a scope, which begins with one) as it may be shown: without the user name,
/// password, query and fragment that a URL may carry. Such URLs are never valid, and files may hold them.
pub fn shown(text: &str) -> Cow<'_, str> {
    // A scope is `server|principal|team`, and a password may have a bar.
    let end = text.rmatch_indices('|').nth(1).map_or(text.len(), |(at, _)| at);
    let (server, rest) = text.split_at(end);
    match ServerUrl::parse(server) {
        Err(_) if server.contains(['@', '?', '#']) => format!("{}{rest}", shown_invalid(server)).into(),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_urls_have_one_normal_form() {
        for (text, normal) in [
            ("https://sync.example.org", "https://sync.example.org"),
            (" https://sync.example.org\n", "https://sync.example.org"),
            ("HTTPS://SYNC.Example.ORG/Api/", "https://sync.example.org/Api"),
            ("https://sync.example.org:443", "https://sync.example.org"),
            ("https://sync.example.org:0443/", "https://sync.example.org"),
            ("https://sync.example.org:8443//", "https://sync.example.org:8443"),
            ("http://localhost:80/kitty", "http://localhost/kitty"),
            ("http://127.0.0.1:8470", "http://127.0.0.1:8470"),
            ("http://[::1]:8470", "http://[::1]:8470"),
            ("https://[2001:DB8::1]", "https://[2001:db8::1]"),
            ("https://b\u{fc}cher.example", "https://b\u{fc}cher.example"),
        ] {
            let url = ServerUrl::parse(text).unwrap_or_else(|error| panic!("{text:?} {error}"));
            assert_eq!(url.normal(), normal, "{text:?}");
            assert_eq!(ServerUrl::parse(url.normal()).map(|again| again.normal), Ok(normal.to_owned()));
        }
    }

    #[test]
    fn every_invalid_shape_is_named() {
        use ServerUrlError as E;
        for (text, error) in [
            ("", E::Empty),
            (" \n", E::Empty),
            ("127.0.0.1:8470", E::NoScheme),
            ("sync.example.org", E::NoScheme),
            ("production", E::NoScheme),
            ("//sync.example.org", E::NoScheme),
            ("https:/sync.example.org", E::Slashes),
            ("https:sync.example.org", E::Slashes),
            ("https:///sync.example.org", E::Slashes),
            ("\"https://sync.example.org\"", E::Quotes),
            ("'https://sync.example.org'", E::Quotes),
            ("https:\\\\sync.example.org", E::Quotes),
            ("https://sync.exa mple.org", E::Invisible),
            ("https://sync.example.org\u{200b}", E::Invisible),
            ("https://a\nb", E::Invisible),
            ("ftp://sync.example.org", E::Scheme),
            ("file:///etc/passwd", E::Scheme),
            ("http://sync.example.org", E::Cleartext),
            ("http://10.0.0.1", E::Cleartext),
            ("http://localhost.example.com", E::Cleartext),
            ("https://sync.example.org/?x=1", E::Query),
            ("https://sync.example.org?", E::Query),
            ("https://sync.example.org/#a", E::Fragment),
            ("https://sync.example.org/#a?b", E::Fragment),
            ("https://dev:hunter2@sync.example.org", E::Credentials),
            ("https://@sync.example.org", E::Credentials),
            ("https://", E::Host),
            ("https://.", E::Host),
            ("https://:443", E::Host),
            ("https://sync.example.org:0", E::Host),
            ("https://sync.example.org:", E::Host),
            ("https://sync.example.org:99999", E::Host),
            ("https://sync.example.org:abc", E::Host),
            ("https://999.1.1.1", E::Host),
        ] {
            assert_eq!(ServerUrl::parse(text).map(|url| url.normal), Err(error), "{text:?}");
        }
    }

    #[test]
    fn invalid_value_is_shown_escaped_and_without_secrets() {
        for (value, expected) in [
            ("production", "X \"production\" has no scheme; write it as https://host"),
            (
                "a\u{1b}[2J",
                "X \"a\\u{1b}[2J\" contains white space or an invisible character; write it as https://host",
            ),
        ] {
            let error = ServerUrl::parse(value).expect_err("invalid");
            assert_eq!(describe_invalid("X", value, error), expected);
        }
        for value in [
            "https://me:hunter2@h",
            "me:hunter2@h",
            "https://me:/hunter2@h",
            "https://h/?t=hunter2",
            "https://h#hunter2",
        ] {
            let error = ServerUrl::parse(value).expect_err("invalid");
            assert!(!describe_invalid("X", value, error).contains("hunter2"), "{value}");
            assert!(!shown(value).contains("hunter2"), "{value}");
        }
    }

    #[test]
    fn packaged_server_is_recognised_in_every_spelling() {
        for url in [
            PACKAGED_DEFAULT,
            " HTTPS://Spec-Kitty-Dev.fly.dev/ ",
            "http://spec-kitty-dev.fly.dev:8080/api",
            "https://user:pw@spec-kitty-dev.fly.dev.:443",
            "spec-kitty-dev.fly.dev",
        ] {
            assert!(is_packaged_default(url), "{url}");
        }
        for url in ["https://example.invalid", "https://example.invalid/spec-kitty-dev.fly.dev", ""] {
            assert!(!is_packaged_default(url), "{url}");
        }
    }

    #[test]
    fn case_and_trailing_slashes_do_not_matter_but_the_path_does() {
        assert!(same("HTTPS://Example.INVALID/", "https://example.invalid"));
        assert!(same("https://h/Api//", "https://H/Api"));
        assert!(!same("https://h/Api", "https://h/api"));
        assert!(!same("https://h", "https://h:443"));
        assert!(!same("https://h", "http://h"));
    }

    #[test]
    fn password_is_not_shown_and_everything_else_is() {
        assert_eq!(shown("https://dev:hunter2@h.invalid:1/x@y"), "https://***@y");
        assert_eq!(shown("https://a:b|hunter2@h|dev@example.com|t"), "https://***@h|dev@example.com|t");
        assert_eq!(
            shown("https://dev:pass/w@h.invalid|dev@example.com|t"),
            "https://***@h.invalid|dev@example.com|t"
        );
        assert_eq!(shown("dev:hunter2@h.invalid|dev@example.com|t"), "***@h.invalid|dev@example.com|t");
        assert_eq!(shown("https://h.invalid?token=x|u|t"), "https://h.invalid?***|u|t");
        for plain in ["https://h.invalid|dev@example.com|t", "https://h/@x", "|dev@example.com|t", ""] {
            assert_eq!(shown(plain), plain);
        }
    }
}
