//! `kill -9` in a loop, over capture, migration, delivery and resending, against the real binary and a real
//! server.
//!
//! ```text
//! cargo build -p spec-kitty && cargo run -p spec-kitty-testkit --bin kill-loop -- [--rounds 1000] [--seed N]
//! ```
//!
//! Two accounts of one server share a machine, a project and a legacy queue DB. Each round one of them captures a
//! lane change, migrates legacy rows, delivers, or resends the rows of the last seconds. The process is killed at a
//! random instant unless it ends first. The server is killed and started again now and then. At the end both accounts
//! run to completion, and every fact is looked for at the server. A row that a command acknowledged, or that is in
//! the log, must be there once for the account that captured it and not at all for the other. Every legacy row must
//! be there once, for exactly one account. Nothing may wait, and nothing may be parked but rows whose log row was
//! never written. Prints its seed, and exits 1 when anything is lost, doubled or misplaced.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is its output")]

use contract::Scope;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use testkit::reference_queue::{PROJECT, ReferenceQueue};
use testkit::world::USER;
use testkit::{Dice, Server, World};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The two accounts.
const USERS: [&str; 2] = [USER, "mallory@example.com"];
/// Legacy rows that a migrating round finds.
const LEGACY_ROWS: usize = 5;
/// The round of the legacy rows that are there before the first one; their ids name it.
const BEFORE: u32 = 999_999_999;
/// The server is killed after so many rounds.
const SERVER_CRASH: u32 = 50;
/// Delivered rows of so many seconds are sent again.
const AGAIN_SECONDS: i64 = 5;

/// Action of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RoundAction {
    Capture,
    Migrate,
    Deliver,
    Resend,
}

impl RoundAction {
    const ALL: [Self; 4] = [Self::Capture, Self::Migrate, Self::Deliver, Self::Resend];

    /// Of a throw of ten.
    const fn of(throw: u64) -> Self {
        match throw {
            0..=3 => Self::Capture,
            4..=5 => Self::Migrate,
            6..=7 => Self::Deliver,
            _ => Self::Resend,
        }
    }
}

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

fn argument<T: std::str::FromStr>(name: &str) -> Option<T> {
    let mut words = std::env::args().skip_while(|word| word != name);
    words.nth(1).and_then(|value| value.parse().ok())
}

fn run() -> Outcome<bool> {
    let rounds: u32 = argument("--rounds").unwrap_or(1_000);
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
    let mut machine = LoopMachine::new(binary, Dice(seed))?;
    for round in 0..rounds {
        machine.round(round)?;
    }
    machine.finish()?;
    let verdict = machine.judge()?;
    println!(
        "{} processes killed {:?}, {} ended first {:?} ({} of them refused until legacy rows were migrated); {} lane changes in the log ({} acknowledged), {} legacy rows; {:.0?}",
        machine.killed.iter().sum::<u32>(),
        machine.killed,
        machine.ended.iter().sum::<u32>(),
        machine.ended,
        machine.refused,
        verdict.logged,
        machine.acknowledged.len(),
        machine.legacy.len(),
        start.elapsed()
    );
    println!("{} lost, {} duplicated, {} misplaced", verdict.lost, verdict.duplicated, verdict.misplaced);
    Ok(verdict.lost + verdict.duplicated + verdict.misplaced + verdict.left == 0)
}

/// The machine, and the output of its commands.
struct LoopMachine {
    world: World,
    server: Server,
    /// The private team and a token of each account.
    accounts: [(String, String); 2],
    dice: Dice,
    slug: String,
    /// Account that captured each row of the log.
    captured: BTreeMap<String, usize>,
    /// Rows that a command has reported as captured.
    acknowledged: Vec<String>,
    legacy: Vec<String>,
    /// Typical duration of each action, by its place in [`RoundAction::ALL`].
    typical: [Duration; 4],
    /// Processes killed, by action.
    killed: [u32; 4],
    /// Processes that ended first, by action.
    ended: [u32; 4],
    refused: u32,
}

/// The result.
struct LoopResult {
    logged: usize,
    lost: usize,
    duplicated: usize,
    misplaced: usize,
    /// Rows that still wait or are parked.
    left: usize,
}

