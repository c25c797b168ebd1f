//! The slug of a repository and of its project, from a remote URL.

/// `owner/repo` (or deeper) of a remote URL, case kept; none for local paths and for anything with
/// fewer than two parts. Shared with every earlier release; pinned by vectors.
pub fn repo_slug(url: &str) -> Option<String> {
    let url = contract::scope::trim(url);
    if url.starts_with("file:") || ["/", "./", "../"].iter().any(|local| url.starts_with(local)) {
        return None;
    }
    let path = url_path(url).or_else(|| scp_path(url))?;
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    (parts.len() >= 2).then(|| parts.join("/"))
}

/// The path of `scheme://host/path`, without query and fragment.
fn url_path(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    (valid && !host.is_empty()).then_some(path)
}

/// The path of `[user@]host:path`.
fn scp_path(url: &str) -> Option<&str> {
    let (host, path) = url.split_once(':')?;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let plain = !host.is_empty() && !host.contains(['/', '\\']) && !host.contains(char::is_whitespace);
    (plain && !path.starts_with("//")).then_some(path)
}

/// The project slug of a remote URL: its last part, lower-case, blanks and underscores as hyphens.
/// Empty when the URL names nothing.
///
/// Unlike in the reference a trailing slash does not hide the name.
pub fn project_slug(url: &str) -> String {
    let url = contract::scope::trim(url).trim_end_matches('/');
    let url = url.strip_suffix(".git").unwrap_or(url);
    let path = if url.contains('@') { url.rsplit_once(':').map_or(url, |(_, path)| path) } else { url };
    slug(path.rsplit('/').next().unwrap_or(path))
}

/// `name` as a slug: lower-case, blanks and underscores as hyphens.
pub fn slug(name: &str) -> String {
    name.to_lowercase().replace(['_', ' '], "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_keep_their_case_and_need_two_parts() {
        for (url, slug) in [
            ("git@github.com:A/B_c.git", Some("A/B_c")),
            ("ssh://git@host:2222/a/x.git", Some("a/x")),
            ("https://user:token@host/a//b.git/", Some("a/b")),
            ("git@gitlab.com:org/team/repo.git", Some("org/team/repo")),
            ("https://host/only", None),
            ("/srv/a/b", None),
            ("file:///srv/a/b", None),
            ("host/a/b", None),
            ("", None),
        ] {
            assert_eq!(repo_slug(url).as_deref(), slug, "{url}");
        }
    }

    #[test]
    fn project_slugs_are_lower_case_words() {
        for (url, slug) in [
            ("git@github.com:acme/Widget_Shop.git", "widget-shop"),
            ("https://host/acme/My Repo.git", "my-repo"),
            ("https://host/acme/repo/", "repo"),
            ("https://user@host:443/a/b.git", "b"),
            ("git@host:repo", "repo"),
            ("/", ""),
        ] {
            assert_eq!(project_slug(url), slug, "{url}");
        }
    }
}
