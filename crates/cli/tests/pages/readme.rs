//! The pictures of README.md are what the program prints: the host that they show is built, and the
//! commands are run. Paths, versions and the server are spelled as on the page; numbers and names that
//! differ from run to run may differ.
#![cfg(unix)]

use contract::OwnerRecord;
use identity::Secret;
use identity::session::Session;
use std::fs;
use std::path::Path;
use testkit::daemon::ReferenceDaemon;
use testkit::owner::{agreeing, write};
use testkit::reference_queue::ReferenceQueue;
use testkit::transcript::{TranscriptStep, steps};
use testkit::world::session;
use testkit::{Server, World};

const USER: &str = "ada@example.org";

/// The commands of the chapter with the pictures.
fn pictures() -> Vec<TranscriptStep> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let page = fs::read_to_string(page).unwrap();
    let chapter = page.split("\n## What it looks like\n").nth(1).unwrap();
    steps(chapter.split("\n## ").next().unwrap())
}

/// Something was delivered; then an older release left a daemon behind, and rows in the unscoped queue.
fn host(world: &World, server: &Server) -> ReferenceDaemon {
    world.write_config(&format!("[sync]\nserver_url = \"{}\"\n", server.url()));
    let token = Secret::new(server.token.clone());
    world.write_session(&Session { access_token: token, ..session(&server.url(), USER, &server.team) });
    world.init_project();
    let _ = world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
    let _ = world.run(["sync", "now"]).exits(0);
    let _ = world.run(["agent", "mission", "create", "egg-timer"]).exits(0);

    let python = world.user_home().join(".venv/bin/python3.11");
    fs::create_dir_all(python.parent().unwrap()).unwrap();
    fs::write(&python, "").unwrap();
    let daemon = ReferenceDaemon::start(world);
    let record = OwnerRecord {
        port: i64::from(daemon.port),
        token: daemon.token.into(),
        package_version: "3.2.0rc11".into(),
        executable_path: python,
        ..agreeing(world, daemon.pid)
    };
    write(world, &record);
    let queue = ReferenceQueue::create(&world.root().join("queue.db"));
    for number in 0..9 {
        queue.event(&format!("01KRX0000000000000000000A{number}"), None);
    }
    for name in ["spec.md", "plan.md", "tasks.md"] {
        queue.body(name, "# Tea\n");
    }
    daemon
}

/// The world as the page spells it.
fn spelled(world: &World, server: &Server, text: &str) -> String {
    let version = world.run(["--version"]).exits(0).stdout;
    let commit = version.split_once('(').and_then(|(_, rest)| rest.split(' ').next()).unwrap_or_default();
    text.replace(world.user_home().to_str().unwrap(), "/home/ada")
        .replace(&server.url(), "https://sync.example.org")
        .replace(&server.team.to_lowercase(), "pt-01m81hw9")
        .replace(&format!("{}+{commit}", env!("CARGO_PKG_VERSION")), env!("CARGO_PKG_VERSION"))
}

/// A line without what differs from run to run: moments, and the digits of the queue's name.
fn lasting(line: &str) -> String {
    let words = line.split(' ').map(|word| match word.rsplit_once("/queue-") {
        Some((folder, _)) => format!("{folder}/queue-<16 hex>.db"),
        None if word.parse::<jiff::Timestamp>().is_ok() => "<moment>".to_owned(),
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn pictures_are_what_the_program_prints() {
    let world = World::named(env!("CARGO_BIN_EXE_spec-kitty"), "ada");
    let program = world.user_home().join(".cargo/bin/spec-kitty");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    testkit::world::copy_program(env!("CARGO_BIN_EXE_spec-kitty").as_ref(), &program);
    let world = world.with_program(program);
    let server = Server::start(&world, USER);
    let _theirs = host(&world, &server);

    let pictures = pictures();
    let [refusal, status] = &pictures[..] else { panic!("{pictures:#?}") };
    let agrees = |step: &TranscriptStep, printed: &str| {
        let printed = spelled(&world, &server, printed);
        for (shown, printed) in
            step.output.iter().zip(printed.lines()).filter(|(shown, _)| shown.trim() != "...")
        {
            assert_eq!(lasting(shown), lasting(printed), "`{}`", step.command);
        }
        let cut = step.output.last().is_some_and(|line| line.trim() == "...");
        assert!(cut || step.output.len() == printed.lines().count(), "{printed}");
    };
    assert_eq!(refusal.command, "spec-kitty sync now");
    agrees(refusal, &world.run(["sync", "now"]).exits(2).stderr);
    for hint in refusal.output.iter().filter_map(|line| line.trim().strip_prefix("spec-kitty ")) {
        let _ = world.run(hint.split(' ')).exits(0);
    }
    assert_eq!(status.command, "spec-kitty sync status");
    agrees(status, &world.run(["sync", "status"]).exits(0).stdout);
}
