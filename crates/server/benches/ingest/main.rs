//! Ingest and pages: rates, CPU and memory of a server process, compared with the row rate of the bare
//! database in the same run on the same disk: SQLite, and PostgreSQL where `.ci/postgres` started one.
//!
//! `cargo bench -p spec-kitty-server --bench ingest -- [batches] [single] [pages] [--rows N]`. Prints a table with the
//! goal and the medians of three runs; asserts no rate. The senders are another process than the server, whose CPU and
//! memory are counted alone. Pages are those of a store of ten million events, unless `--rows` names another number.

// A benchmark's output is its purpose.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "../../tests/server/client.rs"]
#[allow(dead_code)]
mod client;
#[path = "../../tests/server/databases.rs"]
#[allow(dead_code)]
mod databases;
mod events;
mod pages;
mod process;
mod yardsticks;

use events::{EVENTS, PER_BATCH, batches, request, text};
use process::{ServerProcess, account};
use server::{DatabaseUrl, StoreLocation};
use std::ffi::OsString;
use std::time::Instant;
use tempfile::TempDir;

/// Connections of the senders; each is a sender.
const CONNECTIONS: usize = 8;
/// Requests with one event.
const SINGLES: usize = 6000;
/// Rows of their yardstick.
const COMMITS: usize = 1000;
const RUNS: usize = 3;
/// Events of the store whose pages are measured.
const ROWS: usize = 10_000_000;

/// A new store.
struct NewStore {
    location: StoreLocation,
    /// Tells a server process where it is.
    variable: (&'static str, OsString),
    directory: Option<TempDir>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }

    /// CPU seconds of the database's own processes.
    fn cpu_seconds(self) -> f64 {
        match self {
            Self::Sqlite => 0.0,
            Self::Postgres => process::database_cpu_seconds(&databases::address(databases::DATABASE)),
        }
    }

    fn new_store(self) -> NewStore {
        match self {
            Self::Sqlite => {
                let directory = tempfile::tempdir().unwrap();
                NewStore {
                    location: directory.path().into(),
                    variable: (process::DIRECTORY, directory.path().into()),
                    directory: Some(directory),
                }
            }
            Self::Postgres => {
                let url = databases::new_database_text(databases::DATABASE);
                NewStore {
                    location: url.parse::<DatabaseUrl>().unwrap().into(),
                    variable: (process::DATABASE, url.into()),
                    directory: None,
                }
            }
        }
    }
}

fn main() {
    if process::serve_if_asked() {
        return;
    }
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let is_asked = |part: &str| {
        !words.iter().any(|word| PARTS.contains(&word.as_str())) || words.iter().any(|word| word == part)
    };
    let rows = words.iter().skip_while(|word| *word != "--rows").nth(1).and_then(|rows| rows.parse().ok());
    let mut stores = vec![Database::Sqlite];
    if std::env::var_os(databases::DATABASE).is_some() {
        stores.push(Database::Postgres);
    }
    println!("load of the machine: {}", std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());
    println!(
        "| store | operation | goal | measured | yardstick | ratio | CPU an event | peak memory, goal 150 MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for store in stores {
        if is_asked("batches") {
            of_batches(store);
        }
        if is_asked("single") {
            of_single_events(store);
        }
        if is_asked("pages") {
            pages::measure(store, rows.unwrap_or(ROWS));
        }
    }
    if is_asked("batches") {
        let judging = yardsticks::judge(&batches());
        let (rate, cpu) = (judging.rate, judging.cpu * 1e6);
        println!("\nparse and judge alone, one thread: {rate:.0} events/s, {cpu:.1} us of CPU an event");
    }
}

const PARTS: [&str; 3] = ["batches", "single", "pages"];

