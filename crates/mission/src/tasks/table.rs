//! Subtasks in pipe tables and in lists on one line: where `tasks.md` has no checkbox row for them.

use super::subtask::{Marked, SubtaskState};

/// Marks the table rows that have `id` as a whole cell: their status column becomes `[D]` or `[ ]`. A
/// table without a status column but with one called "Parallel" gets a cell at the end of the row.
pub fn mark_table_row(text: &str, id: &str, state: SubtaskState) -> Marked {
    let mark = if state == SubtaskState::Done { "[D]" } else { "[ ]" };
    let mut header: Vec<String> = Vec::new();
    let (mut out, mut found, mut changed) = (String::with_capacity(text.len() + 8), false, false);
    for line in text.split_inclusive('\n') {
        let Some(cells) = cells(line) else {
            header.clear();
            out.push_str(line);
            continue;
        };
        if header.is_empty() {
            header = cells.iter().map(|cell| cell.to_lowercase()).collect();
        }
        let new = cells.contains(&id).then(|| marked_row(&header, &cells, mark)).flatten();
        found |= new.is_some();
        match new.filter(|new| new.trim() != line.trim()) {
            Some(new) => {
                changed = true;
                out.push_str(&new);
                out.push_str(&line[line.trim_end_matches(['\r', '\n']).len()..]);
            }
            None => out.push_str(line),
        }
    }
    match (found, changed) {
        (false, _) => Marked::NotFound,
        (true, false) => Marked::Already,
        (true, true) => Marked::Changed(out),
    }
}

/// The cells of a table row.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?;
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    Some(inner.split('|').map(str::trim).collect())
}

fn marked_row(header: &[String], cells: &[&str], mark: &str) -> Option<String> {
    let column = |name: &str| header.iter().position(|cell| cell.contains(name));
    let mut cells: Vec<&str> = cells.to_vec();
    match (column("status"), column("parallel")) {
        (Some(status), _) => *cells.get_mut(status)? = mark,
        (None, Some(_)) if cells.len() > header.len() => *cells.last_mut()? = mark,
        (None, Some(_)) => cells.push(mark),
        (None, None) => return None,
    }
    Some(format!("| {} |", cells.join(" | ")))
}

/// Puts a checkbox row below the line `Subtasks: T001, T002` that names `id`.
pub(crate) fn mark_listed(text: &str, id: &str, state: SubtaskState) -> Marked {
    let mark = if state == SubtaskState::Done { "[x]" } else { "[ ]" };
    let (mut out, mut found) = (String::with_capacity(text.len() + 16), false);
    for line in text.split_inclusive('\n') {
        out.push_str(line);
        if !found && names(line, id) {
            found = true;
            if !line.ends_with('\n') {
                out.push('\n');
            }
            out.push_str(&format!("- {mark} {id}\n"));
        }
    }
    if found { Marked::Changed(out) } else { Marked::NotFound }
}

/// Whether a line lists subtasks, `id` among them.
fn names(line: &str, id: &str) -> bool {
    let bare = line.trim().trim_start_matches(['*', '-', ' ']);
    let label = bare.get(..8).filter(|label| label.eq_ignore_ascii_case("subtasks"));
    let list = label.and_then(|_| bare[8..].trim_start_matches('*').trim_start().strip_prefix(':'));
    list.is_some_and(|list| list.trim_start_matches('*').split([',', ' ']).any(|item| item.trim() == id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_column_is_set_and_nothing_else() {
        let text = "| ID | What | Status |\n|---|---|---|\n| T001 | a | [ ] |\n| T0011 | b | [ ] |\nend";
        let Marked::Changed(done) = mark_table_row(text, "T001", SubtaskState::Done) else { panic!() };
        assert_eq!(done, text.replace("| T001 | a | [ ] |", "| T001 | a | [D] |"));
        assert_eq!(mark_table_row(&done, "T001", SubtaskState::Done), Marked::Already);
        assert_eq!(mark_table_row(text, "T009", SubtaskState::Done), Marked::NotFound);
        assert_eq!(
            mark_table_row("| ID | What |\n|---|---|\n| T001 | a |\n", "T001", SubtaskState::Done),
            Marked::NotFound
        );
    }

    #[test]
    fn parallel_table_gets_one_more_cell_once() {
        let text = "| ID | Parallel |\n|---|---|\n| T001 | yes |\n";
        let Marked::Changed(done) = mark_table_row(text, "T001", SubtaskState::Done) else { panic!() };
        assert!(done.contains("| T001 | yes | [D] |"));
        assert_eq!(mark_table_row(&done, "T001", SubtaskState::Done), Marked::Already);
    }

    #[test]
    fn listed_subtask_gets_a_row_of_its_own() {
        let Marked::Changed(done) = mark_listed("**Subtasks**: T001, T002\nx\n", "T002", SubtaskState::Done)
        else {
            panic!()
        };
        assert_eq!(done, "**Subtasks**: T001, T002\n- [x] T002\nx\n");
        assert_eq!(mark_listed("Subtasks: T0011", "T001", SubtaskState::Done), Marked::NotFound);
    }
}
