//! Every remedy in any text is an argv that this binary parses and that fixes the state which named it.
#![cfg(unix)]

use crate::worlds::{fresh, logged_in, with_server};
use clap::Parser;
use clap::error::ErrorKind;
use contract::{OwnerRecord, Remedy};
use serde_json::Value;
use spec_kitty::args::Cli;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::browser;
use testkit::listener::CountingListener;
use testkit::owner::{agreeing, failing_names, stand_in, write};
use testkit::project_store::{OPTED_IN, ProjectStoreFile};
use testkit::reference_queue::ReferenceQueue;
use testkit::remedies::samples;
use testkit::world::{SERVER, TEAM, USER, session, team};
use testkit::{Run, Server, World};

/// The refusal of the gate names the hint.
#[track_caller]
fn refuses(world: &World, hint: &str) {
    let run = world.run(["sync", "status", "--check"]).exits(2);
    assert!(run.stdout.lines().any(|line| line.trim() == hint), "{hint}: {}", run.stdout);
}

#[track_caller]
fn is_coherent(world: &World) {
    let status = world.run(["sync", "status", "--check", "--json"]).json();
    assert_eq!(failing_names(&status), [""; 0], "{status:#}");
}

/// Types the hint into `shell`.
fn type_hint(world: &World, shell: &str, hint: &str) -> Run {
    let words = hint.strip_prefix("spec-kitty ").expect("a command");
    let mut command = Command::new(shell);
    command.arg("-c").arg(format!("exec \"$0\" {words}")).arg(world.binary());
    world.dress(&mut command);
    testkit::world::finish(command)
}

/// A state that names the remedy, and the remedy as a shell runs it. A new variant needs an entry here: how
/// it is reached.
fn reach(remedy: &Remedy) {
    match remedy {
        Remedy::RestartDaemon => reach_restart_daemon(),
        Remedy::SwitchTeam { .. } => reach_switch_team(),
        Remedy::Login | Remedy::LoginServer => reach_login(),
        Remedy::LoginAt { .. } => reach_login_at(),
        Remedy::SetServer { .. } => reach_set_server(),
        Remedy::ExportScope { .. } => reach_export_scope(),
        Remedy::CleanOrphans => reach_clean_orphans(),
        Remedy::ForceCleanOrphans => reach_force_clean_orphans(),
        Remedy::Migrate => reach_migrate(),
        Remedy::Repair => reach_repair(),
        Remedy::RepairMission { .. } => reach_repair_mission(),
        Remedy::SyncNow => reach_sync_now(),
        Remedy::ResendMissing => reach_resend_missing(),
        Remedy::CaptureHistory { .. } => reach_capture_history(),
        Remedy::FromScope { .. } => reach_from_scope(),
        Remedy::FromServer { .. } => reach_from_server(),
        Remedy::OptIn { .. } => reach_opt_in(),
        Remedy::OptInAllHeld => reach_opt_in_all_held(),
        Remedy::StartDaemon => reach_start_daemon(),
        Remedy::StopDaemon => reach_stop_daemon(),
        Remedy::Advice(_) => reach_advice(),
    }
}

#[test]
fn every_remedy_is_named_by_a_state_and_fixes_it() {
    let mut reached = Vec::new();
    for remedy in samples() {
        let variant = std::mem::discriminant(&remedy);
        if !reached.contains(&variant) {
            reached.push(variant);
            reach(&remedy);
        }
    }
}

fn reach_restart_daemon() {
    let world = logged_in();
    world.run(["sync", "daemon", "start"]).exits(0);
    let path = world.home().owner_record();
    let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for key in ["package_version", "executable_path", "source_checkout_path", "server_url", "auth_team"] {
        record[key] = "other".into();
    }
    record["queue_db_path"] = "/other.db".into();
    std::fs::write(&path, record.to_string()).unwrap();
    let hint = Remedy::RestartDaemon.hint();
    let status = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
    assert_eq!(failing_names(&status), contract::Field::ALL.map(contract::Field::name));
    refuses(&world, &hint);
    type_hint(&world, "sh", &hint).exits(0);
    is_coherent(&world);
}

