//! The actions of the model.

use super::world::{
    Account, CaptureStep, Command, Defect, DrainStep, MigrateStep, Process, ROWS, Request, Row, Rows, World,
};
use crate::consent::Hold;
use crate::outbox::MOST_THERE_BEFORE;
use contract::wire::EventStatus;
use contract::wire::receipts::ReceiptState;
use contract::{Consent, Start};
use jiff::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// A producing command passes its gate and prepares a row.
    StartCapture(usize, Row),
    StartMigrate(usize),
    /// A drain passes its gate, and asks for limits and receipts.
    StartDrain(usize, Process),
    /// A resend asks the server which rows it lacks.
    StartResend(usize),
    /// The next step of the command at work.
    Advance(usize, Process),
    Crash(usize, Process),
    StartDaemon(usize),
    StopDaemon(usize),
    /// `doctor orphan-daemons --fix`.
    RemoveOrphan(usize),
    /// `sync parked retry`.
    Retry(usize),
    /// The server handles a request; the network may keep it and deliver it again.
    Handle(Request, Kept),
    Lose(Request),
    /// A login as the other account.
    Switch(usize),
    OptOut(usize),
    OptIn(usize),
    /// `sync opt-in --include-held`.
    Release(usize),
    CopyHome,
    Backup,
    Restore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Yes,
    No,
}

pub(super) fn possible(world: &World, actions: &mut Vec<Action>) {
    for (number, machine) in world.machines.iter().enumerate() {
        let login = machine.login;
        if machine.foreground_at.is_none() {
            if world.budget.facts > 0 && world.is_coherent(number, login) {
                let next = (1..ROWS as Row).find(|row| !world.accounts.contains_key(row));
                actions.extend(next.map(|row| Action::StartCapture(number, row)));
            }
            if !world.legacy_in_scope(number, login).is_empty() {
                actions.push(Action::StartMigrate(number));
            }
            if machine.queues[login as usize].rewound && !machine.is_draining(login) {
                actions.push(Action::StartResend(number));
            }
            if !machine.queues[login as usize].parked.is_empty() {
                actions.push(Action::Retry(number));
            }
            if world.budget.switches > 0 {
                actions.push(Action::Switch(number));
            }
            if world.budget.decisions > 0 {
                actions.push(if machine.consent == Consent::OptedOut {
                    Action::OptIn(number)
                } else {
                    Action::OptOut(number)
                });
            }
            if !machine.withdrawn.is_empty() && machine.consent != Consent::OptedOut {
                actions.push(Action::Release(number));
            }
            match machine.daemon {
                None => actions.push(Action::StartDaemon(number)),
                Some(_) => actions.push(Action::StopDaemon(number)),
            }
            if machine.record.is_some() && machine.daemon.is_none() {
                actions.push(Action::RemoveOrphan(number));
            }
        }
        for process in [Process::Foreground, Process::Daemon] {
            // The daemon has the account of its start, and judges the boundary as its own foreground.
            let account = match process {
                Process::Foreground => Some(login),
                Process::Daemon => machine.daemon,
            };
            if machine.command(process).is_some() {
                actions.push(Action::Advance(number, process));
                actions.push(Action::Crash(number, process));
            } else if let Some(account) = account
                && account == login
                && !machine.is_draining(account)
                && has_work(world, number, account)
                && world.is_coherent(number, account)
            {
                actions.push(Action::StartDrain(number, process));
            }
        }
    }
    for request in &world.requests {
        actions.push(Action::Handle(*request, Kept::No));
        actions.push(Action::Handle(*request, Kept::Yes));
        actions.push(Action::Lose(*request));
    }
    if world.budget.copies > 0 && world.machines.len() == 1 {
        actions.push(Action::CopyHome);
    }
    if world.budget.restores > 0 {
        actions.push(Action::Backup);
    }
    if world.backup.is_some() {
        actions.push(Action::Restore);
    }
}

/// Whether a drain would do anything: without it the search visits runs that change nothing.
fn has_work(world: &World, number: usize, account: Account) -> bool {
    let machine = &world.machines[number];
    machine.next_to_send(account, world.defect).is_some()
        || !machine.queues[account as usize].prepared.is_empty()
        || lost_newest(world, number, account)
}

