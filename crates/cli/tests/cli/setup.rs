//! `sync setup`: every gate in order, what is safe done, the rest named, and `sync status --check` at the end.
#![cfg(unix)]

use crate::worlds::{fresh, logged_in};
use contract::OwnerRecord;
use serde_json::Value;
use std::process::{Child, Command, Stdio};
use testkit::Server;
use testkit::browser::Browser;
use testkit::daemon::Daemon;
use testkit::owner::{agreeing, write};
use testkit::reference_queue::ReferenceQueue;
use testkit::tree::{difference, snapshot};
use testkit::world::{TEAM, USER, World};

/// An orphan record and legacy rows: both are fixed without a prompt.
fn curable() -> World {
    let world = logged_in();
    write(&world, &OwnerRecord { pid: i64::from(u32::MAX), ..agreeing(&world, 1) });
    ReferenceQueue::create(&world.root().join("queue.db")).event("01KRX0000000000000000000A1", Some(TEAM));
    world
}

/// Code and outcome of each step, in order.
fn steps(document: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let steps = document["steps"].as_array().unwrap();
    steps.iter().map(|step| (text(&step["code"]), text(&step["outcome"]))).collect()
}

fn expected(steps: &[(&str, &str)]) -> Vec<(String, String)> {
    steps.iter().map(|(code, outcome)| ((*code).to_owned(), (*outcome).to_owned())).collect()
}

#[test]
fn setup_without_terminal_lists_failures_and_changes_nothing() {
    let world = curable();
    std::fs::remove_file(world.home().session_file()).unwrap();
    std::fs::write(world.home().config_file(), "").unwrap();
    let before = snapshot(world.user_home().parent().unwrap());
    let shown = world.run(["sync", "setup", "--json"]).exits(2).json();
    // Logged out, queue.db is the active queue: its row is no legacy row, and waits for a decision.
    let want = [
        ("SYNC_SERVER_UNSET", "needs_person"),
        ("auth_absent", "needs_person"),
        ("rows_held", "needs_person"),
        ("orphan_daemon_record", "needs_yes"),
    ];
    assert_eq!(steps(&shown), expected(&want), "{shown:#}");
    assert_eq!((&shown["exit_code"], &shown["result"]), (&2.into(), &"findings".into()));
    let text = world.run(["sync", "setup"]).exits(2);
    assert!(text.stdout.contains("with --yes: spec-kitty doctor orphan-daemons --fix"), "{}", text.stdout);
    assert!(text.stdout.contains("by hand: spec-kitty auth login --server URL"), "{}", text.stdout);
    assert_eq!(difference(&before, &snapshot(world.user_home().parent().unwrap())), Vec::<String>::new());
}

/// A finding that follows from another has no remedy of its own.
#[test]
fn setup_prints_no_empty_remedy() {
    let world = logged_in();
    world.write_state("auth/session.json", b"no session at all");
    let text = world.run(["sync", "setup"]).exits(2).stdout;
    assert!(text.contains("auth_absent: session unreadable"), "{text}");
    let labels = ["done:", "failed:", "not done:", "with --yes:", "by hand:", "or:"];
    assert!(!text.lines().any(|line| labels.contains(&line.trim())), "{text}");
}

#[test]
fn with_yes_safe_fixes_run_before_the_check() {
    let world = curable();
    let done = world.run(["sync", "setup", "--yes", "--json"]).exits(1).json();
    // The migrated row was captured by another program: whether it may leave is a person's decision.
    let want =
        [("orphan_daemon_record", "done"), ("legacy_rows_in_scope", "done"), ("rows_held", "needs_person")];
    assert_eq!(steps(&done), expected(&want), "{done:#}");
    assert_eq!((&done["check"]["ok"], &done["exit_code"]), (&true.into(), &1.into()));
    assert!(!world.home().owner_record().exists());

    let hint = done["steps"][2]["remediation"][0].as_str().unwrap();
    world.run(hint.split(' ').skip(1)).exits(0);
    let again = world.run(["sync", "setup"]).exits(0);
    let check = world.run(["sync", "status", "--check"]).exits(0);
    assert!(again.stdout.ends_with(&format!("\n\n{}", check.stdout)), "{}", again.stdout);
}

#[test]
fn setup_with_yes_moves_no_file_and_logs_in_no_account() {
    let world = logged_in();
    world.write_state("queue.db", b"no database at all, and not empty");
    std::fs::remove_file(world.home().session_file()).unwrap();
    let before = snapshot(&world.root());
    let shown = world.run(["sync", "setup", "--yes", "--json"]).exits(2).json();
    // Logged out, queue.db is both.
    let want = [
        ("auth_absent", "needs_person"),
        ("active_queue_unreadable", "needs_person"),
        ("legacy_queue_unreadable", "needs_person"),
    ];
    assert_eq!(steps(&shown), expected(&want), "{shown:#}");
    assert_eq!(difference(&before, &snapshot(&world.root())), Vec::<String>::new());
}

