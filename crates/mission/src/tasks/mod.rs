//! `tasks.md`: sections, dependencies, requirement references and subtask rows.
//!
//! Pure: text in, facts out. The file is written by people and by language models, so nothing in it is
//! an error here; what a section does not declare is absent. Every scan is linear in the length
//! of the text.
//!
//! | module | owns |
//! |---|---|
//! | [`section`] | headings, and the text below them |
//! | [`dependency`] | which work packages a section depends on |
//! | [`requirement`] | which requirements a section or a spec names |
//! | `prose` | a text without its code blocks and comments |
//! | `heading_check` | headings that are not read, or read twice |
//! | [`subtask`] | checkbox rows: reading and ticking them |
//! | [`table`] | subtasks without a checkbox row |

pub mod dependency;
mod heading_check;
pub(crate) mod prose;
pub mod requirement;
pub mod section;
pub mod subtask;
pub mod table;

pub use dependency::dependencies;
pub use heading_check::HeadingFindings;
pub(crate) use heading_check::heading_findings;
pub(crate) use requirement::requirement_line;
pub use requirement::{SpecRequirements, is_functional, references, spec_requirements};
pub use section::{TasksSection, requirement_sections, work_package_sections};
pub(crate) use subtask::box_state;
pub use subtask::{
    Marked, Subtask, SubtaskState, mark_subtask, owner_of_subtask, subtasks, subtasks_are_complete,
    unchecked_subtasks,
};
pub(crate) use table::mark_listed;
pub use table::mark_table_row;

use std::collections::BTreeMap;

/// The file's name in a mission directory.
pub const FILE: &str = "tasks.md";

/// Dependencies in `tasks.md`: work package id to the ids it depends on, in the order of
/// the text.
pub fn dependency_graph(text: &str) -> BTreeMap<String, Vec<String>> {
    work_package_sections(text)
        .into_iter()
        .map(|section| (section.wp_id, dependencies(section.body)))
        .collect()
}

/// Lines of `tasks.md` that begin like a dependency and are not read: the work package of the section, the
/// 1-based line, and the line.
pub fn unread_dependencies(text: &str) -> Vec<(String, usize, String)> {
    let sections = work_package_sections(text).into_iter();
    sections
        .flat_map(|section| {
            let unread = dependency::stated(section.body).unread.into_iter();
            unread.map(move |(line, shown)| (section.wp_id.clone(), section.line + line - 1, shown))
        })
        .collect()
}

/// Requirements in `tasks.md`: work package id to the requirements it names.
pub fn requirement_graph(text: &str) -> BTreeMap<String, Vec<String>> {
    requirement_sections(text)
        .into_iter()
        .map(|section| (section.wp_id, requirement_line(section.body)))
        .collect()
}

/// `WP` and at least two digits, anywhere in front of `text`: the id and its length in bytes.
fn wp_id_at(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let is_id = bytes.len() >= 4
        && bytes[..2].eq_ignore_ascii_case(b"WP")
        && bytes[2..4].iter().all(u8::is_ascii_digit);
    is_id.then(|| &text[..4])
}

/// Whether a word character follows the first `at` bytes of `text`.
fn word_continues(text: &str, at: usize) -> bool {
    text[at..].chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_')
}
