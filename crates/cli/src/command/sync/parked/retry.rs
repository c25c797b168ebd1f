//! `sync parked retry`.

use super::each;
use crate::args::ParkedRetryArgs;
use crate::error::CliError;
use crate::report::{Document, Report, counted};
use contract::ExitCode;
use contract::text::printable;
use gate::CurePermit;
use queue::{Cure, Unparked};
use serde::Serialize;
use std::fmt::Write as _;

/// Runs the verb. Exit 1 when a row stays parked.
pub(super) fn run(permit: Option<&CurePermit>, args: &ParkedRetryArgs) -> Result<Report, CliError> {
    let Some(permit) = permit else {
        return match args.ids.first() {
            Some(id) => Err(super::unknown(None, *id)),
            None => Ok(Report::of(&Retried(Unparked::default()))),
        };
    };
    let mut ids = args.ids.clone();
    if args.all || args.reason.is_some() {
        each(permit.queue_path(), &mut |row| {
            if args.reason.as_ref().is_none_or(|reason| *reason == row.reason) {
                ids.push(row.id);
            }
            true
        })?;
    }
    let done = if ids.is_empty() { Unparked::default() } else { Cure::open(permit)?.retry_parked(&ids)? };
    let exit = if done.kept.is_empty() { ExitCode::Ok } else { ExitCode::Failed };
    Ok(Report::exiting(exit, &Retried(done)))
}

/// What waits again, and what does not.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Retried(Unparked);

impl Document for Retried {
    fn text(&self) -> String {
        let Unparked { restored, kept } = &self.0;
        if restored.is_empty() && kept.is_empty() {
            return "no parked rows\n".to_owned();
        }
        let mut out = format!("{} again\n", counted(restored.len() as u64, "row waits", "rows wait"));
        for row in kept {
            let _ = writeln!(out, "still parked: {}: {}", row.id, printable(&row.why));
        }
        out
    }
}
