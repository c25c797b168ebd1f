//! `agent status materialize`: writes status.json from the log; of a damaged log it prints what can be read.

use crate::args::MissionArg;
use crate::command::agent::tasks::list::warnings;
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use contract::ExitCode;
use mission::Clock;
use mission::command::status::materialize;
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;

/// Write status.json from the log, and print it
#[derive(Debug, Args)]
#[command(
    after_help = "A log with a damaged line is printed as far as it can be read, and status.json stays as it is (exit \
    code 1).\n\nExample: spec-kitty agent status materialize --mission tea-timer"
)]
pub(crate) struct MaterializeArgs {
    #[command(flatten)]
    mission: MissionArg,
}

impl Verb for MaterializeArgs {
    fn class(&self) -> Class {
        Class::Local
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let done = materialize(&context.project()?, self.mission.mission.as_deref(), &Clock::system())?;
        // What would have written on top of a damaged log has failed, whatever it could show.
        let exit = if done.is_written { ExitCode::Ok } else { ExitCode::Failed };
        let snapshot = MaterializedView { snapshot: done.document, is_written: done.is_written };
        Ok(warnings(&done.warnings).into_iter().fold(Report::exiting(exit, &snapshot), Report::note))
    }
}

/// The content of status.json: exactly that, so no key of ours.
#[derive(Serialize)]
#[serde(transparent)]
struct MaterializedView {
    snapshot: Value,
    #[serde(skip)]
    is_written: bool,
}

impl Render for MaterializedView {
    fn text(&self) -> String {
        let Self { snapshot, is_written } = self;
        let slug = snapshot["mission_slug"].as_str().unwrap_or_default();
        let events = snapshot["event_count"].as_u64().unwrap_or_default();
        let holder = if *is_written { "status.json holds" } else { "the readable part of the log holds" };
        let mut out = format!("{slug}: {holder} {events} lane changes\n");
        for (lane, count) in snapshot["summary"].as_object().into_iter().flatten() {
            let count = count.as_u64().unwrap_or_default();
            if count > 0 {
                let _ = writeln!(out, "  {lane:<12} {count}");
            }
        }
        out
    }
}
