//! Expected state of a history: rows by the answers of commands, decisions in their order, requests as they left. Nothing
//! is read from a queue or computed by the code under test.

use std::collections::{BTreeMap, BTreeSet};

/// Machines of a history at most.
pub(crate) const MACHINES: usize = 2;
/// Accounts, each with a team of its own.
pub(crate) const ACCOUNTS: usize = 2;
/// Projects.
pub(crate) const PROJECTS: usize = 2;

/// The decision about a project on a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ProjectDecision {
    /// None was made.
    #[default]
    Unset,
    /// Its rows may leave, unless they were withheld.
    In,
    /// Nothing of it may leave.
    Out,
}

/// Author of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    /// A command of this program.
    Command,
    /// Another program.
    Other,
}

/// A row as its author knows it.
#[derive(Clone, Debug)]
pub(crate) struct ExpectedRow {
    /// Its author.
    pub(crate) author: Author,
    /// Its project.
    pub(crate) project: usize,
    /// The account that it belongs to; none for a row of another program that names none.
    pub(crate) account: Option<usize>,
    /// SHA-256 of the bytes of an event as each account sends it, or of a body's content.
    pub(crate) digests: [String; ACCOUNTS],
    /// Whether it must be delivered in the end: a command acknowledged it, the log holds it, or another program wrote it.
    pub(crate) is_fact: bool,
    /// Whether its log row was written, where there is one.
    pub(crate) is_logged: bool,
    /// Machines whose home holds it or held it.
    machines: BTreeSet<usize>,
    /// Machines from which it must not leave until it is released.
    withheld: BTreeSet<usize>,
    /// The account in whose name it left first.
    left_as: Option<usize>,
    /// Whether it was in a home that was copied before an account owned it: then each copy may have an owner.
    is_ambiguous: bool,
    /// Whether the clock was set back after it was written. An opt-in is dated by the clock, so it can precede the row.
    is_ahead: bool,
    /// See [`Expectation::collect_all`].
    is_collected: bool,
}

impl ExpectedRow {
    /// A row that is not a fact yet.
    pub(crate) fn new(
        author: Author,
        project: usize,
        account: Option<usize>,
        digests: [String; ACCOUNTS],
    ) -> Self {
        Self {
            author,
            project,
            account,
            digests,
            is_fact: false,
            is_logged: author == Author::Other,
            machines: BTreeSet::new(),
            withheld: BTreeSet::new(),
            left_as: None,
            is_ambiguous: false,
            is_ahead: false,
            is_collected: false,
        }
    }
}

/// Rows of a server: the digest of each row's bytes by its key, for each account's team.
pub(crate) type Held = [BTreeMap<String, Vec<String>>; ACCOUNTS];

/// Expected rows and decisions of a history, and violations.
#[derive(Debug, Default)]
pub(crate) struct Expectation {
    /// By the id of an event, or the path of a body.
    pub(crate) rows: BTreeMap<String, ExpectedRow>,
    decisions: [[ProjectDecision; PROJECTS]; MACHINES],
    /// Whether the server was replaced by an older copy.
    pub(crate) was_restored: bool,
    /// Violations while the history ran.
    pub(crate) violations: Vec<String>,
}

impl Expectation {
    /// A row that is written on a machine now.
    pub(crate) fn written(&mut self, key: &str, machine: usize, mut row: ExpectedRow) {
        row.machines.insert(machine);
        // A row of another program needs a decision, which an earlier opt-in is.
        let decided = self.decisions.get(machine).and_then(|decisions| decisions.get(row.project));
        if row.author == Author::Other && decided != Some(&ProjectDecision::In) {
            row.withheld.insert(machine);
        }
        self.rows.insert(key.to_owned(), row);
    }

    /// The log row of a captured row was written: whatever its command answers, it must be delivered.
    pub(crate) fn logged(&mut self, key: &str) {
        if let Some(row) = self.rows.get_mut(key) {
            (row.is_logged, row.is_fact) = (true, true);
        }
    }

    /// A command acknowledged a row.
    pub(crate) fn acknowledged(&mut self, key: &str) {
        if let Some(row) = self.rows.get_mut(key) {
            row.is_fact = true;
        }
    }

    /// A decision about a project, once it is stored. `releases` is that of an opt-in for the rows that wait, too.
    pub(crate) fn decided(
        &mut self,
        machine: usize,
        project: usize,
        decision: ProjectDecision,
        releases: bool,
    ) {
        if let Some(decided) = self.decisions.get_mut(machine).and_then(|of| of.get_mut(project)) {
            *decided = decision;
        }
        let here = |row: &&mut ExpectedRow| row.project == project && row.machines.contains(&machine);
        for row in self.rows.values_mut().filter(here) {
            if decision == ProjectDecision::Out {
                row.withheld.insert(machine);
            } else if releases || row.is_ahead {
                row.withheld.remove(&machine);
            }
        }
    }

