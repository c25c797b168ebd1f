//! Ingest and inspection: rates, CPU and memory of a server process, compared with the row rate of the bare
//! database in the same run on the same disk: SQLite, and PostgreSQL where `.ci/postgres` started one.
//!
//! `cargo bench -p spec-kitty-server --bench ingest -- [batches] [single] [pages] [--rows N]`. Prints a table with
//! medians of three runs; asserts no rate. The senders are another process than the server, whose CPU and memory are
//! counted alone.

// A benchmark's output is its purpose.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

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
        "| store | operation | measured | yardstick | ratio | CPU of the server an event | its peak memory |"
    );
    println!("|---|---|---|---|---|---|---|");
    for store in stores {
        if is_asked("batches") {
            of_batches(store);
        }
        if is_asked("single") {
            of_single_events(store);
        }
        if is_asked("pages") {
            pages::measure(store, rows.unwrap_or(200_000));
        }
    }
    if is_asked("batches") {
        println!("\nparse and judge alone, one thread: {:.0} events/s", yardsticks::judge_rate(&batches()));
    }
}

const PARTS: [&str; 3] = ["batches", "single", "pages"];

fn of_batches(store: Database) {
    let batches = batches();
    let texts: Vec<String> = batches.iter().map(|events| text(events)).collect();
    for is_packed in [true, false] {
        let mut runs: Vec<Measured> = (0..RUNS)
            .map(|_| {
                let yardstick = Yardstick::measure(store, EVENTS, || match store {
                    Database::Sqlite => yardsticks::bare_rate(&batches),
                    Database::Postgres => yardsticks::copy_rate(&batches),
                });
                let new = store.new_store();
                let token = account(new.location.clone());
                let requests = texts.iter().map(|text| request(text, &token, is_packed)).collect();
                measure(store, &new, requests, EVENTS, yardstick)
            })
            .collect();
        let how = if is_packed { "packed" } else { "plain" };
        let bare = match store {
            Database::Sqlite => "bare SQLite, id and bytes, the same commits",
            Database::Postgres => "COPY of the same rows, the same commits",
        };
        print(store, &format!("batches of {PER_BATCH}, {how}"), bare, &mut runs);
    }
}

fn of_single_events(store: Database) {
    let events = events::single(SINGLES);
    let mut runs: Vec<Measured> = (0..RUNS)
        .map(|_| {
            let bare = &events[..COMMITS];
            let yardstick = Yardstick::measure(store, COMMITS, || match store {
                Database::Sqlite => yardsticks::bare_rate(bare),
                Database::Postgres => yardsticks::insert_rate(bare),
            });
            let new = store.new_store();
            let token = account(new.location.clone());
            let requests = events.iter().map(|events| request(&text(events), &token, true)).collect();
            measure(store, &new, requests, SINGLES, yardstick)
        })
        .collect();
    let bare = match store {
        Database::Sqlite => "bare SQLite, a commit for each row",
        Database::Postgres => "bare INSERT, a commit for each row, as many connections",
    };
    print(store, "one event a request, packed", bare, &mut runs);
}

struct Yardstick {
    rate: f64,
    /// CPU seconds of a row, those of the database included.
    cpu: f64,
}

impl Yardstick {
    fn measure(store: Database, rows: usize, run: impl FnOnce() -> f64) -> Self {
        let cpu = || process::cpu_seconds(std::process::id()) + store.cpu_seconds();
        let before = cpu();
        let rate = run();
        Self { rate, cpu: (cpu() - before) / rows as f64 }
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

fn print(store: Database, operation: &str, bare: &str, runs: &mut [Measured]) {
    let of = |value: fn(&Measured) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let memory = runs.iter().map(|run| run.memory).max().unwrap_or_default();
    println!(
        "| {} | {operation} | {:.0}/s | {:.0}/s: {bare} | {:.2} | server {:.1} us, database {:.1} us; yardstick {:.1} us | \
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
