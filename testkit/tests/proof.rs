//! `docs/proof.md` has every requirement, invariant and scenario; it and `docs/security.md` name tests that exist.
//! CONTRIBUTING.md has the reasons of the tests that are ignored.

use std::path::{Path, PathBuf};

const REQUIREMENTS: [&str; 26] = [
    "FR-001", "FR-002", "FR-003", "FR-004", "FR-005", "FR-006", "FR-007", "FR-008", "FR-009", "FR-010",
    "FR-101", "FR-102", "FR-103", "FR-104", "FR-105", "FR-106", "NFR-001", "NFR-002", "NFR-003", "NFR-004",
    "NFR-005", "C-002", "C-003", "C-004", "C-005", "C-008",
];
const PROOF: &str = "docs/proof.md";
const SCENARIOS: usize = 15;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace root").to_owned()
}

/// The rows of a page's tables with an id: id and the cell of tests.
fn rows(page: &str) -> Vec<(String, String)> {
    let page = std::fs::read_to_string(root().join(page)).expect("a page");
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
    let found: Vec<String> = rows(PROOF).into_iter().map(|(id, _)| id).collect();
    assert_eq!(found, expected);
}

#[test]
fn every_named_test_exists() {
    let named: usize = rows(PROOF).iter().map(|(id, cell)| named_tests(id, cell)).sum();
    assert!(named > 60, "only {named} tests are named");
}

/// A fact about a party has its tests, or is stated as a limit.
#[test]
fn every_fact_of_the_security_model_has_a_test_or_is_a_limit() {
    let rows = rows("docs/security.md");
    assert!(rows.len() > 40, "only {} facts", rows.len());
    for (id, cell) in rows {
        assert!(named_tests(&id, &cell) > 0 || cell == "limit", "{id}: {cell}");
    }
}

/// The number of tests that a cell names; each exists.
fn named_tests(id: &str, cell: &str) -> usize {
    assert!(!cell.trim().is_empty(), "{id} has no test");
    let mut named = 0;
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
            source = std::fs::read_to_string(&path).unwrap_or_default();
        } else {
            assert!(has_test(&source, text), "{id}: {file} has no test {text}");
            named += 1;
        }
    }
    named
}

/// The Rust sources below a directory.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Path of the module and name of every ignored test, with its reason.
fn ignored_tests() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for directory in ["crates", "testkit", "simulation", "fuzz", "benches"] {
        sources(&root().join(directory), &mut files);
    }
    let mut found = Vec::new();
    for file in files {
        let module = file.with_extension("").strip_prefix(root()).expect("below the root").to_owned();
        let module: Vec<_> = module.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        let text = std::fs::read_to_string(&file).expect("a source");
        let mut lines = text.lines().map(str::trim_start);
        while let Some(line) = lines.next() {
            let Some((_, reason)) = line.strip_prefix("#[").and_then(|line| line.split_once("ignore = \""))
            else {
                continue;
            };
            let named = lines.by_ref().find_map(|line| line.split_once("fn ")?.1.split('(').next());
            let path = format!("{}::{}", module.join("::"), named.expect("a test"));
            found.push((path, reason.split('"').next().unwrap_or_default().to_owned()));
        }
    }
    found
}

/// A reason begins as its row does, and the names at the end of a row's command select its tests.
#[test]
fn every_reason_of_an_ignored_test_has_a_row_that_runs_it() {
    let page = std::fs::read_to_string(root().join("CONTRIBUTING.md")).expect("CONTRIBUTING.md");
    let (_, section) = page.split_once("\n## Ignored tests\n").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("the next section");
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect()))
        .skip(1)
        .collect();
    let tests = ignored_tests();
    assert!(tests.len() > 100, "only {} ignored tests", tests.len());
    for row in &rows {
        assert!(tests.iter().any(|(_, reason)| reason.starts_with(row[0])), "no test has: {}", row[0]);
    }
    for (test, reason) in tests {
        let row = rows.iter().find(|row| reason.starts_with(row[0]));
        let row = row.unwrap_or_else(|| panic!("{test}: CONTRIBUTING.md has no row for `{reason}`"));
        let names = row[2].split_once("-- --ignored").map_or("", |(_, names)| names).trim_matches(['`', ' ']);
        let is_run = names.is_empty() || names.split(' ').any(|name| test.contains(name));
        assert!(is_run, "{test}: `{names}` leaves it out");
    }
}
