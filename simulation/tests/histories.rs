//! Histories of fixed seeds, those that violated an invariant once, and the defects that histories have to find.
#![cfg(unix)]

use simulation::{BuiltInDefect, Simulation, Tally, kept_seeds};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Histories of one run of the tests.
const HISTORIES: u64 = 40;

/// Clock and disks belong to the whole process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn histories_of_fixed_seeds_violate_no_invariant() {
    let _alone = alone();
    let simulation = Simulation::new().expect("a place for histories");
    let (mut met, mut facts) = (Tally::new(), 0);
    for seed in 0..HISTORIES {
        let end = simulation.run(seed, None).unwrap_or_else(|failure| panic!("{failure}"));
        facts += end.facts;
        for (name, times) in end.met {
            *met.entry(name).or_default() += times;
        }
    }
    assert!(facts > HISTORIES, "{facts} facts were delivered");
    for kind in [
        "clock: ahead",
        "clock: back a day",
        "disk of a machine: Kill",
        "disk of a machine: NoSpace",
        "disk of a machine: PowerCut",
        "disk of the server: Kill",
        "disk of the server: PowerCut",
        "machine: another login",
        "machine: home copied",
        "network: answer cut",
        "network: answer lost",
        "network: request arrived long after its sender gave up",
        "network: request repeated",
        "network: something else during a request",
        "server: replaced by an older copy",
    ] {
        assert!(met.contains_key(kind), "{kind} happened: {met:#?}");
    }
}

#[test]
fn kept_seeds_violate_no_invariant() {
    let _alone = alone();
    let simulation = Simulation::new().expect("a place for histories");
    for seed in kept_seeds() {
        simulation.run(seed, None).unwrap_or_else(|failure| panic!("{failure}"));
    }
}

/// Steps, faults, requests, their answers and the number of disk operations of each step are equal.
#[test]
fn equal_seeds_have_equal_traces() {
    let _alone = alone();
    let simulations = [(); 2].map(|()| Simulation::new().expect("a place for histories"));
    for seed in (100..108).chain(kept_seeds()) {
        let [first, second] =
            simulations.each_ref().map(|simulation| simulation.run(seed, None).expect("no violation"));
        assert!(first.trace.len() > 10);
        assert_eq!(first.digest(), second.digest(), "seed {seed}: {first:#?} {second:#?}");
    }
}

/// One of its seeds finds a defect. They are the first that `simulate --seed 0 --histories 100 --defect NAME` prints; a
/// change of steps or faults needs new ones.
#[test]
fn histories_find_each_defect() {
    let _alone = alone();
    let simulation = Simulation::new().expect("a place for histories");
    for (defect, seeds, found) in [
        (BuiltInDefect::AcknowledgedWithoutServer, [1, 4, 7, 8], "the server lost rows that it acknowledged"),
        (BuiltInDefect::AcknowledgedBeforeCommit, [1, 4, 7, 8], "the server lost rows that it acknowledged"),
        (BuiltInDefect::DeliveredToOtherTeam, [1, 4, 7, 8], "of another account"),
        (BuiltInDefect::OptOutNotStored, [3, 14, 17, 22], "without consent"),
        (BuiltInDefect::SyncIgnored, [3, 8, 11, 32], "is not delivered"),
        (BuiltInDefect::AcknowledgedBeforePrepared, [0, 1, 3, 5], "is not delivered"),
        (BuiltInDefect::RowSentWithoutLog, [0, 2, 3, 5], "is not in the log"),
    ] {
        let failure = seeds.into_iter().find_map(|seed| simulation.run(seed, Some(defect)).err());
        let failure = failure.unwrap_or_else(|| panic!("{defect:?} is not found"));
        assert!(failure.problems.iter().any(|problem| problem.contains(found)), "{defect:?}: {failure}");
        let is_unrelated = |problem: &String| {
            problem.starts_with("the simulation itself failed") || problem == "the history panicked"
        };
        assert!(!failure.problems.iter().any(is_unrelated), "{defect:?}: {failure}");
    }
}
