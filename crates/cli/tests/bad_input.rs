//! Every file that the binary reads may be malformed, truncated, huge, locked, forbidden or no file at
//! all. Never a panic, never a hang, never a silent "all fine"; the message names the file and the
//! remedy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

use contract::OwnerRecord;
use rstest::rstest;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use testkit::daemon::Daemons;
use testkit::owner::{agreeing, stand_in, write};
use testkit::reference_queue::{ReferenceQueue, leave_hot_journal};
use testkit::tree::{difference, snapshot};
use testkit::{Run, World};

fn world() -> World {
    let world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
    world.log_in();
    world
}

/// `--check` and its JSON both refuse, name the fault, the file and a remedy, and change nothing.
#[track_caller]
fn refuses_with(world: &World, fault: &str, file: &str, remedy: &str) -> Run {
    let before = snapshot(world.user_home());
    let json = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
    let text = world.run(["sync", "status", "--check"]).exits(2);
    let now = world.run(["sync", "now"]).exits(2);
    assert_eq!(difference(&before, &snapshot(world.user_home())), Vec::<String>::new());
    let found = json["faults"].as_array().unwrap().iter().find(|entry| entry["code"] == fault);
    let found = found.unwrap_or_else(|| panic!("no {fault} in {json:#}"));
    let path = found["path"].as_str().unwrap_or_default();
    assert!(path.ends_with(file), "{path}");
    assert!(found["remediation_hint"].as_str().unwrap().contains(remedy), "{found}");
    for stream in [&text.stdout, &now.stderr] {
        assert!(stream.contains(fault) && stream.contains(file) && stream.contains(remedy), "{stream}");
    }
    for run in [&text, &now] {
        assert!(!run.stderr.contains("panicked") && !run.stdout.contains("panicked"), "{run:?}");
    }
    now
}

const RECORD: &str = r#"{"auth_principal":null,"auth_scope":null,"auth_team":null,"executable_path":"/x","package_version":"1",
"pid":1,"port":1,"queue_db_path":"/q","server_url":"","source_checkout_path":"/s","started_at":"t","token":"hunter2"}"#;

#[rstest]
#[case::truncated(&RECORD.as_bytes()[..40])]
#[case::empty(b"")]
#[case::with_a_null(RECORD.replace("\"pid\":1,", "\"pid\":null,").leak().as_bytes())]
#[case::with_a_nul_byte(b"{\"pid\":1\0}")]
#[case::not_utf8(b"{\"pid\": \"\xff\xfe\"}")]
#[case::an_array(b"[]")]
#[case::deeply_nested("[".repeat(50_000).leak().as_bytes())]
fn a_malformed_owner_record(#[case] bytes: &[u8]) {
    let world = world();
    world.write_state("sync/daemon/owner.json", bytes);
    refuses_with(&world, "owner_record_unreadable", "owner.json", "doctor repair");
    world.run(["doctor", "repair"]).exits(0);
    world.run(["sync", "status", "--check"]).exits(0);
    let kept = std::fs::read_dir(world.root().join("sync/daemon")).unwrap().flatten();
    let kept: Vec<_> = kept.filter(|entry| entry.file_name().to_string_lossy().contains(".aside-")).collect();
    assert_eq!(std::fs::read(kept[0].path()).unwrap(), bytes, "nothing is deleted");
}

#[test]
fn an_owner_record_of_a_hundred_megabytes() {
    let world = world();
    world.write_state("sync/daemon/owner.json", b"");
    let path = world.root().join("sync/daemon/owner.json");
    std::fs::File::options().write(true).open(path).unwrap().set_len(100 * 1024 * 1024).unwrap();
    let now = refuses_with(&world, "owner_record_unreadable", "owner.json", "doctor repair");
    assert!(now.stderr.contains("104857600 bytes"), "{}", now.stderr);
    world.run(["doctor", "repair"]).exits(0);
    world.run(["sync", "status", "--check"]).exits(0);
}

#[test]
fn an_owner_record_that_is_a_directory() {
    let world = world();
    std::fs::create_dir_all(world.root().join("sync/daemon/owner.json")).unwrap();
    refuses_with(&world, "owner_record_unreadable", "owner.json", "doctor repair");
    world.run(["doctor", "repair"]).exits(0);
    world.run(["sync", "status", "--check"]).exits(0);
}

