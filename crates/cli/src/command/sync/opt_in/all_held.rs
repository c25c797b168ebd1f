//! `sync opt-in --all-held`: one decision about every project whose rows are held.
//!
//! Projects that are opted out by name keep their decision: this verb decides where nothing was decided.

use super::{OptInArgs, cure_permit, decide, without_account};
use crate::command::sync::scoped::is_absent;
use crate::context::CommandContext;
use crate::error::CliError;
use crate::report::{
    PROJECTS_SHOWN, Render, Report, counted, events_and_bodies, more_projects, project_name,
};
use contract::{ExitCode, Start};
use gate::Policy;
use preflight::consent_of;
use queue::{Cure, HeldChange, HoldReason};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Runs the verb.
pub(super) fn run(context: &CommandContext, args: &OptInArgs) -> Result<Report, CliError> {
    let mut decision = observe(context, args.include_held)?;
    if decision.projects.is_empty() {
        decision.result = "nothing_to_do";
        return Ok(Report::of(&decision));
    }
    if !args.yes {
        let question = format!("{}Opt all of them in?", decision.preview());
        let agreed = context.agrees(&question);
        if !agreed {
            let report = Report::exiting(ExitCode::Refused, &decision);
            return Ok(report.note("nothing was changed; add --yes to do it"));
        }
    }
    decision.result = "opted_in";
    let projects = || decision.projects.iter().map(|project| project.project_uuid.as_deref());
    if args.include_held {
        decide(context, |edit| projects().for_each(|project| edit.opt_in(project, Start::ALWAYS)))?;
        decision.released = Some(release(context, projects())?);
    } else {
        // Rows that are held now stay held, as with a single project.
        seal(context, projects())?;
        let now = jiff::Timestamp::now();
        decide(context, |edit| {
            for project in projects() {
                let start = Start::after(edit.config().consent(project, None, None), now);
                edit.opt_in(project, start);
            }
        })?;
    }
    Ok(Report::of(&decision))
}

/// Every project with held rows in the active queue DB, and how many are opted out by name.
fn observe(context: &CommandContext, include_held: bool) -> Result<AllHeld, CliError> {
    let mut observation = context.boundary()?.observe_counted()?;
    let Some(counts) = observation.counts.take() else {
        let verdict = observation.judge(Policy { require_auth: false });
        return Err(CliError::boundary(verdict.result().clone()));
    };
    let mut projects: BTreeMap<Option<String>, AllHeldProject> = BTreeMap::new();
    let mut opted_out = 0;
    for held in counts.held {
        if held.reason == HoldReason::OptedOut {
            opted_out += 1;
            continue;
        }
        let project = projects.entry(held.project_uuid.clone()).or_insert_with(|| AllHeldProject {
            project_uuid: held.project_uuid,
            repo_slug: held.repo_slug,
            events: 0,
            bodies: 0,
        });
        project.events += held.events;
        project.bodies += held.bodies;
    }
    let projects = projects.into_values().collect();
    Ok(AllHeld { result: "preview", projects, opted_out, include_held, released: None })
}

/// Releases what is held of `projects`, after the legacy rows of this account were moved in.
fn release<'a>(
    context: &CommandContext,
    projects: impl Iterator<Item = Option<&'a str>>,
) -> Result<HeldChange, CliError> {
    let Some(permit) = cure_permit(context)? else { return Err(without_account(context)) };
    let mut released = HeldChange::default();
    if is_absent(permit.queue_path()) {
        return Ok(released);
    }
    let mut cure = Cure::open(&permit)?;
    cure.migrate(&mut ())?;
    for project in projects {
        let HeldChange { events, bodies } = cure.release_held(project)?;
        released.events += events;
        released.bodies += bodies;
    }
    Ok(released)
}

/// Seals what is held of `projects`, while config.toml still has the decisions of before.
fn seal<'a>(
    context: &CommandContext,
    projects: impl Iterator<Item = Option<&'a str>>,
) -> Result<(), CliError> {
    let config = context.config()?;
    let Some(permit) = cure_permit(context)?.filter(|permit| !is_absent(permit.queue_path())) else {
        return Ok(());
    };
    let mut cure = Cure::open(&permit)?;
    for project in projects {
        cure.seal_held(project, &consent_of(&config))?;
    }
    Ok(())
}

/// The decision about all held projects.
#[derive(Debug, Serialize)]
struct AllHeld {
    /// `preview`, `opted_in` or `nothing_to_do`.
    result: &'static str,
    projects: Vec<AllHeldProject>,
    /// Projects that keep their opt-out.
    opted_out: u64,
    include_held: bool,
    /// Rows that were released; null when nothing was asked for.
    released: Option<HeldChange>,
}

/// One held project.
#[derive(Debug, Serialize)]
struct AllHeldProject {
    project_uuid: Option<String>,
    repo_slug: Option<String>,
    events: u64,
    bodies: u64,
}

impl AllHeld {
    fn names(&self) -> String {
        let mut out = String::new();
        for project in self.projects.iter().take(PROJECTS_SHOWN) {
            let name = project_name(project.repo_slug.as_deref(), project.project_uuid.as_deref());
            let _ = writeln!(out, "  {name}: {}", events_and_bodies(project.events, project.bodies));
        }
        if let Some(more) = more_projects(self.projects.len(), "spec-kitty sync opt-in --all-held --json") {
            let _ = writeln!(out, "  {more}");
        }
        out
    }

    fn count(&self) -> String {
        counted(u64::try_from(self.projects.len()).unwrap_or(u64::MAX), "project", "projects")
    }

    fn preview(&self) -> String {
        let sum = |of: fn(&AllHeldProject) -> u64| self.projects.iter().map(of).sum::<u64>();
        let held = events_and_bodies(sum(|project| project.events), sum(|project| project.bodies));
        let fate = if self.include_held { "would be released" } else { "would stay held" };
        format!(
            "New rows of {} would leave this machine; {held} {fate}.\n{}{}",
            self.count(),
            self.names(),
            self.left_out()
        )
    }

    fn left_out(&self) -> String {
        match self.opted_out {
            0 => String::new(),
            many => format!(
                "  {} by name and not changed\n",
                counted(many, "project is opted out", "projects are opted out")
            ),
        }
    }
}

impl Render for AllHeld {
    fn text(&self) -> String {
        match (self.result, &self.released) {
            ("preview", _) => self.preview(),
            ("nothing_to_do", _) => format!("no project is held without a decision\n{}", self.left_out()),
            (_, Some(HeldChange { events, bodies })) => format!(
                "opted in: {}; released {}\n{}{}",
                self.count(),
                events_and_bodies(*events, *bodies),
                self.names(),
                self.left_out()
            ),
            (_, None) => {
                format!("opted in: {}, from now on\n{}{}", self.count(), self.names(), self.left_out())
            }
        }
    }
}
