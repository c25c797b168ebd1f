//! Starting, stopping, replacing and killing as a state machine over real processes, two commands at a time. Whatever
//! the two are, at most one daemon runs afterwards, it is the one of the record, and the next start and stop work.
#![cfg(target_os = "linux")]

use crate::common::{Bench, eventually, pid_of, signal};
use proptest::prelude::*;
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::process::{Child, Stdio};

#[derive(Clone, Copy, Debug)]
enum Act {
    Start,
    Stop,
    Restart,
    /// The action of a command after a capture: nudge or start.
    FollowUp,
    Kill,
    /// SIGTERM, as a service manager sends it.
    Terminate,
    Doctor,
    LoseRecord,
    LoseControlFile,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Start),
        3 => Just(Act::Stop),
        3 => Just(Act::Restart),
        2 => Just(Act::FollowUp),
        2 => Just(Act::Kill),
        2 => Just(Act::Terminate),
        1 => Just(Act::Doctor),
        1 => Just(Act::LoseRecord),
        1 => Just(Act::LoseControlFile),
    ]
}

/// Begins an act; a command is given back to be waited for.
fn begin(bench: &Bench, act: Act) -> Option<Child> {
    let words: &[&str] = match act {
        Act::Start => &["start"],
        Act::Stop => &["stop"],
        Act::Restart => &["restart"],
        Act::FollowUp => &["follow-up"],
        Act::Doctor => &["doctor", "--fix"],
        Act::Kill | Act::Terminate => {
            let how = if matches!(act, Act::Kill) { Signal::KILL } else { Signal::TERM };
            bench.daemons().into_iter().for_each(|pid| signal(pid, how));
            return None;
        }
        Act::LoseRecord => {
            let _ = fs::remove_file(bench.record_path());
            return None;
        }
        Act::LoseControlFile => {
            let _ = fs::remove_file(bench.world.home().control_file());
            return None;
        }
    };
    let mut command = bench.world.command();
    command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(command.spawn().expect("a command"))
}

/// Every command ends with one document, well or not, and without a panic.
fn end(act: Act, child: Child) {
    let output = child.wait_with_output().expect("its output");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(0 | 1)) && !said.contains("panicked"), "{act:?}: {said}");
    serde_json::from_slice::<Value>(&output.stdout)
        .unwrap_or_else(|error| panic!("{act:?}: {error}: {said}"));
}

/// Invariants that hold once no process is acting any more.
fn check(bench: &Bench, acts: &str) {
    let mut status = Value::Null;
    eventually("it settles", || {
        status = bench.ok(&["status"]);
        let daemons = bench.daemons();
        match status["state"].as_str() {
            // The daemon that serves is the only one.
            Some("running") => daemons == [pid_of(&status["pid"])],
            Some("stopped" | "orphan") => daemons.is_empty(),
            // A holder that lost its control file and its record is unreachable until its next check.
            Some("starting" | "wedged") => daemons.len() == 1 && !bench.world.home().control_file().exists(),
            _ => false,
        }
    });
    // One that was asked to end may remove its record at any moment.
    if let Some(bytes) = fs::read(bench.record_path()).ok().filter(|_| status["state"] == "running") {
        let record: Value = serde_json::from_slice(&bytes).expect("a whole record");
        assert_eq!(record["instance_id"], status["instance_id"], "{acts}");
    }
    let stops = status["stops"].as_array().expect("a list");
    let mut runs: Vec<_> = stops.iter().map(|stop| stop["instance_id"].to_string()).collect();
    let all = runs.len();
    runs.sort();
    runs.dedup();
    assert_eq!(runs.len(), all, "{acts}: a run ends once: {stops:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 8, ..ProptestConfig::with_cases(12) })]

    #[test]
    fn any_two_meet_and_one_reachable_daemon_is_left(
        pairs in proptest::collection::vec((act(), act()), 2..7)
    ) {
        let mut bench = Bench::logged_in();
        // A daemon that lost its files writes them again within moments.
        bench.set("DAEMON_BENCH_CHECK_MS", "50");
        for pair in &pairs {
            let both = [pair.0, pair.1].map(|act| (act, begin(&bench, act)));
            for (act, child) in both {
                child.into_iter().for_each(|child| end(act, child));
            }
            check(&bench, &format!("{pairs:?} after {pair:?}"));
        }
        // And after all of it the home is as good as new.
        eventually("it starts", || bench.run(&["start"]).code == Some(0));
        eventually("it runs", || bench.ok(&["status"])["state"] == "running");
        eventually("it stops", || bench.run(&["stop"]).code == Some(0));
        eventually("no daemon is left", || bench.daemons().is_empty());
        prop_assert_eq!(&bench.ok(&["status"])["state"], "stopped");
    }
}
