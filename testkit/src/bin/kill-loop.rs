//! `kill -9` in a loop, over capture and migration, against the real binary.
//!
//! ```text
//! cargo build -p spec-kitty && cargo run -p spec-kitty-testkit --bin kill-loop -- [--rounds 500] [--seed N]
//! ```
//!
//! Two accounts share a machine, a project and a legacy queue DB. Each round one of them captures a
//! lane change or migrates legacy rows, in a process that is killed at a random instant unless it ends
//! first. At the end both run to completion, and every fact is looked for: what a command acknowledged,
//! or the log holds, must wait in the queue of the account that captured it, once; every legacy row in
//! the queue of exactly one account, once. Prints its seed, and exits 1 when anything is lost, doubled or
//! misplaced.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is its output")]

use contract::Scope;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use testkit::World;
use testkit::reference_queue::ReferenceQueue;
use testkit::world::{SERVER, TEAM, USER};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The two accounts: user and team.
const ACCOUNTS: [(&str, &str); 2] = [(USER, TEAM), ("mallory@example.com", "team-OTHER-02")];
/// Legacy rows that a migrating round finds.
const LEGACY_ROWS: usize = 5;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("kill-loop: {error}");
            ExitCode::from(2)
        }
    }
}

/// Random numbers that a seed repeats.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn argument<T: std::str::FromStr>(name: &str) -> Option<T> {
    let mut words = std::env::args().skip_while(|word| word != name);
    words.nth(1).and_then(|value| value.parse().ok())
}

fn run() -> Outcome<bool> {
    let rounds: u32 = argument("--rounds").unwrap_or(500);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    let seed: u64 = argument("--seed").unwrap_or(now).max(1);
    let name = format!("spec-kitty{}", std::env::consts::EXE_SUFFIX);
    let beside = std::env::current_exe()?.with_file_name(name);
    let binary: PathBuf = argument("--binary").unwrap_or(beside);
    if !binary.is_file() {
        return Err(format!("{} is missing: cargo build -p spec-kitty", binary.display()).into());
    }
    println!("seed {seed}, {rounds} rounds of {}", binary.display());
    let start = Instant::now();
    let mut machine = Machine::new(binary, Dice(seed))?;
    for round in 0..rounds {
        machine.round(round)?;
    }
    machine.finish()?;
    let verdict = machine.judge()?;
    println!(
        "{} processes killed, {} ended first ({} of them refused until legacy rows were migrated); {} lane changes in the log ({} acknowledged), {} legacy rows; {:.0?}",
        machine.killed,
        machine.ended,
        machine.refused,
        verdict.logged,
        machine.acknowledged.len(),
        machine.legacy.len(),
        start.elapsed()
    );
    println!("{} lost, {} duplicated, {} misplaced", verdict.lost, verdict.duplicated, verdict.misplaced);
    Ok(verdict.lost + verdict.duplicated + verdict.misplaced == 0)
}

/// The machine, and what was said on it.
struct Machine {
    world: World,
    dice: Dice,
    slug: String,
    /// Which account captured a row of the log.
    captured: BTreeMap<String, usize>,
    /// Rows that a command has said to be captured.
    acknowledged: Vec<String>,
    legacy: Vec<String>,
    typical: Duration,
    killed: u32,
    ended: u32,
    refused: u32,
}

/// What was found at the end.
struct Verdict {
    logged: usize,
    lost: usize,
    duplicated: usize,
    misplaced: usize,
}

impl Machine {
    fn new(binary: PathBuf, dice: Dice) -> Outcome<Self> {
        let mut world = World::new(binary);
        world.init_project();
        world.set("SPEC_KITTY_SERVER_URL", SERVER);
        let mut machine = Self {
            world,
            dice,
            slug: String::new(),
            captured: BTreeMap::new(),
            acknowledged: Vec::new(),
            legacy: Vec::new(),
            typical: Duration::ZERO,
            killed: 0,
            ended: 0,
            refused: 0,
        };
        machine.log_in(0);
        let created = machine.world.run(["agent", "mission", "create", "loop", "--json"]);
        machine.slug = created.json()["mission_slug"].as_str().unwrap_or_default().to_owned();
        let tasks = machine.mission().join("tasks");
        std::fs::create_dir_all(&tasks)?;
        std::fs::write(tasks.join("WP01-one.md"), "---\nwork_package_id: WP01\ntitle: One\n---\n\n# One\n")?;
        // What a process takes that is left alone; each kill comes within a little more.
        for account in [0, 1] {
            machine.log_in(account);
            let start = Instant::now();
            let run = machine.world.run(machine.move_to("claimed"));
            machine.typical = start.elapsed();
            machine.note_log(account)?;
            machine.heard(&run.stdout);
            machine.complete(&machine.move_to("planned"))?;
            machine.note_log(account)?;
        }
        Ok(machine)
    }

