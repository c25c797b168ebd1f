//! What a command that writes leaves behind after its gate, so that the next gate is cheap: the identity
//! card, and the pin of the legacy queue DB (contract sections 1 and 3).
//!
//! None of it is needed for the command to do its work, so a failure is only said.

use crate::context::Context;
use crate::error::CliError;
use contract::text::printable;
use identity::refresh_card;
use preflight::observer::Observation;
use queue::Cure;

/// Writes card and pin as `observation` asks for them; gives back what went wrong, as notes.
pub(crate) fn keep_house(context: &Context, observation: &Observation) -> Vec<String> {
    let card = || -> Result<(), CliError> {
        refresh_card(context.home()?, &observation.login)?;
        Ok(())
    };
    let pin = || -> Result<(), CliError> {
        // Without rows there is nothing to scan, and nothing to pin.
        let rows =
            observation.legacy.map(|legacy| legacy.totals.total_rows() + legacy.totals.failure_log_rows);
        if rows.unwrap_or_default() > 0
            && let Some(permit) = context.boundary()?.cure_permit()?
        {
            Cure::open(&permit)?.write_pin()?;
        }
        Ok(())
    };
    let failures = [card(), pin()].into_iter().filter_map(Result::err);
    failures.map(|error| format!("warning: {}", printable(&error.summary))).collect()
}
