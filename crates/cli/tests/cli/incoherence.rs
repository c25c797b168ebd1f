//! Each way in which a machine can be incoherent, against each command that has to refuse: they agree
//! on the verdict, name it canonically, write nothing and send nothing.

use crate::worlds::{fresh, with_listener};
use contract::OwnerRecord;
use rstest::rstest;
use testkit::listener::CountingListener;
use testkit::owner::{agreeing, failing_names, stand_in, write};
use testkit::reference_queue::ReferenceQueue;
use testkit::tree::{difference, snapshot};
use testkit::world::{TEAM, World};

/// Everything refuses under exactly this name, and nothing happens.
#[track_caller]
fn refuses_everywhere(world: &World, server: &CountingListener, names: &[&str]) {
    let before = snapshot(world.user_home().parent().unwrap());
    let status = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
    assert_eq!(failing_names(&status), names, "{status:#}");
    assert_eq!((&status["ok"], &status["exit_code"]), (&false.into(), &2.into()));
    let text = world.run(["sync", "status", "--check"]).exits(2);
    assert!(names.iter().all(|name| text.stdout.contains(name)), "{}", text.stdout);

    for verb in [
        &["sync", "now"][..],
        &["agent", "mission", "setup-plan"],
        &["agent", "mission", "create", "some-mission"],
        &["agent", "status", "emit", "WP01", "--to", "claimed", "--actor", "dev"],
        &["sync", "capture", "--history", "some-mission", "--yes"],
    ] {
        let plain = world.run(verb).exits(2);
        assert_eq!(plain.stdout, "", "{verb:?}");
        assert!(names.iter().all(|name| plain.stderr.contains(name)), "{verb:?}: {}", plain.stderr);
        let screen: usize = plain.stderr.lines().map(|line| line.chars().count().max(1).div_ceil(80)).sum();
        assert!(screen <= 25, "{verb:?}: {screen} screen lines:\n{}", plain.stderr);
        let json = world.run(verb.iter().copied().chain(["--json"])).exits(2);
        let document = json.json();
        assert_eq!(document["result"], "refused", "{verb:?}");
        assert_eq!(failing_names(&document["preflight"]), names, "{verb:?}: {document:#}");
        assert_eq!(json.stderr.lines().count(), 1, "{verb:?}: {}", json.stderr);
        assert!(names.iter().all(|name| json.stderr.contains(name)), "{verb:?}: {}", json.stderr);
        assert!(!json.stdout.contains("control-secret") && !plain.stderr.contains("control-secret"));
    }
    assert_eq!(difference(&before, &snapshot(world.user_home().parent().unwrap())), Vec::<String>::new());
    assert_eq!(server.connections(), 0);
}

#[rstest]
#[case::version("daemon_package_version", |record: &mut OwnerRecord| record.package_version = "3.2.0rc10".into())]
#[case::executable("daemon_executable_path", |record: &mut OwnerRecord| record.executable_path = "/".into())]
#[case::source("daemon_source_path", |record: &mut OwnerRecord| record.source_checkout_path = "/other".into())]
#[case::server("daemon_server_url", |record: &mut OwnerRecord| record.server_url = "https://other.invalid".into())]
#[case::team("daemon_team_or_user", |record: &mut OwnerRecord| record.auth_team = Some("other".into()))]
#[case::queue("daemon_queue_db_path", |record: &mut OwnerRecord| record.queue_db_path = record.queue_db_path.with_file_name("other.db"))]
fn field_that_differs(#[case] field: &str, #[case] change: fn(&mut OwnerRecord)) {
    let (world, server) = with_listener();
    let mut record = agreeing(&world, stand_in());
    write(&world, &record);
    world.run(["sync", "status", "--check"]).exits(0);
    change(&mut record);
    write(&world, &record);
    refuses_everywhere(&world, &server, &[field]);
}

#[test]
fn all_six_fields_at_once() {
    let (world, server) = with_listener();
    let record = OwnerRecord {
        package_version: "0".into(),
        executable_path: "/".into(),
        source_checkout_path: "/other".into(),
        server_url: "https://other.invalid".into(),
        auth_principal: Some("other@example.com".into()),
        queue_db_path: world.root().join("queues/other.db"),
        ..agreeing(&world, stand_in())
    };
    write(&world, &record);
    let names = contract::Field::ALL.map(contract::Field::name);
    refuses_everywhere(&world, &server, &names);
}

