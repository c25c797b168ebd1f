//! A server that lost what it acknowledged: the warning, and `sync resend` from the bytes that were kept.

use crate::worlds::with_server;
use contract::Scope;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::path::PathBuf;
use testkit::reference_queue::{PROJECT, ReferenceQueue};
use testkit::world::USER;
use testkit::{Server, World};

fn queue_path(world: &World, server: &Server) -> PathBuf {
    world.home().scoped_queue(&Scope::new(&server.url(), USER, &server.team))
}

/// Rows of another program, whose project is opted in: events, and after them bodies with their index events.
fn leave_rows(queue: &ReferenceQueue, events: Range<usize>, bodies: Range<usize>) {
    for number in events {
        queue.event(&format!("01KRX000000000000000{number:06}"), None);
    }
    for number in bodies {
        let (path, text) = (format!("research/{number}.md"), format!("# {number} \u{1f431}\n"));
        queue.indexed(&format!("01KRX000000000000009{number:06}"), &path, &text);
        queue.body(&path, &text);
    }
}

fn warning(world: &World) -> Option<Value> {
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    let warnings = status["warnings"].as_array().unwrap().clone();
    warnings.into_iter().find(|warning| warning["code"] == "server_rewound")
}

const HINT: &str = "spec-kitty sync resend --missing --yes";