    fn mission(&self) -> PathBuf {
        self.world.work().join("kitty-specs").join(&self.slug)
    }

    fn scope(account: usize) -> Scope {
        let (user, team) = ACCOUNTS[account];
        Scope::new(SERVER, user, team)
    }

    /// A token gives an account without a key derivation.
    fn log_in(&mut self, account: usize) {
        let (user, team) = ACCOUNTS[account];
        let who = data_encoding::BASE64URL_NOPAD.encode(format!("{user}|{team}").as_bytes());
        self.world.set("SPEC_KITTY_TOKEN", &format!("skp_{who}.secret"));
    }

    fn move_to(&self, lane: &str) -> Vec<String> {
        let words = [
            "agent", "status", "emit", "WP01", "--to", lane, "--actor", "dev", "--force", "--reason", "again",
        ];
        let rest = ["--mission", &self.slug, "--json"];
        words.into_iter().chain(rest).map(str::to_owned).collect()
    }

    fn round(&mut self, round: u32) -> Outcome<()> {
        let account = self.dice.roll(2) as usize;
        self.log_in(account);
        let migrates = self.dice.roll(5) < 2;
        let argv = if migrates {
            self.leave_legacy_rows(round)?;
            vec!["sync".to_owned(), "migrate".to_owned(), "--json".to_owned()]
        } else {
            let lanes = ["claimed", "in_progress", "blocked", "planned"];
            let lane = lanes[self.dice.roll(lanes.len() as u64) as usize];
            self.move_to(lane)
        };
        let mut command = self.world.command();
        command.args(argv);
        let said = self.run_and_kill(command)?;
        if !migrates {
            self.note_log(account)?;
            self.heard(&said);
        }
        Ok(())
    }

    /// Rows of nobody, as an earlier release leaves them; it may meet a rollback of ours.
    fn leave_legacy_rows(&mut self, round: u32) -> Outcome<()> {
        let path = self.world.root().join("queue.db");
        if !path.exists() {
            ReferenceQueue::create(&path);
        }
        let db = Connection::open(&path)?;
        db.busy_timeout(Duration::from_secs(5))?;
        for number in 0..LEGACY_ROWS {
            let id = format!("01LEGACY{round:06}{number:012}");
            let data =
                format!("{{\"event_id\": \"{id}\", \"event_type\": \"WPCreated\", \"payload\": {{}}}}");
            db.execute(
                "INSERT INTO queue (event_id, event_type, data, timestamp) VALUES (?1, 'WPCreated', ?2, 1)",
                (&id, &data),
            )?;
            self.legacy.push(id);
        }
        Ok(())
    }

    /// Runs a command and kills it at a random instant; what it said, if it ended first.
    fn run_and_kill(&mut self, mut command: Command) -> Outcome<String> {
        let micros = (self.typical.as_micros() as u64).max(1_000) * 5 / 4;
        let deadline = Instant::now() + Duration::from_micros(self.dice.roll(micros));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        while Instant::now() < deadline && child.try_wait()?.is_none() {
            std::thread::sleep(Duration::from_micros(200));
        }
        let ended = child.try_wait()?.is_some();
        if !ended {
            child.kill()?;
        }

        let output = child.wait_with_output()?;
        // Machines are faster at some times than at others: about two of three should be killed.
        match output.status.code() {
            None => {
                self.killed += 1;
                self.typical += self.typical / 50;
            }
            Some(0) => {
                self.ended += 1;
                self.typical -= self.typical / 25;
            }
            Some(_) => self.ended += 1,
        }

        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.code() {
            // Legacy rows that a killed migration left: the boundary says so, and the remedy is taken.
            Some(2) if said.contains("spec-kitty sync migrate") => {
                self.refused += 1;
                self.complete(&["sync", "migrate"].map(str::to_owned))?;
            }
            // A command that fails on a machine that does nothing but kill would be news.
            Some(code @ 1..) => return Err(format!("exit {code}: {said}").into()),
            _ => {}
        }
        Ok(if ended { said } else { String::new() })
    }

