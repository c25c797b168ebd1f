//! Recovery: settles the rows that an interrupted command left in the queue, also of missions that no command will
//! touch again.
//!
//! They are settled under the mission's lock alone, because the process that holds it may be at work on just
//! these rows. Nothing here waits: what another process has locked, or cannot be read, stays.

use crate::error::{MissionError, Result, chain};
use crate::mission_log::read_elsewhere;
use crate::project::Project;
use crate::transaction::{checkout_of, lock_mission_now};
use contract::ExitCode;
use queue::{Cure, Settled, Unsettled};

/// Settles the leftovers of one mission; nothing when its checkout is gone or a command is at work.
pub fn settle(cure: &mut Cure, unsettled: &Unsettled) -> Result<Option<Settled>> {
    let Some(checkout) = unsettled.checkout.as_deref().filter(|checkout| checkout.is_dir()) else {
        return Ok(None);
    };
    // Another repository may be there now, a directory of one, or none.
    let Some(project) = Project::read(checkout).ok().filter(|project| checkout_of(project) == *checkout)
    else {
        return Ok(None);
    };
    let Some(_held) = lock_mission_now(&project, &unsettled.mission_slug) else { return Ok(None) };
    let settled = cure.settle(unsettled, read_elsewhere).map_err(|error| MissionError::Capture {
        problem: chain(&error),
        exit: ExitCode::Failed,
        remedy: error.remedy(),
    })?;
    Ok(Some(settled))
}
