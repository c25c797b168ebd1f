//! The daemon started by a command, and the one in the foreground: the binary against its own server.
#![cfg(unix)]

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;
use testkit::daemon::Daemons;
use testkit::patience::eventually;
use testkit::{Server, World};

/// A world whose commands act as the account of a running server, and may start daemons.
struct Scene {
    _daemons: Daemons,
    world: World,
    server: Server,
}

impl Scene {
    fn new() -> Self {
        let (mut world, server) = testkit::host::with_server(env!("CARGO_BIN_EXE_spec-kitty"));
        world.unset("SPEC_KITTY_NO_DAEMON");
        Self { _daemons: Daemons::of(&world), world, server }
    }

    fn daemon(&self) -> Value {
        self.world.run(["sync", "daemon", "status", "--json"]).json()
    }

    fn create(&self, mission: &str) {
        self.world.run(["agent", "mission", "create", mission]).exits(0);
    }
}

#[test]
fn first_capture_starts_the_daemon_and_the_next_nudges_it() {
    let scene = Scene::new();
    assert_eq!(scene.daemon()["state"], "stopped");
    scene.create("one");
    eventually("the first mission arrives", || !scene.server.event_ids().is_empty());
    eventually("it says so", || scene.daemon()["report"]["last_drain"]["outcome"]["remaining"] == 0);
    let daemon = scene.daemon();
    assert_eq!((&daemon["state"], &daemon["automatic_starts"]["recent"]), (&"running".into(), &1.into()));
    let arrived = scene.server.event_ids().len();
    scene.create("two");
    eventually("the second mission arrives", || scene.server.event_ids().len() > arrived);
    assert_eq!(scene.daemon()["pid"], daemon["pid"], "the same daemon");
    let log = std::fs::read_to_string(scene.world.home().daemon_log()).unwrap();
    assert!(!log.contains("error") && !log.contains(&scene.server.token), "{log}");
}

#[test]
fn disabled_daemon_never_starts_and_commands_work() {
    let mut scene = Scene::new();
    for (variable, value) in [("CI", "true"), ("SPEC_KITTY_NO_DAEMON", "1")] {
        scene.world.set(variable, value);
        scene.create(&variable.to_lowercase().replace('_', "-"));
        scene.world.unset(variable);
        assert_eq!(scene.daemon()["state"], "stopped", "{variable}");
    }
    let config = std::fs::read_to_string(scene.world.home().config_file()).unwrap();
    scene.world.write_config(&format!("{config}background_daemon = \"manual\"\n"));
    scene.create("by-hand");
    assert_eq!(scene.daemon()["state"], "stopped");
    assert!(!scene.world.home().daemon_dir().join("starts").exists(), "nothing was even tried");
    assert_eq!(scene.server.event_ids(), [""; 0]);
    scene.world.run(["sync", "now"]).exits(0);
    assert!(!scene.server.event_ids().is_empty());
}

#[test]
fn foreground_daemon_runs_until_stopped_and_reports_reason() {
    let scene = Scene::new();
    let mut command = scene.world.command();
    command.args(["sync", "daemon", "run"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut daemon = command.spawn().unwrap();
    let mut said = BufReader::new(daemon.stderr.take().unwrap());
    let mut ready = String::new();
    said.read_line(&mut ready).unwrap();
    assert!(ready.starts_with(&format!("the daemon serves, pid {}, port ", daemon.id())), "{ready}");
    scene.create("one");
    eventually("it delivers", || !scene.server.event_ids().is_empty());
    // A second daemon refuses to start and names a remedy.
    let second = scene.world.run(["sync", "daemon", "run"]).exits(1);
    assert!(second.stderr.contains("a daemon of this home runs already"), "{}", second.stderr);
    assert_eq!(scene.world.run_program("kill", ["-TERM", &daemon.id().to_string()]).code, Some(0));
    assert!(daemon.wait().unwrap().success(), "it had a reason to go");
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "the daemon ended because it got the signal SIGTERM\n");
    let status = scene.daemon();
    assert_eq!((&status["state"], &status["stops"][0]["reason"]), (&"stopped".into(), &"signal".into()));
    assert_eq!(status["stops"][0]["signal"], "SIGTERM");
}

#[test]
fn replaced_foreground_daemon_exits_for_a_restart() {
    let scene = Scene::new();
    let mut command = scene.world.command();
    command.args(["sync", "daemon", "run"]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut daemon = command.spawn().unwrap();
    let mut said = BufReader::new(daemon.stderr.take().unwrap());
    said.read_line(&mut String::new()).unwrap();
    scene.world.run(["doctor", "restart-daemon"]).exits(0);
    assert_eq!(daemon.wait().unwrap().code(), Some(1));
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "the daemon ended because it was replaced by an explicit restart\n");
}
