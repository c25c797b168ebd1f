//! Every remedy that any text names is an argv that this very binary parses.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use clap::Parser;
use contract::Remedy;
use spec_kitty::args::Cli;

/// One of each. A new variant does not compile until it is listed here.
fn all() -> Vec<Remedy> {
    let all = vec![
        Remedy::RestartDaemon,
        Remedy::SwitchTeam { team: "-team with 'quotes'".into() },
        Remedy::Login,
        Remedy::LoginServer,
        Remedy::CleanOrphans,
        Remedy::ForceCleanOrphans,
        Remedy::Migrate,
        Remedy::Repair,
        Remedy::SyncNow,
        Remedy::OptIn { project: "164b830e-0aa9-486a-80e9-73e0ff9bd516".into() },
        Remedy::OptIn { project: "none".into() },
        Remedy::StartDaemon,
        Remedy::Advice("unset SPEC_KITTY_HOME".into()),
    ];
    for remedy in &all {
        match remedy {
            Remedy::RestartDaemon
            | Remedy::SwitchTeam { .. }
            | Remedy::Login
            | Remedy::LoginServer
            | Remedy::CleanOrphans
            | Remedy::ForceCleanOrphans
            | Remedy::Migrate
            | Remedy::Repair
            | Remedy::SyncNow
            | Remedy::OptIn { .. }
            | Remedy::StartDaemon
            | Remedy::Advice(_) => {}
        }
    }
    all
}

#[test]
fn every_remedy_parses() {
    for remedy in all() {
        let Some(argv) = remedy.argv() else { continue };
        let argv = std::iter::once("spec-kitty".to_owned()).chain(argv);
        Cli::try_parse_from(argv).unwrap_or_else(|error| panic!("{remedy:?}: {error}"));
    }
}

#[test]
fn a_shell_reads_every_hint_back_as_its_argv() {
    for remedy in all() {
        let Some(argv) = remedy.argv() else { continue };
        let hint = remedy.hint();
        let words = hint.strip_prefix("spec-kitty ").unwrap();
        let output =
            std::process::Command::new("sh").arg("-c").arg(format!("printf '%s\\n' {words}")).output();
        let Ok(output) = output else {
            println!("skipped: no POSIX shell");
            return;
        };
        assert_eq!(String::from_utf8(output.stdout).unwrap().lines().collect::<Vec<_>>(), argv, "{hint}");
    }
}
