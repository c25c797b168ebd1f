//! `spec-kitty sync ...`: the queue of this machine and its daemon.

use super::JsonArgs;
use super::queue::{
    CaptureArgs, DiagnoseArgs, ExportArgs, GcArgs, MigrateArgs, ParkedCommand, PreviewArgs, ResendArgs,
};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `spec-kitty sync ...`
#[derive(Debug, Subcommand)]
pub enum SyncCommand {
    /// Show the state of the boundary and of the queue; never changes anything
    Status(StatusArgs),
    /// Examine everything that delivery needs, with evidence; changes nothing
    Doctor(SyncDoctorArgs),
    /// Open every gate in order: list what fails, cure what is safe, end at `sync status --check`
    Setup(SetupArgs),
    /// Deliver what waits in the queue
    Now(NowArgs),
    /// Move legacy rows of this account into its scoped queue DB
    Migrate(MigrateArgs),
    /// Show what the next delivery would send, and what it would leave
    Preview(PreviewArgs),
    /// Judge every waiting row by the published event contract
    Diagnose(DiagnoseArgs),
    /// Write every row of a queue DB, of any account, as JSON lines
    Export(ExportArgs),
    /// Capture facts of a mission that were recorded without being captured
    Capture(CaptureArgs),
    /// Rows that were refused for good, and kept
    #[command(subcommand, arg_required_else_help = true)]
    Parked(ParkedCommand),
    /// Send delivered rows again
    Resend(ResendArgs),
    /// Remove old receipts, or the kept bytes of what was sent
    Gc(GcArgs),
    /// Let rows of a project leave this machine
    OptIn(OptInArgs),
    /// Keep rows of a project on this machine
    OptOut(OptOutArgs),
    /// The background daemon that drains the queue
    #[command(subcommand, arg_required_else_help = true)]
    Daemon(DaemonCommand),
}

/// `spec-kitty sync status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Exit 2 unless the boundary is coherent
    #[arg(long, short)]
    pub check: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty sync doctor`
#[derive(Debug, Args)]
pub struct SyncDoctorArgs {
    /// Do not ask the server whether it answers: the only part that uses the network
    #[arg(long)]
    pub offline: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty sync setup`
#[derive(Debug, Args)]
pub struct SetupArgs {
    /// Do what is safe without asking; never logs in, decides about a project or moves a file
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty sync now`
#[derive(Debug, Args)]
pub struct NowArgs {
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Write what failed, and why, to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Exit 1 when something was parked or could not be delivered (the default)
    #[arg(long, overrides_with = "no_strict")]
    pub strict: bool,
    /// Exit 0 even when something was parked or could not be delivered
    #[arg(long)]
    pub no_strict: bool,
    /// Wait this many seconds for another drain of this account
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub wait: u64,
}

/// `spec-kitty sync opt-in`
#[derive(Debug, Args)]
pub struct OptInArgs {
    /// The project: a known uuid, an unambiguous slug, or `none` for rows without a project
    /// [default: the project of this directory]
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// Every project with held rows, unless it is opted out by name
    #[arg(long, conflicts_with = "project")]
    pub all_held: bool,
    /// Release the rows that are held for it, too
    #[arg(long)]
    pub include_held: bool,
    /// Do it without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty sync opt-out`
#[derive(Debug, Args)]
pub struct OptOutArgs {
    /// The project: a known uuid, an unambiguous slug, or `none` for rows without a project
    /// [default: the project of this directory]
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// Delete the kept bytes of the project's delivered rows, too
    #[arg(long)]
    pub delete_private_data: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty sync daemon ...`
#[derive(Debug, Subcommand)]
pub enum DaemonCommand {
    /// Start the daemon in the background, or say which one runs
    Start(JsonArgs),
    /// Stop the daemon of this home
    Stop(JsonArgs),
    /// Show the daemon of this home
    Status(JsonArgs),
    /// Be the daemon, in the foreground
    Run(DaemonRunArgs),
}

/// `spec-kitty sync daemon run`
#[derive(Debug, Args)]
pub struct DaemonRunArgs {
    /// Report readiness to the process that started this one
    #[arg(long, hide = true)]
    pub spawned: bool,
}

impl SyncCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Status(args) => args.json,
            Self::Doctor(args) => args.json,
            Self::Setup(args) => args.json,
            Self::Now(args) => args.json,
            Self::Migrate(args) => args.json,
            Self::Preview(args) => args.json,
            Self::Diagnose(args) => args.json,
            Self::Export(args) => args.json,
            Self::Capture(args) => args.json,
            Self::Parked(command) => command.json(),
            Self::Resend(args) => args.json,
            Self::Gc(args) => args.json,
            Self::OptIn(args) => args.json,
            Self::OptOut(args) => args.json,
            Self::Daemon(command) => match command {
                DaemonCommand::Start(args) | DaemonCommand::Stop(args) | DaemonCommand::Status(args) => {
                    args.json
                }
                DaemonCommand::Run(_) => false,
            },
        }
    }
}
