//! `spec-kitty agent mission ...`

use super::ProducingArgs;
use clap::{Args, Subcommand, ValueEnum};

/// `spec-kitty agent mission ...`
#[derive(Debug, Subcommand)]
pub enum MissionCommand {
    /// Create a mission: its directory, its meta.json and an empty spec
    Create(CreateArgs),
    /// Say which documents of a mission are there, and where; changes nothing
    CheckPrerequisites(PrerequisitesArgs),
    /// Create plan.md from a template once the spec is written and committed
    SetupPlan(SetupPlanArgs),
    /// Judge the work packages, complete them, compute their lanes and commit
    FinalizeTasks(FinalizeArgs),
}

/// `spec-kitty agent mission create`, `spec-kitty specify`
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
    /// Note in meta.json that the work lands by way of a pull request
    #[arg(long)]
    pub pr_bound: bool,
    /// Accepted for calls written for earlier releases, which asked; nothing asks here
    #[arg(long, value_enum, value_name = "ANSWER", hide = true)]
    pub branch_strategy: Option<BranchStrategy>,
    /// Options every producing command has
    #[command(flatten)]
    pub producing: ProducingArgs,
}

/// The one answer to a question that earlier releases asked about the branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BranchStrategy {
    /// The branch is right.
    AlreadyConfirmed,
}

/// `spec-kitty agent mission check-prerequisites`
#[derive(Debug, Args)]
pub struct PrerequisitesArgs {
    /// The mission: the name it was created with, its directory, its id, or the first eight
    /// characters of that
    #[arg(long, value_name = "HANDLE")]
    pub mission: Option<String>,
    /// Print the paths alone
    #[arg(long)]
    pub paths_only: bool,
    /// Need tasks.md, too
    #[arg(long)]
    pub include_tasks: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty agent mission setup-plan`, `spec-kitty plan`
#[derive(Debug, Args)]
pub struct SetupPlanArgs {
    /// The mission: the name it was created with, its directory, its id, or the first eight
    /// characters of that
    #[arg(long, value_name = "HANDLE")]
    pub mission: Option<String>,
    /// Options every producing command has
    #[command(flatten)]
    pub producing: ProducingArgs,
}

/// `spec-kitty agent mission finalize-tasks`, `spec-kitty tasks`
#[derive(Debug, Args)]
pub struct FinalizeArgs {
    /// The mission: the name it was created with, its directory, its id, or the first eight
    /// characters of that
    #[arg(long, value_name = "HANDLE")]
    pub mission: Option<String>,
    /// Judge everything, say what would be written, write nothing
    #[arg(long)]
    pub validate_only: bool,
    /// Options every producing command has
    #[command(flatten)]
    pub producing: ProducingArgs,
}

impl FinalizeArgs {
    /// Whether it stays on this machine.
    pub const fn is_local(&self) -> bool {
        self.validate_only || self.producing.local_only
    }
}

impl MissionCommand {
    pub(super) const fn json(&self) -> bool {
        match self {
            Self::Create(args) => args.producing.json,
            Self::CheckPrerequisites(args) => args.json,
            Self::SetupPlan(args) => args.producing.json,
            Self::FinalizeTasks(args) => args.producing.json,
        }
    }
}
