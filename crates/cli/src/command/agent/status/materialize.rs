//! `agent status materialize`: writes status.json from the log.

use crate::args::MissionArg;
use crate::command::agent::tasks::list::warnings;
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use mission::Clock;
use mission::command::status::materialize;
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;

/// Write status.json from the log, and print it
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty agent status materialize --mission tea-timer")]
pub(crate) struct MaterializeArgs {
    #[command(flatten)]
    mission: MissionArg,
}

impl Verb for MaterializeArgs {
    fn class(&self) -> Class {
        Class::Local
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let (snapshot, odd) =
            materialize(&context.project()?, self.mission.mission.as_deref(), &Clock::system())?;
        Ok(warnings(&odd).into_iter().fold(Report::of(&Materialized(snapshot)), Report::note))
    }
}

/// The content of status.json: exactly that, so no key of ours.
#[derive(Serialize)]
#[serde(transparent)]
struct Materialized(Value);

impl Render for Materialized {
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
