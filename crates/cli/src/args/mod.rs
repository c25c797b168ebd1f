//! The command line, as clap sees it. Nothing here does anything; `command` has one file per verb.

mod agent;
mod auth;
mod config;
mod doctor;
mod hyphen;
mod queue;
mod server;
mod sync;

pub use agent::{
    AddHistoryArgs, AgentCommand, CommitArgs, CreateArgs, DecisionArgs, DecisionCommand, DecisionVerifyArgs,
    DraftArgs, EmitArgs, EvidenceArgs, EvidenceCommand, EvidenceVerifyArgs, ExecutionMode, FinalizeArgs,
    LaneCommand, LedgerArgs, ListArgs, MarkStatusArgs, MaterializeArgs, MissionCommand, MoveTaskArgs,
    OpenArgs, PrerequisitesArgs, ProducingArgs, PutOffArgs, ResolveArgs, SetupPlanArgs, ShowArgs,
    TaskCommand,
};
pub use auth::{AuthCommand, AuthDoctorArgs, LoginArgs, LogoutArgs, SwitchArgs};
pub use config::{ConfigCommand, GetArgs, SetArgs, UnsetArgs};
pub use doctor::{DoctorCommand, OrphanDaemonsArgs, RestartDaemonArgs};
pub use queue::{
    CaptureArgs, DiagnoseArgs, ExportArgs, GcArgs, LEGACY, MigrateArgs, ParkedCommand, ParkedDropArgs,
    ParkedExportArgs, ParkedListArgs, ParkedRetryArgs, ParkedShowArgs, PreviewArgs, ResendArgs,
};
pub use server::{AdminArgs, ServerArgs, ServerCommand, TokenCommand, UserCommand};
pub use sync::{
    DaemonCommand, DaemonRunArgs, NowArgs, OptInArgs, OptOutArgs, SetupArgs, StatusArgs, SyncCommand,
    SyncDoctorArgs,
};

use clap::{Args, CommandFactory, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "spec-kitty",
    version = crate::build::VERSION_LINE,
    about = "Plan work in missions; deliver every step of it to the right account, or say why not",
    long_about = "Plan work in missions; deliver every step of it to the right account, or say why not.\n\n\
        Commands that produce or send something the server can see first check that the foreground, the \
        daemon, the queue and the login describe one identity. If they do not, the command refuses, names \
        every field that differs, and says how to cure it.",
    after_help = crate::build::exit_code_help(),
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The command groups.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look at, cure and drain the queue of this machine
    #[command(subcommand, arg_required_else_help = true)]
    Sync(SyncCommand),
    /// Find and repair what keeps the boundary from being coherent
    #[command(subcommand, arg_required_else_help = true)]
    Doctor(DoctorCommand),
    /// Log in, log out, see who you are
    #[command(subcommand, arg_required_else_help = true)]
    Auth(AuthCommand),
    /// Read and change the settings of this machine
    #[command(subcommand, arg_required_else_help = true)]
    Config(ConfigCommand),
    /// Mission commands for people and agents
    #[command(subcommand, arg_required_else_help = true)]
    Agent(AgentCommand),
    /// Create a mission: `agent mission create`
    Specify(CreateArgs),
    /// Create its plan: `agent mission setup-plan`
    Plan(SetupPlanArgs),
    /// Make its work packages final: `agent mission finalize-tasks`
    Tasks(FinalizeArgs),
    /// Run the ingest server, or administer its accounts
    Server(ServerArgs),
    /// Show the whole story on this machine: a server, a login, a refusal, its cure, a delivery
    Quickstart(QuickstartArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a directory
    #[command(hide = true)]
    Man {
        /// Where to write them
        directory: PathBuf,
    },
}

/// Commands whose only option is `--json`.
#[derive(Debug, Args)]
pub struct JsonArgs {
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty quickstart`
#[derive(Debug, Args)]
pub struct QuickstartArgs {
    /// Directory to build the scene in; must be empty or absent
    #[arg(long, value_name = "DIR", default_value = "quickstart-world")]
    pub dir: PathBuf,
}

impl Cli {
    /// Parses a command line, the program's name first. A value may begin with a hyphen: see `hyphen`,
    /// which costs nothing where the line parses without it.
    pub fn parse_words(words: Vec<OsString>) -> Result<Self, clap::Error> {
        let parsed = Self::try_parse_from(&words);
        let parsed = parsed.or_else(|error| match hyphen::attach_values(&Self::command(), &words) {
            Some(words) => Self::try_parse_from(words),
            None => Err(error),
        });
        parsed.map_err(hyphen::with_tip)
    }
}

impl Command {
    /// Whether it only says what it would do, or what others would.
    pub fn is_dry_run(&self) -> bool {
        match self {
            Self::Sync(SyncCommand::Migrate(args)) => args.dry_run,
            Self::Sync(SyncCommand::Gc(args)) => args.dry_run,
            Self::Sync(SyncCommand::Setup(args)) => !args.yes,
            _ => false,
        }
    }

    /// Whether the command was asked for one JSON document.
    pub fn json(&self) -> bool {
        match self {
            Self::Sync(command) => command.json(),
            Self::Doctor(command) => command.json(),
            Self::Auth(command) => command.json(),
            Self::Config(command) => command.json(),
            Self::Agent(command) => command.json(),
            Self::Specify(args) => args.producing.json,
            Self::Plan(args) => args.producing.json,
            Self::Tasks(args) => args.producing.json,
            Self::Server(args) => args.json(),
            Self::Quickstart(_) | Self::Completions { .. } | Self::Man { .. } => false,
        }
    }
}
