//! Bakes the commit into the binary, so that `--version` and the foreground identity can name the build.

use std::path::Path;
use std::process::Command;

fn main() {
    let commit = Command::new("git")
        .args(["rev-parse", "--short=10", "HEAD"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map(|text| text.trim().to_owned())
        .unwrap_or_default();
    println!("cargo::rustc-env=SPEC_KITTY_COMMIT={commit}");
    let profile = std::env::var("PROFILE").unwrap_or_default();
    println!("cargo::rustc-env=SPEC_KITTY_PROFILE={profile}");
    // A branch that moves changes its reference, not HEAD. Outside a checkout there is nothing to watch.
    if Path::new("../../.git").is_dir() {
        println!("cargo::rerun-if-changed=../../.git/HEAD");
        if let Some(reference) = head_reference() {
            println!("cargo::rerun-if-changed=../../.git/{reference}");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
}

/// The branch that HEAD points to, as a path below the git directory.
fn head_reference() -> Option<String> {
    let head = std::fs::read_to_string("../../.git/HEAD").ok()?;
    head.trim().strip_prefix("ref: ").map(str::to_owned)
}
