use super::each;
use crate::command::sync::scoped::Patience;
use crate::report::counted;
use crate::verb::{Args, Class, CliError, CommandContext, ExitCode, Render, Report, Verb};
use clap::ArgGroup;
use contract::text::printable;
use queue::{Cure, Unparked};
use serde::Serialize;
use std::fmt::Write as _;

/// Put parked rows back into the queue
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["ids", "all", "reason"]).multiple(false), after_help = "Example: spec-kitty sync parked retry 12 13")]
pub(crate) struct ParkedRetryArgs {
    /// Ids of the rows
    #[arg(value_name = "ID")]
    ids: Vec<i64>,
    /// Every parked row
    #[arg(long)]
    all: bool,
    /// Every row parked for this reason
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
}

impl Verb for ParkedRetryArgs {
    fn class(&self) -> Class {
        Class::Curing
    }

    /// Exit 1 when a row stays parked.
    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let permit = super::permit(context, Patience::Cure)?;
        let permit = permit.as_ref();
        let Some(permit) = permit else {
            return match self.ids.first() {
                Some(id) => Err(super::unknown(None, *id)),
                None => Ok(Report::of(&Retried(Unparked::default()))),
            };
        };
        let mut ids = self.ids.clone();
        if self.all || self.reason.is_some() {
            each(permit.queue_path(), &mut |row| {
                if self.reason.as_ref().is_none_or(|reason| *reason == row.reason) {
                    ids.push(row.id);
                }
                true
            })?;
        }
        let done = if ids.is_empty() {
            Unparked::default()
        } else {
            Cure::open(permit)?.retry_parked(&ids, mission::mission_log::read_elsewhere)?
        };
        let exit = if done.kept.is_empty() { ExitCode::Ok } else { ExitCode::Failed };
        Ok(Report::exiting(exit, &Retried(done)))
    }
}

/// Rows that wait again, and rows that stay parked.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Retried(Unparked);

impl Render for Retried {
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
