//! A password in a URL of any file is shown nowhere.

use super::*;
use crate::worlds::fresh;

/// In every form of a server URL: the screen shows no password.
#[rstest]
#[case::with_a_user("[sync]\nserver_url = \"https://dev:hunter2@example.invalid\"\n", "server_url")]
#[case::on_a_line_that_does_not_parse(
    "[sync]\nserver_url = \"https://dev:hunter2@example.invalid\n",
    "line 2"
)]
#[case::of_the_wrong_type("[sync]\nserver_url = [\"https://dev:hunter2@example.invalid\"]\n", "server_url")]
#[case::as_a_token_host("[sync]\ntoken_host = \"https://dev:hunter2@example.invalid\"\n", "token_host")]
fn a_password_in_the_configuration_is_shown_nowhere(#[case] config: &str, #[case] named: &str) {
    let world = world();
    world.init_project();
    world.write_config(config);
    let status = world.run(["sync", "status", "--check", "--json"]).json();
    if named != "token_host" {
        let faults = status["faults"].to_string();
        let is_named = faults.contains("config_unreadable") || faults.contains("server_url_invalid");
        assert!(is_named && faults.contains(named), "{status:#}");
    }
    shows_no_password(&world);
}

/// Files that other programs wrote are read all the same: they name an old account, or a daemon.
#[test]
fn password_in_the_files_of_another_program_is_shown_nowhere() {
    let url = "https://dev:hunter2@example.invalid";
    let world = fresh();
    world.init_project();
    let credentials =
        format!("[user]\nusername = \"dev@example.com\"\nteam_slug = \"t\"\n[server]\nurl = \"{url}\"\n");
    world.write_state("credentials", credentials.as_bytes());
    ReferenceQueue::create(&world.root().join("queue.db")).event("01KRX0000000000000000000A1", None);
    let record = OwnerRecord {
        server_url: url.replace("invalid", "other"),
        auth_principal: Some("dev@example.com".into()),
        auth_scope: Some(format!("{url}|dev@example.com|t")),
        ..agreeing(&world, stand_in())
    };
    write(&world, &record);
    let status = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
    assert_eq!(status["foreground"]["server_url"], "https://***@example.invalid");
    assert_eq!(status["mismatches"][0]["foreground_value"], "https://***@example.invalid", "{status:#}");
    assert_eq!(status["mismatches"][0]["daemon_value"], "https://***@example.other");
    shows_no_password(&world);
    write(&world, &OwnerRecord { pid: i64::from(u32::MAX), ..record });
    let status = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
    assert_eq!(status["orphan_records"][0]["server_url"], "https://***@example.other", "{status:#}");
    shows_no_password(&world);
}

/// Nothing that any verb prints has it.
#[track_caller]
fn shows_no_password(world: &World) {
    for verb in [
        &["sync", "status", "--check"][..],
        &["sync", "status"],
        &["sync", "now"],
        &["sync", "doctor", "--offline"],
        &["sync", "setup"],
        &["sync", "preview"],
        &["sync", "migrate"],
        &["sync", "daemon", "start"],
        &["sync", "daemon", "status"],
        &["sync", "opt-in", "--project", "x"],
        &["sync", "opt-in", "--project", "none"],
        &["agent", "mission", "create", "some-mission"],
        &["auth", "status"],
        &["auth", "login", "--headless"],
        &["auth", "login", "--headless", "--server", "http://dev:hunter2@127.0.0.1:1"],
        &["auth", "doctor"],
        &["doctor", "repair"],
        &["doctor", "orphan-daemons"],
        &["doctor", "restart-daemon"],
    ] {
        for json in [&[][..], &["--json"]] {
            let run = world.run(verb.iter().chain(json));
            assert!(!format!("{run:?}").contains("hunter2"), "{verb:?}: {run:?}");
        }
    }
    world.end_daemon();
}
