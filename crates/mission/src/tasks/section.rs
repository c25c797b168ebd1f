//! Headings of `tasks.md`, and the text below them.

use super::{word_continues, wp_id_at};

/// The part of `tasks.md` that belongs to one work package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TasksSection<'a> {
    /// `WPnn`, upper-case.
    pub wp_id: String,
    /// The heading's text after the id, without the separator.
    pub title: &'a str,
    /// The text below the heading.
    pub body: &'a str,
    /// The 1-based line on which `body` begins.
    pub line: usize,
}

/// A heading line: its level, its text, and where it lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct SectionHeading<'a> {
    pub(super) level: usize,
    pub(super) text: &'a str,
    pub(super) start: usize,
    /// Behind the newline that ends it.
    pub(super) after: usize,
}

/// Every heading line of the text: `#` to `######`, white space, something.
pub(super) fn headings(text: &str) -> impl Iterator<Item = SectionHeading<'_>> {
    let mut start = 0;
    text.split_inclusive('\n').filter_map(move |line| {
        let heading = SectionHeading { level: 0, text: "", start, after: start + line.len() };
        start += line.len();
        let level = line.bytes().take_while(|b| *b == b'#').count();
        let rest = line[level..].trim_end_matches(['\n', '\r']);
        let is_heading = (1..=6).contains(&level) && rest.starts_with([' ', '\t']);
        is_heading.then(|| SectionHeading { level, text: rest.trim(), ..heading })
    })
}

/// The sections of work packages below headings of level 2 and 3.
///
/// A section ends at the next work package's heading. The last one ends at the first later heading of
/// level 2 that is neither a work package's nor `Dependencies`. A repeated work package replaces the
/// earlier one.
pub fn work_package_sections(text: &str) -> Vec<TasksSection<'_>> {
    let all: Vec<_> = headings(text).filter(|heading| matches!(heading.level, 2 | 3)).collect();
    let packages: Vec<_> =
        all.iter().filter_map(|heading| Some((heading, title_of(heading.text)?))).collect();
    let mut sections: Vec<TasksSection<'_>> = Vec::with_capacity(packages.len());
    let (mut line, mut counted) = (1, 0);
    for (index, (heading, (wp_id, title))) in packages.iter().enumerate() {
        line += text[counted..heading.after].matches('\n').count();
        counted = heading.after;
        let end = match packages.get(index + 1) {
            Some((next, _)) => next.start,
            None => all
                .iter()
                .find(|other| other.start > heading.start && other.level == 2 && !is_dependencies(other.text))
                .map_or(text.len(), |other| other.start),
        };
        sections.retain(|section| section.wp_id != *wp_id);
        sections.push(TasksSection { wp_id: wp_id.clone(), title, body: &text[heading.after..end], line });
    }
    sections
}

/// The sections that requirement references are looked for in: below headings of level 2 to 4, and
/// including the rest of the heading line.
pub fn requirement_sections(text: &str) -> Vec<TasksSection<'_>> {
    let packages: Vec<_> = headings(text)
        .filter(|heading| (2..=4).contains(&heading.level))
        .filter_map(|heading| {
            let rest = without_prefix(heading.text);
            let id = wp_id_at(rest).filter(|id| id.starts_with("WP") && !word_continues(rest, id.len()))?;
            // Behind the id, in the coordinates of the whole text.
            let line = &text[heading.start..heading.after];
            let at = line.find(rest)? + id.len();
            Some((heading, id, heading.start + at))
        })
        .collect();
    let mut sections: Vec<TasksSection<'_>> = Vec::with_capacity(packages.len());
    let (mut line, mut counted) = (1, 0);
    for (index, (_, id, from)) in packages.iter().enumerate() {
        line += text[counted..*from].matches('\n').count();
        counted = *from;
        let end = packages.get(index + 1).map_or(text.len(), |(next, ..)| next.start);
        sections.retain(|section| section.wp_id != *id);
        sections.push(TasksSection { wp_id: (*id).to_owned(), title: "", body: &text[*from..end], line });
    }
    sections
}

fn without_prefix(text: &str) -> &str {
    text.strip_prefix("Work Package")
        .filter(|rest| rest.starts_with(char::is_whitespace))
        .map_or(text, str::trim_start)
}

fn is_dependencies(text: &str) -> bool {
    text.get(..12).is_some_and(|start| start.eq_ignore_ascii_case("dependencies"))
}

/// The work package a heading names, and the title behind it.
pub(super) fn title_of(text: &str) -> Option<(String, &str)> {
    let rest = without_prefix(text);
    if let Some(id) = wp_id_at(rest).filter(|id| id.starts_with("WP") && !word_continues(rest, id.len())) {
        return Some((id.to_owned(), title(&rest[id.len()..])));
    }
    if rest.len() == text.len() {
        return None;
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let tail = &rest[digits..];
    let ends = tail.is_empty() || tail.starts_with(['—', ':', '-']) || tail.starts_with(char::is_whitespace);
    ((1..=2).contains(&digits) && ends).then(|| (format!("WP{:0>2}", &rest[..digits]), title(tail)))
}

fn title(tail: &str) -> &str {
    tail.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '—' | '–' | ':' | '-')).trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_ends_at_next_work_package_or_chapter() {
        let text = "# T\n\n## WP01 - First\na\n#### WP09\nb\n### Work Package 2: Second\nc\n## Dependencies\nd\n## Appendix\ne\n";
        let found: Vec<_> = work_package_sections(text);
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].wp_id.as_str(), found[0].title, found[0].body),
            ("WP01", "First", "a\n#### WP09\nb\n")
        );
        assert_eq!((found[1].wp_id.as_str(), found[1].title), ("WP02", "Second"));
        assert_eq!((found[0].line, found[1].line), (4, 8));
        assert_eq!(found[1].body, "c\n## Dependencies\nd\n");
    }

    #[test]
    fn repeated_work_package_replaces_the_earlier_one() {
        let found = work_package_sections("## WP01\nold\n## WP02\n## WP01\nnew");
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].body, "new");
    }

    #[test]
    fn similar_headings_are_no_work_packages() {
        assert!(
            work_package_sections("## WP1\n## WP001\n##WP01\n## The WP01\n## Work Package 123\n").is_empty()
        );
    }
}
