//! The states of the model.

use crate::consent::Hold;
use contract::wire::EventStatus;
use contract::{Consent, FileNumbers, Scope};
use gate::{
    Facts, LockFileFacts, LockState, OwnerFacts, OwnerReading, Policy, RecordedProcess, ResolvedPaths,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Rows of the model. Row 0 is the legacy one.
pub(super) const ROWS: usize = 3;
pub(super) const LEGACY: Row = 0;

pub(super) type Row = u8;
pub(super) type Rows = BTreeSet<Row>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Account {
    Ada,
    Bo,
}

impl Account {
    pub(super) const BOTH: [Self; 2] = [Self::Ada, Self::Bo];

    fn scope(self) -> Scope {
        match self {
            Self::Ada => Scope::new("https://example.invalid", "ada@example.com", "team-ada"),
            Self::Bo => Scope::new("https://example.invalid", "bo@example.com", "team-bo"),
        }
    }
}

/// Remaining number of each event outside the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    /// Facts that commands may make, beside the legacy row.
    pub(super) facts: u8,
    /// Logins as the other account.
    pub(super) switches: u8,
    /// Copies of the home onto a second machine.
    pub(super) copies: u8,
    /// Backups, each of which may be restored once.
    pub(super) restores: u8,
    /// Opt-outs and opt-ins.
    pub(super) decisions: u8,
}

impl Budget {
    pub(super) const NONE: Self = Self { facts: 0, switches: 0, copies: 0, restores: 0, decisions: 0 };
}

/// A defect that the search must find: proof that its properties can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Defect {
    /// A capture is reported before its log row is written.
    ReportBeforeAppend,
    /// A migration deletes legacy rows before it copies them.
    ClearBeforeCopy,
    /// A drain does not read the session again before a request.
    OldSession,
    /// A row leaves the queue when it is sent.
    ReceiptAtSend,
    /// A drain sends rows of a project that is opted out.
    NoConsent,
    /// A drain does not ask whether the server still has what it acknowledged.
    NoReceiptCheck,
}

/// One queue DB.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Queue {
    /// Prepared rows, each with the instant of its command.
    pub(super) prepared: BTreeMap<Row, u8>,
    /// Waiting rows, with the hold and instant that consent is judged by.
    pub(super) waiting: BTreeMap<Row, (StoredHold, u8)>,
    /// Rows parked as `not_in_log`, each with the instant of its command.
    pub(super) parked: BTreeMap<Row, u8>,
    /// Receipts that settle a row, in the order of recording.
    pub(super) receipts: Vec<Row>,
    /// Those of them that were answered `duplicate`.
    pub(super) duplicates: Rows,
    /// Rows whose bytes are kept.
    pub(super) sent: Rows,
    pub(super) imported: Rows,
    /// The warning `server_rewound`.
    pub(super) rewound: bool,
}

/// [`Hold`] as its column has it.
pub(super) type StoredHold = u8;

