//! `agent context resolve`: mission, work package, branch and place of one action.

use crate::args::MissionArg;
use crate::command::agent::tasks::list::warnings;
use crate::mission_document::MissionDocument;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use contract::text::printable;
use mission::command::action_context::{ACTIONS, ActionContext, ContextRequest, resolve};
use std::fmt::Write as _;

/// Show mission, work package, branch and place of one action; change nothing
#[derive(Debug, Args)]
#[command(
    after_help = "Example: spec-kitty agent context resolve --action implement --mission tea-timer --wp-id WP01"
)]
pub(crate) struct ContextResolveArgs {
    /// The action
    #[arg(long, value_parser = ACTIONS)]
    action: String,
    #[command(flatten)]
    mission: MissionArg,
    /// The work package [default: the first that waits for the action]
    #[arg(long, value_name = "WP")]
    wp_id: Option<String>,
    /// Name of the agent, for the commands
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
}

impl Verb for ContextResolveArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let request = ContextRequest {
            action: self.action,
            mission: self.mission.mission,
            wp_id: self.wp_id,
            agent: self.agent,
        };
        let found = resolve(&context.project()?, &request)?;
        let text = describe(&found);
        let notes = warnings(&found.warnings);
        let report = Report::of(&MissionDocument { value: found, text });
        Ok(notes.into_iter().fold(report, Report::note))
    }
}

fn describe(found: &ActionContext) -> String {
    let mut out = format!("{}: {}\n", found.action, found.mission_slug);
    let place = found.wp_id.as_deref().zip(found.lane).map(|(id, lane)| format!("{id} ({lane})"));
    for (name, value) in [
        ("lands on", Some(found.target_branch.as_str())),
        ("package", place.as_deref()),
        ("file", found.wp_file.as_deref()),
        ("branch", found.branch_name.as_deref()),
        ("workspace", found.workspace_path.as_deref()),
    ] {
        if let Some(value) = value {
            let _ = writeln!(out, "  {name:<9}  {}", printable(value));
        }
    }
    for (name, command) in &found.commands {
        let _ = writeln!(out, "  {name}: {}", printable(command.as_str().unwrap_or_default()));
    }
    out
}
