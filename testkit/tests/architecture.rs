//! Architecture rules of ARCHITECTURE.md: dependencies between crates, and which crates judge, print and
//! contain SQL.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The edges that may exist between our crates, beyond what transitivity gives.
const ALLOWED: [(&str, &[&str]); 11] = [
    ("contract", &[]),
    ("gate", &["contract"]),
    ("system", &["contract"]),
    ("identity", &["contract", "system"]),
    ("queue", &["contract", "gate", "system"]),
    ("preflight", &["contract", "gate", "system", "identity", "queue"]),
    ("mission", &["contract", "gate", "system", "identity", "queue", "preflight"]),
    ("delivery", &["contract", "gate", "system", "identity", "queue", "preflight"]),
    ("daemon", &["contract", "gate", "system", "identity", "queue", "preflight", "delivery"]),
    ("server", &["contract", "system"]),
    (
        "cli",
        &[
            "contract",
            "gate",
            "system",
            "identity",
            "queue",
            "preflight",
            "mission",
            "delivery",
            "daemon",
            "server",
        ],
    ),
];

/// Crates that bring an async runtime; only the server may use them.
const ASYNC: [&str; 4] = ["tokio", "axum", "tower-http", "hyper"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace root").to_owned()
}

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("json");
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let normal = package["dependencies"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|dependency| dependency["kind"].is_null())
                .map(|dependency| short(dependency["name"].as_str().unwrap_or_default()))
                .collect();
            (short(package["name"].as_str().unwrap_or_default()), normal)
        })
        .collect()
}

fn short(package: &str) -> String {
    match package {
        "spec-kitty" => "cli".to_owned(),
        other => other.strip_prefix("spec-kitty-").unwrap_or(other).to_owned(),
    }
}

fn sources(of: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut pending = vec![root().join("crates").join(of).join("src")];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(&directory).expect("a source directory").flatten() {
            let path = entry.path();
            // The model of the protocol is a test that needs types of the crate.
            if path.is_dir() && !path.ends_with("protocol_model") {
                pending.push(path);
            } else if path.is_dir() {
                continue;
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source file");
                found.push((path, text));
            }
        }
    }
    found
}

/// The lines of a source file that are code: no comments, nothing after the unit tests begin.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .take_while(|line| line.trim() != "#[cfg(test)]")
        .filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn crates_depend_only_on_what_lies_before_them() {
    let dependencies = dependencies();
    let ours: BTreeSet<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    for (name, allowed) in ALLOWED {
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        let used = &dependencies[name];
        let wrong: Vec<_> = used
            .iter()
            .filter(|used| ours.contains(used.as_str()) && !allowed.contains(used.as_str()))
            .collect();
        assert!(wrong.is_empty(), "{name} must not depend on {wrong:?}");
    }
}

#[test]
fn every_crate_is_in_the_table_and_on_the_map() {
    let listed: Vec<_> = ALLOWED.iter().map(|(name, _)| (*name).to_owned()).collect();
    let found: BTreeSet<_> = std::fs::read_dir(root().join("crates"))
        .expect("crates")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), found);
    // The map of the page has the crates in the order of the data.
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the page");
    let rows = page.lines().skip_while(|line| *line != "| crate | owns | may depend on |").skip(2);
    let map: Vec<_> =
        rows.map_while(|line| line.strip_prefix("| `")?.split('`').next()).map(str::to_owned).collect();
    assert_eq!(map, listed, "the map of ARCHITECTURE.md");
}

