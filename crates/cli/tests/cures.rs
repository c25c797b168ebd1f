//! Every name under which the boundary fails: a state that fails under it, the remedy that it shows, and
//! that remedy typed as it stands. No remedy is refused for what it cures, and none needs a server but a login.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod browser;
mod stage;

use browser::{Browser, approval_secret};
use contract::{FailureName, FaultCode, Field, OwnerRecord};
use serde_json::{Value, json};
use stage::Stage;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use testkit::Server;
use testkit::owner::{agreeing, failing_names, write};
use testkit::reference_queue::{ReferenceQueue, leave_hot_journal};
use testkit::world::{TEAM, USER};

#[test]
fn every_name_has_a_state_and_its_remedy_leads_out_of_it() {
    for name in FailureName::all() {
        match name {
            FailureName::Field(field) => cured_by_its_hint(name, |stage| alter_record(stage, field)),
            FailureName::OrphanDaemonRecord => cured_by_its_hint(name, |stage| {
                write(&stage.0, &OwnerRecord { pid: i64::from(u32::MAX), ..agreeing(&stage.0, 1) });
            }),
            FailureName::LegacyRowsInScope => cured_by_its_hint(name, |stage| {
                let queue = ReferenceQueue::create(&stage.0.root().join("queue.db"));
                queue.event("01KRX0000000000000000000A1", Some(TEAM));
            }),
            FailureName::AuthAbsent => cured_by_login(name, |stage| {
                fs::remove_file(stage.0.home().session_file()).unwrap();
            }),
            FailureName::Fault(code) => fault(name, code),
        }
    }
}

fn fault(name: FailureName, code: FaultCode) {
    let garbage = b"no database at all, and not empty";
    match code {
        FaultCode::OwnerRecordUnreadable => {
            cured_by_its_hint(name, |stage| {
                stage.0.write_state("sync/daemon/owner.json", b"{");
            });
            cured_by_its_hint(name, |stage| {
                stage.0.run(["sync", "daemon", "start"]).exits(0);
                fs::write(stage.0.home().owner_record(), "{").unwrap();
            });
        }
        FaultCode::OwnerRecordStale => cured_by_its_hint(name, |stage| {
            stage.0.run(["sync", "daemon", "start"]).exits(0);
            fs::remove_file(stage.0.home().owner_record()).unwrap();
        }),
        FaultCode::SessionUnreadable => {
            cured_by_login(name, |stage| fs::write(stage.0.home().session_file(), "{").unwrap());
        }
        FaultCode::ConfigUnreadable => cured_by_hand(
            name,
            |stage| fs::write(stage.0.home().config_file(), "[sync]\nbroken =\n").unwrap(),
            ("line 2", |stage| fs::write(stage.0.home().config_file(), "[sync]\n").unwrap()),
        ),
        FaultCode::LegacyQueueUnreadable => {
            cured_by_its_hint(name, |stage| {
                stage.0.write_state("queue.db", garbage);
            });
        }
        FaultCode::ActiveQueueUnreadable => cured_by_its_hint(name, |stage| {
            let queue = stage.0.home().scoped_queue(&stage.0.scope());
            fs::create_dir_all(queue.parent().unwrap()).unwrap();
            fs::write(queue, garbage).unwrap();
        }),
        FaultCode::QueueRecoveryNeeded => {
            cured_by_its_hint(name, |stage| leave_hot_journal(&stage.0.root().join("queue.db")));
        }
        FaultCode::QueueSchemaNewer => cured_by_hand(
            name,
            |stage| set_schema_version(stage, 99),
            ("update", |stage| set_schema_version(stage, 1)),
        ),
        FaultCode::QueueIdentityChanged => cured_by_its_hint(name, |stage| {
            stage.0.run(["agent", "mission", "create", "one"]).exits(0);
            stage.0.run(["sync", "daemon", "start"]).exits(0);
            // Somebody put another file in the place of the one that the daemon serves.
            let queue = rusqlite::Connection::open(stage.0.home().scoped_queue(&stage.0.scope())).unwrap();
            queue.execute("UPDATE meta SET value = 'another' WHERE key = 'queue_id'", []).unwrap();
        }),
        FaultCode::HomeAmbiguous => cured_by_hand(
            name,
            |stage| {
                let elsewhere = stage.0.user_home().join("elsewhere");
                stage.0.set("SPEC_KITTY_HOME", elsewhere.to_str().unwrap());
            },
            ("unset SPEC_KITTY_HOME", |stage| {
                stage.0.unset("SPEC_KITTY_HOME");
            }),
        ),
        FaultCode::StrayDaemon => {
            let mut daemon = None;
            cured_by_its_hint(name, |stage| daemon = Some(ReferenceDaemon::stray(stage)));
            let daemon = daemon.unwrap();
            assert!(daemon.has_ended(), "asked over its own port, it went");
        }
    }
}

/// Arranges the state, types the hint that it shows, and is out of it.
#[track_caller]
fn cured_by_its_hint(name: FailureName, arrange: impl FnOnce(&mut Stage)) {
    let mut stage = Stage::new();
    arrange(&mut stage);
    let hint = hint_of(&stage, name);
    stage.refuses(&hint);
    let cured = stage.type_hint(&hint);
    assert_eq!(cured.code, Some(0), "{name}: {hint}: {cured:?}");
    assert_eq!(failing(&stage), [""; 0], "{name}: {hint}");
}

