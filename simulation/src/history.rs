//! One history: steps drawn by a seed, on one or two machines and a server, with faults; then every fault is repaired, and
//! the commands that the program names have to deliver every fact.

use crate::disk::{DiskFault, FaultyDisk};
use crate::expectation::{ACCOUNTS, Expectation, MACHINES, PROJECTS};
use crate::machine::{CaptureEnd, SimulatedMachine, draft, event_id};
use crate::network::{BuiltInDefect, Interruption, SimulatedNetwork, Tally, count};
use crate::random::SeededRandom;
use crate::server::{ServerTemplate, SimulatedAccount, SimulatedServer};
use delivery::DrainReport;
use jiff::{SignedDuration, Timestamp};
use queue::DrainedBy;
use std::error::Error;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use system::clock::{VirtualTime, mix};
use tempfile::TempDir;
use testkit::tree;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Start of every history: 2026-11-02, in seconds since 1970.
const START: i64 = 1_793_600_000;
const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;
fn start() -> Timestamp {
    Timestamp::from_second(START).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn now() -> i64 {
    system::clock::now().as_second()
}

/// Rounds of repaired delivery at most.
const ROUNDS: usize = 8;

/// Files that the histories of a process share.
#[derive(Debug)]
pub struct Simulation {
    place: TempDir,
    template: ServerTemplate,
}

/// The end of a history that violated no invariant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryEnd {
    /// Steps that were taken.
    pub steps: u64,
    /// Facts that were delivered.
    pub facts: u64,
    /// Faults that happened, by name.
    pub met: Tally,
    /// Steps and requests, line by line.
    pub trace: Vec<String>,
}

impl HistoryEnd {
    /// SHA-256 of the trace. Equal seeds have equal traces.
    pub fn digest(&self) -> String {
        contract::wire::body::hash(self.trace.join("\n").as_bytes())
    }
}

/// A history that violated an invariant.
#[derive(Clone, Debug)]
pub struct HistoryFailure {
    /// Its seed.
    pub seed: u64,
    /// The violations.
    pub problems: Vec<String>,
    /// Steps and requests, line by line.
    pub trace: Vec<String>,
    /// Rows of the queues.
    pub state: Vec<String>,
}

impl fmt::Display for HistoryFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.problems.join("; "))?;
        for line in self.trace.iter().chain(&self.state) {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

/// A step of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HistoryStep {
    Capture,
    OtherProgram,
    Migrate,
    Deliver,
    Resend,
    Retry,
    OptOut,
    OptIn,
    Release,
    LogIn,
    CopyHome,
    RestartServer,
    CopyServer,
    RestoreServer,
    Clock,
    Collect,
    DelayedArrive,
}

const STEPS: [(u64, HistoryStep); 17] = [
    (24, HistoryStep::Capture),
    (10, HistoryStep::OtherProgram),
    (8, HistoryStep::Migrate),
    (24, HistoryStep::Deliver),
    (4, HistoryStep::Resend),
    (4, HistoryStep::Retry),
    (3, HistoryStep::OptOut),
    (4, HistoryStep::OptIn),
    (3, HistoryStep::Release),
    (6, HistoryStep::LogIn),
    (2, HistoryStep::CopyHome),
    (3, HistoryStep::RestartServer),
    (3, HistoryStep::CopyServer),
    (2, HistoryStep::RestoreServer),
    (5, HistoryStep::Clock),
    (1, HistoryStep::Collect),
    (4, HistoryStep::DelayedArrive),
];

impl Simulation {
    /// Creates the shared files. The files of histories are in memory where the system has a place for that.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn new() -> Outcome<Self> {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }?;
        let template = ServerTemplate::new(place.path(), start())?;
        Ok(Self { place, template })
    }

    /// Runs the history of a seed.
    ///
    /// # Errors
    /// The violations, with the trace.
    pub fn run(&self, seed: u64, defect: Option<BuiltInDefect>) -> Result<HistoryEnd, Box<HistoryFailure>> {
        let failure = |problem: String| {
            Box::new(HistoryFailure { seed, problems: vec![problem], trace: Vec::new(), state: Vec::new() })
        };
        let directory =
            tempfile::tempdir_in(self.place.path()).map_err(|error| failure(error.to_string()))?;
        // Delays have a random part, too.
        let time = VirtualTime::begin(start(), mix(seed));
        // A panic of the program is a violation; it ends this thread only.
        let run = || {
            let history = HistoryRun::new(self, seed, directory.path(), &time, defect);
            history.map_err(|error| failure(error.to_string()))?.run()
        };
        let ended = std::thread::scope(|scope| scope.spawn(run).join());
        ended.unwrap_or_else(|_| Err(failure("the history panicked".to_owned())))
    }
}

