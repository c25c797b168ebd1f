//! `agent ...`: missions, for people and agents.

mod context;
mod decision;
mod evidence;
pub(crate) mod mission;
mod status;
mod tasks;

use crate::verb::Verb;
use clap::Subcommand;

/// `agent ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Create, plan and finalize missions
    #[command(subcommand, arg_required_else_help = true)]
    Mission(mission::MissionCommand),
    /// Move work packages between lanes, and show the boards
    #[command(subcommand, arg_required_else_help = true)]
    Status(status::StatusCommand),
    /// List, move, tick and annotate work packages
    #[command(subcommand, arg_required_else_help = true)]
    Tasks(tasks::TaskCommand),
    /// Resolve what an action is about
    #[command(subcommand, arg_required_else_help = true)]
    Context(context::ContextCommand),
    /// Record questions that came up while planning, and their answers
    #[command(subcommand, arg_required_else_help = true)]
    Decision(decision::DecisionCommand),
    /// Capture and verify the evidence that an issue may be closed
    #[command(subcommand, arg_required_else_help = true)]
    Evidence(evidence::EvidenceCommand),
}

impl AgentCommand {
    pub(super) fn verb(self) -> Box<dyn Verb> {
        match self {
            Self::Mission(command) => command.verb(),
            Self::Status(command) => command.verb(),
            Self::Tasks(command) => command.verb(),
            Self::Context(command) => command.verb(),
            Self::Decision(command) => command.verb(),
            Self::Evidence(command) => command.verb(),
        }
    }
}
