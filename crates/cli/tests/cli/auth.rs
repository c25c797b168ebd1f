//! Login, status, change of account and logout: the binary against its own server.
#![cfg(target_os = "linux")]

use crate::worlds::{fresh, logged_in, with_server};
use daemon::control::client::ControlClient;
use daemon::control::file::ControlFile;
use identity::{Secret, Session, SessionStore};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use system::Machine;
use testkit::browser::{self, Browser};
use testkit::patience::{PATIENCE, eventually};
use testkit::world::{SERVER, TEAM, USER, session};
use testkit::{Server, ServerStore, World};

const EMAIL: &str = "dev@example.com";
const OTHER: &str = "other@example.com";

/// A logged-out world and a server with one account, with its approval secret.
fn world() -> (World, Server, String) {
    let world = fresh();
    let server = Server::start(&world, EMAIL);
    let secret = server.secret.clone();
    world.init_project();
    (world, server, secret)
}

/// Runs a command on the data of the server.
fn administer(world: &World, words: &[&str]) -> Value {
    ServerStore::of(world).administer(world, words, 0)
}

fn start(world: &World, words: &[&str]) -> Child {
    let mut command = world.command();
    command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Ends well; gives what it printed on both streams.
#[track_caller]
fn ends_well(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let printed =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}");
    printed
}

fn stored(world: &World) -> Session {
    SessionStore::new(&world.home(), Machine::observe()).read().unwrap().expect("a session")
}

/// Whether any file below `directory` holds `secret` in clear.
fn holds(directory: &Path, secret: &str) -> bool {
    fs::read_dir(directory).unwrap().flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return holds(&path, secret);
        }
        fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(secret.len()).any(|window| window == secret.as_bytes()))
    })
}

#[test]
fn device_login_shows_code_and_logout_ends_server_session() {
    let (world, server, secret) = world();
    let mut login = start(&world, &["auth", "login", "--headless", "--server", &server.url(), "--json"]);
    let mut told = BufReader::new(login.stderr.take().unwrap());
    let mut page = String::new();
    while !page.contains("user_code=") {
        page.clear();
        assert!(told.read_line(&mut page).unwrap() > 0, "it ended without a link");
    }
    let page = page.split_whitespace().last().unwrap();
    browser::approve(page, EMAIL, &secret);
    let output = login.wait_with_output().unwrap();
    assert!(output.status.success());
    let document: Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!((&document["result"], &document["email"]), (&"logged_in".into(), &EMAIL.into()));
    let probe = world.run(["auth", "doctor", "--server", "--json"]).exits(0).json();
    assert_eq!(probe["result"], "healthy", "{probe:#}");

    // A copy of the session was kept: after the logout the server refuses it.
    let kept = stored(&world);
    let logout = world.run(["auth", "logout", "--json"]).exits(0).json();
    assert_eq!((&logout["result"], &logout["server"]), (&"logged_out".into(), &"revoked".into()));
    world.write_session(&kept);
    let probe = world.run(["auth", "doctor", "--server", "--json"]).exits(1).json();
    let found = probe.to_string();
    assert!(found.contains("session_not_accepted") || found.contains("login_needed"), "{probe:#}");
    // Also without the server, and when the server is unreachable.
    drop(server);
    let logout = world.run(["auth", "logout", "--force", "--json"]).exits(0).json();
    assert_eq!((&logout["result"], &logout["server"]), (&"logged_out".into(), &"not_asked".into()));
    assert_eq!(world.run(["auth", "logout", "--json"]).exits(0).json()["result"], "nothing_to_do");
}

