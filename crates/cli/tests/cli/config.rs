//! `config list|get|set|unset` and the hosted-sync switch: which place decides, and what a command shows.
#![cfg(unix)]

use crate::worlds::{fresh, with_server};
use contract::switch::{NOTHING_CAPTURED, VARIABLE};
use std::process::Command;
use testkit::tree::{difference, snapshot};
use testkit::{Run, World};

const KEYS: [&str; 8] = [
    "sync.hosted",
    "sync.server_url",
    "sync.token_host",
    "sync.max_queue_size",
    "sync.background_daemon",
    "sync.keep_sent_days",
    "sync.keep_sent_mib",
    "cli.python",
];

/// A home without the variable, so that config.toml decides.
fn world() -> World {
    let mut world = fresh();
    world.unset(VARIABLE);
    world
}

fn config(world: &World) -> String {
    std::fs::read_to_string(world.home().config_file()).unwrap_or_default()
}

#[test]
fn list_shows_every_known_key_with_its_source() {
    let world = world();
    let listed = world.run(["config", "list", "--json"]).exits(0).json();
    let rows = listed["settings"].as_array().unwrap();
    let keys: Vec<_> = rows.iter().map(|row| row["key"].as_str().unwrap()).collect();
    assert_eq!(keys, KEYS);
    assert_eq!((&rows[0]["value"], &rows[0]["source"]), (&false.into(), &"default".into()));
    assert_eq!((&rows[1]["value"], &rows[1]["source"]), (&serde_json::Value::Null, &"unset".into()));
    world.write_config("[sync]\nmax_queue_size = 7\nhosted = true\n");
    let listed = world.run(["config", "list", "--json"]).exits(0).json();
    assert_eq!((&listed["settings"][0]["value"], &listed["settings"][3]["value"]), (&true.into(), &7.into()));
    let text = world.run(["config", "list"]).exits(0).stdout;
    assert!(text.contains("sync.hosted = true\n"), "{text}");
    assert!(text.contains("sync.background_daemon = auto (default)\n"), "{text}");
    assert!(text.contains("sync.server_url = <unset>\n"), "{text}");
}

#[test]
fn set_stores_the_normal_form_and_keeps_the_rest() {
    let world = world();
    world.write_config("# mine\n[sync] # here\nfuture = 1 # kept\nhosted = false # why\n");
    let cases = [
        ("sync.hosted", "ON", "hosted = true # why"),
        ("sync.server_url", "HTTPS://Example.INVALID:443/", "server_url = \"https://example.invalid\""),
        ("sync.token_host", "Auth.Example.INVALID", "token_host = \"auth.example.invalid\""),
        ("sync.max_queue_size", " 500 ", "max_queue_size = 500"),
        ("sync.background_daemon", "Manual", "background_daemon = \"manual\""),
    ];
    for (key, value, stored) in cases {
        let _ = world.run(["config", "set", key, value]).exits(0);
        assert!(config(&world).contains(&format!("{stored}\n")), "{}", config(&world));
        let again = world.run(["config", "set", key, value, "--json"]).exits(0).json();
        assert_eq!((&again["result"], &again["changed"]), (&"nothing_to_do".into(), &false.into()));
    }
    assert!(config(&world).starts_with("# mine\n[sync] # here\nfuture = 1 # kept\n"), "{}", config(&world));
    for (key, ..) in cases {
        let _ = world.run(["config", "unset", key]).exits(0);
        let again = world.run(["config", "unset", key, "--json"]).exits(0).json();
        assert_eq!(again["result"], "nothing_to_do");
    }
    assert_eq!(config(&world), "# mine\n[sync] # here\nfuture = 1 # kept\n# why\n");
}

#[test]
fn get_prints_the_value_alone() {
    let world = world();
    world.write_config("[sync]\nserver_url = \"https://example.invalid\"\n");
    assert_eq!(world.run(["config", "get", "sync.server_url"]).exits(0).stdout, "https://example.invalid\n");
    assert_eq!(world.run(["config", "get", "sync.max_queue_size"]).exits(0).stdout, "100000\n");
    let unset = world.run(["config", "get", "sync.token_host", "--json"]).exits(1).json();
    assert_eq!(unset["error_code"], "CONFIG_KEY_UNSET");
}

