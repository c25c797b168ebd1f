//! The planning documents as a command may rely on them: `spec.md`, `plan.md`, `tasks.md` and the names of the
//! work package files. What lies in those files is read by [`crate::front_matter`].
//!
//! Reads only. A document in the middle of a merge, or with two sections of one work package, is an error for a
//! command that relies on it. It is a warning for a command that only shows it.

use crate::conflict;
use crate::document::{MAX_TEXT, read_names, read_text};
use crate::error::{MissionError, Result, chain};
use crate::tasks::{self, heading_findings};
use crate::work_package::id_of_file;
use std::path::{Path, PathBuf};

/// The documents that are judged.
const DOCUMENTS: [&str; 3] = ["spec.md", "plan.md", tasks::FILE];

/// Reads a planning document of a mission that a command relies on; nothing when there is none.
pub(crate) fn read_planning(mission_dir: &Path, name: &str) -> Result<Option<String>> {
    let path = mission_dir.join(name);
    let text = read_text(&path, MAX_TEXT)?;
    match text.as_deref().and_then(|text| errors(&path, name, text).into_iter().next()) {
        Some(error) => Err(error),
        None => Ok(text),
    }
}

/// Errors that make a document unusable, in the order of its lines.
fn errors(path: &Path, name: &str, text: &str) -> Vec<MissionError> {
    let markers = conflict::marker_lines(text);
    let mut errors: Vec<MissionError> =
        markers.map(|line| MissionError::malformed_line(path, line, conflict::PROBLEM)).collect();
    if name == tasks::FILE {
        errors.extend(heading_findings(text).repeated.into_iter().map(|(line, id)| {
            let problem = format!("is a second section of {id}: keep one section for each work package");
            MissionError::malformed_line(path, line, problem)
        }));
    }
    errors
}

/// Errors in the planning documents of a mission, and warnings about what is not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DocumentFindings {
    /// Errors, which a command that relies on the documents refuses.
    pub(crate) errors: Vec<String>,
    /// Warnings about parts that are not read.
    pub(crate) warnings: Vec<String>,
}

/// Looks at all planning documents of a mission.
pub(crate) fn read_findings(mission_dir: &Path) -> DocumentFindings {
    let mut found = DocumentFindings::default();
    for name in DOCUMENTS {
        let path = mission_dir.join(name);
        match read_text(&path, MAX_TEXT) {
            Ok(None) => {}
            Ok(Some(text)) => {
                found.errors.extend(errors(&path, name, &text).iter().map(chain_of));
                if name == tasks::FILE {
                    found.warnings.extend(heading_warnings(&path, &text));
                }
            }
            Err(error) => found.errors.push(chain(&error)),
        }
    }
    match unread_files(mission_dir) {
        Ok(unread) => found.warnings.extend(unread.iter().map(|path| unread_file(path))),
        Err(error) => found.errors.push(chain(&error)),
    }
    found
}

fn chain_of(error: &MissionError) -> String {
    chain(error)
}

/// Headings of `tasks.md` that are not read, or that hide a section.
pub(crate) fn heading_warnings(path: &Path, text: &str) -> Vec<String> {
    let shown = contract::text::path(path);
    let found = heading_findings(text);
    let unread = found.unread.into_iter().map(|(line, heading)| {
        let heading = contract::text::printable(&heading).into_owned();
        format!("{shown} line {line}: heading `{heading}` is not read as a work package: write it like `WP01 - Title`")
    });
    let shadowed = found.shadowed.into_iter().map(|(line, id)| {
        format!("{shown} line {line}: this heading is read instead of the earlier section of {id}")
    });
    unread.chain(shadowed).collect()
}

/// Files in `tasks/` that look like a work package and are not read: `WP2-x.md`, `WP003.md`, `wp03-x.md`.
pub(crate) fn unread_files(mission_dir: &Path) -> Result<Vec<PathBuf>> {
    let directory = mission_dir.join("tasks");
    let names = read_names(&directory)?;
    let unread = names.into_iter().filter(|name| looks_like_one(name) && id_of_file(name).is_none());
    Ok(unread.map(|name| directory.join(name)).filter(|path| !path.is_dir()).collect())
}

fn looks_like_one(name: &str) -> bool {
    let lower = name.to_lowercase();
    let numbered = lower.strip_prefix("wp").map(|rest| rest.trim_start_matches(['-', '_', ' ', '.']));
    (lower.ends_with(".md") || lower.ends_with(".markdown"))
        && numbered.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn unread_file(path: &Path) -> String {
    format!(
        "{} looks like a work package and is not read: name it like WP01-title.md",
        contract::text::path(path)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_that_looks_like_a_work_package_is_found() {
        let world = tempfile::tempdir().unwrap();
        let tasks = world.path().join("tasks");
        std::fs::create_dir_all(tasks.join("WP01-x")).unwrap();
        let unread = ["WP003.md", "WP02-x.MD", "WP1-x.md", "WP100-x.md", "wp_03.md"];
        for name in unread.into_iter().chain(["WP01-x.md", "README.md", "WP07.md.bak", "wps.md"]) {
            std::fs::write(tasks.join(name), "").unwrap();
        }
        let found = unread_files(world.path()).unwrap();
        let names: Vec<_> = found.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, unread);
    }

    #[test]
    fn document_in_a_merge_is_an_error_that_names_the_line() {
        let world = tempfile::tempdir().unwrap();
        for (name, text, line) in [
            ("plan.md", "a\n<<<<<<< HEAD\nb\n", 2),
            ("spec.md", "Title\n=======\n\n>>>>>>> side\n", 4),
            ("tasks.md", "||||||| base\n", 1),
            ("tasks.md", "## WP01\n\n## WP01\n", 3),
        ] {
            std::fs::write(world.path().join(name), text).unwrap();
            let error = read_planning(world.path(), name).unwrap_err().to_string();
            assert!(error.contains(&format!("{name} line {line}: is a ")), "{error}");
        }
        std::fs::write(world.path().join("plan.md"), "Title\n=======\n<<<<<<<<< nine\n").unwrap();
        assert!(read_planning(world.path(), "plan.md").unwrap().is_some());
    }
}
