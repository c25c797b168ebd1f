//! `sync parked ...`: rows that were refused for good, or could not enter their table. Each keeps its
//! payload and its reason until it is put back or dropped.

mod drop;
mod export;
mod list;
mod retry;
mod show;

use crate::command::sync::scoped::{Patience, cure_permit, is_absent};
use crate::verb::{CliError, CommandContext, Verb};
use clap::Subcommand;
use contract::Remedy;
use contract::text::printable;
use gate::CurePermit;
use jiff::Timestamp;
use queue::{ParkedRow, QueueError, observe_parked};
use std::path::Path;

// `sync parked ...`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum ParkedCommand {
    List(list::ParkedListArgs),
    Show(show::ParkedShowArgs),
    Retry(retry::ParkedRetryArgs),
    Export(export::ParkedExportArgs),
    Drop(drop::ParkedDropArgs),
}

impl ParkedCommand {
    pub(super) fn verb(self) -> Box<dyn Verb> {
        match self {
            Self::List(args) => Box::new(args),
            Self::Show(args) => Box::new(args),
            Self::Retry(args) => Box::new(args),
            Self::Export(args) => Box::new(args),
            Self::Drop(args) => Box::new(args),
        }
    }
}

/// The permit for a queue DB that exists. Without an account, or without a queue DB, no row is parked.
fn permit(context: &CommandContext, patience: Patience) -> Result<Option<CurePermit>, CliError> {
    Ok(cure_permit(context, patience)?.filter(|permit| !is_absent(permit.queue_path())))
}

/// Most parked rows that are read at a time.
const PAGE: usize = 1_000;

/// Visits every parked row, page by page, until `visit` returns false.
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
    CliError::failed("PARKED_ROW_UNKNOWN", format!("{}no parked row `{id}`", place.unwrap_or_default()))
        .remedy(Remedy::Advice("`spec-kitty sync parked list` shows the parked rows".to_owned()))
}

/// A moment as people read it.
fn moment(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |at| at.to_string())
}

/// The project as people read it.
fn project(row: &ParkedRow) -> String {
    row.project_uuid.as_deref().map_or_else(|| "no project".to_owned(), |uuid| printable(uuid).into_owned())
}
