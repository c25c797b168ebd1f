//! Latency of a second account while a first one attacks, for each attack that the server defends
//! against. Bounded in count and time; loopback only.
//!
//! `cargo bench -p spec-kitty-server --bench fairness`. Prints a table and fails when the second
//! account's p99 reaches one second or one of its requests is refused.

// A benchmark's output is its purpose; the shared helpers have more than it uses.
#![allow(clippy::print_stdout, clippy::unwrap_used, dead_code)]

#[path = "../tests/server/client.rs"]
mod client;
#[path = "../tests/server/databases.rs"]
mod databases;
#[path = "../tests/server/world.rs"]
mod world;

use client::{connect_from, exchange, request};
use contract::wire::{endpoint, oauth};
use serde_json::json;
use server::{Lifetimes, ServerLimits};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use world::{EMAIL, TEAM, World, body_of, event, indexed};

/// Rounds of the second account under each attack; each is four requests.
const ROUNDS: u64 = 60;
/// The first account's address, and the second's.
const ATTACKER: u8 = 2;
const VICTIM: u8 = 100;
/// Upper bound for the p99 of the second account.
const BOUND: Duration = Duration::from_secs(1);

/// Context of every attack.
struct Attack {
    server: SocketAddr,
    token: String,
    stop: AtomicBool,
}

impl Attack {
    fn continues(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Waits in small steps.
    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        while self.continues() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn authorization(&self) -> String {
        format!("Bearer {}", self.token)
    }
}

type Run = fn(&Attack, usize);

fn main() {
    if !cfg!(target_os = "linux") {
        println!("skipped: this system has one loopback address");
        return;
    }
    let attacks: [(&str, usize, Run); 8] = [
        ("none", 0, |_, _| {}),
        ("8 slow uploads of one token", 8, slow_upload),
        ("64 slow uploads of one token", 64, slow_upload),
        ("512 idle connections, 4 addresses", 4, idle_connections),
        ("1000 device requests", 4, device_requests),
        ("100 parallel guesses", 100, guess),
        ("64 answers read slowly", 64, slow_reader),
        ("128 half-open approval pages", 128, half_open_page),
    ];
    println!("{ROUNDS} rounds of the second account under each attack; milliseconds for a request\n");
    println!("| attack | p50 | p99 | worst |\n|---|---|---|---|");
    let mut is_fair = true;
    for (name, threads, run) in attacks {
        let mut times = measure(threads, run);
        times.sort_unstable();
        let of = |percent: usize| times[(times.len() - 1) * percent / 100];
        let shown = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1000.0);
        println!("| {name} | {} | {} | {} |", shown(of(50)), shown(of(99)), shown(of(100)));
        is_fair &= of(99) < BOUND;
    }
    assert!(is_fair, "the second account waited {} ms or more", BOUND.as_millis());
}

/// Times of the second account's requests while `threads` run the attack.
fn measure(threads: usize, run: Run) -> Vec<Duration> {
    // What an attack left open is cut at the end of its turn.
    let limits = ServerLimits { stop_timeout: Duration::from_millis(200), ..ServerLimits::default() };
    let world = World::with(limits, Lifetimes::default());
    let (victim, _) = world.neighbour();
    let attack =
        Arc::new(Attack { server: world.address(), token: world.token(), stop: AtomicBool::new(false) });
    if run as usize == slow_reader as Run as usize {
        fill(&world, &attack.token);
    }
    let times = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for number in 0..threads {
            let attack = Arc::clone(&attack);
            scope.spawn(move || run(&attack, number));
        }
        if threads > 0 {
            std::thread::sleep(Duration::from_millis(500));
        }
        for round in 0..ROUNDS {
            one_round(&world, &victim, round, &times);
        }
        attack.stop.store(true, Ordering::Relaxed);
    });
    times.into_inner().unwrap()
}

/// One round of the second account: sends an event, reads `/me`, starts a login, polls it.
fn one_round(world: &World, token: &str, round: u64, times: &Mutex<Vec<Duration>>) {
    let server = world.address();
    let authorization = format!("Bearer {token}");
    let mut of_victim = event(round);
    of_victim["team_slug"] = "Team-2".into();
    let batch = json!({ "events": [of_victim] }).to_string();
    let form = client::form(&[("client_id", oauth::CLIENT_ID)]);
    let authorized = ("Authorization", authorization.as_str());
    let urlencoded = ("Content-Type", "application/x-www-form-urlencoded");
    let requests = [
        request(
            server,
            "POST",
            endpoint::EVENTS_BATCH,
            &[authorized, ("X-Team-Slug", "Team-2")],
            batch.as_bytes(),
        ),
        request(server, "GET", endpoint::ME, &[authorized], &[]),
        request(server, "POST", endpoint::OAUTH_DEVICE, &[urlencoded], &form),
        request(server, "GET", "/device", &[], &[]),
    ];
    for bytes in requests {
        let started = Instant::now();
        let answer = exchange(connect_from(server, VICTIM), &bytes).expect("an answer");
        times.lock().unwrap().push(started.elapsed());
        assert_eq!(answer.status, 200, "the second account was refused: {} {}", answer.head, answer.text());
    }
}

