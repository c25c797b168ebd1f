//! File patterns: `*` crosses directories, as in shells' `fnmatch` without path rules.

/// Whether two patterns claim common ground: equal; or, cut before a trailing wildcard, one the
/// beginning of the other; or one matching the other.
///
/// The beginning is one of text, not of directories: `src/a` and `src/ab.py` overlap. Earlier releases
/// wrote lanes by this rule, so it stays.
pub fn overlap(a: &str, b: &str) -> bool {
    let (stem_a, stem_b) = (stem(a), stem(b));
    let begins = !stem_a.is_empty()
        && !stem_b.is_empty()
        && (stem_a.starts_with(stem_b) || stem_b.starts_with(stem_a));
    a == b || begins || matches(stem_b, a) || matches(stem_a, b)
}

/// The pattern before a trailing `/**`, `/*`, `**` or `*`.
pub fn stem(pattern: &str) -> &str {
    ["/**", "/*", "**", "*"].into_iter().find_map(|tail| pattern.strip_suffix(tail)).unwrap_or(pattern)
}

/// A pattern in quotes, as messages and `lanes.json` show it: single quotes unless the text has one and
/// no double ones; backslashes and line breaks escaped.
pub fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// Whether `pattern` matches the whole of `text`: `*` anything, `?` one character, `[...]` one of, with
/// `!` none of. Quadratic at worst, never exponential.
pub fn matches(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut t, mut p) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            None if t == text.len() => return true,
            None => None,
            Some(_) => text.get(t).and_then(|c| one(&pattern, p, *c)),
        };
        match (step, retry) {
            (Some(next), _) => (t, p) = (t + 1, next),
            // Let the last star take one character more.
            (None, Some((after_star, from))) if from < text.len() => {
                retry = Some((after_star, from + 1));
                (t, p) = (from + 1, after_star);
            }
            (None, _) => return false,
        }
    }
}

/// Whether the pattern's element at `p` takes `c`; where the next element begins if so.
fn one(pattern: &[char], p: usize, c: char) -> Option<usize> {
    match pattern.get(p)? {
        '?' => Some(p + 1),
        '[' => match set(pattern, p, c) {
            Some((true, next)) => Some(next),
            Some((false, _)) => None,
            // Without its end a bracket is a bracket.
            None => (c == '[').then_some(p + 1),
        },
        literal => (*literal == c).then_some(p + 1),
    }
}

/// Whether the set that opens at `p` takes `c`, and where it ends; nothing when it does not end.
fn set(pattern: &[char], p: usize, c: char) -> Option<(bool, usize)> {
    let negated = pattern.get(p + 1) == Some(&'!');
    let first = p + 1 + usize::from(negated);
    let close = (first + 1..pattern.len()).find(|at| pattern[*at] == ']')?;
    let items = &pattern[first..close];
    let mut inside = false;
    let mut at = 0;
    while at < items.len() {
        if items.get(at + 1) == Some(&'-') && at + 2 < items.len() {
            inside |= (items[at]..=items[at + 2]).contains(&c);
            at += 3;
        } else {
            inside |= items[at] == c;
            at += 1;
        }
    }
    Some((inside != negated, close + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_crosses_directories() {
        for (pattern, yes, no) in [
            ("src/*.py", "src/a/b.py", "src/a.pyc"),
            ("a?c", "abc", "ac"),
            ("[a-c]x", "bx", "dx"),
            ("[!a]x", "bx", "ax"),
            ("[]]", "]", "["),
            ("[", "[", "a"),
            ("*", "", "\u{0}no-such"),
        ] {
            assert!(matches(yes, pattern), "{pattern} {yes}");
            assert!(pattern == "*" || !matches(no, pattern), "{pattern} {no}");
        }
    }

    #[test]
    fn many_stars_stay_cheap() {
        let text = "a".repeat(2000);
        assert!(!matches(&text, &format!("{}b", "a*".repeat(200))));
    }

    #[test]
    fn overlap_is_by_the_beginning_of_the_text() {
        for (a, b) in
            [("src/**", "src/a.py"), ("src/a", "src/ab.py"), ("x", "x"), ("*.md", "docs/a.md"), ("**", "x")]
        {
            assert!(overlap(a, b) && overlap(b, a), "{a} {b}");
        }
        for (a, b) in [("src/a.py", "src/b.py"), ("docs/**", "src/**"), ("tests/*", "test/x")] {
            assert!(!overlap(a, b) && !overlap(b, a), "{a} {b}");
        }
    }
}
