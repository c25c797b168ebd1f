//! The promises of the protocol, as properties of a state.

use super::action::{Action, Kept, apply, lost_newest};
use super::world::{Account, Process, Row, World};
use contract::Consent;

fn is_on_server(world: &World, row: Row) -> bool {
    Account::BOTH.iter().any(|account| world.server.rows[*account as usize].contains(&row))
}

/// Every row that a command called captured is in a queue DB, in the legacy queue DB or on the server; after a restore
/// also where its receipt kept the bytes.
pub(super) fn acknowledged_is_present(world: &World) -> bool {
    world.acknowledged.iter().all(|row| {
        is_on_server(world, *row)
            || world.machines.iter().any(|machine| {
                machine.legacy.contains(row)
                    || machine.queues.iter().any(|queue| {
                        queue.waiting.contains_key(row)
                            || queue.parked.contains_key(row)
                            || (queue.prepared.contains_key(row) && machine.log.contains(row))
                            || (world.was_restored
                                && queue.receipts.contains(row)
                                && queue.sent.contains(row))
                    })
            })
    })
}

/// A row is in the queue DB and the team of the account that captured or claimed it, and in no other.
pub(super) fn rows_keep_their_account(world: &World) -> bool {
    Account::BOTH.into_iter().all(|account| {
        let is_own = |row: &Row| world.accounts.get(row) == Some(&account);
        world.server.rows[account as usize].iter().all(is_own)
            && world
                .requests
                .iter()
                .filter(|request| request.account == account)
                .all(|request| is_own(&request.row))
            && world.machines.iter().all(|machine| {
                let queue = &machine.queues[account as usize];
                queue.waiting.keys().chain(queue.prepared.keys()).chain(&queue.receipts).all(is_own)
            })
    })
}

/// A row waits, is prepared, is parked, or has a receipt: one of these, and at most one receipt.
pub(super) fn queue_holds_a_row_once(world: &World) -> bool {
    world.machines.iter().flat_map(|machine| &machine.queues).all(|queue| {
        world.accounts.keys().all(|row| {
            let receipts = queue.receipts.iter().filter(|receipt| *receipt == row).count();
            let places = [
                queue.waiting.contains_key(row),
                queue.prepared.contains_key(row),
                queue.parked.contains_key(row),
            ];
            receipts + places.into_iter().filter(|is_there| *is_there).count() <= 1
        })
    })
}

/// The server has every acknowledged row, in the team of its account.
pub(super) fn all_delivered(world: &World) -> bool {
    world.acknowledged.iter().all(|row| {
        world.accounts.get(row).is_some_and(|account| world.server.rows[*account as usize].contains(row))
    })
}

/// Progress: whatever happened, the commands that the program names deliver every acknowledged row. Processes at work
/// are killed first.
pub(super) fn can_be_delivered(world: &World) -> bool {
    let mut world = world.clone();
    world.requests.clear();
    for number in 0..world.machines.len() {
        for process in [Process::Foreground, Process::Daemon] {
            apply(&mut world, Action::Crash(number, process));
        }
        apply(&mut world, Action::RemoveOrphan(number));
        if world.machines[number].consent == Consent::OptedOut {
            world.budget.decisions += 1;
            apply(&mut world, Action::OptIn(number));
        }
        for _ in Account::BOTH {
            world.budget.switches += 1;
            apply(&mut world, Action::Switch(number));
            let account = world.machines[number].login;
            apply(&mut world, Action::StartMigrate(number));
            finish(&mut world, number);
            let log = world.machines[number].log.clone();
            world.machines[number].queue(account).settle(&log);
            apply(&mut world, Action::Retry(number));
            apply(&mut world, Action::Release(number));
            drain(&mut world, number, account);
            if world.machines[number].queues[account as usize].rewound {
                apply(&mut world, Action::StartResend(number));
                finish(&mut world, number);
                apply(&mut world, Action::Release(number));
                drain(&mut world, number, account);
            }
        }
    }
    all_delivered(&world)
}

/// Advances the command in the foreground to its end.
fn finish(world: &mut World, number: usize) {
    while world.machines[number].foreground_at.is_some() {
        apply(world, Action::Advance(number, Process::Foreground));
    }
}

/// One `sync now` on a network that loses nothing.
fn drain(world: &mut World, number: usize, account: Account) {
    let has_work = world.machines[number].next_to_send(account, world.defect).is_some()
        || lost_newest(world, number, account);
    if !has_work || !world.is_coherent(number, account) {
        return;
    }
    apply(world, Action::StartDrain(number, Process::Foreground));
    while world.machines[number].foreground_at.is_some() {
        apply(world, Action::Advance(number, Process::Foreground));
        while let Some(request) = world.requests.first().copied() {
            apply(world, Action::Handle(request, Kept::No));
        }
    }
}
