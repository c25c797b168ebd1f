//! Instructions of four commands, counted by callgrind: a measure that the load of the machine does not change.

use crate::{BINARY, drain};
use benches::report::{Goal, Measurement, PerformanceReport};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use testkit::World;
use testkit::mission::Mission;

/// More than this multiple of the expected count fails.
const MARGIN: f64 = 1.1;

/// The goals of the page; the file has what was reached.
const GOALS: [(&str, f64); 3] = [("version", 200_000.0), ("status", 2_000_000.0), ("emit", 9_000_000.0)];

/// Every count, by its name in the file.
fn measure() -> Vec<(&'static str, Option<f64>)> {
    let idle = testkit::host::logged_in(BINARY);
    let _ = idle.run(["agent", "mission", "create", "some-mission"]).exits(0);
    let emitting = testkit::host::logged_in(BINARY);
    let mission = Mission::create(&emitting, "tea-timer");
    mission.specified(&emitting).planned().with_tasks();
    let _ = emitting.run(["agent", "mission", "finalize-tasks", "--mission", "tea-timer"]).exits(0);
    let emit =
        ["agent", "status", "emit", "WP01", "--to", "claimed", "--actor", "dev", "--mission", "tea-timer"];
    let (delivering, _server) = drain::waiting(1, 1_000);
    vec![
        ("version", of(&idle, &["--version"])),
        ("status", of(&idle, &["sync", "status", "--check", "--json"])),
        ("emit", of(&emitting, &emit)),
        ("drain-1000", of(&delivering, &["sync", "now"])),
    ]
}

/// The instructions of one command; none without valgrind.
fn of(world: &World, argv: &[&str]) -> Option<f64> {
    let output = tempfile::tempdir().expect("a directory");
    let mut command = Command::new("valgrind");
    command
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", output.path().join("out").display()));
    command.arg(BINARY).args(argv);
    world.dress(&mut command);
    let run = command.stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.success(), "{argv:?}: {text}");
    let collected = text.lines().find_map(|line| line.split_once("Collected :")).expect("a count");
    Some(collected.1.trim().parse().expect("a number"))
}

/// Adds the counts to the report.
pub(crate) fn counts(report: &mut PerformanceReport) {
    for (name, count) in measure() {
        let Some(count) = count else { continue };
        let goal = GOALS.iter().find(|(goal, _)| *goal == name).map(|(_, most)| Goal::AtMost(*most));
        let what = format!("instructions of `{name}`");
        report.add(Measurement { what, unit: "", value: count, yardstick: None, goal });
    }
}

/// Compares the counts with the expected ones.
pub(crate) fn check() -> ExitCode {
    let mut failed = false;
    for (name, count) in measure() {
        let count = count.expect("valgrind is needed");
        let expected = expected(name).expect("an expected count");
        let ratio = count / expected;
        let verdict = match ratio {
            more if more > MARGIN => {
                failed = true;
                "TOO MANY"
            }
            less if less < 1.0 / MARGIN => "fewer than expected: lower the count in .ci/instruction-counts",
            _ => "as expected",
        };
        println!("{name:<12} {count:>14.0} of {expected:>14.0}  {ratio:.3}  {verdict}");
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The count of `name` in the file.
fn expected(name: &str) -> Option<f64> {
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.ci/instruction-counts"));
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().replace('_', "").parse().ok()
}
