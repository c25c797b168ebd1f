//! `spec-kitty agent ...`: missions, for people and agents.

use clap::{Args, Subcommand, ValueEnum};

/// `spec-kitty agent ...`
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// The life of a mission
    #[command(subcommand, arg_required_else_help = true)]
    Mission(MissionCommand),
    /// The lanes of work packages
    #[command(subcommand, arg_required_else_help = true)]
    Status(LaneCommand),
}

/// `spec-kitty agent mission ...`
#[derive(Debug, Subcommand)]
pub enum MissionCommand {
    /// Create a mission: its directory, its meta.json and an empty spec
    Create(CreateArgs),
    /// Create plan.md from a template once the spec is written and committed
    SetupPlan(SetupPlanArgs),
}

/// `spec-kitty agent mission create`
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Name of the mission in kebab-case
    pub slug: String,
    /// Kind of mission
    #[arg(long, value_name = "TYPE", default_value = "software-dev")]
    pub mission_type: String,
    /// Branch the mission is planned on and merged into [default: the current branch]
    #[arg(long, value_name = "BRANCH")]
    pub target_branch: Option<String>,
    /// Name for people
    #[arg(long, value_name = "TEXT")]
    pub friendly_name: Option<String>,
    /// What it is for, in one line
    #[arg(long, value_name = "TEXT")]
    pub purpose_tldr: Option<String>,
    /// What it is for, in context
    #[arg(long, value_name = "TEXT")]
    pub purpose_context: Option<String>,
    /// Options every producing command has
    #[command(flatten)]
    pub producing: ProducingArgs,
}

/// `spec-kitty agent mission setup-plan`
#[derive(Debug, Args)]
pub struct SetupPlanArgs {
    /// The mission: its id, the first eight characters of it, or its directory name
    #[arg(long, value_name = "HANDLE")]
    pub mission: Option<String>,
    /// Options every producing command has
    #[command(flatten)]
    pub producing: ProducingArgs,
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

/// `spec-kitty agent status ...`
#[derive(Debug, Subcommand)]
pub enum LaneCommand {
    /// Move a work package to a lane
    Emit(EmitArgs),
}

/// `spec-kitty agent status emit`
#[derive(Debug, Args)]
pub struct EmitArgs {
    /// The work package, for example WP01
    #[arg(value_name = "WP")]
    pub work_package: String,
    /// The mission
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

impl AgentCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Mission(MissionCommand::Create(args)) => args.producing.json,
            Self::Mission(MissionCommand::SetupPlan(args)) => args.producing.json,
            Self::Status(LaneCommand::Emit(args)) => args.producing.json,
        }
    }
}
