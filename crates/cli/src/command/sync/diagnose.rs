//! `sync diagnose`: every waiting row, judged by the published event contract. Finds before the server
//! does what it would refuse; changes nothing, sends nothing, and ends with 0 whatever it finds in the rows it can read.

use crate::command::sync::export::{UnreadParts, active_queue, pass_on};
use crate::report::{counted, row_name};
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use contract::event::{Tolerance, validate_event};
use contract::json::Node;
use contract::text::printable;
use queue::{Kind, WaitingRow, WaitingRows};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Validate every waiting row against the published event contract
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty sync diagnose --all")]
pub(crate) struct DiagnoseArgs {
    /// List valid rows as well
    #[arg(long)]
    all: bool,
}

impl Verb for DiagnoseArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let (mut diagnosis, mut damage) = (Diagnosis::default(), UnreadParts::default());
        diagnosis.total = pass_on(WaitingRows::of(&active_queue(context)?), &mut damage, |row| {
            let verdict = RowVerdict::of(row);
            match &verdict.error_category {
                None => diagnosis.valid += 1,
                Some(category) => {
                    diagnosis.invalid += 1;
                    *diagnosis.categories.entry(category.clone()).or_default() += 1;
                }
            }
            if self.all || !verdict.valid {
                diagnosis.results.push(verdict);
            }
            Ok(true)
        })?;
        diagnosis.damage = damage;
        Ok(Report::exiting(diagnosis.damage.exit(), &diagnosis))
    }
}

/// Findings. `results` names the rows that are not valid, and with `--all` every row.
#[derive(Debug, Default, Serialize)]
struct Diagnosis {
    total: u64,
    valid: u64,
    invalid: u64,
    categories: BTreeMap<String, u64>,
    results: Vec<RowVerdict>,
    #[serde(flatten)]
    damage: UnreadParts,
}

/// One row.
#[derive(Debug, Serialize)]
struct RowVerdict {
    kind: Kind,
    /// Null for a body.
    event_id: Option<String>,
    event_type: Option<String>,
    /// The seven key columns of a body as a JSON array.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    valid: bool,
    errors: Vec<String>,
    /// A rejection code of the published contract, or `UNREADABLE_ROW`.
    error_category: Option<String>,
}

/// A row that storage itself cannot offer to a server.
const UNREADABLE: &str = "UNREADABLE_ROW";

impl RowVerdict {
    fn of(row: WaitingRow) -> Self {
        let (errors, error_category) = match judge_row(&row) {
            Ok(()) => (Vec::new(), None),
            Err((error, category)) => (vec![error], Some(category.to_owned())),
        };
        let (event_id, key) = match row.kind {
            Kind::Event => (Some(row.key), None),
            Kind::Body => (None, Some(row.key)),
        };
        let valid = errors.is_empty();
        Self { kind: row.kind, event_id, event_type: row.event_type, key, valid, errors, error_category }
    }
}

fn judge_row(row: &WaitingRow) -> Result<(), (String, &'static str)> {
    if let Some(problem) = &row.problem {
        return Err((problem.clone(), UNREADABLE));
    }
    if row.kind == Kind::Body {
        return Ok(());
    }
    let event = Node::parse(&row.data).map_err(|error| (error.to_string(), UNREADABLE))?;
    // As a server judges it: what it takes, flagged, is not wrong.
    match validate_event(&event, Tolerance::LegacyShape) {
        Ok(_) => Ok(()),
        Err(rejection) => Err((rejection.to_string(), rejection.code.name())),
    }
}

/// More rows than these are counted, and named by `--json`.
const SHOWN: usize = 50;

impl Render for Diagnosis {
    fn text(&self) -> String {
        let total = if self.damage.is_none() {
            counted(self.total, "row waits", "rows wait")
        } else {
            counted(self.total, "readable row waits", "readable rows wait")
        };
        let mut out = format!("{total}: {} valid, {} not\n", self.valid, self.invalid);
        for (category, rows) in &self.categories {
            let _ = writeln!(out, "  {category}: {rows}");
        }
        for verdict in self.results.iter().take(SHOWN) {
            let name = verdict.event_id.as_deref().or(verdict.key.as_deref()).unwrap_or_default();
            let _ = writeln!(
                out,
                "{} {} {}{}",
                if verdict.valid { "valid  " } else { "invalid" },
                if verdict.kind == Kind::Event { "event" } else { "body" },
                row_name(name),
                verdict
                    .event_type
                    .as_deref()
                    .map(|name| format!(" ({})", printable(name)))
                    .unwrap_or_default()
            );
            for error in &verdict.errors {
                let _ = writeln!(out, "  {}", printable(error));
            }
        }
        if self.results.len() > SHOWN {
            let _ = writeln!(out, "and {} more, which --json names", self.results.len() - SHOWN);
        }
        for line in self.damage.lines() {
            let _ = writeln!(out, "{line}");
        }
        out
    }
}