impl LoopMachine {
    fn new(binary: PathBuf, dice: Dice) -> Outcome<Self> {
        let mut world = World::new(binary);
        world.init_project();
        let server = Server::start(&world, USER);
        server.welcome(&mut world);
        let accounts = [(server.team.clone(), server.token.clone()), server.add_account(&world, USERS[1])];
        let mut machine = Self {
            world,
            server,
            accounts,
            dice,
            slug: String::new(),
            captured: BTreeMap::new(),
            acknowledged: Vec::new(),
            legacy: Vec::new(),
            typical: [Duration::ZERO; 4],
            killed: [0; 4],
            ended: [0; 4],
            refused: 0,
        };
        machine.log_in(0);
        // Legacy rows are another program's: they leave because their project is opted in, and a project can
        // be opted in once rows of it are known.
        machine.leave_legacy_rows(BEFORE)?;
        machine.complete(&["sync", "migrate"].map(str::to_owned))?;
        machine.complete(
            &["sync", "opt-in", "--project", PROJECT, "--include-held", "--yes"].map(str::to_owned),
        )?;
        let created = machine.world.run(["agent", "mission", "create", "loop", "--json"]);
        machine.slug = created.json()["mission_slug"].as_str().unwrap_or_default().to_owned();
        let tasks = machine.mission().join("tasks");
        std::fs::create_dir_all(&tasks)?;
        std::fs::write(tasks.join("WP01-one.md"), "---\nwork_package_id: WP01\ntitle: One\n---\n\n# One\n")?;
        // The undisturbed duration; each kill happens within a little more than it.
        for account in [0, 1] {
            machine.log_in(account);
            for action in RoundAction::ALL {
                let argv = machine.argv(action);
                let start = Instant::now();
                let run = machine.world.run(&argv);
                machine.typical[action as usize] = start.elapsed();
                if run.code != Some(0) {
                    return Err(format!("{argv:?}: {run:?}").into());
                }
                machine.note_log(account)?;
                machine.heard(&run.stdout);
            }
        }
        Ok(machine)
    }

    fn mission(&self) -> PathBuf {
        self.world.work().join("kitty-specs").join(&self.slug)
    }

    fn scope(&self, account: usize) -> Scope {
        Scope::new(&self.server.url(), USERS[account], &self.accounts[account].0)
    }

    /// A token gives an account without a key derivation.
    fn log_in(&mut self, account: usize) {
        self.world.set("SPEC_KITTY_TOKEN", &self.accounts[account].1);
    }

