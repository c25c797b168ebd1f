//! The daemon started by a command, and the one in the foreground: the binary against its own server.
#![cfg(unix)]

use crate::worlds::{logged_in, with_server};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;
use testkit::daemon::Daemon;
use testkit::patience::eventually;
use testkit::{Server, World};

/// A world whose commands act as the account of a running server, and may start daemons.
fn with_daemons() -> (World, Server) {
    let (mut world, server) = with_server();
    world.allow_daemon();
    (world, server)
}

fn daemon_status(world: &World) -> Value {
    world.run(["sync", "daemon", "status", "--json"]).json()
}

fn create(world: &World, mission: &str) {
    world.run(["agent", "mission", "create", mission]).exits(0);
}

#[test]
fn first_capture_starts_the_daemon_and_the_next_nudges_it() {
    let (world, server) = with_daemons();
    assert_eq!(daemon_status(&world)["state"], "stopped");
    create(&world, "one");
    eventually("the first mission arrives", || !server.event_ids().is_empty());
    eventually("its report shows no remaining row", || {
        daemon_status(&world)["report"]["last_drain"]["outcome"]["remaining"] == 0
    });
    let daemon = daemon_status(&world);
    assert_eq!((&daemon["state"], &daemon["automatic_starts"]["recent"]), (&"running".into(), &1.into()));
    let arrived = server.event_ids().len();
    create(&world, "two");
    eventually("the second mission arrives", || server.event_ids().len() > arrived);
    assert_eq!(daemon_status(&world)["pid"], daemon["pid"], "the same daemon");
    let log = std::fs::read_to_string(world.home().daemon_log()).unwrap();
    assert!(!log.contains("error") && !log.contains(&server.token), "{log}");
}

#[test]
fn daemon_that_meets_another_delivery_is_no_finding() {
    let (world, _server) = with_daemons();
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    let queue = std::path::PathBuf::from(status["active_queue"]["path"].as_str().unwrap());
    let lock = queue.with_extension("drain.lock");
    let held = system::FileLock::acquire(&lock, std::time::Duration::ZERO, "the test").unwrap();
    create(&world, "one");
    eventually("the daemon meets the lock", || {
        daemon_status(&world)["report"]["last_drain"]["outcome"]["result"] == "busy"
    });
    let doctor = world.run(["sync", "doctor", "--offline"]).stdout;
    assert!(doctor.contains("drain.lock") && !doctor.contains("last_drain_failed"), "{doctor}");
    drop(held);
}

#[test]
fn disabled_daemon_never_starts_and_commands_work() {
    let (mut world, server) = with_daemons();
    for (variable, value) in [("CI", "true"), ("SPEC_KITTY_NO_DAEMON", "1")] {
        world.set(variable, value);
        create(&world, &variable.to_lowercase().replace('_', "-"));
        world.unset(variable);
        assert_eq!(daemon_status(&world)["state"], "stopped", "{variable}");
    }
    let config = std::fs::read_to_string(world.home().config_file()).unwrap();
    world.write_config(&format!("{config}background_daemon = \"manual\"\n"));
    create(&world, "by-hand");
    assert_eq!(daemon_status(&world)["state"], "stopped");
    assert!(!world.home().daemon_dir().join("starts").exists(), "nothing was even tried");
    assert_eq!(server.event_ids(), [""; 0]);
    world.run(["sync", "now"]).exits(0);
    assert!(!server.event_ids().is_empty());
}

#[test]
fn foreground_daemon_runs_until_stopped_and_reports_reason() {
    let (world, server) = with_daemons();
    let mut command = world.command();
    command.args(["sync", "daemon", "run"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut daemon = command.spawn().unwrap();
    let mut said = BufReader::new(daemon.stderr.take().unwrap());
    let mut ready = String::new();
    said.read_line(&mut ready).unwrap();
    assert!(ready.starts_with(&format!("the daemon serves, pid {}, port ", daemon.id())), "{ready}");
    create(&world, "one");
    eventually("it delivers", || !server.event_ids().is_empty());
    // A second daemon refuses to start and names a remedy.
    let second = world.run(["sync", "daemon", "run"]).exits(1);
    assert!(second.stderr.contains("a daemon of this home runs already"), "{}", second.stderr);
    assert_eq!(world.run_program("kill", ["-TERM", &daemon.id().to_string()]).code, Some(0));
    assert!(daemon.wait().unwrap().success(), "it had a reason to end");
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "the daemon ended because it got the signal SIGTERM\n");
    let status = daemon_status(&world);
    assert_eq!((&status["state"], &status["stops"][0]["reason"]), (&"stopped".into(), &"signal".into()));
    assert_eq!(status["stops"][0]["signal"], "SIGTERM");
}

#[test]
fn replaced_foreground_daemon_exits_for_a_restart() {
    let (world, _server) = with_daemons();
    let mut command = world.command();
    command.args(["sync", "daemon", "run"]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut daemon = command.spawn().unwrap();
    let mut said = BufReader::new(daemon.stderr.take().unwrap());
    said.read_line(&mut String::new()).unwrap();
    world.run(["doctor", "restart-daemon"]).exits(0);
    assert_eq!(daemon.wait().unwrap().code(), Some(1));
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "the daemon ended because it was replaced by an explicit restart\n");
}

/// The table of exit codes in docs/daemon.md, each cell in a world of its own.
#[test]
fn daemon_commands_exit_as_the_page_shows() {
    let page = include_str!("../../../../docs/daemon.md");
    let rows = page.lines().skip_while(|line| !line.starts_with("| state | `start` |")).skip(2);
    let rows: Vec<Vec<&str>> = rows
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), 10);
    let mut shown = Vec::new();
    for row in &rows {
        let (daemon, rest) = row[0].split_once(", ").unwrap();
        let verbs =
            [&["sync", "daemon", "start"][..], &["sync", "daemon", "stop"], &["doctor", "restart-daemon"]];
        let codes = verbs.map(|verb| {
            let mut world = logged_in();
            let running = (daemon != "no daemon").then(|| Daemon::start(&world));
            match daemon {
                "a daemon was killed" => running.as_ref().unwrap().crash(),
                "a daemon runs" | "no daemon" => {}
                other => panic!("{other}"),
            }
            match rest {
                "logged in" => {}
                "logged out" => std::fs::remove_file(world.home().session_file()).unwrap(),
                "hosted sync off" => drop(world.set("SPEC_KITTY_ENABLE_SAAS_SYNC", "0")),
                "config.toml unreadable" => drop(world.write_config("= nonsense")),
                other => panic!("{other}"),
            }
            let run = world.run(verb);
            if run.code == Some(0) && run.stdout.starts_with("daemon started") {
                world.end_daemon();
            }
            run.code.unwrap().to_string()
        });
        shown.push(format!("{}: {codes:?}", row[0]));
    }
    let expected: Vec<String> = rows.iter().map(|row| format!("{}: {:?}", row[0], &row[1..])).collect();
    assert_eq!(shown.join("\n"), expected.join("\n"));
}
