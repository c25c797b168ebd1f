//! Latency of a second account while a first one attacks, for each attack that the server defends
//! against, and how the attacker is answered. Bounded in count and time; loopback only.
//!
//! `cargo bench -p spec-kitty-server --bench fairness -- [PART OF A NAME]`. Prints a table and fails when the second
//! account's p99 reaches one second, one of its requests is refused, or an attack gets an answer that it must not
//! get. With PostgreSQL, which `.ci/postgres` starts, two servers share a database, and both accounts use both.

// A benchmark's output is its purpose; the shared helpers have more than it uses.
#![allow(clippy::print_stdout, clippy::unwrap_used, dead_code)]

mod attacks;
#[path = "../../tests/server/client.rs"]
mod client;
#[path = "../../tests/server/databases.rs"]
mod databases;
#[path = "../../tests/server/world.rs"]
mod world;

use attacks::{
    bomb, cross_team, device_requests, fill, flood, forged_tokens, guess, half_open_page, idle_connections,
    nested, refresh_replay, replay, revoked_token, slow_reader, slow_upload, thousand,
};
use client::{Answer, connect_from, exchange, request};
use contract::wire::{endpoint, oauth};
use serde_json::json;
use server::{Lifetimes, ServerLimits, StoreLocation};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use world::{EMAIL, TEAM, World, event};

/// Rounds of the second account under each attack; each is four requests.
const ROUNDS: u64 = 60;
/// The first account's address, and the second's.
const ATTACKER: u8 = 2;
const VICTIM: u8 = 100;
/// Upper bound for the p99 of the second account.
const BOUND: Duration = Duration::from_secs(1);

/// Context of every attack.
struct Attack {
    servers: Vec<SocketAddr>,
    token: String,
    /// A machine token that was revoked.
    revoked: String,
    refresh_token: String,
    /// Code, cookie and form key of its own approval page.
    page: OnceLock<(String, String, String)>,
    stop: AtomicBool,
    /// Answers by status.
    answers: Mutex<BTreeMap<u16, u64>>,
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

    fn server(&self, number: usize) -> SocketAddr {
        self.servers[number % self.servers.len()]
    }

    fn connect(&self, number: usize) -> TcpStream {
        connect_from(self.server(number), ATTACKER)
    }

    /// Sends a request on a connection of its own, and counts its answer.
    fn ask(
        &self,
        number: usize,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Answer> {
        let bytes = request(self.server(number), method, path, headers, body);
        let answer = exchange(self.connect(number), &bytes)?;
        *self.answers.lock().unwrap().entry(answer.status).or_default() += 1;
        Some(answer)
    }
}

type Run = fn(&Attack, usize);

/// An attack: its name, its threads, what each does, and the statuses that it must never get.
type Row = (&'static str, usize, Run, &'static [u16]);

const GRANTED: &[u16] = &[200, 201];

const ATTACKS: [Row; 16] = [
    ("none", 0, |_, _| {}, &[]),
    ("8 slow uploads of one token", 8, slow_upload, &[]),
    ("64 slow uploads of one token", 64, slow_upload, &[]),
    ("512 idle connections, 4 addresses", 4, idle_connections, &[]),
    ("1000 device requests", 4, device_requests, &[]),
    ("100 parallel guesses", 100, guess, GRANTED),
    ("64 answers read slowly", 64, slow_reader, &[]),
    ("128 half-open approval pages", 128, half_open_page, &[]),
    ("32 senders of small batches", 32, flood, &[]),
    ("32 senders of forged tokens", 32, forged_tokens, GRANTED),
    ("32 senders of a revoked token", 32, revoked_token, GRANTED),
    ("16 senders of bombs: 1 GB in 1 MB", 16, bomb, GRANTED),
    ("16 senders of 500,000 open brackets", 16, nested, &[500, 503]),
    ("16 senders of one batch of 1000, again and again", 16, replay, &[400, 413, 503]),
    ("16 replays of one refresh token", 16, refresh_replay, &[]),
    ("32 requests for another team", 32, cross_team, GRANTED),
];

fn main() {
    if cfg!(not(target_os = "linux")) {
        panic!("the attacks need the many loopback addresses of Linux");
    }
    let asked = std::env::args().skip(1).find(|word| word != "--bench").unwrap_or_default();
    println!("{ROUNDS} rounds of the second account under each attack; milliseconds for a request\n");
    println!("| attack | p50 | p99 | worst | answers to the attacker |\n|---|---|---|---|---|");
    let mut is_fair = true;
    for (name, threads, run, never) in ATTACKS.into_iter().filter(|(name, ..)| name.contains(&asked)) {
        let (mut times, answers) = measure(threads, run);
        times.sort_unstable();
        let of = |percent: usize| times[(times.len() - 1) * percent / 100];
        let shown = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1000.0);
        let counts: Vec<String> =
            answers.iter().map(|(status, count)| format!("{status}: {count}")).collect();
        println!(
            "| {name} | {} | {} | {} | {} |",
            shown(of(50)),
            shown(of(99)),
            shown(of(100)),
            counts.join(", ")
        );
        is_fair &= of(99) < BOUND;
        if let Some(status) = never.iter().find(|status| answers.contains_key(status)) {
            println!("{name}: an answer {status} must not be");
            is_fair = false;
        }
    }
    assert!(is_fair, "the second account waited {} ms or more, or an attack succeeded", BOUND.as_millis());
}

/// Times of the second account's requests while `threads` run the attack, and the answers to those.
fn measure(threads: usize, run: Run) -> (Vec<Duration>, BTreeMap<u16, u64>) {
    // What an attack left open is cut at the end of its turn.
    let limits = ServerLimits { stop_timeout: Duration::from_millis(200), ..ServerLimits::default() };
    let world =
        World::with(limits, Lifetimes { device_interval: Duration::from_millis(1), ..Lifetimes::default() });
    let other = matches!(world.store, StoreLocation::Postgres(_)).then(|| world.beside());
    let servers: Vec<SocketAddr> = std::iter::once(&world).chain(&other).map(World::address).collect();
    let (victim, _) = world.neighbour();
    let (token, admin) = (world.token(), world.admin());
    let revoked = admin.issue_ci_token(EMAIL, Some(TEAM), "revoked").unwrap();
    assert!(admin.revoke_ci_token(&revoked.record.id).unwrap());
    if run as usize == slow_reader as Run as usize {
        fill(&world, &token);
    }
    if run as usize == replay as Run as usize {
        assert_eq!(world.batch(&token, TEAM, &thousand()).status, 200);
    }
    let attack = Arc::new(Attack {
        servers: servers.clone(),
        token,
        revoked: revoked.token.expose().to_owned(),
        refresh_token: world.login()["refresh_token"].as_str().unwrap().to_owned(),
        page: OnceLock::new(),
        stop: AtomicBool::new(false),
        answers: Mutex::default(),
    });
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
            one_round(servers[round as usize % servers.len()], &victim, round, &times);
        }
        attack.stop.store(true, Ordering::Relaxed);
    });
    let answers = attack.answers.lock().unwrap().clone();
    (times.into_inner().unwrap(), answers)
}

/// One round of the second account: sends an event, reads `/me`, starts a login, polls it.
fn one_round(server: SocketAddr, token: &str, round: u64, times: &Mutex<Vec<Duration>>) {
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
