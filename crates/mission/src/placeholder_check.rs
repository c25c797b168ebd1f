//! Whether `spec.md` and `plan.md` have content: what is left of them when template placeholders are
//! taken away.
//!
//! Pure: text in, verdict out. Linear in the length of the text.

/// Whether a spec has at least one functional requirement with words of its own.
///
/// A requirement is a table row whose first cell is `FR-` and three digits (the next two cells count),
/// or a list item `FR-ddd: text`.
pub fn spec_is_substantive(text: &str) -> bool {
    text.lines().any(|line| {
        table_row(line).or_else(|| bullet_row(line)).is_some_and(|description| has_content(&description))
    })
}

/// Whether a plan's `## Technical Context` names a language and at least one more value.
pub fn plan_is_substantive(text: &str) -> bool {
    let mut section = text.lines().skip_while(|line| !is_technical_context(line)).skip(1);
    let fields: Vec<_> = section
        .by_ref()
        .take_while(|line| !line.starts_with("## "))
        .filter_map(labelled_value)
        .filter(|(_, value)| has_value(value))
        .collect();
    let language = fields.iter().any(|(label, _)| *label == "Language/Version");
    language && fields.iter().any(|(label, _)| *label != "Language/Version")
}

fn is_technical_context(line: &str) -> bool {
    line.strip_prefix("## ").is_some_and(|title| title.trim() == "Technical Context")
}

/// `**Label**: value`.
fn labelled_value(line: &str) -> Option<(&str, String)> {
    let rest = line.trim_start().strip_prefix("**")?;
    let (label, value) = rest.split_once("**")?;
    let value = value.trim_start().strip_prefix(':')?;
    Some((label.trim(), without_placeholders(value)))
}

fn has_value(value: &str) -> bool {
    let value = value.trim();
    let bare = value.strip_suffix('.').unwrap_or(value);
    !value.is_empty() && !bare.eq_ignore_ascii_case("NEEDS CLARIFICATION")
}

/// Title and description of a table row `| FR-001 | title | description | ...`.
fn table_row(line: &str) -> Option<String> {
    let mut cells = line.trim_start().strip_prefix('|')?.split('|');
    let id = cells.next()?.trim();
    let id = id.strip_prefix("**").and_then(|id| id.strip_suffix("**")).unwrap_or(id);
    (is_requirement_id(id)).then(|| cells.take(2).collect::<Vec<_>>().join(" "))
}

/// The text of a list item `- **FR-001**: text`.
fn bullet_row(line: &str) -> Option<String> {
    let rest = line.trim_start().strip_prefix(['-', '*'])?.trim_start();
    let (id, rest) = match rest.strip_prefix("**") {
        Some(bold) => bold.split_once("**")?,
        None => (rest.get(..6)?, rest.get(6..)?),
    };
    let text = rest.trim_start().strip_prefix([':', '-'])?;
    is_requirement_id(id).then(|| text.to_owned())
}

fn is_requirement_id(id: &str) -> bool {
    id.strip_prefix("FR-")
        .is_some_and(|digits| digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit()))
}

fn has_content(description: &str) -> bool {
    let left = without_placeholders(description).replace(',', " ");
    let words: Vec<_> = left.split_whitespace().map(str::to_lowercase).collect();
    let skeleton = words.join(" ");
    let skeleton = skeleton.trim_end_matches('.').trim_end();
    !skeleton.is_empty() && !matches!(skeleton, "as a i want so that" | "as an i want so that")
}

/// Bracketed tokens that templates leave to be filled in, whole.
const WHOLE_PLACEHOLDERS: [&str; 5] = ["feature", "short title", "role", "goal", "benefit"];
/// Beginnings of the longer ones.
const PLACEHOLDER_STARTS: [&str; 12] = [
    "needs clarification",
    "e.g.,",
    "###-feature",
    "measurable threshold",
    "specific capability",
    "key interaction",
    "data requirement",
    "behavior",
    "domain-specific",
    "if applicable",
    "project-specific",
    "single/web/mobile",
];

/// `text` without the bracketed tokens that templates leave to be filled in.
fn without_placeholders(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut at, mut close) = (0, None);
    while let Some(open) = text[at..].find('[').map(|open| at + open) {
        out.push_str(&text[at..open]);
        // Looked for once for all the brackets before it, so that many of them stay cheap.
        close =
            close.filter(|close| *close > open).or_else(|| text[open..].find(']').map(|close| open + close));
        let Some(end) = close else {
            at = open;
            break;
        };
        if is_placeholder(&text[open + 1..end]) {
            at = end + 1;
        } else {
            out.push('[');
            at = open + 1;
        }
    }
    out.push_str(&text[at..]);
    out
}

/// Only the beginning of a token decides.
fn is_placeholder(token: &str) -> bool {
    let token = token.trim_start();
    if !token.starts_with(|c: char| c.is_alphanumeric() || c == '#') {
        return false;
    }
    let start: String = token.chars().take(32).collect::<String>().to_lowercase();
    WHOLE_PLACEHOLDERS.contains(&start.trim_end()) && token.len() < 64
        || PLACEHOLDER_STARTS.iter().any(|placeholder| start.starts_with(placeholder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirement_needs_words_of_its_own() {
        for real in [
            "| FR-001 | Do it | The system does it. |",
            "| **FR-001** | [Short title] | As a user, I want x so that y. |",
            "- **FR-012**: text",
            "  * FR-003 - text",
            "- FR-004: a [link]",
        ] {
            assert!(spec_is_substantive(real), "{real}");
        }
        for hollow in [
            "",
            "| FR-001 | | |",
            "| FR-001 | [Short title] | As a [role], I want [goal] so that [benefit]. |",
            "- **FR-001**: [NEEDS CLARIFICATION: all of it]",
            "| FR-01 | x | y |",
            "| NFR-001 | x | y |",
            "FR-001: text",
            "- FR-001",
            "| FR-001 | | | only here |",
        ] {
            assert!(!spec_is_substantive(hollow), "{hollow}");
        }
    }

    #[test]
    fn plan_names_its_language_and_one_thing_more() {
        let plan = |body: &str| {
            plan_is_substantive(&format!("# P\n\n## Technical Context\n{body}\n## Next\n**X**: y\n"))
        };
        assert!(plan("**Language/Version**: Rust\n**Storage**: SQLite"));
        assert!(!plan("**Language/Version**: Rust"));
        assert!(!plan("**Language/Version**: [e.g., Rust]\n**Storage**: SQLite"));
        assert!(!plan("**Language/Version**: NEEDS CLARIFICATION.\n**Storage**: SQLite"));
        assert!(!plan(
            "**Language/Version**: Rust\n**Storage**: [if applicable, e.g., files or NEEDS CLARIFICATION]"
        ));
        assert!(!plan_is_substantive("**Language/Version**: Rust\n**Storage**: SQLite"));
    }
}
