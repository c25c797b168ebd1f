//! The dependencies that a section declares.
//!
//! Only lines with nothing else count, so that prose such as `none (can run beside WP01)` is never a
//! dependency. Code blocks and comments are ignored.

use super::prose::prose;
use super::section::headings;
use super::{word_continues, wp_id_at};

/// Most characters shown of a line that is not read.
const SHOWN: usize = 80;

/// The dependencies that a section declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stated {
    /// The work packages it depends on, once each.
    pub ids: Vec<String>,
    /// Lines that begin like a dependency, name a work package and are not read: the 1-based line within
    /// the section, and the line.
    pub unread: Vec<(usize, String)>,
}

/// The work packages that a section of `tasks.md` depends on.
///
/// Three forms, each at the start of a line or of a list item: `Depends on WP01, WP02`, with a colon or without;
/// `Dependencies: WP01, WP02`, also as a field between `|`, the label bold or not. Only a note that starts with `.`,
/// `;`, `(` or `#` may follow the list. The other form is a heading `Dependencies` above list items that start with
/// an id.
pub fn dependencies(section: &str) -> Vec<String> {
    stated(section).ids
}

/// The same, with the lines that are not read.
pub fn stated(section: &str) -> Stated {
    let text = prose(section);
    let (mut sentences, mut labels) = (Vec::new(), Vec::new());
    let mut stated = Stated::default();
    let mut at = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let rest = &text[at..];
        at += line.len();
        let mut unread = false;
        let start = behind_bullet(rest);
        if let Some(found) = sentence(start) {
            match found {
                LabelValue::Ids(ids) => sentences.extend(ids),
                LabelValue::Unread => unread = true,
            }
        } else if sentence(start.trim_start_matches('*')).is_some_and(|found| found.names_some()) {
            unread = true;
        }
        let fields = line.match_indices('|').map(|(bar, _)| &rest[bar + 1..]);
        for found in std::iter::once(start).chain(fields).filter_map(label) {
            match found {
                LabelValue::Ids(ids) => labels.extend(ids),
                LabelValue::Unread => unread = true,
            }
        }
        if unread {
            stated.unread.push((number + 1, line.trim().chars().take(SHOWN).collect()));
        }
    }
    let listed = listed(&text);
    for id in sentences.into_iter().chain(labels).chain(listed) {
        let id = id.to_ascii_uppercase();
        if !stated.ids.contains(&id) {
            stated.ids.push(id);
        }
    }
    stated
}

/// The text behind a label.
enum LabelValue<'a> {
    /// These, or none.
    Ids(Vec<&'a str>),
    /// Something that names a work package and is not a list.
    Unread,
}

impl LabelValue<'_> {
    fn names_some(&self) -> bool {
        match self {
            Self::Ids(ids) => !ids.is_empty(),
            Self::Unread => true,
        }
    }
}

/// `text` behind its indentation and one list mark.
fn behind_bullet(text: &str) -> &str {
    let text = text.trim_start_matches([' ', '\t']);
    text.strip_prefix(['-', '*']).map_or(text, |rest| rest.trim_start_matches([' ', '\t']))
}

/// `text` behind `word`, in any case.
fn behind<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.get(..word.len()).filter(|start| start.eq_ignore_ascii_case(word)).map(|_| &text[word.len()..])
}

/// `text` behind at most two `*`.
fn behind_bold(text: &str) -> &str {
    (0..2).fold(text, |text, _| text.strip_prefix('*').unwrap_or(text))
}

/// `Depends on WP01, WP02` and anything, or `Depends on: ` and a value.
fn sentence(text: &str) -> Option<LabelValue<'_>> {
    let rest = behind(text, "depends").or_else(|| behind(text, "depend"))?;
    let on = behind(spaces(rest)?, "on")?;
    if let Some(list) = spaces(on)
        && let Some((ids, _)) = list_at(list)
    {
        return Some(LabelValue::Ids(ids));
    }
    let plain = on.trim_start_matches([' ', '\t']).strip_prefix(':');
    let value = on.trim_start_matches(['*', ':', ' ', '\t']);
    // Earlier releases do not read a list under a bold label.
    Some(match plain {
        Some(list) if !text.starts_with('*') => judge(line_of(list)),
        _ if value.len() < on.len() => match judge(line_of(value)) {
            LabelValue::Ids(ids) if ids.is_empty() => LabelValue::Ids(ids),
            _ => LabelValue::Unread,
        },
        _ => return None,
    })
}

/// `Dependencies:` and a value, up to the end of the line or the next `|`. Without a value on its line, the
/// next line that is not blank is the value.
fn label(text: &str) -> Option<LabelValue<'_>> {
    let rest = behind(behind_bold(text.trim_start_matches([' ', '\t'])), "dependencies")?;
    let value = behind_bold(rest).trim_start().strip_prefix(':')?.trim_start();
    Some(judge(line_of(value).split('|').next().unwrap_or_default()))
}

