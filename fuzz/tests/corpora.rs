//! Every kept input is run through its target: a defect that a fuzzer found once stays fixed.
#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;

#[test]
fn kept_inputs_hold_in_every_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in fuzz::TARGETS {
        let mut inputs = 0;
        for entry in std::fs::read_dir(corpus.join(name)).unwrap_or_else(|error| panic!("{name}: {error}")) {
            target(&std::fs::read(entry.expect("an entry").path()).expect("an input"));
            inputs += 1;
        }
        assert!(inputs >= 2, "{name} has {inputs} inputs");
    }
}

#[test]
fn each_target_has_its_libfuzzer_program() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("libfuzzer/Cargo.toml");
    let manifest = std::fs::read_to_string(manifest).expect("a manifest");
    for (name, _) in fuzz::TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "libfuzzer/Cargo.toml lacks {name}");
    }
}
