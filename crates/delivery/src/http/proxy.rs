//! The proxy of the environment, and the hosts that are reached without it.
//!
//! Variables and forms as curl and Go read them: the lower-case name wins; `NO_PROXY` is a list with
//! commas or spaces of `*`, names (which include their subdomains), `host:port`, addresses and
//! networks (`10.0.0.0/8`).

use super::ClientError;
use identity::Environment;
use std::net::IpAddr;
use url::{Host, Url};

/// The proxy of requests.
#[derive(Clone, Debug, Default)]
pub struct ProxySettings {
    proxy: Option<ureq::Proxy>,
    exceptions: Vec<Exception>,
}

/// One entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exception {
    /// `*`
    Everything,
    /// A name with its subdomains, and the port if one is given.
    Name(String, Option<u16>),
    /// Addresses whose first bits are these, and the port if one is given.
    Network(IpAddr, u8, Option<u16>),
}

impl ProxySettings {
    /// The settings of `environment`, for `https` destinations: no other kind leaves this machine.
    ///
    /// # Errors
    /// When the variable is no proxy address.
    pub fn of(environment: &Environment) -> Result<Self, ClientError> {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|name| {
                let value = environment.text(name)?;
                let value = value.trim().to_owned();
                (!value.is_empty()).then_some((*name, value))
            })
        };
        let proxy = match first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]) {
            None => None,
            Some((variable, address)) => {
                Some(ureq::Proxy::new(&address).map_err(|_| ClientError::Proxy { variable })?)
            }
        };
        let list = first(&["no_proxy", "NO_PROXY"]).map(|(_, list)| list).unwrap_or_default();
        Ok(Self { proxy, exceptions: parse_exceptions(&list) })
    }

    /// The proxy of requests to `url`.
    pub(super) fn for_url(&self, url: &str) -> Option<ureq::Proxy> {
        let proxy = self.proxy.as_ref()?;
        let url = Url::parse(url).ok()?;
        let port = url.port_or_known_default().unwrap_or_default();
        let direct = self.exceptions.iter().any(|exception| exception.covers(&url.host(), port));
        (!direct).then(|| proxy.clone())
    }
}

fn parse_exceptions(list: &str) -> Vec<Exception> {
    let entries = list.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty());
    entries.filter_map(Exception::parse).collect()
}

impl Exception {
    /// Nothing for an entry that can cover no host.
    fn parse(entry: &str) -> Option<Self> {
        if entry == "*" {
            return Some(Self::Everything);
        }
        if let Some((address, bits)) = entry.split_once('/') {
            let address: IpAddr = bare(address).parse().ok()?;
            let bits = bits.parse().ok().filter(|bits| *bits <= width(address))?;
            return Some(Self::Network(address, bits, None));
        }
        if let Ok(address) = bare(entry).parse::<IpAddr>() {
            return Some(Self::Network(address, width(address), None));
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (entry, None),
        };
        if let Ok(address) = bare(host).parse::<IpAddr>() {
            return Some(Self::Network(address, width(address), port));
        }
        let name = host.strip_prefix('*').unwrap_or(host).trim_matches('.').to_lowercase();
        (!name.is_empty()).then_some(Self::Name(name, port))
    }