/// Command of a process, and the step it has reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Command {
    Capture { row: Row, account: Account, step: CaptureStep },
    Migrate { account: Account, step: MigrateStep },
    Drain { account: Account, step: DrainStep },
    Resend { account: Account, missing: Rows },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum CaptureStep {
    Append,
    Confirm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum MigrateStep {
    Copy,
    Clear,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum DrainStep {
    /// The next row is chosen and sent.
    Send,
    /// The answer about this row is awaited.
    Await(Row, Option<EventStatus>),
}

/// The two processes of a machine that may work at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Process {
    Foreground,
    Daemon,
}

/// The disks of one machine, and its two processes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Machine {
    /// Device and inode of its owner lock.
    lock: u8,
    pub(super) login: Account,
    pub(super) consent: Consent,
    /// Grows with every decision: the clock of consent.
    pub(super) instant: u8,
    /// Rows that waited at an opt-out and were not released since.
    pub(super) withdrawn: Rows,
    pub(super) log: Rows,
    pub(super) legacy: Rows,
    pub(super) claims: [Rows; 2],
    pub(super) queues: [Queue; 2],
    /// The owner record: the daemon's account, and the lock that it names.
    pub(super) record: Option<(Account, u8)>,
    /// The account that the running daemon took at its start.
    pub(super) daemon: Option<Account>,
    pub(super) foreground_at: Option<Command>,
    pub(super) daemon_at: Option<Command>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Server {
    pub(super) rows: [Rows; 2],
}

/// A request on the way. It outlives its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Request {
    pub(super) machine: usize,
    pub(super) process: Process,
    pub(super) account: Account,
    pub(super) row: Row,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) machines: Vec<Machine>,
    pub(super) server: Server,
    pub(super) backup: Option<Server>,
    pub(super) was_restored: bool,
    pub(super) requests: BTreeSet<Request>,
    pub(super) budget: Budget,
    pub(super) defect: Option<Defect>,
    /// History: the account of each captured or claimed row.
    pub(super) accounts: BTreeMap<Row, Account>,
    /// History: rows that a command reported as captured, and the legacy row.
    pub(super) acknowledged: Rows,
    /// History: rows that left although consent was withdrawn.
    pub(super) sent_without_consent: Rows,
}

impl World {
    pub(super) fn new(budget: Budget, legacy: bool, defect: Option<Defect>) -> Self {
        let mut machine = Machine {
            lock: 0,
            login: Account::Ada,
            consent: Consent::ALWAYS,
            instant: 0,
            withdrawn: Rows::new(),
            log: Rows::new(),
            legacy: Rows::new(),
            claims: Default::default(),
            queues: Default::default(),
            record: None,
            daemon: None,
            foreground_at: None,
            daemon_at: None,
        };
        let mut acknowledged = Rows::new();
        let mut accounts = BTreeMap::new();
        if legacy {
            machine.legacy.insert(LEGACY);
            acknowledged.insert(LEGACY);
            // Two machines cannot agree about a row that names no team, so the row of a home that may be copied names one.
            if budget.copies > 0 {
                accounts.insert(LEGACY, Account::Ada);
            }
        }
        Self {
            machines: vec![machine],
            server: Server::default(),
            backup: None,
            was_restored: false,
            requests: BTreeSet::new(),
            budget,
            defect,
            accounts,
            acknowledged,
            sent_without_consent: Rows::new(),
        }
    }

    /// Legacy rows of this machine that belong to `account` (contract section 3).
    pub(super) fn legacy_in_scope(&self, machine: usize, account: Account) -> Rows {
        let machine = &self.machines[machine];
        let is_of = |row: &Row| {
            machine.claims[account as usize].contains(row)
                || (machine.claims.iter().all(|claims| !claims.contains(row))
                    && self.accounts.get(row).is_none_or(|owner| *owner == account))
        };
        machine.legacy.iter().copied().filter(is_of).collect()
    }

    /// Whether the gate lets `account` capture and send on this machine: its verdict on these facts.
    #[allow(clippy::disallowed_methods, reason = "the model invents the facts that it judges")]
    pub(super) fn is_coherent(&self, machine: usize, account: Account) -> bool {
        let rows = self.legacy_in_scope(machine, account).len() as u64;
        let machine = &self.machines[machine];
        let facts = facts(account, machine.record, machine.daemon.is_some(), machine.lock, rows);
        gate::judge(facts, Policy { require_auth: true }).result().ok
    }
}

impl Machine {
    /// A copy onto another machine: the files, and no process.
    pub(super) fn copied(&self) -> Self {
        Self { lock: self.lock + 1, daemon: None, foreground_at: None, daemon_at: None, ..self.clone() }
    }

    /// The record of a daemon that starts now.
    pub(super) fn start_daemon(&mut self) {
        self.daemon = Some(self.login);
        self.record = Some((self.login, self.lock));
    }

    pub(super) fn queue(&mut self, account: Account) -> &mut Queue {
        &mut self.queues[account as usize]
    }

    pub(super) fn command(&self, process: Process) -> &Option<Command> {
        match process {
            Process::Foreground => &self.foreground_at,
            Process::Daemon => &self.daemon_at,
        }
    }

