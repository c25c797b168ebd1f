use super::{moment, project, unknown};
use crate::command::sync::scoped::Patience;
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use contract::text::printable;
use queue::{ParkedContent, QueueError, observe_parked_row};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;

/// Show one parked row with its columns and its payload
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty sync parked show 12")]
pub(crate) struct ParkedShowArgs {
    /// Id of the row, from `sync parked list`
    id: i64,
}

impl Verb for ParkedShowArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let permit = super::permit(context, Patience::Look)?;
        let permit = permit.as_ref();
        let found = match permit {
            Some(permit) => observe_parked_row(permit.queue_path(), self.id).map_err(QueueError::from)?,
            None => None,
        };
        let content = found.ok_or_else(|| unknown(permit, self.id))?;
        Ok(Report::of(&ParkedRowView(content)))
    }
}

/// One row with everything that was kept of it.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct ParkedRowView(ParkedContent);

impl Render for ParkedRowView {
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