/// A type name has one meaning in the workspace. The modules of `system::platform` define the same types, one
/// for each operating system; `queue::protocol_model` is a unit test.
#[test]
fn type_name_is_defined_once() {
    let mut places: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for (name, _) in ALLOWED {
        for (path, text) in sources(name) {
            if path
                .components()
                .any(|part| part.as_os_str() == "platform" || part.as_os_str() == "protocol_model")
            {
                continue;
            }
            for line in code(&text) {
                let mut tokens = line.split_whitespace().skip_while(|token| token.starts_with("pub"));
                if !matches!(tokens.next(), Some("struct" | "enum" | "trait" | "union")) {
                    continue;
                }
                let defined = tokens.next().unwrap_or_default();
                let end = defined.find(|c: char| !c.is_alphanumeric()).unwrap_or(defined.len());
                places.entry(defined[..end].to_owned()).or_default().push(path.clone());
            }
        }
    }
    let twice: Vec<_> = places.iter().filter(|(name, paths)| !name.is_empty() && paths.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:#?}");
}

#[test]
fn only_the_server_is_async() {
    for (name, used) in dependencies() {
        let asynchronous: Vec<_> = used.iter().filter(|used| ASYNC.contains(&used.as_str())).collect();
        assert!(name == "server" || asynchronous.is_empty(), "{name} uses {asynchronous:?}");
    }
}

#[test]
fn gate_and_the_contract_do_no_io() {
    let forbidden =
        ["std::fs", "std::env", "std::net", "std::process::", "SystemTime", "Instant::now", "fs_err"];
    for name in ["contract", "gate"] {
        for (path, text) in sources(name) {
            for line in code(&text) {
                for name in forbidden {
                    assert!(!line.contains(name), "{}: {line}", path.display());
                }
            }
        }
    }
}

#[test]
fn only_the_observer_asks_for_a_verdict() {
    for (name, _) in ALLOWED {
        for (path, text) in sources(name) {
            let calls = code(&text).any(|line| line.contains("gate::judge(") || line.contains("judge(facts"));
            let allowed = name == "gate" || (name == "preflight" && path.ends_with("observer.rs"));
            assert!(!calls || allowed, "{} calls the gate's judge", path.display());
        }
    }
}

#[test]
fn only_the_cli_prints_and_only_in_its_renderer() {
    let printing = [
        "println!",
        "eprintln!",
        "print!(",
        "eprint!(",
        "io::stdout",
        "io::stderr",
        " stdout()",
        " stderr()",
    ];
    for (name, _) in ALLOWED {
        for (path, text) in sources(name) {
            if name == "cli" && path.ends_with("render.rs")
                || path.components().any(|part| part.as_os_str() == "bin")
            {
                continue;
            }
            // Handing the descriptor on prints nothing.
            for line in
                code(&text).filter(|line| !line.contains(".as_fd()") && !line.contains(".as_handle()"))
            {
                for name in printing {
                    assert!(!line.contains(name), "{}: {line}", path.display());
                }
            }
        }
    }
}

#[test]
fn only_queue_contains_queue_sql() {
    for (name, _) in ALLOWED.iter().filter(|(name, _)| *name != "queue" && *name != "server") {
        assert!(!dependencies()[*name].contains("rusqlite"), "{name} depends on rusqlite");
    }
}

#[test]
fn only_the_proven_holder_of_the_lock_is_signalled() {
    let words = [
        "pidfd_send_signal(",
        "kill_process(",
        "kill_process_group(",
        "libc::kill",
        ".kill()",
        "TerminateProcess",
    ];
    // A process may end its own child.
    let children = "cli/src/command/quickstart/sandbox.rs";
    for (name, _) in ALLOWED {
        for (path, text) in sources(name) {
            let shown = path.display().to_string().replace('\\', "/");
            let signals: Vec<_> = code(&text)
                .filter(|line| {
                    words.iter().any(|word| line.contains(word)) && !line.contains("test_kill_process(")
                })
                .collect();
            if shown.ends_with("system/src/platform/unix_process.rs") {
                let expected = "a pidfd or a pid, a child, its group, and this process";
                assert_eq!(signals.len(), 5, "{expected}: {signals:?}");
            } else if !shown.ends_with(children) && !shown.contains("system/src/platform/") {
                assert!(signals.is_empty(), "{shown}: {signals:?}");
            }
            // `Holder` is made by `Holder::prove` alone; the stop command has one.
            let sends = code(&text).any(|line| line.contains(".signal("));
            let holders = ["daemon/src/holder.rs", "daemon/src/lifecycle/stop.rs"];
            assert!(!sends || holders.iter().any(|file| shown.ends_with(file)), "{shown} sends a signal");
        }
    }
}

/// A simulation replaces the clock of `system`; a second reader of the time would not repeat.
#[test]
fn simulated_crates_ask_system_for_the_time() {
    for name in ["identity", "queue", "preflight", "delivery", "server"] {
        for (path, text) in sources(name) {
            let own = text.split("#[cfg(test)]").next().unwrap_or_default();
            let reads = code(own)
                .any(|line| ["Timestamp::now", "SystemTime::now"].iter().any(|now| line.contains(now)));
            let is_model = path.components().any(|part| part.as_os_str() == "protocol_model");
            assert!(!reads || is_model, "{} reads the clock", path.display());
        }
    }
}

#[test]
fn unsafe_code_lives_in_the_platform_module_of_system_alone() {
    for (name, _) in ALLOWED {
        for (path, text) in sources(name) {
            let has = code(&text).any(|line| line.contains("unsafe {") || line.contains("unsafe fn"));
            let allowed = name == "system" && path.components().any(|part| part.as_os_str() == "platform");
            assert!(!has || allowed, "{} has unsafe code", path.display());
        }
    }
}

/// A path in backticks begins with an entry of the repository or with a crate.
#[test]
fn pages_name_only_paths_that_exist() {
    let root = root();
    let crates = root.join("crates");
    let docs = std::fs::read_dir(root.join("docs")).expect("docs").flatten().map(|entry| entry.path());
    let pages = ["ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root.join(name)).into_iter().chain(docs);
    for page in pages.filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let text = std::fs::read_to_string(&page).expect("a page");
        for path in text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)) {
            let first = path.split('/').next().unwrap_or_default();
            let generated = ["target", "kitty-specs", ".kittify", ".git", ""].contains(&first);
            if generated || !path.contains('/') || path.contains([' ', '<', '*']) {
                continue;
            }
            let known = root.join(first).is_dir() || crates.join(first).is_dir();
            let exists = root.join(path).exists() || crates.join(path).exists();
            assert!(!known || exists, "{} names {path}", page.display());
        }
    }
}
