//! What happens to machines, homes and accounts, as real processes against a real server. Each scenario ends with the same
//! question: did everything arrive, each row once, in its own account?

use super::active;
use crate::many_projects::leave_rows_of_projects;
use crate::worlds::{fresh, with_server};
use std::collections::BTreeSet;
use std::process::Stdio;
use testkit::mission::Mission;
use testkit::patience::eventually;
use testkit::project_store::{OPTED_IN, ProjectStoreFile};
use testkit::reference_queue::{PROJECT, ReferenceQueue};
use testkit::{Server, ServerStore, World};

fn waiting(world: &World) -> [u64; 2] {
    active(&world.run(["sync", "status", "--json"]).exits(0).json())
}

/// Nothing waits, and the server has so many events and bodies, each once.
#[track_caller]
fn arrived(world: &World, server: &Server, [events, bodies]: [u64; 2]) {
    assert_eq!(waiting(world), [0, 0]);
    let (ids, hashes) = (server.event_ids(), server.body_hashes());
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "each event once");
    assert_eq!([ids.len() as u64, hashes.len() as u64], [events, bodies]);
}

/// Rows of the reference wait in the queue of this account, and may leave.
fn released_rows(world: &World, events: u32) {
    let queue = ReferenceQueue::create(&world.root().join("queue.db")).quick();
    for number in 0..events {
        queue.event(&format!("01KRX{number:021}"), None);
    }
    drop(queue);
    world.run(["sync", "migrate"]).exits(0);
    world.run(["sync", "opt-in", "--project", PROJECT, "--include-held", "--yes"]).exits(0);
}

