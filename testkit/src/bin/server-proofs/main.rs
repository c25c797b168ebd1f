//! Proofs about acknowledged events, on the real binary with real databases, under load.
//!
//! ```text
//! cargo build -p spec-kitty && cargo run -p spec-kitty-testkit --bin server-proofs -- [PROOF...]
//!     [--seconds N] [--seed N] [--binary FILE]
//! ```
//!
//! | proof | what happens while eight writers send |
//! |---|---|
//! | `processes` | two servers share a PostgreSQL database; one of them is killed every few seconds; the database is restarted twice |
//! | `process` | a server on SQLite is killed every few seconds |
//! | `standby` | a PostgreSQL with a synchronous standby is killed, and the standby promoted; the servers are not restarted |
//! | `backup` | SQLite is backed up and restored; a client finds out and heals the server |
//! | `dump` | the same with PostgreSQL, `pg_dump` and `pg_restore` |
//!
//! Afterwards every acknowledged event must be there once, byte for byte, and none in another team; after a
//! restore the events of each writer must be a prefix of what it sent. Prints one line for each proof, and
//! exits 1 when one fails. Needs PostgreSQL, which `.ci/postgres` finds or installs. Each takes at most three minutes.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is its output")]

mod cluster;
mod load;
mod restored;
mod survived;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Settings of a proof.
struct ProofRun {
    binary: PathBuf,
    /// Duration of the load.
    load: Duration,
    seed: u64,
}

/// One line of the summary, and whether the proof holds.
type Finding = (String, bool);
type Proof = fn(&ProofRun) -> Outcome<Finding>;

const PROOFS: [(&str, Proof); 5] = [
    ("processes", survived::processes),
    ("process", survived::process),
    ("standby", survived::standby),
    ("backup", restored::backup),
    ("dump", restored::dump),
];

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("server-proofs: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Outcome<bool> {
    let (mut names, mut seconds, mut words) = (Vec::new(), 40, std::env::args().skip(1));
    let mut seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    let name = format!("spec-kitty{}", std::env::consts::EXE_SUFFIX);
    let mut binary = std::env::current_exe()?.with_file_name(name);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--seconds" => seconds = value()?.parse()?,
            "--seed" => seed = value()?.parse()?,
            "--binary" => binary = value()?.into(),
            _ => names.push(word),
        }
    }
    if !binary.is_file() {
        return Err(format!("{} is missing: cargo build -p spec-kitty", binary.display()).into());
    }
    if let Some(unknown) = names.iter().find(|name| !PROOFS.iter().any(|(known, _)| known == name)) {
        return Err(format!("no such proof: {unknown}").into());
    }
    let run = ProofRun { binary, load: Duration::from_secs(seconds), seed: seed.max(1) };
    println!("seed {}, {seconds} s of load", run.seed);
    let mut all_hold = true;
    for (name, proof) in PROOFS.iter().filter(|(name, _)| names.is_empty() || names.iter().any(|n| n == name))
    {
        let started = Instant::now();
        let (line, holds) = proof(&run).unwrap_or_else(|error| (format!("was not finished: {error}"), false));
        all_hold &= holds;
        let verdict = if holds { "holds" } else { "FAILS" };
        println!("{name}: {verdict}: {line}; {:.0?}", started.elapsed());
    }
    Ok(all_hold)
}