#[test]
fn an_owner_lock_that_is_a_directory_is_moved_aside() {
    let world = world();
    std::fs::create_dir_all(world.root().join("sync/daemon/owner.lock")).unwrap();
    refuses_with(&world, "owner_record_unreadable", "owner.json", "doctor repair");
    world.run(["doctor", "repair"]).exits(0);
    world.run(["sync", "status", "--check"]).exits(0);
}

/// Something else stands where a directory of the home should be: nothing below it can be read, and no
/// login could be stored there.
#[rstest]
#[case::root("")]
#[case::auth("auth")]
#[case::queues("queues")]
#[case::sync("sync")]
fn a_file_in_the_place_of_a_directory_is_moved_aside(#[case] place: &str) {
    let world = world();
    let path = if place.is_empty() { world.root() } else { world.root().join(place) };
    let _ = std::fs::remove_dir_all(&path);
    std::fs::write(&path, "kept").unwrap();
    let json = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
    let faults = json["faults"].as_array().unwrap();
    assert!(faults.iter().any(|fault| fault["remediation_hint"] == "spec-kitty doctor repair"), "{json:#}");
    let repaired = world.run(["doctor", "repair", "--json"]).exits(0).json();
    let aside = repaired["actions"][0]["moved_to"][0].as_str().unwrap();
    assert_eq!(std::fs::read_to_string(aside).unwrap(), "kept", "{repaired:#}");
    world.log_in();
    world.run(["sync", "status", "--check"]).exits(0);
}

#[test]
fn what_cannot_be_repaired_is_said_with_something_else_to_do() {
    let mut world = world();
    let file = world.user_home().join("a file");
    std::fs::write(&file, "").unwrap();
    world.set("SPEC_KITTY_HOME", file.join("below").to_str().unwrap());
    let run = world.run(["doctor", "repair", "--json"]).exits(1);
    let document = run.json();
    assert_eq!(
        (&document["result"], &document["actions"]),
        (&"nothing_repaired".into(), &serde_json::json!([]))
    );
    for left in document["left"].as_array().unwrap() {
        assert!(!left["remediation_hint"].as_str().unwrap().contains("doctor repair"), "{left}");
    }
}

#[test]
fn a_queue_of_zero_bytes_is_an_empty_queue() {
    let world = world();
    world.write_state("queue.db", b"");
    world.write_state(&format!("queues/{}", world.scope().queue_file_name()), b"");
    let json = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    assert_eq!(json["faults"], serde_json::json!([]), "{json:#}");
    let counts = ["active_queue", "legacy_queue"]
        .map(|queue| ["event_count", "body_upload_count"].map(|count| json[queue][count].as_u64()));
    assert_eq!(counts, [[Some(0); 2]; 2], "{json:#}");
    assert_eq!(json["legacy_queue"]["rows_in_scope"], 0);
    // And it fills like any other.
    world.run(["sync", "migrate"]).exits(0);
    world.init_project();
    world.run(["agent", "mission", "create", "some-mission"]).exits(0);
    let json = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    assert!(json["active_queue"]["event_count"].as_u64() > Some(0), "{json:#}");
    assert_eq!(std::fs::metadata(world.root().join("queue.db")).unwrap().len(), 0, "nobody wrote there");
}

#[test]
fn a_legacy_queue_of_random_bytes() {
    let world = world();
    world.write_state("queue.db", &noise(64 * 1024));
    refuses_with(&world, "legacy_queue_unreadable", "queue.db", "doctor repair");
    world.run(["doctor", "repair"]).exits(0);
    world.run(["sync", "status", "--check"]).exits(0);
}

#[test]
fn an_active_queue_of_random_bytes() {
    let world = world();
    let name = world.scope().queue_file_name();
    world.write_state(&format!("queues/{name}"), &noise(64 * 1024));
    refuses_with(&world, "active_queue_unreadable", &name, "doctor repair");
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(length)
    .collect()
}

