//! Headings of `tasks.md` that a person means as work packages and that are not read as such, or are read twice.

use super::section::{headings, title_of};

/// Unusual headings of a text; each with its 1-based line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadingFindings {
    /// Headings that look like a work package and are not one: `## WP2`, `## WP003`, `## wp03`.
    pub unread: Vec<(usize, String)>,
    /// Second sections of a work package.
    pub repeated: Vec<(usize, String)>,
    /// Work packages that a later chapter names in a heading below its own: that heading hides the section.
    pub shadowed: Vec<(usize, String)>,
}

/// Looks for them.
pub(crate) fn heading_findings(text: &str) -> HeadingFindings {
    let mut found = HeadingFindings::default();
    let mut seen: Vec<String> = Vec::new();
    let (mut counted, mut line) = (0, 1);
    // Whether the nearest heading of level 2 is a chapter that is not a work package.
    let mut in_chapter = false;
    for heading in headings(text).filter(|heading| matches!(heading.level, 2 | 3)) {
        line += text[counted..heading.start].matches('\n').count();
        counted = heading.start;
        let id = title_of(heading.text).map(|(id, _)| id);
        match &id {
            None if looks_like_one(heading.text) => found.unread.push((line, heading.text.to_owned())),
            None => {}
            Some(id) if !seen.contains(id) => seen.push(id.clone()),
            Some(id) if heading.level == 3 && in_chapter => found.shadowed.push((line, id.clone())),
            Some(id) => found.repeated.push((line, id.clone())),
        }
        if heading.level == 2 {
            in_chapter = id.is_none();
        }
    }
    found
}

/// `WP` or `Work Package` in any case and a number.
fn looks_like_one(heading: &str) -> bool {
    let lower = heading.to_lowercase();
    let rest = lower.strip_prefix("work package").or_else(|| lower.strip_prefix("wp"));
    rest.is_some_and(|rest| {
        rest.trim_start_matches([' ', '\t', '-', '_', '#', '.']).starts_with(|c: char| c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heading_that_looks_like_a_work_package_is_found() {
        for heading in
            ["WP2 - x", "WP003", "WP100: x", "wp03 - x", "Work package 4", "Work Package 100", "WP-04"]
        {
            let found = heading_findings(&format!("# T\n\n## WP01\n\n## {heading}\n"));
            assert_eq!(found.unread, [(5, heading.to_owned())]);
        }
        for heading in ["WP02 - x", "Work Package 3: x", "Work packages", "WPA", "Overview of WP1"] {
            assert_eq!(heading_findings(&format!("## {heading}\n")), HeadingFindings::default(), "{heading}");
        }
    }

    #[test]
    fn second_section_is_found_and_a_mention_in_a_chapter_is_not_one() {
        let found = heading_findings("## WP01\n## WP02\n### WP01\n## Testing\n### WP02 (last)\n## WP02\n");
        assert_eq!(found.repeated, [(3, "WP01".to_owned()), (6, "WP02".to_owned())]);
        assert_eq!(found.shadowed, [(5, "WP02".to_owned())]);
    }
}
