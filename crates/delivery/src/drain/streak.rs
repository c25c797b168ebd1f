//! Circuit breaker for a server that refuses every request.
//!
//! A refusal of a whole request is weak evidence about the row in it. A proxy, a broken deployment or an address that
//! is no sync server refuses every request that way, with 400 or 413. So a row that was refused alone is parked only
//! on evidence that the server accepts rows of its kind: one that was accepted in the same drain, before or after. Without
//! that evidence it waits.
//!
//! * [`TOO_MANY`] refusals since the last row that was accepted end the drain as `everything_refused`; none of
//!   those rows is parked.
//! * The next drain sends at most [`PROBES`] single rows of the kind until one is accepted: the oldest row, and one
//!   that was not refused yet. Drain by drain the second moves on, so that bad rows at the head of the queue
//!   cannot keep good ones behind them for ever.
//! * A row alone in a queue has no such evidence. It is parked when the server has sent its health document in this
//!   drain and refuses with a document of the protocol. At most `TOO_MANY - 1` rows of a kind are parked that way
//!   until one is accepted.

use super::report::Failure;
use crate::classify::{RowRejection, ServerStop, ServerStopReason};
use queue::{RefusalMemory, RowDigest, RowId, RowOutcome};
use std::collections::HashSet;

/// Refusals since the last row that was accepted that end a drain.
pub(super) const TOO_MANY: usize = 8;
/// Refusals that end a drain after one that ended by them.
const PROBES: usize = 2;
/// Most rows that are remembered as refused; the walk over them begins again after that.
const REMEMBERED: usize = 10_000;

/// A single row whose request was refused as a whole. It still waits.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) row: RowId,
    pub(super) digest: RowDigest,
    /// The event's id, or the document's path in its mission.
    pub(super) name: String,
    /// The mission of a document.
    pub(super) mission_slug: Option<String>,
    pub(super) rejection: RowRejection,
    /// Whether the refusal is a document of the protocol.
    pub(super) by_document: bool,
}

impl Refused {
    /// Outcome with which it is parked.
    pub(super) fn outcome(&self) -> (RowId, RowDigest, RowOutcome) {
        let RowRejection { reason, detail, .. } = &self.rejection;
        let outcome = RowOutcome::Park { reason: (*reason).to_owned(), detail: detail.clone() };
        (self.row, self.digest, outcome)
    }

    /// Its line in the failure report.
    pub(super) fn into_failure(self) -> Failure {
        let failure = Failure::new(&self.name, &self.rejection.detail, self.rejection.category);
        Failure { mission_slug: self.mission_slug, ..failure }
    }
}

/// Next step after a refused row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RefusalStep {
    /// Park it: the server accepts rows of this kind, and has refused this one before.
    Park,
    /// Leave it waiting and continue.
    GoOn,
    /// Leave it waiting, and leave alone what earlier drains saw refused, so that the next row is another one.
    ProbeAnother,
    /// Leave it waiting and end the drain.
    Stop,
}

/// Treatment of the refused rows at the end of a drain.
#[derive(Debug)]
pub(super) enum StreakEnd {
    /// Park them.
    Park(Vec<Refused>),
    /// They wait; with at least one, everything was refused.
    Wait(Vec<Refused>),
}

/// Refusals of rows of one kind, in one drain.
#[derive(Debug, Default)]
pub(super) struct Streak {
    /// Since the last row that was accepted.
    refused: Vec<Refused>,
    /// Refusals that name no single row, since then: of a project, or of a body in unknown words.
    others: usize,
    /// Whether a row of the kind was accepted in this drain.
    accepted: bool,
    /// Memory of earlier drains.
    memory: RefusalMemory,
    /// Of these, the rows that were left alone in this drain.
    passed: Vec<RowId>,
    stopped: bool,
}

impl Streak {
    /// Begins with what earlier drains left.
    pub(super) fn remember(memory: RefusalMemory) -> Self {
        Self { memory, ..Self::default() }
    }

    /// Whether rows are sent one by one until one is accepted.
    pub(super) fn is_probing(&self) -> bool {
        self.memory.braked && !self.accepted
    }

    /// A row was refused.
    pub(super) fn refuse(&mut self, refused: Refused) -> RefusalStep {
        if self.accepted && self.memory.rows.contains(&refused.row) {
            return RefusalStep::Park;
        }
        self.refused.push(refused);
        if self.is_full() {
            self.stopped = true;
            return RefusalStep::Stop;
        }
        if self.is_probing() {
            self.passed = self.memory.rows.iter().copied().collect();
            return RefusalStep::ProbeAnother;
        }
        RefusalStep::GoOn
    }

    /// The rows that [`RefusalStep::ProbeAnother`] is about.
    pub(super) fn passed(&self) -> &[RowId] {
        &self.passed
    }

    /// Something was refused without being about one row; true ends the drain.
    pub(super) fn refuse_other(&mut self) -> bool {
        self.others += 1;
        self.stopped |= self.is_full();
        self.is_full()
    }

    fn is_full(&self) -> bool {
        let most = if self.is_probing() { PROBES } else { TOO_MANY };
        self.refused.len() + self.others >= most
    }

    /// A row was accepted, or judged by name: the rows refused before are bad rows, and those that were passed may
    /// be tried.
    pub(super) fn accept(&mut self) -> (Vec<Refused>, Vec<RowId>) {
        self.accepted = true;
        self.others = 0;
        (std::mem::take(&mut self.refused), std::mem::take(&mut self.passed))
    }

    /// The outcome of the remaining rows; `protocol_seen`: whether the server has shown a document of the
    /// protocol in this drain.
    pub(super) fn end(&mut self, protocol_seen: bool) -> StreakEnd {
        let refused = std::mem::take(&mut self.refused);
        if refused.is_empty() || (self.accepted && !self.stopped) {
            if self.accepted {
                self.memory = RefusalMemory::default();
            }
            return StreakEnd::Park(refused);
        }
        let alone = self.memory.parked_alone + refused.len() as u64;
        let by_document = protocol_seen && refused.iter().all(|refused| refused.by_document);
        let others = self.passed.iter().any(|row| refused.iter().all(|refused| refused.row != *row));
        if by_document && !self.stopped && !others && alone < TOO_MANY as u64 {
            self.memory.parked_alone = alone;
            return StreakEnd::Park(refused);
        }
        if self.accepted {
            self.memory = RefusalMemory::default();
        }
        let known = self.memory.rows.len();
        self.memory.rows.extend(refused.iter().map(|refused| refused.row));
        // Nothing new: every row that waits was refused. The walk begins again.
        if self.memory.rows.len() == known || self.memory.rows.len() > REMEMBERED {
            self.memory.rows = HashSet::new();
        }
        self.memory.braked = true;
        StreakEnd::Wait(refused)
    }

    /// Reason to end the drain now; `last` is the last refusal.
    pub(super) fn stop(&self, last: &str) -> ServerStop {
        everything_refused(self.refused.len() + self.others, last)
    }

    /// Memory for the next drain.
    pub(super) fn memory(&self) -> &RefusalMemory {
        &self.memory
    }
}

/// Stop of a drain at which nothing was accepted.
pub(super) fn everything_refused(refused: usize, last: &str) -> ServerStop {
    let requests = if refused == 1 { "request was" } else { "requests in a row were" };
    ServerStop {
        reason: ServerStopReason::EverythingRefused,
        detail: format!(
            "{refused} {requests} refused as a whole and nothing was accepted, the last with: {last}"
        ),
        asked: None,
    }
}
