//! Destination of a login's requests (contract sections 1 "no default destination" and 9 "token").
//!
//! Pure: resolves no name and sends nothing.

use crate::config::Config;
use crate::login::Login;
use contract::Remedy;
use contract::server_url::{self, ServerUrl};
use url::Url;

/// Destination of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// This base URL, without trailing slash.
    Ready {
        /// The URL.
        url: String,
    },
    /// No server is configured (`SYNC_SERVER_UNSET`).
    ServerUnset,
    /// Refused: the token was issued by another host, or by an unrecorded one (`SYNC_TOKEN_HOST`).
    TokenHost {
        /// The configured server.
        url: String,
        /// The issuer of the token, if known.
        issuer: Option<String>,
    },
}

impl Destination {
    /// Reason why nothing can be sent, naming both servers; none where requests can be sent.
    pub fn problem(&self) -> Option<String> {
        match self {
            Self::Ready { .. } => None,
            Self::ServerUnset => Some("no server is configured: nothing can be sent".to_owned()),
            Self::TokenHost { url, issuer } => {
                let issuer = issuer.as_deref().map(server_url::shown);
                let issuer = issuer.unwrap_or_else(|| "an unknown host".into());
                Some(format!("the token was issued by {issuer} and is not sent to {url}"))
            }
        }
    }

    /// The way back to the server that issued the token, where another one is configured: it may be the address that
    /// is wrong, and not the login.
    pub fn way_back(&self) -> Option<Remedy> {
        let Self::TokenHost { issuer: Some(issuer), .. } = self else { return None };
        let issuer = ServerUrl::parse(issuer).ok().filter(|issuer| !issuer.is_packaged_default())?;
        Some(Remedy::SetServer { server: issuer.normal().to_owned() })
    }
}

/// The destination of the requests of `login`: the configured server, if its host and port issued the token
/// or `sync.token_host` names them. A `token_host` without a port means every port.
pub fn judge_destination(login: &Login, config: &Config) -> Destination {
    let Some(url) = login.destination.clone() else { return Destination::ServerUnset };
    let issuer = login.issuer.clone();
    let server = HostPort::of_url(&url);
    let issued_there = server.is_some() && server == issuer.as_deref().and_then(HostPort::of_url);
    let named =
        server.zip(config.token_host.as_deref()).is_some_and(|(server, setting)| server.is_named_by(setting));
    if issued_there || named { Destination::Ready { url } } else { Destination::TokenHost { url, issuer } }
}

/// Host, lower-cased, and port that a token belongs to.
#[derive(PartialEq, Eq)]
struct HostPort {
    name: String,
    port: u16,
}

impl HostPort {
    fn of_url(url: &str) -> Option<Self> {
        let url = Url::parse(contract::scope::trim(url)).ok()?;
        Some(Self { name: host_name(url.host_str()?), port: url.port_or_known_default()? })
    }

    /// Whether `setting` (a URL, `host:port` or `host`) names this host.
    fn is_named_by(&self, setting: &str) -> bool {
        let setting = contract::scope::trim(setting);
        if setting.contains("://") {
            return Self::of_url(setting).as_ref() == Some(self);
        }
        match setting.rsplit_once(':') {
            // Not the colons inside an IPv6 address.
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
                host_name(name) == self.name && port.parse() == Ok(self.port)
            }
            _ => host_name(setting) == self.name,
        }
    }
}

fn host_name(name: &str) -> String {
    name.trim_end_matches('.').to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use crate::home::Home;

    /// The judgement for a token of `issuer`, a configured `server` and a `token_host`.
    fn judge(issuer: Option<&str>, server: &str, token_host: Option<&str>) -> Destination {
        let directory = tempfile::tempdir().expect("a directory");
        let environment = Environment::from_pairs([("SPEC_KITTY_HOME", directory.path())]);
        let home = Home::resolve(&environment).expect("a home");
        let mut config = Config::default();
        config.server_url = Some(server.to_owned());
        config.token_host = token_host.map(str::to_owned);
        let mut login = crate::login::read_login(&home, &config, &environment);
        login.issuer = issuer.map(str::to_owned);
        judge_destination(&login, &config)
    }

    fn ready(issuer: Option<&str>, server: &str, token_host: Option<&str>) -> bool {
        matches!(judge(issuer, server, token_host), Destination::Ready { .. })
    }

    #[test]
    fn token_is_sent_to_its_issuer() {
        for issuer in ["https://h.invalid", " HTTPS://H.invalid./auth/ ", "https://h.invalid:443"] {
            assert!(ready(Some(issuer), "https://h.invalid/", None), "{issuer}");
        }
    }

    #[test]
    fn other_host_port_scheme_or_no_login_is_refused() {
        for issuer in [
            Some("https://other.invalid"),
            Some("https://h.invalid:8443"),
            Some("http://h.invalid"),
            Some("https://h.invalid.evil.invalid"),
            Some("https://evil.invalid/h.invalid"),
            Some("https://h.invalid@evil.invalid"),
            Some("nonsense"),
            None,
        ] {
            let found = judge(issuer, "https://h.invalid", None);
            let expected = Destination::TokenHost {
                url: "https://h.invalid".to_owned(),
                issuer: issuer.map(str::to_owned),
            };
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn setting_names_a_host_a_port_or_a_url() {
        for (server, setting, named) in [
            ("https://h.invalid", "H.invalid.", true),
            ("https://h.invalid:8443", "h.invalid", true),
            ("https://h.invalid:8443", "h.invalid:8443", true),
            ("https://h.invalid:8443", "h.invalid:443", false),
            ("https://h.invalid", "https://h.invalid/", true),
            ("https://h.invalid", "http://h.invalid", false),
            ("http://[::1]:8470", "[::1]", true),
            ("http://[::1]:8470", "[::1]:8470", true),
            ("http://[::1]:8470", "[::1]:1", false),
            ("https://h.invalid", "", false),
            ("https://h.invalid", "invalid", false),
        ] {
            assert_eq!(ready(None, server, Some(setting)), named, "{server} by {setting}");
        }
    }

    #[test]
    fn without_a_server_there_is_nowhere_to_go() {
        for server in ["", "https://spec-kitty-dev.fly.dev"] {
            assert_eq!(judge(Some(server), server, Some("spec-kitty-dev.fly.dev")), Destination::ServerUnset);
        }
    }

    #[test]
    fn server_that_is_no_url_gets_no_token() {
        assert!(!ready(Some("h.invalid"), "h.invalid", Some("h.invalid")));
    }
}
