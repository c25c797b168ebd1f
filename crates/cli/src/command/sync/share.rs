//! `sync share`: shows a project to another team.

use super::sharing::{ask, choose_project};
use crate::verb::{Args, Class, CliError, CommandContext, LineResult, Report, Verb};
use contract::text::printable;
use serde_json::json;

/// Show a project to another team of yours
#[derive(Debug, Args)]
#[command(
    after_help = "The members of the team see the project's events and documents; they cannot add to it. \
    `sync unshare` ends that.\n\nExample: spec-kitty sync share editors --project tea-timer"
)]
pub(crate) struct ShareArgs {
    /// Id of the team; `auth status` shows your teams
    team: String,
    /// The project: a known uuid or an unambiguous slug [default: the project of this directory]
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
}

impl Verb for ShareArgs {
    fn class(&self) -> Class {
        Class::Sending
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let switch = context.switch();
        if !switch.on {
            return Ok(Report::disabled(switch));
        }
        let (project, uuid) = choose_project(context, self.project.as_deref())?;
        let created = ask(context, |server| server.send_share(&uuid, &self.team))?;
        let state = created.share.state.clone();
        let team = created.share.team.slug.clone();
        let team = if team.is_empty() { self.team } else { team };
        let line = match state == contract::wire::sharing::SHARED {
            true => format!("shared {} with {}", project.name(), printable(&team)),
            false => {
                format!("asked to share {} with {}: {}", project.name(), printable(&team), printable(&state))
            }
        };
        let facts = json!({
            "project_uuid": uuid, "team": team, "state": state,
            "active_sharer_count": created.share.active_sharer_count
        });
        Ok(Report::of(&LineResult { result: "shared", facts, line }))
    }
}