#[test]
fn unknown_key_lists_the_known_ones_and_changes_nothing() {
    let world = world();
    for argv in [
        &["config", "get", "sync.hostd"][..],
        &["config", "set", "hosted", "true"],
        &["config", "unset", "x"],
    ] {
        let before = snapshot(world.user_home());
        let run = world.run(argv).exits(2);
        assert!(KEYS.iter().all(|key| run.stderr.contains(key)), "{}", run.stderr);
        let json = world.run(argv.iter().copied().chain(["--json"])).exits(2).json();
        assert_eq!(json["error_code"], "USAGE");
        assert!(KEYS.iter().all(|key| json["evidence"].to_string().contains(key)), "{json:#}");
        assert_eq!(difference(&before, &snapshot(world.user_home())), Vec::<String>::new());
    }
}

#[test]
fn invalid_value_is_refused_and_changes_nothing() {
    let world = world();
    world.write_config("[sync]\nhosted = true\n");
    for (key, value) in [
        ("sync.hosted", "maybe"),
        ("sync.server_url", "example.invalid"),
        ("sync.server_url", "ftp://example.invalid"),
        ("sync.server_url", "http://example.invalid"),
        ("sync.server_url", "https://ada:hunter2@example.invalid"),
        ("sync.server_url", "https://spec-kitty-dev.fly.dev"),
        ("sync.token_host", "two words"),
        ("sync.max_queue_size", "-1"),
        ("sync.background_daemon", "sometimes"),
    ] {
        let json = world.run(["config", "set", key, value, "--json"]).exits(2).json();
        assert_eq!(json["error_code"], "CONFIG_VALUE_INVALID", "{key} {value}: {json:#}");
        assert!(!json.to_string().contains("hunter2"), "{json:#}");
        assert_eq!(config(&world), "[sync]\nhosted = true\n");
    }
}

#[test]
fn set_corrects_an_invalid_value_that_refuses_everything_else() {
    let mut world = world();
    world.set(VARIABLE, "1").log_in();
    let text = config(&world);
    world.write_config(&format!("{text}max_queue_size = \"many\"\n"));
    let _ = world.run(["sync", "status", "--check"]).exits(2);
    let _ = world.run(["config", "set", "sync.max_queue_size", "5000"]).exits(0);
    let _ = world.run(["sync", "status", "--check"]).exits(0);
    world.write_config("[sync\n");
    let refused = world.run(["config", "set", "sync.max_queue_size", "5000", "--json"]).exits(2).json();
    assert_eq!(refused["error_code"], "config_unreadable");
    assert_eq!(config(&world), "[sync\n");
}

#[test]
fn unknown_keys_in_our_tables_warn_in_the_doctor() {
    let world = world();
    world.write_config("[sync]\nhostd = true\n[other]\nx = 1\n");
    let run = world.run(["sync", "doctor", "--offline"]);
    assert!(run.stdout.contains("unknown key `sync.hostd` (line 2)"), "{}", run.stdout);
    assert!(!run.stdout.contains("other.x"), "{}", run.stdout);
    let json = world.run(["sync", "doctor", "--offline", "--json"]).json();
    let home = json["checks"].as_array().unwrap().iter().find(|check| check["name"] == "home").unwrap();
    assert_eq!(home["state"], "ok", "a warning is no finding: {home:#}");
    assert!(home["warnings"][0].as_str().unwrap().contains("sync.hostd"), "{home:#}");
}

