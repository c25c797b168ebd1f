//! `sync parked ...`: rows that were refused for good, or could not enter their table. Each keeps its
//! payload and its reason until somebody puts it back or drops it.

mod drop;
mod export;
mod list;
mod retry;
mod show;

use crate::args::ParkedCommand;
use crate::command::sync::scoped::{Patience, cure_permit, is_absent};
use crate::context::Context;
use crate::error::CliError;
use crate::report::Report;
use contract::text::printable;
use gate::CurePermit;
use jiff::Timestamp;
use queue::{ParkedRow, QueueError, observe_parked};
use std::path::Path;

/// Runs the verb.
pub(crate) fn run(context: &Context, command: ParkedCommand) -> Result<Report, CliError> {
    // Without an account nothing can be parked; without a queue DB nothing is, and looking makes none.
    let looks = !matches!(command, ParkedCommand::Retry(_) | ParkedCommand::Drop(_));
    let permit = cure_permit(context, Patience::of(looks))?.filter(|permit| !is_absent(permit.queue_path()));
    let permit = permit.as_ref();
    match command {
        ParkedCommand::List(args) => list::run(permit, &args),
        ParkedCommand::Show(args) => show::run(permit, &args),
        ParkedCommand::Retry(args) => retry::run(permit, &args),
        ParkedCommand::Export(args) => export::run(permit, &args),
        ParkedCommand::Drop(args) => drop::run(permit, &args),
    }
}

/// How many parked rows are read at a time.
const PAGE: usize = 1_000;

/// Shows every parked row, page by page, until `visit` has seen enough and says false.
fn each(path: &Path, visit: &mut dyn FnMut(ParkedRow) -> bool) -> Result<(), CliError> {
    let mut after = i64::MIN;
    loop {
        let page = observe_parked(path, after, PAGE).map_err(QueueError::from)?;
        let full = page.len() == PAGE;
        for row in page {
            after = row.id;
            if !visit(row) {
                return Ok(());
            }
        }
        if !full {
            return Ok(());
        }
    }
}

/// No row of that id.
fn unknown(permit: Option<&CurePermit>, id: i64) -> CliError {
    let place = permit.map(|permit| format!("{}: ", contract::text::path(permit.queue_path())));
    CliError::failed("PARKED_ROW_UNKNOWN", format!("{}no parked row {id}", place.unwrap_or_default()))
}

/// A moment as people read it.
fn moment(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |at| at.to_string())
}

/// The project as people read it.
fn project(row: &ParkedRow) -> String {
    row.project_uuid.as_deref().map_or_else(|| "no project".to_owned(), |uuid| printable(uuid).into_owned())
}
