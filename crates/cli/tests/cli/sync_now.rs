//! `sync now`: what it tells, beyond what the scenarios show.

use crate::worlds::{fresh, with_server};
use contract::Scope;
use std::time::Duration;
use testkit::World;
use testkit::mission::Mission;
use testkit::reference_queue::{ReferenceQueue, leave_hot_journal};
use testkit::world::{TEAM, USER, session};

#[test]
fn rows_of_a_rolled_back_legacy_queue_are_moved_and_reported() {
    let (world, _server) = with_server();
    leave_hot_journal(&world.root().join("queue.db"));
    let now = world.run(["sync", "now", "--json"]).exits(0).json();
    assert_eq!(now["migrated"]["moved"]["event_rows"], 1, "{now:#}");
}

#[test]
fn login_ended_during_delivery_has_code_and_remedy() {
    let (mut world, server) = with_server();
    world.unset("SPEC_KITTY_TOKEN").unset("SPEC_KITTY_SERVER_URL");
    // By its dates it is valid; the server knows neither of its tokens.
    world.write_session(&session(&server.url(), USER, TEAM));
    world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
    let now = world.run(["sync", "now", "--json"]).exits(2).json();
    assert_eq!(now["stopped"]["reason"], "login_ended", "{now:#}");
    assert_eq!(now["error_code"], "SAAS_SYNC_UNAUTHENTICATED", "{now:#}");
    assert_eq!(now["remediation"], serde_json::json!(["spec-kitty auth login"]), "{now:#}");

    world.write_session(&session(&server.url(), USER, TEAM));
    let text = world.run(["sync", "now"]).exits(2).stdout;
    let told = text.lines().skip_while(|line| !line.starts_with("stopped")).nth(1);
    assert_eq!(told.map(str::trim), Some("spec-kitty auth login"), "{text}");
}

#[test]
fn unwritable_report_fails_before_anything_is_sent() {
    let (world, server) = with_server();
    world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
    let run = world.run(["sync", "now", "--report", "no/such/directory/report.json"]).exits(1);
    assert!(run.stderr.contains("report.json"), "{}", run.stderr);
    assert_eq!(server.event_ids(), Vec::<String>::new());

    let report = world.work().join("report.json");
    std::fs::write(&report, "x".repeat(10_000)).unwrap();
    world.run(["sync", "now", "--report", "report.json"]).exits(0);
    let written: serde_json::Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(written["failures"].as_array().unwrap().len(), 0, "{written:#}");
    assert!(!server.event_ids().is_empty());
}

#[test]
fn refused_delivery_leaves_no_report() {
    let (world, _server) = with_server();
    world.write_state("sync/daemon/owner.json", b"{");
    world.run(["sync", "now", "--report", "report.json"]).exits(2);
    assert!(!world.work().join("report.json").exists());
}

