use super::super::{AdminArgs, AdminLine as _, confirmed, failed};
use super::ProjectView;
use crate::report::events_and_bodies;
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use contract::Remedy;
use contract::text::printable;
use serde::Serialize;

/// Delete a project of a team: events, bodies and shares
#[derive(Debug, Args)]
#[command(
    after_help = "A hash of each row's key is kept: a copy that is sent again is a duplicate.\n\nExample: \
    spec-kitty server project forget 4a9c9a6e-5d3c-4b52-8f0e-6f4c3a2b1d00 --team editors --data /var/lib/spec-kitty"
)]
pub(crate) struct ProjectForgetArgs {
    /// Uuid of the project; `none` for events without a project
    #[arg(value_name = "UUID")]
    project: String,
    /// Team that has it
    #[arg(long, value_name = "TEAM")]
    team: String,
    /// Skip the confirmation
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

impl Verb for ProjectForgetArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let admin = self.admin.open()?;
        let uuid = if self.project == "none" { "" } else { self.project.as_str() };
        let projects = admin.projects(Some(&self.team)).map_err(failed)?;
        let named = projects.iter().find(|project| project.project_uuid.eq_ignore_ascii_case(uuid));
        let Some(named) = named else { return Err(self.unknown()) };
        let mut forgetting = Forgetting { result: "preview", project: ProjectView::of(named) };
        if let Some(unchanged) = confirmed(context, self.yes, "Delete it?", &forgetting) {
            return Ok(unchanged);
        }
        let forgotten = admin.forget_project(&self.team, uuid).map_err(failed)?;
        let Some(forgotten) = forgotten else { return Err(self.unknown()) };
        forgetting.result = "forgotten";
        forgetting.project.events = forgotten.events;
        forgetting.project.bodies = forgotten.bodies;
        Ok(Report::of(&forgetting))
    }
}

impl ProjectForgetArgs {
    fn unknown(&self) -> CliError {
        let summary =
            format!("team `{}` has no project `{}`", printable(&self.team), printable(&self.project));
        let remedy = Remedy::Advice("`spec-kitty server project list` shows the projects".to_owned());
        CliError::failed("UNKNOWN_PROJECT", summary).remedy(remedy)
    }
}

/// Rows that are deleted, or would be.
#[derive(Debug, Serialize)]
struct Forgetting {
    /// `preview` or `forgotten`.
    result: &'static str,
    #[serde(flatten)]
    project: ProjectView,
}

impl Render for Forgetting {
    fn text(&self) -> String {
        match self.result {
            "preview" => format!("would delete {}\n", self.project.line()),
            _ => format!("deleted {}\n", events_and_bodies(self.project.events, self.project.bodies)),
        }
    }
}