fn reach_switch_team() {
    let world = logged_in();
    let teams = |first: &str, second: &str| {
        let mut session = session(SERVER, USER, first);
        session.teams = vec![team(first, true), team(second, true)];
        session
    };
    // The daemon serves the second team of the very account that is in the first one now.
    world.write_session(&teams("team-b", "team-a"));
    write(&world, &agreeing(&world, stand_in()));
    world.write_session(&teams("team-a", "team-b"));
    let hint = Remedy::SwitchTeam { team: "team-b".into() }.hint();
    refuses(&world, &hint);
    type_hint(&world, "sh", &hint).exits(0);
    is_coherent(&world);
}

/// Both ways to log in, against a real server: with the server named, and at the one that is remembered.
fn reach_login() {
    let mut world = logged_in();
    let server = Server::start(&world, USER);
    let log_in = |world: &mut World, words: &[String]| {
        browser::log_in(world, &server, USER, words);
    };
    world.write_config("");
    let hint = Remedy::LoginServer.hint();
    let warned = world.run(["sync", "status"]).exits(0);
    assert!(warned.stderr.contains(&hint), "{}", warned.stderr);
    let url = server.url();
    let argv = Remedy::LoginServer.argv().unwrap();
    let argv: Vec<_> = argv.into_iter().map(|word| if word == "URL" { url.clone() } else { word }).collect();
    log_in(&mut world, &argv);
    let warned = world.run(["sync", "status"]).exits(0);
    assert_eq!(warned.stderr, "");

    world.run(["auth", "logout"]).exits(0);
    refuses(&world, &Remedy::Login.hint());
    let argv = Remedy::Login.argv().unwrap();
    log_in(&mut world, &argv);
    is_coherent(&world);
    // A session that cannot be read needs the same, and is no obstacle to it.
    std::fs::write(world.home().session_file(), "{").unwrap();
    refuses(&world, &Remedy::Login.hint());
    log_in(&mut world, &argv);
    is_coherent(&world);
}

/// The remedy of the only other queue DB.
fn hint_of_other_queue(world: &World) -> String {
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    let others = status["other_queues"].as_array().unwrap();
    assert_eq!(others.len(), 1, "{status:#}");
    others[0]["remediation_hint"].as_str().unwrap().to_owned()
}

fn has_no_other_queue(world: &World) {
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    assert_eq!(status["other_queues"], serde_json::json!([]), "{status:#}");
}

fn reach_login_at() {
    let mut world = logged_in();
    let server = Server::start(&world, USER);
    world.write_config(&format!("[sync]\nserver_url = \"{}\"\n", server.url()));
    world.write_session(&session(&server.url(), USER, &server.team));
    world.run(["agent", "mission", "create", "widgets"]).exits(0);
    world.write_session(&session(&server.url(), "mallory@example.com", &server.team));
    let remedy = Remedy::LoginAt { server: server.url(), again: true };
    assert_eq!(hint_of_other_queue(&world), remedy.hint());
    browser::log_in(&mut world, &server, USER, &remedy.argv().unwrap());
    has_no_other_queue(&world);
    is_coherent(&world);
}

/// The configured address is wrong, and the login is not: every screen about delivery names both servers and both ways.
fn reach_set_server() {
    const TYPO: &str = "https://sync.example.ocm";
    let world = logged_in();
    world.run(["agent", "mission", "create", "widgets"]).exits(0);
    world.write_config(&format!("[sync]\nserver_url = \"{TYPO}\"\n"));
    let hint = Remedy::SetServer { server: SERVER.to_owned() }.hint();
    assert_eq!(hint_of_other_queue(&world), hint);
    for argv in [
        &["sync", "status", "--check"][..],
        &["agent", "mission", "create", "gadgets"],
        &["sync", "doctor", "--offline"],
        &["auth", "doctor"],
        &["sync", "now"],
    ] {
        let run = world.run(argv);
        let said = format!("{}{}", run.stdout, run.stderr);
        for part in [&hint, TYPO.trim_start_matches("https://"), SERVER.trim_start_matches("https://")] {
            assert!(said.contains(part), "{argv:?}: {part}: {said}");
        }
        assert!(said.contains("spec-kitty auth login --server"), "{argv:?}: {said}");
    }
    type_hint(&world, "sh", &hint).exits(0);
    is_coherent(&world);
    assert_eq!(world.run(["sync", "status"]).exits(0).stderr, "");
}

