//! How two server URLs are compared: without trailing slashes, scheme and host case-insensitive,
//! the path as written.

use crate::scope::trim;

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

/// Whether two URLs name the same server.
pub fn same(left: &str, right: &str) -> bool {
    canonical(left) == canonical(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_trailing_slashes_do_not_matter_but_the_path_does() {
        assert!(same("HTTPS://Example.INVALID/", "https://example.invalid"));
        assert!(same("https://h/Api//", "https://H/Api"));
        assert!(!same("https://h/Api", "https://h/api"));
        assert!(!same("https://h", "https://h:443"));
        assert!(!same("https://h", "http://h"));
    }
}
