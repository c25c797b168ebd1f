//! Random histories of one machine against a model of a few sets. After every step the files hold what
//! the model predicts, whichever process died on the way.

use crate::stage::Fact;
use crate::support::*;
use crate::victim::{Act, perform};
use contract::Scope;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use queue::fault_point::FaultPoint;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

/// One step. Accounts are 0 and 1.
#[derive(Clone, Debug)]
enum Step {
    /// A command captures events; in a process of its own, which may be killed at a point.
    Capture { account: usize, ids: BTreeSet<u8>, process: Process },
    /// An earlier release leaves a row in the legacy queue DB.
    Legacy { id: u8 },
    /// Legacy rows are moved. After a kill any act may follow before the next migration.
    Migrate { account: usize, process: Process },
    /// Everything that may leave is taken by the server.
    Deliver { account: usize, process: Process },
    /// Everything that may leave is refused by the server.
    Park { account: usize },
    /// Everything parked is tried again.
    Retry { account: usize },
}

/// Process that takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Process {
    /// This one.
    This,
    /// A second one.
    Second,
    /// A second one that is killed at one of the points of its act, by number.
    Killed(usize),
}

fn process() -> impl Strategy<Value = Process> {
    prop_oneof![3 => Just(Process::This), 1 => Just(Process::Second), 3 => (0usize..8).prop_map(Process::Killed)]
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0u8..5;
    let ids = prop::collection::btree_set(id.clone(), 1..4);
    let account = 0usize..2;
    prop_oneof![
        4 => (account.clone(), ids, process())
            .prop_map(|(account, ids, process)| Step::Capture { account, ids, process }),
        4 => id.prop_map(|id| Step::Legacy { id }),
        4 => (account.clone(), process()).prop_map(|(account, process)| Step::Migrate { account, process }),
        2 => (account.clone(), process()).prop_map(|(account, process)| Step::Deliver { account, process }),
        1 => account.clone().prop_map(|account| Step::Park { account }),
        2 => account.prop_map(|account| Step::Retry { account }),
    ]
}

/// Content of one account's queue DB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Account {
    /// Facts that wait, by key.
    waiting: BTreeMap<String, char>,
    /// Facts that are parked, in their order, each with whether it waits for its log row.
    parked: Vec<(Fact, bool)>,
    delivered: BTreeSet<Fact>,
    imported: BTreeSet<Fact>,
}

impl Account {
    fn knows(&self, key: &str) -> bool {
        self.waiting.contains_key(key)
            || self.parked.iter().any(|((parked, _), _)| parked == key)
            || self.delivered.iter().any(|(delivered, _)| delivered == key)
    }

    /// Whether a capture of `key` is a repeat; a row that only lacked its log row makes way for it.
    fn knows_when_captured(&mut self, key: &str) -> bool {
        if self.waiting.contains_key(key) {
            return true;
        }
        let answered = self.parked.iter().any(|((parked, _), needs_log)| parked == key && !needs_log)
            || self.delivered.iter().any(|(delivered, _)| delivered == key);
        if !answered {
            self.parked.retain(|((parked, content), _)| (parked.as_str(), *content) != (key, 'c'));
        }
        answered
    }

    /// Whether this queue DB has imported or receipted the fact: then it is this account's (contract section 8).
    fn has_had(&self, fact: &Fact) -> bool {
        self.imported.contains(fact) || self.delivered.contains(fact)
    }

    fn import(&mut self, fact: Fact) {
        if !self.imported.insert(fact.clone()) {
            return;
        }
        let (key, content) = &fact;
        let same = self.waiting.get(key) == Some(content)
            || self.delivered.contains(&fact)
            || self.parked.iter().any(|(parked, _)| *parked == fact);
        if !self.knows(key) {
            self.waiting.insert(fact.0, fact.1);
        } else if !same {
            self.parked.push((fact, false));
        }
    }
}

/// The machine.
#[derive(Clone, Debug, Default)]
struct Model {
    accounts: [Account; 2],
    /// Rows of the legacy queue DB, and the account each names.
    legacy: BTreeMap<String, Option<usize>>,
    /// Rows of it that an account has claimed and not cleared.
    claims: BTreeMap<String, usize>,
    log: BTreeSet<String>,
}