struct HistoryRun<'t> {
    seed: u64,
    random: SeededRandom,
    time: &'t VirtualTime,
    root: PathBuf,
    facts: Arc<Mutex<Expectation>>,
    network: SimulatedNetwork,
    accounts: Arc<[SimulatedAccount]>,
    machines: Vec<(SimulatedMachine, FaultyDisk)>,
    /// Copies of the server's data.
    copies: Vec<Vec<(PathBuf, Vec<u8>)>>,
    defect: Option<BuiltInDefect>,
    next: Arc<Mutex<u64>>,
    met: Tally,
    trace: Vec<String>,
}

impl<'t> HistoryRun<'t> {
    fn new(
        simulation: &Simulation,
        seed: u64,
        root: &Path,
        time: &'t VirtualTime,
        defect: Option<BuiltInDefect>,
    ) -> Outcome<Self> {
        let mut random = SeededRandom::new(seed);
        let facts = Arc::new(Mutex::new(Expectation::default()));
        let limit = random.choose(&[(1, 2), (1, 5), (2, 1000)], 1000);
        let ignores_syncs = defect == Some(BuiltInDefect::SyncIgnored);
        let server_dice = SeededRandom::new(mix(seed) ^ 1);
        let server = SimulatedServer::start(&simulation.template, root, limit, server_dice, ignores_syncs)?;
        let faults = random.choose(&[(1, 0), (2, 10), (2, 40)], 10);
        let network_dice = SeededRandom::new(mix(seed) ^ 2);
        let network = SimulatedNetwork::new(server, network_dice, faults, Arc::clone(&facts), defect);
        let mut history = Self {
            seed,
            random,
            time,
            root: root.to_owned(),
            facts,
            network,
            accounts: simulation.template.accounts.clone().into(),
            machines: Vec::new(),
            copies: Vec::new(),
            defect,
            next: Arc::default(),
            met: Tally::new(),
            trace: vec![format!(
                "the server takes {limit} events at once; {faults} of 100 requests meet a fault"
            )],
        };
        let first = history.machine(0)?;
        first.log_in(0)?;
        history.add(first)?;
        Ok(history)
    }

    fn machine(&self, number: usize) -> Outcome<SimulatedMachine> {
        let root = self.root.join(format!("m{number}"));
        fs::create_dir_all(&root)?;
        let facts = Arc::clone(&self.facts);
        SimulatedMachine::new(number, &root, Arc::clone(&self.accounts), &self.network, facts, self.defect)
    }

    fn add(&mut self, machine: SimulatedMachine) -> Outcome<()> {
        let disk = FaultyDisk::new(machine.root(), self.defect == Some(BuiltInDefect::SyncIgnored))?;
        self.machines.push((machine, disk));
        Ok(())
    }

    fn advance(&self, seconds: i64) {
        self.time.advance(SignedDuration::from_secs(seconds));
    }

