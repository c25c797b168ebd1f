//! Labels of requirements in a text: `FR-`, `NFR-` or `C-` and digits.

use super::word_continues;

/// Every requirement id in `text`, upper-case, in the order of the text, once each.
pub fn references(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut before = None;
    for (at, c) in text.char_indices() {
        let starts_word = before.is_none_or(|c: char| !(c.is_alphanumeric() || c == '_'));
        before = Some(c);
        if let Some(id) = starts_word.then(|| id_at(&text[at..])).flatten()
            && !found.contains(&id)
        {
            found.push(id);
        }
    }
    found
}

fn id_at(text: &str) -> Option<String> {
    let kind = ["NFR-", "FR-", "C-"]
        .into_iter()
        .find(|kind| text.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind)))?;
    let digits = text[kind.len()..].bytes().take_while(u8::is_ascii_digit).count();
    let end = kind.len() + digits;
    (digits > 0 && !word_continues(text, end)).then(|| text[..end].to_ascii_uppercase())
}

/// The requirements behind each label `Requirement(s) [Ref(s)]:` of a section, up to the end of its line. With an
/// empty rest of the line, those of the next line that is not blank.
pub(crate) fn requirement_line(section: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut rest = section;
    while let Some(at) = label_at(rest) {
        rest = &rest[at..];
        let Some(value) = labelled(rest) else {
            rest = rest.get(LABEL.len()..).unwrap_or_default();
            continue;
        };
        let line = value.lines().next().unwrap_or_default();
        for id in references(line) {
            if !found.contains(&id) {
                found.push(id);
            }
        }
        rest = &value[line.len()..];
    }
    found
}

const LABEL: &str = "requirement";

/// Start of the next possible label.
fn label_at(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    bytes.windows(LABEL.len()).position(|window| window.eq_ignore_ascii_case(LABEL.as_bytes()))
}

/// The text behind the label that `text` begins with.
fn labelled(text: &str) -> Option<&str> {
    let rest = word(text, LABEL)?.trim_start();
    let rest = word(rest, "ref").unwrap_or(rest);
    let rest = (0..2).fold(rest, |rest, _| rest.strip_prefix('*').unwrap_or(rest));
    rest.trim_start().strip_prefix(':').map(str::trim_start)
}

/// `text` behind `word` and an optional `s`, in any case.
fn word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let rest = text
        .get(..word.len())
        .filter(|start| start.eq_ignore_ascii_case(word))
        .map(|start| &text[start.len()..])?;
    Some(rest.strip_prefix(['s', 'S']).unwrap_or(rest))
}

/// The requirements of a spec.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecRequirements {
    /// The ids that the spec declares, sorted.
    pub declared: Vec<String>,
    /// Ids that occur in prose below a heading about requirements and are declared nowhere, each with its
    /// first 1-based line, in the order of the text.
    pub bare: Vec<(usize, String)>,
}

/// The requirements of a spec. An id is declared by a line that begins with it: a table row, a heading, a
/// list item or a bold paragraph. An id that is cited in a sentence, a code block or a comment is not.
pub fn spec_requirements(text: &str) -> SpecRequirements {
    let text = super::prose::prose(text);
    let mut declared: Vec<String> = text.lines().filter_map(declared_id).collect();
    declared.sort_unstable();
    declared.dedup();
    let mut bare: Vec<(usize, String)> = Vec::new();
    let mut is_about = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with('#') {
            is_about = line.to_lowercase().contains("requirement");
        } else if is_about && declared_id(line).is_none() {
            for id in references(line) {
                if declared.binary_search(&id).is_err() && !bare.iter().any(|(_, known)| *known == id) {
                    bare.push((number + 1, id));
                }
            }
        }
    }
    SpecRequirements { declared, bare }
}

