//! Every remedy that any text names is an argv that this very binary parses, and that cures what named it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod browser;
mod stage;

use browser::{Browser, approval_secret};
use clap::Parser;
use clap::error::ErrorKind;
use contract::{OwnerRecord, Remedy};
use identity::session::Team;
use serde_json::Value;
use spec_kitty::args::Cli;
use stage::Stage;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use testkit::listener::CountingListener;
use testkit::owner::{agreeing, failing_names, write};
use testkit::reference_queue::ReferenceQueue;
use testkit::world::{SERVER, TEAM, USER, session};
use testkit::{Server, World};

/// One of each, and more of those that carry words.
fn all() -> Vec<Remedy> {
    vec![
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
    ]
}

/// A state that names the remedy, and the remedy as a shell runs it. Whoever adds a variant says here how
/// it is reached.
fn reach(remedy: &Remedy) {
    match remedy {
        Remedy::RestartDaemon => reach_restart_daemon(),
        Remedy::SwitchTeam { .. } => reach_switch_team(),
        Remedy::Login | Remedy::LoginServer => reach_login(),
        Remedy::CleanOrphans => reach_clean_orphans(),
        Remedy::ForceCleanOrphans => reach_force_clean_orphans(),
        Remedy::Migrate => reach_migrate(),
        Remedy::Repair => reach_repair(),
        Remedy::SyncNow => reach_sync_now(),
        Remedy::OptIn { .. } => reach_opt_in(),
        Remedy::StartDaemon => reach_start_daemon(),
        Remedy::Advice(_) => reach_advice(),
    }
}

#[test]
fn every_remedy_is_named_by_some_state_and_cures_it() {
    let mut reached = Vec::new();
    for remedy in all() {
        let variant = std::mem::discriminant(&remedy);
        if !reached.contains(&variant) {
            reached.push(variant);
            reach(&remedy);
        }
    }
}

fn reach_restart_daemon() {
    let stage = Stage::new();
    stage.0.run(["sync", "daemon", "start"]).exits(0);
    let path = stage.0.home().owner_record();
    let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for key in ["package_version", "executable_path", "source_checkout_path", "server_url", "auth_team"] {
        record[key] = "other".into();
    }
    record["queue_db_path"] = "/other.db".into();
    std::fs::write(&path, record.to_string()).unwrap();
    let hint = Remedy::RestartDaemon.hint();
    let status = stage.0.run(["sync", "status", "--check", "--json"]).exits(2).json();
    assert_eq!(failing_names(&status), contract::Field::ALL.map(contract::Field::name));
    stage.refuses(&hint);
    stage.type_hint(&hint).exits(0);
    stage.is_coherent();
}

fn reach_switch_team() {
    let stage = Stage::new();
    let private = |id: &str| Team { id: id.into(), name: id.into(), role: "owner".into(), private: true };
    let teams = |first: &str, second: &str| {
        let mut session = session(SERVER, USER, first);
        session.teams = vec![private(first), private(second)];
        session
    };
    // The daemon serves the second team of the very account that is in the first one now.
    stage.0.write_session(&teams("team-b", "team-a"));
    write(&stage.0, &agreeing(&stage.0, std::process::id()));
    stage.0.write_session(&teams("team-a", "team-b"));
    let hint = Remedy::SwitchTeam { team: "team-b".into() }.hint();
    stage.refuses(&hint);
    stage.type_hint(&hint).exits(0);
    stage.is_coherent();
}

