//! Ids of work packages, and their files.

use crate::document::read_names;
use crate::error::{MissionError, Result};
use std::path::{Path, PathBuf};

/// Whether `text` is a work package id as events accept it: `WP` and exactly two digits.
pub(crate) fn is_wp_id(text: &str) -> bool {
    matches!(text.as_bytes(), [b'W', b'P', a, b] if a.is_ascii_digit() && b.is_ascii_digit())
}

/// The work package id that a file name begins with: `WPnn` followed by `-`, `_`, `.` or nothing.
pub(crate) fn id_of_file(name: &str) -> Option<&str> {
    let id = name.get(..4).filter(|id| is_wp_id(id))?;
    let rest = name.strip_suffix(".md")?.get(4..)?;
    (rest.is_empty() || rest.starts_with(['-', '_', '.'])).then_some(id)
}

/// The work package files of a mission, by name.
pub fn read_wp_files(mission_dir: &Path) -> Result<Vec<PathBuf>> {
    let directory = mission_dir.join("tasks");
    let names = read_names(&directory)?;
    Ok(names.into_iter().filter(|name| id_of_file(name).is_some()).map(|name| directory.join(name)).collect())
}

/// The file of one work package; an error when several claim to be it.
pub(crate) fn find_wp_file(mission_dir: &Path, wp_id: &str) -> Result<Option<PathBuf>> {
    let directory = mission_dir.join("tasks");
    let mut names: Vec<_> =
        read_names(&directory)?.into_iter().filter(|name| id_of_file(name) == Some(wp_id)).collect();
    match (names.pop(), names.pop()) {
        (Some(a), Some(b)) => {
            Err(MissionError::malformed(&directory, format!("has two files of {wp_id}: {b} and {a}")))
        }
        (found, _) => Ok(found.map(|name| directory.join(name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_belongs_to_the_id_it_begins_with() {
        assert_eq!(id_of_file("WP01-x.md"), Some("WP01"));
        assert_eq!(id_of_file("WP01.md"), Some("WP01"));
        for other in ["WP1-x.md", "WP012.md", "WP01x.md", "wp01-x.md", "WP01-x.txt", "README.md", "WP0é.md"]
        {
            assert_eq!(id_of_file(other), None, "{other}");
        }
    }

    #[test]
    fn two_files_of_one_work_package_are_named() {
        let world = tempfile::tempdir().unwrap();
        std::fs::create_dir(world.path().join("tasks")).unwrap();
        assert_eq!(find_wp_file(world.path(), "WP01").unwrap(), None);
        for name in ["WP01-a.md", "WP01-b.md"] {
            std::fs::write(world.path().join("tasks").join(name), "").unwrap();
        }
        let message = find_wp_file(world.path(), "WP01").unwrap_err().to_string();
        assert!(message.contains("WP01-a.md and WP01-b.md"), "{message}");
    }
}