#[test]
fn orphan_owner_record() {
    let (world, server) = with_listener();
    let record = OwnerRecord { pid: 4_194_304_000, ..agreeing(&world, 1) };
    write(&world, &record);
    refuses_everywhere(&world, &server, &["orphan_daemon_record"]);
    world.run(["doctor", "orphan-daemons"]).exits(1);
    world.run(["doctor", "orphan-daemons", "--fix"]).exits(0);
    world.run(["sync", "status", "--check"]).exits(0);
    world.run(["doctor", "orphan-daemons"]).exits(0);
}

#[test]
fn legacy_rows_in_scope_beside_another_failure() {
    let (world, server) = with_listener();
    ReferenceQueue::create(&world.root().join("queue.db")).event("01KRX0000000000000000000A1", Some(TEAM));
    let record = OwnerRecord { package_version: "0".into(), ..agreeing(&world, stand_in()) };
    write(&world, &record);
    refuses_everywhere(&world, &server, &["daemon_package_version", "legacy_rows_in_scope"]);
}

#[test]
fn legacy_rows_of_another_team_never_block() {
    let (world, _server) = with_listener();
    ReferenceQueue::create(&world.root().join("queue.db"))
        .event("01KRX0000000000000000000A1", Some("team-other"));
    let status = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    assert_eq!(status["legacy_queue"]["rows_other_scope"], 1);
    assert_eq!(status["legacy_queue"]["rows_in_scope"], 0);
    let text = world.run(["sync", "status"]).exits(0);
    assert!(text.stdout.contains("Other accounts: 1 row in"), "{}", text.stdout);
}

#[test]
fn unreadable_owner_record() {
    let (world, server) = with_listener();
    world.write_state("sync/daemon/owner.json", b"{");
    refuses_everywhere(&world, &server, &["owner_record_unreadable"]);
}

#[test]
fn not_logged_in() {
    let world = fresh();
    let server = CountingListener::start();
    world.write_config(&format!("[sync]\nserver_url = \"{}\"\n", server.url()));
    world.init_project();
    refuses_everywhere(&world, &server, &["auth_absent"]);
    let document = world.run(["agent", "mission", "setup-plan", "--json"]).exits(2).json();
    assert_eq!(document["error_code"], "SAAS_SYNC_UNAUTHENTICATED");
    assert_eq!(document["error"], "not logged in");
    assert!(document["remediation"].to_string().contains("spec-kitty auth login"));
}

/// A token wins over a session, so no login would change anything.
#[test]
fn unreadable_ci_token_needs_its_advice_not_a_login() {
    let (mut world, server) = with_listener();
    for (token, url) in [("hunter2", Some("https://example.invalid")), ("skp_YXxi.secret", None)] {
        world.set("SPEC_KITTY_TOKEN", token).unset("SPEC_KITTY_SERVER_URL").write_config("");
        if let Some(url) = url {
            world.set("SPEC_KITTY_SERVER_URL", url);
        }
        refuses_everywhere(&world, &server, &["auth_absent", "session_unreadable"]);
        let document = world.run(["sync", "now", "--json"]).exits(2).json();
        let remedies = document["remediation"].as_array().unwrap();
        assert!(
            remedies.len() == 1 && remedies[0].as_str().unwrap().starts_with("set SPEC_KITTY_"),
            "{document:#}"
        );
        assert!(!document.to_string().contains("hunter2"));
    }
}

#[test]
fn switch_off_gates_nothing_and_captures_nothing() {
    let (mut world, server) = with_listener();
    world.write_state("sync/daemon/owner.json", b"{");
    world.set("SPEC_KITTY_ENABLE_SAAS_SYNC", "0");
    let run = world.run(["sync", "now"]).exits(0);
    assert!(run.stdout.contains("SPEC_KITTY_ENABLE_SAAS_SYNC=1"), "{}", run.stdout);
    world.run(["agent", "mission", "create", "some-mission"]).exits(0);
    assert!(!world.root().join("queues").exists());
    assert!(!world.root().join("queue.db").exists());
    assert_eq!(server.connections(), 0);
}
