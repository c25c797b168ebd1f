//! Replacing single keys of a front matter in place.

use super::reader::{WorkPackage, parse_yaml};
use crate::error::{MissionError, Result};
use serde_json::Value;
use std::ops::Range;

/// The order in which new keys are put among the known ones.
const ORDER: [&str; 17] = [
    "work_package_id",
    "title",
    "dependencies",
    "requirement_refs",
    "planning_base_branch",
    "merge_target_branch",
    "branch_strategy",
    "base_branch",
    "base_commit",
    "created_at",
    "subtasks",
    "phase",
    "assignee",
    "agent",
    "shell_pid",
    "scope",
    "history",
];

/// Value that a key is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// One text.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
}

impl Scalar {
    fn to_value(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(text.as_str()),
            Self::List(items) => Value::from(items.clone()),
        }
    }

    /// The lines of `key` with this value.
    fn render(&self, key: &str, newline: &str) -> String {
        match self {
            Self::Text(text) => format!("{key}: {}{newline}", plain(text)),
            Self::List(items) if items.is_empty() => format!("{key}: []{newline}"),
            Self::List(items) => {
                let items: String = items.iter().map(|item| format!("- {}{newline}", plain(item))).collect();
                format!("{key}:{newline}{items}")
            }
        }
    }
}

/// `text` as a YAML scalar that reads back as this text: bare where that is safe, else quoted.
fn plain(text: &str) -> String {
    let quotable = text
        .chars()
        .all(|c| !c.is_control() && !matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}'));
    if !quotable {
        // JSON strings are YAML double-quoted scalars.
        return Value::from(text).to_string();
    }
    let bare = parse_yaml(&format!("k: {text}\n")).ok().and_then(|map| map.get("k").cloned());
    let lists = parse_yaml(&format!("k:\n- {text}\n")).ok().and_then(|map| map.get("k").cloned());
    let same = bare == Some(Value::from(text)) && lists == Some(Value::from(vec![text]));
    // Text that an older reader could misread is quoted, although ours reads it.
    let ambiguous =
        text.is_empty() || text.starts_with(|c: char| c.is_ascii_digit()) || text.contains(['#', '\t']);
    if same && !ambiguous { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

/// The file of `wp` with these keys set. The rest stays byte for byte. When the result does not read back as asked (a
/// front matter in an unusual style), nothing is changed and the error names the file.
pub fn edit(wp: &WorkPackage, changes: &[(&str, Scalar)]) -> Result<String> {
    let newline = if wp.yaml().contains("\r\n") { "\r\n" } else { "\n" };
    let mut yaml = wp.yaml().to_owned();
    for (key, value) in changes {
        let lines = value.render(key, newline);
        match block(&yaml, key) {
            Some(range) => yaml.replace_range(range, &lines),
            None => yaml.insert_str(place(&yaml, key), &lines),
        }
    }
    let read = parse_yaml(&yaml).unwrap_or_default();
    let unchanged = |key: &String| !changes.iter().any(|(changed, _)| changed == key);
    let before = parse_yaml(wp.yaml()).unwrap_or_default();
    let kept =
        before.iter().filter(|(key, _)| unchanged(key)).all(|(key, value)| read.get(key) == Some(value));
    if !kept || changes.iter().any(|(key, value)| read.get(*key) != Some(&value.to_value())) {
        let keys = changes.iter().map(|(key, _)| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        return Err(MissionError::malformed(
            &wp.path,
            format!(
                "has a front matter in which {keys} cannot be set in place: write it as plain `key: value` lines"
            ),
        ));
    }
    Ok(wp.with_yaml(&yaml))
}

/// The lines of a top-level key with everything below it; trailing blank lines and comments belong to
/// what follows.
pub(super) fn block(yaml: &str, key: &str) -> Option<Range<usize>> {
    let mut found: Option<Range<usize>> = None;
    let mut at = 0;
    for line in yaml.split_inclusive('\n') {
        let here = at..at + line.len();
        at = here.end;
        if let Some(range) = &mut found {
            if is_continuation(line) {
                range.end = here.end;
            } else if key_of(line).is_some() {
                break;
            }
        } else if key_of(line) == Some(key) {
            found = Some(here);
        }
    }
    found
}

/// Whether a line below a key still belongs to it.
fn is_continuation(line: &str) -> bool {
    !line.trim().is_empty()
        && (line.starts_with([' ', '\t', ']', '}']) || line.starts_with("- ") || line.trim_end() == "-")
}

/// The key of a top-level `key:` line.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line
        .split_once(':')
        .filter(|_| line.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '"' || c == '\''))?;
    Some(key.trim().trim_matches(['"', '\'']))
}

/// The place of a new key: behind the last known key that precedes it, else at the end.
fn place(yaml: &str, key: &str) -> usize {
    let rank = |key: &str| ORDER.iter().position(|known| *known == key);
    let Some(own) = rank(key) else { return end_of(yaml) };
    let before = ORDER[..own].iter().rev().find_map(|known| block(yaml, known));
    before.map_or(end_of(yaml), |range| range.end)
}

fn end_of(yaml: &str) -> usize {
    yaml.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const FILE: &str = "---\nwork_package_id: \"WP01\"   # the id\ntitle: A\n# about history\nhistory:\n  - at: '2026'\n    note: |\n      two\n\n      lines\nodd_key: {a: 1}\n---\nbody: x\n";

    fn wp(text: &str) -> WorkPackage {
        WorkPackage::parse(Path::new("wp"), text.to_owned()).unwrap()
    }

    #[test]
    fn edit_touches_its_own_lines_and_no_others() {
        let changes = [
            ("dependencies", Scalar::List(vec!["WP02".into()])),
            ("history", Scalar::List(Vec::new())),
            ("zeta", Scalar::Text("it's: #1".into())),
        ];
        let text = edit(&wp(FILE), &changes).unwrap();
        assert_eq!(
            text,
            "---\nwork_package_id: \"WP01\"   # the id\ntitle: A\ndependencies:\n- WP02\n# about history\nhistory: []\nodd_key: {a: 1}\nzeta: 'it''s: #1'\n---\nbody: x\n"
        );
        assert_eq!(edit(&wp(&text), &changes).unwrap(), text);
    }

    #[test]
    fn scalars_read_back_as_the_text_they_were() {
        for text in [
            "",
            "yes",
            "null",
            "1",
            "2026-01-01",
            "a: b",
            "- x",
            "[x]",
            "#x",
            "'",
            "\"",
            "é😀",
            "a\nb",
            " x ",
            "*a",
            "&a",
            "!t",
            "~",
            "x #y",
            "@",
            "`",
            "%",
            "tab\tx",
            "0x1",
            "1e3",
            ".inf",
            "\u{2028}",
        ] {
            let out =
                edit(&wp(FILE), &[("k", Scalar::Text(text.into())), ("l", Scalar::List(vec![text.into()]))])
                    .unwrap();
            let read = wp(&out);
            assert_eq!(read.get("k").unwrap(), text, "{out}");
            assert_eq!(read.get("l").unwrap(), &Value::from(vec![text]), "{out}");
        }
    }

    #[test]
    fn flow_mapping_is_refused_and_named() {
        let message =
            edit(&wp("---\n{work_package_id: WP01}\n---\n"), &[("title", Scalar::Text("x".into()))])
                .unwrap_err();
        assert!(message.to_string().contains("cannot be set in place"), "{message}");
    }
}
