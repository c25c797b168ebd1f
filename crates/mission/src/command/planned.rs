//! A command that is planned and not yet applied.

use crate::clock::Clock;
use crate::error::Result;
use crate::outgoing::Outgoing;
use crate::project::Project;
use crate::transaction::{Change, Done, lock_mission};

/// Most races for the coordination branch that a command may lose before it gives up.
const MOST_LOST: u32 = 8;

/// Repeats `attempt` while another program moves the coordination branch first. Each attempt reads and plans
/// afresh: a lost one has written nothing, and the branch holds other rows now.
pub(super) fn until_won<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 0..MOST_LOST {
        match attempt() {
            Err(error) if error.is_lost_race() => {}
            done => return done,
        }
    }
    attempt()
}

/// A validated command: what was asked, what will be written, and its report as far as it is known.
#[derive(Debug)]
pub struct Planned<R, O> {
    /// To plan again under the lock.
    pub(super) request: R,
    /// Nothing, when there is nothing to do.
    pub(super) change: Option<Change>,
    pub(super) outcome: O,
    pub(super) plan: fn(&Project, &R, &Clock) -> Result<Planned<R, O>>,
}

/// A report that is completed when the change was applied.
pub trait Recorded {
    /// Takes over commit and capture.
    fn record(&mut self, done: Done);

    /// The warnings that the command prints.
    fn warnings(&mut self) -> &mut Vec<String>;
}

impl<R, O: Recorded> Planned<R, O> {
    /// Report of the command once it is applied.
    pub fn outcome(&self) -> &O {
        &self.outcome
    }

    /// Whether applying it will write anything.
    pub fn writes(&self) -> bool {
        self.change.is_some()
    }

    /// Takes the mission's lock, plans again and writes. What was planned before was read without the
    /// lock: another process may have written any of those files since.
    pub fn apply(self, project: &Project, outgoing: Option<&Outgoing<'_>>, clock: &Clock) -> Result<O> {
        let Some(change) = self.change else { return Ok(self.outcome) };
        change.check_git(project)?;
        let lock = lock_mission(project, &change.mission.slug)?;
        // One log is in memory, and it is read again only if another process changed it meanwhile.
        change.log.keep(project);
        until_won(|| {
            let Self { change, mut outcome, .. } = (self.plan)(project, &self.request, clock)?;
            let Some(change) = change else { return Ok(outcome) };
            let mut done = change.carry_out(&lock, project, outgoing, clock)?;
            let known = outcome.warnings();
            let new = std::mem::take(&mut done.notes).into_iter().filter(|note| !known.contains(note));
            let new: Vec<String> = new.collect();
            known.extend(new);
            outcome.record(done);
            Ok(outcome)
        })
    }
}
