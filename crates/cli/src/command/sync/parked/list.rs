use super::{each, moment, project};
use crate::command::sync::scoped::Patience;
use crate::report::{counted, row_name};
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use contract::text::printable;
use queue::ParkedRow;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// List parked rows with their reasons
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty sync parked list --reason rejected")]
pub(crate) struct ParkedListArgs {
    /// Only rows parked for this reason, for example `rejected`
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// List at most this many rows
    #[arg(long, value_name = "ROWS", default_value_t = 100)]
    limit: usize,
}

impl Verb for ParkedListArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let permit = super::permit(context, Patience::Look)?;
        let permit = permit.as_ref();
        let mut listing = ParkedListing { reason: self.reason.clone(), ..ParkedListing::default() };
        if let Some(permit) = permit {
            each(permit.queue_path(), &mut |row| {
                if self.reason.as_ref().is_none_or(|reason| *reason == row.reason) {
                    listing.total += 1;
                    *listing.reasons.entry(row.reason.clone()).or_default() += 1;
                    if listing.rows.len() < self.limit {
                        listing.rows.push(row);
                    }
                } else {
                    listing.others += 1;
                }
                true
            })?;
        }
        Ok(Report::of(&listing))
    }
}

/// The parked rows: how many, why, and the first of them.
#[derive(Debug, Default, Serialize)]
struct ParkedListing {
    /// The reason that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    total: u64,
    /// Rows that are parked for another reason than the one that was asked for.
    others: u64,
    reasons: BTreeMap<String, u64>,
    rows: Vec<ParkedRow>,
}

impl Render for ParkedListing {
    fn text(&self) -> String {
        if self.total == 0 {
            return match &self.reason {
                Some(reason) if self.others > 0 => {
                    let others = counted(self.others, "parked row has", "parked rows have");
                    format!("no parked rows of reason `{}`; {others} another\n", printable(reason))
                }
                _ => "no parked rows\n".to_owned(),
            };
        }
        let reasons: Vec<_> =
            self.reasons.iter().map(|(reason, rows)| format!("{rows} {}", printable(reason))).collect();
        let total = counted(self.total, "parked row", "parked rows");
        let mut out = format!("{total}: {}\n", reasons.join(", "));
        for row in &self.rows {
            let _ = writeln!(
                out,
                "{:>6}  {} {}  {}\n        {}, {} bytes, parked {}",
                row.id,
                row.kind,
                row_name(&row.key),
                printable(&row.reason),
                project(row),
                row.bytes,
                moment(row.parked_at)
            );
            if !row.detail.is_empty() {
                let _ = writeln!(out, "        {}", printable(&row.detail));
            }
        }
        let shown = self.rows.len() as u64;
        if shown < self.total {
            let _ = writeln!(out, "and {} more, which --limit shows", self.total - shown);
        }
        out
    }
}
