//! `agent context resolve`: mission, work package, branch and place of one action.

use crate::args::MissionArg;
use crate::command::agent::tasks::list::warnings;
use crate::mission_document::MissionDocument;
use crate::python_cli::verbs::counterpart_of;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use contract::text::printable;
use mission::command::action_context::{ACTIONS, ActionContext, ContextRequest, resolve};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
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
        let notes = warnings(&found.warnings);
        let value = ContextView::of(found);
        let text = describe(&value);
        let report = Report::of(&MissionDocument { value, text });
        Ok(notes.into_iter().fold(report, Report::note))
    }
}

/// The context, with the commands of this program beside those that run in the Python CLI.
#[derive(Serialize)]
struct ContextView {
    #[serde(flatten)]
    context: ActionContext,
    /// By the names in `commands`; empty where this program has none for the purpose.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    counterparts: BTreeMap<String, String>,
}

impl ContextView {
    fn of(context: ActionContext) -> Self {
        let counterpart =
            |line: &Value| counterpart_of(line.as_str()?, context.wp_id.as_deref(), &context.mission_slug);
        let counterparts = context.commands.iter();
        let counterparts =
            counterparts.filter_map(|(name, line)| Some((name.clone(), counterpart(line)?))).collect();
        Self { context, counterparts }
    }
}

fn describe(ContextView { context: found, counterparts }: &ContextView) -> String {
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
        match counterparts.get(name).map(String::as_str) {
            None => {}
            Some("") => out.push_str("    runs in the Python CLI\n"),
            Some(ours) => {
                let _ = writeln!(out, "    runs in the Python CLI; in this program: {}", printable(ours));
            }
        }
    }
    out
}
