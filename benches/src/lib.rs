//! Development only: medians, and the yardsticks of the benchmarks.
//!
//! An absolute time depends on the machine. Every benchmark alternates with its yardstick in the same run
//! and prints the ratio of the medians. No time is asserted.

pub mod report;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Timings of one operation.
#[derive(Clone, Debug)]
pub struct Timings {
    name: String,
    samples: Vec<Duration>,
}

impl Timings {
    /// No timings yet.
    pub fn of(name: impl Into<String>) -> Self {
        Self { name: name.into(), samples: Vec::new() }
    }

    /// Times `work` once.
    pub fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let value = work();
        self.samples.push(start.elapsed());
        value
    }

    /// The quantile `share` of the samples.
    pub fn quantile(&self, share: f64) -> Duration {
        let mut sorted = self.samples.clone();
        sorted.sort_unstable();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let index = ((sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
        sorted.get(index).copied().unwrap_or_default()
    }

    /// The median.
    pub fn median(&self) -> Duration {
        self.quantile(0.5)
    }

    /// One line: median, p99, and the ratio to the yardstick's median.
    pub fn line(&self, yardstick: &Self) -> String {
        let ratio = self.median().as_secs_f64() / yardstick.median().as_secs_f64().max(f64::MIN_POSITIVE);
        format!(
            "{:<52} median {:>10}  p99 {:>10}  {:>7.2} x {} ({})",
            self.name,
            shown(self.median()),
            shown(self.quantile(0.99)),
            ratio,
            yardstick.name,
            shown(yardstick.median())
        )
    }
}

fn shown(duration: Duration) -> String {
    let microseconds = duration.as_secs_f64() * 1e6;
    if microseconds < 1000.0 {
        format!("{microseconds:.1} us")
    } else {
        format!("{:.2} ms", microseconds / 1000.0)
    }
}

/// A process that does nothing: the cost of any process.
pub fn bare_process() {
    let _ = Command::new("true").stdin(Stdio::null()).stdout(Stdio::null()).status();
}

/// The cost of one process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessCost {
    /// From its start to its end.
    pub wall: Duration,
    /// Processor time, in the steps of the system's clock: 10 ms.
    pub cpu: Duration,
    /// Peak resident memory in KiB; zero where the system has no such mark.
    pub peak_kib: u64,
}

/// Runs a process to its end. Not for very short ones: its memory is looked at every 2 ms.
///
/// # Panics
/// When it cannot be run or fails.
#[allow(clippy::expect_used, reason = "a benchmark that cannot run has to stop")]
pub fn process_cost(mut command: Command) -> ProcessCost {
    let before = cpu_of_children();
    let start = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("a process");
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = peak_of_process(child.id()).max(peak_kib);
        if let Some(status) = child.try_wait().expect("a process") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(status.success(), "{command:?} failed");
    let cpu = cpu_of_children().saturating_sub(before);
    ProcessCost { wall: start.elapsed(), cpu, peak_kib }
}

/// The processor time of another process, `None` where the system does not tell.
pub fn cpu_of_process(id: u32) -> Option<Duration> {
    cpu_of(&id.to_string(), 11)
}

/// The processor time of this thread; `None` where `/proc` has no `schedstat`.
pub fn cpu_of_thread() -> Option<Duration> {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    times.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// Two fields of `/proc/<process>/stat` from `first` on, counted behind the name: user and system time.
fn cpu_of(process: &str, first: usize) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = fields.get(first)?.parse::<u64>().ok()? + fields.get(first + 1)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// The costs of `runs` processes: the median of the time, the mean of the processor time and the highest peak. For
/// short ones, whose processor time is less than a step of the system's clock.
///
/// # Panics
/// As [`process_cost`].
pub fn mean_cost(runs: u32, command: impl Fn() -> Command) -> ProcessCost {
    let costs: Vec<_> = (0..runs).map(|_| process_cost(command())).collect();
    let mut walls: Vec<_> = costs.iter().map(|cost| cost.wall).collect();
    walls.sort_unstable();
    ProcessCost {
        wall: walls.get(walls.len() / 2).copied().unwrap_or_default(),
        cpu: costs.iter().map(|cost| cost.cpu).sum::<Duration>() / runs.max(1),
        peak_kib: costs.iter().map(|cost| cost.peak_kib).max().unwrap_or_default(),
    }
}

/// Peak resident memory of a process that runs, in KiB; zero where the system has no such mark.
pub fn peak_of_process(id: u32) -> u64 {
    std::fs::read_to_string(format!("/proc/{id}/status")).ok().and_then(|text| high_water(&text)).unwrap_or(0)
}

/// The processor time of all processes that this one waited for, in the steps of the system's clock.
pub fn cpu_of_children() -> Duration {
    cpu_of("self", 13).unwrap_or_default()
}

/// Peak resident memory of a process in KiB, by the high-water mark of the system: the highest of some
/// runs, each polled until the process ends. `None` where the system has no such mark.
pub fn peak_memory(mut command: Command) -> Option<u64> {
    const RUNS: usize = 50;
    command.stdin(Stdio::null()).stdout(Stdio::null());
    (0..RUNS).filter_map(|_| watch(&mut command)).max()
}

fn watch(command: &mut Command) -> Option<u64> {
    let mut child = command.spawn().ok()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = None;
    // The last mark counts: the first may still be that of this process, from which the child was made. A
    // process that has ended has no memory any more, and is still there to be collected.
    while let Some(mark) = std::fs::read_to_string(&status).ok().and_then(|text| high_water(&text)) {
        peak = Some(mark);
    }
    let _ = child.wait();
    peak
}

/// The line `VmHWM:     1234 kB`.
fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_read_and_a_process_that_ended_has_none() {
        assert_eq!(high_water("Name:\tx\nVmHWM:\t    1234 kB\nVmRSS:\t 1000 kB\n"), Some(1234));
        assert_eq!(high_water("Name:\tx\nState:\tZ (zombie)\n"), None);
    }
}
