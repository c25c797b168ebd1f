//! Names of missions: the human slug, the directory name, and the ways to point at one.
//!
//! Pure. A mission's directory name is `<human slug>-<mid8>` for missions with an identity, where
//! mid8 is the first eight characters of the mission's ULID; older ones are `NNN-<human slug>`.

/// Whether `text` is kebab-case: words of `a-z0-9` joined by single hyphens.
pub fn is_kebab(text: &str) -> bool {
    text.split('-')
        .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

/// Whether `text` is a 26-character ULID in upper-case Crockford base 32.
pub(crate) fn is_ulid(text: &str) -> bool {
    text.len() == 26 && text.bytes().all(is_crockford)
}

fn is_crockford(byte: u8) -> bool {
    byte.is_ascii_digit() || (byte.is_ascii_uppercase() && !matches!(byte, b'I' | b'L' | b'O' | b'U'))
}

/// `text` without a leading `NNN-` of exactly three digits.
pub(crate) fn without_number(text: &str) -> &str {
    match text.as_bytes() {
        [a, b, c, b'-', _, ..] if [a, b, c].into_iter().all(u8::is_ascii_digit) => &text[4..],
        _ => text,
    }
}

/// The directory name of a new mission.
pub(crate) fn directory_name(human: &str, mission_id: &str) -> String {
    format!("{}-{}", without_number(human), mid8(mission_id))
}

/// The first eight characters of a mission id.
pub fn mid8(mission_id: &str) -> &str {
    mission_id.get(..8).unwrap_or(mission_id)
}

/// A mission's directory name without the identity at its end or the number at its front: the part
/// a person chose.
pub fn human(mission_slug: &str) -> &str {
    let without_id = mission_slug
        .rsplit_once('-')
        .filter(|(front, tail)| !front.is_empty() && tail.len() == 8 && tail.bytes().all(is_crockford))
        .filter(|(_, tail)| tail.bytes().any(|b| b.is_ascii_uppercase()) || tail.starts_with('0'))
        .map_or(mission_slug, |(front, _)| front);
    without_number(without_id)
}

/// The decimal digits a mission's directory name begins with, without leading zeros; empty when
/// there are none.
pub fn leading_number(mission_slug: &str) -> String {
    let digits: String = mission_slug.chars().take_while(char::is_ascii_digit).collect();
    let is_number = !digits.is_empty() && mission_slug[digits.len()..].starts_with('-');
    if !is_number {
        return String::new();
    }
    let trimmed = digits.trim_start_matches('0');
    if trimmed.is_empty() { "0".into() } else { trimmed.into() }
}

/// Whether `text` can be a directory name below `kitty-specs/`: one plain component.
pub(crate) fn is_plain_component(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 200
        && !text.starts_with('.')
        && !text
            .chars()
            .any(|c| c.is_control() || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kebab_case_is_words_of_lower_case_letters_and_digits() {
        for good in ["a", "user-auth", "068-feature", "fix-bug-123"] {
            assert!(is_kebab(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a--b", "A", "a_b", "ä", "a b", "a/b"] {
            assert!(!is_kebab(bad), "{bad}");
        }
    }

    #[test]
    fn names_lose_their_number_and_their_identity() {
        assert_eq!(directory_name("042-user-auth", "01KRX11MABCDEFGHJKMNPQRSTV"), "user-auth-01KRX11M");
        assert_eq!(human("user-auth-01KRX11M"), "user-auth");
        assert_eq!(human("042-user-auth"), "user-auth");
        assert_eq!(human("add-security"), "add-security");
        assert_eq!(leading_number("007-x"), "7");
        assert_eq!(leading_number("000-x"), "0");
        assert_eq!(leading_number("3d-viewer"), "");
        assert_eq!(without_number("042-"), "042-");
    }

    #[test]
    fn handle_never_leaves_the_directory_of_missions() {
        for bad in ["..", ".", "", "a/b", "a\\b", "C:x", "a\nb"] {
            assert!(!is_plain_component(bad), "{bad:?}");
        }
        assert!(is_plain_component("042-user auth"));
    }
}