fn reach_export_scope() {
    const BUILT_IN: &str = contract::server_url::PACKAGED_DEFAULT;
    let world = logged_in();
    world.write_config(&format!("[sync]\nserver_url = \"{BUILT_IN}\"\n"));
    world.write_session(&session(BUILT_IN, USER, TEAM));
    world.run(["agent", "mission", "create", "widgets"]).exits(0);
    let old = contract::Scope::new(BUILT_IN, USER, TEAM);
    let db = rusqlite::Connection::open(world.home().scoped_queue(&old)).unwrap();
    db.execute_batch(
        "DELETE FROM queue; DELETE FROM body_upload_queue;
         INSERT INTO parked(kind, key, digest, place, reason, detail, parked_at, head)
         VALUES (0, 'x', x'00', 0, 'rejected', '', 1, '{}')",
    )
    .unwrap();
    world.log_in();
    let hint = Remedy::ExportScope { hash: old.hash()[..16].to_owned() }.hint();
    assert_eq!(hint_of_other_queue(&world), hint);
    assert!(type_hint(&world, "sh", &hint).exits(0).stdout.contains("rejected"));
}

fn reach_clean_orphans() {
    let world = logged_in();
    write(&world, &OwnerRecord { pid: i64::from(u32::MAX), ..agreeing(&world, 1) });
    let hint = Remedy::CleanOrphans.hint();
    refuses(&world, &hint);
    type_hint(&world, "sh", &hint).exits(0);
    is_coherent(&world);
}

fn reach_force_clean_orphans() {
    let world = logged_in();
    let started = world.run(["sync", "daemon", "start", "--json"]).exits(0).json();
    let pid = started["pid"].to_string();
    assert_eq!(world.run_program("kill", ["-STOP", &pid]).code, Some(0));
    let hint = Remedy::ForceCleanOrphans.hint();
    for argv in [&["sync", "daemon", "stop"][..], &["doctor", "restart-daemon"]] {
        let refused = world.run(argv).exits(1);
        assert!(refused.stderr.contains(&hint), "{argv:?}: {}", refused.stderr);
    }
    let doctor = world.run(["sync", "doctor", "--offline"]).exits(1);
    assert!(doctor.stdout.contains("daemon_suspended") && doctor.stdout.contains(&hint), "{}", doctor.stdout);
    assert!(doctor.stdout.contains(&format!("kill -CONT {pid}")), "the gentle way: {}", doctor.stdout);
    type_hint(&world, "sh", &hint).exits(0);
    let status = world.run(["sync", "daemon", "status", "--json"]).exits(0).json();
    assert_eq!(status["state"], "stopped", "{status:#}");
    is_coherent(&world);
}

fn reach_migrate() {
    let world = logged_in();
    ReferenceQueue::create(&world.root().join("queue.db")).event("01KRX0000000000000000000A1", Some(TEAM));
    let hint = Remedy::Migrate.hint();
    refuses(&world, &hint);
    type_hint(&world, "sh", &hint).exits(0);
    is_coherent(&world);
}

