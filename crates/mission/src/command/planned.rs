//! A command that is planned and not yet applied.

use crate::change::{Change, Done, lock_mission};
use crate::clock::Clock;
use crate::error::Result;
use crate::outgoing::Outgoing;
use crate::project::Project;

/// A validated command: what was asked, what will be written, and what can be said about it already.
#[derive(Debug)]
pub struct Planned<R, O> {
    /// To plan again, should the log move before the lock is held.
    pub(super) request: R,
    /// Nothing, when there is nothing to do.
    pub(super) change: Option<Change>,
    pub(super) outcome: O,
    pub(super) plan: fn(&Project, &R, &Clock) -> Result<Planned<R, O>>,
}

/// An outcome that learns what carrying out did.
pub trait Recorded {
    /// Takes over commit and capture.
    fn record(&mut self, done: Done);
}

impl<R, O: Recorded> Planned<R, O> {
    /// What will be so once it is applied.
    pub fn outcome(&self) -> &O {
        &self.outcome
    }

    /// Whether applying it will write anything.
    pub fn writes(&self) -> bool {
        self.change.is_some()
    }

    /// Takes the mission's lock, plans again if somebody appended to the log meanwhile, and writes.
    pub fn apply(self, project: &Project, outgoing: Option<&Outgoing<'_>>, clock: &Clock) -> Result<O> {
        let Some(change) = self.change else { return Ok(self.outcome) };
        let lock = lock_mission(project, &change.mission.slug)?;
        let (change, mut outcome) = if change.log.is_current() {
            (change, self.outcome)
        } else {
            let fresh = (self.plan)(project, &self.request, clock)?;
            match fresh.change {
                Some(change) => (change, fresh.outcome),
                None => return Ok(fresh.outcome),
            }
        };
        outcome.record(change.carry_out(&lock, project, outgoing, clock)?);
        Ok(outcome)
    }
}
