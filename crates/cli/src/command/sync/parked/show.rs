//! `sync parked show`.

use super::{moment, project, unknown};
use crate::args::ParkedShowArgs;
use crate::error::CliError;
use crate::report::{Document, Report};
use contract::text::printable;
use gate::CurePermit;
use queue::{ParkedContent, QueueError, observe_parked_row};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;

/// Runs the verb.
pub(super) fn run(permit: Option<&CurePermit>, args: &ParkedShowArgs) -> Result<Report, CliError> {
    let found = match permit {
        Some(permit) => observe_parked_row(permit.queue_path(), args.id).map_err(QueueError::from)?,
        None => None,
    };
    let content = found.ok_or_else(|| unknown(permit, args.id))?;
    Ok(Report::of(&Shown(content)))
}

/// One row with everything that was kept of it.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Shown(ParkedContent);

impl Document for Shown {
    fn text(&self) -> String {
        let ParkedContent { row, columns, payload } = &self.0;
        let mut out = String::new();
        let mut line = |label: &str, value: &str| {
            let _ = writeln!(out, "{label:<9}: {}", printable(value));
        };
        line("Id", &row.id.to_string());
        line("Kind", row.kind);
        line("Key", &row.key);
        line("Project", &project(row));
        line("Reason", &row.reason);
        line("Detail", &row.detail);
        line("Parked at", &moment(row.parked_at));
        line("Columns", &columns.to_string());
        line("Bytes", &row.bytes.to_string());
        out.push('\n');
        let text = match payload {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        for text in text.lines() {
            let _ = writeln!(out, "{}", printable(text));
        }
        out
    }
}
