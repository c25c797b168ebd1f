//! `agent status materialize`: writes status.json from the log.

use crate::args::MaterializeArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::report::{Document, Report};
use mission::Clock;
use mission::command::status::materialize;
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;

/// Runs the verb.
pub(crate) fn run(context: &Context, args: &MaterializeArgs) -> Result<Report, CliError> {
    let snapshot = materialize(&context.project()?, args.mission.as_deref(), &Clock::system())?;
    Ok(Report::of(&Materialized(snapshot)))
}

/// The content of status.json: exactly that, so no key of ours.
#[derive(Serialize)]
#[serde(transparent)]
struct Materialized(Value);

impl Document for Materialized {
    fn text(&self) -> String {
        let Self(snapshot) = self;
        let slug = snapshot["mission_slug"].as_str().unwrap_or_default();
        let events = snapshot["event_count"].as_u64().unwrap_or_default();
        let mut out = format!("{slug}: status.json holds {events} lane changes\n");
        for (lane, count) in snapshot["summary"].as_object().into_iter().flatten() {
            let count = count.as_u64().unwrap_or_default();
            if count > 0 {
                let _ = writeln!(out, "  {lane:<12} {count}");
            }
        }
        out
    }
}