#[test]
fn a_queue_locked_by_a_writer_is_busy_and_not_fine() {
    let world = world();
    let queue = ReferenceQueue::create(&world.root().join("queue.db"));
    queue.event("01KRX0000000000000000000A1", None);
    let holder = rusqlite::Connection::open(queue.path()).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    for arguments in [&["sync", "status", "--check"][..], &["sync", "status"], &["sync", "now"]] {
        let run = world.run(arguments).exits(69);
        assert!(run.stderr.contains("queue.db"), "{}", run.stderr);
    }
    let json = world.run(["sync", "status", "--check", "--json"]).exits(69).json();
    assert_eq!(json["exit_code"], 69);
    drop(holder);
    world.run(["sync", "status", "--check"]).exits(2);
}

/// How long a look waits is what it says itself: a quarter of a second, not the ten of a migration.
#[rstest]
#[case::parked_list(&["sync", "parked", "list"])]
#[case::parked_export(&["sync", "parked", "export"])]
#[case::migrate_dry_run(&["sync", "migrate", "--dry-run"])]
#[case::gc_dry_run(&["sync", "gc", "--dry-run"])]
fn a_verb_that_only_looks_does_not_wait_as_long_as_one_that_writes(#[case] argv: &[&str]) {
    let world = world();
    world.init_project();
    world.run(["agent", "mission", "create", "earlier"]).exits(0);
    let holder = rusqlite::Connection::open(world.home().scoped_queue(&world.scope())).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let run = world.run(argv).exits(69);
    let (_, waited) = run.stderr.split_once("stayed locked for ").unwrap();
    let waited: u64 = waited.split(' ').next().unwrap().parse().unwrap();
    assert!(waited < 5_000, "{}", run.stderr);
}

