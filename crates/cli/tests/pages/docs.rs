//! The pages describe what the program does: names and links are compared with the code.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
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

#[test]
fn table_of_settings_has_every_key_in_order() {
    let boundary = page("docs/boundary.md");
    let rows = boundary.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let documented: Vec<&str> = rows.map(|(key, _)| key).filter(|key| key.contains('.')).collect();
    let keys: Vec<&str> = identity::config::ConfigKey::ALL.iter().map(|key| key.name()).collect();
    assert_eq!(documented, keys);
}

#[test]
fn glossary_defines_each_term_once() {
    let glossary = page("docs/glossary.md");
    let mut terms: Vec<&str> =
        glossary.lines().filter_map(|line| Some(line.strip_prefix("| ")?.split_once(" | ")?.0)).collect();
    let all = terms.len();
    terms.sort_unstable();
    terms.dedup();
    assert!(all > 20 && terms.len() == all, "{terms:?}");
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

/// Blocks of commands that no test of a page runs, by their first line, with the reason.
const NOT_RUN: [(&str, &str, &str); 15] = [
    ("README.md", "$ cargo run --release -- quickstart", "`quickstart` is run by quickstart.rs"),
    (
        "README.md",
        "$ cargo install --path crates/cli --locked",
        "`.ci/package-check` installs; server.md runs the rest",
    ),
    (
        "docs/guide.md",
        "spec-kitty server user add --data ~/spec-kitty-server",
        "server.md runs these commands",
    ),
    ("docs/guide.md", "spec-kitty auth login --server http://127.0.0.1:8470", "server.md runs this command"),
    ("docs/queue.md", "for mission in kitty-specs/*/;", "`recapture.rs` runs this line"),
    ("docs/server.md", "install -m 0755 spec-kitty /usr/local/bin/", "needs root, and changes the machine"),
    ("docs/server.md", "runuser -u spec-kitty -- bash", "needs root and the user of the line above"),
    (
        "docs/server.md",
        "spec-kitty server --data /var/lib/spec-kitty --listen 0.0.0.0:8443",
        "`.ci/proxies.py` runs a server with TLS",
    ),
    (
        "docs/server.md",
        "systemctl enable --now spec-kitty-server-backup.timer",
        "needs systemd; its unit is verified",
    ),
    ("docs/server.md", "createuser --pwprompt spec_kitty", "needs PostgreSQL and a terminal"),
    (
        "docs/server.md",
        "(umask 027; echo 'postgres://spec_kitty:PASSWORD@db.example.org/spec_kitty'",
        "a file with a password",
    ),
    (
        "docs/server.md",
        "spec-kitty server prune --data /var/lib/spec-kitty",
        "snapshots and the tests of pruning run both",
    ),
    ("docs/install.md", "cargo install --path crates/cli --locked", "`.ci/package-check` runs it"),
    ("docs/install.md", "pip install spec_kitty_sync-*.whl", "`.ci/package-check` installs each package"),
    ("docs/install.md", "dpkg --purge spec-kitty", "`.ci/package-check` removes the package"),
];

/// The pages whose `console` blocks a test follows, and the test.
const FOLLOWED: [(&str, &str); 7] = [
    ("README.md", "readme.rs"),
    ("docs/daemon.md", "daemon_page.rs"),
    ("docs/guide.md", "guide.rs"),
    ("docs/install.md", "install_page.rs"),
    ("docs/missions.md", "mission_page.rs"),
    ("docs/queue.md", "queue_page.rs"),
    ("docs/server.md", "server_page.rs"),
];

/// Each block of commands is run by a test, or has a reason in the table above.
#[test]
fn every_block_of_commands_is_run_or_has_its_reason() {
    let mut excused = Vec::new();
    for name in ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(PathBuf::from).into_iter().chain(pages())
    {
        let name = name.to_str().unwrap();
        let text = page(name);
        for block in text.split("\n```").skip(1).step_by(2) {
            let (kind, block) = block.split_once('\n').unwrap();
            let reason = NOT_RUN.iter().position(|(page, line, _)| *page == name && block.starts_with(line));
            let is_command = block.starts_with("spec-kitty ");
            match (kind, reason) {
                (_, Some(reason)) => excused.push(reason),
                ("console", None) => {
                    let (_, test) = FOLLOWED.iter().find(|(page, _)| *page == name).expect(name);
                    let test = page(&format!("crates/cli/tests/pages/{test}"));
                    assert!(test.contains(name.rsplit('/').next().unwrap()), "{name}");
                }
                ("json" | "toml" | "text" | "", None) if !is_command => {}
                _ => panic!("{name}: no test runs this block: {block}"),
            }
        }
    }
    excused.sort_unstable();
    assert_eq!(excused, (0..NOT_RUN.len()).collect::<Vec<_>>(), "each excuse belongs to one block");
}
