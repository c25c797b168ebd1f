//! Streams: one document on stdout with `--json`, whatever happens, and everything else on
//! stderr.

use crate::worlds::fresh;
use rstest::rstest;
use testkit::World;

fn world() -> World {
    let world = fresh();
    world.log_in();
    world
}

#[rstest]
#[case::unknown_flag(&["sync", "status", "--chek", "--json"], "--chek")]
#[case::unknown_verb(&["sync", "stattus", "--json"], "stattus")]
#[case::missing_argument(&["agent", "status", "emit", "WP01", "--json"], "--to")]
#[case::bad_value(&["sync", "now", "--wait", "soon", "--json"], "soon")]
#[case::a_verb_without_documents(&["quickstart", "--json"], "--json")]
fn wrong_usage_is_one_document_when_json_was_asked_for(#[case] argv: &[&str], #[case] named: &str) {
    let run = world().run(argv).exits(2);
    let document = run.json();
    assert_eq!((&document["result"], &document["error_code"]), (&"error".into(), &"USAGE".into()));
    assert_eq!(document["exit_code"], 2);
    assert!(document.to_string().contains(named), "{document}");
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
}

#[test]
fn wrong_usage_without_json_and_behind_a_double_dash_is_text() {
    for argv in [&["sync", "status", "--chek"][..], &["auth", "switch", "--", "a", "--json"]] {
        let run = world().run(argv).exits(2);
        assert_eq!(run.stdout, "");
        assert!(run.stderr.contains("Usage:"), "{}", run.stderr);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn unwritable_stdout_fails_and_closed_pipe_does_not() {
    let world = world();
    for argv in [
        &["sync", "status", "--json"][..],
        &["sync", "status", "--check"],
        &["completions", "bash"],
        &["--help"],
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let status = world.command().args(argv).stdout(full).stderr(std::process::Stdio::null()).status();
        assert_eq!(status.unwrap().code(), Some(1), "{argv:?}");

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = world.command().args(argv).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{argv:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{argv:?}");
    }
}

#[test]
fn auth_status_answers_without_login() {
    let world = fresh();
    let document = world.run(["auth", "whoami", "--json"]).exits(1).json();
    assert_eq!((&document["result"], &document["error_code"]), (&"error".into(), &"LOGGED_OUT".into()));
    world.log_in();
    assert_eq!(world.run(["auth", "whoami"]).exits(0).stdout, "dev@example.com\n");
}

#[test]
fn login_and_logout_name_an_active_ci_token() {
    let mut world = world();
    // base64url of ci@example.com|team
    world.set("SPEC_KITTY_TOKEN", "skp_Y2lAZXhhbXBsZS5jb218dGVhbQ.secret");
    world.set("SPEC_KITTY_SERVER_URL", "https://example.invalid");
    let login = world.run(["auth", "login"]).exits(0);
    assert!(login.stdout.contains("ci@example.com by a CI token"), "{}", login.stdout);
    let logout = world.run(["auth", "logout", "--force", "--json"]).exits(0);
    assert!(logout.json().is_object() && logout.stderr.contains("SPEC_KITTY_TOKEN"), "{logout:?}");
    assert_eq!(world.run(["auth", "whoami"]).exits(0).stdout, "ci@example.com\n");
    let status = world.run(["sync", "status"]).exits(0);
    assert!(status.stdout.contains("ci@example.com|team (from token)"), "{}", status.stdout);
    for run in [&login, &logout, &status] {
        assert!(!format!("{run:?}").contains("secret"), "{run:?}");
    }
}

/// Paths need not be text, and documents have to be: on Linux a home may be any bytes.
#[cfg(target_os = "linux")]
#[test]
fn home_that_is_no_utf8_has_documents_all_the_same() {
    use std::os::unix::ffi::OsStringExt;
    use testkit::reference_queue::ReferenceQueue;
    let world = world();
    let mut name = world.user_home().join("not-utf8-").into_os_string().into_vec();
    name.push(0xff);
    let home = std::path::PathBuf::from(std::ffi::OsString::from_vec(name));
    std::fs::create_dir(&home).unwrap();
    std::fs::rename(world.root(), home.join(".spec-kitty")).unwrap();
    ReferenceQueue::create(&home.join(".spec-kitty/queue.db")).event("01KRX0000000000000000000A1", None);
    std::fs::create_dir_all(home.join(".spec-kitty/sync/daemon")).unwrap();
    std::fs::write(home.join(".spec-kitty/sync/daemon/owner.json"), "{").unwrap();
    for (argv, code) in [
        (&["sync", "status", "--json"][..], 0),
        (&["sync", "status", "--check", "--json"], 2),
        (&["sync", "now", "--json"], 2),
        (&["sync", "migrate", "--dry-run", "--json"], 0),
        (&["sync", "migrate", "--json"], 0),
        (&["sync", "daemon", "status", "--json"], 1),
        (&["sync", "opt-in", "--project", "none", "--yes", "--json"], 0),
        (&["auth", "status", "--json"], 0),
        (&["doctor", "orphan-daemons", "--json"], 1),
        (&["doctor", "repair", "--json"], 0),
        (&["sync", "status", "--check", "--json"], 0),
    ] {
        let mut command = world.command();
        command.args(argv).env("HOME", &home);
        let run = testkit::world::finish(command).exits(code);
        assert!(run.json().is_object(), "{argv:?}: {run:?}");
        assert!(!run.stdout.contains("invalid UTF-8"), "{argv:?}: {run:?}");
    }
}

#[cfg(unix)]
#[test]
fn whoami_escapes_what_a_terminal_would_obey() {
    let world = world();
    let user = "dev\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}@example.com";
    world.write_session(&testkit::world::session("https://example.invalid", user, "team-PRIV-01"));
    for argv in
        [&["auth", "whoami"][..], &["auth", "whoami", "--json"], &["auth", "status"], &["sync", "status"]]
    {
        let run = world.run(argv).exits(0);
        for text in [&run.stdout, &run.stderr] {
            let obeyed = text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}');
            assert!(!obeyed, "{argv:?}: {text:?}");
        }
    }
    let document = world.run(["auth", "whoami", "--json"]).exits(0).json();
    assert_eq!(document["principal"], user, "escaped, and the same");
}

#[test]
fn free_text_may_begin_with_a_hyphen() {
    let mut world = fresh();
    world.set("SPEC_KITTY_ENABLE_SAAS_SYNC", "0");
    world.init_project();
    let created = world.run(["agent", "mission", "create", "tea-timer", "--json"]).exits(0).json();
    let slug = created["mission_slug"].as_str().unwrap();
    let tasks = world.work().join("kitty-specs").join(slug).join("tasks");
    let page = tasks.join("WP01-ring.md");
    std::fs::write(&page, "---\nwork_package_id: WP01\ntitle: Ring\n---\n\n# Ring\n").unwrap();
    let emit = ["agent", "status", "emit", "WP01", "--actor", "-dev", "--to", "claimed", "--mission", slug];
    let _ = world.run(emit).exits(0);
    let history = ["agent", "tasks", "add-history", "WP01", "--mission", slug];
    for (option, note) in [
        (&["--note", "- fixed"][..], "- fixed"),
        (&["--note", "-1 for speed", "--json"], "-1 for speed"),
        (&["--note=--json"], "--json"),
        (&["--note", "--status is wrong"], "--status is wrong"),
    ] {
        let _ = world.run(history.iter().chain(option)).exits(0);
        let text = std::fs::read_to_string(&page).unwrap();
        assert!(text.contains(note), "{note}: {text}");
    }
    let log = std::fs::read_to_string(tasks.with_file_name("status.events.jsonl")).unwrap();
    assert!(log.contains("\"-dev\""), "{log}");
    let refused = world.run(history.iter().chain(&["--note", "--json"])).exits(2);
    assert!(refused.stdout.contains("--note"), "an option of this verb is no value: {refused:?}");
    let refused = world.run(history.iter().chain(&["--note", "--agent"])).exits(2);
    assert!(refused.stderr.contains("write '--note=--json'"), "{refused:?}");
}

#[test]
fn status_document_contains_the_exit_code_of_the_process() {
    let world = fresh();
    for (argv, code) in
        [(&["sync", "status", "--json"][..], 0), (&["sync", "status", "--check", "--json"], 2)]
    {
        let status = world.run(argv).exits(code).json();
        assert_eq!((&status["exit_code"], &status["ok"]), (&code.into(), &false.into()), "{status:#}");
    }
}