/// The id that a line declares.
fn declared_id(line: &str) -> Option<String> {
    let bare = line.trim_start();
    if let Some(cell) = bare.strip_prefix('|') {
        let cell = decorated(cell.trim_start());
        let id = id_at(cell)?;
        return decorated(&cell[id.len()..]).trim_start().starts_with('|').then_some(id);
    }
    let level = line.bytes().take_while(|byte| *byte == b'#').count();
    if (1..=6).contains(&level) {
        return id_at(line[level..].trim_start());
    }
    let digits = bare.bytes().take_while(u8::is_ascii_digit).count();
    let item = match bare[digits..].strip_prefix('.') {
        Some(rest) if digits > 0 => Some(rest),
        _ => bare.strip_prefix(['-', '*']),
    };
    let text = item?.trim_start();
    id_at((0..2).fold(text, |text, _| text.strip_prefix('*').unwrap_or(text)))
}

/// `text` behind at most two marks of bold or struck-through text.
fn decorated(text: &str) -> &str {
    let behind = |text| ["**", "~~"].into_iter().find_map(|mark| str::strip_prefix(text, mark));
    (0..2).fold(text, |text, _| behind(text).unwrap_or(text))
}

/// The success criteria (`SC-001`) among the references of a work package, upper-case. They are no
/// requirements and are not read.
pub(crate) fn success_criteria(references: &[String]) -> Vec<String> {
    let words = references.iter().flat_map(|text| text.split([',', ' ', '\t', '\n']));
    let is_one = |word: &&str| {
        word.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("SC-"))
            && word.len() > 3
            && word[3..].bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut found: Vec<String> = words.filter(is_one).map(str::to_ascii_uppercase).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether an id is of a functional requirement: each of those must be covered by a work package.
pub fn is_functional(id: &str) -> bool {
    id.starts_with("FR-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_words_of_their_own() {
        assert_eq!(
            references("FR-001, nfr-2; (C-3) FR-001 XFR-4 FR-5x ABC-6 FR-"),
            ["FR-001", "NFR-2", "C-3"]
        );
    }

    #[test]
    fn requirement_is_declared_by_the_line_that_it_begins() {
        let spec = "# T\n| FR-001 | a, see FR-090 |\n| **fr-2** | b |\n| ~~C-3~~ | c |\n### NFR-4: d\n- FR-5: e\n1. **FR-6** f\n**FR-7 g** h\n";
        let ids = ["C-3", "FR-001", "FR-2", "FR-5", "FR-6", "FR-7", "NFR-4"];
        assert_eq!(spec_requirements(spec).declared, ids);
        for other in [
            "FR-001 must hold",
            "see **FR-1**",
            "| FR-1-x | a |",
            " ## FR-1",
            "FR-1 | a |",
            "-",
            "1. ",
            "| FR-1",
        ] {
            assert!(spec_requirements(other).declared.is_empty(), "{other}");
        }
    }

    #[test]
    fn prose_below_a_requirements_heading_is_named_with_its_line() {
        let spec = "## Functional Requirements\n\n- FR-001: a FR-009\nFR-002 and FR-001 hold, FR-002 too\n```\nFR-003\n```\n<!-- FR-004 -->\n## Notes\nFR-005\n";
        let found = spec_requirements(spec);
        assert_eq!((found.declared, found.bare), (vec!["FR-001".to_owned()], vec![(4, "FR-002".to_owned())]));
    }

    #[test]
    fn success_criteria_are_found_among_references() {
        assert_eq!(
            success_criteria(&["FR-001, sc-2".into(), "SC-1".into(), "SC-x".into()]),
            ["SC-1", "SC-2"]
        );
    }

    #[test]
    fn only_what_a_label_names_counts_in_a_section() {
        let section = "covers FR-009\n**Requirements**: FR-001, C-2\nA. *Requirement Refs*: NFR-003\n- **Requirement Refs:** FR-004\nRequirements:\n\nFR-005\nFR-006\nrequirements of FR-007";
        assert_eq!(requirement_line(section), ["FR-001", "C-2", "NFR-003", "FR-004", "FR-005"]);
    }
}
