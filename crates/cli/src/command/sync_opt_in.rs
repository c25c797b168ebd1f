//! `sync opt-in` and `sync opt-out`: the machine-wide decision about a project's rows.
//!
//! Never refused by the boundary, never about the current directory's neighbours: the decision is
//! about one project uuid, or about rows without one.

use crate::args::{OptInArgs, OptOutArgs};
use crate::context::Context;
use crate::error::CliError;
use crate::report::{Document, Report, events_and_bodies};
use crate::terminal;
use contract::text::printable;
use contract::{Consent, ExitCode, Start};
use identity::config::NO_PROJECT;
use identity::{ConfigEdit, ProjectIdentity};
use preflight::consent_of;
use queue::{Cure, HeldChange, Place};
use serde::Serialize;

/// Runs `sync opt-in`.
pub(crate) fn opt_in(context: &Context, args: &OptInArgs) -> Result<Report, CliError> {
    let project = project(context, args.project.as_deref())?;
    let held = held(context, project.as_deref())?;
    let mut decision = Decision { result: "opted_in", project_uuid: project.clone(), held, released: None };
    if !args.yes {
        let question = format!("{} Opt in?", decision.preview(args.include_held));
        let agreed = terminal::can_ask() && !args.json && terminal::ask(&question);
        if !agreed {
            decision.result = "preview";
            let line = "nothing was changed; add --yes to do it";
            return Ok(Report::exiting(
                ExitCode::Refused,
                &Preview { decision, include_held: args.include_held },
            )
            .note(line));
        }
    }
    let permit = context.patient_boundary(queue::CAPTURE_DEADLINE)?.cure_permit()?;
    if args.include_held {
        decide(context, |edit| edit.opt_in(project.as_deref(), Start::ALWAYS))?;
        if let Some(permit) = &permit {
            decision.released = Some(Cure::open(permit)?.release_held(project.as_deref())?);
        }
    } else {
        // What is held now stays held: in this account's queue it is sealed while config still says what
        // it said; in other queues, and in what is imported later, it is too old for the decision.
        let config = context.config()?;
        if let Some(permit) = &permit {
            Cure::open(permit)?.seal_held(project.as_deref(), &consent_of(&config))?;
        }
        let now = jiff::Timestamp::now().as_second();
        decide(context, |edit| {
            let start = start(edit.config().consent(project.as_deref(), None, None), now);
            edit.opt_in(project.as_deref(), start);
        })?;
    }
    let report = Report::of(&decision);
    Ok(match permit {
        None if args.include_held => {
            report.note("nobody is logged in: rows that were sealed in an account's queue stay held there")
        }
        Some(_) | None => report,
    })
}

/// From when on an opt-in speaks that follows the decision `was`: never of what waits already.
fn start(was: Consent, now: i64) -> Start {
    // Timestamps of rows are whole seconds; one of this very second was there before.
    let next = now.saturating_add(1);
    match was {
        Consent::OptedIn(start) => start,
        Consent::OptedOut => Start { captured: next, found: next },
        Consent::Unset => Start { found: next, ..Start::ALWAYS },
    }
}

/// Runs `sync opt-out`.
pub(crate) fn opt_out(context: &Context, args: &OptOutArgs) -> Result<Report, CliError> {
    let project = project(context, args.project.as_deref())?;
    decide(context, |edit| edit.opt_out(project.as_deref()))?;
    let held = held(context, project.as_deref())?;
    Ok(Report::of(&Decision { result: "opted_out", project_uuid: project, held, released: None }))
}

fn decide(context: &Context, change: impl FnOnce(&mut ConfigEdit)) -> Result<(), CliError> {
    let mut edit = ConfigEdit::begin(context.home()?)?;
    change(&mut edit);
    Ok(edit.commit()?)
}

/// The project that was named, or the one of the working directory; `none` means rows without one.
fn project(context: &Context, named: Option<&str>) -> Result<Option<String>, CliError> {
    match named {
        Some(named) => Ok(Some(named.to_owned()).filter(|named| named != NO_PROJECT)),
        None => {
            let root = context.project_root()?;
            let recorded = ProjectIdentity::read(&root)
                .map_err(|error| CliError::failed("PROJECT_UNREADABLE", crate::error::chain(&error)))?;
            recorded.uuid.map(Some).ok_or_else(|| {
                let file = contract::text::path(&root.join(".kittify").join("config.yaml"));
                CliError::failed(
                    "PROJECT_WITHOUT_UUID",
                    format!("{file} names no project uuid; name one with --project"),
                )
            })
        }
    }
}

/// What of the project is held now: in the active queue, and among the legacy rows that a migration would
/// bring into it.
fn held(context: &Context, project: Option<&str>) -> Result<HeldChange, CliError> {
    let status = context.boundary()?.status_document(false)?;
    let legacy = &status.legacy_queue.path;
    let legacy = if *legacy == status.active_queue.path {
        Vec::new()
    } else {
        // An unreadable file is a fault that the status shows; here it adds nothing.
        queue::observe_counts(legacy, &|_: &Place| Consent::Unset)
            .map(|counts| counts.held)
            .unwrap_or_default()
    };
    let active = status.held.iter().map(|entry| (&entry.project_uuid, entry.events, entry.bodies));
    let legacy = legacy.iter().map(|entry| (&entry.project_uuid, entry.events, entry.bodies));
    let wanted = project.map(str::to_lowercase);
    let mut held = HeldChange::default();
    for (_, events, bodies) in active.chain(legacy).filter(|(uuid, ..)| **uuid == wanted) {
        held.events += events;
        held.bodies += bodies;
    }
    Ok(held)
}

/// A decision about a project.
#[derive(Debug, Serialize)]
struct Decision {
    result: &'static str,
    project_uuid: Option<String>,
    held: HeldChange,
    released: Option<HeldChange>,
}

impl Decision {
    fn name(&self) -> String {
        match &self.project_uuid {
            Some(uuid) => format!("project {}", printable(uuid)),
            None => "no project".to_owned(),
        }
    }

    fn preview(&self, include_held: bool) -> String {
        let HeldChange { events, bodies } = self.held;
        let fate = if include_held { "would be released" } else { "would stay held" };
        format!(
            "New rows of {} would leave this machine; {} {fate}.",
            self.name(),
            events_and_bodies(events, bodies)
        )
    }
}

impl Document for Decision {
    fn text(&self) -> String {
        match (self.result, &self.released) {
            ("opted_out", _) => format!(
                "opted out: rows of {} stay here; {} held\n",
                self.name(),
                events_and_bodies(self.held.events, self.held.bodies)
            ),
            (_, Some(released)) => format!(
                "opted in: rows of {}; released {}\n",
                self.name(),
                events_and_bodies(released.events, released.bodies)
            ),
            (_, None) => format!("opted in: rows of {}, from now on\n", self.name()),
        }
    }
}

/// What a decision would do.
#[derive(Debug, Serialize)]
struct Preview {
    #[serde(flatten)]
    decision: Decision,
    include_held: bool,
}

impl Document for Preview {
    fn text(&self) -> String {
        format!("{}\n", self.decision.preview(self.include_held))
    }
}
