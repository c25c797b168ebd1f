//! The pages describe what the program does: names, exit codes and links are compared with the code.

use contract::{ExitCode, FailureName};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn boundary_page_knows_every_canonical_name_and_every_exit_code() {
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
fn readmes_test_command_is_the_one_the_landing_check_runs() {
    let readme = page("README.md");
    let mut commands = readme.match_indices("cargo test ").map(|(at, _)| &readme[at..]).peekable();
    assert!(commands.peek().is_some());
    for command in commands {
        let command = command.split('`').next().unwrap();
        assert!(page(".ci/run").contains(command), "{command}");
    }
}

#[test]
fn readme_leads_to_every_page() {
    let readme = page("README.md");
    for name in pages() {
        assert!(readme.contains(&format!("]({})", name.display())), "{}", name.display());
    }
}

/// Every library of the workspace has its reason, and there is no reason for one that is not used.
#[test]
fn maps_dependencies_are_those_of_the_workspace() {
    let text = page("ARCHITECTURE.md");
    let rows = text
        .split("## Dependencies")
        .nth(1)
        .unwrap()
        .split("\n### ")
        .next()
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("| "));
    let mut named: Vec<&str> =
        rows.skip(1).flat_map(|row| row.split(" | ").nth(1).unwrap().split(", ")).collect();
    named.sort_unstable();
    let manifest = page("Cargo.toml");
    let table = manifest.split("[workspace.dependencies]\n").nth(1).and_then(|rest| rest.split("\n[").next());
    let mut pinned: Vec<&str> = table
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name)
        .filter(|name| !name.starts_with("spec-kitty-"))
        .collect();
    pinned.sort_unstable();
    assert_eq!(named, pinned);
    let manifests = ["crates", "."].into_iter().flat_map(|folder| {
        let folders = std::fs::read_dir(root().join(folder)).unwrap().flatten();
        folders.filter_map(|entry| std::fs::read_to_string(entry.path().join("Cargo.toml")).ok())
    });
    let used: String = manifests.collect();
    for name in named {
        assert!(
            used.contains(&format!("\n{name}.workspace"))
                || used.contains(&format!("\n{name} = {{ workspace")),
            "{name}"
        );
    }
}

/// Benchmarks take too long for a landing: the full check runs every one.
#[test]
fn full_check_runs_every_benchmark() {
    let full = page(".ci/full");
    let mut known = 0;
    for entry in std::fs::read_dir(root().join("crates")).unwrap().flatten() {
        let manifest = std::fs::read_to_string(entry.path().join("Cargo.toml")).unwrap();
        let package = manifest.split("name = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        for bench in manifest.split("[[bench]]\nname = \"").skip(1) {
            let bench = bench.split('"').next().unwrap();
            assert!(full.contains(&format!("-p {package} --bench {bench}\n")), "{package}: {bench}");
            known += 1;
        }
    }
    assert!(known >= 5, "{known}");
}
