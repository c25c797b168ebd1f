//! Commands by the size of what they work on.

use crate::BINARY;
use benches::report::{Goal, Measurement, PerformanceReport, milliseconds};
use benches::{ProcessCost, Timings, bare_process, cpu_of_children, peak_memory, process_cost};
use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use testkit::World;
use testkit::mission::Mission;
use testkit::reference_queue::ReferenceQueue;
use testkit::world::SERVER;

const RUNS: u32 = 100;

/// `sync status --check --json` and `--version`, against a process that does nothing.
pub(crate) fn status(report: &mut PerformanceReport) {
    for (rows, most) in [(0_u32, 2.0), (10_000, 2.0), (1_000_000, 4.0)] {
        let world = testkit::host::logged_in(BINARY);
        world.write_config(&format!("[sync]\nserver_url = \"{SERVER}\"\nmax_queue_size = 2000000\n"));
        if rows > 0 {
            ReferenceQueue::create(&world.home().scoped_queue(&world.scope())).many_events(rows);
        }
        // Gives the file our tables and binds its rows.
        let _ = world.run(["sync", "migrate"]).exits(0);
        let command = || {
            let mut command = world.command();
            command.args(["sync", "status", "--check", "--json"]).stdout(Stdio::null());
            command
        };
        let (mut ours, mut yardstick) = (Timings::of("status"), Timings::of("bare process"));
        let mut cpu = Duration::ZERO;
        for _ in 0..RUNS {
            let before = cpu_of_children();
            let code = ours.time(|| command().status().expect("the binary").code());
            assert_eq!(code, Some(0), "a coherent host");
            cpu += cpu_of_children().saturating_sub(before);
            yardstick.time(bare_process);
        }
        let peak_kib = peak_memory(command()).unwrap_or_default();
        let cost = ProcessCost { wall: ours.median(), cpu: cpu / RUNS, peak_kib };
        report.plot("status", f64::from(rows), cost);
        report.add(Measurement {
            what: format!("`sync status --check --json`, {rows} rows"),
            unit: "ms",
            value: milliseconds(ours.median()),
            yardstick: Some(("a process that does nothing", milliseconds(yardstick.median()))),
            goal: Some(Goal::RatioAtMost(most)),
        });
        if rows == 0 && peak_kib > 0 {
            report.add(mebibytes("... peak memory", peak_kib, 9.0));
        }
    }
}

/// `agent status emit` on a log that grows.
pub(crate) fn emit(report: &mut PerformanceReport) {
    for rows in [100, 10_000, 100_000] {
        let world = testkit::host::logged_in(BINARY);
        let mission = planned(&world);
        append(&mission, rows);
        let mut command = world.command();
        command.args(["agent", "status", "emit", "WP01", "--to", "claimed", "--actor", "dev"]);
        command.args(["--mission", "tea-timer"]);
        let cost = process_cost(command);
        let log = mission.path.join("status.events.jsonl");
        let start = Instant::now();
        let lines = std::fs::read_to_string(log).expect("the log").lines().count();
        let pass = start.elapsed();
        assert!(lines > rows, "the row was appended");
        report.plot("capture (emit)", rows as f64, cost);
        if rows == 100_000 {
            report.add(Measurement {
                what: format!("`agent status emit` on a log of {rows} rows, processor time"),
                unit: "ms",
                value: milliseconds(cost.cpu),
                yardstick: Some(("one pass over the lines of the file", milliseconds(pass))),
                goal: Some(Goal::AtMost(250.0)),
            });
            report.add(mebibytes("... peak memory", cost.peak_kib, 40.0));
        }
    }
}

/// Number of flushes of each file by two commands, counted by strace; nothing without it.
pub(crate) fn flushes(report: &mut PerformanceReport) {
    let world = testkit::host::logged_in(BINARY);
    let _ = planned(&world);
    let emit =
        ["agent", "status", "emit", "WP01", "--to", "claimed", "--actor", "dev", "--mission", "tea-timer"];
    let create = ["agent", "mission", "create", "another-mission"];
    for (argv, most) in [(&emit[..], 10.0), (&create, 12.0)] {
        let directory = tempfile::tempdir().expect("a directory");
        let trace = directory.path().join("trace");
        let mut command = Command::new("strace");
        command.args(["-f", "-e", "trace=fsync,fdatasync", "-o"]).arg(&trace).arg(BINARY).args(argv);
        world.dress(&mut command);
        let Ok(run) = command.stdin(Stdio::null()).output() else { return };
        assert!(run.status.success(), "{argv:?}: {}", String::from_utf8_lossy(&run.stderr));
        let calls = std::fs::read_to_string(trace).expect("the trace");
        let calls = calls.lines().filter(|line| line.contains("sync(")).count();
        report.add(Measurement {
            what: format!("`{}`, flushes", argv.get(..3).unwrap_or_default().join(" ")),
            unit: "",
            value: calls as f64,
            yardstick: None,
            goal: Some(Goal::AtMost(most)),
        });
    }
}