impl Model {
    fn capture(&mut self, account: usize, ids: &[String]) {
        let Self { accounts, log, .. } = self;
        for id in ids {
            if !accounts[account].knows_when_captured(id) {
                accounts[account].waiting.insert(id.clone(), 'c');
            }
            log.insert(id.clone());
        }
    }

    /// Killed between prepare and log, and settled.
    fn forget(&mut self, account: usize, ids: &[String]) {
        let Self { accounts, log, .. } = self;
        for id in ids {
            if accounts[account].knows_when_captured(id) {
                continue;
            }
            // An earlier capture, of the other account, may have left a row of that id in the log.
            match log.contains(id) {
                true => drop(accounts[account].waiting.insert(id.clone(), 'c')),
                false => accounts[account].parked.push(((id.clone(), 'c'), true)),
            }
        }
    }

    /// Legacy rows of an account: those it claimed, and unclaimed rows that name no other account.
    fn in_scope(&self, account: usize) -> Vec<String> {
        let is_ours = |(id, team): &(&String, &Option<usize>)| match self.claims.get(*id) {
            Some(owner) => *owner == account,
            None => team.is_none_or(|team| team == account),
        };
        self.legacy.iter().filter(is_ours).map(|(id, _)| id.clone()).collect()
    }

    /// A migration, up to the step before which it was killed.
    fn migrate(&mut self, account: usize, died: Option<FaultPoint>) {
        if died == Some(FaultPoint::ClaimWritten) {
            return;
        }
        let other = 1 - account;
        let (owned, ours): (Vec<String>, Vec<String>) = self.in_scope(account).into_iter().partition(|id| {
            let fact = (id.clone(), 'l');
            self.accounts[other].has_had(&fact) && !self.accounts[account].has_had(&fact)
        });
        self.claims.extend(owned.into_iter().map(|id| (id, other)));
        self.claims.extend(ours.iter().map(|id| (id.clone(), account)));
        if matches!(died, Some(FaultPoint::Claimed | FaultPoint::CopyHalfWritten | FaultPoint::CopyWritten)) {
            return;
        }
        for id in &ours {
            self.accounts[account].import((id.clone(), 'l'));
        }
        if matches!(died, Some(FaultPoint::Copied | FaultPoint::ClearWritten)) {
            return;
        }
        for id in &ours {
            self.legacy.remove(id);
            self.claims.remove(id);
        }
    }

    fn deliver(&mut self, account: usize) {
        let account = &mut self.accounts[account];
        account.delivered.extend(std::mem::take(&mut account.waiting));
    }

    fn park(&mut self, account: usize) {
        let Account { waiting, parked, delivered, .. } = &mut self.accounts[account];
        for fact in std::mem::take(waiting) {
            // A fact that was delivered before is settled by its receipt and never sent.
            if !delivered.contains(&fact) {
                parked.push((fact, false));
            }
        }
    }

    fn retry(&mut self, account: usize) {
        let Self { accounts, log, .. } = self;
        let Account { waiting, parked, .. } = &mut accounts[account];
        parked.retain(|((key, content), needs_log)| {
            if waiting.contains_key(key) || (*needs_log && !log.contains(key)) {
                return true;
            }
            waiting.insert(key.clone(), *content);
            false
        });
    }
}

fn scopes() -> [Scope; 2] {
    [scope(), other_scope()]
}

fn name(id: u8) -> String {
    format!("01M{id:02}")
}

/// The account that the legacy row of an id names: always the same, because another one would be another
/// fact.
fn named_by(id: u8) -> Option<usize> {
    match id % 5 {
        3 => Some(0),
        4 => Some(1),
        _ => None,
    }
}

/// Performs an act, possibly in another process that is killed; returns the point of death.
fn act(
    stage: &Stage,
    account: usize,
    act: &Act,
    process: Process,
    points: &[FaultPoint],
) -> Option<FaultPoint> {
    let scope = &scopes()[account];
    match process {
        Process::This => {
            act.perform(stage, scope);
            None
        }
        Process::Second => {
            assert!(!perform(stage, scope, act, None));
            None
        }
        Process::Killed(number) => {
            let point = points[number % points.len()];
            // A point that this history does not meet is passed, and the process ends well.
            perform(stage, scope, act, Some(point)).then_some(point)
        }
    }
}

