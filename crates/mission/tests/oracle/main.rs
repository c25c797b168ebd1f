//! The reference's own missions and what it computed from them. The data lies beside the project and
//! is not part of it: the tests are ignored, and `.ci/run` runs them.

// Tests print what agrees, and fail by unwrapping.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod coordination;
mod current;
mod decisions;
mod dossier;
mod finalize;
mod lanes;
mod merges;
mod ownership;
mod planning;
mod status;
mod tasks;
mod transitions;

use serde_json::Value;
use std::path::{Path, PathBuf};
use testkit::shared;

/// One mission with what the reference computed from it.
struct Case {
    mission: String,
    directory: PathBuf,
    expected: Value,
}

/// The cases of one oracle.
fn cases(oracle: &str) -> Vec<Case> {
    let shared = shared();
    let entries = std::fs::read_dir(shared.join("oracle").join(oracle)).expect("the recorded data");
    let mut cases: Vec<Case> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let mission = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let expected = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            Case { directory: shared.join("corpus").join(&mission), mission, expected }
        })
        .collect();
    cases.sort_by(|a, b| a.mission.cmp(&b.mission));
    assert!(!cases.is_empty());
    cases
}

/// The bytes of a recorded file. A link to the other data set may have been unpacked as its text.
fn recorded(path: &Path) -> Option<Vec<u8>> {
    let bytes = std::fs::read(path).ok()?;
    let link = Some(&bytes).filter(|bytes| bytes.starts_with(b"../") && bytes.len() < 1024);
    let target = link.and_then(|bytes| std::str::from_utf8(bytes).ok()).and_then(|text| {
        let target = path.parent()?.join(text.trim_end());
        target.is_file().then_some(target)
    });
    Some(match target {
        Some(target) => std::fs::read(target).unwrap(),
        None => bytes,
    })
}

/// Prints `N of M agree`; fails with the names of those that differ, or when the page has other numbers.
fn report(what: &str, total: usize, differing: &[String]) {
    println!("{what}: {} of {total} agree", total - differing.len());
    assert!(differing.is_empty(), "{what} differ:\n{}", differing.join("\n"));
    let stated = format!("{total} of {total}");
    assert!(page().contains(&stated), "docs/compatibility.md does not contain `{stated}` ({what})");
}

/// Prints how often a deliberate difference occurs, and fails when the row of the page that begins like
/// `row` has another number.
fn deliberate(row: &str, count: &str) {
    println!("differs on purpose: {row}: {count}");
    let page = page();
    let line = page.lines().find(|line| line.starts_with(&format!("| {row}")));
    let line = line.unwrap_or_else(|| panic!("docs/compatibility.md has no row `{row}`"));
    assert!(line.contains(&format!("({count})")), "`{row}` occurs {count} times, the page has: {line}");
}

/// The page of deliberate differences.
fn page() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/compatibility.md");
    std::fs::read_to_string(page).unwrap()
}