#[test]
fn setup_runs_failed_remedy_once_and_continues() {
    let world = logged_in();
    // A live daemon of the Python CLI that gives no answer: it cannot be replaced, and it is left alone.
    let mut mute = mute_daemon();
    let record = OwnerRecord {
        package_version: "0".into(),
        source_checkout_path: "/other".into(),
        port: 1,
        ..agreeing(&world, mute.id())
    };
    write(&world, &record);
    ReferenceQueue::create(&world.root().join("queue.db")).event("01KRX0000000000000000000A1", Some(TEAM));
    let shown = world.run(["sync", "setup", "--yes", "--json"]).exits(2).json();
    let want = [
        ("daemon_package_version", "failed"),
        ("daemon_source_path", "failed"),
        ("legacy_rows_in_scope", "done"),
    ];
    assert_eq!(steps(&shown)[..3], expected(&want), "{shown:#}");
    assert!(shown["steps"][0]["said"].as_str().unwrap().contains("was not stopped"), "{shown:#}");
    assert_eq!(shown["steps"][1]["said"], Value::Null, "run once");
    assert_eq!(shown["check"]["legacy_queue"]["rows_in_scope"], 0);
    assert!(mute.try_wait().unwrap().is_none(), "it was not ended");
    mute.kill().unwrap();
    mute.wait().unwrap();
}

/// A process that looks like a daemon of the reference and listens nowhere.
fn mute_daemon() -> Child {
    use std::os::unix::process::CommandExt as _;
    // Without a home directory nothing ties it to a home.
    Command::new("sleep").arg0("run_sync_daemon").arg("300").env_remove("HOME").spawn().unwrap()
}

#[test]
fn with_hosted_sync_off_nothing_is_asked_of_anybody() {
    let mut world = fresh();
    world.set("SPEC_KITTY_ENABLE_SAAS_SYNC", "0");
    world.write_config("[sync]\nserver_url = \"https://example.invalid\"\n");
    let shown = world.run(["sync", "setup", "--yes", "--json"]).exits(0).json();
    assert_eq!((&shown["result"], &shown["exit_code"]), (&"incomplete".into(), &0.into()));
    assert_eq!(steps(&shown), [], "{shown:#}");
    assert_eq!(shown["gates"][0]["state"], "off");
}

#[test]
fn with_yes_a_daemon_of_another_identity_is_replaced() {
    let world = logged_in();
    let daemons = Daemon::start(&world);
    let path = world.home().owner_record();
    let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    record["package_version"] = "0.0.1".into();
    std::fs::write(&path, record.to_string()).unwrap();
    let done = world.run(["sync", "setup", "--yes", "--json"]).exits(0).json();
    assert_eq!(steps(&done), expected(&[("daemon_package_version", "done")]), "{done:#}");
    assert_eq!(done["check"]["daemon_owner_record"]["status"], "present");
    assert_ne!(done["check"]["daemon_owner_record"]["pid"], daemons.pid());
}

/// A terminal on which `answers` are typed.
#[cfg(target_os = "linux")]
fn at_a_terminal(world: &World, answers: &str) -> Command {
    let input = world.work().join("answers");
    std::fs::write(&input, answers).unwrap();
    let mut command = Command::new("script");
    let program = env!("CARGO_BIN_EXE_spec-kitty");
    command.args(["--quiet", "--return", "--command", &format!("'{program}' sync setup"), "/dev/null"]);
    world.dress(&mut command);
    command.stdin(Stdio::from(std::fs::File::open(&input).unwrap()));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_it_asks_before_each_and_no_means_no() {
    for (answers, orphan, legacy, left) in
        [("n\ny\n", "not done", "done", true), ("y\nn\n", "done", "not done", false)]
    {
        let world = curable();
        let command = at_a_terminal(&world, answers);
        let run = testkit::world::finish(command);
        for (outcome, hint) in [(orphan, "doctor orphan-daemons --fix"), (legacy, "sync migrate")] {
            let line = format!("{outcome}: spec-kitty {hint}");
            assert!(run.stdout.contains(&line), "{line}: {}", run.stdout);
        }
        assert_eq!(run.stdout.matches("[y/N]").count(), 2, "{}", run.stdout);
        assert_eq!(world.home().owner_record().exists(), left);
        run.exits(2);
    }
}

/// From an empty home to a coherent one: the URL is asked for, the browser opens, the check is green.
#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_it_leads_a_newcomer_to_a_login() {
    let mut world = fresh();
    world.init_project();
    let server = Server::start(&world, USER);
    let browser = Browser::install(&mut world);
    let mut command = at_a_terminal(&world, &format!("{}\n", server.url()));
    let setup = command.spawn().unwrap();
    browser.approve(USER, &server.secret);
    let output = setup.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains(&format!("logged in as {USER} at {}", server.url())), "{shown}");
    assert!(shown.contains("Mismatches      : 0"), "{shown}");
    world.run(["sync", "status", "--check"]).exits(0);
}
