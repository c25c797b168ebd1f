//! `spec-kitty agent status ...`

use super::ProducingArgs;
use clap::{Args, Subcommand, ValueEnum};

/// `spec-kitty agent status ...`
#[derive(Debug, Subcommand)]
pub enum LaneCommand {
    /// Move a work package to a lane
    Emit(EmitArgs),
    /// Write status.json from the log, and print it
    Materialize(MaterializeArgs),
    /// Show the board of a mission, or all missions; changes nothing
    Show(ShowArgs),
}

/// `spec-kitty agent status emit`
#[derive(Debug, Args)]
pub struct EmitArgs {
    /// The work package, for example WP01
    #[arg(value_name = "WP")]
    pub work_package: String,
    /// The mission: the name it was created with, its directory, its id, or the first eight
    /// characters of that
    #[arg(long, value_name = "HANDLE")]
    pub mission: Option<String>,
    /// The lane to move it to
    #[arg(long, value_name = "LANE")]
    pub to: String,
    /// Who moves it
    #[arg(long)]
    pub actor: String,
    /// Move it although the lanes do not allow it; needs --reason
    #[arg(long)]
    pub force: bool,
    /// Why
    #[arg(long)]
    pub reason: Option<String>,
    /// Evidence as a JSON object: review{reviewer, verdict, reference}
    #[arg(long, value_name = "JSON")]
    pub evidence_json: Option<String>,
    /// The review this move answers
    #[arg(long, value_name = "REF")]
    pub review_ref: Option<String>,
    /// The workspace the work happens in
    #[arg(long, value_name = "TEXT")]
    pub workspace_context: Option<String>,
    /// Say that all subtasks are done
    #[arg(long)]
    pub subtasks_complete: bool,
    /// Say that there is evidence of the implementation
    #[arg(long)]
    pub implementation_evidence_present: bool,
    /// How the work is done [default: worktree]
    #[arg(long, value_enum)]
    pub execution_mode: Option<ExecutionMode>,
    /// Options every producing command has
    #[command(flatten)]
    pub producing: ProducingArgs,
}

/// How a work package is worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExecutionMode {
    /// In a worktree of its own
    #[value(name = "worktree")]
    Worktree,
    /// In the main checkout
    #[value(name = "direct_repo")]
    DirectRepo,
}

/// `spec-kitty agent status materialize`
#[derive(Debug, Args)]
pub struct MaterializeArgs {
    /// The mission: the name it was created with, its directory, its id, or the first eight
    /// characters of that
    #[arg(long, value_name = "HANDLE")]
    pub mission: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty agent status show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The mission: the name it was created with, its directory, its id, or the first eight
    /// characters of that [default: an overview of all]
    #[arg(long, value_name = "HANDLE")]
    pub mission: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

impl LaneCommand {
    pub(super) const fn json(&self) -> bool {
        match self {
            Self::Emit(args) => args.producing.json,
            Self::Materialize(args) => args.json,
            Self::Show(args) => args.json,
        }
    }
}
