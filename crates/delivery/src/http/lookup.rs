//! Name lookup of a URL's host.
//!
//! An address needs no lookup, and no thread for it. The library starts a thread for every request with a deadline,
//! also where a connection is open.

use std::net::{IpAddr, SocketAddr};
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Resolver that parses literal addresses and looks up names through the system.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    system: DefaultResolver,
}

impl Resolver for Lookup {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        match address(uri) {
            Some(address) => {
                let mut found = self.empty();
                found.push(address);
                Ok(found)
            }
            None => self.system.resolve(uri, config, timeout),
        }
    }
}

/// The address that `uri` names literally.
fn address(uri: &Uri) -> Option<SocketAddr> {
    let host = uri.host()?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let address: IpAddr = bare.parse().ok()?;
    let port = uri.port_u16().or_else(|| match uri.scheme_str()? {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    })?;
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_its_own_answer_and_a_name_is_none() {
        let of = |uri: &str| address(&uri.parse().expect("a URI")).map(|address| address.to_string());
        assert_eq!(of("http://127.0.0.1:8470/x").as_deref(), Some("127.0.0.1:8470"));
        assert_eq!(of("https://192.0.2.7/x").as_deref(), Some("192.0.2.7:443"));
        assert_eq!(of("http://[::1]:81/").as_deref(), Some("[::1]:81"));
        assert_eq!(of("http://localhost:8470/"), None);
        assert_eq!(of("https://sync.example.org/"), None);
        assert_eq!(of("/no/host"), None);
    }
}
