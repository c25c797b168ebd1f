//! Every remedy that any text names is an argv that this very binary parses.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use clap::Parser;
use contract::Remedy;
use spec_kitty::args::Cli;
use testkit::World;
use testkit::listener::CountingListener;
use testkit::reference_queue::ReferenceQueue;
use testkit::world::{TEAM, USER, session};

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
        Remedy::OptIn { project: "-x".into() },
        Remedy::OptIn { project: "it's \u{1b}[2J \u{202e}\\".into() },
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
        assert_eq!(contract::text::printable(&hint), hint, "shown as it is");
        let output =
            std::process::Command::new("bash").arg("-c").arg(format!("printf '%s\\n' {words}")).output();
        let Ok(output) = output else {
            println!("skipped: no shell");
            return;
        };
        assert_eq!(String::from_utf8(output.stdout).unwrap().lines().collect::<Vec<_>>(), argv, "{hint}");
    }
}

/// Rows of another program name whatever they like as their project.
#[test]
fn held_rows_of_a_hostile_project_are_shown_harmlessly_and_their_remedy_releases_them() {
    for project in ["\u{1b}[2Jevil", "-x", " Padded ", "it's"] {
        let world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
        let listener = CountingListener::start();
        world.write_config(&format!("[sync]\nserver_url = \"{}\"\n", listener.url()));
        world.write_session(&session(&listener.url(), USER, TEAM));
        let queue = ReferenceQueue::create(&world.root().join("queue.db"));
        queue.event("01KRX0000000000000000000A1", None);
        let db = rusqlite::Connection::open(queue.path()).unwrap();
        let rename = "UPDATE queue SET data = json_set(data, '$.project_uuid', ?1)";
        db.execute(rename, [project]).unwrap();
        drop((db, queue));

        let now = world.run(["sync", "now"]).exits(0);
        assert!(!now.stdout.contains('\u{1b}'), "{:?}", now.stdout);
        let status = world.run(["sync", "status", "--json"]).exits(0).json();
        let hint = status["held"][0]["remediation_hint"].as_str().unwrap();
        assert!(now.stdout.contains(hint), "{hint}: {}", now.stdout);
        let words = hint.strip_prefix("spec-kitty ").unwrap();
        let mut shell = std::process::Command::new("bash");
        shell.arg("-c").arg(format!("exec \"$0\" {words}")).arg(env!("CARGO_BIN_EXE_spec-kitty"));
        world.dress(&mut shell);
        let released = testkit::world::finish(shell).exits(0);
        assert!(
            !released.stdout.contains('\u{1b}') && released.stdout.contains("released 1 events"),
            "{released:?}"
        );
        let status = world.run(["sync", "status", "--json"]).exits(0).json();
        assert_eq!(status["held"].as_array().unwrap().len(), 0, "{status:#}");
    }
}
