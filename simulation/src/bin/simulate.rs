//! Runs histories of queue, delivery and server.
//!
//! ```text
//! cargo run -p spec-kitty-simulation --bin simulate -- [--histories 1000] [--seed N] [--jobs 1] [--trace] [--defect NAME]
//! ```
//!
//! Each history has a seed of its own: `--seed` is that of the first one, and the next ones follow it. Prints the seed
//! first, a failing history with its steps, and at the end which faults happened. `--seed N --histories 1`
//! repeats a history; `--trace` shows its steps though it violates nothing, and needs `--jobs 1`.
//! `--defect` builds in one of `BuiltInDefect`, which histories have to find. Exits 1 when an invariant was violated.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is its output")]

use std::process::ExitCode;

#[cfg(not(unix))]
fn main() -> ExitCode {
    eprintln!("histories need Unix");
    ExitCode::FAILURE
}

#[cfg(unix)]
fn main() -> ExitCode {
    match unix::run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(unix)]
mod unix {
    use serde::{Deserialize, Serialize};
    use simulation::{BuiltInDefect, Simulation, Tally};
    use std::error::Error;
    use std::process::{Command, Stdio};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Mutex, PoisonError};
    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    /// Failing histories that are shown.
    const SHOWN: usize = 20;

    /// Histories in one process. It keeps a handle of each database file that it opened (`system::file::read_start`), some
    /// three in a history, and systems allow 1024 by default.
    const PART: u64 = 200;

    struct Args {
        histories: u64,
        seed: u64,
        jobs: u64,
        trace: bool,
        defect: Option<BuiltInDefect>,
        /// One process of several: its result is printed as JSON.
        part: bool,
    }

    /// Totals of a run.
    #[derive(Default, Serialize, Deserialize)]
    struct Total {
        histories: u64,
        steps: u64,
        facts: u64,
        met: Tally,
        failures: Vec<(u64, String)>,
    }

    impl Total {
        fn add(&mut self, other: Self) {
            self.histories += other.histories;
            self.steps += other.steps;
            self.facts += other.facts;
            for (name, times) in other.met {
                *self.met.entry(name).or_default() += times;
            }
            self.failures.extend(other.failures);
        }
    }

    fn args() -> Result<Args, Box<dyn Error>> {
        // Nanoseconds: the seeds of successive runs do not overlap.
        let seed = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?;
        let mut args = Args { histories: 1000, seed, jobs: 1, trace: false, defect: None, part: false };
        let mut given = std::env::args().skip(1);
        while let Some(name) = given.next() {
            if name == "--defect" {
                args.defect = Some(given.next().ok_or("--defect needs a name")?.parse()?);
                continue;
            }
            let mut number = || -> Result<u64, Box<dyn Error>> {
                Ok(given.next().ok_or(format!("{name} needs a number"))?.parse()?)
            };
            match name.as_str() {
                "--histories" => args.histories = number()?,
                "--seed" => args.seed = number()?,
                "--jobs" => args.jobs = number()?.max(1),
                "--trace" => args.trace = true,
                "--part" => args.part = true,
                _ => return Err(format!("unknown option {name}").into()),
            }
        }
        if args.trace && args.jobs > 1 {
            return Err("`--trace` needs `--jobs 1`".into());
        }
        Ok(args)
    }

    /// Whether no invariant was violated.
    pub(super) fn run() -> Result<bool, Box<dyn Error>> {
        let args = args()?;
        if args.part {
            println!("{}", serde_json::to_string(&histories(&args)?)?);
            return Ok(true);
        }
        println!("seed {}, {} histories", args.seed, args.histories);
        let begun = Instant::now();
        let alone = args.trace || (args.jobs == 1 && args.histories <= PART);
        let total = if alone { histories(&args)? } else { in_processes(&args)? };
        for (_, failure) in total.failures.iter().take(SHOWN) {
            println!("\n{failure}");
        }
        println!(
            "{} steps, {} facts delivered, in {} s",
            total.steps,
            total.facts,
            begun.elapsed().as_secs()
        );
        println!("what happened:");
        for (name, times) in &total.met {
            println!("{times:>9}  {name}");
        }
        let seeds: Vec<_> = total.failures.iter().map(|(seed, _)| seed.to_string()).collect();
        println!("{} histories, {} violated an invariant {}", total.histories, seeds.len(), seeds.join(" "));
        Ok(seeds.is_empty())
    }

    fn histories(args: &Args) -> Result<Total, Box<dyn Error>> {
        let simulation = Simulation::new()?;
        let mut total = Total::default();
        for seed in args.seed..args.seed.saturating_add(args.histories) {
            total.histories += 1;
            match simulation.run(seed, args.defect) {
                Ok(end) => {
                    total.steps += end.steps;
                    total.facts += end.facts;
                    if args.trace {
                        println!("seed {seed}: {}\n{}", end.digest(), end.trace.join("\n"));
                    }
                    for (name, times) in end.met {
                        *total.met.entry(name).or_default() += times;
                    }
                }
                Err(failure) => total.failures.push((seed, failure.to_string())),
            }
        }
        Ok(total)
    }

    /// The histories in several processes: clock and disks belong to a whole process.
    fn in_processes(args: &Args) -> Result<Total, Box<dyn Error>> {
        let (next, total) = (AtomicU64::new(0), Mutex::new(Total::default()));
        let run = || -> Result<(), String> {
            loop {
                let earlier = next.fetch_add(PART, Ordering::Relaxed);
                let count = PART.min(args.histories.saturating_sub(earlier));
                if count == 0 {
                    return Ok(());
                }
                let part = part(args, args.seed.saturating_add(earlier), count);
                total
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .add(part.map_err(|error| error.to_string())?);
            }
        };
        std::thread::scope(|scope| {
            let jobs: Vec<_> = (0..args.jobs).map(|_| scope.spawn(run)).collect();
            jobs.into_iter()
                .try_for_each(|job| job.join().unwrap_or_else(|_| Err("a job panicked".to_owned())))
        })?;
        Ok(total.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Histories in a process of their own.
    fn part(args: &Args, seed: u64, histories: u64) -> Result<Total, Box<dyn Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--part", "--seed", &seed.to_string(), "--histories", &histories.to_string()]);
        if let Some(defect) = args.defect {
            command.args(["--defect", &defect.to_string()]);
        }
        let output = command.stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return Err(format!("a process of histories ended with {}", output.status).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}