/// `sync capture --history` of a log that grows.
pub(crate) fn history(report: &mut PerformanceReport) {
    for rows in [4_000, 40_000] {
        let world = testkit::host::logged_in(BINARY);
        let mission = planned(&world);
        append(&mission, rows);
        let mut command = world.command();
        command.args(["sync", "capture", "--history", "tea-timer", "--yes"]);
        let cost = process_cost(command);
        report.plot("capture (history)", rows as f64, cost);
        if rows == 40_000 {
            let what = format!("`sync capture --history` of {rows} rows, peak memory");
            report.add(mebibytes(&what, cost.peak_kib, 40.0));
            report.add(Measurement {
                what: "... processor time".into(),
                unit: "ms",
                value: milliseconds(cost.cpu),
                yardstick: None,
                goal: None,
            });
        }
    }
}

/// `sync migrate`, against the same copy in SQL.
pub(crate) fn migration(report: &mut PerformanceReport) {
    for rows in [1_000_u32, 10_000, 100_000] {
        let world = testkit::host::logged_in(BINARY);
        world.write_config(&format!("[sync]\nserver_url = \"{SERVER}\"\nmax_queue_size = 2000000\n"));
        ReferenceQueue::create(&world.root().join("queue.db")).many_events(rows);
        let mut command = world.command();
        command.args(["sync", "migrate"]);
        let cost = process_cost(command);
        report.plot("migration", f64::from(rows), cost);
        if rows == 100_000 {
            report.add(mebibytes(
                &format!("`sync migrate` of {rows} rows, peak memory"),
                cost.peak_kib,
                64.0,
            ));
        }
    }
}

/// The size of the program.
pub(crate) fn binary(report: &mut PerformanceReport) {
    let size = std::fs::metadata(BINARY).expect("the binary").len();
    report.add(Measurement {
        what: "the binary".into(),
        unit: "MB",
        value: size as f64 / 1e6,
        yardstick: None,
        goal: Some(Goal::AtMost(12.0)),
    });
    let mut version = Command::new(BINARY);
    version.arg("--version");
    if let Some(peak) = peak_memory(version) {
        report.add(mebibytes("`--version`, peak memory", peak, 9.0));
    }
}

fn mebibytes(what: &str, kib: u64, most: f64) -> Measurement {
    Measurement {
        what: what.to_owned(),
        unit: "MiB",
        value: kib as f64 / 1024.0,
        yardstick: None,
        goal: Some(Goal::AtMost(most)),
    }
}

/// A mission whose work packages are planned.
pub(crate) fn planned(world: &World) -> Mission {
    let mission = Mission::create(world, "tea-timer");
    mission.specified(world).planned().with_tasks();
    let _ = world.run(["agent", "mission", "finalize-tasks", "--mission", "tea-timer"]).exits(0);
    mission
}

/// Appends lane rows that go round and end where they began.
pub(crate) fn append(mission: &Mission, rows: usize) {
    const ROUND: [&str; 5] = ["planned", "claimed", "in_progress", "for_review", "planned"];
    let mut text = mission.read("status.events.jsonl");
    for row in 0..rows.div_ceil(4) * 4 {
        let step = row % 4;
        let _ = writeln!(
            text,
            "{{\"actor\": \"dev\", \"at\": \"2026-12-{:02}T{:02}:{:02}:{:02}.000000+00:00\", \"event_id\": \"01KVX{row:021}\", \
             \"evidence\": null, \"execution_mode\": \"worktree\", \"force\": true, \"from_lane\": \"{}\", \
             \"mission_id\": \"01KRX000000000000000000000\", \"mission_slug\": \"{}\", \"policy_metadata\": null, \
             \"reason\": \"round and round\", \"review_ref\": null, \"to_lane\": \"{}\", \"wp_id\": \"WP01\"}}",
            row / 86_400 + 1,
            row / 3600 % 24,
            row / 60 % 60,
            row % 60,
            ROUND[step],
            mission.slug,
            ROUND[step + 1],
        );
    }
    mission.write("status.events.jsonl", &text);
}