pub(super) fn apply(world: &mut World, action: Action) {
    match action {
        Action::StartCapture(number, row) => {
            let machine = &mut world.machines[number];
            let account = machine.login;
            let (log, instant) = (machine.log.clone(), machine.instant);
            machine.queue(account).settle(&log);
            world.budget.facts -= 1;
            world.accounts.insert(row, account);
            // Of an opted-out project nothing is captured; the fact is in the log alone.
            if machine.consent == Consent::OptedOut {
                machine.log.insert(row);
                return;
            }
            machine.queue(account).prepared.insert(row, instant);
            if world.defect == Some(Defect::ReportBeforeAppend) {
                world.acknowledged.insert(row);
            }
            machine.foreground_at = Some(Command::Capture { row, account, step: CaptureStep::Append });
        }
        Action::StartMigrate(number) => {
            let account = world.machines[number].login;
            let rows = world.legacy_in_scope(number, account);
            for row in &rows {
                world.accounts.insert(*row, account);
            }
            let machine = &mut world.machines[number];
            if world.defect == Some(Defect::ClearBeforeCopy) {
                machine.legacy.retain(|row| !rows.contains(row));
            }
            machine.claims[account as usize].extend(rows);
            machine.foreground_at = Some(Command::Migrate { account, step: MigrateStep::Copy });
        }
        Action::StartDrain(number, process) => {
            let lost = lost_newest(world, number, account_of(world, number, process));
            let machine = &mut world.machines[number];
            let account = machine.login;
            // The daemon's drain settles nothing of a command that is at work: the mission's lock is held.
            if machine.foreground_at.is_none() {
                let log = machine.log.clone();
                machine.queue(account).settle(&log);
            }
            machine.queue(account).rewound |= lost && world.defect != Some(Defect::NoReceiptCheck);
            *machine.command_mut(process) = Some(Command::Drain { account, step: DrainStep::Send });
        }
        Action::StartResend(number) => {
            let account = world.machines[number].login;
            let receipts = &world.machines[number].queues[account as usize].receipts;
            let missing = receipts
                .iter()
                .copied()
                .filter(|row| state_of(world, account, *row) == ReceiptState::Missing)
                .collect();
            world.machines[number].foreground_at = Some(Command::Resend { account, missing });
        }
        Action::Advance(number, process) => advance(world, number, process),
        Action::Crash(number, process) => {
            let machine = &mut world.machines[number];
            *machine.command_mut(process) = None;
            if process == Process::Daemon {
                // The record stays; the lock is the kernel's to release.
                machine.daemon = None;
            }
        }
        Action::StartDaemon(number) => world.machines[number].start_daemon(),
        Action::StopDaemon(number) => {
            let machine = &mut world.machines[number];
            machine.daemon = None;
            machine.record = None;
            machine.daemon_at = None;
        }
        Action::RemoveOrphan(number) => world.machines[number].record = None,
        Action::Retry(number) => {
            let machine = &mut world.machines[number];
            let (account, log) = (machine.login, machine.log.clone());
            let queue = machine.queue(account);
            for (row, instant) in std::mem::take(&mut queue.parked) {
                if log.contains(&row) {
                    queue.waiting.insert(row, (Hold::Free as u8, instant));
                } else {
                    queue.parked.insert(row, instant);
                }
            }
        }
        Action::Handle(request, kept) => {
            if kept == Kept::No {
                world.requests.remove(&request);
            }
            let is_new = world.server.rows[request.account as usize].insert(request.row);
            let status = if is_new { EventStatus::Accepted } else { EventStatus::Duplicate };
            let machine = &mut world.machines[request.machine];
            if let Some(Command::Drain { account, step: DrainStep::Await(row, answer @ None) }) =
                machine.command_mut(request.process)
                && (*account, *row) == (request.account, request.row)
            {
                *answer = Some(status);
            }
        }
        Action::Lose(request) => {
            world.requests.remove(&request);
        }
        Action::Switch(number) => {
            let machine = &mut world.machines[number];
            machine.login = match machine.login {
                Account::Ada => Account::Bo,
                Account::Bo => Account::Ada,
            };
            world.budget.switches -= 1;
        }
        Action::OptOut(number) => {
            world.budget.decisions -= 1;
            let machine = &mut world.machines[number];
            machine.consent = Consent::OptedOut;
            machine.instant += 1;
            let waiting: Rows = machine
                .queues
                .iter()
                .flat_map(|queue| queue.waiting.keys().chain(queue.prepared.keys()))
                .copied()
                .collect();
            machine.withdrawn.extend(waiting);
        }
        Action::OptIn(number) => {
            world.budget.decisions -= 1;
            let machine = &mut world.machines[number];
            machine.instant += 1;
            let now = Timestamp::from_second(i64::from(machine.instant)).unwrap_or_default();
            machine.consent = Consent::OptedIn(Start { captured: now, foreign: now });
        }
        Action::Release(number) => {
            let machine = &mut world.machines[number];
            let (login, instant) = (machine.login, machine.instant);
            let released: Rows = machine.queue(login).waiting.keys().copied().collect();
            for place in machine.queue(login).waiting.values_mut() {
                *place = (Hold::Free as u8, instant);
            }
            machine.withdrawn.retain(|row| !released.contains(row));
        }
        Action::CopyHome => {
            world.budget.copies -= 1;
            let copy = world.machines[0].copied();
            world.machines.push(copy);
        }
        Action::Backup => {
            world.budget.restores -= 1;
            world.backup = Some(world.server.clone());
        }
        Action::Restore => {
            if let Some(backup) = world.backup.take() {
                world.server = backup;
                world.was_restored = true;
                // It has to be stopped for that: no drain reaches it meanwhile.
                world.requests.clear();
                for machine in &mut world.machines {
                    for process in [Process::Foreground, Process::Daemon] {
                        if matches!(
                            machine.command(process),
                            Some(Command::Drain { .. } | Command::Resend { .. })
                        ) {
                            *machine.command_mut(process) = None;
                        }
                    }
                }
            }
        }
    }
}

