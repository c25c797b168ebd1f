//! The protocol of lock, record and control file as a state machine. Any number of daemons of one home are started,
//! stopped, killed and checked in any order, while files are removed under them.
//!
//! A daemon is a `DaemonOwnership` value in this process; killing it drops the lock and leaves its files.
#![cfg(unix)]

use contract::{ForegroundIdentity, Scope};
use daemon::control::proof::ControlToken;
use daemon::ownership::{Claim, DaemonOwnership, OwnershipCheck, TakeError};
use daemon::record::RunFacts;
use daemon::stop::{StopHistory, StopReason};
use gate::OwnerReading;
use identity::Home;
use preflight::owner::read_record;
use proptest::prelude::*;
use std::fs;
use system::lock::{LockProbe, probe};

#[derive(Clone, Copy, Debug)]
enum Step {
    Start,
    Stop(usize),
    Kill(usize),
    Check(usize),
    RemoveRecord,
    RemoveControl,
    DamageRecord,
    ReplaceLock,
    Doctor,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Start),
        2 => (0..3usize).prop_map(Step::Stop),
        2 => (0..3usize).prop_map(Step::Kill),
        3 => (0..3usize).prop_map(Step::Check),
        1 => Just(Step::RemoveRecord),
        1 => Just(Step::RemoveControl),
        1 => Just(Step::DamageRecord),
        1 => Just(Step::ReplaceLock),
        1 => Just(Step::Doctor),
    ]
}

/// A pid that no process has: these daemons are values, and no test waits for a value to end.
const UNUSED_PID: u32 = i32::MAX as u32;

fn facts(home: &Home) -> RunFacts {
    let scope = Scope::new("https://s", "u@e", "t");
    let foreground = ForegroundIdentity {
        executable_path: "/bin/sh".into(),
        pid: UNUSED_PID,
        ..testkit::facts::foreground(&scope, &home.scoped_queue(&scope))
    };
    RunFacts::new(foreground, scope, None)
}

struct Model {
    _world: testkit::World,
    home: Home,
    daemons: Vec<DaemonOwnership>,
}

impl Model {
    fn new() -> Self {
        let world = testkit::World::of_library();
        Self { home: world.home(), _world: world, daemons: Vec::new() }
    }

    fn owners(&self) -> Vec<&DaemonOwnership> {
        self.daemons.iter().filter(|daemon| daemon.observe_standing() == OwnershipCheck::Owner).collect()
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Start => {
                let held = !self.owners().is_empty();
                match Claim::take(&self.home) {
                    Ok(claim) => {
                        assert!(!held, "two daemons hold one lock");
                        let token = ControlToken::generate().expect("random");
                        self.daemons
                            .push(claim.publish(facts(&self.home), 50_000, token).expect("published"));
                    }
                    Err(TakeError::Held) => assert!(held, "the lock is free"),
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Stop(index) if index < self.daemons.len() => {
                let daemon = self.daemons.remove(index);
                let instance = daemon.facts().instance_id.clone();
                daemon.release(StopReason::Stopped);
                assert_ne!(self.recorded(), Some(instance), "a daemon that ended left its record");
            }
            Step::Kill(index) if index < self.daemons.len() => drop(self.daemons.remove(index)),
            Step::Check(index) if index < self.daemons.len() => {
                if self.daemons[index].observe_standing() == OwnershipCheck::Owner {
                    self.daemons[index].restore_missing().expect("restored");
                    assert!(self.home.owner_record().exists() && self.home.control_file().exists());
                } else {
                    self.daemons.remove(index).release(StopReason::Superseded);
                }
            }
            Step::RemoveRecord => drop(fs::remove_file(self.home.owner_record())),
            Step::RemoveControl => drop(fs::remove_file(self.home.control_file())),
            Step::DamageRecord => drop(fs::write(self.home.owner_record(), "{\"pid\":")),
            Step::ReplaceLock => {
                let _ = fs::remove_file(self.home.owner_lock());
            }
            Step::Doctor => {
                let held = probe(&self.home.owner_lock()).expect("a probe") == LockProbe::Held;
                if !held {
                    drop(Claim::take(&self.home).expect("the lock is free"));
                    assert!(!self.home.owner_record().exists(), "the doctor left a record");
                }
            }
            Step::Stop(_) | Step::Kill(_) | Step::Check(_) => {}
        }
    }

    fn recorded(&self) -> Option<String> {
        match read_record(&self.home.owner_record()) {
            OwnerReading::Readable(record) => record.instance.map(|instance| instance.instance_id),
            OwnerReading::Absent | OwnerReading::Unreadable(_) => None,
        }
    }

    fn check_invariants(&self) {
        if !self.home.daemon_dir().exists() {
            return;
        }
        let owners = self.owners();
        assert!(owners.len() <= 1, "{} owners", owners.len());
        let held = probe(&self.home.owner_lock()).expect("a probe") == LockProbe::Held;
        assert_eq!(held, owners.len() == 1, "the probe tells whether an owner lives");
        if let (Some(owner), Some(recorded)) = (owners.first(), self.recorded()) {
            assert_eq!(owner.facts().instance_id, recorded, "lock held, so the record is the holder's");
        }
        let mut instances: Vec<_> = StopHistory::of(&self.home.daemon_dir())
            .read()
            .into_iter()
            .map(|stop| stop.instance_id)
            .collect();
        let all = instances.len();
        instances.sort();
        instances.dedup();
        assert_eq!(instances.len(), all, "every run ends once");
        if self.home.owner_lock().exists() {
            assert_eq!(fs::metadata(self.home.owner_lock()).expect("metadata").len(), 0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn at_most_one_daemon_and_its_record_whatever_happens(steps in proptest::collection::vec(step(), 1..24)) {
        let mut model = Model::new();
        for step in steps {
            model.apply(step);
            model.check_invariants();
        }
    }
}
