//! `spec-kitty agent ...`: missions, for people and agents. One file per group of verbs.

mod decision;
mod evidence;
mod lane;
mod mission;
mod task;

pub use decision::{
    DecisionArgs, DecisionCommand, DecisionVerifyArgs, LedgerArgs, OpenArgs, PutOffArgs, ResolveArgs,
};
pub use evidence::{DraftArgs, EvidenceArgs, EvidenceCommand, EvidenceVerifyArgs};
pub use lane::{EmitArgs, ExecutionMode, LaneCommand, MaterializeArgs, ShowArgs};
pub use mission::{CreateArgs, FinalizeArgs, MissionCommand, PrerequisitesArgs, SetupPlanArgs};
pub use task::{AddHistoryArgs, CommitArgs, ListArgs, MarkStatusArgs, MoveTaskArgs, TaskCommand};

use clap::{Args, Subcommand};

/// `spec-kitty agent ...`
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// The life of a mission: create, plan, finalize
    #[command(subcommand, arg_required_else_help = true)]
    Mission(MissionCommand),
    /// The lanes of work packages: move, show, materialize
    #[command(subcommand, arg_required_else_help = true)]
    Status(LaneCommand),
    /// Work packages and their subtasks: list, move, tick, note
    #[command(subcommand, arg_required_else_help = true)]
    Tasks(TaskCommand),
    /// Questions that came up while planning, and their answers
    #[command(subcommand, arg_required_else_help = true)]
    Decision(DecisionCommand),
    /// What proves that an issue may be closed
    #[command(subcommand, arg_required_else_help = true)]
    Evidence(EvidenceCommand),
}

/// Options of every producing command.
#[derive(Debug, Args)]
pub struct ProducingArgs {
    /// Change the repository only; capture nothing for the server
    #[arg(long)]
    pub local_only: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

impl AgentCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Mission(command) => command.json(),
            Self::Status(command) => command.json(),
            Self::Tasks(command) => command.json(),
            Self::Decision(command) => command.json(),
            Self::Evidence(command) => command.json(),
        }
    }
}
