//! Bakes the commit into the binary, so that `--version` and the foreground identity can name the build.

use std::path::Path;
use std::process::Command;

fn main() {
    let commit = git(&["rev-parse", "--short=10", "HEAD"]).unwrap_or_default();
    println!("cargo::rustc-env=SPEC_KITTY_COMMIT={commit}");
    let profile = std::env::var("PROFILE").unwrap_or_default();
    println!("cargo::rustc-env=SPEC_KITTY_PROFILE={profile}");
    // An archive of the sources has no commit.
    println!("cargo::rustc-env=SPEC_KITTY_BUILD={}", format!("{commit} {profile}").trim_start());
    // A branch that moves changes its reference, not HEAD; a reference that was packed lies elsewhere. Git
    // knows where, in a linked worktree, too. Outside a checkout there is nothing to watch.
    let reference = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "packed-refs"].into_iter().chain(reference.as_deref()) {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    if has_relative_relocations() {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    println!("cargo::rerun-if-changed=build.rs");
}

/// Whether the dynamic linker of the machine that builds, and runs, the program reads packed relocations: glibc since
/// 2.36. They take a fiftieth of the room, which makes the program 0.7 MB smaller.
fn has_relative_relocations() -> bool {
    let variable = |name| std::env::var(name).unwrap_or_default();
    if variable("CARGO_CFG_TARGET_OS") != "linux"
        || variable("CARGO_CFG_TARGET_ENV") != "gnu"
        || variable("TARGET") != variable("HOST")
    {
        return false;
    }
    let Some(version) = answer("getconf", &["GNU_LIBC_VERSION"]) else { return false };
    let mut numbers =
        version.trim_start_matches("glibc ").split('.').map_while(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(2), Some(36))
}

fn git(arguments: &[&str]) -> Option<String> {
    answer("git", arguments)
}

/// Output of a program, without the newline at its end; nothing when it fails.
fn answer(program: &str, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim_end().to_owned())
}
