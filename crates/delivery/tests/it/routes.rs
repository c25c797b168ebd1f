//! Events and bodies have one way out each.

use std::path::{Path, PathBuf};

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            sources(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
}

#[test]
fn only_the_drain_names_the_routes_that_take_rows() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(crates).unwrap().map(|entry| entry.unwrap().path()) {
        // The routes are written down in the contract and answered by the server.
        if !entry.ends_with("contract") && !entry.ends_with("server") && entry.join("src").is_dir() {
            sources(&entry.join("src"), &mut found);
        }
    }
    assert!(found.len() > 50, "the sources of this product: {}", found.len());
    let naming = |route: &str, path: &str| -> Vec<String> {
        let named = found.iter().filter(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            text.contains(route) || text.contains(path)
        });
        named.map(|file| file.strip_prefix(crates).unwrap().to_string_lossy().replace('\\', "/")).collect()
    };
    use contract::wire::endpoint::{EVENTS_BATCH, PUSH_CONTENT};
    assert_eq!(naming("EVENTS_BATCH", EVENTS_BATCH), ["delivery/src/drain/exchange.rs"]);
    assert_eq!(naming("PUSH_CONTENT", PUSH_CONTENT), ["delivery/src/drain/bodies.rs"]);
}
