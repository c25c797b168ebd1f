//! `agent mission ...`: the documents of a mission.

mod branch_context;
mod check_prerequisites;
pub(crate) mod create;
pub(crate) mod finalize_tasks;
pub(crate) mod setup_plan;

use crate::verb::Verb;
use clap::Subcommand;

// `agent mission ...`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum MissionCommand {
    BranchContext(branch_context::BranchContextArgs),
    Create(create::MissionCreateArgs),
    CheckPrerequisites(check_prerequisites::PrerequisitesArgs),
    SetupPlan(setup_plan::SetupPlanArgs),
    FinalizeTasks(finalize_tasks::FinalizeTasksArgs),
}

impl MissionCommand {
    pub(super) fn verb(self) -> Box<dyn Verb> {
        match self {
            Self::BranchContext(args) => Box::new(args),
            Self::Create(args) => Box::new(args),
            Self::CheckPrerequisites(args) => Box::new(args),
            Self::SetupPlan(args) => Box::new(args),
            Self::FinalizeTasks(args) => Box::new(args),
        }
    }
}