    pub(super) fn command_mut(&mut self, process: Process) -> &mut Option<Command> {
        match process {
            Process::Foreground => &mut self.foreground_at,
            Process::Daemon => &mut self.daemon_at,
        }
    }

    /// Whether a process holds the delivery lock of this queue DB.
    pub(super) fn is_draining(&self, account: Account) -> bool {
        [&self.foreground_at, &self.daemon_at].into_iter().flatten().any(
            |command| matches!(command, Command::Drain { account: of, .. } | Command::Resend { account: of, .. } if *of == account),
        )
    }

    /// The oldest waiting row that consent lets leave.
    pub(super) fn next_to_send(&self, account: Account, defect: Option<Defect>) -> Option<Row> {
        if defect == Some(Defect::NoConsent) {
            return self.queues[account as usize].waiting.keys().next().copied();
        }
        let may_leave = |(row, (hold, at)): (&Row, &(StoredHold, u8))| {
            let hold = Hold::from_stored(i64::from(*hold));
            hold.reason(self.consent, Some(f64::from(*at))).is_none().then_some(*row)
        };
        self.queues[account as usize].waiting.iter().find_map(may_leave)
    }
}

impl Queue {
    /// Stores the receipt of a row, which leaves the queue in the same transaction.
    pub(super) fn record(&mut self, row: Row, status: EventStatus) {
        if self.waiting.remove(&row).is_some() {
            self.receipts.push(row);
            self.sent.insert(row);
            if status == EventStatus::Duplicate {
                self.duplicates.insert(row);
            }
        }
    }

    /// Marks the receipts of `rows` to be sent again; their bytes wait.
    pub(super) fn resend(&mut self, rows: &Rows) {
        for row in rows.iter().filter(|row| self.sent.contains(row)) {
            if self.receipts.contains(row) {
                self.receipts.retain(|receipt| receipt != row);
                self.duplicates.remove(row);
                self.waiting.insert(*row, (Hold::Free as u8, 0));
            }
        }
        self.rewound = false;
    }

    /// Settles what an interrupted command left: a row whose log has it waits, any other is parked.
    pub(super) fn settle(&mut self, log: &Rows) {
        for (row, instant) in std::mem::take(&mut self.prepared) {
            if log.contains(&row) {
                self.waiting.insert(row, (Hold::Free as u8, instant));
            } else {
                self.parked.insert(row, instant);
            }
        }
    }
}

/// The facts of a machine on which only these things vary.
fn facts(account: Account, record: Option<(Account, u8)>, runs: bool, lock: u8, legacy_rows: u64) -> Facts {
    let numbers = |lock: u8| Some(FileNumbers { device: 1, inode: u64::from(lock) });
    let queue_of = |account: Account| PathBuf::from(format!("/h/queues/{account:?}.db"));
    let reading = record.map_or(OwnerReading::Absent, |(owner, its_lock)| {
        let mut record =
            testkit::facts::owner_record(&owner.scope(), &queue_of(owner), &format!("{owner:?}"));
        if let Some(instance) = &mut record.instance {
            instance.lock = numbers(its_lock);
        }
        OwnerReading::Readable(Box::new(record))
    });
    let queue_id = Some(format!("{account:?}"));
    let mut facts = testkit::facts::coherent(&account.scope(), &queue_of(account), queue_id);
    facts.owner = OwnerFacts {
        resolved: record.map(|(owner, _)| ResolvedPaths {
            executable: "/opt/bin/spec-kitty".into(),
            source: "/opt".into(),
            queue_db: queue_of(owner),
        }),
        reading,
        lock: if runs { LockState::Held } else { LockState::Free },
        lock_file: Some(LockFileFacts {
            path: "/h/sync/daemon/owner.lock".into(),
            numbers: numbers(lock),
            links: 1,
        }),
        process: if runs { RecordedProcess::SyncDaemon } else { RecordedProcess::Gone },
        ..facts.owner
    };
    facts.legacy.in_scope.event_rows = legacy_rows;
    facts
}
