//! `docs/proof.md` has every requirement, invariant and scenario, and names tests that exist.

use std::path::{Path, PathBuf};

const REQUIREMENTS: [&str; 26] = [
    "FR-001", "FR-002", "FR-003", "FR-004", "FR-005", "FR-006", "FR-007", "FR-008", "FR-009", "FR-010",
    "FR-101", "FR-102", "FR-103", "FR-104", "FR-105", "FR-106", "NFR-001", "NFR-002", "NFR-003", "NFR-004",
    "NFR-005", "C-002", "C-003", "C-004", "C-005", "C-008",
];
const SCENARIOS: usize = 15;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace root").to_owned()
}

/// The rows of the page's tables with an id: id and the cell of tests.
fn rows() -> Vec<(String, String)> {
    let page = std::fs::read_to_string(root().join("docs/proof.md")).expect("docs/proof.md");
    page.lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
            (cells.len() == 3 && cells[0] != "id").then(|| (cells[0].to_owned(), cells[2].to_owned()))
        })
        .collect()
}

/// Whether `source` has a test of this name.
fn has_test(source: &str, name: &str) -> bool {
    source.match_indices(&format!("fn {name}(")).any(|(at, _)| {
        let before: Vec<&str> = source[..at].lines().rev().take(8).collect();
        before.iter().any(|line| {
            line.contains("#[test]") || line.contains("#[rstest]") || line.contains("#[tokio::test")
        })
    })
}

#[test]
fn every_requirement_invariant_and_scenario_has_a_row() {
    let architecture = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let invariants = architecture.lines().filter(|line| {
        line.strip_prefix("| ")
            .and_then(|rest| rest.split(' ').next())
            .is_some_and(|id| id.parse::<u32>().is_ok())
    });
    let mut expected: Vec<String> = REQUIREMENTS.map(str::to_owned).to_vec();
    expected.extend((1..=invariants.count()).map(|number| number.to_string()));
    expected.extend((1..=SCENARIOS).map(|number| format!("S{number}")));
    let found: Vec<String> = rows().into_iter().map(|(id, _)| id).collect();
    assert_eq!(found, expected);
}

#[test]
fn every_named_test_exists() {
    let mut named = 0;
    for (id, cell) in rows() {
        assert!(!cell.trim().is_empty(), "{id} has no test");
        // `file.rs`: `test`, `test`; `file.rs`: `test`
        let mut file = String::new();
        let mut source = String::new();
        for text in cell.split('`').skip(1).step_by(2) {
            if text.contains('/') {
                let path = if text.starts_with('.') && !text.starts_with("..") {
                    root().join(text)
                } else {
                    root().join("crates").join(text)
                };
                assert!(path.exists(), "{id}: {text} does not exist");
                file = text.to_owned();
                source = std::fs::read_to_string(&path).expect("a file");
            } else {
                assert!(has_test(&source, text), "{id}: {file} has no test {text}");
                named += 1;
            }
        }
    }
    assert!(named > 60, "only {named} tests are named");
}
