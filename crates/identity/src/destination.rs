//! Where requests of a login may go (contract sections 1 "no default destination" and 9 "token").
//!
//! Pure: judges what was read; sends nothing.

use crate::config::Config;
use crate::login::Login;
use url::Url;

/// Where requests may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To this base URL, without trailing slash.
    Ready {
        /// The URL.
        url: String,
    },
    /// Nowhere: no server is configured (`SYNC_SERVER_UNSET`).
    ServerUnset,
    /// Not there: the token was issued by another host, or by one nobody recorded (`SYNC_TOKEN_HOST`).
    TokenHost {
        /// The configured server.
        url: String,
        /// Who issued the token, when known.
        issuer: Option<String>,
    },
}

/// Judges where requests of `login` may go: to the configured server, if its host issued the token or
/// `sync.token_host` names it.
pub fn judge_destination(login: &Login, config: &Config) -> Destination {
    let Some(url) = login.destination.clone() else { return Destination::ServerUnset };
    let Some(host) = host(&url) else { return Destination::TokenHost { url, issuer: login.issuer.clone() } };
    let issued_there = login.issuer.as_deref().and_then(self::host).is_some_and(|issuer| issuer == host);
    let named = config.token_host.as_deref().map(|named| named.trim().to_lowercase());
    // A name without a port stands for every port of that host.
    let named = named.is_some_and(|named| named == host || host.split(':').next() == Some(named.as_str()));
    if issued_there || named {
        Destination::Ready { url }
    } else {
        Destination::TokenHost { url, issuer: login.issuer.clone() }
    }
}

/// `host:port` of a URL, lower-cased, with the scheme's port when it names none.
fn host(url: &str) -> Option<String> {
    let url = Url::parse(contract::scope::trim(url)).ok()?;
    Some(format!("{}:{}", url.host_str()?.to_lowercase(), url.port_or_known_default()?))
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn the_port_belongs_to_the_host() {
        assert_eq!(host("https://Example.INVALID/api").as_deref(), Some("example.invalid:443"));
        assert_eq!(host("http://127.0.0.1:8470").as_deref(), Some("127.0.0.1:8470"));
        assert_eq!(host("nonsense"), None);
    }
}
