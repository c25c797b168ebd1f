//! `sync parked drop`.

use crate::args::ParkedDropArgs;
use crate::error::CliError;
use crate::report::{Document, Report, counted};
use gate::CurePermit;
use queue::Cure;
use serde::Serialize;

/// Runs the verb: all of the rows, or none.
pub(super) fn run(permit: Option<&CurePermit>, args: &ParkedDropArgs) -> Result<Report, CliError> {
    let mut ids = args.ids.clone();
    ids.sort_unstable();
    ids.dedup();
    let permit = permit.ok_or_else(|| super::unknown(None, ids.first().copied().unwrap_or_default()))?;
    Cure::open(permit)?.drop_parked(&ids, &args.reason)?;
    Ok(Report::of(&Dropped { result: "dropped", ids, reason: args.reason.clone() }))
}

/// What is gone.
#[derive(Debug, Serialize)]
struct Dropped {
    result: &'static str,
    ids: Vec<i64>,
    reason: String,
}

impl Document for Dropped {
    fn text(&self) -> String {
        let rows = counted(self.ids.len() as u64, "row", "rows");
        format!("dropped {rows}; a receipt of each keeps the reason\n")
    }
}