#[test]
fn no_token_is_in_an_argument_a_log_an_answer_or_a_file_in_clear() {
    let (mut world, server, secret) = world();
    let browser = Browser::install(&mut world);
    let login = start(&world, &["auth", "login", "--server", &server.url()]);
    let argv = fs::read(format!("/proc/{}/cmdline", login.id())).unwrap();
    browser.approve(EMAIL, &secret);
    let mut said = ends_well(login);
    let session = stored(&world);
    let tokens = [session.access_token.expose(), session.refresh_token.expose()];
    assert!(tokens.iter().all(|token| token.len() >= 20), "there is something to look for");

    let started = world.run(["sync", "daemon", "start", "--json"]).exits(0);
    let pid = started.json()["pid"].as_u64().unwrap();
    let daemon_argv = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    let daemon_environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
    world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
    eventually("it is delivered", || !server.event_ids().is_empty());
    for words in [
        &["sync", "status", "--json"][..],
        &["sync", "daemon", "status", "--json"],
        &["sync", "doctor", "--json"],
        &["auth", "status", "--json"],
        &["auth", "doctor", "--server", "--json"],
        &["sync", "now", "--json"],
        &["doctor", "restart-daemon", "--json"],
    ] {
        let run = world.run(words);
        said.push_str(&format!("{run:?}"));
    }
    let control: Value = serde_json::from_slice(&fs::read(world.home().control_file()).unwrap()).unwrap();
    let control = control["token"].as_str().unwrap();
    for token in tokens.into_iter().chain([control, &secret]) {
        assert!(!said.contains(token));
        for bytes in [&argv, &daemon_argv, &daemon_environment] {
            assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()));
        }
    }
    // The control token is what its 0600 file is for; the others lie nowhere in clear, the server included.
    for token in tokens.into_iter().chain([secret.as_str(), &server.token]) {
        assert!(!holds(world.user_home(), token));
        assert!(!holds(world.work(), token));
    }
    world.run(["sync", "daemon", "stop"]).exits(0);
}

/// Rows of one account wait, a daemon serves them, and another user logs in: not one row is sent under
/// the wrong name, and none is lost.
#[test]
fn rows_wait_for_their_own_account_under_any_login() {
    let (world, mut server, _) = world();
    world.write_config(&format!("[sync]\nserver_url = \"{}\"\n", server.url()));
    let other = second_account(&world);
    let address = server.url();
    let log_in = |email: &str, team: &str, token: &str| {
        let login = Session { access_token: Secret::new(token.to_owned()), ..session(&address, email, team) };
        world.write_session(&login);
    };
    log_in(EMAIL, &server.team, &server.token);
    let pid = world.run(["sync", "daemon", "start", "--json"]).exits(0).json()["pid"].as_i64().unwrap();
    server.stop();
    world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
    let waiting = |world: &World| {
        let status = world.run(["sync", "status", "--json"]).exits(0).json();
        status["active_queue"]["event_count"].as_u64().unwrap()
    };
    let captured = waiting(&world);
    assert!(captured > 0);

    log_in(OTHER, &other.0, &other.1);
    server.crash_and_restart(&world);
    assert_eq!(server.url(), address);
    // The daemon sees it before it sends, at its own next attempt or when it is asked; until then the gate
    // of every command does.
    let now = world.run(["sync", "now"]);
    let alive = || system::process::observe_process(pid).is_alive();
    if !now.stderr.contains("daemon_team_or_user") {
        eventually("it was on its way out", || !alive());
    }
    if let Ok(Some(control)) = ControlFile::read(&world.home().control_file()) {
        let _ = ControlClient::connect(&control, PATIENCE).and_then(|mut client| client.nudge());
    }
    eventually("it retires", || !alive());
    let status = world.run(["sync", "daemon", "status", "--json"]).exits(0).json();
    assert_eq!(status["stops"][0]["reason"], "scope_changed", "{status:#}");
    assert_eq!(waiting(&world), 0, "the other account has a queue of its own");
    world.run(["sync", "now"]).exits(0);
    assert_eq!(server.event_ids(), [""; 0], "nothing arrived, for anybody");

    log_in(EMAIL, &server.team, &server.token);
    assert_eq!(waiting(&world), captured);
    world.run(["sync", "now"]).exits(0);
    assert_eq!(server.event_ids().len() as u64, captured);
}

/// A relative path; the daemon changes its directory and must find the file all the same.
#[test]
fn token_in_a_relative_file_serves_command_and_daemon() {
    let (mut world, server, _) = world();
    fs::create_dir(world.work().join("run")).unwrap();
    fs::write(world.work().join("run/token"), format!("{}\n", server.token)).unwrap();
    world.set("SPEC_KITTY_TOKEN_FILE", "run/token").set("SPEC_KITTY_SERVER_URL", &server.url());
    let status = world.run(["auth", "status"]).exits(0);
    assert!(status.stdout.contains("Authenticated : yes\nFrom          : token\n"), "{}", status.stdout);
    world.run(["sync", "daemon", "start"]).exits(0);
    world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
    eventually("it is delivered", || !server.event_ids().is_empty());
    world.run(["sync", "daemon", "stop"]).exits(0);
    let run = world.run(["auth", "doctor"]).exits(0);
    assert!(!format!("{status:?}{run:?}").contains(&server.token));
    assert!(!holds(&world.root(), &server.token), "it is written nowhere");
}

