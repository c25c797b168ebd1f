//! `sync capture --history`: facts in the log of a mission that were never captured.

use crate::producing::{CommandOutcome, Producing};
use crate::report::{counted, events_and_bodies};
use crate::verb::{Args, Class, CliError, CommandContext, ExitCode, Render, Report, Verb};
use contract::Remedy;
use contract::text::printable;
use mission::command::capture_history::{History, HistoryRequest, RefusedRow, plan};
use mission::outgoing::CaptureReport;
use mission::{Clock, MissionError};
use queue::{QueueError, observe_known_events};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Capture facts of a mission that were recorded without being captured
#[derive(Debug, Args)]
#[command(
    after_help = "Commands capture what they do. This is for rows they did not capture: pulled from a teammate, \
    made with hosted sync off or with --local-only, or older than the queue. Every fact keeps \
    its id, so a known fact is not captured again.\n\nExample: spec-kitty sync capture --history \
    tea-timer --yes"
)]
pub(crate) struct CaptureArgs {
    /// The mission whose history is captured: its id, the first eight characters of it, or its directory
    /// name
    #[arg(long, value_name = "MISSION", required = true)]
    history: String,
    /// Skip the confirmation
    #[arg(long, short)]
    yes: bool,
}

impl Verb for CaptureArgs {
    fn class(&self) -> Class {
        Class::Producing
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let switch = context.switch();
        if !switch.on {
            return Ok(Report::disabled(switch));
        }
        let request = HistoryRequest { mission: self.history };
        let producing = Producing::begin_hosted(context)?;
        let clock = Clock::system();
        let plan = plan(&producing.project, &request, &clock).map_err(unplanned)?;
        if !self.yes {
            let preview = preview(context, plan.outcome())?;
            let agreed = context.agrees(&format!("{}Capture them?", preview.text()));
            if !agreed {
                let line = "nothing was changed; add --yes to do it";
                return Ok(Report::exiting(ExitCode::Refused, &preview).note(line));
            }
        }
        producing.finish(|project, outgoing| plan.apply(project, outgoing, &clock))
    }
}

/// The mission is named by another option here than everywhere else.
fn unplanned(error: MissionError) -> CliError {
    let is_unknown = matches!(error, MissionError::UnknownMission { .. });
    let mut error = CliError::from(error);
    if is_unknown {
        error.remedies = vec![Remedy::Advice("pass --history with one of the available missions".into())];
    }
    error
}

fn preview<'a>(context: &CommandContext, history: &'a History) -> Result<CapturePreview<'a>, CliError> {
    let observation = context.boundary()?.observe()?;
    let known = observe_known_events(&observation.facts().active.path, &history.ids);
    let known = known.map_err(QueueError::from)?.len() as u64;
    Ok(CapturePreview {
        result: "preview",
        mission_slug: &history.mission_slug,
        new: history.ids.len() as u64 - known,
        known,
        events: &history.events,
        documents: history.documents,
        index_events: history.index_events,
        stays: history.stays,
        stays_by_kind: &history.stays_by_kind,
        refused: &history.refused,
        warnings: &history.warnings,
    })
}

/// Preview of a capture.
#[derive(Debug, Serialize)]
struct CapturePreview<'a> {
    result: &'static str,
    mission_slug: &'a str,
    /// Facts that the queue does not know.
    new: u64,
    /// Facts that wait, were delivered or are parked already.
    known: u64,
    events: &'a BTreeMap<String, u64>,
    documents: u64,
    index_events: u64,
    stays: u64,
    stays_by_kind: &'a BTreeMap<String, u64>,
    refused: &'a [RefusedRow],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

impl Render for CapturePreview<'_> {
    fn text(&self) -> String {
        let mut out = format!(
            "{}: {} would be captured; known already: {}\n",
            printable(self.mission_slug),
            counted(self.new, "fact", "facts"),
            self.known
        );
        for (event_type, count) in self.events {
            let _ = writeln!(out, "  {count} {event_type}");
        }
        let _ = writeln!(
            out,
            "and {} of its documents, less those that were captured as they are now",
            events_and_bodies(self.index_events, self.documents)
        );
        describe_rest(&mut out, self.stays_by_kind, self.refused);
        for line in self.warnings {
            let _ = writeln!(out, "  warning: {}", printable(line));
        }
        out
    }
}

/// Rows that stay in the log, with the reason.
fn describe_rest(out: &mut String, stays: &BTreeMap<String, u64>, refused: &[RefusedRow]) {
    for (kind, count) in stays {
        let rows = counted(*count, "row stays here, as its kind is", "rows stay here, as their kind is");
        let _ = writeln!(out, "  {rows} not sent: {}", printable(kind));
    }
    for row in refused {
        let _ = writeln!(out, "  refused: {}: {}", printable(&row.event_id), printable(&row.problem));
    }
}

impl CommandOutcome for History {
    fn capture(&self) -> &CaptureReport {
        &self.capture
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    fn describe(&self) -> String {
        let captured = self.capture.captured.unwrap_or_default();
        let mut out = format!(
            "{}: captured {}; known already: {}\n",
            printable(&self.mission_slug),
            events_and_bodies(captured.events, captured.bodies),
            captured.already
        );
        describe_rest(&mut out, &self.stays_by_kind, &self.refused);
        out
    }
}
