//! `sync resend`: lets delivered rows wait again, from the bytes that were kept when they were sent.

use crate::build;
use crate::command::sync::project_choice::choose;
use crate::command::sync::scoped::{Patience, cure_permit, is_absent};
use crate::report::events_and_bodies;
use crate::terminal;
use crate::verb::{Args, Class, CliError, CommandContext, ExitCode, Render, Report, Verb, chain};
use clap::ArgGroup;
use contract::Remedy;
use contract::text::printable;
use delivery::receipts::{AskError, fetch_missing};
use gate::CurePermit;
use preflight::consent_of;
use queue::{Cure, QueueError, ReceiptPages, Resend, ResendReport, ResendSelection, RowCounts};
use serde::Serialize;
use std::fmt::Write as _;

/// Send delivered rows again
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which_rows").required(true).args(["missing", "since"]), after_help = "The rows wait again, for the account and the server that they were delivered to; `sync now` \
    sends them. A server that has a row answers `duplicate`. Rows of projects that are opted out \
    are held.\n\nExample: spec-kitty sync resend --since 2026-11-01 --yes")]
pub(crate) struct ResendArgs {
    /// Ask the server which rows it no longer has, and send those
    #[arg(long)]
    missing: bool,
    /// Send the rows that were delivered since this time: a date, an instant, or an age such as `36h` or `7d`
    #[arg(long, value_name = "TIME", value_parser = instant)]
    since: Option<jiff::Timestamp>,
    /// Only rows of this project: a known uuid, an unambiguous slug, or `none` for rows without a project
    #[arg(long, value_name = "UUID")]
    project: Option<String>,
    /// Only rows of this mission: its id, the first eight characters of it, or its directory name
    #[arg(long, value_name = "MISSION", value_parser = not_blank_name)]
    mission: Option<String>,
    /// Skip the confirmation
    #[arg(long, short)]
    yes: bool,
}

impl Verb for ResendArgs {
    fn class(&self) -> Class {
        Class::Curing
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let named = self.project.as_deref().map(|named| choose(context, Some(named))).transpose()?;
        let project = named.map(|choice| choice.uuid);
        let permit = cure_permit(context, Patience::of(!self.yes))?;
        let Some(permit) = permit.filter(|permit| !is_absent(permit.queue_path())) else {
            return Ok(Report::of(&ResendView::of("nothing_to_do", ResendReport::default())));
        };
        let consent = context.config()?;
        if self.yes {
            // Opened before anything is read: that rolls an interrupted transaction back.
            let mut cure = Cure::open(&permit)?;
            let resend = select(context, &self, &permit, project)?;
            return Ok(queued(cure.resend(&resend, &consent_of(&consent))?));
        }
        let resend = select(context, &self, &permit, project)?;
        let plan = Cure::plan_resend(&permit, &resend, &consent_of(&consent)).map_err(QueueError::from)?;
        if plan == ResendReport::default() {
            return Ok(queued(plan));
        }
        let preview = ResendView::of("preview", plan);
        let question = format!("{}Send them again?", preview.text());
        if !context.agrees(&question) {
            let report = Report::exiting(ExitCode::Refused, &preview);
            return Ok(report.note("nothing was changed; add --yes to do it"));
        }
        Ok(queued(Cure::open(&permit)?.resend(&resend, &consent_of(&consent))?))
    }
}

fn queued(done: ResendReport) -> Report {
    let result = if done == ResendReport::default() { "nothing_to_do" } else { "queued" };
    Report::of(&ResendView::of(result, done))
}

/// The rows that the arguments name; with `--missing` the server is asked.
fn select(
    context: &CommandContext,
    args: &ResendArgs,
    permit: &CurePermit,
    project: Option<Option<String>>,
) -> Result<Resend, CliError> {
    let which = match args.since {
        Some(since) => ResendSelection::Since(since.as_second()),
        None => ResendSelection::Missing(ask(context, permit, project.as_ref())?),
    };
    Ok(Resend { which, project, mission: args.mission.iter().cloned().collect() })
}