    fn argv(&mut self, action: RoundAction) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        match action {
            RoundAction::Capture => {
                let lanes = ["claimed", "in_progress", "blocked", "planned"];
                let lane = lanes[self.dice.roll(lanes.len() as u64) as usize];
                self.move_to(lane)
            }
            RoundAction::Migrate => words(&["sync", "migrate", "--json"]),
            RoundAction::Deliver => words(&["sync", "now", "--no-strict", "--json"]),
            RoundAction::Resend => {
                let since = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(AGAIN_SECONDS);
                words(&["sync", "resend", "--since", &since.to_string(), "--yes", "--json"])
            }
        }
    }

    fn move_to(&self, lane: &str) -> Vec<String> {
        let words = [
            "agent", "status", "emit", "WP01", "--to", lane, "--actor", "dev", "--force", "--reason", "again",
        ];
        let rest = ["--mission", &self.slug, "--json"];
        words.into_iter().chain(rest).map(str::to_owned).collect()
    }

    fn round(&mut self, round: u32) -> Outcome<()> {
        if round % SERVER_CRASH == SERVER_CRASH - 1 {
            self.server.crash_and_restart(&self.world);
        }
        let account = self.dice.roll(2) as usize;
        self.log_in(account);
        let action = RoundAction::of(self.dice.roll(10));
        if action == RoundAction::Migrate {
            self.leave_legacy_rows(round)?;
        }
        let argv = self.argv(action);
        let mut command = self.world.command();
        command.args(argv);
        let said = self.run_and_kill(command, action)?;
        if action == RoundAction::Capture {
            self.note_log(account)?;
            self.heard(&said);
        }
        Ok(())
    }

    /// Rows without an account, as an earlier release leaves them; a rollback of ours may be pending.
    fn leave_legacy_rows(&mut self, round: u32) -> Outcome<()> {
        let path = self.world.root().join("queue.db");
        let queue = if path.exists() { ReferenceQueue::open(&path) } else { ReferenceQueue::create(&path) };
        for number in 0..LEGACY_ROWS {
            let id = format!("01KRX{round:09}{number:012}");
            queue.event(&id, None);
            self.legacy.push(id);
        }
        Ok(())
    }

    /// Runs a command and kills it at a random instant; its output, if it ended first.
    fn run_and_kill(&mut self, mut command: Command, action: RoundAction) -> Outcome<String> {
        let at = action as usize;
        let micros = (self.typical[at].as_micros() as u64).max(1_000) * 5 / 4;
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
                self.killed[at] += 1;
                self.typical[at] += self.typical[at] / 50;
            }
            Some(0) => {
                self.ended[at] += 1;
                self.typical[at] -= self.typical[at] / 25;
            }
            Some(_) => self.ended[at] += 1,
        }

        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.code() {
            // Legacy rows that a killed migration left: the boundary reports them, and the remedy is run.
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

    /// Runs a command without disturbance.
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
        }
        for account in [0, 1] {
            self.log_in(account);
            // A migration that met the other account's queue DB with an interrupted transaction did not know
            // whose rows it moved. By now both queue DBs can be read.
            self.complete(&["sync", "parked", "retry", "--reason", "owner_unknown"].map(str::to_owned))?;
            // Any command on the mission settles what earlier ones left.
            for lane in ["blocked", "planned"] {
                self.complete(&self.move_to(lane))?;
            }
            self.note_log(account)?;
            self.complete(&["sync", "now"].map(str::to_owned))?;
        }
        Ok(())
    }

    fn judge(&self) -> Outcome<LoopResult> {
        let held: Vec<BTreeMap<String, u32>> = self
            .accounts
            .iter()
            .map(|(_, token)| {
                let mut found = BTreeMap::new();
                for (id, _) in self.server.held_by(token) {
                    *found.entry(id).or_default() += 1;
                }
                found
            })
            .collect();
        let mut verdict =
            LoopResult { logged: self.captured.len(), lost: 0, duplicated: 0, misplaced: 0, left: 0 };
        let mut look = |id: &str, owner: Option<usize>| {
            let found = [0, 1].map(|account| held[account].get(id).copied().unwrap_or_default());
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
        // An acknowledged row that is missing in the log, too, would be lost twice.
        for id in self.acknowledged.iter().filter(|id| !self.captured.contains_key(*id)) {
            look(id, None);
        }
        for id in &self.legacy {
            look(id, None);
        }
        let scoped = [0, 1].map(|account| self.world.home().scoped_queue(&self.scope(account)));
        for path in scoped.iter().chain([&self.world.root().join("queue.db")]) {
            let rows = rows_in(path)?;
            if rows > 0 {
                eprintln!("{rows} rows are left in {}", path.display());
            }
            verdict.left += rows;
        }
        Ok(verdict)
    }
}

/// Rows that wait, are parked or are not settled in a queue DB. A row that is parked because its log row was
/// never written is the rest of a command that was killed before it, and no fact.
fn rows_in(path: &Path) -> Outcome<usize> {
    if !path.exists() {
        return Ok(0);
    }
    let db = Connection::open(path)?;
    let mut rows = 0;
    let facts = [
        ("queue", ""),
        ("body_upload_queue", ""),
        ("prepared", ""),
        ("parked", "WHERE reason <> 'not_in_log'"),
    ];
    for (table, facts) in facts {
        if db.table_exists(None, table)? {
            let count = format!("SELECT COUNT(*) FROM {table} {facts}");
            rows += db.query_row(&count, [], |row| row.get::<_, i64>(0))?;
        }
    }
    Ok(usize::try_from(rows)?)
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
