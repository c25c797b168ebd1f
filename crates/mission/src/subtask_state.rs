//! State of the subtasks of a work package, as the dialect of its mission keeps it.
//!
//! Pure. In an rc11 mission the boxes of `tasks.md` decide. In a current mission the front matter lists the subtasks.
//! A subtask is done by the log or by its box, because other releases read only the log, and people the box.

use crate::dialect::Dialect;
use crate::front_matter::WorkPackage;
use crate::snapshot::Snapshot;
use crate::tasks::{SubtaskState, box_state, subtasks_are_complete, unchecked_subtasks};

/// The slot of the log that has the state of each subtask.
pub(crate) const SLOT: &str = "subtasks";

/// Subtasks of a work package that are open, or whose log and box differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subtasks {
    /// Subtasks that are not done, in their order.
    pub(crate) open: Vec<String>,
    /// Of the others, those whose log and box differ.
    pub(crate) differing: Vec<String>,
    /// Whether the front matter of a current mission lacks the list.
    pub(crate) is_unlisted: bool,
}

impl Subtasks {
    /// Looks at one work package; `wp` is its file.
    pub(crate) fn of(snapshot: &Snapshot, wp_id: &str, wp: Option<&WorkPackage>, tasks_md: &str) -> Self {
        if snapshot.dialect() == Dialect::Rc11 {
            return Self { open: unchecked_subtasks(tasks_md, wp_id), ..Self::default() };
        }
        let roster = wp.and_then(WorkPackage::subtasks);
        let mut found = Self { is_unlisted: roster.is_none(), ..Self::default() };
        for id in roster.unwrap_or_default() {
            let logged = is_done(snapshot, wp_id, &id);
            let ticked = box_state(tasks_md, &id) == Some(SubtaskState::Done);
            match (logged, ticked) {
                (false, false) => found.open.push(id),
                (true, true) => {}
                _ => found.differing.push(id),
            }
        }
        found
    }

    /// Whether nothing is left, for a command that judges one move. In an rc11 mission a section ends at any
    /// heading then.
    pub(crate) fn are_complete(
        snapshot: &Snapshot,
        wp_id: &str,
        wp: Option<&WorkPackage>,
        tasks_md: &str,
    ) -> bool {
        match snapshot.dialect() {
            Dialect::Rc11 => subtasks_are_complete(tasks_md, wp_id),
            Dialect::Current => Self::of(snapshot, wp_id, wp, tasks_md).open.is_empty(),
        }
    }

    /// The open ones, and where log and boxes differ, for an error.
    pub(crate) fn describe(&self) -> String {
        let open = self.open.join(", ");
        if self.differing.is_empty() {
            return open;
        }
        let differing = self.differing.join(", ");
        format!("{open}; done by either the log or the box of tasks.md, not by both: {differing}")
    }

    /// Warning about the list.
    pub(crate) fn warning(&self, wp_id: &str) -> Option<String> {
        self.is_unlisted.then(|| {
            format!("{wp_id}: the front matter has no `subtasks`, so no subtask is asked for: list them, or write `subtasks: []`")
        })
    }
}

/// Whether a subtask is done by the log.
pub(crate) fn is_done(snapshot: &Snapshot, wp_id: &str, id: &str) -> bool {
    let slot = snapshot.slot(wp_id, SLOT).and_then(|subtasks| subtasks.get(id));
    slot.and_then(serde_json::Value::as_str) == Some("done")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;
    use crate::snapshot::reduce;
    use std::path::Path;

    const LOG: &str = r#"{"actor": "a", "at": "2026-08-01T10:00:00Z", "delta": {"subtasks": {"T001": "done", "T002": "planned", "T003": "done"}}, "event_id": "01KZ0000000000000000000001", "kind": "annotation", "wp_id": "WP01"}"#;

    fn look(roster: &str, tasks_md: &str) -> Subtasks {
        let snapshot = reduce(&[&Log::parse(Path::new("log"), LOG.as_bytes())], Dialect::Current);
        let file = format!("---\nwork_package_id: WP01\n{roster}---\n");
        let wp = WorkPackage::parse(Path::new("wp"), file).unwrap();
        Subtasks::of(&snapshot, "WP01", Some(&wp), tasks_md)
    }

    #[test]
    fn log_or_box_marks_done_and_the_difference_is_named() {
        let found = look(
            "subtasks: [T001, ' T002 ', T003, T004, T001]\n",
            "## WP01\n- [x] T001\n- [x] T002\n- [ ] T003\n- [ ] T005\n",
        );
        assert_eq!(found.open, ["T004"]);
        assert_eq!(found.differing, ["T002", "T003"]);
        assert!(found.describe().starts_with("T004; done by either"), "{}", found.describe());
    }

    #[test]
    fn missing_list_asks_for_nothing_and_is_warned_of() {
        let tasks_md = "## WP01\n- [ ] T009\n";
        assert!(look("", tasks_md).warning("WP01").unwrap().contains("no `subtasks`"));
        assert_eq!(look("subtasks: []\n", tasks_md), Subtasks::default());
        assert!(look("", tasks_md).open.is_empty());
    }
}