/// Both ways to log in, against a real server: with the server named, and at the one that is remembered.
fn reach_login() {
    let mut stage = Stage::new();
    let server = Server::start(&stage.0, USER);
    let secret = approval_secret(&stage.0, &stage.0.user_home().join("server-data"), USER);
    let browser = Browser::install(&mut stage.0);
    let log_in = |stage: &Stage, words: &[&str]| {
        let mut command = stage.0.command();
        let child = command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        browser.approve(USER, &secret);
        assert!(child.wait_with_output().unwrap().status.success(), "{words:?}");
    };
    stage.0.write_config("");
    let hint = Remedy::LoginServer.hint();
    let warned = stage.0.run(["sync", "status"]).exits(0);
    assert!(warned.stderr.contains(&hint), "{}", warned.stderr);
    let url = server.url();
    let argv = Remedy::LoginServer.argv().unwrap();
    log_in(
        &stage,
        &argv.iter().map(|word| if word == "URL" { &url } else { word.as_str() }).collect::<Vec<_>>(),
    );
    let warned = stage.0.run(["sync", "status"]).exits(0);
    assert_eq!(warned.stderr, "");

    stage.0.run(["auth", "logout"]).exits(0);
    stage.refuses(&Remedy::Login.hint());
    let argv = Remedy::Login.argv().unwrap();
    log_in(&stage, &argv.iter().map(String::as_str).collect::<Vec<_>>());
    stage.is_coherent();
    // A session that cannot be read needs the same, and is no obstacle to it.
    std::fs::write(stage.0.home().session_file(), "{").unwrap();
    stage.refuses(&Remedy::Login.hint());
    log_in(&stage, &["auth", "login"]);
    stage.is_coherent();
}

fn reach_clean_orphans() {
    let stage = Stage::new();
    write(&stage.0, &OwnerRecord { pid: i64::from(u32::MAX), ..agreeing(&stage.0, 1) });
    let hint = Remedy::CleanOrphans.hint();
    stage.refuses(&hint);
    stage.type_hint(&hint).exits(0);
    stage.is_coherent();
}

fn reach_force_clean_orphans() {
    let stage = Stage::new();
    let started = stage.0.run(["sync", "daemon", "start", "--json"]).exits(0).json();
    let pid = started["pid"].to_string();
    assert_eq!(stage.0.run_program("kill", ["-STOP", &pid]).code, Some(0));
    let hint = Remedy::ForceCleanOrphans.hint();
    for argv in [&["sync", "daemon", "stop"][..], &["doctor", "restart-daemon"]] {
        let refused = stage.0.run(argv).exits(1);
        assert!(refused.stderr.contains(&hint), "{argv:?}: {}", refused.stderr);
    }
    let doctor = stage.0.run(["sync", "doctor", "--offline"]).exits(1);
    assert!(doctor.stdout.contains("daemon_suspended") && doctor.stdout.contains(&hint), "{}", doctor.stdout);
    assert!(doctor.stdout.contains(&format!("kill -CONT {pid}")), "the gentle way: {}", doctor.stdout);
    stage.type_hint(&hint).exits(0);
    let status = stage.0.run(["sync", "daemon", "status", "--json"]).exits(0).json();
    assert_eq!(status["state"], "stopped", "{status:#}");
    stage.is_coherent();
}

fn reach_migrate() {
    let stage = Stage::new();
    ReferenceQueue::create(&stage.0.root().join("queue.db")).event("01KRX0000000000000000000A1", Some(TEAM));
    let hint = Remedy::Migrate.hint();
    stage.refuses(&hint);
    stage.type_hint(&hint).exits(0);
    stage.is_coherent();
}

fn reach_repair() {
    let stage = Stage::new();
    stage.0.write_state("queue.db", b"no database at all, and not empty");
    stage.0.write_state("sync/daemon/owner.json", b"{");
    let hint = Remedy::Repair.hint();
    stage.refuses(&hint);
    stage.type_hint(&hint).exits(0);
    stage.is_coherent();
}

fn reach_sync_now() {
    let mut stage = Stage::new();
    let server = Server::start(&stage.0, USER);
    server.welcome(&mut stage.0);
    let config = stage.0.home().config_file();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}max_queue_size = 10\n")).unwrap();
    stage.0.run(["agent", "mission", "create", "one"]).exits(0);
    let full = stage.0.run(["agent", "mission", "create", "two"]);
    let hint = Remedy::SyncNow.hint();
    assert!(full.code != Some(0) && full.stderr.contains(&hint), "{full:?}");
    stage.type_hint(&hint).exits(0);
    stage.0.run(["agent", "mission", "create", "two"]).exits(0);
}

fn reach_opt_in() {
    let stage = Stage::new();
    let queue = ReferenceQueue::create(&stage.0.home().scoped_queue(&stage.0.scope()));
    queue.event("01KRX0000000000000000000A1", Some(TEAM));
    drop(queue);
    let held = |stage: &Stage| stage.0.run(["sync", "status", "--json"]).exits(0).json()["held"].take();
    let hint = held(&stage)[0]["remediation_hint"].as_str().unwrap().to_owned();
    let doctor = stage.0.run(["sync", "doctor", "--offline"]).exits(1);
    assert!(doctor.stdout.contains(&hint), "{}", doctor.stdout);
    stage.type_hint(&hint).exits(0);
    assert_eq!(held(&stage).as_array().unwrap().len(), 0);
}

