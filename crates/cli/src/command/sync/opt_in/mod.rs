//! `sync opt-in`: the machine-wide decision about a project's rows.
//!
//! Never refused by the boundary. A decision covers exactly one project uuid, or the rows without one.

mod all_held;

use crate::command::sync::migrate::moves_nothing;
use crate::command::sync::opt_out::RemoteDeletion;
use crate::command::sync::project_choice::{ProjectChoice, choose};
use crate::command::sync::scoped::is_absent;
use crate::report::{counted, events_and_bodies};
use crate::verb::{Args, Class, CliError, CommandContext, ExitCode, Render, Report, Verb};
use contract::exit::SAAS_SYNC_UNAUTHENTICATED;
use contract::{FaultCode, Remedy, Start};
use gate::CurePermit;
use identity::ConfigEdit;
use identity::config::NO_PROJECT;
use preflight::consent_of;
use queue::{Cure, HeldChange, SentBlocks};
use serde::Serialize;

/// Let rows of a project leave this machine
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty sync opt-in --project tea-timer --include-held")]
pub(crate) struct OptInArgs {
    /// The project: a known uuid, an unambiguous slug, or `none` for rows without a project
    /// [default: the project of this directory]
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
    /// Every project with held rows, unless it is opted out by name
    #[arg(long, conflicts_with = "project")]
    all_held: bool,
    /// Also release the rows that are held
    #[arg(long)]
    include_held: bool,
    /// Skip the confirmation
    #[arg(long, short)]
    yes: bool,
}

impl Verb for OptInArgs {
    fn class(&self) -> Class {
        Class::Curing
    }

    /// The decision is stored in config.toml alone. A queue that cannot be opened afterwards does not undo it:
    /// it is reported with its remedy.
    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        if self.all_held {
            return all_held::run(context, &self);
        }
        let project = choose(context, self.project.as_deref())?;
        let (held, mut notes) = counted_held(context, project.uuid.as_deref());
        let mut decision = ProjectDecision::new("opted_in", project, held);
        decision.include_held = self.include_held;
        if !self.yes {
            let question = format!("{} Opt in?", decision.preview());
            let agreed = context.agrees(&question);
            if !agreed {
                decision.result = "preview";
                let mut report = Report::exiting(ExitCode::Refused, &OptInPreview(decision));
                report.notes = notes;
                return Ok(report.note("nothing was changed; add --yes to do it"));
            }
        }
        if self.include_held {
            decide(context, |edit| edit.opt_in(decision.project(), Start::ALWAYS))?;
            let (released, failure) = release(context, decision.project());
            decision.released = released;
            if let Some(failure) = failure {
                decision.not_released = Some(failure.summary.clone());
                notes.push(format!("held rows were not released: {}", failure.summary));
                notes.extend(failure.remedies.iter().map(|remedy| format!("hint: {}", remedy.hint())));
                let project = decision.project().unwrap_or(NO_PROJECT).to_owned();
                notes.push(format!("then run again: {}", Remedy::OptIn { project }.hint()));
            }
        } else {
            // Held rows stay held: in the queue of this account they are sealed before config.toml changes; in
            // other queues, and in later imports, they are older than the decision.
            if let Err(failure) = seal(context, decision.project()) {
                notes.push(format!(
                    "held rows were not sealed; they stay held because they are older than the decision: {}",
                    failure.summary
                ));
            }
            let now = jiff::Timestamp::now();
            decide(context, |edit| {
                let start = Start::after(edit.config().consent(decision.project(), None, None), now);
                edit.opt_in(decision.project(), start);
            })?;
        }
        let mut report = Report::of(&decision);
        report.notes = notes;
        Ok(report)
    }
}

/// Releases what is held of the project, in this account's queue and among its legacy rows, which are
/// moved in first. What was released, if anything could be, and why not all of it was.
fn release(context: &CommandContext, project: Option<&str>) -> (Option<HeldChange>, Option<CliError>) {
    let released = cure_permit(context).and_then(|permit| {
        let Some(permit) = permit else { return Err(without_account(context)) };
        if moves_nothing(&permit) {
            return Ok((HeldChange::default(), None));
        }
        let mut cure = Cure::open(&permit)?;
        let left = cure.migrate(&mut ()).err().map(CliError::from);
        Ok((cure.release_held(project)?, left))
    });
    match released {
        Ok((released, left)) => (Some(released), left),
        Err(failure) => (None, Some(failure)),
    }
}

/// Seals what is held of the project in this account's queue.
fn seal(context: &CommandContext, project: Option<&str>) -> Result<(), CliError> {
    let config = context.config()?;
    if let Some(permit) = cure_permit(context)?.filter(|permit| !is_absent(permit.queue_path())) {
        Cure::open(&permit)?.seal_held(project, &consent_of(&config))?;
    }
    Ok(())
}

pub(super) fn cure_permit(context: &CommandContext) -> Result<Option<CurePermit>, CliError> {
    Ok(context.patient_boundary(queue::CAPTURE_DEADLINE)?.cure_permit()?)
}