fn line_of(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// The parsed value.
fn judge(value: &str) -> LabelValue<'_> {
    let value = value.trim();
    let bare = value.trim_start_matches(['*', ':', ' ']).to_lowercase();
    if bare.is_empty()
        || bare == "[]"
        || ["none", "no deps", "no dependencies"].iter().any(|none| bare.starts_with(none))
    {
        return LabelValue::Ids(Vec::new());
    }
    if let Some(LabelValue::Ids(ids)) = sentence(value) {
        return LabelValue::Ids(ids);
    }
    match list_at(value) {
        Some((ids, rest))
            if rest.trim_start().is_empty() || rest.trim_start().starts_with(['.', ';', '(', '#']) =>
        {
            LabelValue::Ids(ids)
        }
        _ if value.char_indices().any(|(at, _)| wp_id_at(&value[at..]).is_some()) => LabelValue::Unread,
        _ => LabelValue::Ids(Vec::new()),
    }
}

/// The ids of a list at the start of `text`, and what is behind it.
fn list_at(text: &str) -> Option<(Vec<&str>, &str)> {
    let first = wp_id_at(text)?;
    let (mut ids, mut rest) = (vec![first], &text[first.len()..]);
    while let Some(next) = rest.trim_start().strip_prefix(',').map(str::trim_start) {
        let Some(id) = wp_id_at(next) else { break };
        ids.push(id);
        rest = &next[id.len()..];
    }
    (!word_continues(rest, 0)).then_some((ids, rest))
}

/// `text` behind at least one white space.
fn spaces(text: &str) -> Option<&str> {
    Some(text.trim_start()).filter(|rest| rest.len() < text.len())
}

/// The ids at the start of the list items below headings `Dependencies`, up to the first other line.
fn listed(text: &str) -> impl Iterator<Item = &str> {
    headings(text).filter(|heading| heading.level <= 4 && is_dependencies(heading.text)).flat_map(
        move |heading| {
            let lines = text[heading.after..].lines().map(str::trim).filter(|line| !line.is_empty());
            lines.map_while(|line| wp_id_at(line.strip_prefix(['-', '*'])?.trim_start()))
        },
    )
}

fn is_dependencies(text: &str) -> bool {
    text.trim_matches('*').trim().eq_ignore_ascii_case("dependencies")
}

#[cfg(test)]
mod tests {
    use super::{dependencies, stated};

    #[test]
    fn all_three_ways_count_and_each_id_once() {
        let text = "- Depends on WP03,\n  WP01 (both)\n**Dependencies**: WP02 (after WP01)\n**Lane**: A | **Dependencies**: WP05.\n\n### Dependencies\n\n- WP04 first\n- none of WP06\n- WP07";
        assert_eq!(dependencies(text), ["WP03", "WP01", "WP02", "WP05", "WP04"]);
        assert_eq!(dependencies("Depends on: WP01\n"), ["WP01"]);
        assert_eq!(dependencies("Dependencies: Depends on WP01 and so on"), ["WP01"]);
    }

    #[test]
    fn empty_label_reads_the_next_line_that_is_not_blank() {
        assert_eq!(dependencies("Dependencies:\n\n  WP07, WP08\nWP09"), ["WP07", "WP08"]);
        assert!(dependencies("Dependencies:\n\n**Goal**: WP07\n").is_empty());
    }

    #[test]
    fn prose_is_never_a_dependency() {
        for text in [
            "it depends on the weather, WP01",
            "This one depends on WP01.",
            "**Dependencies**: none (can run beside WP01)",
            "Dependencies: No deps, WP01 is not needed",
            "Dependencies: []",
            "**Depends on**: none. **Prompt**: [tasks/WP01-x.md](./tasks/WP01-x.md)",
            "Depends on: nothing; WP01 waits for this",
            "```text\nDependencies: WP03\n```",
            "<!-- Dependencies: WP03 -->",
            "## Dependencies\n```\nWP01 -> WP02\n```\n- WP01: []",
            "Dependencies: WP01 can run beside this",
            "Depends on WP011",
        ] {
            assert!(dependencies(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn line_that_begins_like_a_dependency_and_is_no_list_is_named() {
        for line in [
            "**Dependencies:** WP02",
            "Dependencies: [WP01]",
            "- **Dependencies**: WP01–WP05.",
            "**Depends on**: WP01",
            "Depends on: WP01 and WP02",
        ] {
            let found = stated(&format!("a\n{line}\n"));
            assert_eq!((found.ids.len(), found.unread), (0, vec![(2, line.to_owned())]), "{line}");
        }
        for line in
            ["**Dependencies:** none (beside WP01)", "Dependencies: the weather", "Depends on WP01 only"]
        {
            assert!(stated(line).unread.is_empty(), "{line}");
        }
    }
}