fn take(step: &Step, stage: &Stage, model: &mut Model) {
    use FaultPoint::{
        ClaimWritten, Claimed, ClearWritten, Cleared, ConfirmWritten, Confirmed, Copied, CopyHalfWritten,
        CopyWritten, IdentityWritten, PrepareWritten, Prepared, RecordWritten, Recorded,
    };
    match step {
        Step::Capture { account, ids, process } => {
            let ids: Vec<String> = ids.iter().copied().map(name).collect();
            let capture = Act::Capture { ids: ids.clone(), bodies: Vec::new() };
            let points = [IdentityWritten, PrepareWritten, Prepared, ConfirmWritten, Confirmed];
            let died = act(stage, *account, &capture, *process, &points);
            if died.is_some() {
                stage.settle(&scopes()[*account]);
            }
            match died {
                Some(IdentityWritten | PrepareWritten) => {}
                Some(Prepared) => model.forget(*account, &ids),
                _ => model.capture(*account, &ids),
            }
        }
        Step::Legacy { id } => {
            let team = named_by(*id);
            let legacy = Connection::open(stage.legacy()).expect("a database");
            if !model.legacy.contains_key(&name(*id)) {
                let team = team.map(|team| ["team-PRIV-01", "team-OTHER-02"][team]);
                legacy_event(&legacy, &name(*id), team, PROJECT);
            }
            model.legacy.entry(name(*id)).or_insert(team);
        }
        Step::Migrate { account, process } => {
            let points = [ClaimWritten, Claimed, CopyHalfWritten, CopyWritten, Copied, ClearWritten, Cleared];
            let died = act(stage, *account, &Act::Migrate, *process, &points);
            model.migrate(*account, died);
        }
        Step::Deliver { account, process } => {
            let died = act(stage, *account, &Act::Deliver, *process, &[RecordWritten, Recorded]);
            if died.is_some() {
                stage.deliver(&scopes()[*account]);
            }
            model.deliver(*account);
        }
        Step::Park { account } => {
            stage.park(&scopes()[*account]);
            model.park(*account);
        }
        Step::Retry { account } => {
            if stage.scoped(&scopes()[*account]).exists() {
                stage.retry(&scopes()[*account]);
            }
            model.retry(*account);
        }
    }
}

fn compare(stage: &Stage, model: &Model) -> Result<(), TestCaseError> {
    let once = |facts: &mut dyn Iterator<Item = Fact>| -> BTreeMap<Fact, u32> {
        facts.map(|fact| (fact, 1)).collect()
    };
    for (scope, account) in scopes().iter().zip(&model.accounts) {
        let waiting = once(&mut account.waiting.clone().into_iter());
        prop_assert_eq!(stage.waiting(scope), waiting, "waiting of {}", scope);
        let parked = once(&mut account.parked.iter().map(|(fact, _)| fact.clone()));
        prop_assert_eq!(stage.parked(scope), parked, "parked of {}", scope);
        if stage.scoped(scope).exists() {
            let delivered: BTreeSet<String> = account.delivered.iter().map(|(key, _)| key.clone()).collect();
            prop_assert_eq!(stage.delivered(scope), delivered, "receipts of {}", scope);
            prop_assert_eq!(stage.count(scope, "receipts"), account.delivered.len() as i64);
            prop_assert_eq!(stage.count(scope, "prepared"), 0);
            prop_assert_eq!(stage.count(scope, "bindings"), account.waiting.len() as i64);
        }
    }
    let legacy = once(&mut model.legacy.keys().map(|id| (id.clone(), 'l')));
    prop_assert_eq!(stage.in_legacy(), legacy, "legacy");
    let db = Connection::open(stage.legacy()).expect("a database");
    if db.table_exists(None, "claims").expect("an answer") {
        prop_assert_eq!(count(&db, "claims"), model.claims.len() as i64, "claims");
    }
    Ok(())
}

/// Histories of one run. Each starts processes, so there are few; `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(40)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        max_shrink_iters: 200,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/crash/model.regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_histories_keep_each_fact_once_where_modelled(
        steps in prop::collection::vec(step(), 6..18),
    ) {
        let dir = tempfile::tempdir().expect("a directory");
        let stage = Stage::at(dir.path());
        Connection::open(stage.legacy()).expect("a database").execute_batch(REFERENCE_TABLES).expect("tables");
        let mut model = Model::default();
        for step in &steps {
            take(step, &stage, &mut model);
            compare(&stage, &model)?;
        }
    }
}
