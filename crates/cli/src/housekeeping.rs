//! Housekeeping of a command that writes, after its gate (contract sections 1, 3 and 7). It writes the
//! session cache and the legacy count cache, so that the next gate neither derives a key nor scans. It settles
//! interrupted commands of any mission.
//!
//! None of it is needed for the command to do its work, so a failure is only reported.

use crate::context::CommandContext;
use crate::error::CliError;
use contract::text::printable;
use gate::CurePermit;
use identity::privacy::restrict_directories;
use identity::refresh_session_cache;
use preflight::observer::Observation;
use queue::{Cure, QueueError, observe_unsettled};

/// Writes both caches as `observation` requires; returns failures as notes.
pub(crate) fn refresh_caches(context: &CommandContext, observation: &Observation) -> Vec<String> {
    let session_cache = || -> Result<(), CliError> {
        refresh_session_cache(context.home()?, &observation.login)?;
        Ok(())
    };
    let legacy_counts = || -> Result<(), CliError> {
        if let Some(permit) = observation.legacy_count_permit()
            && queue::record_of_lost_queue(permit.queue_path()).is_none()
        {
            Cure::open(&permit)?.write_legacy_counts()?;
        }
        Ok(())
    };
    let failures = [session_cache(), legacy_counts()].into_iter().filter_map(Result::err);
    failures.map(|error| format!("warning: {}", printable(&error.summary))).collect()
}

/// Narrows our own directories and settles what interrupted commands left of every mission that no process is
/// working on. Failures are returned as notes.
pub(crate) fn settle_leftovers(context: &CommandContext, permit: Option<CurePermit>) -> Vec<String> {
    if let Ok(home) = context.home() {
        restrict_directories(home);
    }
    let settle = || -> Result<(), CliError> {
        let Some(permit) = permit else { return Ok(()) };
        let unsettled = observe_unsettled(permit.queue_path()).map_err(QueueError::from)?;
        if unsettled.is_empty() {
            return Ok(());
        }
        let mut cure = Cure::open(&permit)?;
        for mission in &unsettled {
            mission::recovery::settle(&mut cure, mission)?;
        }
        Ok(())
    };
    settle().err().map(|error| format!("warning: {}", printable(&error.summary))).into_iter().collect()
}
