//! The part of git's configuration format that names the origin.
//!
//! Only the repository's own file: what a person's global configuration rewrites (`insteadOf`,
//! includes) changes how git connects, not what the repository is called.

/// The first value of `<section>.<subsection>.<key>`, as git reads it. Names of sections and keys are
/// compared without case, subsections with it. What cannot be parsed ends the search: git itself would
/// refuse the file.
pub(super) fn value_of(text: &str, section: &str, subsection: &str, key: &str) -> Option<String> {
    let mut inside = false;
    let mut rest = text;
    while !rest.is_empty() {
        let line = rest.trim_start();
        match line.chars().next() {
            None => break,
            Some('[') => {
                let (name, sub, after) = header(line)?;
                inside = name.eq_ignore_ascii_case(section) && sub.as_deref() == Some(subsection);
                rest = after;
            }
            Some('#' | ';') => rest = line.split_once('\n').map_or("", |(_, next)| next),
            Some(_) => {
                let (name, value, after) = assignment(line)?;
                if inside && name.eq_ignore_ascii_case(key) {
                    return value;
                }
                rest = after;
            }
        }
    }
    None
}

/// `[section]`, `[section "subsection"]` or the old `[section.subsection]`, and what follows it.
fn header(line: &str) -> Option<(&str, Option<String>, &str)> {
    let line = line.strip_prefix('[')?;
    let name_end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.'))?;
    let (name, rest) = line.split_at(name_end);
    if let Some(after) = rest.strip_prefix(']') {
        return Some(match name.split_once('.') {
            Some((name, sub)) => (name, Some(sub.to_ascii_lowercase()), after),
            None => (name, None, after),
        });
    }
    let mut sub = String::new();
    let mut chars = rest.trim_start_matches([' ', '\t']).strip_prefix('"')?.char_indices();
    let quoted = chars.as_str();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return Some((name, Some(sub), quoted.get(index + 1..)?.strip_prefix(']')?)),
            '\\' => sub.push(chars.next()?.1),
            '\n' => return None,
            c => sub.push(c),
        }
    }
    None
}

/// `key = value` or a bare `key`, and what follows the line. A value runs to the end of the line or to
/// a comment, over continued lines; quotes keep blanks and comment signs, backslashes escape.
fn assignment(line: &str) -> Option<(&str, Option<String>, &str)> {
    let name_end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(line.len());
    let (name, rest) = line.split_at(name_end);
    let rest = rest.trim_start_matches([' ', '\t', '\r']);
    if name.is_empty() {
        return None;
    }
    let Some(raw) = rest.strip_prefix('=') else {
        let bare = rest.is_empty() || rest.starts_with(['\n', '#', ';']);
        return bare.then(|| (name, None, rest.split_once('\n').map_or("", |(_, next)| next)));
    };
    let raw = raw.trim_start_matches([' ', '\t']);
    let mut value = String::new();
    // Trailing blanks outside quotes do not count.
    let mut kept = 0;
    let mut quoted = false;
    let mut chars = raw.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '\n' if quoted => return None,
            '\n' => return finish(name, value, kept, raw.get(index + 1..)?),
            '"' => quoted = !quoted,
            '#' | ';' if !quoted => {
                let after = raw.get(index..)?.split_once('\n').map_or("", |(_, next)| next);
                return finish(name, value, kept, after);
            }
            '\\' => match chars.next()?.1 {
                '\n' => {}
                '\r' => drop(chars.next()),
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'b' => value.push('\u{8}'),
                c @ ('"' | '\\') => value.push(c),
                _ => return None,
            },
            c => value.push(c),
        }
        if quoted || !matches!(c, ' ' | '\t' | '\r') {
            kept = value.len();
        }
    }
    if quoted { None } else { finish(name, value, kept, "") }
}

fn finish<'a>(
    name: &'a str,
    mut value: String,
    kept: usize,
    after: &'a str,
) -> Option<(&'a str, Option<String>, &'a str)> {
    value.truncate(kept);
    Some((name, Some(value), after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn origin(text: &str) -> Option<String> {
        value_of(text, "remote", "origin", "url")
    }

    #[test]
    fn plain_case() {
        let text = "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = git@github.com:acme/x.git\n\tfetch = +r:r\n";
        assert_eq!(origin(text).as_deref(), Some("git@github.com:acme/x.git"));
    }

    #[test]
    fn every_form_that_git_writes_or_people_do() {
        for text in [
            "[REMOTE \"origin\"]\nURL=a b\n",
            "[remote.origin]\nurl = a b",
            "[remote \"origin\"] url = a b ; comment\n",
            "[remote \"origin\"]\n  url = \"a b\" # comment\n",
            "[remote \"origin\"]\r\n\turl = a b  \r\n",
            "[remote \"origin\"]\nurl = a \\\nb\n",
            "[remote \"upstream\"]\nurl = other\n[remote \"origin\"]\nurl = a b\n",
            "# [remote \"origin\"]\n; url = no\n[remote \"origin\"]\nurl = a b\nurl = second\n",
            "[remote \"origin\"]\nprune\nurl = a b\n",
        ] {
            assert_eq!(origin(text).as_deref(), Some("a b"), "{text:?}");
        }
    }

    #[test]
    fn quotes_keep_signs_and_blanks_and_escapes_are_read() {
        assert_eq!(origin("[remote \"origin\"]\nurl = \"a;b # c \"\n").as_deref(), Some("a;b # c "));
        assert_eq!(origin("[remote \"origin\"]\nurl = a\\\\b\\\"c\\tz\n").as_deref(), Some("a\\b\"c\tz"));
    }

    #[test]
    fn subsections_are_compared_with_case_and_unescaped() {
        assert_eq!(origin("[remote \"Origin\"]\nurl = x\n"), None);
        assert_eq!(value_of("[remote \"a\\\"b\"]\nurl = x\n", "remote", "a\"b", "url").as_deref(), Some("x"));
    }

    #[test]
    fn config_that_git_refuses_gives_no_value() {
        for text in [
            "[remote \"origin\"\nurl = x\n",
            "[remote \"origin]\nurl = x\n",
            "[remote \"origin\"]\nurl = \"x\n",
            "[remote \"origin\"]\nurl = x\\q\n",
            "= x\n[remote \"origin\"]\nurl = x\n",
        ] {
            assert_eq!(origin(text), None, "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn no_text_makes_it_panic_or_hang(text in "[\\[\\]\"\\\\=#; \\n\\ra-z.é-]{0,80}") {
            let _ = origin(&text);
        }
    }
}
