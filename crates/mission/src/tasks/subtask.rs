//! Subtask rows: `- [ ] T001 text`, `- [x] T001 text`, and `- ✅ T001 text`.

use super::section::headings;

/// Whether a subtask is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SubtaskState {
    /// `[ ]`
    Pending,
    /// `[x]`, `[X]` or `✅`
    Done,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subtask<'a> {
    /// Its first word: `T001`, usually.
    pub id: &'a str,
    /// Whether it is done.
    pub state: SubtaskState,
    /// The rest of the row.
    pub text: &'a str,
}

/// Result of marking the rows of one subtask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marked {
    /// The text with the rows changed.
    Changed(String),
    /// Every row had the state already.
    Already,
    /// There is no row.
    NotFound,
}

fn row(line: &str) -> Option<Subtask<'_>> {
    let rest = line.trim_start().strip_prefix(['-', '*'])?.trim_start();
    let (state, rest) = match rest.strip_prefix('✅') {
        Some(rest) => (SubtaskState::Done, rest),
        None => {
            let (mark, rest) = rest.strip_prefix('[')?.split_once(']')?;
            match mark.trim() {
                "" => (SubtaskState::Pending, rest),
                "x" | "X" => (SubtaskState::Done, rest),
                _ => return None,
            }
        }
    };
    let rest = rest.trim();
    let (id, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    Some(Subtask { id, state, text: text.trim_start() })
}

/// The subtask rows of a section.
pub fn subtasks(section: &str) -> impl Iterator<Item = Subtask<'_>> {
    section.lines().filter_map(row)
}

/// The part of the text below the first heading (level 2 to 4) that names `wp_id`, up to the next
/// heading that does not name it and for which `ends` is true.
fn part<'a>(text: &'a str, wp_id: &str, ends: impl Fn(&str) -> bool) -> Option<&'a str> {
    let mut headings = headings(text).filter(|heading| (2..=4).contains(&heading.level));
    let own = headings.find(|heading| names(heading.text, wp_id))?;
    let end = headings
        .find(|heading| !names(heading.text, wp_id) && ends(heading.text))
        .map_or(text.len(), |heading| heading.start);
    Some(&text[own.after..end])
}

fn names(heading: &str, wp_id: &str) -> bool {
    heading.match_indices(wp_id).any(|(at, _)| {
        let before = heading[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
            && !super::word_continues(heading, at + wp_id.len())
    })
}

fn names_any(heading: &str) -> bool {
    heading
        .char_indices()
        .any(|(at, _)| super::wp_id_at(&heading[at..]).is_some_and(|id| id.starts_with("WP")))
}

/// The ids of the rows of a work package that are not done; none when `tasks.md` has no section of it.
pub fn unchecked_subtasks(text: &str, wp_id: &str) -> Vec<String> {
    let section = part(text, wp_id, names_any).unwrap_or_default();
    subtasks(section).filter(|row| row.state == SubtaskState::Pending).map(|row| row.id.to_owned()).collect()
}

/// Whether a work package has no row left to do, as far as its own heading reaches: a section that
/// ends at any heading. Without a section there is nothing left to do.
pub fn subtasks_are_complete(text: &str, wp_id: &str) -> bool {
    let section = part(text, wp_id, |_| true).unwrap_or_default();
    subtasks(section).all(|row| row.state == SubtaskState::Done)
}

/// The work package whose section contains the subtask `id`, in any form.
pub fn owner_of_subtask(text: &str, id: &str) -> Option<String> {
    let contains = |body: &str| names(body, id);
    super::work_package_sections(text)
        .into_iter()
        .find(|section| contains(section.body))
        .map(|section| section.wp_id)
}

/// State of the rows of the subtask `id`: done when each of them is; nothing without a row.
pub(crate) fn box_state(text: &str, id: &str) -> Option<SubtaskState> {
    let mut rows = subtasks(text).filter(|row| is_named(row.id, id)).peekable();
    rows.peek()?;
    let is_done = rows.all(|row| row.state == SubtaskState::Done);
    Some(if is_done { SubtaskState::Done } else { SubtaskState::Pending })
}

/// Whether a row's first word is the id, a separator behind it aside.
fn is_named(word: &str, id: &str) -> bool {
    word.trim_matches('*').trim_end_matches([':', '.']).trim_matches('*') == id
}

/// Marks every row of the subtask `id`; the rest of the text stays byte for byte.
pub fn mark_subtask(text: &str, id: &str, state: SubtaskState) -> Marked {
    let (mut out, mut found, mut changed) = (String::with_capacity(text.len() + 8), false, false);
    for line in text.split_inclusive('\n') {
        match row(line).filter(|row| is_named(row.id, id)) {
            Some(row) if row.state != state => {
                (found, changed) = (true, true);
                out.push_str(&remark(line, state));
            }
            row => {
                found |= row.is_some();
                out.push_str(line);
            }
        }
    }
    match (found, changed) {
        (false, _) => Marked::NotFound,
        (true, false) => Marked::Already,
        (true, true) => Marked::Changed(out),
    }
}

/// `line` with the mark of `state`.
fn remark(line: &str, state: SubtaskState) -> String {
    let mark = if state == SubtaskState::Done { "[x]" } else { "[ ]" };
    match line.split_once('✅') {
        Some((before, after)) if row(line).is_some_and(|_| before.trim().len() == 1) => {
            format!("{before}{mark}{after}")
        }
        _ => match line.split_once('[').and_then(|(before, rest)| Some((before, rest.split_once(']')?.1))) {
            Some((before, after)) => format!("{before}{mark}{after}"),
            None => line.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_marks_are_known_and_a_link_is_none_of_them() {
        let rows: Vec<_> =
            subtasks("- [ ] T001 a\n  - [X] T002 b\n- ✅ T003 c\n- [a](b)\ntext\n- [] T004").collect();
        let states: Vec<_> = rows.iter().map(|row| (row.id, row.state)).collect();
        assert_eq!(
            states,
            [
                ("T001", SubtaskState::Pending),
                ("T002", SubtaskState::Done),
                ("T003", SubtaskState::Done),
                ("T004", SubtaskState::Pending)
            ]
        );
    }

    #[test]
    fn marking_changes_the_mark_and_nothing_else() {
        let text = "## WP01\r\n- [ ] T001 a [x]\r\n- ✅ T002 b\r\n";
        let Marked::Changed(done) = mark_subtask(text, "T001", SubtaskState::Done) else { panic!() };
        assert_eq!(done, text.replace("- [ ]", "- [x]"));
        assert_eq!(mark_subtask(text, "T002", SubtaskState::Done), Marked::Already);
        let Marked::Changed(pending) = mark_subtask(text, "T002", SubtaskState::Pending) else { panic!() };
        assert_eq!(pending, text.replace('✅', "[ ]"));
        assert_eq!(mark_subtask(text, "T00", SubtaskState::Done), Marked::NotFound);
    }

    #[test]
    fn section_without_rows_is_complete() {
        assert!(subtasks_are_complete("", "WP01"));
        assert!(subtasks_are_complete("## WP01\n#### Later\n- [ ] T001", "WP01"));
        assert_eq!(
            unchecked_subtasks("## WP01\n#### Later\n- [ ] T001\n## WP02\n- [ ] T002", "WP01"),
            ["T001"]
        );
    }
}
