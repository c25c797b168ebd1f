//! A program as thin as the command line, for the tests of this crate: each verb calls one public function
//! and prints its value as JSON. Its draining step is a file: files in the home decide what it does. With
//! `DAEMON_BENCH_DELIVERER` set it is the real one.
//!
//! `stand-in run_sync_daemon PORT_FILE TOKEN [mute|elsewhere]` plays a daemon of the reference: it has its argv
//! and its two routes.
//!
//! * `drain/pending` exists: rows wait; a drain removes it.
//! * `drain/count`: how many drains ran.
//! * `drain/slow` exists: a drain lasts until it is gone or the daemon stops.
//! * `drain/deaf` exists: a drain lasts until it is gone, also while the daemon stops.
//! * `drain/scope` exists: the login on disk names its content.

use daemon::control::client::ControlClient;
use daemon::control::file::ControlFile;
use daemon::control::wire::ShutdownCause;
use daemon::doctor::{Treatment, orphan_daemons};
use daemon::drain::{Drain, DrainOutcome, PendingRows, ScopeOnDisk, StopFlag};
use daemon::lifecycle;
use daemon::nudge::follow_up;
use daemon::run::{RunOptions, Startup, deliver, run};
use daemon::spawn::Launcher;
use identity::{BuildInfo, Config, Environment, Home};
use preflight::Boundary;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const VERSION_VARIABLE: &str = "DAEMON_BENCH_VERSION";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // First of all, as the command line does it.
    let startup = if words.contains(&"--spawned") { Startup::spawned() } else { Startup::foreground() };
    let environment = Environment::of_process();
    let Ok(home) = Home::resolve(&environment) else { return ExitCode::from(2) };
    let force = words.contains(&"--force");
    let executable = std::env::current_exe().unwrap_or_default();
    let launcher = Launcher::new(executable, &home, &environment);
    let build = build(&environment);
    let document = match words.as_slice() {
        ["sync", "daemon", "run", ..] => return run_daemon(&environment, &home, build, startup),
        ["start"] => outcome(lifecycle::start(&home, &launcher)),
        ["stop", ..] => outcome(lifecycle::stop(&home, &ShutdownCause::Stop, force)),
        ["status"] => json!(lifecycle::observe_status(&home)),
        ["restart", ..] => outcome(lifecycle::restart(&home, &environment, &launcher, force)),
        ["doctor", ..] => doctor(&environment, &home, build, &words),
        ["follow-up"] => {
            let config = Config::read(&home).unwrap_or_else(|_| Config::unreadable());
            json!(follow_up(&home, &config, &environment, &launcher, &build.version))
        }
        ["drain"] => drain_now(&home),
        ["stand-in", "run_sync_daemon", rest @ ..] => return stand_in(rest),
        _ => return ExitCode::from(2),
    };
    let printed = writeln!(std::io::stdout(), "{document}");
    if printed.is_ok() && document.get("error").is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn outcome<T: serde::Serialize, E: serde::Serialize>(result: Result<T, E>) -> Value {
    match result {
        Ok(value) => json!(value),
        Err(error) => json!({ "error": error }),
    }
}

fn build(environment: &Environment) -> BuildInfo {
    let version = environment.text(VERSION_VARIABLE).unwrap_or_else(|| "3.3.0".to_owned());
    BuildInfo { version, commit: None, release: true }
}