fn of_batches(store: Database) {
    let batches = batches();
    let texts: Vec<String> = batches.iter().map(|events| text(events)).collect();
    for is_packed in [true, false] {
        let mut runs: Vec<Measured> = (0..RUNS)
            .map(|_| {
                let yardstick = match store {
                    Database::Sqlite => yardsticks::bare_inserts(&batches),
                    Database::Postgres => yardsticks::copies(&batches),
                };
                let new = store.new_store();
                let token = account(new.location.clone()).token;
                let requests = texts.iter().map(|text| request(text, &token, is_packed)).collect();
                measure(store, &new, requests, EVENTS, yardstick)
            })
            .collect();
        let how = if is_packed { "packed" } else { "plain" };
        let bare = match store {
            Database::Sqlite => "bare SQLite, id and bytes, the same commits",
            Database::Postgres => "COPY of the same rows, the same commits",
        };
        let goal = match store {
            Database::Sqlite => "80,000/s",
            Database::Postgres => "40,000/s, ratio 0.8",
        };
        print(store, &format!("batches of {PER_BATCH}, {how}"), goal, bare, &mut runs);
    }
}

fn of_single_events(store: Database) {
    let events = events::single(SINGLES);
    let mut runs: Vec<Measured> = (0..RUNS)
        .map(|_| {
            let bare = &events[..COMMITS];
            let yardstick = match store {
                Database::Sqlite => yardsticks::bare_inserts(bare),
                Database::Postgres => yardsticks::inserts(bare),
            };
            let new = store.new_store();
            let token = account(new.location.clone()).token;
            let requests = events.iter().map(|events| request(&text(events), &token, true)).collect();
            measure(store, &new, requests, SINGLES, yardstick)
        })
        .collect();
    let bare = match store {
        Database::Sqlite => "bare SQLite, a commit for each row",
        Database::Postgres => "bare INSERT, a commit for each row, as many connections",
    };
    let goal = match store {
        Database::Sqlite => "3,000/s, 150 us of CPU",
        Database::Postgres => "-",
    };
    print(store, "one event a request, packed", goal, bare, &mut runs);
}

struct Yardstick {
    rate: f64,
    /// CPU seconds of a row, those of the database included.
    cpu: f64,
}

/// Runs from the start of a yardstick to its end, without what prepares it.
struct Stopwatch {
    store: Database,
    started: Instant,
    cpu: f64,
}

impl Stopwatch {
    fn start(store: Database) -> Self {
        Self { store, cpu: Self::cpu(store), started: Instant::now() }
    }

    fn cpu(store: Database) -> f64 {
        process::cpu_seconds(std::process::id()) + store.cpu_seconds()
    }

    fn stop(self, rows: usize) -> Yardstick {
        let rate = rows as f64 / self.started.elapsed().as_secs_f64();
        Yardstick { rate, cpu: (Self::cpu(self.store) - self.cpu) / rows as f64 }
    }
}

struct Measured {
    rate: f64,
    yardstick: Yardstick,
    /// CPU seconds of an event: of the server, and of the database where that has processes of its own.
    server: f64,
    database: f64,
    memory: u64,
}

/// Sends all requests over [`CONNECTIONS`] connections to a new server process.
fn measure(
    database: Database,
    store: &NewStore,
    requests: Vec<Vec<u8>>,
    events: usize,
    yardstick: Yardstick,
) -> Measured {
    let process = ServerProcess::start(store);
    let (started, server, rows) = (Instant::now(), process.cpu_seconds(), database.cpu_seconds());
    process.send_all(requests, CONNECTIONS);
    let rate = events as f64 / started.elapsed().as_secs_f64();
    let server = (process.cpu_seconds() - server) / events as f64;
    let rows = (database.cpu_seconds() - rows) / events as f64;
    assert_eq!(process.stored(), events, "every event was stored");
    Measured { rate, yardstick, server, database: rows, memory: process.peak_memory() }
}

fn print(store: Database, operation: &str, goal: &str, bare: &str, runs: &mut [Measured]) {
    let of = |value: fn(&Measured) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let memory = runs.iter().map(|run| run.memory).max().unwrap_or_default();
    println!(
        "| {} | {operation} | {goal} | {:.0}/s | {:.0}/s: {bare} | {:.2} | server {:.1} us, database {:.1} us; yardstick {:.1} us | \
         {:.0} MiB |",
        store.name(),
        of(|run| run.rate),
        of(|run| run.yardstick.rate),
        of(|run| run.rate / run.yardstick.rate),
        of(|run| run.server) * 1e6,
        of(|run| run.database) * 1e6,
        of(|run| run.yardstick.cpu) * 1e6,
        memory as f64 / 1024.0 / 1024.0,
    );
}