/// It asks before it copies, so elsewhere than on a terminal it shows the preview and names `--yes`.
fn reach_from_scope() {
    let world = logged_in();
    let old = contract::Scope::new("https://gone.invalid", USER, TEAM);
    ReferenceQueue::create(&world.home().scoped_queue(&old)).event("01KRX0000000000000000000A1", None);
    let hint = Remedy::FromScope { hash: old.hash()[..16].to_owned() }.hint();
    let status = world.run(["sync", "status"]).exits(0);
    assert!(status.stdout.contains(&hint), "{status:?}");
    assert!(type_hint(&world, "sh", &hint).exits(2).stderr.contains("--yes"));
    type_hint(&world, "sh", &format!("{hint} --yes")).exits(0);
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    assert_eq!(status["other_queues"], serde_json::json!([]), "{status:#}");
}

fn reach_from_server() {
    const GONE: &str = "https://gone.invalid";
    let world = testkit::host::logged_in(env!("CARGO_BIN_EXE_spec-kitty"));
    let project = "164b830e-0aa9-486a-80e9-73e0ff9bd516";
    let store = ProjectStoreFile::create(&world.root(), project);
    store.opt_in().admit(GONE, USER, TEAM).event(OPTED_IN, "01KRX0000000000000000000A1");
    let hint = Remedy::FromServer { server: GONE.to_owned(), project: project.to_owned() }.hint();
    let status = world.run(["sync", "status"]).exits(0);
    assert!(status.stdout.contains(&hint), "{status:?}");
    assert!(world.run(["sync", "migrate"]).exits(2).stdout.contains(&hint));
    type_hint(&world, "sh", &hint).exits(0);
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    assert_eq!(status["project_stores"], serde_json::json!([]), "{status:#}");
    assert_eq!(status["active_queue"]["event_count"], 1, "{status:#}");
}

fn reach_repair() {
    let world = logged_in();
    world.write_state("queue.db", b"no database at all, and not empty");
    world.write_state("sync/daemon/owner.json", b"{");
    let hint = Remedy::Repair.hint();
    refuses(&world, &hint);
    type_hint(&world, "sh", &hint).exits(0);
    is_coherent(&world);
}

fn reach_repair_mission() {
    let world = logged_in();
    let mission = testkit::mission::Mission::create(&world, "sample");
    let log = mission.read("status.events.jsonl");
    mission.write("status.events.jsonl", &format!("{log}{{torn"));
    let plan = ["agent", "mission", "setup-plan", "--mission", &mission.slug];
    mission.specified(&world);
    let hint = Remedy::RepairMission { mission: mission.slug.clone() }.hint();
    let refused = world.run(plan).exits(1);
    assert!(refused.stderr.contains(&hint), "{refused:?}");
    type_hint(&world, "sh", &hint).exits(0);
    world.run(plan).exits(0);
}

fn reach_sync_now() {
    let mut world = logged_in();
    let server = Server::start(&world, USER);
    server.welcome(&mut world);
    let config = world.home().config_file();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}max_queue_size = 10\n")).unwrap();
    world.run(["agent", "mission", "create", "one"]).exits(0);
    let full = world.run(["agent", "mission", "create", "two"]);
    let hint = Remedy::SyncNow.hint();
    assert!(full.code != Some(0) && full.stderr.contains(&hint), "{full:?}");
    type_hint(&world, "sh", &hint).exits(0);
    world.run(["agent", "mission", "create", "two"]).exits(0);
}