#[test]
fn scenario_6_home_of_327_is_imported_and_delivered_once() {
    let (world, server) = with_server();
    let rows = ReferenceQueue::create(&world.user_home().join("rows.db"));
    let store = ProjectStoreFile::create(&world.root(), PROJECT);
    store.opt_in();
    for number in 1..=5 {
        rows.event(&format!("01M8J4R97HXS28FC1JXZTEF{number:03}"), None);
    }
    let db = rusqlite::Connection::open(rows.path()).unwrap();
    let mut select = db.prepare("SELECT event_id, data FROM queue").unwrap();
    let texts = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
    for (id, envelope) in texts.map(Result::unwrap) {
        store.event_with(OPTED_IN, &id, &envelope);
    }
    world.run(["sync", "migrate"]).exits(0);
    assert_eq!(waiting(&world), [5, 0]);
    world.run(["sync", "now"]).exits(0);
    arrived(&world, &server, [5, 0]);
    world.run(["sync", "migrate"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    arrived(&world, &server, [5, 0]);
}

/// The process stands still in the middle of a drain, and its connection is gone when it goes on.
#[cfg(unix)]
#[test]
fn scenario_7_laptop_closed_in_the_middle_of_a_drain() {
    let (world, mut server) = with_server();
    released_rows(&world, 2_500);
    let mut command = world.command();
    command.args(["sync", "now"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut drain = command.spawn().unwrap();
    let pid = drain.id().to_string();
    let signal = |name: &str| world.run_program("kill", [name, &pid]);
    eventually("the first batch arrives", || server.count_by(&server.token) > 0);
    let _ = signal("-STOP");
    server.crash_and_restart(&world);
    let _ = signal("-CONT");
    drain.wait().unwrap();
    world.run(["sync", "now"]).exits(0);
    arrived(&world, &server, [2_500, 0]);
}

/// Runs the command on a full disk, and leaves in the home what it left there.
#[cfg(target_os = "linux")]
fn on_a_full_disk(world: &World, arguments: &[&str]) -> testkit::Run {
    use crate::file_systems::{FULL, run_behind};
    let then_keep = "root=$1; shift; code=0; \"$@\" || code=$?
        rm -f \"$root/filler\"; cp -a \"$root/.\" \"$root.after\"; exit $code";
    let run = run_behind(world, &format!("{FULL}\n{then_keep}"), arguments);
    let beside = |suffix: &str| format!("{}{suffix}", world.root().display());
    std::fs::remove_dir_all(world.root()).unwrap();
    std::fs::remove_dir_all(beside(".kept")).unwrap();
    std::fs::rename(beside(".after"), world.root()).unwrap();
    run
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs private mounts (unshare)"]
fn scenario_8_disk_full_at_each_stage() {
    let (world, server) = with_server();
    Mission::create(&world, "tea-timer").specified(&world).planned();
    let capture = ["agent", "mission", "setup-plan", "--mission", "tea-timer"];
    ReferenceQueue::create(&world.root().join("queue.db")).event("01KRX0000000000000000000A1", None);
    let migrate = ["sync", "migrate"];
    on_a_full_disk(&world, &migrate).exits(1);
    world.run(migrate).exits(0);
    on_a_full_disk(&world, &capture).exits(1);
    world.run(capture).exits(0);
    let consent = ["sync", "opt-in", "--project", PROJECT, "--include-held", "--yes"];
    on_a_full_disk(&world, &consent).exits(1);
    world.run(consent).exits(0);
    let rows = waiting(&world);
    assert!(rows[0] > 1 && rows[1] > 0, "{rows:?}");
    let full = on_a_full_disk(&world, &["sync", "now"]);
    assert_ne!(full.code, Some(0), "{full:?}");
    world.run(["sync", "now"]).exits(0);
    arrived(&world, &server, rows);
}

/// Later commands see the time that `CLOCK` names, as an offset.
#[cfg(target_os = "linux")]
fn with_a_clock(world: World) -> World {
    use std::os::unix::fs::PermissionsExt as _;
    let script = world.user_home().join("with-a-clock");
    let text = format!("#!/bin/sh\nexec faketime -f \"$CLOCK\" '{}' \"$@\"\n", world.binary().display());
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    world.with_program(script)
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs faketime"]
fn scenario_9_clock_an_hour_ahead_and_a_day_back() {
    let (world, server) = with_server();
    let mut world = with_a_clock(world);
    world.set("CLOCK", "+1h");
    let mission = Mission::create(&world, "tea-timer");
    mission.specified(&world).planned().with_tasks();
    world.run(["agent", "mission", "finalize-tasks", "--mission", "tea-timer"]).exits(0);
    let mut rows = [0, 0];
    for (clock, lane) in [("+1h", "claimed"), ("-1d", "in_progress"), ("+0", "for_review")] {
        world.set("CLOCK", clock);
        let argv =
            ["agent", "status", "emit", "WP01", "--to", lane, "--actor", "dev", "--force", "--reason", "r"];
        world.run(argv.into_iter().chain(["--mission", "tea-timer"])).exits(0);
        let waits = waiting(&world);
        rows = [rows[0] + waits[0], rows[1] + waits[1]];
        world.run(["sync", "now"]).exits(0);
        world.run(["sync", "status", "--check"]).exits(0);
    }
    arrived(&world, &server, rows);
    let board = world.run(["agent", "tasks", "status", "--mission", "tea-timer", "--json"]).exits(0).json();
    let first = board["work_packages"].as_array().unwrap().iter().find(|package| package["id"] == "WP01");
    assert_eq!(first.unwrap()["lane"], "for_review", "{board:#}");
}

#[test]
fn scenario_10_two_logins_in_a_week() {
    let (mut world, server) = with_server();
    let (_, token) = server.add_account(&world, "bea@example.org");
    let logins = [server.token.clone(), token];
    let mut captured = [0, 0];
    for (login, name) in [(0, "monday"), (1, "tuesday"), (0, "thursday"), (1, "friday")] {
        world.set("SPEC_KITTY_TOKEN", &logins[login]);
        let before = waiting(&world)[0];
        world.run(["agent", "mission", "create", name]).exits(0);
        captured[login] += waiting(&world)[0] - before;
    }
    for (login, token) in logins.iter().enumerate() {
        world.set("SPEC_KITTY_TOKEN", token);
        world.run(["sync", "now"]).exits(0);
        assert_eq!(waiting(&world), [0, 0]);
        assert_eq!(server.count_by(token), captured[login], "in its own account");
    }
}

#[test]
fn scenario_11_home_on_a_second_machine() {
    let (world, server) = with_server();
    world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
    let rows = waiting(&world);
    let mut second = fresh();
    server.welcome(&mut second);
    let [from, to] = [world.root(), second.root()];
    let _ = world.run_program("rm", ["-rf".as_ref(), to.as_os_str()]).exits(0);
    let _ = world.run_program("cp", ["-a".as_ref(), from.as_os_str(), to.as_os_str()]).exits(0);
    assert_eq!(waiting(&second), rows, "the same rows wait on both");
    for machine in [&second, &world] {
        machine.run(["sync", "now"]).exits(0);
        arrived(machine, &server, rows);
    }
}

/// Each job has a checkout, a token, and no home before or after it.
#[test]
fn scenario_12_ci_runner_with_a_token_and_no_home() {
    let keeper = fresh();
    let server = Server::start(&keeper, "ci@example.org");
    let mut events = 0;
    for job in ["first", "second"] {
        let mut world = fresh();
        server.welcome(&mut world);
        world.init_project();
        let state = world.work().join("state");
        let run = |home: &str, words: &[&str]| {
            let environment = ["-u", "HOME", home, world.binary().to_str().unwrap()];
            world.run_program("env", environment.iter().chain(words))
        };
        let home = format!("SPEC_KITTY_HOME={}", state.display());
        let created = run(&home, &["agent", "mission", "create", job, "--json"]).exits(0).json();
        events += created["capture"]["events"].as_u64().unwrap();
        run(&home, &["sync", "now"]).exits(0);
        let nowhere = run("SPEC_KITTY_HOME=", &["sync", "now"]).exits(1);
        assert!(nowhere.stderr.contains("HOME"), "{nowhere:?}");
    }
    assert_eq!(server.event_ids().len() as u64, events);
}

#[test]
fn scenario_13_rows_of_100_projects_arrive_in_one_drain() {
    let (world, server) = with_server();
    leave_rows_of_projects(&world.root().join("queue.db"), 100);
    world.run(["sync", "migrate"]).exits(0);
    world.run(["sync", "opt-in", "--all-held", "--include-held", "--yes"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    arrived(&world, &server, [100, 0]);
    let list = ServerStore::of(&world).administer(&world, &["server", "project", "list"], 0);
    assert_eq!(list["results"].as_array().unwrap().len(), 100);
}
