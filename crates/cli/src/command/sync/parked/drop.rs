use crate::command::sync::scoped::Patience;
use crate::report::counted;
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use queue::Cure;
use serde::Serialize;

/// Delete parked rows for good; a receipt keeps the reason
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty sync parked drop 12 --reason \"sent by hand\"")]
pub(crate) struct ParkedDropArgs {
    /// Ids of the rows: all of them are dropped, or none
    #[arg(value_name = "ID", required = true)]
    ids: Vec<i64>,
    /// Reason; kept in the receipt
    #[arg(long, value_name = "TEXT", value_parser = not_blank)]
    reason: String,
}

impl Verb for ParkedDropArgs {
    fn class(&self) -> Class {
        Class::Curing
    }

    /// Runs the verb: all of the rows, or none.
    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let permit = super::permit(context, Patience::Cure)?;
        let permit = permit.as_ref();
        let mut ids = self.ids.clone();
        ids.sort_unstable();
        ids.dedup();
        let permit = permit.ok_or_else(|| super::unknown(None, ids.first().copied().unwrap_or_default()))?;
        Cure::open(permit)?.drop_parked(&ids, &self.reason)?;
        Ok(Report::of(&Dropped { result: "dropped", ids, reason: self.reason.clone() }))
    }
}

/// Rows that were dropped.
#[derive(Debug, Serialize)]
struct Dropped {
    result: &'static str,
    ids: Vec<i64>,
    reason: String,
}

impl Render for Dropped {
    fn text(&self) -> String {
        let rows = counted(self.ids.len() as u64, "row", "rows");
        format!("dropped {rows}; a receipt of each keeps the reason\n")
    }
}

fn not_blank(text: &str) -> Result<String, &'static str> {
    if contract::scope::trim(text).is_empty() { Err("give a reason") } else { Ok(text.to_owned()) }
}
