//! `agent tasks ...`: work packages and their subtasks.

mod add_history;
pub(super) mod list;
mod list_dependents;
mod map_requirements;
mod mark_status;
mod move_task;
mod status;

use crate::verb::{Args, Verb};
use clap::Subcommand;

// `agent tasks ...`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
#[allow(clippy::large_enum_variant, reason = "one is made for each command line")]
pub(crate) enum TaskCommand {
    #[command(visible_alias = "list-tasks")]
    List(list::TaskListArgs),
    Status(status::TaskStatusArgs),
    MoveTask(move_task::MoveTaskArgs),
    MarkStatus(mark_status::MarkStatusArgs),
    AddHistory(add_history::AddHistoryArgs),
    MapRequirements(map_requirements::MapRequirementsArgs),
    ListDependents(list_dependents::DependentsArgs),
}

impl TaskCommand {
    pub(super) fn verb(self) -> Box<dyn Verb> {
        match self {
            Self::List(args) => Box::new(args),
            Self::Status(args) => Box::new(args),
            Self::MoveTask(args) => Box::new(args),
            Self::MarkStatus(args) => Box::new(args),
            Self::AddHistory(args) => Box::new(args),
            Self::MapRequirements(args) => Box::new(args),
            Self::ListDependents(args) => Box::new(args),
        }
    }
}

/// Whether a command commits what it wrote.
#[derive(Debug, Args)]
pub(super) struct CommitArgs {
    /// Commit the written files [default: `agents.auto_commit` of .kittify/config.yaml, else yes]
    #[arg(long, overrides_with = "no_auto_commit")]
    auto_commit: bool,
    /// Leave the written files uncommitted
    #[arg(long, overrides_with = "auto_commit")]
    no_auto_commit: bool,
}

impl CommitArgs {
    /// The user's choice, if any.
    pub(super) fn choice(&self) -> Option<bool> {
        (self.auto_commit || self.no_auto_commit).then_some(self.auto_commit)
    }
}
