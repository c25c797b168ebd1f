//! The command tree: one folder per group, one file per verb. A verb is one file with its options, its class,
//! its action and its text, one variant of its group's enum and one arm of the group's `verb`.

mod agent;
mod auth;
mod completions;
mod config;
mod doctor;
mod help;
mod init;
mod man;
mod merge_driver;
mod quickstart;
mod server;
mod sync;

pub(crate) use init::complete as complete_init;

use crate::args::Group;
use crate::verb::Verb;
use agent::mission::{create, finalize_tasks, setup_plan};
use clap::Subcommand;

/// The commands and groups below `spec-kitty`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Inspect, repair and deliver the queue of this machine
    #[command(arg_required_else_help = true)]
    Sync(Group<sync::SyncCommand>),
    /// Find and repair what makes the boundary incoherent
    #[command(arg_required_else_help = true)]
    Doctor(Group<doctor::DoctorCommand>),
    /// Log in, log out, show the login
    #[command(arg_required_else_help = true)]
    Auth(Group<auth::AuthCommand>),
    /// Read and change the settings of this machine
    #[command(arg_required_else_help = true)]
    Config(Group<config::ConfigCommand>),
    /// Work on missions, as a person or as an agent
    #[command(arg_required_else_help = true)]
    Agent(Group<agent::AgentCommand>),
    #[command(flatten)]
    Shortcut(ShortcutCommand),
    Init(init::InitArgs),
    Server(server::ServerArgs),
    Quickstart(quickstart::QuickstartArgs),
    Help(help::HelpArgs),
    Completions(completions::CompletionsArgs),
    #[command(hide = true)]
    Man(man::ManArgs),
    #[command(flatten)]
    MergeDriver(merge_driver::MergeDriverCommand),
}

/// Shorter names of verbs. Not deferred: their arguments would then bring their own help.
#[derive(Debug, Subcommand)]
pub(crate) enum ShortcutCommand {
    /// Create a mission: `agent mission create`
    #[command(after_help = "Example: spec-kitty specify tea-timer")]
    Specify(create::MissionCreateArgs),
    /// Create the plan of a mission: `agent mission setup-plan`
    #[command(after_help = "Example: spec-kitty plan --mission tea-timer")]
    Plan(setup_plan::SetupPlanArgs),
    /// Finalize the work packages of a mission: `agent mission finalize-tasks`
    #[command(after_help = "Example: spec-kitty tasks --mission tea-timer")]
    Tasks(finalize_tasks::FinalizeTasksArgs),
}

impl Command {
    /// The one verb that a parsed command line names.
    pub(crate) fn verb(self) -> Box<dyn Verb> {
        match self {
            Self::Sync(group) => group.command.verb(),
            Self::Doctor(group) => group.command.verb(),
            Self::Auth(group) => group.command.verb(),
            Self::Config(group) => group.command.verb(),
            Self::Agent(group) => group.command.verb(),
            Self::Shortcut(ShortcutCommand::Specify(args)) => Box::new(args),
            Self::Shortcut(ShortcutCommand::Plan(args)) => Box::new(args),
            Self::Shortcut(ShortcutCommand::Tasks(args)) => Box::new(args),
            Self::Init(args) => Box::new(args),
            Self::Server(args) => args.verb(),
            Self::Quickstart(args) => Box::new(args),
            Self::Help(args) => Box::new(args),
            Self::Completions(args) => Box::new(args),
            Self::Man(args) => Box::new(args),
            Self::MergeDriver(command) => command.verb(),
        }
    }
}