    fn facts(&self) -> MutexGuard<'_, Expectation> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(mut self) -> Result<HistoryEnd, Box<HistoryFailure>> {
        let steps = 6 + self.random.roll(22);
        for number in 0..steps {
            self.advance(2);
            if let Err(error) = self.step(number) {
                return Err(self.fail(vec![format!("the simulation itself failed: {error}")]));
            }
            let problems = std::mem::take(&mut self.facts().violations);
            if !problems.is_empty() {
                return Err(self.fail(problems));
            }
        }
        let problems = self.settle().unwrap_or_else(|error| vec![format!("cannot end: {error}")]);
        if !problems.is_empty() {
            return Err(self.fail(problems));
        }
        for (name, times) in self.network.take_tally() {
            *self.met.entry(name).or_default() += times;
        }
        let facts = self.facts().rows.values().filter(|row| row.is_fact).count() as u64;
        Ok(HistoryEnd { steps, facts, met: self.met, trace: self.trace })
    }

    fn fail(&mut self, problems: Vec<String>) -> Box<HistoryFailure> {
        self.note("broken:".to_owned());
        let state = self.machines.iter().flat_map(|(machine, _)| machine.describe()).collect();
        Box::new(HistoryFailure { seed: self.seed, problems, trace: std::mem::take(&mut self.trace), state })
    }

    fn step(&mut self, number: u64) -> Outcome<()> {
        let step = self.random.choose(&STEPS, HistoryStep::Deliver);
        let at = self.random.roll(self.machines.len() as u64) as usize;
        let Some((machine, _)) = self.machines.get(at) else { return Ok(()) };
        let machine = machine.clone();
        // What died in an earlier step is started again, sooner or later.
        if self.random.chance(1, 2) {
            self.network.with_server(SimulatedServer::run);
        }
        self.plan_server_fault();
        let fault = self.plan_fault(at);
        let account = machine.account();
        let outcome = self.take(step, at, &machine);
        self.network.interrupt(None);
        let (_, disk) = self.machines.get(at).ok_or("no such machine")?;
        let end = disk.repair(&mut self.random)?;
        if let Some(met) = end {
            count(&mut self.met, &format!("disk of a machine: {met:?}"));
        }
        self.network.with_server(SimulatedServer::end_fault);
        let ends = self.network.with_server(|server| std::mem::take(&mut server.ends));
        for end in &ends {
            count(&mut self.met, &format!("disk of the server: {end:?}"));
        }
        let shown = shown(outcome);
        let operations = disk.take_operations();
        let server_operations = self.network.with_server(|server| server.take_operations());
        let faults = [fault.filter(|_| end.is_some())].into_iter().flatten();
        let faults: String = faults.map(|fault| format!(" [{fault}]")).collect();
        let server: String = ends.iter().map(|end| format!(" [server: {end:?}]")).collect();
        self.note(format!("{number} m{at} a{account} {step:?}{faults}{server}: {shown}"));
        self.trace.push(format!("    {operations} disk operations, {server_operations} of the server"));
        Ok(())
    }

    /// A line of the trace, and below it the requests since the last one. The place of the files differs from run to run.
    fn note(&mut self, line: String) {
        let root = self.root.to_string_lossy().into_owned();
        let lines = std::iter::once(line).chain(self.network.take_trace());
        self.trace.extend(lines.map(|line| line.replace(&root, "")));
    }

    fn plan_fault(&mut self, at: usize) -> Option<String> {
        let random = &mut self.random;
        if !random.chance(2, 5) {
            return None;
        }
        let fault = random.choose(
            &[
                (6, DiskFault::Kill),
                (5, DiskFault::PowerCut),
                (2, DiskFault::NoSpace),
                (1, DiskFault::ShortWrite),
                (1, DiskFault::SyncFails),
                (1, DiskFault::TruncateFails),
            ],
            DiskFault::Kill,
        );
        let (after, lasting) = (random.skewed(80), random.chance(1, 2));
        let (_, disk) = self.machines.get(at)?;
        disk.plan(fault, after, lasting);
        Some(format!("{fault:?} after {after} operations"))
    }

    fn plan_server_fault(&mut self) {
        if !self.random.chance(1, 8) {
            return;
        }
        let fault = self.random.choose(
            &[
                (4, DiskFault::Kill),
                (4, DiskFault::PowerCut),
                (2, DiskFault::NoSpace),
                (1, DiskFault::ShortWrite),
                (1, DiskFault::SyncFails),
            ],
            DiskFault::Kill,
        );
        let (after, lasting) = (self.random.skewed(40), self.random.chance(1, 2));
        self.network.with_server(|server| server.plan(fault, after, lasting));
    }

    fn take(&mut self, step: HistoryStep, at: usize, machine: &SimulatedMachine) -> Outcome<String> {
        let project = self.random.roll(PROJECTS as u64) as usize;
        match step {
            HistoryStep::Capture => {
                let drafts =
                    draft(&mut self.random, &mut self.next.lock().unwrap_or_else(PoisonError::into_inner));
                let end = self.random.choose(
                    &[
                        (12, CaptureEnd::Whole),
                        (1, CaptureEnd::BeforeLog),
                        (1, CaptureEnd::AfterLog),
                        (1, CaptureEnd::Withdrawn),
                    ],
                    CaptureEnd::Whole,
                );
                let keys: Vec<_> = drafts.iter().map(|draft| draft.id.as_str()).collect();
                let what = format!("p{project} {keys:?} {end:?}");
                if end != CaptureEnd::Whole {
                    count(&mut self.met, &format!("command ended: capture {end:?}"));
                }
                let captured = machine.capture(project, &drafts, end);
                Ok(format!("{what}: {}", shown(captured)))
            }
            HistoryStep::OtherProgram => {
                // The other program does not fail.
                if let Some((_, disk)) = self.machines.get(at) {
                    disk.repair(&mut self.random)?;
                }
                let named = self.random.choose(&[(2, None), (1, Some(0)), (1, Some(1))], None);
                let scoped = self.random.chance(1, 4);
                let id = event_id(self.number());
                machine.write_as_another(&id, project, named, scoped, now())
            }
            HistoryStep::Migrate => machine.migrate(),
            HistoryStep::Deliver => {
                let by = self
                    .random
                    .choose(&[(2, DrainedBy::Command), (1, DrainedBy::Daemon)], DrainedBy::Command);
                if self.random.chance(1, 4) {
                    let interruption = self.interruption(machine.clone());
                    self.network.interrupt(Some(interruption));
                }
                machine.deliver(by).map(|report| describe(&report))
            }
            HistoryStep::Resend => machine.resend(),
            HistoryStep::Retry => machine.retry(),
            HistoryStep::OptOut => machine.opt_out(project),
            HistoryStep::OptIn | HistoryStep::Release => {
                let (_, disk) = self.machines.get(at).ok_or("no such machine")?;
                machine.opt_in(project, step == HistoryStep::Release, disk)
            }
            HistoryStep::LogIn => {
                let account = self.random.roll(ACCOUNTS as u64) as usize;
                machine.log_in(account)?;
                count(&mut self.met, "machine: another login");
                Ok(format!("logged in as a{account}"))
            }
            HistoryStep::CopyHome => self.copy_home(at),
            HistoryStep::RestartServer => {
                count(&mut self.met, "server: restarted");
                Ok(self.network.with_server(|server| {
                    server.stop();
                    if server.run() { "runs" } else { "does not run" }.to_owned()
                }))
            }
            HistoryStep::CopyServer => {
                let copy = self.network.with_server(|server| server.snapshot());
                self.copies.push(copy);
                Ok("copied".to_owned())
            }
            HistoryStep::RestoreServer => {
                let which = self.random.roll(self.copies.len() as u64) as usize;
                let Some(copy) = self.copies.get(which).cloned() else { return Ok("no copy".to_owned()) };
                self.copies.truncate(which + 1);
                self.facts().was_restored = true;
                count(&mut self.met, "server: replaced by an older copy");
                Ok(self.network.with_server(|server| {
                    server.forget_since(copy);
                    if server.run() { "runs" } else { "does not run" }.to_owned()
                }))
            }
            HistoryStep::Clock => {
                let by = self.random.choose(&[(2, -DAY), (3, HOUR), (1, 40 * DAY), (2, 10 * 60)], HOUR);
                self.advance(by);
                if by < 0 {
                    self.facts().clock_was_set_back();
                }
                if by > 30 * DAY {
                    // The bytes of what was delivered are kept for 30 days.
                    self.facts().collect_all();
                }
                count(&mut self.met, if by < 0 { "clock: back a day" } else { "clock: ahead" });
                Ok(format!("clock moves by {by} s"))
            }
            HistoryStep::Collect => machine.collect(now() - 30 * DAY),
            HistoryStep::DelayedArrive => {
                self.network.deliver_delayed();
                Ok(String::new())
            }
        }
    }

    fn number(&self) -> u64 {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next += 1;
        *next
    }

    /// Draws an interruption of a request of `machine`.
    fn interruption(&self, machine: SimulatedMachine) -> Interruption {
        let (network, next) = (self.network.clone(), Arc::clone(&self.next));
        Box::new(move |random| {
            let project = random.roll(PROJECTS as u64) as usize;
            match random.roll(4) {
                0 => {
                    let account = random.roll(ACCOUNTS as u64) as usize;
                    format!("login as a{account}: {}", shown(machine.log_in(account).map(|()| String::new())))
                }
                1 => shown(machine.opt_out(project)),
                2 => {
                    let drafts = draft(random, &mut next.lock().unwrap_or_else(PoisonError::into_inner));
                    shown(machine.capture(project, &drafts, CaptureEnd::Whole))
                }
                _ => network.with_server(|server| {
                    server.stop();
                    format!("server restarts: {}", server.run())
                }),
            }
        })
    }

    /// Copies the home of a machine to another machine, as it is on the disk.
    fn copy_home(&mut self, from: usize) -> Outcome<String> {
        if self.machines.len() >= MACHINES {
            return Ok("both machines have a home".to_owned());
        }
        let to = self.machines.len();
        let copy = self.machine(to)?;
        let source =
            self.machines.get(from).map(|(machine, _)| machine.root().to_owned()).ok_or("no home")?;
        tree::copy(&source, copy.root())?;
        self.add(copy)?;
        self.facts().copied(from, to);
        count(&mut self.met, "machine: home copied");
        Ok(format!("copied to m{to}"))
    }

    /// Repairs every fault, and runs the commands that the program names until every fact is delivered. Returns violations.
    fn settle(&mut self) -> Outcome<Vec<String>> {
        self.network.heal();
        self.network.deliver_delayed();
        self.trace.push("every fault is repaired".to_owned());
        if !self.network.with_server(SimulatedServer::run) {
            return Ok(vec!["the server does not start again".to_owned()]);
        }
        let mut problems = Vec::new();
        // Past the next attempt of a body from before the clock was set back.
        self.advance(DAY);
        for round in 0..ROUNDS {
            problems.clear();
            // Past every pause that a server may have asked for.
            self.advance(2 * HOUR);
            // Named by the warning alone, at first. What the check at the start of a delivery cannot see is looked for by the last rounds.
            let asks_all = round >= ROUNDS / 2;
            for at in 0..self.machines.len() {
                for account in 0..ACCOUNTS {
                    problems.extend(self.settle_account(at, account, asks_all)?);
                    let violations = std::mem::take(&mut self.facts().violations);
                    if !violations.is_empty() {
                        return Ok(violations);
                    }
                }
            }
            let held = self.network.with_server(|server| {
                server.run();
                server.held()
            })?;
            let misplaced = self.facts().misplaced(&held);
            if !misplaced.is_empty() {
                return Ok(misplaced);
            }
            let missing: Vec<String> = self
                .facts()
                .missing(&held)
                .into_iter()
                .map(|key| format!("`{key}` is not delivered"))
                .collect();
            if missing.is_empty() {
                if asks_all {
                    count(&mut self.met, "settle: needed a full receipt check");
                }
                return Ok(Vec::new());
            }
            problems.extend(missing);
        }
        Ok(problems)
    }

    /// Runs the commands that the program names for one account of a machine. Returns their failures.
    fn settle_account(&mut self, at: usize, account: usize, asks_all: bool) -> Outcome<Vec<String>> {
        let Some((machine, disk)) = self.machines.get(at) else { return Ok(Vec::new()) };
        let (machine, mut problems) = (machine.clone(), Vec::new());
        machine.log_in(account)?;
        let mut note = |what: &str, outcome: Outcome<String>| {
            if let Err(error) = outcome {
                problems.push(format!("m{at} a{account} {what}: {error}"));
            }
        };
        note("migrate", machine.migrate());
        for project in 0..PROJECTS {
            note("opt-in", machine.opt_in(project, true, disk));
        }
        note("deliver", machine.deliver(DrainedBy::Command).map(|report| describe(&report)));
        note("retry", machine.retry());
        let mut is_rewound = false;
        note(
            "deliver",
            machine.deliver(DrainedBy::Command).map(|report| {
                is_rewound = report.server_rewound.is_some();
                describe(&report)
            }),
        );
        if is_rewound || asks_all {
            note("resend", machine.resend());
            note("deliver", machine.deliver(DrainedBy::Command).map(|report| describe(&report)));
        }
        self.note(format!("  m{at} a{account} settles: {problems:?}"));
        Ok(problems)
    }
}

fn shown(outcome: Outcome<String>) -> String {
    outcome.unwrap_or_else(|error| format!("error: {error}"))
}

fn describe(report: &DrainReport) -> String {
    let stopped = report.stopped.as_ref().map(|stopped| format!("; stopped: {}", stopped.detail));
    format!(
        "{} delivered, {} duplicate, {} parked, {} kept, {} remain{}{}",
        report.events.delivered + report.bodies.delivered,
        report.events.duplicate + report.bodies.duplicate,
        report.events.parked + report.bodies.parked,
        report.events.kept + report.bodies.kept,
        report.remaining.events + report.remaining.bodies,
        if report.server_rewound.is_some() { "; server_rewound" } else { "" },
        stopped.unwrap_or_default(),
    )
}
