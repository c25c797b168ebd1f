//! Which requirements a text names: `FR-`, `NFR-` or `C-` and digits.

use super::word_goes_on;

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
    (digits > 0 && !word_goes_on(text, end)).then(|| text[..end].to_ascii_uppercase())
}

/// The requirements on the lines `Requirement(s) [Ref(s)]:` of a section.
pub fn requirement_line(section: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in section.lines() {
        let Some(value) = labelled(line) else { continue };
        for id in references(value) {
            if !found.contains(&id) {
                found.push(id);
            }
        }
    }
    found
}

/// What stands behind the label of a requirement line.
fn labelled(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix(['-', '+']).map_or(line, str::trim_start);
    let rest = line.trim_start_matches('*').trim_start();
    let rest = word(rest, "requirement")?;
    let rest = rest.trim_start();
    let rest = word(rest, "ref").unwrap_or(rest);
    rest.trim_start().trim_start_matches('*').trim_start().strip_prefix(':')
}

/// `text` behind `word` and an optional `s`, in any case.
fn word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let rest = text
        .get(..word.len())
        .filter(|start| start.eq_ignore_ascii_case(word))
        .map(|start| &text[start.len()..])?;
    Some(rest.strip_prefix(['s', 'S']).unwrap_or(rest))
}

/// The requirements of a spec: every id in it, sorted.
pub fn spec_requirements(text: &str) -> Vec<String> {
    let mut found = references(text);
    found.sort_unstable();
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
    fn only_labelled_lines_of_a_section_count() {
        let section = "covers FR-009\n**Requirements**: FR-001, C-2\n*Requirement Refs*: NFR-003\n- **Requirement Refs:** FR-004";
        assert_eq!(requirement_line(section), ["FR-001", "C-2", "NFR-003", "FR-004"]);
    }
}