fn run_daemon(environment: &Environment, home: &Home, build: BuildInfo, startup: Startup) -> ExitCode {
    let mut timing = startup.timing();
    if let Some(milliseconds) = environment.text("DAEMON_BENCH_CHECK_MS").and_then(|text| text.parse().ok()) {
        timing.check = Duration::from_millis(milliseconds);
        timing.sweep = timing.check * 5;
    }
    if let Some(milliseconds) = environment.text("DAEMON_BENCH_IDLE_MS").and_then(|text| text.parse().ok()) {
        timing.idle = Some(Duration::from_millis(milliseconds));
    }
    let options = RunOptions { environment: environment.clone(), home: home.clone(), build, timing };
    if environment.get("DAEMON_BENCH_DELIVERER").is_some() {
        return match deliver(&options, startup, |_| {}) {
            Ok(_) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let directory = home.root().join("drain");
    match run(&options, startup, |_| Box::new(FileDrain { directory }), |_| {}) {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn doctor(environment: &Environment, home: &Home, build: BuildInfo, words: &[&str]) -> Value {
    let treatment = if words.contains(&"--force") {
        Treatment::Force
    } else if words.contains(&"--fix") {
        Treatment::Fix
    } else {
        Treatment::Look
    };
    match Boundary::new(environment, home, build).verdict(false) {
        Ok(verdict) => json!(orphan_daemons(home, &verdict, treatment)),
        Err(busy) => json!({ "error": busy.to_string() }),
    }
}

fn drain_now(home: &Home) -> Value {
    let control = match ControlFile::read(&home.control_file()) {
        Ok(Some(control)) => control,
        Ok(None) => return json!({ "error": "no control file" }),
        Err(error) => return json!({ "error": error.to_string() }),
    };
    let answer = ControlClient::connect(&control, Duration::from_secs(20))
        .and_then(|mut client| client.drain(Duration::from_secs(15)));
    match answer {
        Ok(answer) => json!(answer),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

struct FileDrain {
    directory: PathBuf,
}

impl FileDrain {
    fn has(&self, name: &str) -> bool {
        self.directory.join(name).exists()
    }
}

impl Drain for FileDrain {
    fn observe_pending(&mut self) -> PendingRows {
        if self.has("pending") { PendingRows::Rows } else { PendingRows::Nothing }
    }

    fn observe_scope(&mut self) -> ScopeOnDisk {
        match fs::read_to_string(self.directory.join("scope")) {
            Ok(scope) => ScopeOnDisk::Other(Some(scope)),
            Err(_) => ScopeOnDisk::Own,
        }
    }

    fn observe_queue_id(&mut self) -> Option<String> {
        None
    }

    fn drain(&mut self, stop: &StopFlag) -> DrainOutcome {
        let count = self.directory.join("count");
        let drains: u64 =
            fs::read_to_string(&count).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let _ = fs::create_dir_all(&self.directory);
        let _ = fs::write(&count, (drains + 1).to_string());
        while (self.has("slow") && !stop.is_raised()) || self.has("deaf") {
            std::thread::sleep(Duration::from_millis(5));
        }
        let delivered = u64::from(fs::remove_file(self.directory.join("pending")).is_ok());
        let stopped = stop.is_raised().then(|| "stop".to_owned());
        DrainOutcome::Drained {
            delivered,
            duplicate: 0,
            parked: 0,
            held: 0,
            remaining: 0,
            stopped,
            retry_after_ms: None,
        }
    }
}

/// Answers as a daemon of the reference does: HTTP/1.0, no length, its token in clear to any client.
fn stand_in(words: &[&str]) -> ExitCode {
    let [port_file, token, rest @ ..] = words else { return ExitCode::from(2) };
    let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)) else { return ExitCode::from(2) };
    let Ok(port) = listener.local_addr().map(|address| address.port()) else { return ExitCode::from(2) };
    let written = fs::write(format!("{port_file}.new"), port.to_string())
        .and_then(|()| fs::rename(format!("{port_file}.new"), port_file));
    if written.is_err() {
        return ExitCode::from(2);
    }
    for mut stream in listener.incoming().flatten() {
        if rest.contains(&"mute") {
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_secs(60));
                drop(stream);
            });
            continue;
        }
        let request = read_request(&mut stream);
        let (status, body, last) = if request.starts_with("GET /api/health ") {
            let mut health = json!({ "status": "ok", "token": token, "protocol_version": 1 });
            if rest.contains(&"elsewhere") {
                health["singleton_scope_id"] = json!("/elsewhere/.spec-kitty");
            }
            ("200 OK", health.to_string(), false)
        } else if request.starts_with("POST /api/shutdown ") && request.contains(&format!("\"{token}\"")) {
            ("200 OK", "{\"status\":\"stopping\"}".to_owned(), true)
        } else {
            ("403 Forbidden", "{\"error\":\"invalid_token\"}".to_owned(), false)
        };
        let _ = write!(stream, "HTTP/1.0 {status}\r\nContent-type: application/json\r\n\r\n{body}");
        if last {
            break;
        }
    }
    ExitCode::SUCCESS
}

/// Reads until the client waits: its body ends with a brace, and a request without one with a blank line.
fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 1024];
    while let Ok(length) = stream.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..length]);
        let text = String::from_utf8_lossy(&bytes);
        if length == 0
            || text.ends_with('}')
            || (text.contains("Content-Length: 0\r\n") && text.ends_with("\r\n\r\n"))
        {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
