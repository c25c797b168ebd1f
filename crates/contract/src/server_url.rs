//! How two server URLs are compared: without trailing slashes, scheme and host case-insensitive,
//! the path as written; and how one is shown: without a password.

use crate::scope::trim;
use std::borrow::Cow;

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

/// Whether `url` leads to the server that the reference had built in, by any scheme, port or path.
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

/// `text` (a URL, or a scope, which begins with one) as it may be shown: without the user name and
/// password that a URL may carry. Files of other programs hold such URLs; ours never do.
pub fn shown(text: &str) -> Cow<'_, str> {
    let Some(start) = text.find("://").map(|scheme| scheme + 3) else { return text.into() };
    let authority = text[start..].split(['/', '?', '#', '|']).next().unwrap_or_default();
    match authority.rfind('@') {
        Some(end) => format!("{}***{}", &text[..start], &text[start + end..]).into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packaged_server_is_known_in_every_disguise() {
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
    fn a_password_is_not_shown_and_everything_else_is() {
        assert_eq!(shown("https://dev:hunter2@h.invalid:1/x@y"), "https://***@h.invalid:1/x@y");
        assert_eq!(shown("https://hunter2@h|dev@example.com|t"), "https://***@h|dev@example.com|t");
        for plain in ["https://h.invalid|dev@example.com|t", "https://h/@x", "dev@example.com", ""] {
            assert_eq!(shown(plain), plain);
        }
    }
}
