//! Inferred ownership of a work package that declares none, from the words of its file.

use super::{Ownership, WorkKind};
use std::collections::BTreeSet;

/// Planning documents that a text may name.
const DOCUMENTS: [&str; 5] = ["spec.md", "plan.md", "tasks.md", "data-model.md", "quickstart.md"];
/// Marks of a text about code.
const CODE: [&str; 6] = ["src/", "test/", "tests/", ".py", ".ts", ".js"];
/// Beginnings of paths that a work package may own.
const ROOTS: [&str; 5] = ["src/", "test/", "tests/", "kitty-specs/", "docs/"];

/// Infers all three facts from the whole text of a work package file. The second value warns when the
/// text names no path at all.
pub fn infer_ownership(text: &str, mission_slug: &str) -> (Ownership, Option<&'static str>) {
    let execution_mode = infer_kind(text);
    let (owned_files, warning) = infer_files(text, execution_mode, mission_slug);
    let authoritative_surface = infer_surface(&owned_files);
    (Ownership { execution_mode, owned_files, authoritative_surface, codebase_wide: false }, warning)
}

/// Planning when the text names planning documents and no code.
pub(crate) fn infer_kind(text: &str) -> WorkKind {
    let planning = text.contains("kitty-specs/") || DOCUMENTS.iter().any(|name| has_word(text, name));
    let code = CODE.iter().any(|sign| has_sign(text, sign));
    if planning && !code { WorkKind::PlanningArtifact } else { WorkKind::CodeChange }
}

/// Patterns for every path the text names.
pub(crate) fn infer_files(
    text: &str,
    kind: WorkKind,
    mission_slug: &str,
) -> (Vec<String>, Option<&'static str>) {
    if kind == WorkKind::PlanningArtifact {
        return (vec![format!("kitty-specs/{mission_slug}/**")], None);
    }
    let mut kept: Vec<String> = Vec::new();
    for path in paths(text).collect::<BTreeSet<_>>() {
        let path = pattern_of(path);
        let covered = kept.iter().any(|known| {
            let directory = known.strip_suffix("**").filter(|directory| directory.ends_with('/'));
            *known == path || directory.is_some_and(|directory| path.starts_with(directory))
        });
        if !covered {
            kept.push(path);
        }
    }
    if kept.is_empty() {
        return (vec!["src/**".into()], Some("names no path; src/** is assumed"));
    }
    (kept, None)
}

/// The directory that the patterns cover, with a trailing `/`: their common part, where a file-name pattern counts as
/// its directory. Without a common part it is the directory of the first, or the first itself when it is a file
/// without a directory. Empty without patterns, or when the first owns everything.
pub(crate) fn infer_surface(owned_files: &[String]) -> String {
    let trees: Vec<&str> = owned_files.iter().map(|pattern| tree(pattern)).collect();
    let Some((first, rest)) = trees.split_first() else { return String::new() };
    let parts: Vec<&str> = first.split('/').collect();
    let shared = rest.iter().fold(parts.len(), |shared, other| {
        parts.iter().zip(other.split('/')).take(shared).take_while(|(a, b)| **a == *b).count()
    });
    let directory = |path: &str| if path.is_empty() { String::new() } else { format!("{path}/") };
    let common = directory(&parts[..shared].join("/"));
    if !common.is_empty() && owned_files.iter().any(|pattern| pattern.starts_with(&common)) {
        return common;
    }
    let literal = owned_files[0].trim_end_matches('/');
    match literal.rsplit_once('/') {
        _ if *first != literal => directory(first),
        Some((parent, _)) => directory(parent),
        None => literal.to_owned(),
    }
}

/// The pattern without a last part that has wildcards, and without a `/` at its end.
fn tree(pattern: &str) -> &str {
    let (directory, last) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    if last.contains(['*', '?', '[']) { directory } else { pattern.trim_end_matches('/') }
}

/// Every token that begins like a path of a repository (also in the middle of a word, as lanes were
/// always computed) and ends at white space or a delimiter.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = text.get(from..)?;
            let root_at = |at: usize| ROOTS.iter().find(|root| rest[at..].starts_with(**root));
            let (at, root) = rest.char_indices().find_map(|(at, _)| Some((at, root_at(at)?)))?;
            let token = &rest[at..];
            let end = token.find(|c: char| c.is_whitespace() || "`'\")]>".contains(c)).unwrap_or(token.len());
            if end > root.len() {
                from += at + end;
                return Some(&token[..end]);
            }
            from += at + root.len();
        }
    })
}

fn pattern_of(path: &str) -> String {
    let last = path.rsplit('/').next().unwrap_or_default();
    if path.ends_with('/') {
        format!("{path}**")
    } else if last.contains('.') {
        path.to_owned()
    } else {
        format!("{path}/**")
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `word` occurs in `text` with no word character on either side.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// Directories begin a word, extensions end one.
fn has_sign(text: &str, sign: &str) -> bool {
    text.match_indices(sign).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + sign.len()..].chars().next();
        if sign.starts_with('.') { !after.is_some_and(is_word) } else { !before.is_some_and(is_word) }
    })
}

#[cfg(test)]
mod tests {
    use super::infer_surface;

    #[test]
    fn surface_is_the_directory_that_the_patterns_share() {
        for (owned, surface) in [
            (&["src/part2/*.py"][..], "src/part2/"),
            (&["src/a/**", "src/b.rs"], "src/"),
            (&["src/a/**", "tests/b/**"], "src/a/"),
            (&["src/a.rs"], "src/"),
            (&["src/a.rs", "tests/b.rs"], "src/"),
            (&["Makefile"], "Makefile"),
            (&["**"], ""),
            (&[], ""),
        ] {
            let owned: Vec<String> = owned.iter().map(|&pattern| pattern.to_owned()).collect();
            assert_eq!(infer_surface(&owned), surface, "{owned:?}");
        }
    }
}