    /// Runs a command that nobody disturbs.
    fn complete(&self, argv: &[String]) -> Outcome<()> {
        let run = self.world.run(argv);
        if run.code == Some(0) { Ok(()) } else { Err(format!("{argv:?}: {run:?}").into()) }
    }

    /// Remembers whose the new rows of the log are.
    fn note_log(&mut self, account: usize) -> Outcome<()> {
        for id in lane_changes(&self.mission())? {
            self.captured.entry(id).or_insert(account);
        }
        Ok(())
    }

    fn heard(&mut self, said: &str) {
        let Ok(document) = serde_json::from_str::<serde_json::Value>(said) else { return };
        if document["changed"] == true && document["capture"]["state"] == "captured" {
            self.acknowledged.extend(document["event_id"].as_str().map(str::to_owned));
        }
    }

    /// Both accounts run to completion, undisturbed.
    fn finish(&mut self) -> Outcome<()> {
        for account in [0, 1] {
            self.log_in(account);
            self.complete(&["sync", "migrate"].map(str::to_owned))?;
            // Any command on the mission settles what earlier ones left.
            for lane in ["blocked", "planned"] {
                self.complete(&self.move_to(lane))?;
            }
            self.note_log(account)?;
        }
        Ok(())
    }

    fn judge(&self) -> Outcome<Verdict> {
        let queues: Vec<BTreeMap<String, u32>> = [0, 1]
            .map(|account| waiting(&self.world.home().scoped_queue(&Self::scope(account))))
            .into_iter()
            .collect::<Outcome<_>>()?;
        let mut verdict = Verdict { logged: self.captured.len(), lost: 0, duplicated: 0, misplaced: 0 };
        let mut look = |id: &str, owner: Option<usize>| {
            let found = [0, 1].map(|account| queues[account].get(id).copied().unwrap_or_default());
            let total: u32 = found.iter().sum();
            let is_misplaced = owner.is_some_and(|owner| total > 0 && found[owner] == 0);
            verdict.lost += usize::from(total == 0);
            verdict.duplicated += usize::from(total > 1);
            verdict.misplaced += usize::from(is_misplaced);
            if total != 1 || is_misplaced {
                eprintln!("{id}: {found:?}, of account {owner:?}");
            }
        };
        for (id, account) in &self.captured {
            look(id, Some(*account));
        }
        // What was acknowledged and is not even in the log would be lost twice.
        for id in self.acknowledged.iter().filter(|id| !self.captured.contains_key(*id)) {
            look(id, None);
        }
        for id in &self.legacy {
            look(id, None);
        }
        let left = waiting(&self.world.root().join("queue.db"))?;
        if !left.is_empty() {
            eprintln!("{} rows are left in the legacy queue DB", left.len());
            verdict.misplaced += left.len();
        }
        Ok(verdict)
    }
}

/// How often each event waits in a queue DB, or is parked there.
fn waiting(path: &Path) -> Outcome<BTreeMap<String, u32>> {
    let mut found = BTreeMap::new();
    if !path.exists() {
        return Ok(found);
    }
    let db = Connection::open(path)?;
    let mut select = db.prepare("SELECT event_id FROM queue")?;
    for id in select.query_map([], |row| row.get::<_, String>(0))? {
        *found.entry(id?).or_default() += 1;
    }
    Ok(found)
}

/// Ids of the lane changes in the log of a mission.
fn lane_changes(mission: &Path) -> Outcome<Vec<String>> {
    let text = std::fs::read_to_string(mission.join("status.events.jsonl"))?;
    let mut ids = Vec::new();
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line)?;
        if row.get("to_lane").is_some() {
            ids.extend(row["event_id"].as_str().map(str::to_owned));
        }
    }
    Ok(ids)
}