    /// Receipts or kept bytes of rows are removed: a later loss of the server need not be noticed or healed.
    pub(crate) fn collect_all(&mut self) {
        self.rows.values_mut().for_each(|row| row.is_collected = true);
    }

    /// The clock is set back.
    pub(crate) fn clock_was_set_back(&mut self) {
        self.rows.values_mut().for_each(|row| row.is_ahead = true);
    }

    /// The home of a machine is copied to another one.
    pub(crate) fn copied(&mut self, from: usize, to: usize) {
        if let Some(of) = self.decisions.get(from).copied()
            && let Some(copy) = self.decisions.get_mut(to)
        {
            *copy = of;
        }
        for row in self.rows.values_mut().filter(|row| row.machines.contains(&from)) {
            row.machines.insert(to);
            if row.withheld.contains(&from) {
                row.withheld.insert(to);
            }
            row.is_ambiguous |= row.account.is_none() && row.left_as.is_none();
        }
    }

    /// A request with these rows leaves a machine in the name of an account. `team` is the account whose team it names, if it
    /// names one.
    pub(crate) fn left(
        &mut self,
        machine: usize,
        account: Option<usize>,
        team: Option<usize>,
        keys: &[String],
    ) {
        let Some(account) = account else {
            self.violations.push(format!("m{machine} sent rows without an account: {keys:?}"));
            return;
        };
        if team.is_some_and(|team| team != account) {
            self.violations.push(format!("m{machine} sent rows of a{account} to another team: {keys:?}"));
        }
        for key in keys {
            let decisions = self.decisions.get(machine).copied().unwrap_or_default();
            let Some(row) = self.rows.get_mut(key) else {
                self.violations.push(format!("m{machine} sent `{key}`, which was never written"));
                continue;
            };
            if !row.is_logged {
                self.violations.push(format!("m{machine} sent `{key}`, which is not in the log"));
            }
            if row.withheld.contains(&machine) || decisions.get(row.project) == Some(&ProjectDecision::Out) {
                self.violations.push(format!("m{machine} sent `{key}` without consent"));
            }
            let owner = row.account.or(row.left_as.filter(|_| !row.is_ambiguous));
            if owner.is_some_and(|owner| owner != account) {
                self.violations.push(format!("m{machine} sent `{key}` of another account as a{account}"));
            }
            row.left_as.get_or_insert(account);
        }
    }

    /// A command reports that the server lacks rows which it acknowledged.
    pub(crate) fn server_lost_rows(&mut self) {
        if !self.was_restored {
            self.violations.push("the server lost rows that it acknowledged".to_owned());
        }
    }

    /// Violations in the rows of a server, at any time.
    pub(crate) fn misplaced(&self, held: &Held) -> Vec<String> {
        let mut wrong = Vec::new();
        for (account, team) in held.iter().enumerate() {
            for (key, digests) in team {
                let Some(row) = self.rows.get(key) else {
                    wrong.push(format!("the team of a{account} has `{key}`, which was never written"));
                    continue;
                };
                if digests.len() != 1 {
                    wrong.push(format!("the team of a{account} has `{key}` {} times", digests.len()));
                }
                if digests.iter().any(|digest| row.digests.get(account) != Some(digest)) {
                    wrong.push(format!("the team of a{account} has other bytes under `{key}`"));
                }
                if row.account.is_some_and(|owner| owner != account) {
                    wrong.push(format!("the team of a{account} has `{key}` of another account"));
                }
                let elsewhere =
                    held.iter().enumerate().any(|(other, team)| other != account && team.contains_key(key));
                if elsewhere && !row.is_ambiguous {
                    wrong.push(format!("`{key}` is in two teams"));
                }
            }
        }
        wrong
    }

    /// The facts that the server lacks.
    pub(crate) fn missing(&self, held: &Held) -> Vec<&str> {
        let lacks = |(key, row): &(&String, &ExpectedRow)| {
            row.is_fact
                && !(row.is_collected && self.was_restored)
                && !match row.account {
                    Some(account) => held.get(account).is_some_and(|team| team.contains_key(*key)),
                    None => held.iter().any(|team| team.contains_key(*key)),
                }
        };
        self.rows.iter().filter(lacks).map(|(key, _)| key.as_str()).collect()
    }
}