/// Variable, configuration and default, as every surface sees them.
#[test]
fn switch_is_decided_alike_by_every_command() {
    let mut world = world();
    world.log_in().init_project();
    let logged_in = config(&world);
    for (variable, hosted, on) in [
        (None, None, false),
        (None, Some(true), true),
        (None, Some(false), false),
        (Some("0"), Some(true), false),
        (Some(""), Some(true), false),
        (Some("1"), Some(false), true),
        (Some("1"), None, true),
    ] {
        let case = format!("{variable:?} {hosted:?}");
        match variable {
            Some(value) => world.set(VARIABLE, value),
            None => world.unset(VARIABLE),
        };
        let text = hosted.map(|hosted| format!("hosted = {hosted}\n")).unwrap_or_default();
        world.write_config(&format!("{logged_in}{text}"));
        let status = world.run(["sync", "status", "--json"]).exits(0).json();
        assert_eq!(status["auth_required"], on, "{case}");
        let doctor = world.run(["sync", "doctor", "--offline", "--json"]).json();
        let state = if on { "ok" } else { "off" };
        assert_eq!(doctor["checks"][0]["state"], state, "{case}");
        assert_eq!(world.run(["sync", "preview", "--json"]).exits(0).json()["sync_enabled"], on, "{case}");
        if !on {
            for verb in [&["sync", "now", "--json"][..], &["sync", "daemon", "start", "--json"]] {
                let disabled = world.run(verb).exits(0).json();
                assert_eq!(disabled["result"], "disabled", "{case} {verb:?}");
            }
        }
        let slug = format!(
            "m-{}",
            case.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase()
        );
        let created = world.run(["agent", "mission", "create", &slug, "--json"]).exits(0);
        let expected = if on { "captured" } else { "local" };
        assert_eq!(created.json()["capture"]["state"], expected, "{case}");
    }
}

/// The daemon that a capture starts reads the same switch: it drains because of config.toml alone.
#[test]
fn daemon_follows_the_switch_in_the_configuration() {
    let (mut world, server) = with_server();
    world.unset(VARIABLE);
    let _ = world.run(["config", "set", "sync.hosted", "true"]).exits(0);
    let daemons = testkit::daemon::Daemon::start(&world);
    let running = world.run(["sync", "daemon", "status", "--json"]).exits(0).json();
    assert_eq!(running["state"], "running", "{running:#}");
    let _ = world.run(["config", "set", "sync.hosted", "false"]).exits(0);
    drop(daemons);
    let disabled = world.run(["sync", "daemon", "start", "--json"]).exits(0).json();
    assert_eq!(disabled["result"], "disabled");
    drop(server);
}

#[test]
fn unreadable_configuration_refuses_instead_of_counting_as_off() {
    let world = world();
    world.log_in().init_project();
    world.write_config("[sync]\nhosted = true\n[[\n");
    let before = snapshot(world.work());
    let refused = world.run(["agent", "mission", "create", "some", "--json"]).exits(2).json();
    assert!(refused["preflight"]["faults"][0]["code"] == "config_unreadable", "{refused:#}");
    assert_eq!(difference(&before, &snapshot(world.work())), Vec::<String>::new());
    let local = world.run(["agent", "mission", "create", "some", "--local-only", "--json"]).exits(0).json();
    assert_eq!(local["capture"]["state"], "local");
}

/// On a terminal one line reports that nothing was captured, unless the user opted out.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs script of util-linux, which only Linux has")]
fn switched_off_note_shows_on_a_terminal_only() {
    let mut world = world();
    world.init_project();
    let piped = world.run(["agent", "mission", "create", "piped"]).exits(0);
    assert!(!piped.stderr.contains(NOTHING_CAPTURED), "{}", piped.stderr);
    let shown = on_a_terminal(&world, "create terminal");
    assert_eq!(shown.stdout.matches(NOTHING_CAPTURED).count(), 1, "{}", shown.stdout);
    let local = on_a_terminal(&world, "create local --local-only");
    assert!(!local.stdout.contains(NOTHING_CAPTURED), "{}", local.stdout);
    world.set(VARIABLE, "0");
    assert!(!on_a_terminal(&world, "create decided").stdout.contains(NOTHING_CAPTURED));
    world.unset(VARIABLE).write_config("[sync]\nhosted = false\n");
    assert!(!on_a_terminal(&world, "create by-file").stdout.contains(NOTHING_CAPTURED));
}

/// Runs `agent mission ...` under `script`, whose output is a terminal.
fn on_a_terminal(world: &World, verb: &str) -> Run {
    let mut command = Command::new("script");
    let line = format!("{} agent mission {verb}", world.binary().display());
    command.args(["-qec", &line, "/dev/null"]);
    world.dress(&mut command);
    testkit::world::finish(command).exits(0)
}