fn reach_start_daemon() {
    let stage = Stage::new();
    let hint = Remedy::StartDaemon.hint();
    let failed = stage.0.run(["doctor", "restart-daemon", "--json"]).exits(1);
    assert_eq!(failed.json()["reason"], "nothing_to_restart");
    assert!(failed.json()["remediation"].as_array().unwrap().contains(&hint.as_str().into()));
    stage.type_hint(&hint).exits(0);
    assert_eq!(stage.0.run(["sync", "daemon", "status", "--json"]).exits(0).json()["state"], "running");
}

/// Where no command can help, the text says which line to correct.
fn reach_advice() {
    let stage = Stage::new();
    let config = stage.0.home().config_file();
    let good = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{good}broken =\n")).unwrap();
    let status = stage.0.run(["sync", "status", "--check", "--json"]).exits(2).json();
    let fault =
        status["faults"].as_array().unwrap().iter().find(|fault| fault["code"] == "config_unreadable");
    let hint = fault.unwrap()["remediation_hint"].as_str().unwrap();
    assert!(hint.contains("line 3") && !hint.contains("spec-kitty "), "{hint}");
    stage.0.run(["doctor", "repair"]).exits(1);
    assert!(std::fs::read_to_string(&config).unwrap().ends_with("broken =\n"), "repair never touches it");
    std::fs::write(&config, good).unwrap();
    stage.is_coherent();
}

/// Commands that texts name without a [`Remedy`]: in the sources outside of comments, and on every page.
#[test]
fn every_command_that_a_text_or_a_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let mut files = vec![root.join("README.md")];
    for page in ["boundary", "daemon", "delivery", "server"] {
        files.push(root.join(format!("docs/{page}.md")));
    }
    for library in
        ["cli", "contract", "daemon", "delivery", "gate", "identity", "preflight", "queue", "server"]
    {
        collect_sources(&root.join("crates").join(library).join("src"), &mut files);
    }
    let mut named = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let is_page = file.extension().is_some_and(|extension| extension == "md");
        for line in text.lines().filter(|line| is_page || !line.trim_start().starts_with("//")) {
            for quoted in line.split('`').skip(1).step_by(2) {
                let Some(words) = quoted.strip_prefix("spec-kitty ") else { continue };
                // `[--flag]` is a flag, `a|b` is both, `...` and `{}` are for the reader.
                let words = words.replace(['[', ']'], "").replace("|", " ");
                let argv: Vec<&str> = ["spec-kitty"]
                    .into_iter()
                    .chain(shell_words(&words).into_iter().filter(|word| !matches!(*word, "..." | "{}")))
                    .collect();
                let parsed = Cli::try_parse_from(&argv).map_err(|error| error.kind());
                // A placeholder is no value; what counts is that verbs and flags are there.
                let fine = [
                    ErrorKind::InvalidValue,
                    ErrorKind::ValueValidation,
                    ErrorKind::MissingRequiredArgument,
                    ErrorKind::MissingSubcommand,
                    ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
                    ErrorKind::DisplayVersion,
                    ErrorKind::DisplayHelp,
                ];
                let known = parsed.as_ref().map_or_else(|kind| fine.contains(kind), |_| true);
                assert!(known, "{}: `{quoted}`: {parsed:?}", file.display());
                named += 1;
            }
        }
    }
    assert!(named > 15, "{named}");
}

/// Words between blanks; between double quotes, one word.
fn shell_words(text: &str) -> Vec<&str> {
    let parts = text.split('"').enumerate();
    parts
        .flat_map(|(index, part)| if index % 2 == 1 { vec![part] } else { part.split_whitespace().collect() })
        .collect()
}

fn collect_sources(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect_sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
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
            !released.stdout.contains('\u{1b}') && released.stdout.contains("released 1 event"),
            "{released:?}"
        );
        let status = world.run(["sync", "status", "--json"]).exits(0).json();
        assert_eq!(status["held"].as_array().unwrap().len(), 0, "{status:#}");
    }
}