/// The reason for a missing account: not logged in, or a login that cannot be read.
fn without_account(context: &CommandContext) -> CliError {
    let faults = context.boundary().and_then(|boundary| Ok(boundary.run_preflight(false)?.faults));
    let unreadable = faults.unwrap_or_default().into_iter().find(|fault| {
        matches!(
            fault.code,
            FaultCode::SessionUnreadable | FaultCode::ConfigUnreadable | FaultCode::ServerUrlInvalid
        )
    });
    match unreadable {
        Some(fault) => fault.into(),
        None => CliError::refused(
            SAAS_SYNC_UNAUTHENTICATED,
            "not logged in: rows sealed in the queue of an account are released there",
        )
        .remedy_if(context.login().ok().map(|login| login.remedy())),
    }
}

pub(super) fn decide(context: &CommandContext, change: impl FnOnce(&mut ConfigEdit)) -> Result<(), CliError> {
    let mut edit = ConfigEdit::begin(context.home()?)?;
    change(&mut edit);
    Ok(edit.commit()?)
}

/// Rows of the project that are held now; nothing and a reason when a queue cannot be read.
pub(super) fn counted_held(
    context: &CommandContext,
    project: Option<&str>,
) -> (Option<HeldChange>, Vec<String>) {
    match held(context, project) {
        Ok(held) => (Some(held), Vec::new()),
        Err(error) => (None, vec![format!("what is held could not be counted: {}", error.summary)]),
    }
}

/// Rows of the project that are held now: in the active queue, and among the legacy rows that a migration would
/// bring into it. Rows of other accounts are not counted.
fn held(context: &CommandContext, project: Option<&str>) -> Result<HeldChange, CliError> {
    let boundary = context.boundary()?;
    let observation = boundary.observe_counted()?;
    let status = observation.status_document(&boundary, false)?;
    if status.active_queue.event_count.is_none() {
        return Err(CliError::boundary(status.preflight));
    }
    let wanted = project.map(str::to_lowercase);
    let mut held = HeldChange::default();
    for entry in status.held.iter().filter(|entry| entry.project_uuid == wanted) {
        held.events += entry.events;
        held.bodies += entry.bodies;
    }
    if let Some(permit) = observation.cure_permit() {
        let arriving = Cure::plan_held(&permit, project, &consent_of(&observation.config))
            .map_err(queue::QueueError::from)?;
        held.events += arriving.events;
        held.bodies += arriving.bodies;
    }
    Ok(held)
}

/// A decision about a project.
#[derive(Debug, Serialize)]
pub(super) struct ProjectDecision {
    result: &'static str,
    project_uuid: Option<String>,
    #[serde(skip)]
    name: String,
    /// Rows that are held; null when a queue cannot be read.
    held: Option<HeldChange>,
    include_held: bool,
    /// Rows that were released; null when nothing was asked for or could be.
    released: Option<HeldChange>,
    /// Kept bytes that were deleted, with `--delete-private-data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deleted: Option<SentBlocks>,
    /// Deletion on the server, with `--delete-private-data`.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) remote: Option<RemoteDeletion>,
    /// Reason why fewer rows were released than asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_released: Option<String>,
}

impl ProjectDecision {
    pub(super) fn new(result: &'static str, project: ProjectChoice, held: Option<HeldChange>) -> Self {
        Self {
            result,
            name: project.name(),
            project_uuid: project.uuid,
            held,
            include_held: false,
            released: None,
            deleted: None,
            remote: None,
            not_released: None,
        }
    }

    pub(super) fn project(&self) -> Option<&str> {
        self.project_uuid.as_deref()
    }

    fn held(&self) -> String {
        match self.held {
            Some(HeldChange { events, bodies }) => events_and_bodies(events, bodies),
            None => "an unknown number of rows".to_owned(),
        }
    }

    fn preview(&self) -> String {
        let fate = if self.include_held { "would be released" } else { "would stay held" };
        format!("New rows of {} would leave this machine; {} {fate}.", self.name, self.held())
    }
}

impl Render for ProjectDecision {
    fn text(&self) -> String {
        let name = &self.name;
        match (self.result, &self.released) {
            ("opted_out", _) => {
                let mut out = format!("opted out: rows of {name} stay here; {} held\n", self.held());
                if let Some(deleted) = self.deleted {
                    let requests = counted(deleted.blocks, "request", "requests");
                    out.push_str(&format!("deleted the kept bytes of {requests}; the receipts stay\n"));
                }
                if let Some(remote) = &self.remote {
                    out.push_str(&remote.line());
                }
                out
            }
            (_, Some(HeldChange { events, bodies })) => {
                format!("opted in: rows of {name}; released {}\n", events_and_bodies(*events, *bodies))
            }
            (_, None) if self.include_held => format!("opted in: rows of {name}; released none\n"),
            (_, None) => format!("opted in: rows of {name}, from now on\n"),
        }
    }
}

/// Preview of a decision.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct OptInPreview(ProjectDecision);

impl Render for OptInPreview {
    fn text(&self) -> String {
        format!("{}\n", self.0.preview())
    }
}
