//! Facts about the build: version, commit and profile.

use contract::ExitCode;
use std::fmt::Write as _;

/// Crate version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Short commit, or empty when the build had no git.
pub(crate) const COMMIT: &str = env!("SPEC_KITTY_COMMIT");
/// Cargo profile.
pub(crate) const PROFILE: &str = env!("SPEC_KITTY_PROFILE");
/// Text that `--version` prints after the name.
pub(crate) const VERSION_LINE: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("SPEC_KITTY_BUILD"), ")");

/// The facts of this build that the foreground identity needs.
pub(crate) fn info() -> identity::BuildInfo {
    let commit = Some(COMMIT.to_owned()).filter(|commit| !commit.is_empty());
    identity::BuildInfo { version: VERSION.to_owned(), commit, release: PROFILE == "release" }
}

/// The table of exit codes, for `--help`.
pub(crate) fn exit_code_help() -> String {
    let mut text = String::from("Exit codes:\n");
    for code in ExitCode::ALL {
        let _ = writeln!(text, "  {:>3}  {}", code.code(), code.meaning());
    }
    text.push_str("\nEnvironment:\n");
    for (name, meaning) in [
        ("SPEC_KITTY_ENABLE_SAAS_SYNC", "1, true, yes or on: commands capture and send"),
        ("SPEC_KITTY_HOME", "where the state lives [~/.spec-kitty]"),
        ("SPEC_KITTY_TOKEN", "a CI token (or ..._FILE), with SPEC_KITTY_SERVER_URL"),
        ("SPEC_KITTY_NO_DAEMON", "1: no command starts the daemon by itself"),
        ("SPEC_KITTY_FRONT", "set inside of a run of the Python CLI: capture nothing"),
        ("NO_COLOR", "no colour"),
    ] {
        let _ = writeln!(text, "  {name:<28} {meaning}");
    }
    text
}
