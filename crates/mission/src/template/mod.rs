//! The documents a mission starts with.
//!
//! A project may bring its own in `.kittify/templates/` or `templates/`; otherwise the built-in ones
//! are used. Invariant, tested: a built-in template counts as hollow until it is filled in.

use crate::document::{MAX_TEXT, read_text_anywhere};
use crate::error::Result;
use std::path::Path;

const SPEC: &str = include_str!("spec-template.md");
const PLAN: &str = include_str!("plan-template.md");
const TASKS_README: &str = include_str!("tasks-readme.md");

/// Directories of a project's own templates, in the order of the search.
const PROJECT_DIRECTORIES: [&str; 2] = [".kittify/templates", "templates"];

/// The text `spec.md` starts with.
pub(crate) fn read_spec_template(root: &Path) -> Result<String> {
    read_template(root, "spec-template.md", SPEC)
}

/// The text `plan.md` starts with.
pub(crate) fn read_plan_template(root: &Path) -> Result<String> {
    read_template(root, "plan-template.md", PLAN)
}

/// The text of `tasks/README.md`.
pub(crate) const fn tasks_readme() -> &'static str {
    TASKS_README
}

fn read_template(root: &Path, name: &str, built_in: &str) -> Result<String> {
    for directory in PROJECT_DIRECTORIES {
        if let Some(text) = read_text_anywhere(&root.join(directory).join(name), MAX_TEXT)? {
            return Ok(text);
        }
    }
    Ok(built_in.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placeholder_check::{plan_is_substantive, spec_is_substantive};

    #[test]
    fn built_in_template_is_a_placeholder() {
        assert!(!spec_is_substantive(SPEC));
        assert!(!plan_is_substantive(PLAN));
    }

    #[test]
    fn filled_in_template_is_no_placeholder() {
        let spec = SPEC
            .replace("[Short title]", "Log in")
            .replace("[NEEDS CLARIFICATION: what must it do?]", "Ask for a name.");
        assert!(spec_is_substantive(&spec));
        let plan = PLAN
            .replace("[NEEDS CLARIFICATION: which language and version?]", "Rust 1.95")
            .replace("[NEEDS CLARIFICATION: which libraries?]", "none");
        assert!(plan_is_substantive(&plan));
    }

    #[test]
    fn project_brings_its_own() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(read_plan_template(root.path()).unwrap(), PLAN);
        std::fs::create_dir_all(root.path().join("templates")).unwrap();
        std::fs::write(root.path().join("templates/plan-template.md"), "ours").unwrap();
        assert_eq!(read_plan_template(root.path()).unwrap(), "ours");
        std::fs::create_dir_all(root.path().join(".kittify/templates")).unwrap();
        std::fs::write(root.path().join(".kittify/templates/plan-template.md"), "ours first").unwrap();
        assert_eq!(read_plan_template(root.path()).unwrap(), "ours first");
    }
}
