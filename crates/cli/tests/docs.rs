//! The pages say what the program does: names, exit codes and links are compared with the code.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use contract::{ExitCode, FailureName};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_boundary_page_knows_every_canonical_name_and_every_exit_code() {
    let text = page("docs/boundary.md");
    for name in FailureName::all() {
        assert!(text.contains(&format!("`{}`", name.name())), "{name}");
    }
    for code in ExitCode::ALL {
        assert!(text.contains(&format!("| {} | {} |", code.code(), code.meaning())), "{code}");
    }
}

#[test]
fn every_page_that_a_page_links_to_exists() {
    for name in ["README.md", "ARCHITECTURE.md"].map(PathBuf::from).into_iter().chain(pages()) {
        let text = page(name.to_str().unwrap());
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let path = root().join(name.parent().unwrap()).join(file);
            assert!(path.exists(), "{} links to {target}", name.display());
        }
    }
}

fn pages() -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(root().join("docs")).unwrap().flatten();
    entries
        .map(|entry| Path::new("docs").join(entry.file_name()))
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
}

#[test]
fn every_test_that_the_map_names_exists() {
    let text = page("ARCHITECTURE.md");
    let rows = text.split("## Invariants").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let mut named = 0;
    for path in rows.split('`').filter(|word| word.contains("tests") || word.ends_with(".rs")) {
        let found = [root().join("crates").join(path), root().join(path)].iter().any(|path| path.exists());
        assert!(found, "{path}");
        named += 1;
    }
    assert!(named >= 8, "the table names its tests");
}

#[test]
fn the_readmes_test_command_is_the_one_the_landing_check_runs() {
    let readme = page("README.md");
    let command = readme.lines().find_map(|line| line.strip_prefix("$ cargo test")).unwrap();
    let command = format!("cargo test{}", command.split('#').next().unwrap().trim_end());
    assert!(page(".ci/run").contains(&command), "{command}");
}