/// Sends a batch one byte at a time, just fast enough not to be silent.
fn slow_upload(attack: &Attack, _number: usize) {
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nX-Team-Slug: {TEAM}\r\nContent-Length: 1000000\r\n\r\n",
        endpoint::EVENTS_BATCH,
        attack.authorization()
    );
    while attack.continues() {
        let mut stream = connect_from(attack.server, ATTACKER);
        let mut is_open = stream.write_all(head.as_bytes()).is_ok();
        while attack.continues() && is_open {
            is_open = stream.write_all(b" ").is_ok();
            attack.pause(Duration::from_millis(100));
        }
    }
}

/// Opens 128 connections from its own address, and again whenever some were closed.
fn idle_connections(attack: &Attack, number: usize) {
    let from = ATTACKER + u8::try_from(number).unwrap();
    let mut held: Vec<TcpStream> = Vec::new();
    while attack.continues() {
        held.retain(|stream| {
            stream.set_nonblocking(true).unwrap();
            let mut buffer = [0; 1];
            matches!(stream.peek(&mut buffer), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
        });
        while held.len() < 128 && attack.continues() {
            held.push(connect_from(attack.server, from));
        }
        attack.pause(Duration::from_millis(20));
    }
}

/// Requests 250 device logins as fast as possible.
fn device_requests(attack: &Attack, _number: usize) {
    let form = client::form(&[("client_id", oauth::CLIENT_ID)]);
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let bytes = request(attack.server, "POST", endpoint::OAUTH_DEVICE, &headers, &form);
    for _ in 0..250 {
        exchange(connect_from(attack.server, ATTACKER), &bytes);
    }
}

/// Guesses a secret for another account each time, on the page it loaded.
fn guess(attack: &Attack, number: usize) {
    let (code, cookie, key) = open_page(attack);
    for round in 0..20 {
        if !attack.continues() {
            return;
        }
        let email = if round % 2 == 0 { EMAIL.to_owned() } else { format!("{number}-{round}@example.com") };
        let form = client::form(&[
            ("form_key", &key),
            ("user_code", &code),
            ("email", &email),
            ("secret", "wrong"),
            ("decision", "approve"),
        ]);
        let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Cookie", cookie.as_str())];
        let bytes = request(attack.server, "POST", endpoint::DEVICE_APPROVAL, &headers, &form);
        exchange(connect_from(attack.server, ATTACKER), &bytes);
    }
}

/// A device login of the attacker's own, its page opened: code, cookie and form key.
fn open_page(attack: &Attack) -> (String, String, String) {
    let form = client::form(&[("client_id", oauth::CLIENT_ID)]);
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let bytes = request(attack.server, "POST", endpoint::OAUTH_DEVICE, &headers, &form);
    let device =
        exchange(connect_from(attack.server, ATTACKER), &bytes).filter(|answer| answer.status == 200);
    let code =
        device.map(|answer| answer.json()["user_code"].as_str().unwrap().to_owned()).unwrap_or_default();
    let path = format!("/device?user_code={code}");
    let page =
        exchange(connect_from(attack.server, ATTACKER), &request(attack.server, "GET", &path, &[], &[]));
    let Some(page) = page.filter(|page| page.status == 200) else { return Default::default() };
    let cookie = page.header("set-cookie").and_then(|cookie| cookie.split(';').next()).unwrap_or_default();
    let key = client::hidden_fields(&page.text()).into_iter().find(|(name, _)| name == "form_key");
    (code, cookie.to_owned(), key.map(|(_, value)| value).unwrap_or_default())
}

/// Twenty bodies of half a megabyte for [`slow_reader`].
fn fill(world: &World, token: &str) {
    for n in 0..20 {
        let (path, content) = (format!("tasks/WP{n:02}.md"), format!("{n:02}").repeat(250_000));
        assert_eq!(world.batch(token, TEAM, &[indexed(n, &path, &content)]).status, 200);
        assert_eq!(world.push(token, &body_of(&path, &content)).status, 201);
    }
}

/// Requests ten megabytes and reads them slowly.
fn slow_reader(attack: &Attack, _number: usize) {
    let path = format!("{}?content=1", endpoint::INSPECT_BODIES);
    let authorization = attack.authorization();
    let bytes = request(attack.server, "GET", &path, &[("Authorization", &authorization)], &[]);
    while attack.continues() {
        let mut stream = connect_from(attack.server, ATTACKER);
        let mut is_open = stream.write_all(&bytes).is_ok();
        let mut buffer = [0; 256];
        while attack.continues() && is_open {
            is_open = stream.read(&mut buffer).is_ok_and(|count| count > 0);
            attack.pause(Duration::from_millis(100));
        }
    }
}

/// Opens its own page and sends half of its form.
fn half_open_page(attack: &Attack, _number: usize) {
    let (code, cookie, _) = open_page(attack);
    let half = format!(
        "POST /device HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: 500\r\n\r\nuser_code={code}"
    );
    while attack.continues() {
        let mut stream = connect_from(attack.server, ATTACKER);
        let mut is_open = stream.write_all(half.as_bytes()).is_ok();
        while attack.continues() && is_open {
            attack.pause(Duration::from_millis(200));
            is_open = stream.write_all(b"x").is_ok();
        }
    }
}
