//! `agent ...`: missions, for people and agents.

mod context;
mod decision;
mod evidence;
pub(crate) mod mission;
mod status;
mod tasks;

use crate::args::Group;
use crate::verb::Verb;
use clap::Subcommand;

// `agent ...`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum AgentCommand {
    /// Create, plan and finalize missions
    #[command(arg_required_else_help = true)]
    Mission(Group<mission::MissionCommand>),
    /// Move work packages between lanes, and show the boards
    #[command(arg_required_else_help = true)]
    Status(Group<status::StatusCommand>),
    /// List, move, tick and annotate work packages
    #[command(arg_required_else_help = true)]
    Tasks(Group<tasks::TaskCommand>),
    /// Resolve what an action is about
    #[command(arg_required_else_help = true)]
    Context(Group<context::ContextCommand>),
    /// Record questions that came up while planning, and their answers
    #[command(arg_required_else_help = true)]
    Decision(Group<decision::DecisionCommand>),
    /// Capture and verify the evidence that an issue may be closed
    #[command(arg_required_else_help = true)]
    Evidence(Group<evidence::EvidenceCommand>),
}

impl AgentCommand {
    pub(super) fn verb(self) -> Box<dyn Verb> {
        match self {
            Self::Mission(group) => group.command.verb(),
            Self::Status(group) => group.command.verb(),
            Self::Tasks(group) => group.command.verb(),
            Self::Context(group) => group.command.verb(),
            Self::Decision(group) => group.command.verb(),
            Self::Evidence(group) => group.command.verb(),
        }
    }
}