/// The hint is an advice: it says `what`, and doing it is enough.
#[track_caller]
fn cured_by_hand(
    name: FailureName,
    arrange: impl FnOnce(&mut Stage),
    (what, by_hand): (&str, impl FnOnce(&mut Stage)),
) {
    let mut stage = Stage::new();
    arrange(&mut stage);
    let hint = hint_of(&stage, name);
    assert!(hint.contains(what) && !hint.starts_with("spec-kitty "), "{name}: {hint}");
    stage.refuses(&hint);
    by_hand(&mut stage);
    assert!(!failing(&stage).contains(&name.name().to_owned()), "{name}");
}

/// The hint is `auth login`: the one remedy that needs a server, and a person.
#[track_caller]
fn cured_by_login(name: FailureName, arrange: impl FnOnce(&mut Stage)) {
    let mut stage = Stage::new();
    let server = Server::start(&stage.0, USER);
    let secret = approval_secret(&stage.0, &stage.0.user_home().join("server-data"), USER);
    stage.0.write_config(&format!("[sync]\nserver_url = \"{}\"\n", server.url()));
    let browser = Browser::install(&mut stage.0);
    arrange(&mut stage);
    let hint = hint_of(&stage, name);
    assert_eq!(hint, "spec-kitty auth login", "{name}");
    stage.refuses(&hint);
    let mut command = stage.0.command();
    command.args(hint.split(' ').skip(1)).stdout(Stdio::null()).stderr(Stdio::null());
    let mut login = command.spawn().unwrap();
    browser.approve(USER, &secret);
    assert!(login.wait().unwrap().success(), "{name}");
    assert_eq!(failing(&stage), [""; 0], "{name}");
}

fn failing(stage: &Stage) -> Vec<String> {
    failing_names(&stage.0.run(["sync", "status", "--check", "--json"]).json())
}

/// The first remedy that the status document shows for `name`, which has to fail.
#[track_caller]
fn hint_of(stage: &Stage, name: FailureName) -> String {
    let status = stage.0.run(["sync", "status", "--check", "--json"]).exits(2).json();
    assert!(failing_names(&status).contains(&name.name().to_owned()), "{name}: {status:#}");
    let doctor = stage.0.run(["sync", "doctor", "--offline", "--json"]).exits(1).json();
    let checks = doctor["checks"].as_array().unwrap().iter();
    let mut findings = checks.flat_map(|check| check["findings"].as_array().unwrap());
    let finding = findings.find(|finding| finding["code"] == name.name());
    finding.unwrap_or_else(|| panic!("{name}: {doctor:#}"))["remediation"][0].as_str().unwrap().to_owned()
}

/// A live daemon of ours whose record says something else in one field.
fn alter_record(stage: &mut Stage, field: Field) {
    stage.0.run(["sync", "daemon", "start"]).exits(0);
    let path = stage.0.home().owner_record();
    let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let (key, value) = match field {
        Field::PackageVersion => ("package_version", json!("0.0.1")),
        Field::ExecutablePath => ("executable_path", json!("/elsewhere/spec-kitty")),
        Field::SourcePath => ("source_checkout_path", json!("/elsewhere")),
        Field::ServerUrl => ("server_url", json!("https://elsewhere.invalid")),
        Field::TeamOrUser => ("auth_team", json!("team-other")),
        Field::QueueDbPath => ("queue_db_path", json!("/elsewhere/queue.db")),
    };
    record[key] = value;
    fs::write(path, record.to_string()).unwrap();
}

fn set_schema_version(stage: &mut Stage, version: i64) {
    let queue = stage.0.home().scoped_queue(&stage.0.scope());
    if !queue.exists() {
        stage.0.run(["agent", "mission", "create", "one"]).exits(0);
    }
    let db = rusqlite::Connection::open(queue).unwrap();
    db.execute("UPDATE meta SET value = ?1 WHERE key = 'schema_version'", [version]).unwrap();
}

/// A process with the argv of the reference's daemon, and its two routes, answered by this test.
struct ReferenceDaemon {
    process: Arc<Mutex<Child>>,
}

impl ReferenceDaemon {
    /// One that the state file names and no owner record does.
    fn stray(stage: &mut Stage) -> Self {
        const TOKEN: &str = "0123456789abcdef0123456789abcdef";
        let mut command = Command::new("sh");
        command.args(["-c", "read -r end", "run_sync_daemon"]).stdin(Stdio::piped());
        let process = Arc::new(Mutex::new(command.spawn().unwrap()));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let pid = process.lock().unwrap().id();
        let state = format!("http://127.0.0.1:{port}\n{port}\n{TOKEN}\n{pid}\n");
        stage.0.write_state("sync-daemon", state.as_bytes());
        let ends = Arc::clone(&process);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = vec![0; 8192];
                let length = stream.read(&mut request).unwrap_or_default();
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let body = if request.starts_with("GET /api/health ") {
                    json!({ "status": "ok", "token": TOKEN, "protocol_version": 1 })
                } else if request.starts_with("POST /api/shutdown ") && request.contains(TOKEN) {
                    let mut process = ends.lock().unwrap();
                    let _ = process.kill();
                    let _ = process.wait();
                    json!({ "status": "stopping" })
                } else {
                    json!({ "error": "invalid_token" })
                };
                let _ = write!(stream, "HTTP/1.0 200 OK\r\nContent-type: application/json\r\n\r\n{body}");
            }
        });
        Self { process }
    }

    fn has_ended(&self) -> bool {
        self.process.lock().unwrap().try_wait().unwrap().is_some()
    }
}

impl Drop for ReferenceDaemon {
    fn drop(&mut self) {
        let mut process = self.process.lock().unwrap();
        let _ = process.kill();
        let _ = process.wait();
    }
}