fn ask(
    context: &CommandContext,
    permit: &CurePermit,
    project: Option<&Option<String>>,
) -> Result<Vec<(queue::Kind, String)>, CliError> {
    let http = delivery::DeliveryContext::new(context.home()?, &context.environment, build::VERSION)
        .map_err(|error| CliError::failed("HTTP_SETUP", chain(&error)))?;
    let pages = ReceiptPages::of(permit.queue_path(), project).map_err(QueueError::from)?;
    let bar = terminal::ProgressDisplay::new("asking", context.json);
    let mut advance = |asked: u64| bar.show(asked, asked);
    fetch_missing(&http, permit.scope(), pages, &mut advance).map_err(|error| match error {
        AskError::Queue(error) => error.into(),
        AskError::Token(error) => {
            CliError::new(error.code().unwrap_or("RECEIPTS_NOT_ASKED"), error.exit(), chain(&error))
                .remedy_if(error.remedy(&http))
        }
        AskError::Server(stop) => {
            CliError::failed("RECEIPTS_NOT_ASKED", stop.detail).remedy_if(stop.reason.remedy(|| http.login()))
        }
        AskError::NotKnown => CliError::failed("RECEIPTS_NOT_ASKED", error.to_string()),
    })
}

/// Rows that were put back, or would be.
#[derive(Debug, Serialize)]
struct ResendView {
    result: &'static str,
    #[serde(flatten)]
    report: ResendReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    remediation: Option<[String; 1]>,
}

impl ResendView {
    fn of(result: &'static str, report: ResendReport) -> Self {
        let gone = report.gone.total() > 0;
        Self { result, report, remediation: gone.then(|| [history().hint()]) }
    }
}

/// The way for rows whose bytes are gone.
fn history() -> Remedy {
    Remedy::Advice(
        "`spec-kitty sync capture --history MISSION --yes` captures what the mission's files still hold"
            .into(),
    )
}

impl Render for ResendView {
    fn text(&self) -> String {
        let ResendReport { events, bodies, held, waiting, gone } = self.report;
        let mut out = String::new();
        let would = if self.result == "preview" { "would wait again" } else { "wait again" };
        if events + bodies > 0 {
            let leaves = self.result != "preview" && events + bodies > held.total();
            let next = if leaves { "; `spec-kitty sync now` sends them" } else { "" };
            let _ = writeln!(out, "{} {would}{next}", events_and_bodies(events, bodies));
        }
        let mut line = |label: &str, RowCounts { events, bodies }: RowCounts, tail: &str| {
            if events + bodies > 0 {
                let _ = writeln!(out, "{label}: {}{tail}", events_and_bodies(events, bodies));
            }
        };
        line("held", held, ", by the decision about their project");
        line("waiting already", waiting, "");
        line("bytes gone", gone, "");
        if gone.total() > 0 {
            let _ = writeln!(out, "  {}", printable(&history().hint()));
        }
        if out.is_empty() {
            out.push_str("no delivered rows to send again\n");
        }
        out
    }
}

fn not_blank_name(text: &str) -> Result<String, &'static str> {
    let text = contract::scope::trim(text);
    if text.is_empty() { Err("name a mission") } else { Ok(text.to_owned()) }
}

/// A point in time as a person writes it.
fn instant(text: &str) -> Result<jiff::Timestamp, &'static str> {
    let text = contract::scope::trim(text);
    let age = || -> Option<jiff::Timestamp> {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let seconds = match unit {
            "m" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            _ => return None,
        };
        let number: i64 = number.parse().ok().filter(|number| *number >= 0)?;
        let seconds = number.checked_mul(seconds)?;
        jiff::Timestamp::now().checked_sub(jiff::SignedDuration::from_secs(seconds)).ok()
    };
    let date = || {
        let date: jiff::civil::Date = text.parse().ok()?;
        date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|at| at.timestamp())
    };
    text.parse()
        .ok()
        .or_else(date)
        .or_else(age)
        .ok_or("a date (2026-11-01, UTC), an instant (2026-11-01T12:00:00Z) or an age (36h, 7d) is expected")
}
