//! Client addresses: the origin that limits are counted for, and the trusted proxies.
//!
//! Concurrency limits and guess counters are kept per [`ClientOrigin`]: an IPv4 address, or the /64 of an IPv6 address, because
//! one machine holds a whole /64. The forwarded address of a request counts only when the connection
//! was set by a proxy that the operator named.

use axum::http::HeaderMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// The header in which proxies name the client, the nearest proxy last.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// The header in which a proxy names the scheme of the client.
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Key of the limits for each address: an IPv4 address, or an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientOrigin(IpAddr);

impl ClientOrigin {
    /// An IPv4 address written as IPv6 counts as the IPv4 address.
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            address => address,
        })
    }
}

impl fmt::Display for ClientOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

/// A range of addresses: `10.0.0.0/8`, `::1`, `fd00::/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    bits: u8,
}

/// A text that is not a range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address range, as in 127.0.0.1, 10.0.0.0/8 or fd00::/8")]
pub struct NotCidr;

impl FromStr for Cidr {
    type Err = NotCidr;

    fn from_str(text: &str) -> Result<Self, NotCidr> {
        let (address, bits) = match text.trim().split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| NotCidr)?)),
            None => (text.trim(), None),
        };
        let network: IpAddr = address.parse().map_err(|_| NotCidr)?;
        let most = if network.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most { Err(NotCidr) } else { Ok(Self { network, bits }) }
    }
}

impl Cidr {
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let shared = |left: u128, right: u128, width: u32| {
            // In range if all differing bits are below the prefix.
            (left ^ right).checked_shr(width - u32::from(self.bits)).unwrap_or(0) == 0
        };
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                shared(u128::from(network.to_bits()), u128::from(address.to_bits()), 32)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => shared(network.to_bits(), address.to_bits(), 128),
            _ => false,
        }
    }
}

/// Proxies whose forwarded address is trusted.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<Cidr>);

impl TrustedProxies {
    /// Trusts connections from these ranges.
    pub fn new(ranges: Vec<Cidr>) -> Self {
        Self(ranges)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(address))
    }

    /// The address of the client: the last forwarded one that is not itself a trusted proxy. Addresses
    /// before it were written by machines that are not trusted.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        if !self.contains(peer) {
            return client;
        }
        let values = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
        let named: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
        for text in named.iter().rev() {
            let Some(address) = forwarded_address(text) else { break };
            client = address;
            if !self.contains(address) {
                break;
            }
        }
        client
    }
}

/// Whether the nearest proxy has the request from a client by TLS.
pub(crate) fn is_forwarded_tls(headers: &HeaderMap) -> bool {
    let last = headers.get_all(FORWARDED_PROTO).iter().next_back().and_then(|value| value.to_str().ok());
    let nearest = last.and_then(|value| value.rsplit(',').next());
    nearest.is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"))
}

/// Removes what only a trusted proxy may state about its client.
pub(crate) fn remove_forwarded_scheme(headers: &mut HeaderMap) {
    headers.remove(FORWARDED_PROTO);
}

pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(FORWARDED_FOR)
}

/// An address as proxies write it: plain, in brackets, with a port.
fn forwarded_address(text: &str) -> Option<IpAddr> {
    let plain = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    plain.or_else(with_port).or_else(bracketed).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ipv6_addresses_of_one_network_are_one_origin() {
        let of = |text: &str| ClientOrigin::of(address(text));
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::"), of("2001:db8:1:3::"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_eq!(of("2001:db8:1:2:3::4").to_string(), "2001:db8:1:2::/64");
        assert_eq!(of("10.0.0.1").to_string(), "10.0.0.1");
    }

    #[test]
    fn address_range_contains_its_addresses_only() {
        let cases = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
        ];
        for (range, text, expected) in cases {
            assert_eq!(range.parse::<Cidr>().unwrap().contains(address(text)), expected, "{range} {text}");
        }
        for bad in ["", "x", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "example.org"] {
            assert_eq!(bad.parse::<Cidr>(), Err(NotCidr), "{bad:?}");
        }
    }

    #[test]
    fn forwarded_address_needs_a_named_proxy() {
        let proxies = TrustedProxies::new(vec!["127.0.0.1".parse().unwrap(), "10.0.0.0/8".parse().unwrap()]);
        let cases: [(&str, &[&str], &str); 8] = [
            ("192.0.2.9", &["203.0.113.1"], "192.0.2.9"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("127.0.0.1", &["203.0.113.1"], "203.0.113.1"),
            ("127.0.0.1", &["1.1.1.1, 203.0.113.1"], "203.0.113.1"),
            ("127.0.0.1", &["1.1.1.1, 203.0.113.1, 10.0.0.7"], "203.0.113.1"),
            ("127.0.0.1", &["1.1.1.1", "203.0.113.1:443"], "203.0.113.1"),
            ("127.0.0.1", &["203.0.113.1, unknown"], "127.0.0.1"),
            ("127.0.0.1", &["[2001:db8::1]:80"], "2001:db8::1"),
        ];
        for (peer, values, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(FORWARDED_FOR, value.parse().unwrap());
            }
            assert_eq!(proxies.client(address(peer), &headers), address(expected), "{peer} {values:?}");
        }
    }
}