/// Delivers rows in two halves, puts an older state of the server in place, and sends the lost rows again.
fn restore_lost_rows(events: usize, bodies: usize, wiped: bool) {
    let (world, mut server) = with_server();
    let [empty, middle] = ["empty", "middle"].map(|name| world.user_home().join(name));
    server.back_up(&world, &empty);
    let queue = ReferenceQueue::create(&queue_path(&world, &server)).quick();
    leave_rows(&queue, 0..events / 2, 0..bodies / 2);
    world.run(["sync", "opt-in", "--project", PROJECT, "--include-held", "--yes"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    server.back_up(&world, &middle);
    drop(queue);
    let queue = ReferenceQueue::open(&queue_path(&world, &server)).quick();
    leave_rows(&queue, events / 2..events, bodies / 2..bodies);
    drop(queue);
    world.run(["sync", "now"]).exits(0);
    let held = server.held();
    assert_eq!(held.len(), events + 2 * bodies, "everything arrived");
    assert_eq!(warning(&world), None);

    server.restore(&world, if wiped { &empty } else { &middle });
    let lost = (held.len() - server.held().len()) as u64;
    let now = world.run(["sync", "now", "--json"]).exits(0).json();
    assert_eq!(now["server_rewound"]["projects"][0]["project_uuid"], PROJECT, "{now:#}");
    let shown = world.run(["sync", "now"]).exits(0).stdout;
    assert!(shown.lines().any(|line| line.trim() == HINT), "{shown}");
    let stored = warning(&world).expect("a warning");
    assert_eq!((&stored["remediation_hint"], &now["warnings"]), (&HINT.into(), &serde_json::json!([stored])));
    let text = stored["text"].as_str().unwrap();
    assert_eq!(shown.matches(text).count(), 1, "{shown}");
    let check = world.run(["sync", "status", "--check"]).exits(0).stdout;
    assert!(check.contains(text) && check.contains(HINT), "{check}");
    let text = world.run(["sync", "status"]).exits(0);
    assert!(text.stderr.contains(HINT), "{text:?}");
    let doctor = world.run(["sync", "doctor", "--offline", "--json"]).exits(1);
    assert!(doctor.stdout.contains("server_rewound") && doctor.stdout.contains(HINT), "{}", doctor.stdout);
    let setup = world.run(["sync", "setup"]).stdout;
    assert!(setup.lines().next().is_some_and(|line| line.contains(", 1 warning")), "{setup}");

    let preview = world.run(["sync", "resend", "--missing", "--json"]).exits(2).json();
    let count =
        |document: &Value| document["events"].as_u64().unwrap() + document["bodies"].as_u64().unwrap();
    assert_eq!((preview["result"].as_str(), count(&preview)), (Some("preview"), lost));
    assert!(warning(&world).is_some(), "a preview changes nothing");
    let queued = world.run(["sync", "resend", "--missing", "--yes", "--json"]).exits(0).json();
    assert_eq!((queued["result"].as_str(), count(&queued)), (Some("queued"), lost));
    assert_eq!(warning(&world), None);
    let now = world.run(["sync", "now", "--json"]).exits(0).json();
    assert_eq!(
        now["events"]["delivered"].as_u64().unwrap() + now["bodies"]["delivered"].as_u64().unwrap(),
        lost
    );
    assert_eq!(server.held(), held, "every byte is there again");
    let now = world.run(["sync", "now", "--json"]).exits(0).json();
    assert_eq!((&now["result"], &now["server_rewound"]), (&"nothing_to_do".into(), &Value::Null));
    let preview = world.run(["sync", "resend", "--missing", "--json"]).exits(0).json();
    assert_eq!(preview["result"], "nothing_to_do", "{preview:#}");
}

#[test]
fn rolled_back_server_is_restored_byte_for_byte() {
    restore_lost_rows(600, 12, false);
}

#[test]
fn wiped_server_is_restored_byte_for_byte() {
    restore_lost_rows(120, 6, true);
}

#[test]
#[ignore = "delivers 5,000 events and 50 bodies twice, up to minutes in a debug build; .ci/full runs it"]
fn five_thousand_events_and_fifty_bodies_are_restored() {
    restore_lost_rows(5_000, 50, false);
    restore_lost_rows(5_000, 50, true);
}

#[test]
fn warning_ends_after_a_restore_of_the_server() {
    let (world, mut server) = with_server();
    let [empty, full] = ["empty", "full"].map(|name| world.user_home().join(name));
    server.back_up(&world, &empty);
    world.run(["agent", "mission", "create", "one"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    server.back_up(&world, &full);
    server.restore(&world, &empty);
    // New rows leave all the same, and do not hide what is missing.
    world.run(["agent", "mission", "create", "two"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    assert!(warning(&world).is_some());
    world.run(["sync", "now"]).exits(0);
    assert!(warning(&world).is_some());
    server.restore(&world, &full);
    world.run(["sync", "now"]).exits(0);
    // The first mission is there; what was delivered in between is what is missing now.
    let first = world.run(["sync", "resend", "--missing", "--json"]).exits(2).json();
    assert!(first["events"].as_u64().unwrap() > 0);
    world.run(["sync", "resend", "--missing", "--yes"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    assert_eq!(warning(&world), None);
}

#[test]
fn rows_with_lost_bytes_are_recaptured_from_history() {
    let (world, mut server) = with_server();
    let empty = world.user_home().join("empty");
    server.back_up(&world, &empty);
    let created = world.run(["agent", "mission", "create", "one", "--json"]).exits(0).json();
    let slug = created["mission_slug"].as_str().unwrap();
    world.run(["sync", "now"]).exits(0);
    let ids = |server: &Server| {
        let mut ids = server.event_ids();
        ids.sort();
        ids
    };
    let before = ids(&server);
    let log =
        std::fs::read_to_string(world.work().join("kitty-specs").join(slug).join("status.events.jsonl"));
    let log = log.unwrap();
    let facts: Vec<&String> = before.iter().filter(|id| log.contains(*id)).collect();
    assert!(!facts.is_empty());
    let planned = world.run(["sync", "gc", "--sent", "--dry-run", "--json"]).exits(0).json();
    let gone = world.run(["sync", "gc", "--sent", "--json"]).exits(0).json();
    assert!(gone["sent"]["blocks"].as_u64().unwrap() > 0 && planned["sent"] == gone["sent"], "{gone}");
    server.restore(&world, &empty);
    world.run(["sync", "now"]).exits(0);
    assert!(warning(&world).is_some());
    let resent = world.run(["sync", "resend", "--missing", "--yes", "--json"]).exits(0).json();
    assert_eq!(
        (resent["events"].as_u64(), resent["gone"]["events"].as_u64()),
        (Some(0), Some(before.len() as u64))
    );
    assert!(resent["remediation"][0].as_str().unwrap().contains("sync capture --history"), "{resent:#}");
    assert_eq!(warning(&world), None, "after that one run the warning ends");
    world.run(["sync", "now"]).exits(0);
    assert_eq!(warning(&world), None);
    world.run(["sync", "capture", "--history", slug, "--yes"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    let after = ids(&server);
    assert!(facts.iter().all(|id| after.contains(id)), "{before:?} {after:?}");
    assert!(!server.body_hashes().is_empty(), "documents are captured again, too");
}

#[test]
fn resent_rows_go_under_the_account_that_delivered_them() {
    let (mut world, server) = with_server();
    let (_, token) = server.add_account(&world, "mallory@example.com");
    world.run(["agent", "mission", "create", "one"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    let held = server.held();

    world.set("SPEC_KITTY_TOKEN", &token);
    let resent = world.run(["sync", "resend", "--since", "1d", "--yes", "--json"]).exits(0).json();
    assert_eq!(resent["result"], "nothing_to_do");
    let now = world.run(["sync", "now", "--json"]).exits(0).json();
    assert_eq!(now["result"], "nothing_to_do", "{now:#}");

    world.set("SPEC_KITTY_TOKEN", &server.token);
    let resent = world.run(["sync", "resend", "--since", "1d", "--yes", "--json"]).exits(0).json();
    assert_eq!(resent["result"], "queued");
    let now = world.run(["sync", "now", "--json"]).exits(0).json();
    assert_eq!(now["events"]["duplicate"], resent["events"], "{now:#}");
    assert_eq!(now["bodies"]["duplicate"], resent["bodies"], "{now:#}");
    assert_eq!(server.held(), held);
}

#[test]
fn private_data_of_an_opted_out_project_is_deleted() {
    let (world, server) = with_server();
    let queue = ReferenceQueue::create(&queue_path(&world, &server));
    leave_rows(&queue, 0..2, 0..1);
    drop(queue);
    world.run(["sync", "opt-in", "--project", PROJECT, "--include-held", "--yes"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    let out = ["sync", "opt-out", "--project", PROJECT, "--delete-private-data", "--yes", "--json"];
    let out = world.run(out).exits(0).json();
    assert_eq!(out["deleted"]["blocks"], 2, "{out:#}");
    let preview = world.run(["sync", "resend", "--since", "2020-01-01", "--json"]).exits(2).json();
    assert_eq!((preview["events"].as_u64(), preview["gone"]["events"].as_u64()), (Some(0), Some(3)));
}

#[test]
fn resend_of_an_opted_out_project_is_held_and_reported() {
    let (world, server) = with_server();
    let queue = ReferenceQueue::create(&queue_path(&world, &server));
    leave_rows(&queue, 0..2, 0..0);
    drop(queue);
    world.run(["sync", "opt-in", "--project", PROJECT, "--include-held", "--yes"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    world.run(["sync", "opt-out", "--project", PROJECT]).exits(0);
    let queued = world.run(["sync", "resend", "--since", "2020-01-01", "--yes", "--json"]).exits(0).json();
    assert_eq!((queued["events"].as_u64(), queued["held"]["events"].as_u64()), (Some(2), Some(2)));
    let now = world.run(["sync", "now", "--json"]).exits(0).json();
    assert_eq!((now["requests"].as_u64(), now["held"][0]["events"].as_u64()), (Some(1), Some(2)), "{now:#}");
}

#[test]
fn sync_now_with_nothing_waiting_names_a_server_that_is_gone() {
    let (world, mut server) = with_server();
    world.run(["agent", "mission", "create", "one"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    let asked = server.requests();
    world.run(["sync", "now"]).exits(0);
    assert_eq!(server.requests(), asked + 1, "it asks");
    server.stop();
    let now = world.run(["sync", "now", "--json"]).exits(0).json();
    assert_eq!((&now["result"], &now["server"]), (&"nothing_to_do".into(), &"unreachable".into()), "{now:#}");
    let text = world.run(["sync", "now"]).exits(0).stdout;
    assert!(text.contains("server    : unreachable"), "{text}");
    let missing = world.run(["sync", "resend", "--missing", "--yes", "--json"]).exits(1).json();
    assert_eq!(missing["error_code"], "RECEIPTS_NOT_ASKED", "{missing:#}");
}

#[test]
fn resend_needs_to_know_which_rows() {
    let (world, _server) = with_server();
    world.run(["sync", "resend", "--yes"]).exits(2);
    world.run(["sync", "resend", "--missing", "--since", "1d"]).exits(2);
    world.run(["sync", "resend", "--since", "yesterday"]).exits(2);
    let none =
        world.run(["sync", "resend", "--since", "2026-11-01T12:00:00Z", "--yes", "--json"]).exits(0).json();
    assert_eq!(none["result"], "nothing_to_do");
}

/// The address of a server of an earlier release, made of `server`: it ignores the header that names receipts,
/// and answers 404 to the route that is asked about them.
fn start_earlier_release(server: &Server) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let upstream = server.url().trim_start_matches("http://").to_owned();
    std::thread::spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            let upstream = upstream.clone();
            std::thread::spawn(move || pass_on(client, &upstream));
        }
    });
    url
}

/// The first request decides: a command asks about receipts first, or not at all.
fn pass_on(mut client: TcpStream, upstream: &str) -> Option<()> {
    use contract::wire::endpoint::{RECEIPTS, RECEIPTS_HEADER};
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    if head.starts_with(&format!("POST {RECEIPTS} ")) {
        let answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nConnection: close\r\n\r\nNot Found";
        client.write_all(answer.as_bytes()).ok()?;
        // Read to the end, so that closing does not discard the answer.
        return std::io::copy(&mut client, &mut std::io::sink()).map(drop).ok();
    }
    let name = RECEIPTS_HEADER.to_lowercase();
    let lines = head.split_inclusive("\r\n").filter(|line| !line.to_lowercase().starts_with(&name));
    let mut server = TcpStream::connect(upstream).ok()?;
    server.write_all(lines.collect::<String>().as_bytes()).ok()?;
    let (mut from, mut to) = (client.try_clone().ok()?, server.try_clone().ok()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        to.shutdown(std::net::Shutdown::Write)
    });
    std::io::copy(&mut server, &mut client).ok()?;
    client.shutdown(std::net::Shutdown::Both).ok()
}

#[test]
fn server_without_the_question_changes_nothing() {
    let (mut world, mut server) = with_server();
    let url = start_earlier_release(&server);
    world.write_config(&format!("[sync]\nserver_url = \"{url}\"\n"));
    world.set("SPEC_KITTY_SERVER_URL", &url);
    let empty = world.user_home().join("empty");
    server.back_up(&world, &empty);
    world.run(["agent", "mission", "create", "one"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    let held = server.held();
    assert!(!held.is_empty());
    let before = world.run(["sync", "now", "--json"]).exits(0).json();
    assert_eq!((&before["result"], &before["server_rewound"]), (&"nothing_to_do".into(), &Value::Null));

    let db = world.home().scoped_queue(&Scope::new(&url, USER, &server.team));
    let bytes = std::fs::read(&db).unwrap();
    let asked = world.run(["sync", "resend", "--missing", "--yes", "--json"]).exits(1).json();
    assert_eq!(asked["error_code"], "RECEIPTS_NOT_ASKED", "{asked:#}");
    assert!(asked.to_string().contains("--since"), "{asked:#}");
    assert_eq!(std::fs::read(&db).unwrap(), bytes);

    let resent = world.run(["sync", "resend", "--since", "1d", "--yes", "--json"]).exits(0).json();
    assert_eq!(resent["result"], "queued");
    world.run(["sync", "now"]).exits(0);
    assert_eq!(server.held(), held);
}