#[test]
fn refused_document_is_named_with_its_mission() {
    let (world, server) = with_server();
    let missions = ["tea-timer", "kettle"].map(|name| Mission::create(&world, name).slug);
    for mission in &missions {
        world.run(["sync", "capture", "--history", mission, "--yes"]).exits(0);
    }
    let path = world.home().scoped_queue(&Scope::new(&server.url(), USER, &server.team));
    let queue = rusqlite::Connection::open(path).unwrap();
    // The server refuses a document without the event that announces it.
    queue.execute("DELETE FROM queue WHERE coalesce_key LIKE '%|spec.md'", []).unwrap();
    world.run(["sync", "now", "--report", "report.json"]).exits(1);
    let report = std::fs::read_to_string(world.work().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let named: Vec<_> =
        report["failures"].as_array().unwrap().iter().map(|row| &row["mission_slug"]).collect();
    assert_eq!(named, missions.iter().collect::<Vec<_>>(), "{report:#}");

    queue.execute("UPDATE body_upload_queue SET next_attempt_at = 0", []).unwrap();
    let shown = world.run(["sync", "now"]).exits(1).stdout;
    for mission in &missions {
        assert!(shown.contains(&format!("  spec.md of {mission}")), "{shown}");
    }
}

#[test]
fn another_delivery_of_this_account_is_busy_by_name_and_code() {
    let (world, _server) = with_server();
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    let queue = std::path::PathBuf::from(status["active_queue"]["path"].as_str().unwrap());
    let lock = queue.with_extension("drain.lock");
    let mut held = system::FileLock::acquire(&lock, Duration::ZERO, "the test").unwrap();
    held.record_holder("9.9.9").unwrap();
    let run = world.run(["sync", "now", "--wait", "0", "--json"]).exits(69);
    let document = run.json();
    assert_eq!((&document["error_code"], &document["exit_code"]), (&"BUSY".into(), &69.into()));
    let error = document["error"].as_str().unwrap();
    assert!(
        error.contains("drain.lock") && error.contains(&format!("pid {}", std::process::id())),
        "{error}"
    );
}

#[test]
fn delivery_caches_legacy_count_of_other_teams() {
    let (world, _server) = with_server();
    ReferenceQueue::create(&world.root().join("queue.db"))
        .event("01KRX0000000000000000000A1", Some("others"));
    world.run(["sync", "now"]).exits(0);
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    let db = rusqlite::Connection::open(status["active_queue"]["path"].as_str().unwrap()).unwrap();
    let pins = db.query_row("SELECT count(*) FROM meta WHERE key = 'legacy_pin'", [], |row| row.get(0));
    assert_eq!(pins, Ok(1));
}

#[cfg(unix)]
mod interrupted {
    use super::*;
    use crate::worlds::waiting;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::process::{Child, Command, Stdio};

    /// A delivery in progress, blocked on a server that does not answer.
    struct Delivery {
        process: Child,
        stderr: BufReader<std::process::ChildStderr>,
        listener: TcpListener,
        /// The request in hand.
        request: TcpStream,
    }

    impl Delivery {
        fn begin(world: &World, listener: TcpListener) -> Self {
            let mut command = world.command();
            command.args(["sync", "now"]).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut process = command.spawn().unwrap();
            let stderr = BufReader::new(process.stderr.take().unwrap());
            let (mut request, _) = listener.accept().unwrap();
            let mut first = [0; 4];
            request.read_exact(&mut first).unwrap();
            Self { process, stderr, listener, request }
        }

        fn press_ctrl_c(&self) {
            let pid = self.process.id().to_string();
            assert!(Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
        }

        /// The next line of stderr, as soon as it is there.
        fn note(&mut self) -> String {
            let mut line = String::new();
            self.stderr.read_line(&mut line).unwrap();
            line
        }

        /// Exit code and what it printed.
        fn end(mut self) -> (Option<i32>, String) {
            let mut said = String::new();
            self.process.stdout.take().unwrap().read_to_string(&mut said).unwrap();
            (self.process.wait().unwrap().code(), said)
        }
    }

    const NOTE: &str = "finishing the batch in hand; press Ctrl-C again to stop at once\n";

    /// Rows that wait for a server whose answers this test scripts.
    fn with_server() -> (World, TcpListener) {
        let world = fresh();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        world.log_in_at(&url);
        world.init_project();
        world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
        (world, listener)
    }

    #[test]
    fn first_ctrl_c_ends_delivery_after_the_current_batch() {
        let (world, listener) = with_server();
        let before = waiting(&world);
        let mut delivery = Delivery::begin(&world, listener);
        delivery.press_ctrl_c();
        assert_eq!(delivery.note(), NOTE);
        assert_eq!(delivery.process.try_wait().unwrap(), None, "the batch in hand is waited for");
        let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        delivery.request.write_all(answer).unwrap();
        delivery.listener.set_nonblocking(true).unwrap();
        let listener = delivery.listener.try_clone().unwrap();
        let (code, said) = delivery.end();
        assert_eq!(code, Some(130), "{said}");
        assert!(said.contains("stopped   : interrupted"), "{said}");
        assert!(said.contains(&format!("remaining : {before} events")), "{said}");
        assert!(listener.accept().is_err(), "no further request");
        assert_eq!(waiting(&world), before, "nothing is lost");
    }

    #[test]
    fn second_ctrl_c_ends_it_at_once() {
        let (world, listener) = with_server();
        let before = waiting(&world);
        let mut delivery = Delivery::begin(&world, listener);
        delivery.press_ctrl_c();
        assert_eq!(delivery.note(), NOTE);
        delivery.press_ctrl_c();
        assert_eq!(delivery.end(), (Some(130), String::new()));
        assert_eq!(waiting(&world), before);
        world.run(["sync", "status", "--check"]).exits(0);
    }
}