/// Team and token of another account of the same server.
fn second_account(world: &World) -> (String, String) {
    let account = administer(world, &["server", "user", "add", "--email", OTHER]);
    let issued = administer(world, &["server", "token", "add", "--email", OTHER, "--label", "test"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&account["account"]["teams"][0]["id"]), text(&issued["token"]))
}

#[test]
fn ci_token_doctor_lists_state_and_token_file_mode() {
    let (mut world, server) = with_server();
    let doctor = world.run(["auth", "doctor"]).exits(0).stdout;
    assert!(!doctor.contains("session.salt"), "there is no session whose key it could make: {doctor}");

    let file = world.user_home().join("ci-token");
    fs::write(&file, &server.token).unwrap();
    world.unset("SPEC_KITTY_TOKEN").set("SPEC_KITTY_TOKEN_FILE", file.to_str().unwrap());
    let warned = |mode: u32| {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let said = world.run(["auth", "doctor"]).exits(0).stdout;
        assert!(!said.contains(&server.token), "{said}");
        said.contains(&format!("others on this machine may read this CI token (mode {mode:04o})"))
    };
    assert!(warned(0o644) && !warned(0o600));
    let doctor = world.run(["sync", "doctor"]).stdout;
    assert!(doctor.contains("SPEC_KITTY_TOKEN_FILE: a CI token, which takes precedence"), "{doctor}");
}

/// A server that terminates TLS with a certificate of its own making.
struct TlsServer {
    child: Child,
    url: String,
    certificate: std::path::PathBuf,
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl TlsServer {
    fn start(world: &World) -> Self {
        let path = |name: &str| world.user_home().join(name);
        let (certificate, key) = (path("certificate.pem"), path("key.pem"));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let mut command = world.command();
        command.args(["server", "--listen", "127.0.0.1:0", "--quiet", "--data"]).arg(path("server-data"));
        command.arg("--tls-cert").arg(&certificate).arg("--tls-key").arg(&key);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit_once(':').unwrap().1;
        Self { child, url: format!("https://localhost:{port}"), certificate }
    }
}

/// Who has no certificate that the client trusts gets no token: the connection ends before a request.
#[test]
fn server_with_an_unknown_certificate_gets_no_token() {
    let mut world = fresh();
    administer(&world, &["server", "user", "add", "--email", EMAIL]);
    let issued = administer(&world, &["server", "token", "add", "--email", EMAIL, "--label", "ci"]);
    let server = TlsServer::start(&world);
    world
        .set("SPEC_KITTY_TOKEN", issued["token"].as_str().unwrap())
        .set("SPEC_KITTY_SERVER_URL", &server.url);
    world.init_project();
    world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
    let refused = world.run(["sync", "now", "--json"]).exits(1).json();
    assert_eq!(refused["stopped"]["reason"], "unreachable", "{refused:#}");
    assert!(refused["stopped"]["detail"].as_str().unwrap().contains("not trusted"), "{refused:#}");
    assert_eq!(administer(&world, &["server", "project", "list"])["results"], serde_json::json!([]));

    world.set("SSL_CERT_FILE", server.certificate.to_str().unwrap());
    world.run(["sync", "now", "--json"]).exits(0);
    let projects = administer(&world, &["server", "project", "list"]);
    assert_eq!(projects["results"].as_array().unwrap().len(), 1, "{projects:#}");
}

#[test]
fn login_at_the_server_of_the_login_is_no_new_one() {
    let world = logged_in();
    for server in [SERVER.to_owned(), format!("{}/", SERVER.to_uppercase())] {
        let run = world.run(["auth", "login", "--server", &server, "--json"]).exits(0).json();
        assert_eq!(run["result"], "already_logged_in", "{server}: {run:#}");
    }
}

#[test]
fn logout_without_a_server_removes_the_session_and_warns() {
    const DOWN: &str = "http://127.0.0.1:1";
    let world = logged_in();
    world.write_config(&format!("[sync]\nserver_url = \"{DOWN}\"\n"));
    world.write_session(&session(DOWN, USER, TEAM));
    let run = world.run(["auth", "logout"]).exits(0);
    assert!(!world.home().session_file().exists());
    assert!(run.stderr.contains("the session is removed here; the server did not revoke it"), "{run:?}");
    let help = world.run(["auth", "logout", "--help"]).exits(0).stdout;
    assert!(
        help.contains("remove the session here in any case") && help.contains("Do not contact the server"),
        "{help}"
    );
}