fn reach_resend_missing() {
    let (world, mut server) = with_server();
    let backup = world.user_home().join("backup");
    server.back_up(&world, &backup);
    world.run(["agent", "mission", "create", "one"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    let held = server.held();
    server.restore(&world, &backup);
    let hint = Remedy::ResendMissing.hint();
    let now = world.run(["sync", "now"]).exits(0);
    assert!(now.stdout.lines().any(|line| line.trim() == hint), "{}", now.stdout);
    type_hint(&world, "sh", &hint).exits(0);
    world.run(["sync", "now"]).exits(0);
    assert_eq!(server.held(), held);
}

fn reach_capture_history() {
    let (world, server) = with_server();
    let created = world.run(["agent", "mission", "create", "one", "--json"]).exits(0).json();
    let hint =
        Remedy::CaptureHistory { mission: created["mission_slug"].as_str().unwrap().to_owned() }.hint();
    let path = world.home().scoped_queue(&contract::Scope::new(&server.url(), USER, &server.team));
    let lost = "DELETE FROM queue WHERE event_type = 'MissionDossierArtifactIndexed'";
    assert!(rusqlite::Connection::open(&path).unwrap().execute(lost, []).unwrap() > 0);
    let now = world.run(["sync", "now"]).exits(1);
    assert!(now.stdout.lines().any(|line| line.trim() == hint), "{}", now.stdout);
    type_hint(&world, "sh", &hint).exits(0);
    let now = world.run(["sync", "now", "--json"]).exits(0).json();
    assert_eq!(now["remaining"]["bodies"], 0, "{now:#}");
}

fn reach_opt_in() {
    let world = logged_in();
    let queue = ReferenceQueue::create(&world.home().scoped_queue(&world.scope()));
    queue.event("01KRX0000000000000000000A1", Some(TEAM));
    drop(queue);
    let held = |world: &World| world.run(["sync", "status", "--json"]).exits(0).json()["held"].take();
    let hint = held(&world)[0]["remediation_hint"].as_str().unwrap().to_owned();
    let doctor = world.run(["sync", "doctor", "--offline"]).exits(1);
    assert!(doctor.stdout.contains(&hint), "{}", doctor.stdout);
    type_hint(&world, "sh", &hint).exits(0);
    assert_eq!(held(&world).as_array().unwrap().len(), 0);
}

/// Named where more projects wait than a list names.
fn reach_opt_in_all_held() {
    let world = logged_in();
    let path = world.home().scoped_queue(&world.scope());
    let _ = ReferenceQueue::create(&path).event("01KRX0000000000000000000A1", Some(TEAM));
    let db = rusqlite::Connection::open(&path).unwrap();
    for number in 1..7 {
        db.execute(
            "INSERT INTO queue (event_id, event_type, data, timestamp)
             SELECT ?1, event_type, replace(replace(data, event_id, ?1), ?2, ?3), timestamp FROM queue LIMIT 1",
            rusqlite::params![
                format!("01KRX{number:021}"),
                testkit::reference_queue::PROJECT,
                format!("8a4a7da6-a97c-4bb4-893a-{number:012}")
            ],
        )
        .unwrap();
    }
    let hint = Remedy::OptInAllHeld.hint();
    let status = world.run(["sync", "status"]).exits(0);
    assert!(status.stdout.contains(&hint), "{}", status.stdout);
    type_hint(&world, "sh", &hint).exits(0);
    let held = world.run(["sync", "status", "--json"]).exits(0).json()["held"].take();
    assert_eq!(held.as_array().unwrap().len(), 0, "{held:#}");
}

fn reach_start_daemon() {
    let world = logged_in();
    let hint = Remedy::StartDaemon.hint();
    let failed = world.run(["doctor", "restart-daemon", "--json"]).exits(1);
    assert_eq!(failed.json()["reason"], "nothing_to_restart");
    assert!(failed.json()["remediation"].as_array().unwrap().contains(&hint.as_str().into()));
    type_hint(&world, "sh", &hint).exits(0);
    assert_eq!(world.run(["sync", "daemon", "status", "--json"]).exits(0).json()["state"], "running");
}

#[test]
fn daemon_start_obstacle_is_cured_by_its_hint() {
    let in_the_way: [fn(&World); 2] = [
        |world| std::fs::write(world.root().join("sync"), "a file").unwrap(),
        |world| std::fs::create_dir_all(world.home().owner_lock()).unwrap(),
    ];
    for put in in_the_way {
        let world = logged_in();
        let _ = std::fs::remove_dir_all(world.root().join("sync"));
        put(&world);
        let failed = world.run(["sync", "daemon", "start"]).exits(1);
        let hint = Remedy::Repair.hint();
        assert!(failed.stderr.contains(&format!("hint: {hint}\n")), "{}", failed.stderr);
        type_hint(&world, "sh", &hint);
        world.run(["sync", "daemon", "start"]).exits(0);
    }
    // A file that no command moves is listed as moved by hand.
    let world = logged_in();
    std::fs::create_dir_all(world.home().control_file()).unwrap();
    let failed = world.run(["sync", "daemon", "start"]).exits(1);
    assert!(
        failed.stderr.contains("control.json") && failed.stderr.contains("out of the way"),
        "{}",
        failed.stderr
    );
    std::fs::remove_dir(world.home().control_file()).unwrap();
    world.run(["sync", "daemon", "start"]).exits(0);
}

/// A second daemon in the foreground: a restart would only put another one in its way.
fn reach_stop_daemon() {
    let world = logged_in();
    world.run(["sync", "daemon", "start"]).exits(0);
    let hint = Remedy::StopDaemon.hint();
    let second = world.run(["sync", "daemon", "run"]).exits(1);
    assert!(second.stderr.contains(&format!("hint: {hint}\n")), "{}", second.stderr);
    type_hint(&world, "sh", &hint).exits(0);
    let status = world.run(["sync", "daemon", "status", "--json"]).exits(0).json();
    assert_eq!(status["state"], "stopped");
}

/// An advice: where no command can help, the text names the line to correct.
fn reach_advice() {
    let world = logged_in();
    let config = world.home().config_file();
    let good = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{good}broken =\n")).unwrap();
    let status = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
    let fault =
        status["faults"].as_array().unwrap().iter().find(|fault| fault["code"] == "config_unreadable");
    let hint = fault.unwrap()["remediation_hint"].as_str().unwrap();
    assert!(hint.contains("line 3") && !hint.contains("spec-kitty "), "{hint}");
    world.run(["doctor", "repair"]).exits(1);
    assert!(std::fs::read_to_string(&config).unwrap().ends_with("broken =\n"), "repair never touches it");
    std::fs::write(&config, good).unwrap();
    is_coherent(&world);
}

/// Commands that texts name without a [`Remedy`]: in the sources outside of comments, and on every page.
#[test]
fn every_command_that_a_text_or_a_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let mut files: Vec<PathBuf> = ["", "docs", "docs/reference"]
        .iter()
        .flat_map(|directory| std::fs::read_dir(root.join(directory)).unwrap().flatten())
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    assert!(files.len() > 20, "{files:?}");
    for library in [
        "cli",
        "contract",
        "daemon",
        "delivery",
        "gate",
        "identity",
        "mission",
        "preflight",
        "queue",
        "server",
    ] {
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
    for remedy in samples() {
        let Some(argv) = remedy.argv() else { continue };
        let argv = std::iter::once("spec-kitty".to_owned()).chain(argv).map(Into::into);
        Cli::parse_words(&argv.collect::<Vec<_>>()).unwrap_or_else(|error| panic!("{remedy:?}: {error}"));
    }
}

#[test]
fn shell_reads_every_hint_back_as_its_argv() {
    for remedy in samples() {
        let Some(argv) = remedy.argv() else { continue };
        let hint = remedy.hint();
        let words = hint.strip_prefix("spec-kitty ").unwrap();
        assert_eq!(contract::text::printable(&hint), hint, "shown as it is");
        let output = Command::new("bash").arg("-c").arg(format!("printf '%s\\n' {words}")).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().lines().collect::<Vec<_>>(), argv, "{hint}");
    }
}

/// Rows of another program may name anything as their project.
#[test]
fn hostile_project_rows_are_escaped_and_released() {
    for project in ["\u{1b}[2Jevil", "-x", " Padded ", "it's"] {
        let world = fresh();
        let listener = CountingListener::start();
        world.log_in_at(&listener.url());
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
        let released = type_hint(&world, "bash", hint).exits(0);
        assert!(
            !released.stdout.contains('\u{1b}') && released.stdout.contains("released 1 event"),
            "{released:?}"
        );
        let status = world.run(["sync", "status", "--json"]).exits(0).json();
        assert_eq!(status["held"].as_array().unwrap().len(), 0, "{status:#}");
    }
}
