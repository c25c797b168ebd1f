//! `sync unshare`: ends what `sync share` began.

use super::sharing::{ask, choose_project};
use crate::verb::{Args, Class, CliError, CommandContext, LineResult, Report, Verb};
use contract::text::printable;
use contract::wire::sharing::SHARED;
use serde_json::json;

/// Stop showing a project to another team
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty sync unshare editors --project tea-timer")]
pub(crate) struct UnshareArgs {
    /// Id of the team
    team: String,
    /// The project: a known uuid or an unambiguous slug [default: the project of this directory]
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
}

impl Verb for UnshareArgs {
    fn class(&self) -> Class {
        Class::Sending
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let switch = context.switch();
        if !switch.on {
            return Ok(Report::disabled(switch));
        }
        let (project, uuid) = choose_project(context, self.project.as_deref())?;
        let left = ask(context, |server| server.send_leave(&uuid, &self.team))?;
        let mut line =
            format!("no longer shared by this account: {} with {}", project.name(), printable(&self.team));
        if left.state == SHARED {
            line.push_str("; another member of the teamspace still shares it");
        }
        let facts = json!({ "project_uuid": uuid, "team": self.team, "state": left.state });
        Ok(Report::of(&LineResult { result: "left", facts, line }))
    }
}