/// A command that may write waits for a locked queue as long as its own write would, and not only as long
/// as a look.
#[rstest]
#[case::active(true)]
#[case::legacy(false)]
fn a_queue_locked_by_a_writer_that_lets_go_holds_nobody_up_for_good(#[case] active: bool) {
    let world = world();
    world.init_project();
    let legacy = ReferenceQueue::create(&world.root().join("queue.db"));
    world.run(["agent", "mission", "create", "earlier"]).exits(0);
    let path = if active { world.home().scoped_queue(&world.scope()) } else { legacy.path().to_owned() };
    let holder = rusqlite::Connection::open(path).unwrap();
    // One that has changed something: what an earlier look counted holds no longer.
    holder.execute_batch("BEGIN EXCLUSIVE; CREATE TABLE another (key TEXT)").unwrap();
    world.run(["sync", "status", "--check"]).exits(69);
    let mut command = world.command();
    command.args(["agent", "mission", "create", "some-mission"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // Far longer than a look waits, far shorter than a write does; there is nothing else to wait for.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(child.try_wait().unwrap(), None, "it waits");
    holder.execute_batch("COMMIT").unwrap();
    drop(holder);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Whatever a server is called by: who reads the screen of somebody else learns no password.
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
fn a_password_in_the_files_of_another_program_is_shown_nowhere() {
    let url = "https://dev:hunter2@example.invalid";
    let world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
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
    let _daemons = Daemons::of(world);
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
}

#[test]
fn a_session_that_others_may_read() {
    let world = world();
    chmod(&world.root().join("auth/session.json"), 0o644);
    refuses_with(&world, "session_unreadable", "session.json", "auth login");
}

#[test]
fn a_session_with_another_salt() {
    let world = world();
    world.write_state("auth/session.salt", &[7; 16]);
    // The card beside it still matches the bytes of session.json, but nobody can open those any more.
    assert!(world.home().identity_card().exists());
    refuses_with(&world, "session_unreadable", "session.json", "auth login");
}

#[test]
fn a_session_of_version_1() {
    let world = world();
    world.write_state("auth/session.json", br#"{"version": 1, "email": "dev@example.com"}"#);
    chmod(&world.root().join("auth/session.json"), 0o600);
    refuses_with(&world, "session_unreadable", "session.json", "auth login");
}

#[test]
fn a_config_that_does_not_parse_names_line_and_column() {
    let world = world();
    world.write_config("[sync]\nserver_url = \n");
    let run = refuses_with(&world, "config_unreadable", "config.toml", "line 2");
    assert!(run.stderr.contains("line 2"), "{}", run.stderr);
    world.write_config("[other]\n\n# no table\nsync = 1\nsync = 2\n");
    refuses_with(&world, "config_unreadable", "config.toml", "line 5");
    world.write_config("# no table\nsync = 1\n");
    let run = refuses_with(&world, "config_unreadable", "config.toml", "line 2");
    assert!(run.stderr.contains("`sync` is not a table"), "{}", run.stderr);
    // It holds every opt-out: no repair moves it.
    world.run(["doctor", "repair"]).exits(1);
    assert!(world.root().join("config.toml").exists());
}

#[test]
fn a_home_that_does_not_exist_is_an_empty_one() {
    let mut world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
    world.set(
        "SPEC_KITTY_HOME",
        world.user_home().join("no/such/place").to_str().unwrap().to_owned().as_str(),
    );
    world.unset("SPEC_KITTY_ENABLE_SAAS_SYNC");
    world.run(["sync", "status", "--check"]).exits(0);
    assert!(!world.user_home().join("no").exists(), "looking creates nothing");
}

#[test]
fn an_empty_home_beside_one_with_state_stays_ambiguous_until_somebody_decides() {
    let mut world = world();
    let own = world.user_home().join("elsewhere");
    world.set("SPEC_KITTY_HOME", own.to_str().unwrap());
    world.set("SPEC_KITTY_TOKEN", "skp_YXxi.secret").set("SPEC_KITTY_SERVER_URL", "https://example.invalid");
    refuses_with(&world, "home_ambiguous", "elsewhere", "unset SPEC_KITTY_HOME, or move");
    world.run(["sync", "migrate"]).exits(0);
    world.run(["doctor", "repair"]).exits(1);
    refuses_with(&world, "home_ambiguous", "elsewhere", "unset SPEC_KITTY_HOME, or move");
    std::fs::rename(world.root(), &own).unwrap();
    world.run(["sync", "status", "--check"]).exits(0);
}

#[test]
fn without_any_home_the_command_says_which_variable_is_missing() {
    let world = world();
    let mut command = world.command();
    command.args(["sync", "status", "--check"]).env_remove("HOME").env_remove("USERPROFILE");
    let run = testkit::world::finish(command).exits(1);
    assert!(run.stderr.contains("HOME"), "{}", run.stderr);
}

#[rstest]
#[case::spaces("a home with spaces")]
#[case::quotes("a 'quoted' \"home\"")]
#[case::newline("line\nbreak")]
#[case::unicode("größe-家-🐱")]
fn an_awkward_home_works(#[case] name: &str) {
    let world = World::named(env!("CARGO_BIN_EXE_spec-kitty"), name);
    world.log_in();
    ReferenceQueue::create(&world.root().join("queue.db")).event("01KRX0000000000000000000A1", None);
    let json = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
    assert_eq!(json["legacy_queue"]["rows_in_scope"], 1);
    assert_eq!(json["root"]["path"].as_str().unwrap(), world.root().to_str().unwrap());
    world.run(["sync", "migrate"]).exits(0);
    let text = world.run(["sync", "status", "--check"]).exits(0);
    assert!(!text.stdout.contains("line\nbreak"), "a newline in a path must not break the block");
}

#[cfg(unix)]
#[test]
fn a_home_behind_a_symlink_works() {
    let world = world();
    let real = world.user_home().join("elsewhere");
    std::fs::rename(world.root(), &real).unwrap();
    std::os::unix::fs::symlink(&real, world.root()).unwrap();
    world.run(["sync", "status", "--check"]).exits(0);
}

/// As a user for whom modes count: root reads everything.
#[cfg(target_os = "linux")]
mod as_a_plain_user {
    use super::*;
    use std::process::Command;

    /// Runs the binary as user 12345 in a world that belongs to that user.
    fn run(world: &World, arguments: &[&str]) -> Run {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=12345", "--regid=12345", "--clear-groups", "--"]);
        command.arg(env!("CARGO_BIN_EXE_spec-kitty")).args(arguments);
        let program = command.get_program().to_owned();
        world.dress(&mut command);
        assert_eq!(program, "setpriv");
        testkit::world::finish(command)
    }

    /// Whether the system really denies what the test needs denied; says so when it does not.
    fn denied(path: &Path) -> bool {
        if !Path::new("/usr/bin/setpriv").exists() || !is_root() {
            println!("skipped: needs root and setpriv to become another user");
            return false;
        }
        let output = Command::new("setpriv")
            .args(["--reuid=12345", "--regid=12345", "--clear-groups", "--", "cat"])
            .arg(path)
            .output()
            .unwrap();
        let denied = String::from_utf8_lossy(&output.stderr).contains("Permission denied");
        if !denied {
            println!("skipped: the system does not deny the read: {output:?}");
        }
        denied
    }

    fn is_root() -> bool {
        std::fs::read_to_string("/proc/self/status").is_ok_and(|text| text.contains("Uid:\t0\t0"))
    }

    fn give_away(path: &Path) {
        let status = Command::new("chown").arg("-R").arg("12345:12345").arg(path).status().unwrap();
        assert!(status.success());
    }

    fn open_the_way(world: &World) {
        let mut path = world.user_home().to_owned();
        while path != std::env::temp_dir() && path.pop() {
            if path.to_string_lossy().contains("spec-kitty-") {
                chmod(&path, 0o755);
            }
        }
        // The binary must be readable for that user, too.
    }

    #[test]
    fn an_owner_record_that_may_not_be_read() {
        let world = world();
        world.write_config("");
        std::fs::remove_dir_all(world.root().join("auth")).unwrap();
        world.write_state("sync/daemon/owner.json", RECORD.as_bytes());
        let record = world.root().join("sync/daemon/owner.json");
        if is_root() {
            give_away(world.user_home());
            give_away(world.work());
        }
        chmod(&record, 0o000);
        open_the_way(&world);
        if !denied(&record) {
            return;
        }
        let run = run(&world, &["sync", "status", "--check"]).exits(2);
        let shown = record.to_str().unwrap();
        for said in ["owner_record_unreadable", shown, "Permission denied", "spec-kitty doctor repair"] {
            assert!(run.stdout.contains(said), "{said}: {}", run.stdout);
        }
        let now = self::run(&world, &["sync", "now"]).exits(2);
        for said in ["owner_record_unreadable", shown, "Permission denied", "spec-kitty doctor repair"] {
            assert!(now.stderr.contains(said), "{said}: {}", now.stderr);
        }
        let _ = self::run(&world, &["doctor", "repair"]).exits(0);
        // It can be read now: a record of pid 1, whose executable is missing.
        let status = self::run(&world, &["sync", "status", "--json"]).exits(0).json();
        assert_eq!(status["daemon_owner_record"]["status"], "orphan", "{status:#}");
    }

    /// Each directory and file on the way, its mode taken away: the named remedy gives it back.
    #[rstest]
    #[case::root("", "owner_record_unreadable")]
    #[case::auth("auth", "session_unreadable")]
    #[case::daemon("sync/daemon", "owner_record_unreadable")]
    #[case::lock("sync/daemon/owner.lock", "owner_record_unreadable")]
    #[case::queues("queues", "active_queue_unreadable")]
    #[case::legacy("queue.db", "legacy_queue_unreadable")]
    fn what_lost_its_mode_gets_it_back(#[case] place: &str, #[case] fault: &str) {
        let world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
        world.write_config(&format!("[sync]\nserver_url = \"{}\"\n", testkit::world::SERVER));
        let machine = identity::Machine { uid: 12345, ..identity::Machine::observe() };
        let session =
            testkit::world::session(testkit::world::SERVER, testkit::world::USER, testkit::world::TEAM);
        identity::SessionStore::new(&world.home(), machine).write(&session).unwrap();
        world.write_state("sync/daemon/owner.lock", b"");
        drop(ReferenceQueue::create(&world.root().join("queue.db")));
        drop(ReferenceQueue::create(&world.home().scoped_queue(&world.scope())));
        if is_root() {
            give_away(world.user_home());
            give_away(world.work());
        }
        let path = world.root().join(place);
        chmod(&path, 0o000);
        open_the_way(&world);
        if !denied(&path) {
            return;
        }
        let status = run(&world, &["sync", "status", "--check", "--json"]).exits(2).json();
        let faults = status["faults"].as_array().unwrap();
        let found =
            faults.iter().find(|found| found["code"] == fault).unwrap_or_else(|| panic!("{status:#}"));
        assert_eq!(found["remediation_hint"], "spec-kitty doctor repair");
        run(&world, &["doctor", "repair"]).exits(0);
        run(&world, &["sync", "status", "--check"]).exits(0);
    }

    #[test]
    fn a_legacy_queue_that_may_not_be_written_is_named_with_its_mode_and_nothing_is_copied() {
        let world = world();
        std::fs::remove_dir_all(world.root().join("auth")).unwrap();
        ReferenceQueue::create(&world.root().join("queue.db")).event("01KRX0000000000000000000A1", None);
        world.write_state("credentials", CREDENTIALS);
        std::fs::create_dir_all(world.root().join("queues")).unwrap();
        let probe = world.root().join("probe");
        std::fs::write(&probe, "x").unwrap();
        if is_root() {
            give_away(world.user_home());
            give_away(world.work());
            // Not that user's own: tightening its mode cannot give the right to write.
            assert!(
                Command::new("chown")
                    .arg("0:0")
                    .arg(world.root().join("queue.db"))
                    .status()
                    .unwrap()
                    .success()
            );
        }
        chmod(&probe, 0o000);
        chmod(&world.root().join("queue.db"), 0o444);
        open_the_way(&world);
        if !denied(&probe) {
            return;
        }
        let migrate = run(&world, &["sync", "migrate"]).exits(1);
        assert!(migrate.stderr.contains("queue.db") && migrate.stderr.contains("0444"), "{}", migrate.stderr);
        let status = run(&world, &["sync", "status", "--check", "--json"]).exits(2).json();
        assert_eq!(status["legacy_queue"]["rows_in_scope"], 1);
        assert_eq!(status["active_queue"]["event_count"], 0, "nothing was copied");
    }

    /// Legacy credentials give a scope without a session, so that no key is needed for another user.
    const CREDENTIALS: &[u8] =
        b"[user]\nusername = \"dev@example.com\"\nteam_slug = \"team-PRIV-01\"\n[server]\nurl = \"https://example.invalid\"\n";

    #[test]
    fn a_read_only_home_can_be_looked_at_and_says_what_it_cannot_write() {
        let world = world();
        std::fs::remove_dir_all(world.root().join("auth")).unwrap();
        ReferenceQueue::create(&world.root().join("queue.db")).event("01KRX0000000000000000000A1", None);
        world.write_state("credentials", CREDENTIALS);
        if is_root() {
            give_away(world.user_home());
            give_away(world.work());
        }
        let probe = world.root().join("probe");
        std::fs::write(&probe, "x").unwrap();
        chmod(&probe, 0o000);
        for path in ["queue.db", "credentials", "config.toml"] {
            chmod(&world.root().join(path), 0o400);
        }
        chmod(&world.root(), 0o500);
        open_the_way(&world);
        if !denied(&probe) {
            return;
        }
        let status = run(&world, &["sync", "status", "--check", "--json"]).exits(2).json();
        assert_eq!(status["legacy_queue"]["rows_in_scope"], 1);
        let migrate = run(&world, &["sync", "migrate"]).exits(1);
        assert!(migrate.stderr.contains("queues is not writable"), "{}", migrate.stderr);
        let again = run(&world, &["sync", "status", "--check", "--json"]).exits(2).json();
        assert_eq!(again["legacy_queue"]["rows_in_scope"], 1, "nothing was copied");
        chmod(&world.root(), 0o700);
    }
}

#[test]
fn a_legacy_queue_with_a_hot_journal_is_reported_and_rolled_back_only_by_a_cure() {
    let world = world();
    leave_hot_journal(&world.root().join("queue.db"));
    let before = snapshot(world.user_home());
    let json = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
    let text = world.run(["sync", "status", "--check"]).exits(2);
    assert_eq!(json["faults"][0]["code"], "queue_recovery_needed", "{json:#}");
    assert_eq!(json["legacy_queue"]["event_count"], serde_json::Value::Null, "never zero");
    assert!(
        text.stdout.contains("queue_recovery_needed") && text.stdout.contains("sync migrate"),
        "{}",
        text.stdout
    );
    assert_eq!(difference(&before, &snapshot(world.user_home())), Vec::<String>::new());
    world.run(["sync", "migrate"]).exits(0);
    let after = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    assert_eq!(after["active_queue"]["event_count"], 1, "what was committed was kept: {after:#}");
}

#[test]
fn a_hot_journal_of_nobody_in_particular_waits_for_a_login_and_then_for_the_cure() {
    let world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
    std::fs::create_dir_all(world.root()).unwrap();
    leave_hot_journal(&world.root().join("queue.db"));
    let before = snapshot(world.user_home());
    world.run(["sync", "status", "--check"]).exits(2);
    let refused = world.run(["sync", "migrate", "--json"]).exits(2).json();
    assert_eq!(refused["error_code"], "SAAS_SYNC_UNAUTHENTICATED");
    assert_eq!(
        refused["remediation"][0], "spec-kitty auth login --server URL",
        "the way out does not lead back here"
    );
    assert_eq!(difference(&before, &snapshot(world.user_home())), Vec::<String>::new());
    world.log_in();
    world.run(["sync", "migrate"]).exits(0);
    world.run(["sync", "status", "--check"]).exits(0);
}

#[test]
fn an_active_queue_with_a_hot_journal_does_not_refuse_a_command_that_may_write() {
    let world = world();
    world.init_project();
    let queue = world.home().scoped_queue(&world.scope());
    std::fs::create_dir_all(queue.parent().unwrap()).unwrap();
    for cure in [&["agent", "mission", "create", "some-mission"][..], &["sync", "migrate"]] {
        // The file is another program's each time: nothing of this home says that ours existed.
        let _ = std::fs::remove_file(queue.with_extension("id"));
        leave_hot_journal(&queue);
        let check = world.run(["sync", "status", "--check"]).exits(2);
        assert!(check.stdout.contains("spec-kitty sync migrate"), "{}", check.stdout);
        world.run(cure).exits(0);
        world.run(["sync", "status", "--check"]).exits(0);
    }
}

#[test]
fn older_schemas_are_counted_and_migrated_like_the_others() {
    let world = world();
    let path = world.root().join("queue.db");
    std::fs::create_dir_all(world.root()).unwrap();
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch(
        "CREATE TABLE queue (id INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT UNIQUE NOT NULL, event_type TEXT NOT NULL,
           data TEXT NOT NULL, timestamp INTEGER NOT NULL, retry_count INTEGER DEFAULT 0);
         INSERT INTO queue (event_id, event_type, data, timestamp) VALUES ('e1', 'T', '{\"event_id\": \"e1\", \"event_type\": \"T\"}', 1000);
         CREATE TABLE body_upload_queue (id INTEGER PRIMARY KEY AUTOINCREMENT, project_uuid TEXT NOT NULL,
           feature_slug TEXT NOT NULL, target_branch TEXT NOT NULL, mission_key TEXT NOT NULL, manifest_version TEXT NOT NULL,
           artifact_path TEXT NOT NULL, content_hash TEXT NOT NULL, hash_algorithm TEXT NOT NULL DEFAULT 'sha256',
           content_body TEXT NOT NULL, size_bytes INTEGER NOT NULL, retry_count INTEGER NOT NULL DEFAULT 0,
           next_attempt_at REAL NOT NULL DEFAULT 0.0, created_at REAL NOT NULL, last_error TEXT,
           UNIQUE(project_uuid, feature_slug, target_branch, mission_key, manifest_version, artifact_path, content_hash));
         INSERT INTO body_upload_queue (project_uuid, feature_slug, target_branch, mission_key, manifest_version,
           artifact_path, content_hash, content_body, size_bytes, created_at)
           VALUES ('p', 'f', 'main', 'software-dev', '1', 'spec.md', 'h', '# Spec', 6, 1.0);",
    )
    .unwrap();
    drop(db);
    let before = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
    assert_eq!(before["legacy_queue"]["rows_in_scope"], 2, "{before:#}");
    world.run(["sync", "migrate"]).exits(0);
    let after = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    assert_eq!(after["active_queue"]["event_count"], 1);
    assert_eq!(after["active_queue"]["body_upload_count"], 1, "{after:#}");
}

#[test]
fn a_session_of_another_host() {
    let world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
    world.write_config(&format!("[sync]\nserver_url = \"{}\"\n", testkit::world::SERVER));
    let elsewhere = identity::Machine { hostname: "another-host".into(), uid: 4242 };
    let session = testkit::world::session(testkit::world::SERVER, testkit::world::USER, testkit::world::TEAM);
    identity::SessionStore::new(&world.home(), elsewhere).write(&session).unwrap();
    let run = refuses_with(&world, "session_unreadable", "session.json", "auth login");
    assert!(run.stderr.contains("another host") || run.stderr.contains("host"), "{}", run.stderr);
}

#[cfg(unix)]
fn chmod(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