    fn covers(&self, host: &Option<Host<&str>>, port: u16) -> bool {
        let right_port = |wanted: &Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        match (self, host) {
            (Self::Everything, _) => true,
            (Self::Name(name, wanted), Some(Host::Domain(host))) => {
                let host = host.trim_end_matches('.').to_lowercase();
                let within = host
                    .strip_suffix(name.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                within && right_port(wanted)
            }
            (Self::Network(network, bits, wanted), Some(Host::Ipv4(host))) => {
                contains(*network, *bits, IpAddr::V4(*host)) && right_port(wanted)
            }
            (Self::Network(network, bits, wanted), Some(Host::Ipv6(host))) => {
                contains(*network, *bits, IpAddr::V6(*host)) && right_port(wanted)
            }
            _ => false,
        }
    }
}

fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Whether the first `bits` bits of both addresses are equal.
fn contains(network: IpAddr, bits: u8, host: IpAddr) -> bool {
    let octets = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let (network, host) = (octets(network), octets(host));
    let bit = |octets: &[u8], index: usize| octets[index / 8] >> (7 - index % 8) & 1;
    network.len() == host.len()
        && (0..usize::from(bits)).all(|index| bit(&network, index) == bit(&host, index))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the proxy is asked for `server`.
    fn asked(no_proxy: &str, server: &str) -> bool {
        let pairs = [("HTTPS_PROXY", "http://proxy.example:3128"), ("NO_PROXY", no_proxy)];
        let settings = ProxySettings::of(&Environment::from_pairs(pairs)).expect("settings");
        settings.for_url(server).is_some()
    }

    /// Issue 8, item 23; case no-proxy-shapes.
    #[test]
    fn no_proxy_forms_are_those_of_curl() {
        let server = "https://sync.example.org";
        for (no_proxy, proxy_asked) in [
            ("", true),
            ("sync.example.org", false),
            (".example.org", false),
            ("*.example.org", false),
            ("example.org", false),
            ("localhost, sync.example.org", false),
            ("localhost sync.example.org", false),
            ("localhost,,sync.example.org,", false),
            ("sync.example.org:443", false),
            ("sync.example.org:8443", true),
            ("sync.example.org:x", true),
            ("*", false),
            ("other.org, *", false),
            ("other.org", true),
            ("ync.example.org", true),
            ("org.", false),
            ("SYNC.EXAMPLE.ORG", false),
            ("10.0.0.0/8", true),
        ] {
            assert_eq!(asked(no_proxy, server), proxy_asked, "{no_proxy:?}");
        }
        for (no_proxy, server, proxy_asked) in [
            ("10.0.0.0/8", "https://10.1.2.3", false),
            ("10.0.0.0/8", "https://11.1.2.3", true),
            ("0.0.0.0/0", "https://11.1.2.3", false),
            ("10.1.2.3", "https://10.1.2.3:8443", false),
            ("10.1.2.3:443", "https://10.1.2.3:8443", true),
            ("10.1.2.3/33", "https://10.1.2.3", true),
            ("2001:db8::/32", "https://[2001:db8::1]", false),
            ("[2001:db8::1]:443", "https://[2001:db8::1]", false),
            ("2001:db8::1", "https://[2001:db8::2]", true),
        ] {
            assert_eq!(asked(no_proxy, server), proxy_asked, "{no_proxy:?} {server}");
        }
    }

    #[test]
    #[ignore = "needs the recorded data"]
    fn published_cases_give_the_stated_result() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the root");
        let text = std::fs::read_to_string(root.join("../shared/cases/no-proxy-shapes/cases.json"));
        let text = text.expect("the recorded cases");
        let cases: Vec<serde_json::Value> = serde_json::from_str(&text).expect("cases");
        assert!(!cases.is_empty());
        for case in cases {
            let text = |key: &str| case[key].as_str().expect("text").to_owned();
            let right = case["proxy_asked"].as_bool().expect("a boolean");
            assert_eq!(asked(&text("NO_PROXY"), &text("server")), right, "{case}");
        }
    }

    #[test]
    fn lower_case_wins_and_a_wrong_proxy_is_named() {
        let of = |pairs: &[(&str, &str)]| ProxySettings::of(&Environment::from_pairs(pairs.iter().copied()));
        let host =
            |settings: &ProxySettings| settings.for_url("https://h").map(|proxy| proxy.host().to_owned());
        if !cfg!(windows) {
            let both =
                of(&[("https_proxy", "http://low:1"), ("HTTPS_PROXY", "http://up:1")]).expect("settings");
            assert_eq!(host(&both).as_deref(), Some("low"));
        }
        let all = of(&[("HTTPS_PROXY", ""), ("ALL_PROXY", "proxy.example:3128")]).expect("settings");
        assert_eq!(host(&all).as_deref(), Some("proxy.example"));
        assert!(of(&[("HTTP_PROXY", "http://plain:1")]).expect("settings").proxy.is_none());
        let wrong = of(&[("HTTPS_PROXY", "ftp://me:hunter2@h")]).expect_err("no proxy");
        assert!(
            wrong.to_string().contains("HTTPS_PROXY") && !wrong.to_string().contains("hunter2"),
            "{wrong}"
        );
    }
}