fn account_of(world: &World, number: usize, process: Process) -> Account {
    let machine = &world.machines[number];
    match process {
        Process::Foreground => machine.login,
        Process::Daemon => machine.daemon.unwrap_or(machine.login),
    }
}

/// The server's answer about a receipt.
pub(super) fn state_of(world: &World, account: Account, row: Row) -> ReceiptState {
    if world.server.rows[account as usize].contains(&row) {
        ReceiptState::Held
    } else {
        ReceiptState::Missing
    }
}

/// Whether the server lacks a row that the receipt check names: the newest receipts, back to one of a row that was new to
/// the server.
pub(super) fn lost_newest(world: &World, number: usize, account: Account) -> bool {
    let queue = &world.machines[number].queues[account as usize];
    let mut newest = queue.receipts.iter().rev();
    let were_there = newest.clone().take_while(|row| queue.duplicates.contains(row)).take(MOST_THERE_BEFORE);
    let new = newest.find(|row| !queue.duplicates.contains(row));
    let is_lost = |row: &Row| state_of(world, account, *row) == ReceiptState::Missing;
    !queue.rewound && were_there.chain(new).any(is_lost)
}

fn advance(world: &mut World, number: usize, process: Process) {
    let Some(command) = world.machines[number].command_mut(process).take() else { return };
    let machine = &mut world.machines[number];
    let instant = machine.instant;
    let next = match command {
        Command::Capture { row, account, step: CaptureStep::Append } => {
            machine.log.insert(row);
            Some(Command::Capture { row, account, step: CaptureStep::Confirm })
        }
        Command::Capture { row, account, step: CaptureStep::Confirm } => {
            let queue = machine.queue(account);
            if let Some(instant) = queue.prepared.remove(&row) {
                queue.waiting.insert(row, (Hold::Free as u8, instant));
            }
            world.acknowledged.insert(row);
            None
        }
        Command::Migrate { account, step: MigrateStep::Copy } => {
            let claimed = machine.claims[account as usize].clone();
            let queue = machine.queue(account);
            for row in claimed {
                if queue.imported.insert(row) && !queue.receipts.contains(&row) {
                    queue.waiting.entry(row).or_insert((Hold::Foreign as u8, instant));
                }
            }
            Some(Command::Migrate { account, step: MigrateStep::Clear })
        }
        Command::Migrate { account, step: MigrateStep::Clear } => {
            let claimed = std::mem::take(&mut machine.claims[account as usize]);
            machine.legacy.retain(|row| !claimed.contains(row));
            None
        }
        // Configuration and session are read again before each request.
        Command::Drain { account, step: DrainStep::Send }
            if machine.login != account && world.defect != Some(Defect::OldSession) =>
        {
            None
        }
        Command::Drain { account, step: DrainStep::Send } => {
            machine.next_to_send(account, world.defect).map(|row| {
                if machine.withdrawn.contains(&row) {
                    world.sent_without_consent.insert(row);
                }
                if world.defect == Some(Defect::ReceiptAtSend) {
                    machine.queue(account).record(row, EventStatus::Accepted);
                }
                // The token is that of the session as it is now.
                world.requests.insert(Request { machine: number, process, account: machine.login, row });
                Command::Drain { account, step: DrainStep::Await(row, None) }
            })
        }
        // No answer in time.
        Command::Drain { step: DrainStep::Await(_, None), .. } => None,
        Command::Drain { account, step: DrainStep::Await(row, Some(status)) } => match status {
            EventStatus::Accepted | EventStatus::Duplicate => {
                // Only after a restore it matters which receipts are of duplicates.
                let may_be_restored = world.backup.is_some() || world.budget.restores > 0;
                let status = if may_be_restored { status } else { EventStatus::Accepted };
                machine.queue(account).record(row, status);
                Some(Command::Drain { account, step: DrainStep::Send })
            }
            EventStatus::Rejected => None,
        },
        Command::Resend { account, missing } => {
            machine.queue(account).resend(&missing);
            None
        }
    };
    *world.machines[number].command_mut(process) = next;
}
